"""Light as numbers: exposure, luminance, and the encodings in which losses and metrics are taken."""

import math
from typing import Final, Literal, NamedTuple, TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor

# Rec. 709 primaries and D65 to six digits, as the PU21 toolbox has them: the reference figures for luminance
# metrics need these digits, and they differ from the four-digit row of BT.709 by less than 6e-5.
LOG_OFFSET: Final = 1 / 255
"""Added to exposure before a logarithm: one 8-bit level of the sensor's white, about a camera's read noise."""
CLIPPED_LEVEL: Final = 250
"""From this level of 255 on a channel counts as clipped: the customary threshold, as JPEG rings around white by a few
levels and some cameras stop short of 255 (Hanji et al., SIGGRAPH 2022)."""
SRGB_EXPONENT: Final = 2.4
SRGB_OFFSET: Final = 0.055
SRGB_SLOPE: Final = 12.92
SRGB_JOINT: Final = 0.04045
"""Code where the straight toe of the sRGB curve ends (IEC 61966-2-1:1999); in linear light, 0.0031308."""

REC709_LUMINANCE: Final = (0.212656, 0.715158, 0.072186)

Pu21Curve: TypeAlias = Literal["banding", "banding_glare", "peaks", "peaks_glare"]
PqConstants: TypeAlias = Literal["exact", "rounded"]


class _Pu21(NamedTuple):
    p1: float
    p2: float
    p3: float
    p4: float
    p5: float
    p6: float
    p7: float


_PU21: Final[dict[Pu21Curve, _Pu21]] = {
    "banding": _Pu21(1.070275272, 0.4088273932, 0.153224308, 0.2520326168, 1.063512885, 1.14115047, 521.4527484),
    "banding_glare": _Pu21(
        0.353487901, 0.3734658629, 8.277049286e-05, 0.9062562627, 0.09150303166, 0.9099517204, 596.3148142
    ),
    "peaks": _Pu21(1.043882782, 0.6459495343, 0.3194584211, 0.374025247, 1.114783422, 1.095360363, 384.9217577),
    "peaks_glare": _Pu21(
        816.885024, 1479.463946, 0.001253215609, 0.9329636822, 0.06746643971, 1.573435413, 419.6006374
    ),
}
PU21_MIN_CD_M2: Final = 0.005
PU21_MAX_CD_M2: Final = 10_000.0


class _Pq(NamedTuple):
    m1: float
    m2: float
    c1: float
    c2: float
    c3: float


_PQ: Final[dict[PqConstants, _Pq]] = {
    "exact": _Pq(2610 / 16384, 2523 / 32, 3424 / 4096, 2413 / 128, 2392 / 128),
    "rounded": _Pq(0.1593, 78.8438, 0.8359, 18.8516, 18.6875),
}
PQ_MAX_CD_M2: Final = 10_000.0


def expose(radiance: Float[Tensor, "*b 3 h w"], ev: Float[Tensor, "*b"]) -> Float[Tensor, "*b 3 h w"]:
    """Scale scene radiance by an exposure compensation.

    One stop doubles the light that reaches the sensor: ``exposure = radiance * 2**ev``.

    Args:
        radiance: Linear Rec. 709 radiance, relative units, non-negative.
        ev: Exposure compensation in stops; +1 is one stop brighter.

    Returns:
        Sensor exposure, not clipped.

    Raises:
        ValueError: If any radiance is negative.

    References:
        Debevec and Malik, SIGGRAPH 1997, sec. 2.1.

    Example:
        >>> expose(torch.full((1, 3, 1, 1), 0.25), torch.tensor([2.0])).unique()
        tensor([1.])
    """
    if bool((radiance < 0).any()):
        raise ValueError(f"radiance must be non-negative, got a minimum of {radiance.min().item():.3g}")
    return radiance * torch.exp2(ev)[..., None, None, None]


def luminance(linear: Float[Tensor, "*b 3 h w"]) -> Float[Tensor, "*b h w"]:
    """Relative luminance of linear Rec. 709 colour (ITU-R BT.709, item 3.2), in the unit of the colour.

    Example:
        >>> round(luminance(torch.ones(3, 1, 1)).item(), 6)
        1.0
    """
    red, green, blue = linear.unbind(dim=-3)
    weight_red, weight_green, weight_blue = REC709_LUMINANCE
    return weight_red * red + weight_green * green + weight_blue * blue


def encode_srgb(linear: Float[Tensor, "*s"]) -> Float[Tensor, "*s"]:
    """Convert linear light to sRGB codes, 0 to 0 and 1 to 1.

    Args:
        linear: In [0, 1].

    References:
        IEC 61966-2-1:1999.

    Example:
        >>> encode_srgb(torch.tensor([0.0, 0.18, 1.0])).mul(255).round().tolist()
        [0.0, 118.0, 255.0]
    """
    shoulder = (1 + SRGB_OFFSET) * linear.clamp_min(0) ** (1 / SRGB_EXPONENT) - SRGB_OFFSET
    return torch.where(linear <= 0.0031308, SRGB_SLOPE * linear, shoulder)


