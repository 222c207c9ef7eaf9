"""Tiles make the picture that the network makes of the whole."""

from collections.abc import Callable, Iterable, Iterator

import pytest
import torch
from plain import plain
from torch import Tensor, nn

from ldr2hdr.backbones.base import AbstractBackbone, AbstractConvolutionalBackbone, Strip
from ldr2hdr.backbones.hdrcnn import HDRCNN
from ldr2hdr.backbones.hdrunet import HDRUNet
from ldr2hdr.backbones.locality import Locality
from ldr2hdr.backbones.resnet import ResNet
from ldr2hdr.backbones.unet import UNet
from ldr2hdr.inference.tiling import Read, cut, reconstruct_bands
from ldr2hdr.reconstructor import Reconstructor
from ldr2hdr.response.local import LocalRidgeResponse
from ldr2hdr.response.ridge import InverseGammaResponse, RidgeResponse
from ldr2hdr.tasks import Shots, Window

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
    halo = model.backbone.locality().halo
    support = torch.rand(2, 3, 20, 30, generator=generator, dtype=torch.float64)
    statistics = model.sufficient_statistics(Shots(support, 1.2 * support**1.7))
    network = model.bind(statistics)
    for height, width in [(1, 1), (3, 2 * halo + 101), *draw_sizes(generator, most=2 * halo + 120, count=2)]:
        ldr = torch.rand(3, height, width, generator=generator, dtype=torch.float64).mul(1.1).clamp(max=1)
        bands = list(reconstruct_bands(network, reader(ldr), size=(height, width), tile_px=80))
        with torch.no_grad():
            expected = model(ldr[None], statistics)[0]
        torch.testing.assert_close(torch.cat(bands, dim=1), expected, atol=1e-9, rtol=1e-9)


def test_single_precision_agrees_to_1e_5(generator: torch.Generator) -> None:
    model = Reconstructor(LocalRidgeResponse(), UNet())
    model = shaken(model, generator).float()
    ldr = torch.rand(3, 150, 401, generator=generator)
    bands = torch.cat(list(reconstruct_bands(model.bind(), reader(ldr), size=(150, 401), tile_px=128)), dim=1)
    with torch.no_grad():
        torch.testing.assert_close(bands, model(ldr[None])[0], atol=1e-5, rtol=1e-5)


class Convolution(AbstractConvolutionalBackbone):
    """A convolution of both inputs."""

    multiple = 1

    def __init__(self, kernel: int) -> None:
        super().__init__()
        self.layer = nn.Conv2d(3, 3, kernel, padding="same")

    def forward(self, ldr: Tensor, linear: Tensor) -> Tensor:
        return self.layer(ldr + linear)


class Guided(AbstractBackbone[Tensor]):
    """A small result of the whole picture, which is then spread over it under the guidance of each pixel."""

    def locality(self) -> Locality:
        return Locality(multiple=1, halo=0)

    def forward(self, ldr: Tensor, linear: Tensor) -> Tensor:
        prepared = self.prepare([Strip(ldr, linear)], (ldr.shape[2], ldr.shape[3]))
        return self.reconstruct(ldr, linear, prepared=prepared, window=(slice(0, ldr.shape[2]), slice(0, ldr.shape[3])))

    def prepare(self, strips: Iterable[Strip], size: tuple[int, int]) -> Tensor:
        rows = [(strip.ldr * strip.linear).mean(dim=3, keepdim=True) for strip in strips]
        whole = torch.cat(rows, dim=2)
        assert whole.shape[2] == size[0]
        return whole.cumsum(dim=2).flip(2)

    def reconstruct(self, ldr: Tensor, linear: Tensor, *, prepared: Tensor, window: Window) -> Tensor:
        return linear + ldr * prepared[:, :, window[0]]


def test_a_backbone_may_see_the_whole_once_and_parts_without_a_halo(generator: torch.Generator) -> None:
    model = Reconstructor(LocalRidgeResponse(), Guided()).double()
    ldr = torch.rand(3, 70, 90, generator=generator, dtype=torch.float64)
    bands = list(reconstruct_bands(model.bind(), reader(ldr), size=(70, 90), tile_px=32))
    assert [band.shape[1] for band in bands] == [24, 24, 22]
    with torch.no_grad():
        torch.testing.assert_close(torch.cat(bands, dim=1), model(ldr[None])[0], atol=1e-12, rtol=1e-12)


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

    model = Reconstructor(InverseGammaResponse(), Convolution(3))
    bands = reconstruct_bands(model.bind(), read, size=(10, 20), tile_px=8)
    assert windows == []
    assert next(bands).shape == (3, 5, 20)
    assert not torch.is_inference_mode_enabled()
    assert windows == [(slice(0, 6), slice(0, 8)), (slice(0, 6), slice(6, 15)), (slice(0, 6), slice(13, 20))]


def test_the_side_of_a_tile_is_positive() -> None:
    model = Reconstructor(InverseGammaResponse(), Convolution(1))
    with pytest.raises(ValueError, match="tile_px must be positive, got 0"):
        next(reconstruct_bands(model.bind(), reader(torch.zeros(3, 2, 2)), size=(2, 2), tile_px=0))


def test_tiles_that_nobody_wants_are_nothing() -> None:
    picture = torch.rand(3, 20, 30)

    def is_wanted(rows: slice, columns: slice) -> bool:
        return rows.start == 0 and columns.start > 0

    bands = reconstruct_bands(
        plain(lambda ldr: ldr + 1), lambda *window: picture[:, *window], size=(20, 30), tile_px=16, is_wanted=is_wanted
    )
    expected = torch.zeros_like(picture)
    expected[:, :10, 15:] = picture[:, :10, 15:] + 1
    assert torch.equal(torch.cat(list(bands), dim=1), expected)
