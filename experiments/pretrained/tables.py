"""Tables of the model card: ``python experiments/pretrained/tables.py EVALUATION_FOLDER``."""

import sys
from collections.abc import Sequence
from pathlib import Path

from ldr2hdr.evaluation.results import read_scores
from ldr2hdr.evaluation.scoring import Summary, compare, summarize
from ldr2hdr.evaluation.stages import Stage

COLUMNS = {
    ("pu_psnr", "all"): "PU21-PSNR all, dB",
    ("pu_psnr", "well_exposed"): "well-exposed",
    ("pu_psnr", "clipped"): "clipped",
    ("log2_rmse", "all"): "RMSE all, stops",
}
SINGLE, ADAPTED = Stage("fomaml", "single-shot"), Stage("fomaml", "adapted", 3)
PAIRS = [
    (SINGLE, Stage("inverse gamma 2.2")),
    (SINGLE, Stage("inverse_srgb")),
    (SINGLE, Stage("start", "single-shot")),
    (ADAPTED, SINGLE),
    (ADAPTED, Stage("response fit")),
    (ADAPTED, Stage("untrained", "adapted", 0)),
    (ADAPTED, Stage("fomaml", "adapted", 0)),
    (ADAPTED, Stage("start", "adapted", 3)),
]
SETTINGS = {"seed": 2, "num_resamples": 2000}


def print_table(rows: Sequence[Summary], *, sign: str = "") -> None:
    """One line for each system; a difference whose interval holds 0 is marked."""
    cells = {(row.name, row.metric, row.region): row.interval for row in rows}
    for name in dict.fromkeys(row.name for row in rows):
        texts = []
        for key in COLUMNS:
            found, digits = cells[name, *key], 1 if key[0] == "pu_psnr" else 2
            mark = " ?" if sign and found.low <= 0 <= found.high else ""
            low, high = f"{found.low:{sign}.{digits}f}", f"{found.high:{sign}.{digits}f}"
            texts.append(f"{found.mean:{sign}.{digits}f} [{low}, {high}]{mark}")
        print(f"| {name} | {' | '.join(texts)} |")


def main(folder: Path) -> None:
    """Print the means, and below them the paired differences, of each camera family and range."""
    scores = [score for score in read_scores(folder / "scores.csv") if (score.metric, score.region) in COLUMNS]
    for family, ranges in dict.fromkeys((score.camera_family, score.ranges) for score in scores):
        chosen = [score for score in scores if (score.camera_family, score.ranges) == (family, ranges)]
        print(f"\n**{family}, {ranges} ranges**\n\n| system | {' | '.join(COLUMNS.values())} |")
        print("|---" * (len(COLUMNS) + 1) + "|")
        print_table(summarize(chosen, **SETTINGS))
        print_table(compare(chosen, PAIRS, **SETTINGS), sign="+")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
