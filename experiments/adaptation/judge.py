"""Judge what adaptation is worth: python experiments/adaptation/judge.py CKPT --root FOLDER [--split test].

A checkpoint of ``algo=alpaca`` without and with support, beside closed forms alone, on tasks of each kind and family.
``FOLDER`` holds the panoramas of ``places.csv``, and this file as its ``manifest.csv``.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import torch
from hydra import compose, initialize_config_dir
from torch import Tensor

from ldr2hdr.baselines.inverse_gamma import InverseGamma
from ldr2hdr.baselines.response_fit import ResponseFit
from ldr2hdr.build import build_source, build_tasks, load_learner
from ldr2hdr.configuration.folders import CONF_DIR
from ldr2hdr.io.files import write_json
from ldr2hdr.meta.base import AbstractMetaLearner
from ldr2hdr.metrics.bootstrap import Interval, bootstrap_mean
from ldr2hdr.metrics.hdr import blacken_diverged, evaluate_pictures
from ldr2hdr.response.local import LocalRidgeResponse
from ldr2hdr.response.prior import PriorResponse
from ldr2hdr.tasks import Shots, Task

COLUMNS = {
    "camera, phone": ["task=camera", "labels=truth", "camera=phone"],
    "camera, coded optics": ["task=camera", "labels=truth", "camera=coded_optics"],
    "camera, pointwise": ["task=camera", "labels=truth", "camera=pointwise"],
    "scene, pointwise": ["task=scene", "labels=merge", "camera=pointwise"],
    "scene, phone": ["task=scene", "labels=merge", "camera=phone"],
    "profile, dorf": ["task=profile", "labels=merge", "camera=dorf"],
    "profile, phone": ["task=profile", "labels=merge", "camera=phone"],
    "camera, dorf": ["task=camera", "labels=truth", "camera=dorf"],
    "scene, dorf": ["task=scene", "labels=merge", "camera=dorf"],
}
PLACES = Path(__file__).with_name("places.csv")
ADAPTED, SINGLE = "adapted", "single-shot"
_FLOOR = 2.0**-10


def main() -> None:
    """Judge, print a table, write ``judged.json``."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("ckpt", type=Path)
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--split", default="test", choices=["val", "test"])
    parser.add_argument("--columns", nargs="*", default=list(COLUMNS), choices=list(COLUMNS))
    parser.add_argument("--shots", nargs="*", type=int, default=[2], help="of tasks of a camera; others have 2 or 3")
    parser.add_argument("--num-tasks", type=int, default=24)
    parser.add_argument("--seed", type=int, default=2)
    parser.add_argument("--set", nargs="*", default=[], help="configuration of tasks, as task.drift.balance_stops=0.2")
    parser.add_argument("--out", type=Path, default=Path("outputs/adaptation"))
    args = parser.parse_args()
    torch.set_num_threads(1)
    require_split(args.root)
    learner, _ = load_learner(args.ckpt)
    found = {}
    for column in args.columns:
        for shots in args.shots if column.startswith("camera") else [3 if column.startswith("profile") else 2]:
            values, places, rank = judge(learner, list(tasks_of(column, args, shots)))
            found[f"{column}, K={shots}"] = report(f"{column}, K={shots}", values, places, rank)
    args.out.mkdir(parents=True, exist_ok=True)
    write_json(args.out / "judged.json", found)


def require_split(root: Path) -> None:
    """Refuse a folder that is not split as ``places.csv`` is, with which what is reported here was trained."""
    here, there = (set(path.read_text(encoding="utf-8").split()) for path in (PLACES, root / "manifest.csv"))
    if here != there:
        raise ValueError(f"{root / 'manifest.csv'} must split places as {PLACES} does; copy it there")


def tasks_of(column: str, args: argparse.Namespace, shots: int) -> Iterator[Task]:
    """Yield the tasks of a column, by cameras outside the ranges of training."""
    overrides = [*COLUMNS[column], f"dataset.root={args.root.resolve()}", f"task.shots={shots}", *args.set]
    with initialize_config_dir(str(CONF_DIR), version_base="1.3"):
        cfg = compose("train", overrides=[*overrides, "paths.output_dir=.", "paths.cache_dir=.cache/ldr2hdr"])
    tasks = build_tasks(cfg, build_source(cfg), split=args.split, ranges="unseen", seed=args.seed)
    yield from (tasks[index] for index in range(args.num_tasks))


