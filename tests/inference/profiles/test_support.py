"""Brackets that cannot teach, each with its reason; and that alignment finds what shows one scene."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from ldr2hdr.data.cameras.camera import Camera
from ldr2hdr.data.scenes.sources import PanoramaSource
from ldr2hdr.data.tasks.labels import MergeLabels, RefusedSupport
from ldr2hdr.inference.profiles.brackets import Bracket, RefusedBracket, read_bracket
from ldr2hdr.inference.profiles.motion import fill_moved, find_motion
from ldr2hdr.inference.profiles.support import align_bracket, cut_alike, hold_out, label_bracket
from ldr2hdr.metrics.regions import find_regions
from ldr2hdr.radiometry import expose
from profiles.photographs import SIDE_PX, as_jpeg, draw_camera, write_bracket

pytestmark = pytest.mark.slow


@pytest.fixture
def good(bracket: Path) -> Bracket:
    return read_bracket(bracket)


def test_a_bracket_is_labelled_with_its_merge(good: Bracket) -> None:
    shots = label_bracket(align_bracket(good))
    assert len(shots) == 3
    ratio = (shots.exposure[2] / shots.exposure[1]).log2()
    torch.testing.assert_close(ratio, torch.full_like(ratio, 2.0), atol=1e-4, rtol=0)


@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_photograph_is_judged_by_others_that_never_saw_it(good: Bracket, number: int) -> None:
    kept = hold_out(good, number)
    spoilt = good.ldr.clone()
    spoilt[number] = 0.5
    again = hold_out(replace(good, ldr=spoilt), number)
    assert torch.equal(again.judged.exposure, kept.judged.exposure)
    assert torch.equal(again.support.exposure, kept.support.exposure)
    assert torch.equal(again.is_known, kept.is_known)
    assert torch.equal(kept.judged.ldr, good.ldr[number : number + 1])
    assert (len(kept.support), kept.name) == (2, f"{number}.jpg")


def test_what_the_others_tell_is_about_what_all_tell(good: Bracket) -> None:
    kept, together = hold_out(good, 0), label_bracket(good)
    is_told = kept.is_known & find_regions(kept.judged.ldr, kept.judged.exposure).well_exposed
    ratio = (kept.judged.exposure / together.exposure[:1]).log2()[is_told[:, None].expand(1, 3, -1, -1)]
    assert is_told.float().mean() > 0.3
    assert float((ratio - ratio.median()).abs().median()) < 0.1


def test_others_that_are_white_or_black_where_it_matters_tell_nothing(good: Bracket) -> None:
    told = (good.ldr[1:2] > 0.05) & (good.ldr[1:2] < 0.95)
    dark, bright = (good.ldr[number].where(~told[0], level) for number, level in ((0, 0.0), (2, 1.0)))
    with pytest.raises(RefusedBracket, match=r"(the others say too little of 1.jpg|cannot be merged)"):
        hold_out(replace(good, ldr=torch.stack([dark, good.ldr[1], bright])), 1)


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
    with pytest.raises(RefusedBracket, match=r"1.jpg and 2.jpg do not overlap: 0.00% of the pixels"):
        align_bracket(replace(good, ldr=white))


def test_too_few_shared_pixels_to_check_times() -> None:
    """No channel of the one is told where the other's is, but 1 % of all pixels are in both."""
    ldr = torch.full((2, 3, 64, 64), 0.5)
    paths = (Path("a.jpg"), Path("b.jpg"))
    tiny = Bracket(Path("b"), paths, ldr[..., :4, :3], torch.tensor([0.0, 1.0]), "exif", None, "", (4, 3))
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


def test_steps_too_small_to_check(good: Bracket) -> None:
    with pytest.raises(RefusedBracket, match=r"at least 0.3 stops apart, got steps of \+0.2, \+0.2"):
        align_bracket(replace(good, evs=torch.tensor([-0.2, 0.0, 0.2])))


def test_exchanged_times(bracket: Path) -> None:
    with pytest.raises(
        RefusedBracket, match=r"brighter .* by \+2.0, \+2.0 stops, and the pixels show about -\d.\d, \+"
    ):
        align_bracket(read_bracket(bracket, evs=[0.0, -2.0, 2.0]))


def test_motion(tmp_path: Path, scenes: dict[str, Tensor], camera: Camera, good: Bracket) -> None:
    """A third of the picture shows something else in one exposure."""
    turned = scenes["blender_city"].clone()
    turned[..., :44] = turned[..., :44].flip(1)
    other = read_bracket(write_bracket(tmp_path / "other", turned, camera))
    ldr = torch.stack([good.ldr[0], good.ldr[1], other.ldr[2]])
    with pytest.raises(
        RefusedBracket, match=r"do not show one still scene: .*moved.* between 1.jpg and 2.jpg.*bracket"
    ):
        align_bracket(replace(good, ldr=ldr))


