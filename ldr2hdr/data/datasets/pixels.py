"""The pixels behind a record: display-referred exposures, and linear HDR."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import torch
from jaxtyping import Float
from torch import Tensor

from ldr2hdr.data.datasets.record import Frame, HdrReference, SceneRecord, Transfer
from ldr2hdr.io import ImageError, read_ldr, read_radiance
from ldr2hdr.io.files import kind_of

_RADIANCE_KINDS: Final = ("Radiance HDR", "OpenEXR")


def read_exposures(exposures: Sequence[Frame]) -> Float[Tensor, "n 3 h w"]:
    """Pictures of some exposures of a scene, in [0, 1].

    Raises:
        ImageError: If a file cannot be read, or the exposures differ in size.
    """
    pictures = [read_ldr(exposure.path) for exposure in exposures]
    sizes = {tuple(picture.shape[1:]) for picture in pictures}
    if len(sizes) != 1:
        paths = ", ".join(str(exposure.path) for exposure in exposures)
        raise ImageError(f"expected exposures of one size, got {sorted(sizes)}: {paths}")
    return torch.stack(pictures)


def read_sensor_exposure(record: SceneRecord) -> Float[Tensor, "3 h w"]:
    """Sensor exposure at ``ev=0``, not clipped; in units of the sensor's white if the record was fitted.

    Raises:
        ValueError: If the record has no HDR.
        ImageError: If the file cannot be read.
    """
    if record.hdr is None:
        raise ValueError(f"expected a scene with HDR, got {record.id!r} without")
    return read_linear(record.hdr) * record.hdr.scale


def read_linear(hdr: HdrReference) -> Float[Tensor, "3 h w"]:
    """Linear values of an HDR picture, its transfer undone, negative ones set to 0; not scaled.

    Raises:
        ImageError: If the file cannot be read.
    """
    stored = read_stored(hdr.path)
    if hdr.transfer == Transfer():
        return stored
    return (stored / hdr.transfer.divisor) ** hdr.transfer.exponent


def read_stored(path: Path) -> Float[Tensor, "3 h w"]:
    """Numbers of an HDR picture as stored: radiance, or the codes of a PNG in [0, 1]; negative ones set to 0.

    Raises:
        ImageError: If the file cannot be read.
    """
    if kind_of(path) in _RADIANCE_KINDS:
        return read_radiance(path, allow_negative=True).clamp_min(0)
    return read_ldr(path)
