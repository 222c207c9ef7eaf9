"""Pictures in files: HDR and LDR, read by content, written whole or not at all."""

from ldr2hdr.io.errors import ImageError
from ldr2hdr.io.ldr import read_ldr
from ldr2hdr.io.pictures import read_radiance, write_image

__all__ = ["ImageError", "read_ldr", "read_radiance", "write_image"]
