"""Judge a checkpoint beside the baselines as a configuration says, on unseen places and cameras."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, cast

import torch
from hydra.utils import get_class
from omegaconf import DictConfig, OmegaConf
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from ldr2hdr.baselines.inverse_gamma import InverseGamma
from ldr2hdr.build import (
    build_source,
    build_suite,
    build_tasks,
    choose_device,
    set_precision,
    set_threads,
)
from ldr2hdr.configuration.values import require_fitting_values
from ldr2hdr.data.cameras.ranges import Ranges
from ldr2hdr.data.scenes.sources import AbstractSceneSource
from ldr2hdr.evaluation.figures import draw_panel
from ldr2hdr.evaluation.results import Results, write_results
from ldr2hdr.evaluation.samples import SampledTask, write_samples
from ldr2hdr.evaluation.scoring import Score, System, compare, score_tasks, strongest, summarize
from ldr2hdr.evaluation.systems import Systems, build_systems
from ldr2hdr.io import write_image
from ldr2hdr.meta.base import AbstractMetaLearner
from ldr2hdr.metrics.suite import MetricSuite
from ldr2hdr.tasks import Shots
from ldr2hdr.training.callbacks import provenance
from ldr2hdr.training.checkpoints import checkpoint_hash, read_checkpoint


def judge(cfg: DictConfig, folder: Path, console: Console) -> Results:
    """Score the checkpoint beside the baselines, and write what came out to a folder.

    Raises:
        ValueError: If a setting is not what it can be.
    """
    require_fitting_values(cfg)
    set_threads(cfg)
    set_precision(cfg)
    _check_settings(cfg)
    source, systems, suite = build_source(cfg), build_systems(cfg), build_suite(cfg)
    about = _about(cfg, suite)
    scores = _score(cfg, source, systems.judged, suite, console)
    results = _aggregate(cfg, systems, scores)
    write_results(folder, scores=scores, **results._asdict(), about=about)
    if cfg.samples:
        _write_samples(cfg, source, systems, folder)
    if cfg.panel is not None and systems.learner is not None:
        _draw_panel(cfg, source, systems, folder)
    return results


def _check_settings(cfg: DictConfig) -> None:
    if not cfg.steps or min(cfg.steps) < 0 or cfg.num_tasks < 1 or cfg.samples < 0:
        raise ValueError(
            "steps must name at least one number of inner steps, num_tasks be positive and samples at least 0, "
            f"got steps={list(cfg.steps)}, num_tasks={cfg.num_tasks} and samples={cfg.samples}"
        )
    if cfg.panel is not None and cfg.panel.camera not in cfg.camera:
        raise ValueError(
            f"panel.camera={cfg.panel.camera} is not among the cameras {', '.join(cfg.camera)}; "
            "change panel.camera, or set panel=null for no panel"
        )


def _aggregate(cfg: DictConfig, systems: Systems, scores: list[Score]) -> Results:
    """Return means, and differences from each opponent and from the best of the fine-tuned ones in each table."""
    settings = {"seed": cfg.seed, "num_resamples": cfg.num_resamples}
    summaries = summarize(scores, **settings)
    differences = compare(scores, systems.pairs, **settings)
    for (family, ranges), best in strongest(summaries, [opponent for _, opponent in systems.fine_tuned]).items():
        chosen = [score for score in scores if (score.camera_family, score.ranges) == (family, ranges)]
        differences += compare(chosen, [pair for pair in systems.fine_tuned if pair[1] == best], **settings)
    return Results(summaries, differences)


def _draw_panel(cfg: DictConfig, source: Mapping[str, AbstractSceneSource], systems: Systems, folder: Path) -> None:
    """Write ``panel.png`` and its LDR picture ``photo.png``: one query picture of the task that ``cfg.panel`` names."""
    camera, ranges, index, crop_px = (cfg.panel[key] for key in ("camera", "ranges", "index", "crop_px"))
    larger = cast(DictConfig, OmegaConf.merge(cfg, {"task": {"crop_px": crop_px}}))
    task = build_tasks(larger, source, split="test", ranges=ranges, seed=cfg.seed, camera=camera)[index]
    device, learner = choose_device(cfg.device), cast(AbstractMetaLearner, systems.learner)
    support, query = task.support.to(device), Shots(task.query.ldr[:1], task.query.exposure[:1])
    steps, shots, ldr = systems.main_steps, len(support), query.ldr.to(device)
    adaptation = f"{steps} step{'s' * (steps != 1)} on {shots} example{'s' * (shots != 1)}"
    with torch.no_grad():
        reconstructions = {
            "LDR input\nlinearised by inverse gamma 2.2": InverseGamma(2.2)(ldr)[0].cpu(),
            "single-shot\nno example of this camera": learner.single_shot()(ldr)[0].cpu(),
            f"adapted\n{adaptation}": learner.adapt(support, steps=steps)(ldr)[0].cpu(),
        }
    draw_panel(
        folder / "panel.png",
        query,
        reconstructions=reconstructions,
        title=f"One photograph by a camera never met in training (family {camera}, {ranges} parameter ranges)",
        caption=f"Test place {task.query_places[0]} · adapted by {adaptation} of this camera (K = {shots}) · "
        f"checkpoint {checkpoint_hash(cfg.ckpt)[:10]}",
    )
    write_image(folder / "photo.png", query.ldr[0])


def _write_samples(cfg: DictConfig, source: Mapping[str, AbstractSceneSource], systems: Systems, folder: Path) -> None:
    """Keep the first query picture of the first ``cfg.samples`` tasks of each table."""
    chosen = []
    for table in _tables(cfg):
        tasks = build_tasks(cfg, source, split="test", ranges=table.ranges, seed=cfg.seed, camera=table.only)
        count = min(cfg.samples, cfg.num_tasks)
        chosen += [SampledTask(table.family, table.ranges, tasks[index]) for index in range(count)]
    write_samples(folder / "samples", systems.judged, chosen, seed=cfg.seed, device=choose_device(cfg.device))


class _Table(NamedTuple):
    """Tasks of one table; ``only`` is the camera family that they use, None for whatever took the pictures."""

    family: str
    ranges: Ranges
    only: str | None


def _tables(cfg: DictConfig) -> Iterator[_Table]:
    """Yield one table per camera family and range; photographed brackets have their own cameras, and one table."""
    kind: Any = get_class(cfg.task._target_)
    if kind.has_own_cameras:
        yield _Table("as photographed", "seen", None)
        return
    for family in cfg.camera:
        for ranges in cfg.ranges:
            yield _Table(family, ranges, family)


def _score(
    cfg: DictConfig,
    source: Mapping[str, AbstractSceneSource],
    systems: list[System],
    suite: MetricSuite,
    console: Console,
) -> list[Score]:
    scores: list[Score] = []
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as progress:
        for table in _tables(cfg):
            tasks = build_tasks(cfg, source, split="test", ranges=table.ranges, seed=cfg.seed, camera=table.only)
            bar = progress.add_task(f"{table.family}, {table.ranges} ranges", total=cfg.num_tasks)
            scores += score_tasks(
                systems,
                [tasks[index] for index in range(cfg.num_tasks)],
                camera_family=table.family,
                ranges=table.ranges,
                device=choose_device(cfg.device),
                suite=suite,
                on_task=lambda bar=bar: progress.advance(bar),  # type: ignore[misc]
            )
    return scores


def _about(cfg: DictConfig, suite: MetricSuite) -> dict[str, Any]:
    return {
        **provenance(),
        "config": OmegaConf.to_container(cfg, resolve=True),
        "seed": cfg.seed,
        "checkpoint_sha256": _hash(cfg.ckpt),
        "supervised_sha256": _hash(cfg.supervised_ckpt),
        "others_sha256": {name: _hash(path) for name, path in (cfg.others or {}).items()},
        "trained_on_cameras": [] if cfg.ckpt is None else list(read_checkpoint(cfg.ckpt).config.camera),
        "protocol": {
            **suite.protocol(),
            "intervals": "95 % percentile bootstrap over places, of place means; with 5 places it covers about 85 %",
        },
    }


def _hash(ckpt: str | None) -> str | None:
    return None if ckpt is None else checkpoint_hash(ckpt)
