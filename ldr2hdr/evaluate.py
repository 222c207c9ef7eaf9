"""Judge a checkpoint on unseen places and cameras: ``python -m ldr2hdr.evaluate ckpt=...``."""

import sys
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
from ldr2hdr.build import CONF_DIR, build_tasks, load_learner, one_screen_errors, set_threads
from ldr2hdr.callbacks import provenance
from ldr2hdr.checkpoints import checkpoint_hash
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
        folder = Path(HydraConfig.get().runtime.output_dir)
        if cfg.panel is not None:
            _draw_panel(cfg, folder)
        lineup = _line_up(cfg)
        scores = _score(cfg, lineup.systems, console)
        summaries, differences = _aggregate(cfg, lineup, scores)
        write_results(folder, scores=scores, summaries=summaries, differences=differences, about=_about(cfg))
    if cfg.tables:
        print_tables(console, summaries=summaries, differences=differences)
    shown = {"results": "results.json", "scores of each picture": "scores.csv"}
    if cfg.panel is not None:
        shown |= {"one photo, before and after adaptation": "panel.png", "that photo": "photo.png"}
    for what, name in shown.items():
        console.print(f"{what}: {folder / name}", soft_wrap=True)


class _LineUp(NamedTuple):
    """The systems to judge, the one that is compared, with what, and of which others only the strongest counts."""

    systems: list[System]
    adapted: str
    opponents: list[str]
    fine_tuned: list[str]


def _line_up(cfg: DictConfig) -> _LineUp:
    learner, trained = load_learner(cfg.ckpt)
    name = trained.algo._target_.rsplit(".", 1)[-1].removesuffix("Learner").lower()
    systems: list[System] = [
        BaselineSystem(_LDR_INPUT, InverseGamma(1.0)),
        BaselineSystem(_INVERSE_GAMMA, InverseGamma(2.2)),
        BaselineSystem(_RESPONSE_FIT, ResponseFit()),
        LearnedSystem(name, learner, cfg.steps),
    ]
    fine_tuned = []
    if cfg.supervised_ckpt is not None:
        supervised, _ = load_learner(cfg.supervised_ckpt)
        tuned_steps = [steps for steps in cfg.steps if steps > 0]
        systems.append(LearnedSystem("supervised", supervised, ()))
        for rate in cfg.fine_tune_lrs:
            tuned = LearnedSystem(
                f"supervised lr {rate:g}", supervised, tuned_steps, lr=rate, with_single_shot=False, verb="fine-tuned"
            )
            systems.append(tuned)
            fine_tuned += [adapted_name(tuned.name, steps, verb=tuned.verb) for steps in tuned_steps]
    adapted = adapted_name(name, _main_steps(cfg, learner))
    return _LineUp(systems, adapted, [single_shot_name(name), _RESPONSE_FIT], fine_tuned)


def _aggregate(cfg: DictConfig, lineup: _LineUp, scores: list[Score]) -> tuple[list[Summary], list[Summary]]:
    """Means, and differences with each opponent and with the best of the fine-tuned ones in each table."""
    settings = {"seed": cfg.seed, "num_resamples": cfg.num_resamples}
    summaries = summarize(scores, **settings)
    differences = compare(scores, [(lineup.adapted, opponent) for opponent in lineup.opponents], **settings)
    for (family, ranges), best in strongest(summaries, lineup.fine_tuned).items():
        chosen = [score for score in scores if (score.camera_family, score.ranges) == (family, ranges)]
        differences += compare(chosen, [(lineup.adapted, best)], **settings)
    return summaries, differences


def _main_steps(cfg: DictConfig, learner: AbstractMetaLearner) -> int:
    """Of the steps to report, those nearest to the number trained with."""
    return int(min(cfg.steps, key=lambda steps: (abs(steps - learner.inner_steps), steps)))


def _draw_panel(cfg: DictConfig, folder: Path) -> None:
    """Write ``panel.png`` and its LDR picture ``photo.png``: one query picture of the task that ``cfg.panel`` names.

    Raises:
        ValueError: If the camera is not among those configured.
    """
    camera, ranges, index, crop_px = (cfg.panel[key] for key in ("camera", "ranges", "index", "crop_px"))
    if camera not in cfg.camera:
        raise ValueError(
            f"panel.camera={camera} is not among the cameras {', '.join(cfg.camera)}; "
            "change panel.camera, or set panel=null for no panel"
        )
    learner, _ = load_learner(cfg.ckpt)
    larger = cast(DictConfig, OmegaConf.merge(cfg, {"task": {"crop_px": crop_px}}))
    task = build_tasks(larger, split="test", ranges=ranges, seed=cfg.seed, camera=camera)[index]
    query = Shots(task.query.ldr[:1], task.query.exposure[:1])
    steps, shots = _main_steps(cfg, learner), len(task.support)
    adaptation = f"{steps} step{'s' * (steps != 1)} on {shots} example{'s' * (shots != 1)}"
    with torch.no_grad():
        reconstructions = {
            "LDR input\nlinearised by inverse gamma 2.2": InverseGamma(2.2)(query.ldr)[0],
            "single-shot\nno example of this camera": learner.single_shot()(query.ldr)[0],
            f"adapted\n{adaptation}": learner.adapt(task.support, steps=steps)(query.ldr)[0],
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


def _score(cfg: DictConfig, systems: list[System], console: Console) -> list[Score]:
    scores: list[Score] = []
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as progress:
        for family in cfg.camera:
            for ranges in cfg.ranges:
                tasks = build_tasks(cfg, split="test", ranges=ranges, seed=cfg.seed, camera=family)
                bar = progress.add_task(f"{family}, {ranges} ranges", total=cfg.num_tasks)
                scores += score_tasks(
                    systems,
                    [tasks[index] for index in range(cfg.num_tasks)],
                    camera_family=family,
                    ranges=ranges,
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
        "protocol": {
            "pu_psnr": "PU21 banding_glare, RGB, peak 256, in dB",
            "log2_rmse": "root mean square of log2(pred / target), floored at 2**-10 of sensor white, in stops",
            "display": f"median reference luminance at {display.anchor_cd_m2} cd/m2, clipped at {display.peak_cd_m2}",
            "alignment": "none",
            "intervals": "95 % percentile bootstrap over places, of place means",
        },
    }


if __name__ == "__main__":
    main()
