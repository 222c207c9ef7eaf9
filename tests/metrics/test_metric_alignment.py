"""What an alignment forgives, and what it does not."""

import pytest
import torch

from ldr2hdr.metrics.alignment import ALIGNMENTS, align, find_gain
from ldr2hdr.metrics.functional import Display, pu21_psnr

DISPLAY = Display()


@pytest.fixture
def pair(generator):
    """A reconstruction and its truth, in sensor exposure."""
    grey = torch.rand(2, 1, 24, 20, generator=generator).mul(6).exp2() / 30
    target = grey * (0.9 + 0.2 * torch.rand(2, 3, 24, 20, generator=generator))
    return target.clamp_max(1.2) ** 0.8, target


@pytest.fixture
def everything():
    return torch.ones(2, 24, 20, dtype=torch.bool)


def test_gain_is_the_least_squares_one(pair):
    pred, target = (picture.double() for picture in pair)
    mask = target.amax(dim=1) < 0.8
    for index, gain in enumerate(find_gain(pred, target, mask)):
        counted = [picture[index].movedim(0, -1)[mask[index]].reshape(-1, 1) for picture in (pred, target)]
        torch.testing.assert_close(gain, torch.linalg.lstsq(*counted).solution.squeeze())


def test_gain_of_what_says_nothing_is_one(pair, everything):
    pred, target = pair
    assert find_gain(pred, target, ~everything).tolist() == [1, 1]
    assert find_gain(torch.zeros_like(pred), target, everything).tolist() == [1, 1]
    assert find_gain(target * 1e25, target, everything).tolist() == pytest.approx([1e-25, 1e-25])


@pytest.mark.parametrize("alignment", ALIGNMENTS)
def test_shown_light_is_in_the_range_of_the_display(pair, everything, alignment):
    aligned = align(*pair, recorded=everything, alignment=alignment, display=DISPLAY)
    for picture in aligned.shown:
        assert picture.min() >= 0.005
        assert picture.max() <= DISPLAY.peak_cd_m2
    torch.testing.assert_close(aligned.shown.target, DISPLAY.present(*pair).target)
    # the exposure is what is shown, in its own unit, but for what the display clips
    scale = DISPLAY.scale(pair[1]).view(2, 1, 1, 1)
    for exposure, shown in zip(aligned.exposure, aligned.shown, strict=True):
        torch.testing.assert_close((exposure * scale).clamp(0.005, DISPLAY.peak_cd_m2), shown)


def test_none_forgives_nothing_and_gain_a_factor(pair, everything):
    _, target = pair
    plain, gained = (
        align(3 * target, target, recorded=everything, alignment=alignment, display=DISPLAY)
        for alignment in ("none", "gain")
    )
    torch.testing.assert_close(plain.exposure, (3 * target, target))
    torch.testing.assert_close(gained.exposure, (target, target))


def test_only_the_response_correction_forgives_a_tone_curve(pair, everything):
    _, target = pair
    scores = [
        pu21_psnr(*align(target**0.8, target, recorded=everything, alignment=alignment, display=DISPLAY).shown)
        for alignment in ("gain", "crf")
    ]
    assert (scores[1] > scores[0] + 10).all()
    monotone = align(target**0.8, target, recorded=everything, alignment="crf", display=DISPLAY).is_monotone
    assert monotone.all()


def test_bad_pictures_are_refused(pair, everything):
    pred, target = pair
    with pytest.raises(ValueError, match="pred must be finite and non-negative"):
        align(-pred, target, recorded=everything, alignment="crf", display=DISPLAY)
