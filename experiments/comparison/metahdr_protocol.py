"""MetaHDR by its own protocol: linear light clipped to [0, 1], PSNR and SSIM, single-shot beside adapted.

Usage: python -m ldr2hdr.train experiment=metahdr_panoramas hydra.run.dir=outputs/metahdr
       python experiments/comparison/metahdr_protocol.py outputs/metahdr/checkpoints/last.ckpt [MORE.ckpt ...]

Both stages are judged on the same held-out exposure of each test scene, which the published table did not.
"""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import torch
from hydra import compose, initialize_config_dir
from jaxtyping import Float
from omegaconf import OmegaConf
from torch import Tensor

from ldr2hdr.build import CONF_DIR, build_source, build_tasks, load_learner
from ldr2hdr.meta.base import AbstractMetaLearner
from ldr2hdr.metrics.bootstrap import Interval, bootstrap_difference, bootstrap_mean
from ldr2hdr.metrics.mu_law import psnr_clipped
from ldr2hdr.metrics.structure import ssim_map
from ldr2hdr.tasks import Task

_SEED: Final = 2
_LEVELS: Final = 256  # the dynamic range that `ssim_map` expects
_BORDER: Final = 5  # half a window: piqa's SSIM, as published, has no border


class Row(NamedTuple):
    """One system: its metrics and, of a learned one, adapted minus single-shot."""

    name: str
    psnr: Interval
    ssim: Interval
    psnr_gain: Interval | None
    ssim_gain: Interval | None


def main(argv: Sequence[str] | None = None) -> None:
    """Judge the checkpoints and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoints", type=Path, nargs="+")
    parser.add_argument("--num-tasks", type=int, default=45, help="test tasks; the published split has 45 scenes")
    parser.add_argument("--crop-px", type=int, default=64)
    options = parser.parse_args(argv)
    torch.set_num_threads(1)
    tasks = list(draw_tasks(options.num_tasks, crop_px=options.crop_px))
    rows = [judge_input(tasks)]
    for path in options.checkpoints:
        steps = torch.load(path, weights_only=True)["global_step"]
        rows += judge(f"{path.parent.parent.name}, {steps} steps", load_learner(path)[0], tasks)
    print(as_markdown(rows))


def draw_tasks(count: int, *, crop_px: int) -> Iterator[Task]:
    """Three exposures of a test scene by a camera of the seen ranges: two to adapt on, one to be judged on."""
    overrides = ["task=scene", "task.evs=[-2.0,0.0,2.0]", "task.queries=1", "camera=pointwise", "ckpt=null"]
    with initialize_config_dir(CONF_DIR, version_base="1.3"):
        cfg = compose("evaluate", overrides=[*overrides, f"task.crop_px={crop_px}", "paths.output_dir=unused"])
    OmegaConf.resolve(cfg)
    tasks = build_tasks(cfg, build_source(cfg), split="test", ranges="seen", seed=_SEED)
    return (tasks[index] for index in range(count))


def judge_input(tasks: Sequence[Task]) -> Row:
    """The picture taken for light, which the published table begins with."""
    scores = torch.stack([_metrics(task.query.ldr, task) for task in tasks])
    return _row("LDR, no reconstruction", scores, tasks, None)


def judge(name: str, learner: AbstractMetaLearner, tasks: Sequence[Task]) -> Iterator[Row]:
    """A learner without support, and adapted by the steps it was trained with."""
    single, adapted = [], []
    for task in tasks:
        predictors = (learner.single_shot(), learner.adapt(task.support))
        with torch.no_grad():
            before, after = (_metrics(predict(task.query.ldr), task) for predict in predictors)
        single.append(before)
        adapted.append(after)
    first = torch.stack(single)
    yield _row(f"{name}, single-shot", first, tasks, None)
    yield _row(f"{name}, adapted", torch.stack(adapted), tasks, first)


def _metrics(pred: Float[Tensor, "q 3 h w"], task: Task) -> Float[Tensor, "2"]:
    """PSNR in dB and SSIM of clipped linear light, mean over the query and the channels."""
    target = task.query.exposure
    similarity = ssim_map(_LEVELS * pred.clamp(0, 1), _LEVELS * target.clamp(0, 1))
    inside = similarity[..., _BORDER:-_BORDER, _BORDER:-_BORDER]
    return torch.stack([psnr_clipped(pred, target).mean(), inside.mean()]).double()


def _row(name: str, scores: Float[Tensor, "n 2"], tasks: Sequence[Task], base: Float[Tensor, "n 2"] | None) -> Row:
    places = [task.query_places[0] for task in tasks]
    means = [bootstrap_mean(column, places, generator=torch.Generator().manual_seed(_SEED)) for column in scores.T]
    if base is None:
        return Row(name, means[0], means[1], None, None)
    pairs = zip(scores.T, base.T, strict=True)
    gains = [bootstrap_difference(*pair, places, generator=torch.Generator().manual_seed(_SEED)) for pair in pairs]
    return Row(name, means[0], means[1], gains[0], gains[1])


def as_markdown(rows: Sequence[Row]) -> str:
    """The table; gains are of adaptation, picture by picture."""
    lines = ["| system | PSNR, dB | SSIM | gain, dB | gain, SSIM |", "|---" * 5 + "|"]
    for row in rows:
        cells = (
            _cell(row.psnr, ".1f"),
            _cell(row.ssim, ".3f"),
            _cell(row.psnr_gain, "+.1f"),
            _cell(row.ssim_gain, "+.3f"),
        )
        lines.append(f"| {row.name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(interval: Interval | None, form: str) -> str:
    if interval is None:
        return "-"
    mean, low, high = (f"{value:{form}}" for value in interval[:3])
    return f"{mean} [{low}, {high}]"


if __name__ == "__main__":
    main()
