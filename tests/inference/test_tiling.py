"""Tiles make the picture that the network makes of the whole, and a network that cannot be tiled is refused."""

from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor, nn

from ldr2hdr.backbones.expandnet import ExpandNet
from ldr2hdr.backbones.hdrcnn import HDRCNN
from ldr2hdr.backbones.hdrunet import HDRUNet
from ldr2hdr.backbones.resnet import ResNet
from ldr2hdr.backbones.unet import UNet
from ldr2hdr.inference.tiling import Locality, Read, cut, measure_locality, reconstruct_bands
from ldr2hdr.response.local import LocalRidgeResponse
from ldr2hdr.response.reconstructor import Reconstructor
from ldr2hdr.response.ridge import InverseGammaResponse, RidgeResponse
from ldr2hdr.tasks import Shots

BACKBONES: dict[str, Callable[[], nn.Module]] = {
    "unet": lambda: UNet((3, 4, 5)),
    "unet without norm": lambda: UNet((3, 4, 5), norm="none"),
    "resnet": lambda: ResNet(3, 2),
    "hdrcnn": lambda: HDRCNN(width=1 / 64),
    "hdrunet": lambda: HDRUNet(width=3),
}
RESPONSES: dict[str, Callable[[], nn.Module]] = {
    "none": InverseGammaResponse,
    "ridge": RidgeResponse,
    "local": LocalRidgeResponse,
}
every_backbone = pytest.mark.parametrize("backbone", BACKBONES)


def shaken(module: nn.Module, generator: torch.Generator) -> nn.Module:
    """The module in double precision, past its first step: fresh networks ignore their features."""
    module = module.double()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator, dtype=torch.float64))
    return module


def reader(picture: Tensor) -> Read:
    return lambda rows, columns: picture[:, rows, columns].clone()


def draw_sizes(generator: torch.Generator, *, most: int, count: int) -> Iterator[tuple[int, int]]:
    for _ in range(count):
        height, width = torch.randint(1, most, (2,), generator=generator).tolist()
        yield height, width


@pytest.mark.parametrize(
    ("backbone", "response"), [(name, "local") for name in BACKBONES] + [("unet", "none"), ("unet", "ridge")]
)
def test_tiles_make_the_whole_picture(backbone: str, response: str, generator: torch.Generator) -> None:
    model = Reconstructor(RESPONSES[response](), BACKBONES[backbone]())
    model = shaken(model, generator)
    halo = measure_locality(model.backbone).halo
    support = torch.rand(2, 3, 20, 30, generator=generator, dtype=torch.float64)
    statistics = model.sufficient_statistics(Shots(support, 1.2 * support**1.7))
    for height, width in [(1, 1), (3, 2 * halo + 101), *draw_sizes(generator, most=2 * halo + 120, count=2)]:
        ldr = torch.rand(3, height, width, generator=generator, dtype=torch.float64).mul(1.1).clamp(max=1)
        bands = list(reconstruct_bands(model, reader(ldr), size=(height, width), statistics=statistics, tile_px=80))
        with torch.no_grad():
            expected = model(ldr[None], statistics)[0]
        torch.testing.assert_close(torch.cat(bands, dim=1), expected, atol=1e-9, rtol=1e-9)


def test_single_precision_agrees_to_1e_5(generator: torch.Generator) -> None:
    model = Reconstructor(LocalRidgeResponse(), UNet())
    model = shaken(model, generator).float()
    ldr = torch.rand(3, 150, 401, generator=generator)
    bands = torch.cat(list(reconstruct_bands(model, reader(ldr), size=(150, 401), tile_px=128)), dim=1)
    with torch.no_grad():
        torch.testing.assert_close(bands, model(ldr[None])[0], atol=1e-5, rtol=1e-5)


class Convolutions(nn.Module):
    """Convolutions of both inputs; ``multiple`` says that nothing is down-sampled."""

    multiple = 1

    def __init__(self, kernels: list[tuple[int, int]]) -> None:
        super().__init__()
        self.layers = nn.Sequential(*(nn.Conv2d(3, 3, kernel, padding="same") for kernel in kernels))

    def forward(self, ldr: Tensor, linear: Tensor) -> Tensor:
        return self.layers(ldr + linear)


