"""Correction of a reconstruction's tone and colour response to its reference, before it is judged.

A wrong response is one error of a dozen numbers that costs more than all lost highlights together. Fitted away, in
the same manner for every method, what remains is what a response cannot explain.
"""

from typing import Final, NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ldr2hdr.radiometry import PU21_MIN_CD_M2, decode_pq, encode_pq

# Rec. 709 primaries and D65 to the six digits of the published code, whose figures need them
_RGB_TO_XYZ: Final = (
    (0.412424, 0.357579, 0.180464),
    (0.212656, 0.715158, 0.072186),
    (0.019332, 0.119193, 0.950444),
)
_XYZ_RANGE_CD_M2: Final = (1e-4, 1e8)
# CIE 1976 u'v' scaled as for an 8-bit code
_CHROMA_SCALE: Final = 410 / 255
_CHROMA_FLOOR: Final = 0.005
# weight of the ridge towards unchanged chroma, per pixel and term
_CHROMA_RIDGE: Final = 0.01
# PQ units per PQ unit; the slope of a flat correction is its rounding
_SLOPE_TOLERANCE: Final = 1e-9
# columns of u and of v among the terms of the chroma polynomial
_LINEAR_TERMS: Final = (5, 6)


class CrfCorrection(NamedTuple):
    """A corrected reconstruction, and what was done to it.

    Attributes:
        picture: Corrected light, in cd/m2, non-negative.
        luminance_weights: Cubic in PQ luminance, highest power first.
        chroma_weights: Of u**3, v**3, u**2, v**2, u*v, u, v and 1 (rows) in corrected u and v (columns).
        is_monotone: Whether the cubic nowhere falls on the luminances of the picture; where it does, the
            correction swaps dark and bright, which no response does.
    """

    picture: Float[Tensor, "*b 3 h w"]
    luminance_weights: Float[Tensor, "*b 4"]
    chroma_weights: Float[Tensor, "*b 8 2"]
    is_monotone: Bool[Tensor, "*b"]


class _Colours(NamedTuple):
    """Pixels as luminance in cd/m2 and scaled u'v' chroma."""

    luminance: Float[Tensor, "*b n"]
    chroma: Float[Tensor, "*b n 2"]


def correct_crf(pred: Float[Tensor, "*b 3 h w"], target: Float[Tensor, "*b 3 h w"]) -> CrfCorrection:
    """Fit a cubic of luminance and one of chroma from a reconstruction to its reference, and apply them.

    All pixels of a picture take part, the saturated ones too. It is an oracle: it sees the reference, so it belongs
    to evaluation alone, and to every method of a table.

    Args:
        pred: Reconstruction in cd/m2.
        target: Reference in cd/m2.

    Returns:
        The corrected reconstruction, of the dtype of ``pred``, and the fits, in double precision.

    References:
        Hanji et al., SIGGRAPH 2022; ``crf_correction.m`` of its authors, degree 3, PQ and u'v'.
    """
    test, reference = (_to_colours(picture.double().clamp_min(PU21_MIN_CD_M2)) for picture in (pred, target))
    code = encode_pq(test.luminance, "rounded")
    luminance_weights = _fit_luminance(code, encode_pq(reference.luminance, "rounded"))
    chroma_weights = _fit_chroma(test.chroma, reference.chroma)
    darkest = encode_pq(code.new_tensor(PU21_MIN_CD_M2), "rounded")
    corrected_code = (_luminance_terms(code) @ luminance_weights.unsqueeze(-1)).squeeze(-1).maximum(darkest)
    corrected = _Colours(
        decode_pq(corrected_code, "rounded"),
        (_chroma_terms(test.chroma) @ chroma_weights).clamp_min(_CHROMA_FLOOR),
    )
    return CrfCorrection(
        _to_rgb(corrected).to(pred.dtype).reshape(pred.shape),
        luminance_weights,
        chroma_weights,
        _is_monotone(luminance_weights, code),
    )


