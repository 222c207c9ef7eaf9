"""Headers of pictures: the size when upright, and how the camera was set."""

from pathlib import Path
from typing import NamedTuple

from ldr2hdr.io.errors import naming
from ldr2hdr.io.exr import read_exr_size
from ldr2hdr.io.files import check_size, kind_of
from ldr2hdr.io.ldr import read_ldr_header
from ldr2hdr.io.orientation import is_transposing
from ldr2hdr.io.radiance import read_hdr_size
from ldr2hdr.io.shot import Shot

_HDR_SIZES = {"Radiance HDR": read_hdr_size, "OpenEXR": read_exr_size}


class Setting(NamedTuple):
    """Setting of a camera, as far as brightness goes.

    Attributes:
        ev: In stops, up to a constant of the scene.
        exposure_time_s: None if not known.
    """

    ev: float
    exposure_time_s: float | None = None


class Header(NamedTuple):
    """Header of a picture.

    Attributes:
        height: In pixels, when upright.
        width: In pixels, when upright.
        shot: Camera and setting by EXIF.
    """

    height: int
    width: int
    shot: Shot = Shot()

    @property
    def camera(self) -> str | None:
        """Maker and model; None without them."""
        return " ".join(word for word in (self.shot.make, self.shot.model) if word) or None


def read_header(path: Path) -> Header:
    """Read a picture's header; the pixels are not looked at.

    Raises:
        ImageError: If the file is missing, empty, no picture, cut within the header, of absurd size, or says in its
            header what the readers of `ldr2hdr.io` refuse.
    """
    with naming(path):
        if kind_of(path) in _HDR_SIZES:
            return Header(*_HDR_SIZES[kind_of(path)](path))
        header = read_ldr_header(path)
    check_size(path, header.height, header.width)
    size = header.height, header.width
    upright = size[::-1] if is_transposing(header.orientation) else size
    return Header(*upright, header.shot)