@pytest.mark.parametrize(
    ("kernels", "reach"),
    [([(1, 1)], 0), ([(3, 3)] * 5, 5), ([(7, 1), (5, 3)], 5), ([(1, 9)], 4), ([(3, 3)] * 100, 100)],
)
def test_the_halo_of_convolutions_is_the_sum_of_their_radii(kernels: list[tuple[int, int]], reach: int) -> None:
    backbone = Convolutions(kernels)
    for parameter in backbone.parameters():
        nn.init.zeros_(parameter)  # what a fresh layer ignores, a trained one may look at
    assert measure_locality(backbone) == Locality(multiple=1, halo=reach)


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_the_halo_of_a_unet_is_what_its_layers_add_up_to(depth: int) -> None:
    reach = 2
    for _ in range(depth):
        reach = -(-reach // 2) + 2  # pooled, rounded up to whole cells, and two convolutions
    for _ in range(depth):
        reach = 2 * reach + 2
    backbone = UNet((2, 3, 4, 5)[: depth + 1])
    multiple = getattr(backbone, "multiple", 64)
    assert measure_locality(backbone) == Locality(multiple, -(-reach // multiple) * multiple)


@every_backbone
def test_no_gradient_comes_from_beyond_the_halo(backbone: str, generator: torch.Generator) -> None:
    net = shaken(BACKBONES[backbone](), generator)
    multiple, halo = measure_locality(net)
    ldr = torch.rand(1, 3, 2 * halo + 5 * multiple, multiple, generator=generator, dtype=torch.float64)
    ldr.requires_grad_()
    tile = slice(halo + 2 * multiple, halo + 3 * multiple)
    net(ldr, ldr.square())[:, :, tile].sum().backward()
    rows = ldr.grad.abs().sum(dim=(0, 1, 3)).nonzero()[:, 0]
    assert rows.min() >= tile.start - halo
    assert rows.max() < tile.stop + halo


@pytest.mark.parametrize("make", [lambda: UNet((3, 4), norm="group"), lambda: ResNet(8, 1, norm="group"), ExpandNet])
def test_a_network_of_the_whole_picture_is_refused(make: Callable[[], nn.Module]) -> None:
    backbone = make()
    with pytest.raises(ValueError, match=rf"{type(backbone).__name__} cannot work on tiles.*norm=group"):
        measure_locality(backbone)


@pytest.mark.parametrize("length", [1, 7, 8, 9, 100, 255, 256, 257])
@pytest.mark.parametrize("tile_px", [1, 8, 20, 1000])
def test_spans_cover_a_side_once_and_begin_at_multiples(length: int, tile_px: int) -> None:
    spans = cut(length, Locality(multiple=8, halo=16), tile_px=tile_px)
    assert [pixel for span in spans for pixel in range(length)[span.given]] == list(range(length))
    for span in spans:
        assert span.seen.start % 8 == 0
        assert range(length)[span.seen][span.crop()] == range(length)[span.given]
        assert span.given.stop - span.given.start <= -(-tile_px // 8) * 8
        assert span.seen.start == max(0, span.given.start - 16)
        assert span.seen.stop == min(length, span.given.stop + 16)


def test_a_pointwise_response_stage_reads_each_tile_once_and_the_caller_s_mode_is_kept() -> None:
    windows = []

    def read(rows: slice, columns: slice) -> Tensor:
        windows.append((rows, columns))
        return torch.zeros(3, rows.stop - rows.start, columns.stop - columns.start)

    model = Reconstructor(InverseGammaResponse(), Convolutions([(3, 3)]))
    bands = reconstruct_bands(model, read, size=(10, 20), tile_px=8)
    assert windows == []
    assert next(bands).shape == (3, 5, 20)
    assert not torch.is_inference_mode_enabled()
    assert windows == [(slice(0, 6), slice(0, 8)), (slice(0, 6), slice(6, 15)), (slice(0, 6), slice(13, 20))]


def test_the_side_of_a_tile_is_positive() -> None:
    model = Reconstructor(InverseGammaResponse(), Convolutions([(1, 1)]))
    with pytest.raises(ValueError, match="tile_px must be positive, got 0"):
        next(reconstruct_bands(model, reader(torch.zeros(3, 2, 2)), size=(2, 2), tile_px=0))
