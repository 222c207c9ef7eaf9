"""Judge a checkpoint on unseen places and cameras: ``python -m ldr2hdr.evaluate ckpt=...``."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, cast

import hydra
import torch
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from ldr2hdr.baselines.inverse_gamma import InverseGamma
from ldr2hdr.baselines.response_fit import ResponseFit
from ldr2hdr.build import (
    CONF_DIR,
    build_learner,
    build_source,
    build_tasks,
    choose_device,
    load_learner,
    one_screen_errors,
    set_threads,
)
from ldr2hdr.callbacks import provenance
from ldr2hdr.checkpoints import checkpoint_hash, read_checkpoint
from ldr2hdr.data.scenes import AbstractSceneSource
from ldr2hdr.evaluation import (
    BaselineSystem,
    LearnedSystem,
    Score,
    Summary,
    System,
    adapted_name,
    compare,
    score_tasks,
    single_shot_name,
    strongest,
    summarize,
)
from ldr2hdr.figures import draw_panel
from ldr2hdr.io import write_image
from ldr2hdr.meta.base import AbstractMetaLearner
from ldr2hdr.metrics.functional import Display
from ldr2hdr.results import TABLE_WIDTH, print_tables, write_results
from ldr2hdr.tasks import Shots

_LDR_INPUT, _INVERSE_GAMMA, _RESPONSE_FIT = "LDR input", "inverse gamma 2.2", "response fit"


@hydra.main(version_base="1.3", config_path=CONF_DIR, config_name="evaluate")
def main(cfg: DictConfig) -> None:
    """Score the checkpoint beside the baselines; tables on the terminal, files in the run's folder."""
    # a file or a pipe has no width of its own, and the tables are wider than the customary 80 columns
    console = Console(width=None if sys.stdout.isatty() else TABLE_WIDTH)
    with one_screen_errors():
        set_threads(cfg)
        _check_settings(cfg)
        folder = Path(HydraConfig.get().runtime.output_dir)
        source, lineup, about = build_source(cfg), _line_up(cfg), _about(cfg)
        scores = _score(cfg, source, lineup.systems, console)
        summaries, differences = _aggregate(cfg, lineup, scores)
        write_results(folder, scores=scores, summaries=summaries, differences=differences, about=about)
        if cfg.panel is not None:
            _draw_panel(cfg, source, lineup, folder)
    if cfg.tables:
        print_tables(console, summaries=summaries, differences=differences)
    shown = {"results": "results.json", "scores of each picture": "scores.csv"}
    if cfg.panel is not None:
        shown |= {"one photo, before and after adaptation": "panel.png", "that photo": "photo.png"}
    for what, name in shown.items():
        console.print(f"{what}: {folder / name}", soft_wrap=True)


class _LineUp(NamedTuple):
    """The systems to judge.

    Attributes:
        systems: All of them.
        learner: The meta-learner of the checkpoint.
        main_steps: Of the steps to report, those nearest to the number trained with.
        adapted: Name of the meta-learner after these steps, which is compared with the opponents.
        opponents: What it is compared with.
        fine_tuned: Opponents of which only the strongest in each table counts.
    """

    systems: list[System]
    learner: AbstractMetaLearner
    main_steps: int
    adapted: str
    opponents: list[str]
    fine_tuned: list[str]


def _check_settings(cfg: DictConfig) -> None:
    if not cfg.steps or min(cfg.steps) < 0 or cfg.num_tasks < 1:
        raise ValueError(
            "steps must name at least one number of inner steps and num_tasks be positive, "
            f"got steps={list(cfg.steps)} and num_tasks={cfg.num_tasks}"
        )
    if cfg.panel is not None and cfg.panel.camera not in cfg.camera:
        raise ValueError(
            f"panel.camera={cfg.panel.camera} is not among the cameras {', '.join(cfg.camera)}; "
            "change panel.camera, or set panel=null for no panel"
        )


def _line_up(cfg: DictConfig) -> _LineUp:
    device = choose_device(cfg.device)
    learner, trained = load_learner(cfg.ckpt)
    _require_unseen_places(cfg, trained)
    learner.to(device)
    name = _algorithm(trained)
    torch.manual_seed(cfg.seed)
    systems: list[System] = [
        BaselineSystem(_LDR_INPUT, InverseGamma(1.0)),
        BaselineSystem(_INVERSE_GAMMA, InverseGamma(2.2)),
        BaselineSystem(_RESPONSE_FIT, ResponseFit()),
        # a fresh network passes its response stage through: the closed form before any training
        LearnedSystem("untrained", build_learner(trained).eval().to(device), (0,), with_single_shot=False),
        LearnedSystem(name, learner, cfg.steps),
    ]
    main_steps = int(min(cfg.steps, key=lambda steps: (abs(steps - learner.inner_steps), steps)))
    adapted = adapted_name(name, main_steps)
    opponents = [single_shot_name(name), _RESPONSE_FIT, adapted_name("untrained", 0)]
    if 0 in cfg.steps and main_steps > 0:
        opponents.append(adapted_name(name, 0))
    fine_tuned = _fine_tuned(cfg, device)
    names = [
        adapted_name(system.name, steps, verb=system.verb)
        for system in fine_tuned
        if not system.with_single_shot
        for steps in system.steps
    ]
    return _LineUp([*systems, *fine_tuned], learner, main_steps, adapted, opponents, names)


