"""Highlights: nothing but what clips is touched, and it does not matter how a picture comes."""

import math

import pytest
import torch
from hydra import compose, initialize_config_dir
from second_derivatives import along_a_direction
from torch import Tensor

from ldr2hdr.backbones.base import Strip
from ldr2hdr.backbones.highlights.backbone import Highlights
from ldr2hdr.backbones.highlights.distribution import Answer, Excess
from ldr2hdr.backbones.highlights.grids import cell_means, spread_out
from ldr2hdr.backbones.highlights.network import Pair, Small
from ldr2hdr.build import CONF_DIR, build_learner
from ldr2hdr.inference.tiling import reconstruct_bands
from ldr2hdr.losses import HighlightLikelihood, LogL1
from ldr2hdr.reconstructor import Reconstructor
from ldr2hdr.response.ridge import InverseGammaResponse
from ldr2hdr.tasks import Shots, TaskBatch


def small_net(**settings: object) -> Highlights:
    """A network past its first step."""
    torch.manual_seed(0)
    net = Highlights(**{"work_px": 32, "widths": (4, 6, 8), "code_size": 8, **settings})
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape))
    return net.eval()


class Even(torch.nn.Module):
    """Answers the same everywhere, in place of the network."""

    def __init__(self, stops: float) -> None:
        super().__init__()
        self.stops = stops

    def forward(self, small: Small) -> Pair:
        batch, _, height, width = small.levels.shape
        even = torch.full((batch, 3, height // 2, width // 2), self.stops)
        return Pair(*[Excess(even, 0.5 * torch.ones_like(even), 0.5 * torch.ones_like(even))] * 2)


def smooth_picture(height: int, width: int, *, seed: int = 0) -> Tensor:
    """A photograph of 8 bits with soft shapes, a fifth of it clipped."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(1, 3, 6, 8, generator=generator)
    soft = torch.nn.functional.interpolate(coarse, size=(height, width), mode="bicubic", align_corners=False)
    return (soft * 330).clamp(0, 255).round() / 255


def lamp(height: int, width: int, *, stops: float = 3.0, share: float = 0.02) -> Tensor:
    """A Gaussian lamp in logarithm that stands above white by some stops, as scene exposure."""
    y, x = torch.linspace(-1, 1, height)[:, None] * height / width, torch.linspace(-1, 1, width)
    radius_squared = (share * 4 * height / width) / math.pi
    exposure = torch.exp2(stops * (1 - (x**2 + y**2) / radius_squared).clamp_min(-3))
    return exposure.expand(1, 3, height, width)


def shoot(exposure: Tensor) -> Tensor:
    """A camera of gamma 2.2 and 8 bits, 1 at level 250."""
    return (250 * exposure.pow(1 / 2.2)).clamp(0, 255).round() / 255


def linearized(ldr: Tensor) -> Tensor:
    return (ldr * 255 / 250).pow(2.2)


@pytest.mark.parametrize("size", [(64, 64), (33, 95), (1, 1), (2, 70), (50, 33)])
def test_any_size_goes_in_and_what_does_not_clip_comes_out_to_the_bit(size: tuple[int, int]) -> None:
    ldr = smooth_picture(*size)
    linear = linearized(ldr)
    exposure = small_net()(ldr, linear)
    assert exposure.shape == ldr.shape
    assert bool(exposure.isfinite().all())
    untouched = torch.round(ldr * 255) <= 247
    assert torch.equal(exposure[untouched], linear[untouched])
    assert size == (1, 1) or not torch.equal(exposure, linear)


def test_a_photograph_without_clipping_is_returned() -> None:
    linear = linearized(smooth_picture(40, 60) * 0.9)
    assert torch.equal(small_net()(smooth_picture(40, 60) * 0.9, linear), linear)


@pytest.mark.parametrize("size", [(150, 401), (700, 300), (31, 33)])
def test_tiles_make_the_whole_picture(size: tuple[int, int]) -> None:
    model = Reconstructor(InverseGammaResponse(), small_net())
    ldr = smooth_picture(*size)
    read = lambda rows, columns: ldr[0, :, rows, columns]  # noqa: E731
    bands = list(reconstruct_bands(model.bind(), read, size=size, tile_px=128))
    with torch.no_grad():
        torch.testing.assert_close(torch.cat(bands, dim=1), model(ldr)[0], atol=1e-5, rtol=1e-5)


def test_a_batch_is_pictures_side_by_side() -> None:
    ldr = torch.cat([smooth_picture(40, 60, seed=seed) for seed in range(3)])
    net = small_net()
    torch.testing.assert_close(net(ldr, ldr)[1:2], net(ldr[1:2], ldr[1:2]), atol=1e-6, rtol=1e-5)
    assert not list(net.buffers()), "running statistics would leak from task to task"


def test_cells_are_means_of_their_area_and_are_spread_out_linearly() -> None:
    planes = torch.rand(2, 3, 60, 84, dtype=torch.float64)
    whole = (slice(0, 60), slice(0, 84))
    _, means = cell_means(planes, (6, 7), window=whole, size=(60, 84))
    torch.testing.assert_close(means, torch.nn.functional.avg_pool2d(planes, (10, 12)))
    expected = torch.nn.functional.interpolate(means, size=(60, 84), mode="bilinear", align_corners=False)
    torch.testing.assert_close(spread_out(means, window=whole, size=(60, 84)), expected)
    part = (slice(7, 31), slice(50, 84))
    torch.testing.assert_close(spread_out(means, window=part, size=(60, 84)), expected[:, :, *part])


@pytest.mark.slow
@pytest.mark.parametrize("factor", [2, 4])
def test_a_photograph_of_more_pixels_has_the_same_highlights(factor: int) -> None:
    """More than a third of it is clipped in all channels; within a tenth of a stop but at its edge."""
    torch.manual_seed(0)
    net = Highlights(widths=(4, 6, 8), code_size=8).eval()
    torch.nn.init.normal_(net.net.head.weight, std=0.05)
    ldrs = [shoot(lamp(512 * times, 768 * times, stops=2.5, share=0.35)) for times in (1, factor)]
    clipped = (ldrs[0] >= 250 / 255).all(dim=1, keepdim=True)
    assert 0.33 < clipped.float().mean() < 0.5
    with torch.no_grad():
        few, many = (net(ldr, linearized(ldr)).log2() for ldr in ldrs)
    # in the dark, the 8 bits of the two photographs differ by more
    difference = (torch.nn.functional.avg_pool2d(many, factor) - few).abs() * (few > -3)
    near = [torch.nn.functional.max_pool2d(side.float(), 17, 1, 8).bool() for side in (clipped, ~clipped)]
    edge = near[0] & near[1]
    assert edge.float().mean() < 0.08
    assert difference[~edge.expand_as(difference)].max() < 0.1
    assert (difference > 0.1).float().mean() < 0.01
    assert few.max() > 0.8


@pytest.mark.slow
def test_no_step_along_the_edge_of_a_smooth_lamp() -> None:
    """At the width of 24 megapixels, by a stop over white: neighbours differ by less than .15 stops."""
    exposure = lamp(900, 6000)
    ldr = shoot(exposure)
    net = Highlights().eval()
    net.net = Even(1.0)
    with torch.no_grad():
        stops = net(ldr, linearized(ldr)).log2()
    assert stops.max() == pytest.approx(1.0, abs=1e-4)
    near = (exposure > 2**-0.2).expand_as(stops)
    rows, columns = stops.diff(dim=2).abs(), stops.diff(dim=3).abs()
    assert rows[near[:, :, 1:] & near[:, :, :-1]].max() < 0.15
    assert columns[near[..., 1:] & near[..., :-1]].max() < 0.15


@pytest.mark.parametrize("side", [2, 3, 8])
def test_a_lamp_of_few_pixels_shines_in_full(side: int) -> None:
    """At 768 pixels of width, in the middle of a dark room."""
    ldr = torch.full((1, 3, 512, 768), 40 / 255)
    ldr[:, :, 200 : 200 + side, 300 : 300 + side] = 1.0
    net = Highlights().eval()
    net.net = Even(3.0)
    with torch.no_grad():
        stops = net(ldr, linearized(ldr)).log2()
    torch.testing.assert_close(
        stops[:, :, 200 : 200 + side, 300 : 300 + side], torch.full((1, 3, side, side), 3.0), atol=0.05, rtol=0
    )


def test_a_response_may_have_its_white_elsewhere() -> None:
    """The network sees stops over level 250; where the response has its 1 above that, the answer keeps its unit."""
    ldr = smooth_picture(40, 60)
    at_level_250 = small_net()(ldr, linearized(ldr))
    above = small_net(clipped_level_stops=-0.25)(ldr, linearized(ldr) * 2**-0.25)
    torch.testing.assert_close(above, at_level_250 * 2**-0.25, atol=1e-5, rtol=1e-3)


def test_an_answer_of_no_gain_is_the_offset() -> None:
    """Here 1.5 stops over white where all channels clip, and half a stop where one does, whatever the network says."""
    ldr = torch.full((1, 3, 96, 128), 40 / 255)
    ldr[:, :, 20:60, 20:60] = 1.0
    ldr[:, 0, 20:60, 80:120] = 1.0
    net = small_net(gain=(0.0, 0.0), offset_stops=(1.5, 0.5))
    with torch.no_grad():
        median = net.distribution(ldr, linearized(ldr)).quantile(0.5)
    torch.testing.assert_close(median[:, :, 25:55, 25:55], torch.full((1, 3, 30, 30), 1.5), atol=0.01, rtol=0)
    torch.testing.assert_close(median[:, 0, 25:55, 85:115], torch.full((1, 30, 30), 0.5), atol=0.01, rtol=0)


@pytest.mark.parametrize(("over", "counted"), [(2.0, 2.0), (-3.0, -3.0), (20.0, 6.0)])
def test_a_photograph_of_a_dim_room_has_brighter_lamps(over: float, counted: float) -> None:
    """By so much for each stop of exposure over the typical one, where all channels clip and where one does."""
    ldr = torch.full((1, 3, 96, 128), 40 / 255)
    ldr[:, :, 20:60, 20:60] = 1.0
    ldr[:, 0, 20:60, 80:120] = 1.0
    net = small_net(stops_per_ev=(0.2, 0.1), typical_ev=-7.0)
    with torch.no_grad():
        before, after = (
            one.distribution(ldr, linearized(ldr)).quantile(0.5)
            for one in (net, net.taken_at(5.0).taken_at(-7.0 + over))
        )
    added = after - before
    torch.testing.assert_close(added[:, :, 25:55, 25:55], torch.full((1, 3, 30, 30), 0.2 * counted), atol=0.01, rtol=0)
    torch.testing.assert_close(added[:, 0, 25:55, 85:115], torch.full((1, 30, 30), 0.1 * counted), atol=0.01, rtol=0)


def test_the_statistic_is_the_user_s() -> None:
    ldr = smooth_picture(40, 60)
    net = small_net()
    results = [net.reporting(asked)(ldr, ldr) for asked in (0.1, "median", 0.9)]
    assert bool((results[0] <= results[1]).all() & (results[1] <= results[2]).all())
    assert (net.reporting("mean")(ldr, ldr) > results[1]).any()
    assert net.statistic == "median"
    with pytest.raises(ValueError, match="expected median, mean, or a quantile between 0 and 1"):
        net.reporting(1.5)


def test_the_spread_is_calibrated_and_only_where_something_is_clipped() -> None:
    ldr = smooth_picture(40, 60)
    narrow, wide = small_net(), small_net(calibration=(2.0, 2.0))
    window = (slice(0, 40), slice(0, 60))
    of_narrow, of_wide = (net.spread(ldr, prepared=net._look(ldr, ldr), window=window) for net in (narrow, wide))
    torch.testing.assert_close(of_wide, 2 * of_narrow)
    assert bool((of_narrow[ldr * 255 > 254.5] > 0.05).all())
    assert bool((of_narrow[ldr * 255 < 246.5] == 0).all())


def test_a_loss_may_ask_for_the_distribution() -> None:
    ldr = smooth_picture(40, 60)
    net = small_net()
    answer = net(ldr, ldr)
    assert isinstance(answer, Answer)
    assert type(answer + 0) is Tensor
    torch.testing.assert_close(answer.find_excess().location, net.distribution(ldr, ldr).location)
    nats = answer.negative_log_likelihood(torch.full_like(ldr, 2.0), ceiling=512.0)
    gradient = torch.autograd.grad(nats, net.net.head.weight)[0]
    assert bool(gradient.isfinite().all())
    assert gradient.abs().max() > 0
    assert HighlightLikelihood(weight=0.5)(answer, ldr) == LogL1()(answer, ldr) + 0.5 * nats_of(answer, ldr)
    assert HighlightLikelihood()(answer + 0, ldr) == LogL1()(answer, ldr)


def nats_of(answer: Answer, target: Tensor) -> Tensor:
    return answer.negative_log_likelihood(target, ceiling=2.0**9)


def test_second_derivatives_agree_with_finite_differences() -> None:
    net = small_net().double()
    ldr = smooth_picture(24, 32).double()
    find_loss = lambda: (net(ldr, ldr) + 0.01).log().square().mean()  # noqa: E731
    exact, measured = along_a_direction(find_loss, net.net.stem.weight, torch.Generator().manual_seed(0))
    torch.testing.assert_close(exact, measured, atol=1e-7, rtol=1e-4)


def test_the_distribution_is_an_asymmetric_laplace() -> None:
    """Against its density and its mass, integrated by the trapezium rule."""
    excess = Excess(*(torch.tensor([value], dtype=torch.float64) for value in (0.7, 0.9, 0.3)))
    stops = torch.linspace(-15, 25, 400_001, dtype=torch.float64)
    none = torch.zeros_like(stops, dtype=torch.bool)
    density = torch.exp(-excess.negative_log_likelihood(stops, none))
    mass = torch.cumulative_trapezoid(density, stops)
    assert mass[-1].item() == pytest.approx(1, abs=1e-6)
    for share in (0.1, 0.5, 0.84):
        quantile = excess.quantile(share)
        assert quantile.item() == pytest.approx(stops[int((mass < share).sum())].item(), abs=1e-3)
        above = torch.exp(-excess.negative_log_likelihood(quantile, torch.tensor([True])))
        assert above.item() == pytest.approx(1 - share, abs=1e-9)
    assert excess.spread().item() == pytest.approx((excess.quantile(0.84) - excess.quantile(0.16)).item() / 2)


def test_a_look_does_not_depend_on_the_strips() -> None:
    net, ldr = small_net(), smooth_picture(90, 70)
    whole = net._look(ldr, ldr)
    strips = [Strip(ldr[:, :, top : top + 37], ldr[:, :, top : top + 37]) for top in range(0, 90, 37)]
    parts = net.prepare(strips, (90, 70))
    torch.testing.assert_close(parts.guide, whole.guide)
    torch.testing.assert_close(parts.pair.full.location, whole.pair.full.location, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("settings", "key"),
    [
        ({"work_px": 8}, "work_px"),
        ({"calibration": (1.0, 0.0)}, "calibration"),
        ({"gain": (1.0, -0.1)}, "gain"),
        ({"offset_stops": (1.0,)}, "offset_stops"),
        ({"stops_per_ev": (0.1,)}, "stops_per_ev"),
        ({"typical_ev": float("nan")}, "typical_ev"),
        ({"widths": (4,)}, "widths"),
    ],
)
def test_bad_arguments_name_their_key(settings: dict[str, object], key: str) -> None:
    with pytest.raises(ValueError, match=rf"backbone\.{key}"):
        Highlights(**settings)


@pytest.mark.parametrize("response", ["ridge", "local"])
@pytest.mark.parametrize("algo", ["maml", "fomaml", "reptile"])
def test_every_learner_trains_it(algo: str, response: str) -> None:
    words = [f"algo={algo}", f"response={response}", "backbone=highlights", "loss=highlights", "algo.inner.steps=1"]
    with initialize_config_dir(CONF_DIR, version_base="1.3"):
        learner = build_learner(compose("train", overrides=[*words, "backbone.widths=[4,6]", "backbone.work_px=32"]))
    ldr = torch.cat([smooth_picture(32, 48, seed=seed) for seed in range(2)])[None]
    shots = Shots(ldr, 2 * linearized(ldr))
    step = learner.outer_step(TaskBatch(shots, shots, (("a", "b"),), ("camera",)))
    assert step.num_counted == 1
    assert sum(part.abs().sum() for part in step.gradient_sum) > 0
