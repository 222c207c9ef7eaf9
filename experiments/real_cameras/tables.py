"""Tables of errors on real photographs: means over cameras with bootstrap intervals over cameras."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from scoring import COLUMNS
from systems import CONSTANTS, FIT, SINGLE, TIMED, WHOLE

from ldr2hdr.metrics.bootstrap import Interval, bootstrap_difference, bootstrap_mean, is_undecided


class Row(NamedTuple):
    """One photograph by one system; errors in stops, NaN where not defined.

    ``is_shown`` is whether the truth of what clips is known: the darkest frame shows nine tenths of it.
    """

    kind: str
    label: str
    camera: str
    is_phone: bool
    is_shown: bool
    system: str
    refusal: str
    ok: float
    cast: float
    clip: float
    bias: float
    energy: float


def write_tables(path: Path, rows: Sequence[Row], *, titles: Mapping[str, str], seed: int) -> None:
    """Write Markdown: for each kind all cameras, dedicated ones and phones, paired differences, and by camera."""
    parts = []
    for kind, title in titles.items():
        chosen = [row for row in rows if row.kind == kind]
        if not chosen:
            continue
        parts.append(f"## {title}\n")
        groups = {"all cameras": chosen, "dedicated": [row for row in chosen if not row.is_phone]}
        groups["phones"] = [row for row in chosen if row.is_phone]
        groups["the darkest frame shows what clips"] = [row for row in chosen if row.is_shown]
        for name, group in groups.items():
            if group:
                parts += [f"### {name}\n", _means(group, seed=seed), _differences(group, seed=seed)]
        parts += ["### by camera: ok / clip\n", _by_camera(chosen), _refusals(chosen)]
    path.write_text("\n".join(parts) + "\n", encoding="utf-8")


def _means(rows: Sequence[Row], *, seed: int) -> str:
    lines = [f"| system | pictures | refused | {' | '.join(COLUMNS)} |", "|---" * (3 + len(COLUMNS)) + "|"]
    for system, own in _by_system(rows).items():
        cells = [_cell(_mean([getattr(row, column) for row in own], own, seed=seed)) for column in COLUMNS]
        refused = sum(bool(row.refusal) for row in own)
        lines.append(f"| {system} | {len(own)} | {refused or ''} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _differences(rows: Sequence[Row], *, seed: int) -> str:
    """Paired differences of the whole system to the others; ``?`` where the interval holds 0."""
    systems = _by_system(rows)
    lines = [f"| difference | {' | '.join(('ok', 'cast', 'clip'))} | worse in ok |", "|---|---|---|---|---|"]
    for other, theirs in systems.items():
        if (
            other == WHOLE
            or WHOLE not in systems
            or (other not in (FIT, SINGLE, CONSTANTS, TIMED) and "twice white" not in other)
        ):
            continue
        # two exposures of a scene may be one and the same: then there is nothing that OpenCV could fit
        labels = {row.label for row in theirs}
        ours, cells = [row for row in systems[WHOLE] if row.label in labels], []
        for column in ("ok", "cast", "clip"):
            pair = [torch.tensor([getattr(row, column) for row in own]).double() for own in (ours, theirs)]
            difference = bootstrap_difference(
                *pair, [row.camera for row in theirs], generator=torch.Generator().manual_seed(seed)
            )
            cells.append(_cell(difference, sign="+") + (" ?" if is_undecided(difference) else ""))
        worse = [own.ok > their.ok + 0.01 for own, their in zip(ours, theirs, strict=True)]
        lines.append(f"| {WHOLE} - {other} | {' | '.join(cells)} | {sum(worse)} of {len(worse)} |")
    return "\n".join(lines) + "\n" if len(lines) > 2 else ""


def _by_camera(rows: Sequence[Row]) -> str:
    systems = _by_system(rows)
    lines = [f"| camera | pictures | {' | '.join(systems)} |", "|---" * (2 + len(systems)) + "|"]
    for camera in sorted({row.camera for row in rows}):
        cells = []
        for own in systems.values():
            chosen = [row for row in own if row.camera == camera]
            cells.append(f"{_nanmean([row.ok for row in chosen]):.2f} / {_nanmean([row.clip for row in chosen]):.2f}")
        count = len({row.label for row in rows if row.camera == camera})
        lines.append(f"| {camera} | {count} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _refusals(rows: Sequence[Row]) -> str:
    refused = {row.label: row.refusal for row in rows if row.refusal}
    return "".join(f"- refused: {label}: {reason}\n" for label, reason in refused.items())


def _by_system(rows: Sequence[Row]) -> dict[str, list[Row]]:
    systems: dict[str, list[Row]] = {}
    for row in rows:
        systems.setdefault(row.system, []).append(row)
    return systems


def _mean(values: Sequence[float], rows: Sequence[Row], *, seed: int) -> Interval:
    generator = torch.Generator().manual_seed(seed)
    return bootstrap_mean(torch.tensor(values).double(), [row.camera for row in rows], generator=generator)


def _nanmean(values: Sequence[float]) -> float:
    return float(torch.tensor(values).nanmean())


def _cell(interval: Interval, *, sign: str = "") -> str:
    return f"{interval.mean:{sign}.2f} [{interval.low:{sign}.2f}, {interval.high:{sign}.2f}]"
