"""Alignment of hand-held brackets by whole pixels, from bitmaps that exposure does not change."""

import itertools
from dataclasses import dataclass
from typing import Final

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

# Ward, p. 21: red, green and blue weights of the grey picture.
_GREY: Final = (54 / 256, 183 / 256, 19 / 256)
_PERCENTS: Final = (50, 17, 83, 35, 65, 8, 92)
_NUM_THRESHOLDS: Final = 3
# The first pass takes thresholds from whole pictures, the second from what both show.
_NUM_PASSES: Final = 2
# Bits near the threshold are fewest where the shift is right, for there those of both pictures coincide: this
# decides between shifts under which next to nothing differs.
_UNCOMPARED_PENALTY: Final = 0.05
# Of the pixels in the overlap, those that must say something about the shift.
_MIN_COMPARED: Final = 0.02


@dataclass(frozen=True)
class Alignment:
    """Position of each picture of a bracket on the reference, and how well it explains the picture.

    Attributes:
        shifts_px: Rows and columns: what the reference shows at ``(y, x)``, picture ``i`` shows at
            ``(y, x) + shifts_px[i]``. Zero for the reference.
        ldr: The pictures moved onto the reference, 0 where they show nothing of it.
        is_valid: Where each moved picture shows the reference's scene.
        residuals: Part of the compared bits of each picture that differ from its darker neighbour's after alignment;
            0 for the darkest, NaN where alignment was given up.
    """

    shifts_px: Int[Tensor, "n 2"]
    ldr: Float[Tensor, "n 3 h w"]
    is_valid: Bool[Tensor, "n h w"]
    residuals: Float[Tensor, " n"]