@pytest.mark.parametrize("number", [0, 1, 2])
def test_something_small_that_is_in_one_exposure_only_is_found_where_it_is(
    tmp_path: Path, scenes: dict[str, Tensor], camera: Camera, good: Bracket, number: int
) -> None:
    scene = scenes["blender_city"].clone()
    row, column = 80, 30
    around = scene[:, row - 5 : row + 6, column - 5 : column + 6]
    # a stop and a half away from what is there, and neither black nor white in this exposure
    level = 0.3 * 2.0 ** -float(good.evs[number])
    around[:] = level * torch.where(around.mean() < level, 1.0, 0.35)
    other = read_bracket(write_bracket(tmp_path / "other", scene, camera))
    ldr = good.ldr.clone()
    ldr[number] = other.ldr[number]
    found = find_motion(ldr)
    assert found.share == pytest.approx(11**2 / 128**2, rel=0.5)
    assert number in (found.first, found.first + 1)
    assert (found.column, found.row) == (pytest.approx(column / 128, abs=0.03), pytest.approx(row / 128, abs=0.03))


@pytest.mark.parametrize("family", ["pointwise", "phone"])
def test_still_scenes_are_not_taken_for_moving_ones(cache_dir: Path, family: str) -> None:
    """16 cameras of each family, outside all training ranges, with noise, JPEG, and local tone mapping if phones."""
    source = PanoramaSource(cache_dir=cache_dir)
    places = source.places("test")
    shares = []
    for seed in range(16):
        generator = torch.Generator().manual_seed(seed)
        camera = draw_camera(seed, family=family, has_gains=True)
        view = source.sample(places[seed % len(places)], crop_px=SIDE_PX, generator=generator)
        scene = camera.expose(view[None], generator)
        shots = camera.shoot(expose(scene.expand(3, -1, -1, -1), torch.tensor([-2.0, 0.0, 2.0])), generator)
        shares.append(find_motion(as_jpeg(shots)).share)
    assert max(shares) < 0.002


def test_something_small_that_moved_is_left_out(
    tmp_path: Path, scenes: dict[str, Tensor], camera: Camera, good: Bracket, caplog: pytest.LogCaptureFixture
) -> None:
    scene = scenes["blender_city"].clone()
    scene[:, 70:81, 25:36] *= 0.25
    other = read_bracket(write_bracket(tmp_path / "other", scene, camera))
    aligned = align_bracket(replace(good, ldr=torch.stack([good.ldr[0], other.ldr[1], good.ldr[2]])))
    assert re.search(r"something moved.* in \d\.\d% of the picture, .*left out", caplog.text)
    # in all exposures alike, and nowhere else but for a block of JPEG
    changed = (aligned.ldr != good.ldr).any(dim=1)
    rows, columns = (changed.any(dim=0).any(dim=dim).nonzero()[[0, -1], 0].tolist() for dim in (1, 0))
    assert rows == [pytest.approx(70 - 9, abs=8), pytest.approx(80 + 9, abs=8)]
    assert columns == [pytest.approx(25 - 9, abs=8), pytest.approx(35 + 9, abs=8)]
    assert find_motion(aligned.ldr).share == 0


def test_what_moved_shows_the_nearest_pixel_that_did_not() -> None:
    ldr = torch.rand(2, 3, 12, 20, generator=torch.Generator().manual_seed(0))
    where = np.zeros((12, 20), bool)
    where[:, 8:13] = True
    filled = fill_moved(ldr, where)
    assert torch.equal(filled[..., :8], ldr[..., :8])
    assert torch.equal(filled[..., 13:], ldr[..., 13:])
    assert torch.equal(filled[..., 8:10], ldr[..., 7:8].expand(-1, -1, -1, 2))
    assert torch.equal(filled[..., 11:13], ldr[..., 13:14].expand(-1, -1, -1, 2))


def test_exposures_that_disagree_are_not_merged(good: Bracket) -> None:
    noise = torch.rand(good.ldr.shape, generator=torch.Generator().manual_seed(0))
    with pytest.raises(RefusedBracket, match=r"cannot be merged: .*disagree about it by .*bracket"):
        label_bracket(replace(good, ldr=noise))


def test_exposures_that_disagree_somewhat_are_merged(good: Bracket) -> None:
    """As those of a phone that maps tones locally do: 0.6 stops, for which a merge in general is refused."""
    ramp = torch.linspace(-0.8, 0.8, good.ldr.shape[-1])
    rough = (good.ldr * torch.exp2(ramp * torch.tensor([1.0, 0.0, -1.0])[:, None, None, None])).clamp(0, 1)
    with pytest.raises(RefusedSupport, match=r"disagree about it by 0\.6"):
        MergeLabels().label(rough, good.evs)
    assert label_bracket(replace(good, ldr=rough)).exposure.isfinite().all()
