"""HDR pictures for scenes that came without: the merge of all their exposures, each made once and kept."""

import hashlib
import math
from dataclasses import replace
from pathlib import Path
from typing import Final

import torch
from jaxtyping import Float
from torch import Tensor

from ldr2hdr.calibration.merge import merge_DebevecMalik1997, recover_response_DebevecMalik1997
from ldr2hdr.data.datasets.pixels import read_exposures
from ldr2hdr.data.datasets.record import HdrReference, Problem, SceneRecord
from ldr2hdr.io import ImageError
from ldr2hdr.io.exr import write_exr

_FORMAT_VERSION: Final = 1
# Pixels that the response is recovered from, and those that are merged at a time
_MAX_PIXELS: Final = 2**20
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
    step = math.ceil(math.sqrt(height * width / _MAX_PIXELS))
    response = recover_response_DebevecMalik1997(pictures[..., ::step, ::step], evs)
    if response.residual_stops > _MAX_RESIDUAL_STOPS:
        raise ValueError(
            f"they disagree about the scene by {response.residual_stops:.2f} stops, and {_MAX_RESIDUAL_STOPS} may be"
        )
    rows = max(1, _MAX_PIXELS // width)
    strips = (pictures[:, :, top : top + rows] for top in range(0, height, rows))
    return torch.cat([merge_DebevecMalik1997(strip, evs, response=response).exposure for strip in strips], dim=1)
