import pytest
import torch

from ldr2hdr.radiometry import (
    decode_log,
    decode_pq,
    encode_log,
    encode_mu_law,
    encode_pq,
    encode_pu21,
    expose,
    luminance,
)

CURVES = ("banding", "banding_glare", "peaks", "peaks_glare")

# The encoder of Mantiuk and Azimi run in Octave in double precision: cd/m2, then the four curves in that order.
PU21_TABLE = torch.tensor(
    [
        [0.005, 0.000000000, 0.000000001, 0.000000137, 0.000000000],
        [0.01, 6.305262077, 0.372232210, 5.006010505, 0.513308351],
        [0.05, 25.425566453, 2.935704217, 22.165272850, 4.114414325],
        [0.1, 36.005731693, 5.717073840, 32.656828572, 8.010354542],
        [0.5, 67.430259768, 22.208683613, 66.425414422, 29.766191803],
        [1, 84.404511313, 36.543911139, 85.542014982, 47.009029405],
        [5, 133.159197522, 91.529012459, 140.360435769, 105.280648620],
        [10, 158.506147601, 123.647483554, 167.524564525, 136.260318584],
        [50, 227.726778712, 212.787279208, 233.382687073, 216.159413626],
        [80, 250.543954344, 242.036000009, 252.086921712, 240.646022149],
        [100, 261.751727930, 256.383897313, 260.724982612, 252.298488283],
        [200, 297.962040389, 302.774329001, 286.245967711, 288.027985734],
        [203, 298.761127123, 303.800226269, 286.769419173, 288.779866247],
        [500, 348.511935856, 368.080259755, 316.230997435, 331.786781721],
        [600, 358.848024766, 381.567637279, 321.626585885, 339.651522797],
        [1000, 388.142304493, 420.096921349, 335.694714598, 359.622462851],
        [1500, 411.625329933, 451.303472361, 345.762725256, 373.017290521],
        [2000, 428.337745335, 473.655199438, 352.328262213, 381.116856080],
        [4000, 468.488022116, 527.493900537, 366.267335955, 396.015297503],
        [5000, 481.303137574, 544.564976595, 370.219882628, 399.560986281],
        [10000, 520.467307018, 595.393920020, 380.985316122, 407.506619701],
    ],
    dtype=torch.float64,
)
PU21_INVERSE = {
    1: 0.0190564265, 10: 0.187271778, 50: 1.62822569, 100: 6.06090011, 128: 10.9139412, 200: 40.4218899,
    256: 99.4105337, 300: 192.090311, 400: 767.392333, 500: 2804.9251, 550: 5371.88823, 590: 9262.27786,
}  # fmt: skip


# colour-science 0.4.7: cd/m2 to PQ, and back
PQ_TABLE = {
    0.005: 0.0150763990, 0.1: 0.0623368657, 1: 0.1499457321, 10: 0.2996990924, 100: 0.5080784215, 203: 0.5806888810,
    1000: 0.7518270962, 4000: 0.9025723934, 10000: 1.0,
}  # fmt: skip
PQ_INVERSE = {0.25: 5.15417600983, 0.5: 92.2457089941, 0.75: 983.377855587, 0.9: 3905.64465283}


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-6), (torch.float32, 2e-4)])
@pytest.mark.parametrize("curve", CURVES)
def test_pu21_agrees_with_the_official_encoder(curve, dtype, tolerance):
    encoded = encode_pu21(PU21_TABLE[:, 0].to(dtype), curve)
    torch.testing.assert_close(encoded.double(), PU21_TABLE[:, 1 + CURVES.index(curve)], atol=tolerance, rtol=0)


def test_pu21_is_the_inverse_of_the_official_decoder():
    codes, light = torch.tensor([list(pair) for pair in PU21_INVERSE.items()], dtype=torch.float64).T
    torch.testing.assert_close(encode_pu21(light), codes, rtol=1e-8, atol=0)


@pytest.mark.parametrize("curve", CURVES)
def test_pu21_is_bounded(curve):
    ends = encode_pu21(torch.tensor([0.0, 0.005, 1e4, 1e9], dtype=torch.float64), curve)
    assert ends[0] == ends[1]
    assert ends[2] == ends[3]


