"""Judge a checkpoint on unseen places and cameras: ``python -m ldr2hdr.evaluate ckpt=...``."""

from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from ldr2hdr.baselines.inverse_gamma import InverseGamma
from ldr2hdr.baselines.response_fit import ResponseFit
from ldr2hdr.build import CONF_DIR, build_tasks, checkpoint_hash, load_learner, one_screen_errors, set_threads
from ldr2hdr.callbacks import provenance
from ldr2hdr.evaluation import (
    BaselineSystem,
    LearnedSystem,
    Score,
    System,
    adapted_name,
    compare,
    score_tasks,
    single_shot_name,
    summarize,
)
from ldr2hdr.metrics.functional import Display
from ldr2hdr.results import print_tables, write_results

_LDR_INPUT, _INVERSE_GAMMA, _RESPONSE_FIT = "LDR input", "inverse gamma 2.2", "response fit"


@hydra.main(version_base="1.3", config_path=CONF_DIR, config_name="evaluate")
def main(cfg: DictConfig) -> None:
    """Score the checkpoint beside the baselines; tables on the terminal, files in the run's folder."""
    console = Console()
    with one_screen_errors():
        set_threads(cfg)
        systems, pairs = _systems(cfg)
        scores = _score(cfg, systems, console)
        seeds = {"seed": cfg.seed, "num_resamples": cfg.num_resamples}
        summaries, differences = summarize(scores, **seeds), compare(scores, pairs, **seeds)
        folder = Path(HydraConfig.get().runtime.output_dir)
        write_results(folder, scores=scores, summaries=summaries, differences=differences, about=_about(cfg))
    print_tables(console, summaries=summaries, differences=differences)
    console.print(
        f"results: {folder / 'results.json'}\nscores of each picture: {folder / 'scores.csv'}", soft_wrap=True
    )


def _systems(cfg: DictConfig) -> tuple[list[System], list[tuple[str, str]]]:
    """The systems to judge, and which of them to compare."""
    learner, trained = load_learner(cfg.ckpt)
    name = trained.algo._target_.rsplit(".", 1)[-1].removesuffix("Learner").lower()
    main_steps = min(cfg.steps, key=lambda steps: (abs(steps - learner.inner_steps), steps))
    adapted = adapted_name(name, main_steps)
    systems: list[System] = [
        BaselineSystem(_LDR_INPUT, InverseGamma(1.0)),
        BaselineSystem(_INVERSE_GAMMA, InverseGamma(2.2)),
        BaselineSystem(_RESPONSE_FIT, ResponseFit()),
        LearnedSystem(name, learner, cfg.steps),
    ]
    pairs = [(adapted, single_shot_name(name)), (adapted, _RESPONSE_FIT)]
    if cfg.supervised_ckpt is not None:
        supervised, _ = load_learner(cfg.supervised_ckpt)
        for index, rate in enumerate(cfg.fine_tune_lrs):
            tuned = f"supervised, lr {rate:g}"
            systems.append(LearnedSystem(tuned, supervised, cfg.steps, lr=rate, with_single_shot=index == 0))
            pairs += [(adapted, adapted_name(tuned, steps)) for steps in cfg.steps if steps > 0]
    return systems, pairs


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
