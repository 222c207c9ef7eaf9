"""Drawings of the doctor's page, as SVG inside of it."""

from collections.abc import Sequence
from html import escape
from typing import Final

import torch

from ldr2hdr.calibration.curve import MIN_LEVEL
from ldr2hdr.data.cameras.crf import SrgbCurve
from ldr2hdr.data.doctor.diagnosis import Response

_WIDTH, _HEIGHT = 300, 190
_LEFT, _RIGHT, _TOP, _BOTTOM = 30, 8, 8, 30
_DARKEST_STOPS: Final = -10
_STEP: Final = 5


def draw_response(response: Response) -> str:
    """Level over sensor exposure in stops below white, one line per channel, beside sRGB."""
    levels = torch.arange(MIN_LEVEL, 256, _STEP).tolist()
    srgb = SrgbCurve().inverse(torch.arange(256).view(1, 1, 256).expand(3, 1, 256) / 255.0)[0, 0].log2()
    lines = [f'<path class="srgb" d="{_line(srgb.tolist(), levels)}"/>']
    lines += [
        f'<path class="c{channel}" d="{_line(curve, levels)}"/>'
        for channel, curve in enumerate(response.curve.tolist())
    ]
    name = escape(f"response of {response.camera}: level over stops below white")
    return f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{name}">{_axes()}{"".join(lines)}</svg>'


def _line(stops: Sequence[float], levels: Sequence[int]) -> str:
    seen = [(_x(stops[level]), _y(level)) for level in levels if stops[level] >= _DARKEST_STOPS]
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in seen) if seen else "M0 0"


def _axes() -> str:
    parts = []
    for stops in range(_DARKEST_STOPS, 1, 2):
        x = _x(stops)
        parts.append(f'<path class="grid" d="M{x:.1f} {_TOP}V{_HEIGHT - _BOTTOM}"/>')
        parts.append(f'<text x="{x:.1f}" y="{_HEIGHT - _BOTTOM + 13}" text-anchor="middle">{stops}</text>')
    for level in (0, 64, 128, 192, 255):
        y = _y(level)
        parts.append(f'<path class="grid" d="M{_LEFT} {y:.1f}H{_WIDTH - _RIGHT}"/>')
        parts.append(f'<text x="{_LEFT - 5}" y="{y + 3.5:.1f}" text-anchor="end">{level}</text>')
    middle = (_LEFT + _WIDTH - _RIGHT) / 2
    parts.append(f'<text x="{middle:.1f}" y="{_HEIGHT - 4}" text-anchor="middle">stops below white</text>')
    return "".join(parts)


def _x(stops: float | int) -> float:
    return _LEFT + (_WIDTH - _LEFT - _RIGHT) * (1 - min(stops, 0.0) / _DARKEST_STOPS)


def _y(level: float | int) -> float:
    return _TOP + (_HEIGHT - _TOP - _BOTTOM) * (1 - level / 255)
