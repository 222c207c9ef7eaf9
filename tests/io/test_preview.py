"""Previews: what a tone-mapped picture must be, whatever the light."""

import pytest
import torch
from PIL import Image

from ldr2hdr.io.preview import preview_path, tone_map, write_preview


@pytest.fixture
def light(generator):
    """Twenty stops of light, brighter to the right."""
    stops = torch.linspace(-12, 8, 96)[None, None].expand(3, 40, -1)
    return torch.exp2(stops + 0.05 * torch.randn(3, 40, 96, generator=generator))


def test_a_preview_shows_dark_and_bright(light):
    picture = tone_map(light)
    assert picture.shape == light.shape
    assert picture.min() >= 0
    assert picture.max() <= 1
    columns = picture.mean(dim=(0, 1))
    assert columns[80:].mean() > columns[40:60].mean() + 0.1
    assert columns[40:60].mean() > columns[20:30].mean()


def test_the_scale_of_the_light_is_no_matter(light):
    torch.testing.assert_close(tone_map(light * 1000), tone_map(light), atol=1e-4, rtol=0)


@pytest.mark.parametrize("level", [0.0, 3.0])
def test_an_even_picture_is_even(level):
    assert len(tone_map(torch.full((3, 8, 8), level)).unique()) == 1


def test_a_large_picture_is_shrunk_and_written(tmp_path, light):
    assert tone_map(light, longest_px=48).shape == (3, 20, 48)
    path = preview_path(tmp_path / "a.exr")
    write_preview(path, light)
    with Image.open(path) as picture:
        assert picture.size == (96, 40)
