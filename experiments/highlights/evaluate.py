"""Judge a network of highlights on held-out places and curves, beside white and twice white.

    python experiments/highlights/evaluate.py --views .cache/highlights --dorf dorf201.npz [WEIGHTS]

Without weights those that ship are judged. Means over places, with 95 % intervals by a bootstrap over places; each
place is one of `places.csv`, each curve one of DoRF's that nothing was learned from.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from curves import Belief, read_curves
from judging import as_markdown, choose, judge, tabulate
from recipe import Recipe
from safetensors import safe_open
from safetensors.torch import load_file

from ldr2hdr.backbones.highlights.backbone import Highlights
from ldr2hdr.build import choose_device, load_learner
from ldr2hdr.inference.weights import SHIPPED
from ldr2hdr.io.files import write_json


def main(arguments: Sequence[str] | None = None) -> None:
    """Judge, print tables, and write them as JSON if asked to."""
    parser = held_out_parser(__doc__, beliefs=("fitted", "true", "charts"))
    parser.add_argument("--device")
    options = parser.parse_args(arguments)
    backbone, recipe = read_network(options.weights)
    scores = judge(
        backbone.to(choose_device(options.device)),
        choose(options.views, options.number, split=options.split),
        curves=read_curves(options.dorf),
        beliefs=options.beliefs,
        recipe=recipe,
    )
    tables = {belief: tabulate(scores, belief) for belief in options.beliefs}
    num_places = len({score.place for score in scores})
    for belief, table in tables.items():
        print(f"\n**{belief}**, {len(scores) // len(tables)} photographs, {num_places} places\n\n{as_markdown(table)}")
    if options.json:
        content = {belief: {name: cell._asdict() for name, cell in table.items()} for belief, table in tables.items()}
        write_json(options.json, content)


def held_out_parser(about: str | None, *, beliefs: Sequence[Belief]) -> argparse.ArgumentParser:
    """Return a parser of which network is judged on which photographs of held-out places."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights", type=Path, nargs="?", default=SHIPPED, help="by train.py, or weights of ldr2hdr")
    parser.add_argument("--views", type=Path, default=Path(".cache/highlights"), help="what render.py wrote")
    parser.add_argument("--dorf", type=Path, required=True, help="database of response curves, .npz")
    parser.add_argument("--split", choices=("val", "test"), default="val", help="test is for the last look")
    parser.add_argument("--number", type=int, default=180, help="of photographs")
    parser.add_argument("--beliefs", nargs="+", choices=get_args(Belief), default=beliefs)
    parser.add_argument("--json", type=Path, help="file to write")
    return parser


def read_network(path: Path) -> tuple[Highlights, Recipe]:
    """Read what `train.py` wrote, or weights of ldr2hdr with their gain; scales as learned, white at level 250."""
    with safe_open(path, framework="pt") as file:
        about = file.metadata() or {}
    if "recipe" in about:
        recipe = Recipe(**json.loads(about["recipe"]))
        backbone, state = recipe.build(), load_file(path)
    else:
        learner, config = load_learner(path)
        recipe = Recipe(work_px=config.backbone.work_px, widths=",".join(map(str, config.backbone.widths)))
        shipped, backbone = learner.model.backbone, recipe.build()
        state = shipped.net.state_dict()
        backbone.gain, backbone.offset_stops = shipped.gain, shipped.offset_stops
    backbone.net.load_state_dict(state)
    return backbone.eval(), recipe


if __name__ == "__main__":
    main()