@pytest.mark.parametrize("curve", CURVES)
def test_unclamped_pu21_goes_on_rising_beyond_its_range(curve):
    light = torch.tensor([0.0025, 0.005, 1e4, 2e4, 1e6], dtype=torch.float64)
    assert (encode_pu21(light, curve, clamp=False).diff() > 0).all()


def test_pq_agrees_with_an_independent_implementation():
    light, codes = torch.tensor([list(pair) for pair in PQ_TABLE.items()], dtype=torch.float64).T
    torch.testing.assert_close(encode_pq(light), codes, atol=2e-10, rtol=0)
    codes, light = torch.tensor([list(pair) for pair in PQ_INVERSE.items()], dtype=torch.float64).T
    torch.testing.assert_close(decode_pq(codes), light, rtol=1e-10, atol=0)


@pytest.mark.parametrize("constants", ["exact", "rounded"])
def test_pq_inverts_and_is_bounded(constants):
    light = torch.logspace(-4, 4, 500, dtype=torch.float64)
    torch.testing.assert_close(decode_pq(encode_pq(light, constants), constants), light, rtol=1e-9, atol=0)
    torch.testing.assert_close(encode_pq(light, constants), encode_pq(light), atol=2e-4, rtol=0)
    beyond = torch.tensor([-1.0, 0.0, 1e4, 1e9], dtype=torch.float64)
    codes = encode_pq(beyond, constants)
    assert codes[0] == codes[1] < 1e-6
    assert codes[2] == codes[3] == pytest.approx(1, abs=1e-4)
    # beyond the code of 10000 cd/m2 the bare inverse soon is infinite
    ends = decode_pq(torch.tensor([-1.0, 0.0, 1.01, 5.0], dtype=torch.float64), constants)
    torch.testing.assert_close(ends, torch.tensor([0, 0, 1e4, 1e4], dtype=torch.float64))


def test_mu_law_table():
    linear = torch.tensor([0, 1e-4, 1e-3, 1e-2, 0.1, 0.5, 1], dtype=torch.float64)
    expected = [0, 0.0476043667, 0.2103647717, 0.4616231227, 0.7298719193, 0.9186432719, 1]
    encoded = encode_mu_law(linear)
    torch.testing.assert_close(encoded, torch.tensor(expected, dtype=torch.float64), atol=1e-10, rtol=0)


def test_log_encoding_is_finite_at_black_and_inverts():
    linear = torch.tensor([0, 1e-3, 1, 1e4], dtype=torch.float64, requires_grad=True)
    encoded = encode_log(linear, eps=0.5)
    assert encoded[0].item() == pytest.approx(-0.6931471805599453)
    torch.testing.assert_close(decode_log(encoded, eps=0.5), linear)
    (slope,) = torch.autograd.grad(encoded.sum(), linear)
    assert slope[0].item() == pytest.approx(2.0)


def test_one_stop_doubles_the_light():
    radiance = torch.rand(2, 3, 4, 5, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(
        expose(radiance, torch.tensor([1.0, -1.0])), radiance * torch.tensor([2.0, 0.5]).view(2, 1, 1, 1)
    )


def test_negative_radiance_is_refused():
    with pytest.raises(ValueError, match="non-negative, got a minimum of -1"):
        expose(torch.full((1, 3, 1, 1), -1.0), torch.tensor([0.0]))


def test_luminance_weights_are_those_of_rec709_and_sum_to_one():
    primaries = torch.eye(3, dtype=torch.float64).view(3, 3, 1, 1)
    weights = luminance(primaries).flatten()
    # rows of the RGB to XYZ matrix of Rec. 709 primaries and D65, solved from their chromaticities
    xy = torch.tensor([[0.64, 0.33], [0.30, 0.60], [0.15, 0.06], [0.3127, 0.3290]], dtype=torch.float64)
    xyz = torch.cat([xy, 1 - xy.sum(1, keepdim=True)], dim=1) / xy[:, 1:]
    torch.testing.assert_close(weights, torch.linalg.solve(xyz[:3].T, xyz[3]), atol=2e-5, rtol=0)
    assert weights.sum().item() == pytest.approx(1, abs=1e-12)
