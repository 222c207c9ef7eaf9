"""Measure how right the light of real photographs is: ``python experiments/real_cameras/measure.py --data FOLDER``.

The folder holds stacks, each a folder with frames and ``exposures.csv``, and an ``index.csv`` that lists them. A
photograph is converted alone (single), with a profile from another scene by the same person's camera (cross), and with
two other frames of its scene (same). ``--chart FOLDER`` adds a colour chart photographed as JPEG and RAW; it needs the
``--curves``, of which the prior is fitted again without the camera that is judged.
"""

import argparse
import json
from collections.abc import Iterable, Iterator
from pathlib import Path

from chart import chart_rows
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from scoring import score
from stacks import Case, cross_cases, read_stacks, same_cases, single_cases
from systems import Converter
from tables import Row, write_tables

from ldr2hdr.training.callbacks import provenance

_TITLES = {
    "single": "Single photograph",
    "cross": "Profile from another scene by the same camera",
    "same": "Two other frames of the same scene",
    "chart": "Colour chart, against RAW, by priors that have not seen the camera",
}


def main() -> None:
    """Convert, score, and write ``rows.json`` and ``tables.md``."""
    args = _parse()
    converter = Converter(args.ckpt, args.curves)
    rows: list[Row] = []
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns) as progress:
        stacks = read_stacks(args.data, grades=args.grades, only=args.only)
        cases = {
            "single": list(single_cases(stacks)),
            "cross": list(cross_cases(stacks, max_pairs=args.max_pairs)),
            "same": list(same_cases(stacks)),
        }
        for kind in [kind for kind in args.kinds if kind in cases]:
            rows += _judge(kind, progress.track(cases[kind], description=kind), converter)
    if args.chart is not None:
        rows += chart_rows(args.chart, converter, curves=args.curves)
    args.out.mkdir(parents=True, exist_ok=True)
    about = provenance() | {"settings": {key: str(value) for key, value in vars(args).items()}}
    content = {"about": about, "rows": [row._asdict() for row in rows]}
    (args.out / "rows.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    write_tables(args.out / "tables.md", rows, titles=_TITLES, seed=args.seed)


def _judge(kind: str, cases: Iterable[Case], converter: Converter) -> Iterator[Row]:
    for case in cases:
        stack = case.stack
        for conversion in converter.conversions(case):
            errors = score(conversion.light, stack.truth, stack.frames[stack.query])
            about = (kind, case.label, stack.camera, stack.is_phone, stack.is_shown)
            yield Row(*about, conversion.system, conversion.refusal, *errors)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with index.csv and the stacks")
    parser.add_argument("--chart", type=Path, help="folder with a colour chart by several cameras")
    parser.add_argument("--curves", type=Path, help="dorf201.npz, for the median real curve")
    parser.add_argument("--ckpt", type=Path, help="checkpoint or weights; those that ship if left out")
    parser.add_argument("--out", type=Path, default=Path("outputs/real_cameras"))
    parser.add_argument("--kinds", nargs="*", default=["single", "cross", "same"], choices=["single", "cross", "same"])
    parser.add_argument("--grades", default="AB")
    parser.add_argument("--only", default="", help="stacks or cameras whose name holds this")
    parser.add_argument("--max-pairs", type=int, help="most ordered pairs of one camera; all if left out")
    parser.add_argument("--seed", type=int, default=0, help="of the bootstrap")
    args = parser.parse_args()
    if args.chart is not None and args.curves is None:
        parser.error("--chart needs --curves, to refit the prior without the camera that is judged")
    return args


if __name__ == "__main__":
    main()
