"""Comparison of all systems: train what is missing, judge all on the test places, write tables and figure.

Usage: python experiments/comparison/compare.py [--root FOLDER] [--brackets FOLDER] [--out FOLDER] [--tables FOLDER]

The same command goes on with a study that was interrupted: what is complete is not done again.
"""

import argparse
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf

# how means are pooled over training seeds, and how real photographs are judged
sys.path.append(str(Path(__file__).parents[1] / "studies"))
sys.path.append(str(Path(__file__).parents[1] / "real_cameras"))

from charting import draw
from columns import AbstractColumn, PhotographColumn, VirtualColumn
from contenders import Contender, judge_missing, list_contenders
from pooling import Row
from tabulating import Cell, Column, as_markdown, tabulate
from trainings import Trained, train_missing

from ldr2hdr.io.files import replacing, write_json
from ldr2hdr.training.callbacks import provenance

HERE = Path(__file__).parent


def main(argv: Sequence[str] | None = None) -> None:
    """Run the study."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", type=Path, default=HERE / "comparison.yaml")
    parser.add_argument("--root", type=Path, help="panoramas with a manifest.csv; those of the package if left out")
    parser.add_argument("--brackets", type=Path, help="real brackets with an index.csv; no real column if left out")
    parser.add_argument("--seeds", type=int, nargs="+", help="fewer than the configuration asks for")
    parser.add_argument("--out", type=Path, default=Path("outputs/comparison"), help="runs and scores")
    parser.add_argument("--tables", type=Path, default=HERE, help="table.md, results.json, comparison.png")
    parser.add_argument("--train-only", action="store_true", help="do not judge yet")
    options = parser.parse_args(argv)
    torch.set_num_threads(1)
    study, out = OmegaConf.load(options.config), options.out.resolve()
    places = [] if options.root is None else [f"dataset.root='{options.root.resolve()}'"]
    trained = _train(study, options.seeds or study.seeds, places, out)
    if options.train_only:
        return
    contenders = list_contenders(study, trained)
    table = {
        column.name: tabulate(
            contenders, judge_missing(column, contenders, folder=out / "scores", tell=_tell), column.gauge
        )
        for column in _columns(study, places, options.brackets)
    }
    options.tables.mkdir(parents=True, exist_ok=True)
    text = as_markdown(table, contenders)
    with replacing(options.tables / "table.md") as temporary:
        temporary.write_text(text, encoding="utf-8")
    write_json(options.tables / "results.json", {**provenance(), **_record(table, contenders)})
    draw(options.tables / "comparison.png", table, contenders)
    print(text)


def _train(study: DictConfig, seeds: Sequence[int], places: Sequence[str], out: Path) -> list[dict[str, Trained]]:
    """Train all systems, seed by seed."""
    return [
        train_missing(
            study.trained,
            budget=[*study.budget, *places, f"seed={seed}"],
            folder=out / "trained" / f"seed{seed}",
            tell=_tell,
        )
        for seed in seeds
    ]


def _columns(study: DictConfig, places: Sequence[str], brackets: Path | None) -> Iterator[AbstractColumn]:
    for name, overrides in study.columns.items():
        yield VirtualColumn(str(name), [*overrides, *study.judging, *places])
    if brackets is not None:
        yield PhotographColumn("real", brackets, **study.real)


def _tell(line: str) -> None:
    print(line, flush=True)


def _record(table: Mapping[str, Column], contenders: Sequence[Contender]) -> dict[str, Any]:
    """Return the content of ``results.json``."""
    return {
        "systems": {
            one.label: {
                "kind": one.kind,
                "num_parameters": [run.num_parameters for run in one.trained[:1]],
                "cpu_s": [run.cpu_s for run in one.trained],
                "trained_at": [run.commit for run in one.trained],
            }
            for one in contenders
        },
        "columns": {
            name: {label: _cell(cell) for label, cell in column.cells.items()} for name, column in table.items()
        },
    }


def _cell(cell: Cell) -> dict[str, Any]:
    return {
        "stage": str(cell.best),
        "before": _numbers(cell.before),
        "after": None if cell.after is None else _numbers(cell.after),
        "means": {"/".join(key): _numbers(row) for key, row in cell.means.items()},
        "ours_minus_it": {"/".join(key): _numbers(row) for key, row in cell.ours_minus.items()},
    }


def _numbers(row: Row) -> list[float | None]:
    """Mean, low, high, then the mean of each training seed; JSON has no NaN."""
    values = (*row.summary.interval[:3], *row.by_seed)
    return [None if math.isnan(value) else round(value, 4) for value in values]


if __name__ == "__main__":
    main()
