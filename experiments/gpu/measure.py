"""Measure on a GPU what was proven without one: tests, time and memory of a meta-step, 16 bits, a score, DDP.

Usage: python experiments/gpu/measure.py [--pieces tests steps bf16 score ddp] [--minutes 8] [--device cuda]

Each piece may be asked for alone, and none begins once the minutes are over; what was measured is written after each
row, to experiments/gpu/DEVICE.json, beside what is there of other pieces. With ``--device cpu`` the script itself is
checked anywhere.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional
from vmap_baseline import plain_vmap

from ldr2hdr.backbones.unet import UNet
from ldr2hdr.io.files import write_json
from ldr2hdr.losses import LogL1
from ldr2hdr.meta.base import AbstractMetaLearner
from ldr2hdr.meta.cavia import CAVIALearner
from ldr2hdr.meta.imaml import IMAMLLearner
from ldr2hdr.meta.inner_loop import InnerLoop
from ldr2hdr.meta.maml import MAMLLearner
from ldr2hdr.meta.maml_plus_plus import MAMLPlusPlusLearner
from ldr2hdr.meta.meta_curvature import MetaCurvatureLearner
from ldr2hdr.meta.meta_sgd import MetaSGDLearner
from ldr2hdr.meta.r2d2 import R2D2Learner
from ldr2hdr.meta.reptile import ReptileLearner
from ldr2hdr.meta.supervised import SupervisedLearner
from ldr2hdr.reconstructor import Reconstructor
from ldr2hdr.response.ridge import RidgeResponse
from ldr2hdr.tasks import Shots, TaskBatch

FOLDER = Path(__file__).resolve().parent
ALGORITHMS: dict[str, Callable[..., AbstractMetaLearner]] = {
    "maml": MAMLLearner,
    "anil": MAMLLearner,
    "fomaml": partial(MAMLLearner, first_order=True),
    "reptile": ReptileLearner,
    "meta_sgd": MetaSGDLearner,
    "maml_plus_plus": partial(MAMLPlusPlusLearner, multi_step_until=0, second_order_from=0),
    "meta_curvature": MetaCurvatureLearner,
    "cavia": CAVIALearner,
    "r2d2": partial(R2D2Learner, ridge_weight=1e-2),
    "imaml": IMAMLLearner,
    "supervised": SupervisedLearner,
}
ADAPTS = {"anil": ("backbone.head.*",), "cavia": ("context",)}
TIMED = ("maml", "fomaml", "reptile")
VMAP = "plain vmap"
ENGINES: dict[str, dict[str, Any]] = {
    "learn2learn": {"engine": "learn2learn"},
    VMAP: {},
    "one after another": {"engine": "fast"},
    "stacked": {"engine": "stacked"},
    "stacked, graph": {"engine": "stacked", "cuda_graph": True},
}
INNER_STEPS = 3
# Seconds after which a row has been repeated often enough
_ENOUGH = 5.0
# Outer steps and pictures of the training whose score is compared
TRAINING = ("experiment=smoke", "algo.inner.steps=3", "trainer.max_steps=60", "data.num_train_tasks=120", "logger=csv")
JUDGED = ("camera=pointwise", "ranges=[unseen]", "steps=[3]", "num_tasks=16", "panel=null", "tables=false")


def main(argv: Sequence[str] | None = None) -> None:
    """Measure the pieces asked for."""
    options = parse(argv)
    start, results = time.monotonic(), read(options)
    for piece in options.pieces:
        left_s = 60 * options.minutes - (time.monotonic() - start)
        began = time.monotonic()
        if left_s <= 0:
            note(results, options, piece, {"left_out": "the time was over"})
            continue
        PIECES[piece](results, options, left_s)
        print(f"{piece}: {time.monotonic() - began:.0f} s", flush=True)


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pieces", nargs="+", choices=tuple(PIECES), default=list(PIECES))
    parser.add_argument("--minutes", type=float, default=8.0)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--out", type=Path, default=FOLDER, help="folder of the results")
    parser.add_argument("--work", type=Path, default=Path("outputs/gpu"), help="folder of the runs")
    parser.add_argument("--px", type=int, default=64)
    parser.add_argument("--tasks", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--algorithms", nargs="+", choices=tuple(ALGORITHMS), default=list(ALGORITHMS))
    parser.add_argument("--outer-steps", type=int, default=30, help="of Adam, after which 16 bits are compared again")
    parser.add_argument("--training", nargs="*", default=[], help="overrides of the training that is judged")
    return parser.parse_args(argv)


def path_of(options: argparse.Namespace) -> Path:
    """Where the results of a device are."""
    return Path(options.out) / f"{torch.device(options.device).type}.json"


def read(options: argparse.Namespace) -> dict[str, Any]:
    """Return what is there of other pieces, with what is measured on."""
    device, path = torch.device(options.device), path_of(options)
    known: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    return {**known, "device": name, "torch": torch.__version__, "px": options.px, "tasks": options.tasks}


def note(results: dict[str, Any], options: argparse.Namespace, piece: str, found: object) -> None:
    """Keep what a piece found so far."""
    results[piece] = found
    write_json(path_of(options), results)


def run_tests(results: dict[str, Any], options: argparse.Namespace, left_s: float) -> None:
    """Run the tests that need a GPU; without one, they are collected."""
    collect = [] if torch.device(options.device).type == "cuda" else ["--collect-only"]
    command = [sys.executable, "-m", "pytest", "-q", "-m", "gpu", *collect]
    note(results, options, "tests", run(command, left_s).splitlines()[-1])


def run_steps(results: dict[str, Any], options: argparse.Namespace, left_s: float) -> None:
    """Time a meta-step by every engine, and measure its memory."""
    device, rows = torch.device(options.device), []
    for algorithm in (name for name in TIMED if name in options.algorithms):
        for engine in ENGINES:
            if device.type == "cuda" or "graph" not in engine:
                row = {"algorithm": algorithm, "engine": engine, **time_step(algorithm, engine, options)}
                rows.append(row)
                print(json.dumps(row), flush=True)
                note(results, options, "steps", rows)


def run_bf16(results: dict[str, Any], options: argparse.Namespace, left_s: float) -> None:
    """Compare meta-gradients in 16 bits with those in 32."""
    found = {}
    for algorithm in options.algorithms:
        found[algorithm] = agreement(algorithm, options)
        print(f"bf16 {algorithm} {json.dumps(found[algorithm])}", flush=True)
        note(results, options, "bf16", found)


def run_score(results: dict[str, Any], options: argparse.Namespace, left_s: float) -> None:
    """Train on the device and on the CPU, from one seed, and judge both on the same tasks."""
    runs = {"cpu": "cpu", "device": "gpu" if torch.device(options.device).type == "cuda" else "cpu"}
    folder = Path(options.work) / "score"
    checkpoints = {}
    for name, hardware in runs.items():
        place = folder / name
        train(left_s, f"hardware={hardware}", *TRAINING, *options.training, place=place)
        checkpoints[name] = place / "checkpoints" / "last.ckpt"
    command = [sys.executable, "-m", "ldr2hdr.evaluate", f"ckpt={checkpoints['cpu']}", "device=cpu", *JUDGED]
    command += [f"+others.device='{checkpoints['device']}'", f"hydra.run.dir={folder / 'evaluation'}"]
    run(command, left_s)
    rows = json.loads((folder / "evaluation" / "results.json").read_text())["means"]
    means = [row for row in rows if row["metric"] == "log2_rmse" and row["region"] == "all" and row["steps"] == 3]
    (other,) = [row for row in means if row["system"] == "device"]
    (own,) = [row for row in means if row is not other]
    is_equal = own["low"] <= other["mean"] <= own["high"]
    found = {"cpu": {key: own[key] for key in ("mean", "low", "high")}, "device": other["mean"], "is_equal": is_equal}
    print(f"score {json.dumps(found)}", flush=True)
    note(results, options, "score", found)


def run_ddp(results: dict[str, Any], options: argparse.Namespace, left_s: float) -> None:
    """Train for two steps by DDP on one device."""
    is_cuda = torch.device(options.device).type == "cuda"
    hardware = ["hardware=multi_gpu"] if is_cuda else ["hardware=cpu", "+trainer.strategy=ddp"]
    began = time.monotonic()
    place = Path(options.work) / "ddp"
    train(left_s, *hardware, "trainer.devices=1", "experiment=smoke", "logger=csv", *options.training, place=place)
    note(results, options, "ddp", {"seconds": time.monotonic() - began})


PIECES: dict[str, Callable[[dict[str, Any], argparse.Namespace, float], None]] = {
    "tests": run_tests,
    "steps": run_steps,
    "bf16": run_bf16,
    "score": run_score,
    "ddp": run_ddp,
}


def train(left_s: float, *overrides: str, place: Path) -> None:
    """Train in a process of its own, anew."""
    run([sys.executable, "-m", "ldr2hdr.train", *overrides, "overwrite=true", f"hydra.run.dir={place}"], left_s)


def run(command: Sequence[str], left_s: float) -> str:
    """Return what a command prints; what it says of a failure is shown."""
    done = subprocess.run(
        command, check=False, timeout=left_s, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    if done.returncode:
        print(done.stdout, flush=True)
        raise SystemExit(f"{' '.join(command)} ended with {done.returncode}")
    return done.stdout


def make(algorithm: str, device: torch.device, **inner: Any) -> AbstractMetaLearner:
    """A learner of three inner steps on the default network, its head away from zero."""
    torch.manual_seed(0)
    model = Reconstructor(RidgeResponse(), UNet())
    torch.nn.init.normal_(model.backbone.head.conv.weight, std=0.02)
    loop = InnerLoop(steps=INNER_STEPS, adapts=ADAPTS.get(algorithm, ("*",)), **inner)
    return ALGORITHMS[algorithm](model, LogL1(), inner=loop).to(device)


def tasks(device: torch.device, *, px: int, num_tasks: int = 8, seed: int = 0) -> TaskBatch:
    """Gammas with a gain each, K = 2 and Q = 1."""
    generator = torch.Generator().manual_seed(seed)
    gain = torch.linspace(0.5, 2, num_tasks)[:, None, None, None, None]

    def shots(count: int) -> Shots:
        ldr = torch.rand(num_tasks, count, 3, px, px, generator=generator)
        return Shots(ldr, gain * ldr**2.2)

    return TaskBatch(shots(2), shots(1), (("place",),) * num_tasks, ("camera",) * num_tasks).to(device)


def stepper(algorithm: str, engine: str, device: torch.device) -> Callable[[TaskBatch], object]:
    """Return ``batch -> meta-gradient`` by an engine, or by torch's own vmap."""
    learner = make(algorithm, device, **ENGINES[engine])
    if engine != VMAP:
        return learner.outer_step
    return plain_vmap(learner.model, LogL1(), algorithm=algorithm, lr=learner.inner.lr, steps=INNER_STEPS)


