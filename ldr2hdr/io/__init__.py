"""Pictures in files: HDR and LDR, read by content, written whole or not at all."""

from ldr2hdr.io.errors import ImageError
from ldr2hdr.io.ldr import read_ldr
from ldr2hdr.io.photo import Photo, PhotoSource, read_photo
from ldr2hdr.io.pictures import HDR_FORMATS, read_radiance, write_image
from ldr2hdr.io.raw import RAW_SUFFIXES

__all__ = [
    "HDR_FORMATS",
    "RAW_SUFFIXES",
    "ImageError",
    "Photo",
    "PhotoSource",
    "read_ldr",
    "read_photo",
    "read_radiance",
    "write_image",
]