def _fit_luminance(code: Float[Tensor, "*b n"], wanted: Float[Tensor, "*b n"]) -> Float[Tensor, "*b 4"]:
    """Least squares; of all solutions the shortest, where a picture has fewer than four luminances."""
    orthogonal, triangle = torch.linalg.qr(_luminance_terms(code))
    projected = orthogonal.mT @ wanted.unsqueeze(-1)
    return (torch.linalg.pinv(triangle, rtol=1e-12) @ projected).squeeze(-1)


def _fit_chroma(chroma: Float[Tensor, "*b n 2"], wanted: Float[Tensor, "*b n 2"]) -> Float[Tensor, "*b 8 2"]:
    """Ridge regression towards the identity."""
    terms = _chroma_terms(chroma)
    count, num_terms = terms.shape[-2:]
    strength = _CHROMA_RIDGE * count / num_terms
    identity = terms.new_zeros(num_terms, 2)
    identity[_LINEAR_TERMS, (0, 1)] = 1
    gram = terms.mT @ terms + strength * torch.eye(num_terms, dtype=terms.dtype, device=terms.device)
    return torch.linalg.solve(gram, terms.mT @ wanted + strength * identity)


def _luminance_terms(code: Float[Tensor, "*b n"]) -> Float[Tensor, "*b n 4"]:
    return torch.stack([code**3, code**2, code, torch.ones_like(code)], dim=-1)


def _chroma_terms(chroma: Float[Tensor, "*b n 2"]) -> Float[Tensor, "*b n 8"]:
    u, v = chroma.unbind(-1)
    return torch.stack([u**3, v**3, u**2, v**2, u * v, u, v, torch.ones_like(u)], dim=-1)


def _is_monotone(weights: Float[Tensor, "*b 4"], code: Float[Tensor, "*b n"]) -> Bool[Tensor, "*b"]:
    """Return whether the cubic never falls between the darkest and the brightest code."""
    cubic, square, linear, _ = weights.unbind(-1)
    ends = code.aminmax(dim=-1)
    # the slope is a parabola, so its least value is at an end or at the vertex; a straight line has no vertex
    vertex = (-square / (3 * cubic)).nan_to_num(0, 0, 0).clamp(ends.min, ends.max)
    slopes = [3 * cubic * at**2 + 2 * square * at + linear for at in (ends.min, vertex, ends.max)]
    return torch.stack(slopes).amin(dim=0) >= -_SLOPE_TOLERANCE


def _to_colours(absolute: Float[Tensor, "*b 3 h w"]) -> _Colours:
    xyz = _mix(absolute.new_tensor(_RGB_TO_XYZ), absolute.flatten(-2)).clamp(*_XYZ_RANGE_CD_M2)
    x, y, _ = (xyz / xyz.sum(dim=-2, keepdim=True)).unbind(-2)
    chroma = torch.stack([4 * x, 9 * y], dim=-1) / (-2 * x + 12 * y + 3).unsqueeze(-1)
    return _Colours(xyz[..., 1, :], chroma * _CHROMA_SCALE)


def _to_rgb(colours: _Colours) -> Float[Tensor, "*b 3 n"]:
    """Invert ``_to_colours``, up to the shape."""
    u, v = (colours.chroma / _CHROMA_SCALE).unbind(-1)
    per_v = colours.luminance / (4 * v)
    xyz = torch.stack([9 * u * per_v, colours.luminance, (12 - 3 * u - 20 * v) * per_v], dim=-2)
    return _mix(torch.linalg.inv(xyz.new_tensor(_RGB_TO_XYZ)), xyz.clamp(*_XYZ_RANGE_CD_M2)).clamp_min(0)


def _mix(matrix: Float[Tensor, "3 3"], channels: Float[Tensor, "*b 3 n"]) -> Float[Tensor, "*b 3 n"]:
    return torch.einsum("ij,...jn->...in", matrix, channels)
