import math

import numpy as np
import pytest
import torch

from ldr2hdr.losses import PU21L1, ClippedTarget, ExpandNetLoss, HDRCNNLoss, LogL1, MuLawL1, TanhL1

LOSSES = [LogL1(), MuLawL1(), PU21L1(), ExpandNetLoss(), HDRCNNLoss(), HDRCNNLoss(highlights_only=True), TanhL1()]
PLAIN = [LogL1(charbonnier=0.0), MuLawL1(charbonnier=0.0), PU21L1(charbonnier=0.0), ExpandNetLoss(charbonnier=0.0)]
PLAIN += [TanhL1(charbonnier=0.0)]


def flat(*rgb, dtype=torch.float64):
    return torch.tensor(rgb, dtype=dtype).view(1, 3, 1, 1).expand(2, 3, 5, 4).contiguous()


def random_pair(height=20, width=17, dtype=torch.float64):
    generator = torch.Generator().manual_seed(0)
    return [torch.rand(2, 3, height, width, generator=generator, dtype=dtype) * 2 for _ in range(2)]


@pytest.mark.parametrize("loss", LOSSES + PLAIN, ids=repr)
def test_no_loss_without_an_error_and_some_with_one(loss):
    pred, target = random_pair()
    assert loss(target, target).item() == 0
    assert loss(pred, target).item() > 1e-3


@pytest.mark.parametrize("loss", LOSSES + PLAIN, ids=repr)
@pytest.mark.parametrize("target_value", [0.0, 1.0, 1e4])
@pytest.mark.parametrize("pred_value", [0.0, 1.0, 1e4])
def test_value_and_gradient_are_finite(loss, pred_value, target_value):
    pred = torch.full((1, 3, 3, 3), pred_value, requires_grad=True)
    value = loss(pred, torch.full((1, 3, 3, 3), target_value))
    (gradient,) = torch.autograd.grad(value, pred)
    assert value.isfinite()
    assert gradient.isfinite().all()


@pytest.mark.parametrize("loss", [LogL1(), MuLawL1(), PU21L1(), ExpandNetLoss(), HDRCNNLoss()], ids=repr)
def test_a_far_too_bright_prediction_is_pulled_down(loss):
    pred = torch.full((1, 3, 3, 3), 1e4, requires_grad=True)
    (gradient,) = torch.autograd.grad(loss(pred, torch.ones(1, 3, 3, 3)), pred)
    assert (gradient > 0).all()


@pytest.mark.parametrize("loss", LOSSES, ids=repr)
def test_first_and_second_derivatives_agree_with_finite_differences(loss):
    pred, target = random_pair(3, 3)
    pred = pred.add(0.1).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: loss(x, target), pred)
    assert torch.autograd.gradgradcheck(lambda x: loss(x, target), pred)


def test_log_l1_is_the_mean_ratio_in_nats():
    loss = LogL1(eps=0.5, charbonnier=0.0)
    pred, target = flat(1.5, 0.5, 3.5), flat(0.5, 0.5, 0.5)
    assert loss(pred, target).item() == pytest.approx((math.log(2) + 0 + math.log(4)) / 3)


def test_charbonnier_is_the_rounded_off_distance():
    error, width = math.log(2), 0.3
    assert LogL1(eps=0.5, charbonnier=width)(flat(1.5, 1.5, 1.5), flat(0.5, 0.5, 0.5)).item() == pytest.approx(
        math.sqrt(error**2 + width**2) - width
    )


def test_mu_law_l1_measures_in_units_of_black_to_white():
    loss = MuLawL1(charbonnier=0.0)
    # from the published table of the mu-law: 0.1 -> 0.7298719193, 0.5 -> 0.9186432719
    assert loss(flat(0.1, 0.5, 1.0), flat(0.0, 0.0, 0.0)).item() == pytest.approx(2.6485151912 / 3, abs=1e-9)


def test_pu21_l1_shows_white_at_the_stated_luminance():
    loss = PU21L1(white_cd_m2=100.0, charbonnier=0.0)
    # codes of 100, 10 and 1000 cd/m2 by the official encoder; black is lifted by 0.005 cd/m2, hence the tolerance
    white, dim, bright = 256.383897313, 123.647483554, 420.096921349
    expected = ((white - dim) + 0 + (bright - white)) / 3 / white
    assert loss(flat(0.1, 1.0, 10.0), flat(1.0, 1.0, 1.0)).item() == pytest.approx(expected, abs=1e-4)


def test_expandnet_loss_adds_five_times_the_angle():
    pred, target = flat(1.0, 0.0, 0.0), flat(3.0, 4.0, 0.0)
    # L1 (2 + 4 + 0) / 3; the cosine of (1, 0, 0) and (3, 4, 0) is 3 / 5
    expected = 2 + 5 * (1 - 0.6)
    assert ExpandNetLoss(charbonnier=0.0, eps=1e-6)(pred, target).item() == pytest.approx(expected, abs=1e-9)
    assert ExpandNetLoss(charbonnier=0.0, cosine_weight=0.0)(pred, target).item() == pytest.approx(2)