@torch.no_grad()
def judge(
    learner: AbstractMetaLearner, tasks: list[Task]
) -> tuple[dict[tuple[str, str, str], Tensor], list[str], float]:
    """Return PU21-PSNR and error in stops of each query picture by system, their places, and the rank correlation."""
    collected: dict[tuple[str, str, str], list[Tensor]] = {}
    ranks: list[float] = []
    for task in tasks:
        for system, exposure in predictions(learner, task.support, task.query.ldr):
            scores = evaluate_pictures(blacken_diverged(exposure), task.query)
            for (metric, region), column in scores.items():
                collected.setdefault((system, metric, region), []).append(column)
            if system == ADAPTED:
                law = learner.model.predict(task.query.ldr, learner.statistics(task.support))
                ranks += rank_correlations(law.variance.mean(1).sqrt(), exposure, task.query.exposure)
    places = [place for task in tasks for place in task.query_places]
    return {key: torch.cat(parts) for key, parts in collected.items()}, places, sum(ranks) / len(ranks)


def predictions(learner: AbstractMetaLearner, support: Shots, ldr: Tensor) -> Iterator[tuple[str, Tensor]]:
    """Yield the query by every system."""
    yield "LDR input", ldr
    yield "inverse gamma 2.2", InverseGamma(2.2)(ldr)
    yield "response fit", ResponseFit().adapt(support)(ldr)
    for name, response in (("response=prior", PriorResponse()), ("response=local", LocalRidgeResponse())):
        yield name, response(ldr, response.sufficient_statistics(support))
    law = learner.model.regress(ldr, learner.statistics(support))
    yield "regression alone", learner.model.solvable.head.render(law.mean, law.linear)
    yield SINGLE, learner.single_shot()(ldr).as_subclass(Tensor)
    yield ADAPTED, learner.adapt(support)(ldr).as_subclass(Tensor)


def rank_correlations(deviation: Tensor, exposure: Tensor, truth: Tensor) -> list[float]:
    """Return Spearman's, over the pixels of each picture, of predicted deviation and error in stops."""
    stops = exposure.clamp_min(_FLOOR).log2() - truth.clamp_min(_FLOOR).log2()
    error = stops.square().mean(1).sqrt()
    pairs = zip(deviation.flatten(1), error.flatten(1), strict=True)
    ordered = (torch.stack([part.argsort().argsort().double() for part in pair]) for pair in pairs)
    return [torch.corrcoef(both)[0, 1].item() for both in ordered]


def report(
    title: str, values: dict[tuple[str, str, str], Tensor], places: list[str], rank: float
) -> dict[str, list[float]]:
    """Print a column, and return its means and differences with their intervals."""
    print(f"\n{title}: {len(places)} pictures, {len(set(places))} places, rank correlation {rank:.2f}")
    rows: dict[str, list[float]] = {"rank correlation": [rank]}
    systems = list(dict.fromkeys(system for system, _, _ in values))
    keys = (("pu_psnr", "all"), ("pu_psnr", "well_exposed"), ("pu_psnr", "clipped"), ("log2_rmse", "well_exposed"))
    for system in systems:
        intervals = [interval(values[system, *key], places) for key in keys]
        rows[system] = [value for found in intervals for value in found[:3]]
        print(f"  {system:20s}", *(f"{mean:6.2f} [{low:5.2f}, {high:5.2f}]" for mean, low, high, _ in intervals))
    for system in systems[:-1]:
        away = [interval(values[ADAPTED, *key] - values[system, *key], places) for key in keys]
        rows[f"{ADAPTED} - {system}"] = [value for found in away for value in found[:3]]
        print(f"  adapted - {system:18s}", *(f"{mean:+.2f} [{low:+.2f}, {high:+.2f}]" for mean, low, high, _ in away))
    return rows


def interval(values: Tensor, places: list[str]) -> Interval:
    """Return the mean over places with its 95 % bootstrap interval."""
    return bootstrap_mean(values.double(), places, generator=torch.Generator().manual_seed(0))


if __name__ == "__main__":
    main()