def time_step(algorithm: str, engine: str, options: argparse.Namespace) -> dict[str, float]:
    """Median time of a meta-step in milliseconds, by CUDA's clock where there is one, and its peak memory in MiB."""
    device = torch.device(options.device)
    step, batch = stepper(algorithm, engine, device), tasks(device, px=options.px, num_tasks=options.tasks)
    repeats = options.repeats
    for _ in range(3 if repeats > 1 else 1):
        began = time.perf_counter()
        step(batch)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        repeats = max(1, min(repeats, int(_ENOUGH / (time.perf_counter() - began))))
    if device.type != "cuda":
        times = []
        for _ in range(repeats):
            began = time.perf_counter()
            step(batch)
            times.append(1e3 * (time.perf_counter() - began))
        return {"ms": statistics.median(times)}
    torch.cuda.reset_peak_memory_stats(device)
    marks = [torch.cuda.Event(enable_timing=True) for _ in range(repeats + 1)]
    marks[0].record()
    for mark in marks[1:]:
        step(batch)
        mark.record()
    torch.cuda.synchronize(device)
    times = [before.elapsed_time(after) for before, after in pairwise(marks)]
    return {"ms": statistics.median(times), "mib": torch.cuda.max_memory_allocated(device) / 2**20}


def agreement(algorithm: str, options: argparse.Namespace) -> dict[str, float]:
    """Cosine of the meta-gradients in bfloat16 and in single precision, of a fresh network and of one that learned."""
    device = torch.device(options.device)
    learner = make(algorithm, device, engine="stacked")
    draw = partial(tasks, device, px=options.px, num_tasks=options.tasks)
    found = {"fresh": cosine(learner, draw())}
    optimizer = torch.optim.Adam(learner.trainable(), lr=2e-3)
    for seed in range(1, options.outer_steps + 1):
        result = learner.outer_step(draw(seed=seed))
        for parameter, part in zip(learner.trainable(), result.gradient_sum, strict=True):
            parameter.grad = part / options.tasks
        optimizer.step()
    return {**found, "after": cosine(learner, draw())}


def cosine(learner: AbstractMetaLearner, batch: TaskBatch) -> float:
    """Cosine of the meta-gradients in bfloat16 and in single precision."""
    kind, gradients = batch.support.ldr.device.type, []
    for is_mixed in (False, True):
        with torch.autocast(kind, dtype=torch.bfloat16, enabled=is_mixed):
            result = learner.outer_step(batch)
        gradients.append(torch.cat([part.flatten() for part in result.gradient_sum]))
    return functional.cosine_similarity(*gradients, dim=0).item()


if __name__ == "__main__":
    main()
