"""Compare recipes at a small budget: train each, judge all on the same photographs, write table and figure to README.

    python experiments/highlights/ablation.py --views .cache/highlights --dorf dorf201.npz

200 steps each by default, 5 minutes of a core; an interrupted comparison goes on. Another idea is one line of
`VARIANTS`.
"""

import argparse
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from curves import read_curves
from judging import Score, choose, compare, judge, tabulate
from matplotlib.figure import Figure
from recipe import Recipe
from train import Run, averaged, train

from ldr2hdr.build import choose_device
from ldr2hdr.io.files import replacing
from ldr2hdr.metrics.bootstrap import Interval, is_undecided
from ldr2hdr.training.callbacks import provenance

VARIANTS: Final[Mapping[str, dict[str, Any]]] = {
    "as shipped": {},
    "levels over white as the places have them": {"level": 0.0},
    "half of the level drawn": {"level": 0.5},
    "seen at 64 px": {"work_px": 64},
    "seen at 192 px": {"work_px": 192},
    "half the widths": {"widths": "8,16,24,32,48"},
    "twice the widths": {"widths": "32,64,96,128,192"},
    "3 scales: less context": {"widths": "16,32,48"},
    "one scale for both sides": {"law": "symmetric"},
    "fixed scales": {"law": "fixed"},
    "no censoring": {"censoring": "off"},
    "no views of more than 1 % glare": {"max_glare": 0.01},
    "a quarter of the places": {"places": 0.25},
    "half of the places": {"places": 0.5},
    "views as rendered": {"sampling": "plain"},
    "no stretch": {"stretch": 0.0},
    "stretch of 30 %": {"stretch": 0.3},
    "no label noise": {"label_noise_stops": 0.0},
    "another seed": {"seed": 2},
}
_FOLDER: Final = Path(__file__).parent
_ALONG_THE_WAY: Final = 24  # held-out photographs of a learning curve
_MEASURES: Final = ("likelihood", "median error", "median bias", "mean energy", "inside")


def main(arguments: Sequence[str] | None = None) -> None:
    """Train, judge, and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--views", type=Path, default=Path(".cache/highlights"), help="what render.py wrote")
    parser.add_argument("--dorf", type=Path, required=True, help="database of response curves, .npz")
    parser.add_argument("--out", type=Path, default=Path("outputs/highlights_ablation"), help="folder of the runs")
    parser.add_argument(
        "--readme", type=Path, default=_FOLDER / "README.md", help="its part between the marks is replaced"
    )
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--number", type=int, default=120, help="of held-out photographs")
    parser.add_argument("--only", nargs="+", choices=VARIANTS, default=list(VARIANTS), metavar="VARIANT")
    parser.add_argument("--device")
    options = parser.parse_args(arguments)
    curves, device = read_curves(options.dorf), choose_device(options.device)
    chosen = choose(options.views, options.number)
    runs, scores = {}, {}
    for name in options.only:
        recipe = replace(Recipe(steps=options.steps), **VARIANTS[name])
        out = options.out / re.sub(r"\W+", "_", name)
        every = max(1, options.steps // 4)
        runs[name] = train(
            recipe,
            views=options.views,
            curves=curves,
            out=out,
            validate_every=every,
            photographs=(_ALONG_THE_WAY, _ALONG_THE_WAY),
            device=device,
        )
        network = averaged(runs[name], recipe)
        scores[name] = judge(network, chosen, curves=curves, beliefs=("fitted",), recipe=recipe)
    draw(options.readme.with_name("learning.png"), runs)
    text = f"{options.steps} steps each, {options.number} photographs, commit `{str(provenance()['commit'])[:10]}`."
    write_between_marks(options.readme, f"{text}\n\n{as_markdown(scores)}\n\n![Learning curves](learning.png)")


def as_markdown(scores: Mapping[str, Sequence[Score]]) -> str:
    """Write a row for each variant; brackets: difference from the first, on the same photographs; ``?``: undecided."""
    first = next(iter(scores.values()))
    lines = ["| | nats | error | bias | energy of the mean | within 68 % |", "|---|---|---|---|---|---|"]
    for name, own in scores.items():
        table = tabulate(own, "fitted")
        cells = [f"{table[measure].mean:.3f}" for measure in _MEASURES]
        if own is not first:
            for place, measure in enumerate(_MEASURES[:2]):
                cells[place] += f" ({_signed(compare((own, measure), (first, measure)))})"
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def draw(path: Path, runs: Mapping[str, Run]) -> None:
    """Draw held-out error along the steps of each variant, and the loss of training, smoothed."""
    figure = Figure(figsize=(11, 4.5), dpi=100, layout="constrained", facecolor="white")
    loss, held_out = figure.subplots(1, 2)
    for number, (name, run) in enumerate(runs.items()):
        style = {"color": f"C{number % 10}", "linestyle": ("-", "--", ":")[number // 10 % 3], "label": name}
        width = max(1, len(run.losses) // 10)
        loss.plot(np.convolve(run.losses, np.ones(width) / width, mode="valid"), **style)
        points = [(entry["step"], entry["held_out"]["fitted"]["median error"]) for entry in run.curve]
        held_out.plot(*zip(*points, strict=True), marker=".", **style)
    loss.set(xlabel="step", ylabel="loss, nats (laws differ in scale)", title="training")
    held_out.set(xlabel="step", ylabel="error of the median, stops", title="held-out places")
    figure.legend(*held_out.get_legend_handles_labels(), loc="outside right", fontsize=8)
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png")


def write_between_marks(path: Path, text: str) -> None:
    """Replace what a Markdown file has between the marks ``<!-- ablation -->`` and ``<!-- end -->``.

    Raises:
        ValueError: If it has no such marks.
    """
    whole = path.read_text(encoding="utf-8")
    begin, end = "<!-- ablation -->", "<!-- end -->"
    if begin not in whole or end not in whole:
        raise ValueError(f"expected the marks {begin} and {end} in {path}")
    before, _, rest = whole.partition(begin)
    with replacing(path) as temporary:
        temporary.write_text(f"{before}{begin}\n{text}\n{end}{rest.partition(end)[2]}", encoding="utf-8")


def _signed(difference: Interval) -> str:
    return f"{difference.mean:+.3f}{' ?' if is_undecided(difference) else ''}"


if __name__ == "__main__":
    main()
