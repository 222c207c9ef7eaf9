"""Train optics and decoder end to end, judge them beside a camera without optics, write tables and pictures.

Usage: python experiments/deep_optics/train.py [--steps N] [--seed S] [--out FOLDER]

The same command goes on with a run that was interrupted.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import torch
from drawing import draw_optics
from judging import as_markdown, reconstruct, score_views, tabulate, take_pictures
from rich.console import Console
from rich.progress import Progress
from systems import ARMS, NAMES, Arm, CodedCamera, Design, build_camera
from training import Budget, settings_of, train
from views import Views, look, lost_light

from ldr2hdr.data.scenes.sources import PanoramaSource
from ldr2hdr.evaluation.figures import draw_panel
from ldr2hdr.evaluation.results import write_results
from ldr2hdr.evaluation.stages import Stage
from ldr2hdr.io.files import replacing
from ldr2hdr.tasks import Shots
from ldr2hdr.training.callbacks import provenance

_COMPARED: Final[tuple[tuple[Arm, Arm], ...]] = (
    ("free", "none"),
    ("fixed", "none"),
    ("free", "fixed"),
    ("height", "lens"),
    ("height", "none"),
)
_TEST_SEED: Final = 2
# how many test views are drawn for each one kept
_KINDS: Final = {"lamps": 8, "ordinary": 1}


def main(argv: Sequence[str] | None = None) -> None:
    """Run the study."""
    options = parse(argv)
    torch.set_num_threads(1)
    options.out.mkdir(parents=True, exist_ok=True)
    source = PanoramaSource(cache_dir=options.cache)
    cameras, cpu_s = train_all(source, options)
    judge(source, cameras, options, cpu_s=cpu_s)


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=2500, help="of each of the five arms")
    parser.add_argument("--seed", type=int, default=0, help="of views, batches, noise and decoder")
    parser.add_argument("--out", type=Path, default=Path("outputs/deep_optics"))
    parser.add_argument("--cache", type=Path, default=Path(".cache/ldr2hdr"), help="decoded panoramas")
    parser.add_argument("--crop-px", type=int, default=64)
    parser.add_argument("--psf-px", type=int, default=47)
    parser.add_argument("--widths", type=int, nargs="+", default=[16, 32, 64, 128], help="of the U-Net")
    parser.add_argument("--views", type=int, default=32, help="kept of each training place")
    parser.add_argument("--test-views", type=int, default=8, help="of each test place and kind")
    return parser.parse_args(argv)


def train_all(source: PanoramaSource, options: argparse.Namespace) -> tuple[dict[str, CodedCamera], dict[str, float]]:
    """Train every arm on the same views; cameras and seconds by name."""
    design = Design(psf_px=options.psf_px, widths=tuple(options.widths))
    budget = Budget(steps=options.steps)
    views = look(
        source,
        source.places("train"),
        crop_px=options.crop_px,
        seed=options.seed,
        per_place=options.views,
        of=4 * options.views,
    )
    cameras, cpu_s = {}, {}
    with Progress() as progress:
        for arm in ARMS:
            name = NAMES[arm]
            bar = progress.add_task(name, total=options.steps)
            camera = build_camera(arm, design, seed=options.seed)
            trained = train(
                camera,
                views,
                budget=budget,
                seed=options.seed,
                path=options.out / f"{arm}.pt",
                settings=settings_of(arm, design, budget, seed=options.seed, crop_px=options.crop_px),
                on_step=lambda done, loss, bar=bar, name=name: progress.update(
                    bar, completed=done, description=f"{name}, loss {loss:.3f}"
                ),
            )
            progress.update(bar, completed=options.steps)
            cameras[name], cpu_s[name] = camera, trained.cpu_s
    return cameras, cpu_s


def judge(
    source: PanoramaSource, cameras: dict[str, CodedCamera], options: argparse.Namespace, *, cpu_s: dict[str, float]
) -> None:
    """Score all cameras on the test places; write results, tables and pictures."""
    scores = []
    for kind, drawn_per_kept in _KINDS.items():
        views = look_at_tests(source, options, drawn_per_kept=drawn_per_kept)
        plain = cameras[NAMES["none"]]
        found = reconstruct(cameras, views, plain=plain, seed=_TEST_SEED)
        scores += score_views(found, views, picture=found["LDR input"], kind=kind)
        if kind == "lamps":
            draw(cameras, views, found, folder=options.out)
    pairs = [(Stage(NAMES[arm]), Stage(NAMES[other])) for arm, other in _COMPARED]
    summaries, differences = tabulate(scores, pairs, seed=_TEST_SEED)
    about = {**provenance(), "seed": options.seed, "test_seed": _TEST_SEED, "steps": options.steps, "cpu_s": cpu_s}
    write_results(options.out, scores=scores, summaries=summaries, differences=differences, about=about)
    tables = "\n\n".join(f"**{kind}**\n\n" + as_markdown(summaries, differences, kind=kind) for kind in _KINDS)
    with replacing(options.out / "tables.md") as temporary:
        temporary.write_text(tables + "\n", encoding="utf-8")
    console = Console(width=200)
    console.print(tables, markup=False)
    for name, seconds in cpu_s.items():
        console.print(f"{name}: {seconds:.0f} s of one core")
    console.print(f"tables, scores and pictures: {options.out}")


def look_at_tests(source: PanoramaSource, options: argparse.Namespace, *, drawn_per_kept: int) -> Views:
    """The test views of one kind."""
    return look(
        source,
        source.places("test"),
        crop_px=options.crop_px,
        seed=_TEST_SEED,
        per_place=options.test_views,
        of=drawn_per_kept * options.test_views,
    )


def draw(cameras: dict[str, CodedCamera], views: Views, found: dict[str, torch.Tensor], *, folder: Path) -> None:
    """Draw the optics, and what every camera made of the view that loses most light."""
    index = int(lost_light(views.exposure).argmax())
    pictures = {name: take_pictures(camera, views, seed=_TEST_SEED)[index] for name, camera in cameras.items()}
    draw_optics(folder / "optics.png", cameras, pictures=pictures)
    query = Shots(found["LDR input"][index, None], views.exposure[index, None])
    shown = {name: exposure[index] for name, exposure in found.items() if name != "LDR input"}
    draw_panel(
        folder / "panel.png",
        query,
        reconstructions=shown,
        title="One view of a test place",
        caption=f"{views.places[index]}: of all test views the one in which a sensor loses most light.",
    )


if __name__ == "__main__":
    main()
