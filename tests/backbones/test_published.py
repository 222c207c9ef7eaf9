"""Published networks: the laws of every backbone, and what each paper says of its own."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ldr2hdr.backbones.expandnet import ExpandNet, light_ratio
from ldr2hdr.backbones.hdrcnn import HDRCNN, highlight_mask
from ldr2hdr.backbones.hdrunet import HDRUNet
from ldr2hdr.backbones.metahdr import BatchStatisticsNorm, MetaHDRUNet

NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "hdrcnn": lambda: HDRCNN(1 / 16),
    "hdrcnn, pixel norm, response": lambda: HDRCNN(1 / 16, "pixel", "response"),
    "hdrcnn, group norm": lambda: HDRCNN(1 / 16, "group"),
    "expandnet": lambda: ExpandNet(8),
    "expandnet, relative": lambda: ExpandNet(8, "relative"),
    "hdrunet": lambda: HDRUNet(8, (1, 2, 1)),
    "hdrunet, response": lambda: HDRUNet(8, (1, 2, 1), "response"),
    "metahdr": lambda: MetaHDRUNet(4),
    "metahdr, clipped": lambda: MetaHDRUNet(4, "pixel", "clipped"),
    "metahdr, as published": lambda: MetaHDRUNet(4, "batch", "clipped"),
}
OF_ONE_PICTURE = [name for name in NETWORKS if name != "metahdr, as published"]
BOUNDED = ("expandnet, relative", "metahdr, clipped", "metahdr, as published")
every_network = pytest.mark.parametrize("name", NETWORKS)


def trained(name: str) -> nn.Module:
    """A network past its first steps: no weight is zero."""
    torch.manual_seed(0)
    net = NETWORKS[name]()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.02)
    return net


def last_bias(net: nn.Module) -> Tensor:
    head = {HDRCNN: "fuse_input", ExpandNet: "head.conv", HDRUNet: "out", MetaHDRUNet: "out"}[type(net)]
    return torch.as_tensor(net.get_submodule(head).bias)


def picture(generator: torch.Generator, *size: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """Every value from black to white, both included in some pixels."""
    return (torch.rand(*size, generator=generator, dtype=dtype) * 1.4 - 0.2).clamp(0, 1)


@every_network
@pytest.mark.parametrize(("height", "width"), [(32, 32), (17, 31), (1, 1), (5, 64)])
def test_any_size_goes_in_and_comes_out(name: str, height: int, width: int, generator: torch.Generator) -> None:
    ldr = picture(generator, 2, 3, height, width)
    exposure = trained(name)(ldr, ldr**2.2)
    assert exposure.shape == ldr.shape
    assert bool((exposure >= 0).all())
    assert bool(exposure.isfinite().all())


@pytest.mark.parametrize("name", OF_ONE_PICTURE)
def test_a_picture_does_not_depend_on_its_batch(name: str, generator: torch.Generator) -> None:
    net = trained(name)
    ldr = picture(generator, 3, 3, 32, 32)
    torch.testing.assert_close(net(ldr, ldr)[1:2], net(ldr[1:2], ldr[1:2]), atol=1e-6, rtol=1e-4)


@every_network
def test_nothing_is_kept_from_picture_to_picture(name: str) -> None:
    assert not list(NETWORKS[name]().buffers()), "running statistics would leak from task to task"


@pytest.mark.parametrize("name", [name for name in NETWORKS if name not in BOUNDED])
def test_the_output_is_not_bounded_by_white(name: str) -> None:
    net = trained(name)
    nn.init.constant_(last_bias(net), 8.0)
    white = torch.ones(1, 3, 16, 16)
    assert net(white, white).max() > 50


@every_network
@pytest.mark.parametrize("value", [0.0, 1.0])
def test_black_and_white_pictures_have_finite_gradients(name: str, value: float) -> None:
    net = trained(name)
    ldr = torch.full((1, 3, 16, 16), value)
    linear = ldr.clone().requires_grad_()
    net(ldr, linear).add(1e-3).log().mean().backward()
    gradients = [p.grad for p in [*net.parameters(), linear] if p.grad is not None]
    assert gradients
    assert all(bool(gradient.isfinite().all()) for gradient in gradients)


@every_network
def test_second_derivatives_agree_with_finite_differences(name: str, generator: torch.Generator) -> None:
    net = trained(name).double()
    ldr = picture(generator, 1, 3, 9, 8, dtype=torch.float64)
    parameters = list(net.parameters())

    def gradient() -> list[Tensor]:
        loss = (net(ldr, ldr.square()) + 0.1).log().square().mean()
        found = torch.autograd.grad(loss, parameters, create_graph=True, allow_unused=True)
        return [torch.zeros_like(p) if g is None else g for p, g in zip(parameters, found, strict=True)]

    direction = [torch.randn(p.shape, generator=generator, dtype=torch.float64) for p in parameters]
    slope = sum((g * d).sum() for g, d in zip(gradient(), direction, strict=True))
    exact = torch.autograd.grad(slope, parameters, allow_unused=True)
    # short, so that no ReLU of these networks switches on the way
    step = 1e-7
    shifted = []
    for sign in (1, -2):
        with torch.no_grad():
            torch._foreach_add_(parameters, direction, alpha=sign * step)
        shifted.append([g.detach() for g in gradient()])
    measured = [(ahead - behind) / (2 * step) for ahead, behind in zip(*shifted, strict=True)]
    scale = max(float(m.abs().max()) for m in measured)
    assert scale > 0
    for computed, expected in zip(exact, measured, strict=True):
        found = torch.zeros_like(expected) if computed is None else computed
        torch.testing.assert_close(found, expected, atol=1e-7 * scale, rtol=0)


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        # VGG16 up to its last pooling has 14,714,688; the rest is the sum over the kernels of the paper's decoder. The
        # published network has 3,974 gains and biases of batch norm besides, which are folded here.
        (HDRCNN, 14_714_688 + 14_724_696),
        # the numbers in the released file of weights
        (ExpandNet, 456_899),
        # as its authors count
        (HDRUNet, 1_651_494),
        # gains and biases of batch norm included
        (lambda: MetaHDRUNet(norm="batch", output="clipped"), 540_669),
    ],
    ids=["hdrcnn", "expandnet", "hdrunet", "metahdr"],
)
def test_the_full_size_has_as_many_parameters_as_published(make: Callable[[], nn.Module], expected: int) -> None:
    with torch.device("meta"):
        assert sum(parameter.numel() for parameter in make().parameters()) == expected


@pytest.mark.parametrize(
    ("make", "linearise"),
    [
        (lambda: ExpandNet(8), lambda ldr, linear: linear),
        (lambda: HDRUNet(8), lambda ldr, linear: ldr**2.24),
        (lambda: HDRUNet(8, linearisation="response"), lambda ldr, linear: linear),
        (lambda: MetaHDRUNet(4), lambda ldr, linear: linear),
    ],
    ids=["expandnet", "hdrunet", "hdrunet, response", "metahdr"],
)
def test_a_fresh_network_linearises(make, linearise, generator: torch.Generator) -> None:
    ldr = picture(generator, 1, 3, 16, 16)
    linear = 1.5 * ldr**2
    torch.testing.assert_close(make()(ldr, linear), linearise(ldr, linear), atol=5e-5, rtol=1e-5)


class TestHDRCNN:
    def test_what_is_not_clipped_is_squared(self, generator: torch.Generator) -> None:
        net = trained("hdrcnn")
        ldr = picture(generator, 2, 3, 32, 32)
        is_below = (ldr.amax(dim=1, keepdim=True) <= 0.95).expand_as(ldr)
        assert 0.1 < is_below.float().mean() < 0.9
        exposure = net(ldr, torch.full_like(ldr, 7.0))
        assert torch.equal(exposure[is_below], ldr[is_below] ** 2)
        assert not torch.isclose(exposure, ldr**2)[~is_below].all()

    def test_what_is_not_clipped_may_be_linearised_by_the_response_stage(self, generator: torch.Generator) -> None:
        net = trained("hdrcnn, pixel norm, response")
        ldr = picture(generator, 1, 3, 32, 32)
        linear = 0.7 * ldr**1.8
        is_below = (ldr.amax(dim=1, keepdim=True) <= 0.95).expand_as(ldr)
        assert torch.equal(net(ldr, linear)[is_below], linear[is_below])

    def test_the_mask_rises_from_0_95_to_white_with_the_brightest_channel(self) -> None:
        brightest = torch.tensor([0.3, 0.95, 0.96, 0.99, 1.0], dtype=torch.float64)
        ldr = torch.stack([0.5 * brightest, brightest, torch.zeros(5, dtype=torch.float64)]).view(1, 3, 1, 5)
        expected = torch.tensor([0, 0, 0.2, 0.8, 1], dtype=torch.float64)
        torch.testing.assert_close(highlight_mask(ldr).flatten(), expected)

    def test_the_fusion_of_skip_connections_starts_as_their_sum(self, generator: torch.Generator) -> None:
        net = HDRCNN(1 / 16)
        for fusion, channels in zip([*net.fuse, net.fuse_input], [32, 32, 16, 8, 4, 3], strict=True):
            decoder, skip = torch.randn(2, 1, channels, 5, 4, generator=generator)
            torch.testing.assert_close(fusion(torch.cat([decoder, skip], dim=1)), decoder + skip)

    def test_upsampling_starts_bilinear(self, generator: torch.Generator) -> None:
        features = torch.randn(1, 32, 6, 5, generator=generator)
        found = HDRCNN(1 / 16).up[2][0](features)
        expected = F.interpolate(features[:, :16], scale_factor=2.0, mode="bilinear", align_corners=False)
        torch.testing.assert_close(found[..., 1:-1, 1:-1], expected[..., 1:-1, 1:-1])

    def test_a_fresh_network_sees_half_a_nat_above_white(self) -> None:
        white = torch.ones(1, 3, 32, 32)
        expected = torch.full_like(white, (1 + 1 / 255) * torch.e**0.5 - 1 / 255)
        torch.testing.assert_close(HDRCNN(1 / 16)(white, white), expected)


class TestExpandNet:
    def test_the_relative_result_has_the_light_of_well_exposed_pixels(self, generator: torch.Generator) -> None:
        net = trained("expandnet, relative")
        ldr = picture(generator, 2, 3, 20, 20)
        exposure = net(ldr, 3 * ldr**2)
        weight = torch.minimum(ldr, 1 - ldr)
        light = [(weight * x).sum(dim=(1, 2, 3)) for x in (exposure, 3 * ldr**2)]
        torch.testing.assert_close(light[0], light[1], atol=0, rtol=1e-4)
        torch.testing.assert_close(exposure, 3 * net(ldr, ldr**2), atol=0, rtol=1e-4)

    def test_the_relative_result_is_that_of_the_stretched_picture(self, generator: torch.Generator) -> None:
        net = trained("expandnet, relative")
        ldr = picture(generator, 1, 3, 20, 20)
        linear = torch.ones_like(ldr)
        found = [net(x, linear) for x in (ldr, 0.1 + 0.5 * ldr)]
        torch.testing.assert_close(found[0] / found[0].mean(), found[1] / found[1].mean(), atol=1e-5, rtol=1e-4)

    @pytest.mark.parametrize("value", [0.0, 1.0])
    def test_a_picture_without_a_well_exposed_pixel_stays_relative(self, value: float) -> None:
        ldr = torch.full((1, 3, 4, 4), value)
        assert light_ratio(5 * ldr, torch.full_like(ldr, 0.5), ldr).item() == 1

    def test_every_pixel_depends_on_the_whole_picture(self, generator: torch.Generator) -> None:
        net = trained("expandnet")
        ldr = picture(generator, 1, 3, 64, 64)
        other = ldr.clone()
        other[..., :32, :32] = 1 - other[..., :32, :32]
        assert not torch.equal(net(ldr, ldr)[..., -1, -1], net(other, other)[..., -1, -1])


class TestMetaHDR:
    def test_the_published_output_never_passes_white(self) -> None:
        net = trained("metahdr, as published")
        nn.init.constant_(last_bias(net), 100.0)
        white = torch.ones(1, 3, 16, 16)
        assert net(white, 9 * white).max() == 1

    def test_batch_statistics_are_those_of_torch_without_memory(self, generator: torch.Generator) -> None:
        features = torch.randn(3, 5, 4, 6, generator=generator) * 3 + 1
        oracle = nn.BatchNorm2d(5, track_running_stats=False)
        torch.testing.assert_close(BatchStatisticsNorm(5)(features), oracle(features))

    def test_batch_statistics_of_one_value_are_the_bias(self) -> None:
        assert torch.equal(BatchStatisticsNorm(5)(torch.full((1, 5, 1, 1), 4.0)), torch.zeros(1, 5, 1, 1))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: HDRCNN(0.001), r"backbone\.width must leave at least one of 64 features, got 0.001"),
        (lambda: HDRCNN(linearisation="cubic"), r"backbone\.linearisation must be published or response, got 'cubic'"),
        (lambda: HDRCNN(1 / 16, "batch"), r"backbone\.norm"),
        (lambda: ExpandNet(0), r"backbone\.width must be positive, got 0"),
        (lambda: ExpandNet(8, "sigmoid"), r"backbone\.output must be exposure or relative, got 'sigmoid'"),
        (lambda: HDRUNet(1), r"backbone\.width must be at least 2, got 1"),
        (lambda: HDRUNet(8, (1, 2)), r"backbone\.num_blocks needs three positive numbers, got \[1, 2\]"),
        (lambda: HDRUNet(8, (1, 0, 1)), r"backbone\.num_blocks"),
        (lambda: HDRUNet(8, linearisation="log"), r"backbone\.linearisation must be published or response, got 'log'"),
        (lambda: MetaHDRUNet(0), r"backbone\.num_filters must be positive, got 0"),
        (lambda: MetaHDRUNet(output="hdr"), r"backbone\.output must be exposure or clipped, got 'hdr'"),
        (lambda: MetaHDRUNet(norm="running"), r"backbone\.norm"),
    ],
)
def test_bad_arguments_name_their_key(make: Callable[[], nn.Module], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
