"""Page about a profile: the curve with its band, and what it can be judged by; ``curve_page.html`` writes it."""

import itertools
import math
from pathlib import Path
from typing import Final

import torch
from jaxtyping import Float
from torch import Tensor

from ldr2hdr.evaluation.report.svg import Charts, Drawing, Frame, Point, Series, Tick, span, ticks
from ldr2hdr.inference.profiles.checking import BAND_LEVELS, GAPS_STOPS
from ldr2hdr.inference.profiles.files import Profile
from ldr2hdr.inference.profiles.verification import Verification
from ldr2hdr.io.files import replacing
from ldr2hdr.io.html import render
from ldr2hdr.radiometry import decode_srgb

# Levels that are drawn: log2 of the level, below which a curve is what the prior has it
_LEVELS: Final = (*range(4, 32, 2), *range(32, 251, 4), 250)
_MARKS: Final = (4, 8, 16, 32, 64, 128, 250)
_CHANNELS: Final = (("red", 5), ("green", 2), ("blue", 0))
_GREY: Final = 7
_SECOND: Final = 4


def write_page(path: Path, profile: Profile, *, title: str) -> None:
    """Write the page.

    Args:
        path: The page.
        profile: With a verified curve.
        title: Heading of the page.

    Raises:
        ValueError: If the profile has no verified curve.
        OSError: If it cannot be written.
    """
    curve = require_curve(profile)
    page = render(
        "cli/curve_page.html",
        title=title,
        profile=profile,
        curve=curve,
        is_checked=math.isfinite(curve.error),
        curves=Charts([_draw_curve(curve, colour) for colour in range(3)], _legend()),
        channels=[name for name, _ in _CHANNELS],
        residuals=Charts([_draw_levels(curve), _draw_gaps(curve)], _legend_of_check()),
        grey=curve.grey.tolist(),
        spread=None if curve.spread is None else curve.spread.tolist(),
        scenes=_draw_repeatability(curve),
    )
    with replacing(path) as temporary:
        temporary.write_text(page, encoding="utf-8")


def require_curve(profile: Profile) -> Verification:
    """Return the verified curve of a profile.

    Raises:
        ValueError: If it has none.
    """
    if profile.verification is None:
        raise ValueError(
            "the profile has no verified curve: it was made by an earlier ldr2hdr, or for a model that has none; make "
            "it anew by `ldr2hdr adapt`"
        )
    return profile.verification


def _draw_curve(curve: Verification, colour: int) -> Drawing:
    name, number = _CHANNELS[colour]
    values, deviation = curve.curve[:, colour], curve.deviation[:, colour]
    linear = decode_srgb(torch.arange(256) / 255).clamp_min(2.0**-13).log2()
    series = [
        Series("sRGB", _points(linear - linear[250]), _GREY, "plain"),
        Series("prior", _points(curve.prior[:, colour]), _SECOND, "dashed"),
        Series("lower end of the 95 % band", _points(values - 1.96 * deviation), number, "faint"),
        Series("upper end of the 95 % band", _points(values + 1.96 * deviation), number, "faint"),
        Series(name, _points(values), number, "plain"),
    ]
    return _chart(f"{name}: exposure by level", series, "level, logarithmic")


def _draw_repeatability(curve: Verification) -> Charts | None:
    if len(curve.scenes) < 2:
        return None
    names = [(scene.name, number, "plain") for number, scene in enumerate(curve.scenes)]
    return Charts([_draw_scenes(curve, colour) for colour in range(3)], [*names, ("95 % band", _GREY, "faint")])


def _draw_scenes(curve: Verification, colour: int) -> Drawing:
    name, _ = _CHANNELS[colour]
    own = [
        Series(scene.name, _points(values[:, colour] - curve.curve[:, colour]), place, "plain")
        for place, (scene, values) in enumerate(zip(curve.scenes, curve.of_scenes, strict=True))
    ]
    band = [Series("95 % band", _points(sign * 1.96 * curve.deviation[:, colour]), _GREY, "faint") for sign in (-1, 1)]
    return _chart(f"{name}: each scene's own curve, less the profile's", [*band, *own], "level, logarithmic")


def _draw_levels(curve: Verification) -> Drawing:
    centres = [(number + 0.5) * BAND_LEVELS for number in range(len(curve.by_level))]
    series = [
        Series(name, [Point(x, y) for x, y in zip(centres, curve.by_level[:, place].tolist(), strict=True)], number)
        for place, (name, number) in enumerate(_CHANNELS)
    ]
    frame = Frame((0.0, 255.0), span(point.y for one in series for point in [*one.seen, Point(0, 0)]))
    marks = [Tick(float(level), str(level)) for level in range(0, 256, 64)]
    return Drawing(
        "What was kept out, by level: median error",
        "median error by level and channel",
        frame,
        marks,
        "level",
        series,
        ticks(*frame.y),
        unit="stops",
    )


def _draw_gaps(curve: Verification) -> Drawing:
    centres = [(low + high) / 2 for low, high in itertools.pairwise(GAPS_STOPS)]
    series = [
        Series(name, [Point(x, y) for x, y in zip(centres, curve.by_gap[:, place].tolist(), strict=True)], number)
        for place, (name, number) in enumerate((("profile", _GREY), ("prior", _SECOND)))
    ]
    highest = max((point.y for one in series for point in one.seen), default=1.0)
    frame = Frame((0.0, GAPS_STOPS[-1]), (0.0, 1.1 * highest or 1.0))
    return Drawing(
        "What was kept out, by stops between exposures: median distance",
        "median distance by stops between exposures",
        frame,
        [Tick(gap, f"{gap:g}") for gap in GAPS_STOPS],
        "stops between exposures",
        series,
        ticks(*frame.y),
        unit="stops",
    )


def _chart(caption: str, series: list[Series], label: str) -> Drawing:
    frame = Frame((math.log2(_MARKS[0]), math.log2(_MARKS[-1])), span(point.y for one in series for point in one.seen))
    marks = [Tick(math.log2(level), str(level)) for level in _MARKS]
    return Drawing(caption, caption, frame, marks, label, series, ticks(*frame.y), unit="stops")


def _points(values: Float[Tensor, "256"]) -> list[Point]:
    return [Point(math.log2(level), float(values[level])) for level in _LEVELS]


def _legend() -> list[tuple[str, int, str]]:
    return [
        ("profile", 0, "plain"),
        ("its 95 % band", 0, "faint"),
        ("prior", _SECOND, "dashed"),
        ("sRGB", _GREY, "plain"),
    ]


def _legend_of_check() -> list[tuple[str, int, str]]:
    return [
        *((name, number, "line") for name, number in _CHANNELS),
        ("profile", _GREY, "line"),
        ("prior", _SECOND, "line"),
    ]
