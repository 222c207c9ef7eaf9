"""Train the network of highlights on rendered views; the same command goes on with a run that was interrupted.

    python experiments/highlights/train.py --views .cache/highlights --dorf dorf201.npz --out outputs/highlights

Writes ``weights.safetensors`` (the average of the network's weights, which `experiments/pretrained/ship.py` turns into
the file that ships), ``curve.json`` (loss and held-out scores along the way) and ``last.ckpt`` to go on from.
"""

import argparse
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from curves import Curves, read_curves
from judging import choose, judge, means
from recipe import Recipe, add_options, read_options
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from safetensors.torch import load_file, save_file
from shooting import Example, draw_batch
from views import SIZES, Views

from ldr2hdr.backbones.highlights.backbone import Highlights
from ldr2hdr.build import choose_device
from ldr2hdr.calibration.curve import levels_of
from ldr2hdr.io.files import replacing, write_json
from ldr2hdr.radiometry import CLIPPED_LEVEL
from ldr2hdr.training.callbacks import provenance

_SAVE_EVERY_S = 60.0
_SHOW_MEAN_OF = 50
# Held-out photographs along the way, and at the end
_VALIDATION = (48, 180)


@dataclass
class Run:
    """A training under way: all that a checkpoint holds.

    Attributes:
        backbone: Being trained.
        optimizer: Of it.
        average: Running average of the network's weights, which is what is judged and kept.
        step: Steps done.
        seconds: Spent on them.
        losses: Of each step.
        curve: Scores along the way.
    """

    backbone: Highlights
    optimizer: torch.optim.Optimizer
    average: dict[str, torch.Tensor]
    step: int = 0
    seconds: float = 0.0
    losses: list[float] = field(default_factory=list)
    curve: list[dict[str, Any]] = field(default_factory=list)


