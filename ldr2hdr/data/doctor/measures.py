"""Tables of what was measured, over all scenes."""

import math
import statistics
from collections.abc import Iterator, Sequence
from typing import TypeAlias

from ldr2hdr.data.doctor.facts import ExposureFacts, SceneFacts

Row: TypeAlias = tuple[str, ...]


def measure_exposures(scenes: Sequence[SceneFacts]) -> Iterator[Row]:
    """Yield headings, then a row for each nominal EV and its source: EVs as measured, and what clips."""
    yield ("nominal EV", "by", "pictures", "measured, median", "range", "black", "white")
    groups: dict[tuple[float, str], list[ExposureFacts]] = {}
    for scene in scenes:
        for exposure in scene.exposures:
            # EVs that were estimated differ in every scene: only their order can be stated together
            ev = math.inf if exposure.ev_source == "pixels" else round(exposure.ev, 1)
            groups.setdefault((ev, exposure.ev_source), []).append(exposure)
    for (ev, source), exposures in sorted(groups.items()):
        measured = [exposure.measured_ev for exposure in exposures if exposure.measured_ev is not None]
        middle = _stops(statistics.median(measured)) if measured else "–"
        spread = f"{_stops(min(measured))} to {_stops(max(measured))}" if measured else "–"
        black = statistics.fmean(exposure.black for exposure in exposures)
        white = statistics.fmean(exposure.white for exposure in exposures)
        nominal = "–" if math.isinf(ev) else f"{ev:+.1f}"
        yield (nominal, source, str(len(exposures)), middle, spread, f"{black:.1%}", f"{white:.1%}")


def measure_hdrs(scenes: Sequence[SceneFacts]) -> Iterator[Row]:
    """Yield headings, then a row for each measure: number of scenes, least, median, largest."""
    yield ("", "scenes", "least", "median", "largest")
    hdrs = [scene.hdr for scene in scenes if scene.hdr is not None]
    measures: dict[str, tuple[str, list[float | None]]] = {
        "dynamic range, stops": (".1f", [hdr.range_stops for hdr in hdrs]),
        "brightest pixel above white, stops": ("+.1f", [hdr.peak_stops for hdr in hdrs]),
        "residual of the fit, stops": (".2f", [hdr.residual_stops for hdr in hdrs]),
        "scale": (".3g", [hdr.scale for hdr in hdrs]),
    }
    for name, (form, values) in measures.items():
        known = [value for value in values if value is not None]
        if known:
            numbers = (min(known), statistics.median(known), max(known))
            yield (name, str(len(known)), *(f"{number:{form}}" for number in numbers))


def _stops(value: float) -> str:
    """Write a number with its sign; that of 0 is plus."""
    return f"{round(value, 2) + 0.0:+.2f}"