def test_tanh_l1_is_taken_of_display_values():
    loss = TanhL1(gamma=2.0, eps=1e-12, charbonnier=0.0)
    # display values 0, 0.5 and 2 against 1, whose tangents are 0, 0.4621171573, 0.9640275801 and 0.7615941560
    expected = (0.7615941560 + (0.7615941560 - 0.4621171573) + (0.9640275801 - 0.7615941560)) / 3
    assert loss(flat(0.0, 0.25, 4.0), flat(1.0, 1.0, 1.0)).item() == pytest.approx(expected, abs=2e-6)
    assert loss(flat(1e6, 1e6, 1e6), flat(0.0, 0.0, 0.0)).item() == pytest.approx(1, abs=1e-9)
    bright = TanhL1(charbonnier=0.0)(flat(10.0, 10.0, 10.0), flat(1e9, 1e9, 1e9)).item()
    assert 0.005 < bright < 0.01


def test_a_clipped_target_asks_for_nothing_above_white():
    loss = ClippedTarget(LogL1(), white=2.0)
    pred, target = random_pair()
    assert loss(pred, 3 * target).item() == LogL1()(pred, (3 * target).clamp(max=2)).item()
    assert loss(flat(2.0, 2.0, 1.0), flat(9.0, 2.0, 1.0)).item() == 0
    assert loss(flat(9.0, 2.0, 1.0), flat(9.0, 2.0, 1.0)).item() > 0.1


def hdrcnn_in_numpy(pred, target, *, masked):
    """The loss of one picture (3, H, W) from its description, with loops."""
    width = 5 / 13
    edges = np.linspace(-2 - width / 2, 2 + width / 2, 14)
    bins = np.diff([0.5 * (1 + math.erf(edge / math.sqrt(2))) for edge in edges])
    kernel = np.sqrt(np.outer(bins, bins))
    weights = np.array([0.212656, 0.715158, 0.072186])[:, None, None]
    logs = [np.log((weights * x).sum(0) + 1 / 255) for x in (pred, target)]
    delta = logs[0] - logs[1]
    blurred = np.zeros_like(delta)
    for y, x in np.ndindex(delta.shape):
        total = 0.0
        for j, i in np.ndindex(13, 13):
            row, column = y + j - 6, x + i - 6
            if 0 <= row < delta.shape[0] and 0 <= column < delta.shape[1]:
                blurred[y, x] += kernel[j, i] * delta[row, column]
                total += kernel[j, i]
        blurred[y, x] /= total
    colour = np.log(pred + 1 / 255) - np.log(target + 1 / 255)
    error = 0.5 * blurred**2 + 0.5 * (colour - blurred) ** 2
    mask = np.clip((target.max(0) - 0.95) / 0.05, 0, 1) if masked else 1.0
    return (error * mask).mean()


@pytest.mark.parametrize("masked", [False, True])
def test_hdrcnn_loss_agrees_with_numpy(masked):
    pred, target = random_pair()
    target = target * 0.6  # so that the brightest channels lie on both sides of the threshold
    expected = np.mean(
        [hdrcnn_in_numpy(p.numpy(), t.numpy(), masked=masked) for p, t in zip(pred, target, strict=True)]
    )
    assert HDRCNNLoss(highlights_only=masked)(pred, target).item() == pytest.approx(expected, rel=1e-10)


def test_hdrcnn_loss_on_highlights_only_ignores_the_rest():
    pred, target = flat(0.1, 0.2, 0.3), flat(0.9, 0.8, 0.95)
    assert HDRCNNLoss(highlights_only=True)(pred, target).item() == 0


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: LogL1(eps=0.0), "eps must be positive, got 0.0"),
        (lambda: LogL1(charbonnier=-1.0), "charbonnier must not be negative, got -1.0"),
        (lambda: MuLawL1(mu=-1.0), "mu must be positive, got -1.0"),
        (lambda: MuLawL1(charbonnier=math.nan), "charbonnier must not be negative, got nan"),
        (lambda: PU21L1(white_cd_m2=0.0), "white_cd_m2 must be above 0.005 and at most 10000, got 0.0"),
        (lambda: PU21L1(charbonnier=-1.0), "charbonnier must not be negative"),
        (lambda: ExpandNetLoss(cosine_weight=-1.0), "cosine_weight must not be negative"),
        (lambda: ExpandNetLoss(eps=0.0), "eps must be positive"),
        (lambda: HDRCNNLoss(eps=math.inf), "eps must be positive"),
        (lambda: HDRCNNLoss(illumination_weight=2.0), r"illumination_weight must be in \[0, 1\], got 2.0"),
        (lambda: TanhL1(gamma=0.0), "gamma must be positive, got 0.0"),
        (lambda: TanhL1(eps=0.0), "eps must be positive, got 0.0"),
        (lambda: TanhL1(charbonnier=-1.0), "charbonnier must not be negative, got -1.0"),
        (lambda: ClippedTarget(LogL1(), white=0.0), "white must be positive, got 0.0"),
        (lambda: HDRCNNLoss(threshold=1.0), r"threshold must be in \[0, 1\), got 1.0"),
    ],
)
def test_bad_parameters_are_refused_by_name(make, message):
    with pytest.raises(ValueError, match=message):
        make()