def align_Ward2003(
    ldr: Float[Tensor, "n 3 h w"],
    evs: Float[Tensor, " n"],
    *,
    max_shift_px: int = 32,
    tolerance: int = 4,
    max_residual: float = 0.1,
    is_strict: bool = True,
) -> Alignment:
    """Align a bracket by the shifts under which median threshold bitmaps agree best.

    Neighbours in exposure are compared, and their shifts added up. In place of Ward's pyramid, which a wrong turn at
    a coarse level leads astray, the bits that differ are counted for every shift at once by Fourier transform, and
    judged as a part of the bits compared, so that large shifts gain nothing from a smaller overlap. The
    thresholds are the three percentiles, of seven, that lie furthest from black and white in both pictures. Of
    equally good shifts the smallest is taken.

    Args:
        ldr: 8-bit pictures in [0, 1], display-referred.
        evs: Exposure of each picture in stops; the middle one in this order is the reference.
        max_shift_px: Largest shift between neighbours, in rows and in columns.
        tolerance: Pixels at most this many levels from the threshold are noise and are not compared.
        max_residual: Largest part of the bits that may differ.
        is_strict: Refuse pictures that cannot be aligned, instead of leaving them where they are, as on a tripod.

    Raises:
        ValueError: If the largest shift is not below half a side of the pictures; and if strict, if two neighbours lack
            contrast (all black, all white, or flat) or differ by more than a shift.

    References:
        Ward, Journal of Graphics Tools 8(2), 2003.
    """
    height, width = ldr.shape[-2:]
    if not 0 <= max_shift_px < min(height, width) / 2:
        raise ValueError(
            f"alignment needs max_shift_px in [0, half a side of the pictures), got {max_shift_px} for {height}x{width}"
        )
    grey = (torch.tensor(_GREY, device=ldr.device) @ (ldr * 255).flatten(2)).view(len(ldr), height, width).round()
    order = evs.argsort(stable=True).tolist()
    shifts = torch.zeros(len(ldr), 2, dtype=torch.long, device=ldr.device)
    residuals = torch.zeros(len(ldr), device=ldr.device)
    for darker, brighter in itertools.pairwise(order):
        names = f"the exposures at {evs[darker]:g} and {evs[brighter]:g} ev"
        try:
            step, residual = _align_pair(
                *(grey[darker], grey[brighter]), max_shift_px=max_shift_px, tolerance=tolerance, names=names
            )
            _require_same(residual, max_residual, max_shift_px=max_shift_px, names=names)
        except ValueError:
            if is_strict:
                raise
            step, residual = shifts.new_zeros(2), torch.nan
        shifts[brighter] = shifts[darker] + step
        residuals[brighter] = residual
    shifts = shifts - shifts[order[len(order) // 2]]
    moved, is_valid = shift_pictures(ldr, shifts)
    return Alignment(shifts, moved, is_valid, residuals)


def shift_pictures(
    ldr: Float[Tensor, "n 3 h w"], shifts_px: Int[Tensor, "n 2"]
) -> tuple[Float[Tensor, "n 3 h w"], Bool[Tensor, "n h w"]]:
    """Move each picture so that what it shows at ``(y, x) + shift`` comes to ``(y, x)``.

    Returns:
        The moved pictures, 0 where nothing came, and where something did.
    """
    height, width = ldr.shape[-2:]
    rows = torch.arange(height, device=ldr.device) + shifts_px[:, :1]
    columns = torch.arange(width, device=ldr.device) + shifts_px[:, 1:]
    is_inside = ((rows >= 0) & (rows < height))[:, :, None] & ((columns >= 0) & (columns < width))[:, None, :]
    picture = torch.arange(len(ldr), device=ldr.device)[:, None, None]
    # indexing with (n, h, 1) and (n, 1, w) puts the channels last
    moved = ldr.movedim(1, -1)[picture, rows.clamp(0, height - 1)[:, :, None], columns.clamp(0, width - 1)[:, None, :]]
    return moved.movedim(-1, 1).where(is_inside[:, None], 0), is_inside


def _align_pair(
    first: Float[Tensor, "h w"], second: Float[Tensor, "h w"], *, max_shift_px: int, tolerance: int, names: str
) -> tuple[Int[Tensor, " 2"], float]:
    """Shift of the second picture, and the part of the compared bits that still differ."""
    step, residual = torch.zeros(2, dtype=torch.long, device=first.device), 0.0
    for _ in range(_NUM_PASSES):
        bitmaps = _bitmaps(first, second, step, tolerance=tolerance, names=names)
        step, residual = _best_shift(*bitmaps, max_shift_px=max_shift_px, names=names)
    return step, residual


def _require_same(residual: float, max_residual: float, *, max_shift_px: int, names: str) -> None:
    if residual > max_residual:
        raise ValueError(
            f"no shift up to {max_shift_px} px aligns {names}: at best {residual:.3f} of the bits differ, and "
            f"{max_residual:g} may; the camera turned or the scene moved, or the shift is larger"
        )


def _bitmaps(
    first: Float[Tensor, "h w"], second: Float[Tensor, "h w"], step: Int[Tensor, " 2"], *, tolerance: int, names: str
) -> tuple[Float[Tensor, "2 b h w"], Float[Tensor, "2 b h w"]]:
    """Of each picture the bits that are one and those that are zero, less those too close to a threshold.

    Thresholds are percentiles of the part that both pictures show if the second is shifted by ``step``.
    """
    pictures = torch.stack([first, second])
    _, is_shared = shift_pictures(pictures[:, None].expand(-1, 3, -1, -1), torch.stack([-step, step]))
    # what the second shows of the first lies where the first, moved the other way, is valid
    shared = [picture[mask].sort().values for picture, mask in zip(pictures, is_shared.flip(0), strict=True)]
    ranks = torch.tensor(_PERCENTS, device=first.device) * (len(shared[0]) - 1) // 100
    thresholds = torch.stack([values[ranks] for values in shared])
    distances = torch.minimum(thresholds, 255 - thresholds).amin(dim=0)
    best = distances.argsort(descending=True, stable=True)[:_NUM_THRESHOLDS]
    best = best[distances[best] > tolerance]
    if len(best) == 0:
        raise ValueError(f"alignment needs a part of the scene between black and white in both of {names}, got none")
    excesses = [picture - at[best, None, None] for picture, at in zip(pictures, thresholds, strict=True)]
    bitmaps = [torch.stack([excess > tolerance, excess < -tolerance]).double() for excess in excesses]
    return bitmaps[0], bitmaps[1]


def _best_shift(
    first: Float[Tensor, "2 b h w"], second: Float[Tensor, "2 b h w"], *, max_shift_px: int, names: str
) -> tuple[Int[Tensor, " 2"], float]:
    """Shift of the second picture, and the part of the compared bits that still differ.

    Counts for all shifts are correlations of bitmaps, exact once rounded.
    """
    num_thresholds, height, width = first.shape[1:]
    padded = (height + max_shift_px, width + max_shift_px)
    ones, zeros = torch.fft.rfft2(first, s=padded).conj()
    other_ones, other_zeros = torch.fft.rfft2(second, s=padded)
    pairs = ones * other_zeros + zeros * other_ones, (ones + zeros) * (other_ones + other_zeros)
    counts = [torch.fft.irfft2(pair.sum(dim=0), s=padded).round().abs() for pair in pairs]
    steps = torch.arange(-max_shift_px, max_shift_px + 1, device=first.device)
    shifts = torch.cartesian_prod(steps, steps)
    shifts = shifts[shifts.square().sum(dim=1).argsort(stable=True)]
    # negative shifts lie at the end of the circular correlation
    differing, compared = (count[shifts[:, 0], shifts[:, 1]] for count in counts)
    overlap = num_thresholds * (height - shifts[:, 0].abs()) * (width - shifts[:, 1].abs())
    scores = differing / compared.clamp_min(1) + _UNCOMPARED_PENALTY * (1 - compared / overlap)
    scores = scores.where(compared >= _MIN_COMPARED * overlap, torch.inf)
    if bool(scores.isinf().all()):
        raise ValueError(f"alignment needs contrast in {names}, got less than {_MIN_COMPARED:.0%} of pixels with any")
    best = int((scores <= scores.min()).nonzero()[0])
    return shifts[best], float(differing[best] / compared[best])
