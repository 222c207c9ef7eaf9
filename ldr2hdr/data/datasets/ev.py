"""Exposures of a scene in stops, by the most trustworthy source that has them all.

The order of trust: an explicit file, EXIF, the names, and last the pixels (`measured`). Where two sources have them,
they are compared.
"""

import csv
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from ldr2hdr.data.datasets.headers import Setting
from ldr2hdr.data.datasets.record import EvSource, Frame, Problem
from ldr2hdr.io.shot import Shot

EXPOSURES_FILE: Final = "exposures.csv"
_COLUMNS: Final = ("file", "exposure_time_s", "ev")
_COMPARED: Final = ("f_number", "iso")
# EXIF rounds times to the marks of the dial: 1/60 s stands for 1/64 s
_TOLERANCE_STOPS: Final = 0.4
# `_-2`, `_+1.5`, `EV-2`, `ev0`. Not `img-1`: there the sign is a hyphen, and the number counts.
_NAME: Final = re.compile(
    r"(?:(?<=[_ ])|^)[+-](?P<signed>\d+(?:[.,]\d+)?)(?=$|[_ ])"
    r"|(?:(?<=[_ .-])|^)ev[_ ]?(?P<tagged>[+-]?\d+(?:[.,]\d+)?)(?=$|[_ ])",
    re.IGNORECASE,
)


_SECONDS: Final = re.compile(r"\s*(?:s|sec|secs|seconds)\.?$", re.IGNORECASE)


class Told(NamedTuple):
    """Exposures of a scene by one source.

    Attributes:
        source: Which one.
        settings: By file; files that it says nothing of are missing.
        is_relative: Whether the numbers are EVs in their own right, or physical ones, of which only differences count.
    """

    source: EvSource
    settings: Mapping[Path, Setting]
    is_relative: bool = True


class Resolved(NamedTuple):
    """Exposures from dark to bright, empty if no source has all of them, and what is wrong with the sources."""

    exposures: tuple[Frame, ...]
    problems: tuple[Problem, ...]


def resolve_exposures(paths: Sequence[Path], told: Sequence[Told]) -> Resolved:
    """Take the first source that has a different value for each exposure, and compare it with the others.

    Args:
        paths: The exposures in any order.
        told: Sources in order of trust.
    """
    usable = [source for source in told if _tells_all(source, paths)]
    if not usable:
        if len(paths) == 1:
            return Resolved((Frame(paths[0], 0.0, "pixels"),), ())
        return Resolved((), ())
    chosen = usable[0]
    offset = 0.0 if chosen.is_relative else _middle([chosen.settings[path].ev for path in paths])
    exposures = [
        Frame(path, chosen.settings[path].ev - offset, chosen.source, chosen.settings[path].exposure_time_s)
        for path in paths
    ]
    problems = [problem for other in usable[1:] for problem in _compare(paths, chosen, other)]
    return Resolved(sort_exposures(exposures), tuple(problems))


def sort_exposures(exposures: Iterable[Frame]) -> tuple[Frame, ...]:
    """From dark to bright, and by name where two are equal."""
    return tuple(sorted(exposures, key=lambda exposure: (exposure.ev, exposure.path.name)))


def ev_in_name(stem: str) -> float | None:
    """Return the EV in a file name, by a sign or the letters EV; None if there is none, or two.

    Example:
        >>> ev_in_name("garden_+1.5"), ev_in_name("EV-2"), ev_in_name("garden_ev0"), ev_in_name("img-3")
        (1.5, -2.0, 0.0, None)
    """
    found = list(_NAME.finditer(stem))
    if len(found) != 1:
        return None
    return float((found[0]["tagged"] or found[0][0]).replace(",", "."))


def tell_by_names(paths: Iterable[Path]) -> Told:
    """Return EVs of those files that have one in their names."""
    evs = {path: ev_in_name(path.stem) for path in paths}
    return Told("name", {path: Setting(ev) for path, ev in evs.items() if ev is not None})


def tell_by_exif(shots: Mapping[Path, Shot]) -> Told:
    """Return EVs of exposures by EXIF; none if aperture or ISO is known of some only, or ISO only as 65535 or more.

    What no exposure says is taken as equal.

    Args:
        shots: Of all exposures of a scene, by file.
    """
    is_comparable = all(len({getattr(shot, name) is None for shot in shots.values()}) <= 1 for name in _COMPARED)
    if not is_comparable or any(shot.is_iso_capped for shot in shots.values()):
        return Told("exif", {}, is_relative=False)
    settings = {path: Setting(shot.ev, shot.exposure_time_s) for path, shot in shots.items() if shot.ev is not None}
    return Told("exif", settings, is_relative=False)


