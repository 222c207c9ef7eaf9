import pytest
import torch

from ldr2hdr.metrics.regions import find_regions


def picture(*pixels):
    """Pixels of three levels each, as one row."""
    return torch.tensor(pixels, dtype=torch.float32).T.reshape(3, 1, -1)


def test_thresholds_are_levels_of_any_channel():
    ldr = (
        picture([128, 128, 128], [128, 250, 128], [249, 249, 249], [6, 6, 6], [5, 128, 128], [0, 255, 9], [128, 128, 9])
        / 255
    )
    exposure = torch.full_like(ldr, 0.5)
    exposure[0, 0, -1] = 1.5  # clipped, and darkened by the camera afterwards
    regions = find_regions(ldr, exposure)
    assert regions.all.tolist() == [[True] * 7]
    assert regions.clipped.tolist() == [[False, True, False, False, False, True, False]]
    assert regions.dark.tolist() == [[False, False, False, False, True, False, False]]
    assert regions.well_exposed.tolist() == [[True, False, True, True, False, False, False]]


def test_regions_do_not_overlap_and_jpeg_ringing_stays_clipped():
    generator = torch.Generator().manual_seed(0)
    exposure = torch.rand(4, 3, 16, 16, generator=generator) * 2
    ringing = torch.randint(-5, 6, exposure.shape, generator=generator) / 255
    ldr = (exposure.clamp(0, 1) + ringing).clamp(0, 1)
    regions = find_regions(ldr, exposure)
    count = regions.well_exposed.int() + regions.clipped.int() + regions.dark.int()
    assert count.max() == 1
    assert regions.clipped[(exposure >= 1).any(dim=1)].all()


def test_levels_that_do_not_divide_are_refused():
    with pytest.raises(ValueError, match="0 <= dark_level < clipped_level <= 255, got 9 and 9"):
        find_regions(torch.zeros(3, 1, 1), torch.zeros(3, 1, 1), dark_level=9, clipped_level=9)
