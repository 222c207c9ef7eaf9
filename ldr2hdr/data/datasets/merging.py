"""HDR pictures for scenes that came without: the merge of all their exposures, each made once and kept."""

import hashlib
import math
from dataclasses import replace
from pathlib import Path
from typing import Final

import torch
from jaxtyping import Float
from torch import Tensor

from ldr2hdr.calibration.curve import levels_of
from ldr2hdr.calibration.merge import merge_exposures, recover_curve
from ldr2hdr.calibration.rows import count_joint_levels
from ldr2hdr.data.datasets.pixels import read_exposures
from ldr2hdr.data.datasets.record import HdrReference, Problem, SceneRecord
from ldr2hdr.io import ImageError
from ldr2hdr.io.exr import write_exr

_FORMAT_VERSION: Final = 2
# Pixels that the response is recovered from, at most, and those that are merged at a time
_MAX_COMPARED: Final = 2**20
_MAX_MERGED: Final = 2**20
# As for labels=merge: pictures of different scenes disagree by more
_MAX_RESIDUAL_STOPS: Final = 0.5


def merge_record(record: SceneRecord, *, cache_dir: Path) -> SceneRecord | Problem:
    """Give a scene of two exposures or more the HDR picture that they make, at sensor exposure for ``ev=0``.

    Args:
        record: Without HDR; its exposures lie pixel on pixel.
        cache_dir: Where merged pictures are kept, named by the content of the files and the EVs.

    Returns:
        The scene with HDR, or why there is none.
    """
    evs = [exposure.ev for exposure in record.exposures]
    settings = hashlib.sha256(repr(evs).encode()).hexdigest()[:8]
    path = cache_dir / "merged" / f"{record.content_hash}-{settings}-v{_FORMAT_VERSION}.exr"
    try:
        if not path.exists():
            merged = _merge(read_exposures(record.exposures), torch.tensor(evs))
            path.parent.mkdir(parents=True, exist_ok=True)
            write_exr(path, merged.movedim(0, -1).contiguous().numpy())
    except ImageError as error:
        return Problem.of_damage(record.paths, error)
    except ValueError as error:
        return Problem("misfit", record.paths[0].parent, f"the exposures cannot be merged: {error}")
    return replace(record, hdr=HdrReference(path))


def _merge(pictures: Float[Tensor, "n 3 h w"], evs: Float[Tensor, " n"]) -> Float[Tensor, "3 h w"]:
    height, width = pictures.shape[-2:]
    step = math.ceil(math.sqrt(height * width / _MAX_COMPARED))
    levels = levels_of(pictures[..., ::step, ::step]).to(torch.uint8)
    found = recover_curve(count_joint_levels(levels, evs), evs)
    if found.disagreement_stops > _MAX_RESIDUAL_STOPS:
        raise ValueError(
            f"they disagree about the scene by {found.disagreement_stops:.2f} stops, and {_MAX_RESIDUAL_STOPS} may be"
        )
    rows = max(1, _MAX_MERGED // width)
    strips = [_merge_rows(pictures, evs, found.log_curve, slice(top, top + rows)) for top in range(0, height, rows)]
    return torch.cat(strips, dim=1)


def _merge_rows(
    pictures: Float[Tensor, "n 3 h w"], evs: Float[Tensor, " n"], log_curve: Float[Tensor, "256 3"], rows: slice
) -> Float[Tensor, "3 r w"]:
    """Merge some rows; a pixel's weight depends on its neighbours too."""
    first = max(0, rows.start - 1)
    merged = merge_exposures(pictures[:, :, first : rows.stop + 1], evs, log_curve=log_curve).exposure
    return merged[:, rows.start - first :][:, : rows.stop - rows.start]
