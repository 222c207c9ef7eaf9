"""Train one camera, step by step; a run that is killed goes on where it was last saved."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

import torch
from jaxtyping import Float
from systems import CodedCamera, Design, root_l2
from torch import Tensor
from views import Views, draw_batch, seeded

from ldr2hdr.io.files import replacing
from ldr2hdr.losses import LogL1

_LOG_L1: Final = LogL1()


@dataclass(frozen=True)
class Budget:
    """Length, rates and objective of every arm's training.

    The optics are learned in the first half of the steps, together with the decoder. Then they are made, as it were,
    and the decoder alone goes on.

    Attributes:
        steps: Steps of Adam, at rates that rise over the first 5 % and fall along a cosine: that of the optics to the
            middle, that of the decoder to the end.
        batch: Views of a step.
        lr: Highest rate of the decoder.
        psf_lr: Highest rate of the optics.
        log_weights: Weight of the loss of logarithms beside that of roots, while the optics are learned and after.
        save_every: Steps between checkpoints.
    """

    steps: int
    batch: int = 4
    lr: float = 2e-3
    psf_lr: float = 2e-2
    log_weights: tuple[float, float] = (0.0, 1.0)
    save_every: int = 100

    @property
    def optics_steps(self) -> int:
        """Steps in which the optics are learned."""
        return self.steps // 2


class Trained(NamedTuple):
    """Outcome of a training run.

    Attributes:
        cpu_s: Seconds of one core that it took.
        last_loss: Mean loss of the last tenth of the steps since the run was last started; NaN if there was none.
    """

    cpu_s: float
    last_loss: float


def train(
    camera: CodedCamera,
    views: Views,
    *,
    budget: Budget,
    seed: int,
    path: Path,
    settings: dict[str, Any],
    on_step: Callable[[int, float], None],
) -> Trained:
    """Train optics and decoder together, from ``path`` on if it exists.

    Batch and noise are functions of ``(seed, step)``: every arm sees the same views, and a run that was interrupted
    ends where one that was not does.

    Args:
        camera: Trained in place.
        views: What it is trained on.
        budget: Steps and rates.
        seed: Of batches and noise.
        path: The checkpoint, written every so many steps and at the end.
        settings: Of the whole study, to be found again in the checkpoint.
        on_step: Called with steps done and loss.

    Raises:
        ValueError: If the checkpoint is of other settings.
    """
    optimizer = build_optimizer(camera, budget)
    done, cpu_s = restore(path, camera, optimizer, settings=settings)
    losses, started = [], time.process_time()
    camera.train()
    for step in range(done, budget.steps):
        set_rates(optimizer, budget, step)
        generator = seeded(seed, "step", step)
        exposure = draw_batch(views, size=budget.batch, generator=generator)
        camera.encoder.requires_grad_(step < budget.optics_steps)
        loss = loss_of(camera.develop(camera.shoot(exposure, generator)), exposure, budget=budget, step=step)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(camera.decoder.parameters(), 1.0)
        optimizer.step()
        losses.append(loss.item())
        on_step(step + 1, losses[-1])
        if (step + 1) % budget.save_every == 0 or step + 1 == budget.steps:
            elapsed = cpu_s + time.process_time() - started
            save(path, camera, optimizer, step=step + 1, cpu_s=elapsed, settings=settings)
    last = losses[-max(1, budget.steps // 10) :]
    camera.eval()
    return Trained(cpu_s + time.process_time() - started, sum(last) / len(last) if last else math.nan)


def loss_of(pred: Tensor, target: Tensor, *, budget: Budget, step: int) -> Float[Tensor, ""]:
    """The paper's loss, in which highlights rule, and a share of one in which tones do."""
    weight = budget.log_weights[0 if step < budget.optics_steps else 1]
    return root_l2(pred, target).square().mean().sqrt() + weight * _LOG_L1(pred, target)


def build_optimizer(camera: CodedCamera, budget: Budget) -> torch.optim.Adam:
    """Adam with a group for the decoder and one for the optics, which may be empty."""
    groups = [
        {"params": list(camera.decoder.parameters()), "highest": budget.lr, "until": budget.steps},
        {"params": list(camera.encoder.parameters()), "highest": budget.psf_lr, "until": budget.optics_steps},
    ]
    return torch.optim.Adam([group for group in groups if group["params"]])


def set_rates(optimizer: torch.optim.Adam, budget: Budget, step: int) -> None:
    """Set the rates of a step: a rise over the first 5 % times a falling half cosine."""
    rise = min(1.0, (step + 1) / max(1.0, 0.05 * budget.steps))
    for group in optimizer.param_groups:
        done = min(1.0, step / max(1, group["until"]))
        group["lr"] = group["highest"] * rise * 0.5 * (1 + math.cos(math.pi * done))


def save(
    path: Path,
    camera: CodedCamera,
    optimizer: torch.optim.Adam,
    *,
    step: int,
    cpu_s: float,
    settings: dict[str, Any],
) -> None:
    """Write a checkpoint, whole or not at all."""
    content = {
        "step": step,
        "cpu_s": cpu_s,
        "settings": settings,
        "camera": camera.state_dict(),
        "optimizer": optimizer.state_dict(),
    }
    with replacing(path) as temporary:
        torch.save(content, temporary)


def restore(
    path: Path, camera: CodedCamera, optimizer: torch.optim.Adam, *, settings: dict[str, Any]
) -> tuple[int, float]:
    """Load a checkpoint if there is one; steps done and seconds spent.

    Raises:
        ValueError: If it is of other settings.
    """
    if not path.is_file():
        return 0, 0.0
    content = torch.load(path, weights_only=True)
    if content["settings"] != settings:
        raise ValueError(f"{path} was trained with {content['settings']}, not {settings}; choose another --out")
    camera.load_state_dict(content["camera"])
    optimizer.load_state_dict(content["optimizer"])
    return int(content["step"]), float(content["cpu_s"])


def settings_of(arm: str, design: Design, budget: Budget, *, seed: int, crop_px: int) -> dict[str, Any]:
    """All that decides a run, in types that a checkpoint can hold."""
    parts = {**vars(design), **vars(budget), "arm": arm, "seed": seed, "crop_px": crop_px}
    return {key: list(value) if isinstance(value, tuple) else value for key, value in parts.items()}
