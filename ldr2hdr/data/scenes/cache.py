"""Decoded radiance on disk: every picture is decoded once and memory-mapped ever after."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from jaxtyping import Float16

from ldr2hdr.data.datasets.fingerprint import file_digest
from ldr2hdr.io import read_radiance
from ldr2hdr.io.files import replacing

_FORMAT_VERSION: Final = 1


class StoredRadiance(NamedTuple):
    """Radiance as stored: ``half * unit`` is in the units of the source file.

    Attributes:
        half: Memory-mapped, read-only. Its maximum lies in [16384, 32768], so a value within 28 stops of the
            maximum has a relative error of at most 2**-11.
        unit: A power of two.
    """

    half: Float16[np.ndarray, "3 h w"]
    unit: float


@dataclass(frozen=True)
class CachedPicture:
    """A picture that was decoded into the cache; opened anew by every process, so it may be pickled.

    Attributes:
        source: The picture file.
        stored: The cache file.
        height: In pixels.
        width: In pixels.
    """

    source: Path
    stored: Path
    height: int
    width: int

    def open(self) -> StoredRadiance:
        """Map the radiance into memory; nothing is read yet."""
        record = np.load(self.stored, mmap_mode="r")
        return StoredRadiance(record["radiance"][0], float(record["unit"][0]))


def cache_picture(source: Path, cache_dir: Path) -> CachedPicture:
    """Decode an HDR picture into the cache, unless a file of this content is there already.

    The cache file is named by the content of the source, and appears whole or not at all: two processes that
    decode the same picture at once write the same file. Negative values become 0.

    Args:
        source: A ``.hdr`` or ``.exr`` picture.
        cache_dir: Made if missing; may be deleted at any time between runs.

    Raises:
        ImageError: If the picture cannot be read.
    """
    stored = cache_dir / f"{file_digest(source)[:32]}-v{_FORMAT_VERSION}.npy"
    if not stored.exists():
        _decode(source, stored)
    height, width = np.load(stored, mmap_mode="r")["radiance"].shape[2:]
    return CachedPicture(source, stored, height, width)


def _decode(source: Path, stored: Path) -> None:
    radiance = read_radiance(source, allow_negative=True).clamp(min=0).numpy()
    peak = float(radiance.max())
    unit = math.ldexp(1.0, math.frexp(peak)[1] - 15) if peak > 0 else 1.0
    # one record holds the values and their unit, so that one rename publishes both
    layout = np.dtype([("unit", np.float64), ("radiance", np.float16, radiance.shape)])
    stored.parent.mkdir(parents=True, exist_ok=True)
    with replacing(stored) as temporary:
        record = np.lib.format.open_memmap(temporary, mode="w+", dtype=layout, shape=(1,))
        record["unit"] = unit
        record["radiance"] = radiance / np.float32(unit)
        record.flush()