def decode_srgb(codes: Float[Tensor, "*s"]) -> Float[Tensor, "*s"]:
    """Convert sRGB codes to linear light, the inverse of :func:`encode_srgb`.

    Example:
        >>> round(decode_srgb(torch.tensor(0.5)).item(), 6)
        0.214041
    """
    shoulder = ((codes.clamp_min(0) + SRGB_OFFSET) / (1 + SRGB_OFFSET)) ** SRGB_EXPONENT
    return torch.where(codes <= SRGB_JOINT, codes / SRGB_SLOPE, shoulder)


def encode_mu_law(linear: Float[Tensor, "*s"], mu: float = 5000.0) -> Float[Tensor, "*s"]:
    """Compress linear values logarithmically: 0 to 0, 1 to 1.

    Args:
        linear: Non-negative linear values, 1 at the reference white.
        mu: Strength of the compression.

    References:
        Kalantari and Ramamoorthi, SIGGRAPH 2017, eq. 5.

    Example:
        >>> round(encode_mu_law(torch.tensor(0.1, dtype=torch.float64)).item(), 10)
        0.7298719193
    """
    return torch.log1p(mu * linear) / math.log1p(mu)


def encode_log(linear: Float[Tensor, "*s"], *, eps: float = 1 / 255) -> Float[Tensor, "*s"]:
    """Natural logarithm with a toe: ``ln(linear + eps)``, finite and of finite slope at black.

    Args:
        linear: Non-negative linear values, 1 at the reference white.
        eps: Where the curve turns from linear to logarithmic, in the unit of ``linear``.

    References:
        Eilertsen et al., SIGGRAPH Asia 2017, whose ``eps`` is one 8-bit level.

    Example:
        >>> encode_log(torch.tensor(1.0), eps=0.0).item()
        0.0
    """
    return torch.log(linear + eps)


def decode_log(encoded: Float[Tensor, "*s"], *, eps: float = 1 / 255) -> Float[Tensor, "*s"]:
    """Invert :func:`encode_log`; below ``ln(eps)`` the result is negative."""
    return torch.exp(encoded) - eps


def encode_pu21(
    absolute: Float[Tensor, "*s"], curve: Pu21Curve = "banding_glare", *, clamp: bool = True
) -> Float[Tensor, "*s"]:
    """Map absolute light to perceptually uniform units: equal steps are about equally visible.

    100 cd/m2 lies near 256, so that metrics made for 8-bit pictures keep their scale.

    Args:
        absolute: Luminance, or each linear Rec. 709 channel, in cd/m2.
        curve: Parameter set; its authors recommend ``banding_glare`` alone.
        clamp: Limit the input to the 0.005..10000 cd/m2 that the curves were fitted on, and the result to 0
            and above. A loss leaves this off: a clamp has no gradient outside, the curve still rises there.

    Returns:
        PU21 units; 0..595 for ``banding_glare``.

    References:
        Mantiuk and Azimi, PCS 2021; ``pu21_encoder.m`` of its authors.

    Example:
        >>> round(encode_pu21(torch.tensor(100.0, dtype=torch.float64)).item(), 6)
        256.383897
    """
    p = _PU21[curve]
    if clamp:
        absolute = absolute.clamp(PU21_MIN_CD_M2, PU21_MAX_CD_M2)
    power = absolute**p.p4
    encoded = p.p7 * (((p.p1 + p.p2 * power) / (1 + p.p3 * power)) ** p.p5 - p.p6)
    return encoded.clamp_min(0) if clamp else encoded


def encode_pq(absolute: Float[Tensor, "*s"], constants: PqConstants = "exact") -> Float[Tensor, "*s"]:
    """Perceptual quantiser: absolute light to the signal of an HDR10 display, 0..1.

    Args:
        absolute: Luminance, or each linear channel, in cd/m2; clamped to 0..10000.
        constants: Those of the standard, or the four digits that some published evaluation code has.

    Returns:
        PQ signal; 0.508 at 100 cd/m2.

    References:
        SMPTE ST 2084:2014; ITU-R BT.2100-2, table 4.

    Example:
        >>> round(encode_pq(torch.tensor(100.0, dtype=torch.float64)).item(), 10)
        0.5080784215
    """
    q = _PQ[constants]
    power = (absolute.clamp(0, PQ_MAX_CD_M2) / PQ_MAX_CD_M2) ** q.m1
    return ((q.c1 + q.c2 * power) / (1 + q.c3 * power)) ** q.m2


def decode_pq(encoded: Float[Tensor, "*s"], constants: PqConstants = "exact") -> Float[Tensor, "*s"]:
    """Invert :func:`encode_pq`.

    Args:
        encoded: PQ signal; clamped to that of 10000 cd/m2, above which the inverse has a pole.
        constants: Those that encoded it.

    Returns:
        Light in cd/m2, 0..10000.

    References:
        SMPTE ST 2084:2014; ITU-R BT.2100-2, table 4.

    Example:
        >>> round(decode_pq(torch.tensor(0.75, dtype=torch.float64)).item(), 4)
        983.3779
    """
    q = _PQ[constants]
    top = encode_pq(encoded.new_tensor(PQ_MAX_CD_M2), constants)
    root = encoded.clamp_min(0).minimum(top) ** (1 / q.m2)
    return PQ_MAX_CD_M2 * ((root - q.c1).clamp_min(0) / (q.c2 - q.c3 * root)) ** (1 / q.m1)