def _fine_tuned(cfg: DictConfig, device: torch.device) -> list[LearnedSystem]:
    """The supervised network as it is, and fine-tuned at each rate."""
    if cfg.supervised_ckpt is None:
        return []
    learner, trained = load_learner(cfg.supervised_ckpt)
    if _algorithm(trained) != "supervised":
        raise ValueError(
            f"supervised_ckpt={cfg.supervised_ckpt} must be trained with algo=supervised, got {_algorithm(trained)}"
        )
    _require_unseen_places(cfg, trained)
    learner.to(device)
    steps = [number for number in cfg.steps if number > 0]
    tuned = [
        LearnedSystem(f"supervised lr {rate:g}", learner, steps, lr=rate, with_single_shot=False, verb="fine-tuned")
        for rate in cfg.fine_tune_lrs
    ]
    return [LearnedSystem("supervised", learner, ()), *tuned]


def _algorithm(trained: DictConfig) -> str:
    return str(trained.algo._target_).rsplit(".", 1)[-1].removesuffix("Learner").lower()


def _require_unseen_places(cfg: DictConfig, trained: DictConfig) -> None:
    """Refuse the data set of training with another split: its training places would be tested.

    Raises:
        ValueError: If so.
    """
    for name in set(_sets(cfg)) & set(_sets(trained)):
        here, there = _sets(cfg)[name], _sets(trained)[name]
        if here != there and here.get("root") == there.get("root"):
            raise ValueError(
                f"the checkpoint was trained on dataset.{name}={there}, and {here} splits the same places otherwise; "
                "give the same settings, or another dataset.root"
            )


def _sets(cfg: DictConfig) -> dict[str, dict[str, Any]]:
    """Settings of each data set, without where it is cached."""
    sets = cast(dict[str, Any], OmegaConf.to_container(cfg.dataset, resolve=True))
    return {
        name: {key: value for key, value in node.items() if key != "cache_dir"}
        for name, node in sets.items()
        if isinstance(node, dict) and "_target_" in node
    }


def _aggregate(cfg: DictConfig, lineup: _LineUp, scores: list[Score]) -> tuple[list[Summary], list[Summary]]:
    """Means, and differences with each opponent and with the best of the fine-tuned ones in each table."""
    settings = {"seed": cfg.seed, "num_resamples": cfg.num_resamples}
    summaries = summarize(scores, **settings)
    differences = compare(scores, [(lineup.adapted, opponent) for opponent in lineup.opponents], **settings)
    for (family, ranges), best in strongest(summaries, lineup.fine_tuned).items():
        chosen = [score for score in scores if (score.camera_family, score.ranges) == (family, ranges)]
        differences += compare(chosen, [(lineup.adapted, best)], **settings)
    return summaries, differences


def _draw_panel(cfg: DictConfig, source: Mapping[str, AbstractSceneSource], lineup: _LineUp, folder: Path) -> None:
    """Write ``panel.png`` and its LDR picture ``photo.png``: one query picture of the task that ``cfg.panel`` names."""
    camera, ranges, index, crop_px = (cfg.panel[key] for key in ("camera", "ranges", "index", "crop_px"))
    larger = cast(DictConfig, OmegaConf.merge(cfg, {"task": {"crop_px": crop_px}}))
    task = build_tasks(larger, source, split="test", ranges=ranges, seed=cfg.seed, camera=camera)[index]
    device = choose_device(cfg.device)
    support, query = task.support.to(device), Shots(task.query.ldr[:1], task.query.exposure[:1])
    steps, shots, ldr = lineup.main_steps, len(support), query.ldr.to(device)
    adaptation = f"{steps} step{'s' * (steps != 1)} on {shots} example{'s' * (shots != 1)}"
    with torch.no_grad():
        reconstructions = {
            "LDR input\nlinearised by inverse gamma 2.2": InverseGamma(2.2)(ldr)[0].cpu(),
            "single-shot\nno example of this camera": lineup.learner.single_shot()(ldr)[0].cpu(),
            f"adapted\n{adaptation}": lineup.learner.adapt(support, steps=steps)(ldr)[0].cpu(),
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


def _score(
    cfg: DictConfig, source: Mapping[str, AbstractSceneSource], systems: list[System], console: Console
) -> list[Score]:
    scores: list[Score] = []
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as progress:
        for family in cfg.camera:
            for ranges in cfg.ranges:
                tasks = build_tasks(cfg, source, split="test", ranges=ranges, seed=cfg.seed, camera=family)
                bar = progress.add_task(f"{family}, {ranges} ranges", total=cfg.num_tasks)
                scores += score_tasks(
                    systems,
                    [tasks[index] for index in range(cfg.num_tasks)],
                    camera_family=family,
                    ranges=ranges,
                    device=choose_device(cfg.device),
                    on_task=lambda bar=bar: progress.advance(bar),  # type: ignore[misc]
                )
    return scores


def _about(cfg: DictConfig) -> dict[str, Any]:
    display = Display()
    return {
        **provenance(),
        "config": OmegaConf.to_container(cfg, resolve=True),
        "seed": cfg.seed,
        "checkpoint_sha256": checkpoint_hash(cfg.ckpt),
        "supervised_sha256": None if cfg.supervised_ckpt is None else checkpoint_hash(cfg.supervised_ckpt),
        "trained_on_cameras": list(read_checkpoint(cfg.ckpt).config.camera),
        "protocol": {
            "pu_psnr": "PU21 banding_glare, RGB, peak 256, in dB",
            "log2_rmse": "root mean square of log2(pred / target), floored at 2**-10 of sensor white, in stops",
            "display": f"median reference luminance at {display.anchor_cd_m2} cd/m2, clipped at {display.peak_cd_m2}",
            "alignment": "none",
            "intervals": "95 % percentile bootstrap over places, of place means; with 5 places it covers about 85 %",
        },
    }


if __name__ == "__main__":
    main()
