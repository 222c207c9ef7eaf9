"""Shifts are found exactly, and what no shift explains is refused."""

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from brackets import EVS, shoot, texture, windows

from ldr2hdr.calibration.alignment import align_Ward2003, shift_pictures
from ldr2hdr.data.cameras.crf import GammaCurve

GAMMA = GammaCurve((2.2, 2.2, 2.2))
SHIFTS = [((3, -5), (0, 0), (-7, 2)), ((16, -16), (0, 0), (-16, 16)), ((-1, 9), (0, 0), (12, 0))]


def shaken(shifts, *, size, evs=EVS, seed=0, noise=0.0):
    exposure = windows(texture(size + 64, seed), shifts, size)
    generator = torch.Generator().manual_seed(seed)
    exposure = exposure * (1 + noise * torch.randn(exposure.shape, generator=generator, dtype=exposure.dtype))
    return shoot(GAMMA, exposure.clamp_min(0), evs)


@pytest.mark.parametrize("shifts", SHIFTS)
@pytest.mark.parametrize(("size", "noise"), [(64, 0.0), (96, 0.05), (97, 0.0)])
def test_shifts_up_to_16_px_are_found_exactly(shifts, size, noise):
    for seed in range(3):
        ldr = shaken(shifts, size=size, seed=seed, noise=noise)
        aligned = align_Ward2003(ldr, torch.tensor(EVS), max_shift_px=20)
        assert aligned.shifts_px.tolist() == [list(shift) for shift in shifts]
        assert aligned.residuals.max() < 0.1


def test_shifts_of_neighbours_add_up_in_any_order_of_the_pictures():
    shifts, evs = ((-3, 4), (0, 0), (9, -8), (6, 6)), (2.0, 0.0, -4.0, -2.0)
    shifts = torch.tensor(shifts) - torch.tensor(shifts[1])
    ldr = shaken(shifts, size=96, evs=evs)
    assert torch.equal(align_Ward2003(ldr, torch.tensor(evs)).shifts_px, shifts)


def test_opencv_finds_the_same_shifts_in_a_large_picture_with_detail_at_every_scale():
    # its pyramid goes astray where a scale lacks detail, and on smaller pictures
    exposure = windows(texture(448, octaves=(4, 8, 16, 32, 448)), SHIFTS[0], 384)
    ldr = shoot(GAMMA, exposure)
    greys = [cv2.cvtColor(np.ascontiguousarray(p), cv2.COLOR_RGB2GRAY) for p in to_bytes(ldr)]
    opencv = cv2.createAlignMTB(6, 4, False)
    theirs = [opencv.calculateShift(greys[1], grey) for grey in greys]
    ours = align_Ward2003(ldr, torch.tensor(EVS)).shifts_px
    # OpenCV's shift is the one back onto the reference, x first
    assert [[-y, -x] for x, y in theirs] == ours.tolist()


def to_bytes(ldr):
    return (ldr.permute(0, 2, 3, 1) * 255).round().numpy().astype(np.uint8)


def test_moved_pictures_show_the_reference_where_they_are_valid_and_nothing_elsewhere():
    full = windows(texture(128), SHIFTS[0], 64)
    aligned = align_Ward2003(shoot(GAMMA, full), torch.tensor(EVS), max_shift_px=16)
    expected = shoot(GAMMA, windows(texture(128), [(0, 0)] * 3, 64))
    valid = aligned.is_valid[:, None].expand_as(expected)
    assert torch.equal(aligned.ldr[valid], expected[valid])
    assert bool((aligned.ldr[~valid] == 0).all())
    assert aligned.is_valid.sum(dim=(1, 2)).tolist() == [61 * 59, 64 * 64, 57 * 62]


def test_moving_by_hand():
    picture = torch.arange(6.0).view(1, 1, 2, 3).expand(1, 3, 2, 3)
    moved, is_valid = shift_pictures(picture, torch.tensor([[1, -1]]))
    assert moved[0, 0].tolist() == [[0.0, 3.0, 4.0], [0.0, 0.0, 0.0]]
    assert is_valid[0].tolist() == [[False, True, True], [False, False, False]]


def test_unrelated_and_turned_pictures_are_refused_with_their_residual():
    evs = torch.tensor([0.0, 2.0])
    unrelated = torch.cat([shoot(GAMMA, texture(64, seed), (ev,)) for seed, ev in enumerate((0.0, 2.0))])
    with pytest.raises(ValueError, match=r"no shift up to 16 px aligns .* 0 and 2 ev: at best 0\.\d+ of the bits"):
        align_Ward2003(unrelated, evs, max_shift_px=16)
    angle = torch.tensor(0.4)
    turn = torch.tensor([[[angle.cos(), -angle.sin(), 0.0], [angle.sin(), angle.cos(), 0.0]]], dtype=torch.float64)
    exposure = texture(128)[None]
    turned = F.grid_sample(exposure, F.affine_grid(turn, exposure.shape, align_corners=False), align_corners=False)
    pair = shoot(GAMMA, torch.cat([exposure, turned])[:, :, 24:104, 24:104], evs.tolist())
    with pytest.raises(ValueError, match="the camera turned or the scene moved"):
        align_Ward2003(pair, evs, max_shift_px=16)


@pytest.mark.parametrize(
    ("ldr", "message"),
    [
        (torch.zeros(2, 3, 64, 64), "between black and white in both of the exposures at 0 and 2 ev"),
        (torch.ones(2, 3, 64, 64), "between black and white"),
        (torch.full((2, 3, 64, 64), 0.5), "needs contrast in"),
        (torch.rand(2, 3, 20, 64), r"got 16 for 20x64"),
    ],
)
def test_pictures_that_say_nothing_of_a_shift_are_refused(ldr, message):
    with pytest.raises(ValueError, match=message):
        align_Ward2003(ldr, torch.tensor([0.0, 2.0]), max_shift_px=16)


def test_what_cannot_be_aligned_stays_where_it_is_if_that_is_allowed():
    ldr = shoot(GAMMA, windows(texture(160, 0), [(0, 0), (3, -2), (0, 0)], 128), EVS)
    ldr[0] = 0.0
    aligned = align_Ward2003(ldr, torch.tensor(EVS), max_shift_px=16, is_strict=False)
    assert aligned.residuals[1].isnan()
    assert aligned.residuals[2] < 0.05
    assert (aligned.shifts_px[2] - aligned.shifts_px[1]).tolist() != [0, 0]
    assert aligned.shifts_px[0].tolist() == aligned.shifts_px[1].tolist()
