"""Comparison of all systems: train what is missing, judge all on the test places, writes table and figure.

Usage: python experiments/comparison/compare.py [--config FILE] [--out FOLDER] [--tables FOLDER]

The same command goes on with a study that was interrupted: what is complete is not done again.
"""

import argparse
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from charting import draw
from columns import Entry, judge_missing, list_entries
from omegaconf import OmegaConf
from tabulating import Cell, as_markdown, tabulate
from trainings import train_missing

from ldr2hdr.io.files import replacing
from ldr2hdr.metrics.bootstrap import Interval
from ldr2hdr.training.callbacks import provenance

HERE = Path(__file__).parent


def main(argv: Sequence[str] | None = None) -> None:
    """Run the study."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", type=Path, default=HERE / "comparison.yaml")
    parser.add_argument("--out", type=Path, default=Path("outputs/comparison"), help="runs, scores, pictures")
    parser.add_argument("--tables", type=Path, default=HERE, help="table.md, results.json, comparison.png")
    parser.add_argument("--root", type=Path, help="panoramas with a manifest.csv; those of the package if left out")
    parser.add_argument("--train-only", action="store_true", help="do not judge yet")
    options = parser.parse_args(argv)
    torch.set_num_threads(1)
    study, out = OmegaConf.load(options.config), options.out.resolve()
    places = [] if options.root is None else [f"dataset.root='{options.root.resolve()}'"]
    trained = {
        seed: train_missing(
            study.trained,
            budget=[*study.budget, *places, f"seed={seed}"],
            folder=out / "trained" / f"seed{seed}",
            tell=print,
        )
        for seed in study.seeds
    }
    if options.train_only:
        return
    judged = judge_missing(study, trained, folder=out, tell=print)
    stages = list(dict.fromkeys(stage for one in judged.values() for stage in one.stages()))
    entries = list_entries(study, trained, stages)
    table = tabulate(entries, judged)
    options.tables.mkdir(parents=True, exist_ok=True)
    text = as_markdown(table, entries)
    with replacing(options.tables / "table.md") as temporary:
        temporary.write_text(text, encoding="utf-8")
    with replacing(options.tables / "results.json") as temporary:
        temporary.write_text(json.dumps({**provenance(), **_record(table, entries)}) + "\n", encoding="utf-8")
    draw(options.tables / "comparison.png", table, entries)
    print(text)


def _record(table: Mapping[str, Mapping[str, Cell]], entries: Sequence[Entry]) -> dict[str, Any]:
    """Return the content of ``results.json``."""
    return {
        "systems": {
            entry.label: {
                "kind": entry.kind,
                "num_parameters": None if entry.trained is None else entry.trained.num_parameters,
                "cpu_s": None if entry.trained is None else entry.trained.cpu_s,
            }
            for entry in entries
        },
        "columns": {column: {label: _cell(cell) for label, cell in cells.items()} for column, cells in table.items()},
    }


def _cell(cell: Cell) -> dict[str, Any]:
    return {
        "stage": str(cell.best),
        "pu_psnr_before": _numbers(cell.before),
        "pu_psnr_after": None if cell.after is None else _numbers(cell.after),
        "means": {"/".join(key): _numbers(interval) for key, interval in cell.means.items()},
        "ours_minus_it": {"/".join(key): _numbers(interval) for key, interval in cell.ours_minus.items()},
    }


def _numbers(interval: Interval) -> list[float | None]:
    """Mean, low, high; JSON has no NaN."""
    return [None if math.isnan(value) else round(value, 4) for value in interval[:3]]


if __name__ == "__main__":
    main()