def tell_by_csv(path: Path) -> Told:
    """Read EVs of an ``exposures.csv`` with the columns ``file`` and ``exposure_time_s`` or ``ev``.

    As people and their programs write it: separated by commas, semicolons or tabs, with blanks, with times such as
    ``1/60``, with decimal commas if they separate nothing else.

    Args:
        path: The file; the names in it are relative to its folder.

    Raises:
        ValueError: If a column is missing, or a value is no number, or a time is not positive.
    """
    rows = _read_rows(path)
    settings: dict[Path, Setting] = {}
    has_times = bool(rows) and "exposure_time_s" in rows[0]
    for row in rows:
        value = _number(row.get("exposure_time_s" if has_times else "ev"))
        name = row.get("file", "").replace("\\", "/")
        if not name or value is None or (has_times and value <= 0):
            raise ValueError(
                "expected the columns file and exposure_time_s (positive, such as 0.0166 or 1/60) or ev, each with a "
                f"value, got {row}: {path}"
            )
        if path.parent / name in settings:
            raise ValueError(f"expected one line for each file, got two for {name}: {path}")
        settings[path.parent / name] = Setting(math.log2(value), value) if has_times else Setting(value)
    return Told("file", settings, is_relative=not has_times)


def _read_rows(path: Path) -> list[dict[str, str]]:
    """Rows by column, without blanks around names and values, and without empty lines."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"expected a text file in UTF-8: {path}") from error
    lines = [line for line in text.splitlines() if line.strip(" ;,\t") and not line.lstrip().startswith("#")]
    if lines and lines[0].lower().startswith("sep="):  # of Excel
        del lines[0]
    delimiter = next((delimiter for delimiter in (";", "\t") if lines and delimiter in lines[0]), ",")
    cells = csv.reader(lines, delimiter=delimiter, skipinitialspace=True)
    columns, *rows = [[value.strip() for value in line] for line in cells] or [[]]
    names = [column.lower() for column in columns]
    for row in rows:
        # 1,5 is two values; a remark behind the last one is none
        is_split = any(cell[:1].isdecimal() for cell in row[len(names) :])
        if is_split or any(names.count(name) > 1 for name in _COLUMNS):
            raise ValueError(
                f"expected one value for each of the columns {', '.join(names)}, each named once, got "
                f"{', '.join(row)}; write decimal points, or separate the columns by semicolons: {path}"
            )
    return [dict(zip(names, row, strict=False)) for row in rows]


def tell_by_text(path: Path, paths: Sequence[Path]) -> Told:
    """Read EVs of a text file or an array, one number for each of the exposures in the order given.

    Args:
        path: ``.txt`` with numbers between blanks, or ``.npy``.
        paths: The exposures in the order that the set's documentation names.

    Raises:
        ValueError: If the file holds another count, or what is no number.
    """
    try:
        values = (
            np.load(path, allow_pickle=False)
            if path.suffix == ".npy"
            else np.array(path.read_text(encoding="utf-8-sig").split(), float)
        )
    except (ValueError, EOFError, OSError) as error:
        raise ValueError(f"expected {len(paths)} EVs, cannot read them: {path}") from error
    if values.size != len(paths) or not np.isfinite(values).all():
        raise ValueError(f"expected {len(paths)} EVs, got {values.ravel().tolist()}: {path}")
    evs = (float(value) for value in values.ravel())
    return Told("file", {exposure: Setting(ev) for exposure, ev in zip(paths, evs, strict=True)})


def _tells_all(told: Told, paths: Sequence[Path]) -> bool:
    if not all(path in told.settings for path in paths):
        return False
    # developed from one raw file, or cut from one picture, all exposures carry the same EXIF
    evs = {round(told.settings[path].ev, 3) for path in paths}
    return told.source == "file" or len(evs) == len(paths)


def _middle(evs: Sequence[float]) -> float:
    return sorted(evs)[(len(evs) - 1) // 2]


def _compare(paths: Sequence[Path], chosen: Told, other: Told) -> list[Problem]:
    differences = [other.settings[path].ev - chosen.settings[path].ev for path in paths]
    offset = _middle(differences)
    return [
        Problem(
            "ev_mismatch",
            path,
            f"by {other.source}, the exposure is {difference - offset:+.2f} stops off what it is by {chosen.source}, "
            "which was taken",
        )
        for path, difference in zip(paths, differences, strict=True)
        if abs(difference - offset) > _TOLERANCE_STOPS
    ]


def _number(text: str | None) -> float | None:
    """A number or a fraction, of seconds or none; None if it is neither or not finite."""
    plain = _SECONDS.sub("", (text or "").replace(",", ".").replace("\N{MINUS SIGN}", "-"))
    above, is_fraction, below = plain.partition("/")
    try:
        value = float(above) / (float(below) if is_fraction else 1.0)
    except (ValueError, ZeroDivisionError):
        return None
    return value if math.isfinite(value) else None