def main(arguments: Sequence[str] | None = None) -> None:
    """Train by the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--views", type=Path, default=Path(".cache/highlights"), help="what render.py wrote")
    parser.add_argument("--dorf", type=Path, required=True, help="database of response curves, .npz")
    parser.add_argument("--out", type=Path, default=Path("outputs/highlights"))
    parser.add_argument("--start", type=Path, help="weights of such a network to begin with, .safetensors")
    parser.add_argument("--validate-every", type=int, default=250, help="steps")
    parser.add_argument("--device", help="such as cuda; without it the GPU if there is one, else the CPU")
    add_options(parser)
    options = parser.parse_args(arguments)
    train(
        read_options(options),
        views=options.views,
        curves=read_curves(options.dorf),
        out=options.out,
        start=options.start,
        validate_every=options.validate_every,
        device=choose_device(options.device),
    )


def loss_of(backbone: Highlights, batch: Example, recipe: Recipe) -> torch.Tensor:
    """Return the loss of a batch."""
    answer = backbone(batch.ldr, batch.linear)
    return recipe.loss(
        answer.find_excess(),
        batch.stops,
        batch.is_censored,
        is_clipped=levels_of(batch.ldr) >= CLIPPED_LEVEL,
        mask=answer.clipped,
    )


def train(
    recipe: Recipe,
    *,
    views: Path,
    curves: Curves,
    out: Path,
    start: Path | None = None,
    validate_every: int,
    photographs: tuple[int, int] = _VALIDATION,
    device: torch.device,
    loss_of: Callable[[Any, Example, Any], torch.Tensor] = loss_of,
) -> Run:
    """Train to the last step of a recipe, from where the folder has it.

    Args:
        recipe: All numbers.
        views: Folder that `render.py` wrote.
        curves: Of the cameras.
        out: Folder of the run.
        start: Weights to begin with.
        validate_every: Steps between two looks at held-out places.
        photographs: How many of them along the way, and at the end.
        device: To train on.
        loss_of: Of a backbone, a batch and the recipe.

    Raises:
        ValueError: If the folder has a run of another recipe.
    """
    out.mkdir(parents=True, exist_ok=True)
    run = begin(recipe, start=start, device=device)
    restore(run, out / "last.ckpt", recipe)
    shapes = [Views(views, "train", shape) for shape in SIZES]
    weights = [weigh(of_shape, recipe) for of_shape in shapes]
    saved = time.monotonic()
    with _progress() as progress:
        bar = progress.add_task(out.name, total=recipe.steps, completed=run.step, state="")
        while run.step < recipe.steps:
            began = time.monotonic()
            batch = draw_batch(shapes, weights, curves=curves, recipe=recipe, step=run.step)
            take_step(run, batch, recipe, loss_of=loss_of)
            run.seconds += time.monotonic() - began
            progress.update(bar, completed=run.step, state=_state(run, recipe))
            is_last = run.step == recipe.steps
            if run.step % validate_every == 0 or is_last:
                note(run, recipe, views=views, curves=curves, number=photographs[is_last], every=validate_every)
                progress.console.print(
                    f"{out.name} {run.step}: {_state(run, recipe)} {json.dumps(run.curve[-1]['held_out'])}"
                )
            if is_last or time.monotonic() - saved > _SAVE_EVERY_S:
                save(run, out, recipe)
                saved = time.monotonic()
    return run


def begin(recipe: Recipe, *, start: Path | None, device: torch.device) -> Run:
    """Build the network and its optimiser."""
    backbone = recipe.build().to(device)
    if start is not None:
        backbone.net.load_state_dict(load_file(start))
    optimizer = torch.optim.AdamW(backbone.parameters(), lr=recipe.lr, weight_decay=1e-3, betas=(0.9, 0.98))
    return Run(backbone, optimizer, {name: value.clone() for name, value in backbone.net.state_dict().items()})


def weigh(views: Views, recipe: Recipe) -> np.ndarray:
    """Return how often each view is drawn; those of places that the recipe leaves out are not."""
    weights = recipe.weigh(views.records) * views.records["is_done"]
    places = np.unique(views.records["place"][views.done])
    kept = np.random.default_rng(0).permutation(places)[: max(1, round(recipe.places * len(places)))]
    return weights * np.isin(views.records["place"], kept)


def take_step(
    run: Run, batch: Example, recipe: Recipe, *, loss_of: Callable[[Any, Example, Any], torch.Tensor] = loss_of
) -> None:
    """Take one step of the optimiser on a batch, its truth a little off in each channel of each picture."""
    for group in run.optimizer.param_groups:
        group["lr"] = recipe.learning_rate(run.step)
    noise = np.random.default_rng((recipe.seed, run.step, 1)).standard_normal((len(batch.ldr), 3, 1, 1), np.float32)
    batch = batch._replace(stops=batch.stops + recipe.label_noise_stops * torch.from_numpy(noise))
    device = next(run.backbone.parameters()).device
    loss = loss_of(run.backbone, Example(*(part.to(device) for part in batch)), recipe)
    run.optimizer.zero_grad()
    loss.backward()
    # a step that is not finite would be the last
    if torch.isfinite(torch.nn.utils.clip_grad_norm_(run.backbone.parameters(), 1.0)):
        run.optimizer.step()
    kept = recipe.averaging(run.step)
    for name, value in run.backbone.net.state_dict().items():
        run.average[name].lerp_(value, 1 - kept)
    run.step += 1
    run.losses.append(loss.item())


def averaged(run: Run, recipe: Recipe) -> Highlights:
    """Return a backbone of the average of weights."""
    backbone = recipe.build()
    backbone.net.load_state_dict(run.average)
    return backbone.to(next(run.backbone.parameters()).device).eval()


def note(run: Run, recipe: Recipe, *, views: Path, curves: Curves, number: int, every: int) -> None:
    """Judge the average of weights on held-out places, and add it to the curve."""
    scores = judge(
        averaged(run, recipe), choose(views, number), curves=curves, beliefs=("fitted", "charts"), recipe=recipe
    )
    loss = float(np.mean(run.losses[-every:]))
    run.curve.append({"step": run.step, "seconds": round(run.seconds, 1), "loss": loss, "held_out": means(scores)})


def save(run: Run, out: Path, recipe: Recipe) -> None:
    """Write checkpoint, weights and curve, each whole or not at all."""
    content = {
        "recipe": recipe.settings(),
        "network": run.backbone.net.state_dict(),
        "optimizer": run.optimizer.state_dict(),
        "average": run.average,
        "rest": {name: getattr(run, name) for name in ("step", "seconds", "losses", "curve")},
    }
    about = {"recipe": json.dumps(recipe.settings()), "step": str(run.step), "commit": str(provenance()["commit"])}
    curve = {**about, "recipe": recipe.settings(), "losses": run.losses, "curve": run.curve}
    with replacing(out / "last.ckpt") as temporary:
        torch.save(content, temporary)
    with replacing(out / "weights.safetensors") as temporary:
        save_file({name: value.cpu().contiguous() for name, value in run.average.items()}, temporary, about)
    write_json(out / "curve.json", curve)


def restore(run: Run, path: Path, recipe: Recipe) -> None:
    """Go on from a checkpoint, if there is one.

    Raises:
        ValueError: If it is of another recipe.
    """
    if not path.is_file():
        return
    content = torch.load(path, weights_only=True, map_location=next(run.backbone.parameters()).device)
    if content["recipe"] != recipe.settings():
        raise ValueError(f"{path} was trained by {content['recipe']}, not {recipe.settings()}; choose another --out")
    run.backbone.net.load_state_dict(content["network"])
    run.optimizer.load_state_dict(content["optimizer"])
    run.average = content["average"]
    for name, value in content["rest"].items():
        setattr(run, name, value)


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[state]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )


def _state(run: Run, recipe: Recipe) -> str:
    loss = np.mean(run.losses[-_SHOW_MEAN_OF:])
    return f"loss {loss:.3f}, rate {recipe.learning_rate(run.step - 1):.1e}, {run.seconds / run.step:.2f} s a step"


if __name__ == "__main__":
    main()
