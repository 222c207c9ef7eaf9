"""Codes of a picture to sRGB and to linear light, by its ICC profile."""

import io
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, UInt8, UInt16
from PIL import Image, ImageCms
from torch import Tensor

from ldr2hdr.io.errors import ImageError
from ldr2hdr.io.icc import Profile, TableProfileError, parse_profile
from ldr2hdr.io.icc_writing import srgb_profile
from ldr2hdr.io.ldr import scale_codes
from ldr2hdr.radiometry import encode_srgb

ASSUMED_SRGB: Final = "sRGB (assumed)"
# Half a level of 8 bits: nearer profiles are sRGB in all but rounding, and its codes are not touched
_SAME_AS_SRGB: Final = 0.5 / 255
_BLOCK_ROWS: Final = 64


class SrgbPicture(NamedTuple):
    """A picture in sRGB.

    Attributes:
        ldr: sRGB codes in [0, 1].
        colour_space: Name of what was converted.
    """

    ldr: Float[Tensor, "3 h w"]
    colour_space: str


def to_srgb(
    path: Path, codes: UInt8[np.ndarray, "h w 3"] | UInt16[np.ndarray, "h w 3"], icc: bytes | None, *, white: int
) -> SrgbPicture:
    """Convert to sRGB, relative colorimetric; colours outside sRGB are clipped to its gamut.

    Args:
        path: Of the photograph, for messages.
        codes: Red, green, blue as stored; equal in a grey picture.
        icc: Its profile; without one it is sRGB, as every viewer assumes.
        white: The largest code.

    Raises:
        ImageError: If the profile cannot be used.
    """
    if icc is None:
        return SrgbPicture(scale_codes(codes, white), ASSUMED_SRGB)
    try:
        profile = parse_profile(path, icc)
    except TableProfileError:
        name = _name_by_engine(path, icc)
        return SrgbPicture(_through_tables(path, codes, icc), name)
    if is_srgb(profile):
        return SrgbPicture(scale_codes(codes, white), profile.name)
    ldr, matrix = torch.empty(3, *codes.shape[:2]), torch.from_numpy(profile.rec709_from_rgb).float()
    for top in range(0, len(codes), _BLOCK_ROWS):
        linear = to_linear(path, codes[top : top + _BLOCK_ROWS], profile, white=white)
        ldr[:, top : top + _BLOCK_ROWS] = encode_srgb(torch.einsum("ij,jhw->ihw", matrix, linear).clamp_(0, 1))
    return SrgbPicture(ldr, profile.name)


def to_linear(
    path: Path, codes: UInt8[np.ndarray, "h w 3"] | UInt16[np.ndarray, "h w 3"], profile: Profile, *, white: int
) -> Float[Tensor, "3 h w"]:
    """Linear light of a picture in its own primaries, 1 at white.

    Args:
        path: Of the photograph, for messages.
        codes: Red, green, blue as stored.
        profile: What they mean.
        white: The largest code.

    Raises:
        ImageError: If a grey profile is given for a coloured picture.
    """
    if len(profile.curves) == 1 and not (codes == codes[..., :1]).all():
        raise ImageError(f"expected a profile for RGB, got {profile.name!r} for grey in a colour photograph: {path}")
    every_code = np.arange(np.iinfo(codes.dtype).max + 1).clip(max=white) / white
    tables = [curve(every_code).astype(np.float32) for curve in profile.curves]
    linear = np.empty((3, *codes.shape[:2]), dtype=np.float32)
    for channel, plane in enumerate(linear):
        plane[...] = tables[min(channel, len(tables) - 1)][codes[..., channel]]
    return torch.from_numpy(linear)


def is_srgb(profile: Profile) -> bool:
    """Whether a profile means sRGB, up to half a level of 8 bits anywhere in the cube."""
    if len(profile.curves) != 3:
        return False
    grid = np.stack(np.meshgrid(*[np.linspace(0, 1, 9)] * 3, indexing="ij"), -1).reshape(-1, 3)
    ramp = np.repeat(np.linspace(0, 1, 256)[:, None], 3, axis=1)
    codes = np.concatenate([grid, ramp])
    linear = np.stack([curve(codes[:, index]) for index, curve in enumerate(profile.curves)], -1)
    rec709 = torch.from_numpy(linear @ profile.rec709_from_rgb.T).clamp(0, 1)
    return bool((encode_srgb(rec709) - torch.from_numpy(codes)).abs().max() <= _SAME_AS_SRGB)


def _through_tables(
    path: Path, codes: UInt8[np.ndarray, "h w 3"] | UInt16[np.ndarray, "h w 3"], icc: bytes
) -> Float[Tensor, "3 h w"]:
    if codes.dtype != np.uint8:
        raise ImageError(
            f"expected an ICC profile of curves and a matrix for more than 8 bits, got one of tables; "
            f"convert the photograph to sRGB first: {path}"
        )
    source, target = (ImageCms.ImageCmsProfile(io.BytesIO(profile)) for profile in (icc, srgb_profile()))
    try:
        converted = ImageCms.profileToProfile(Image.fromarray(codes), source, target)
    except ImageCms.PyCMSError as error:
        raise _unusable(path) from error
    return scale_codes(np.asarray(converted), 255)


def _name_by_engine(path: Path, icc: bytes) -> str:
    try:
        return ImageCms.getProfileDescription(ImageCms.ImageCmsProfile(io.BytesIO(icc))).strip()
    except (ImageCms.PyCMSError, OSError) as error:
        raise _unusable(path) from error


def _unusable(path: Path) -> ImageError:
    return ImageError(f"the ICC profile is damaged; export the photograph again, or remove its profile: {path}")
