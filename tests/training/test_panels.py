"""The small picture of a task: each tile shows what its heading says, all by one tone map and one scale of errors."""

import numpy as np
import pytest
import torch

from ldr2hdr.radiometry import luminance
from ldr2hdr.tasks import Shots
from ldr2hdr.training.panels import MAX_ERROR_STOPS, GlobalToneMap, colour_errors, compose_panel, encode_srgb

pytestmark = pytest.mark.slow

# middles of the six tiles, below the headings
COLUMNS = [4 + 196 * column + 96 for column in range(6)]
ROW = 22 + 96


def grey(value: float) -> torch.Tensor:
    return torch.full((3, 8, 8), value)


def compose(query: Shots, **reconstructions: torch.Tensor) -> np.ndarray:
    return compose_panel(query, reconstructions=reconstructions, title="a title")


def test_the_tiles_are_photo_reconstructions_truth_and_errors() -> None:
    # a flat truth has its own key: it is shown as middle grey, whatever its light is
    picture = compose(Shots(grey(0.4)[None], grey(2.0)[None]), single=grey(1.0), adapted=grey(2.0))
    photo, single, adapted, truth, error_single, error_adapted = (picture[ROW, x].astype(int) for x in COLUMNS)
    assert photo.tolist() == [102] * 3
    # key 2 + 1/255: 0.18 scaled by 2/(2 + 1/255), compressed by 1 + L with white 1
    light = 0.18 * 2 / (2 + 1 / 255)
    assert truth.tolist() == [round(encode_srgb(torch.tensor(light)).item() * 255)] * 3
    assert adapted.tolist() == truth.tolist()
    assert single.tolist() == [round(encode_srgb(torch.tensor(light / 2)).item() * 255)] * 3
    assert error_adapted.tolist() == colour_errors(torch.zeros(1, 1))[0, 0].tolist()
    assert error_single.tolist() == colour_errors(torch.ones(1, 1))[0, 0].tolist()


def test_the_tone_map_is_that_of_reinhard_2002(generator: torch.Generator) -> None:
    truth = torch.rand(3, 6, 5, generator=generator) ** 6 * 50
    show = GlobalToneMap.of(truth)
    light = luminance(truth).double()
    scaled = 0.18 * light / torch.exp(torch.log(light + 1 / 255).mean())
    display = scaled * (1 + scaled / scaled.max() ** 2) / (1 + scaled)  # eq. 4
    torch.testing.assert_close(show(truth), encode_srgb(truth * (display / light).float()), atol=1e-5, rtol=0)
    assert display.max().item() == pytest.approx(1.0)


def test_the_tone_map_keeps_black_and_the_order_of_lights() -> None:
    show = GlobalToneMap.of(torch.linspace(0, 40, 64).view(1, 8, 8).expand(3, 8, 8))
    ramp = show(torch.linspace(0, 80, 64).view(1, 8, 8).expand(3, 8, 8)).flatten(1)[0]
    assert ramp[0] == 0
    assert ramp.max() <= 1
    assert bool((ramp.diff() >= 0).all())


def test_errors_are_coloured_from_black_to_the_end_of_the_scale() -> None:
    stops = torch.tensor([[0.0, 1.0, 2.0, MAX_ERROR_STOPS, 9.0]])
    brightness = colour_errors(stops)[0].astype(int).sum(axis=1)
    assert brightness[0] < 10
    assert (np.diff(brightness)[:3] > 0).all()
    assert brightness[3] == brightness[4]


@pytest.mark.parametrize(("height", "width", "tile_height"), [(8, 8, 192), (6, 16, 72), (400, 300, 256), (1, 400, 1)])
def test_pictures_of_any_size_fit(height: int, width: int, tile_height: int) -> None:
    shots = Shots(torch.zeros(1, 3, height, width), torch.zeros(1, 3, height, width))
    picture = compose(shots, single=shots.exposure[0], adapted=shots.exposure[0])
    assert picture.shape == (22 + tile_height + 20, 4 + 6 * 196 + 48, 3)
    assert picture.dtype == np.uint8


def test_a_panel_shows_one_photograph() -> None:
    two = torch.zeros(2, 3, 8, 8)
    with pytest.raises(ValueError, match="one photograph, got 2"):
        compose(Shots(two, two))
