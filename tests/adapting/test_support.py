"""Brackets that cannot teach, each with its reason; and that alignment finds what shows one scene."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from adapting.photographs import write_bracket
from ldr2hdr.adapting.brackets import Bracket, RefusedBracket, read_bracket
from ldr2hdr.adapting.support import align_bracket, cut_alike, label_bracket
from ldr2hdr.data.camera import Camera


@pytest.fixture
def good(bracket: Path) -> Bracket:
    return read_bracket(bracket)


def test_a_bracket_is_labelled_with_its_merge(good: Bracket) -> None:
    shots = label_bracket(align_bracket(good))
    assert len(shots) == 3
    ratio = (shots.exposure[2] / shots.exposure[1]).log2()
    torch.testing.assert_close(ratio, torch.full_like(ratio, 2.0), atol=1e-4, rtol=0)


def test_a_shift_is_undone_and_the_border_cut(good: Bracket) -> None:
    moved = good.ldr.clone()
    moved[0] = moved[0].roll((3, -5), dims=(1, 2))
    aligned = align_bracket(replace(good, ldr=moved))
    assert aligned.ldr.shape == (3, 3, 125, 123)
    torch.testing.assert_close(aligned.ldr[0], good.ldr[0, :, :125, 5:])
    torch.testing.assert_close(aligned.ldr[1], good.ldr[1, :, :125, 5:])


def test_brackets_are_cut_to_one_size(good: Bracket) -> None:
    narrow, flat = replace(good, ldr=good.ldr[..., 4:]), replace(good, ldr=good.ldr[..., :100, :])
    cut = cut_alike([narrow, flat])
    assert {tuple(bracket.ldr.shape) for bracket in cut} == {(3, 3, 100, 124)}
    assert torch.equal(cut[0].ldr, good.ldr[..., 14:114, 4:])
    assert torch.equal(cut[1].ldr, good.ldr[..., :100, 2:126])


@pytest.mark.parametrize("level", [0.0, 1.0])
def test_clipped_everywhere(good: Bracket, level: float) -> None:
    with pytest.raises(
        RefusedBracket, match=r"black or white nearly everywhere: at most 0\.0% .*1% are needed.*bracket"
    ):
        align_bracket(replace(good, ldr=torch.full_like(good.ldr, level)))


def test_no_overlap(good: Bracket) -> None:
    white = good.ldr.clone()
    white[2] = 1.0
    with pytest.raises(RefusedBracket, match=r"1.jpg and 2.jpg do not overlap: 0.0% of the pixels"):
        align_bracket(replace(good, ldr=white))


def test_too_few_shared_pixels_to_check_times() -> None:
    """No channel of the one is told where the other's is, but 1 % of all pixels are in both."""
    ldr = torch.full((2, 3, 64, 64), 0.5)
    paths = (Path("a.jpg"), Path("b.jpg"))
    tiny = Bracket(Path("b"), paths, ldr[..., :4, :3], torch.tensor([0.0, 1.0]), "exif", None, (4, 3))
    with pytest.raises(RefusedBracket, match="do not overlap enough to check their times: b"):
        align_bracket(tiny)


@pytest.mark.parametrize(
    "evs",
    [
        [-2.0, 1.0, 2.0],  # the middle one wrong by a stop
        [-2.0, -1.2, 2.0],
        [-20.0, 0.0, 20.0],  # a factor that no contrast explains
        [-0.5, 0.0, 0.5],
    ],
)
def test_wrong_times(good: Bracket, evs: list[float]) -> None:
    with pytest.raises(
        RefusedBracket, match=r"wrong exposure times: .*the pixels show about \+\d.\d, \+\d.\d; correct"
    ):
        align_bracket(replace(good, evs=torch.tensor(evs)))


def test_exchanged_times(bracket: Path) -> None:
    with pytest.raises(
        RefusedBracket, match=r"brighter .* by \+2.0, \+2.0 stops, and the pixels show about -\d.\d, \+"
    ):
        align_bracket(read_bracket(bracket, evs=[0.0, -2.0, 2.0]))


@pytest.mark.xfail(
    strict=True, reason="motion in a third of one exposure is not told from local tone mapping and noise"
)
def test_motion(tmp_path: Path, scenes: dict[str, Tensor], camera: Camera, good: Bracket) -> None:
    """A third of the picture shows something else in one exposure."""
    turned = scenes["blender_city"].clone()
    turned[..., :44] = turned[..., :44].flip(1)
    other = read_bracket(write_bracket(tmp_path / "other", turned, camera))
    ldr = torch.stack([good.ldr[0], good.ldr[1], other.ldr[2]])
    with pytest.raises(RefusedBracket, match=r"do not show one still scene: .*the scene moved.*bracket"):
        align_bracket(replace(good, ldr=ldr))


def test_exposures_that_disagree_are_not_merged(good: Bracket) -> None:
    noise = torch.rand(good.ldr.shape, generator=torch.Generator().manual_seed(0))
    with pytest.raises(RefusedBracket, match=r"cannot be merged: .*disagree about it by .*bracket"):
        label_bracket(replace(good, ldr=noise))
