"""Measure what the engine does on a GPU: time and memory of a meta-step, and what 16 bits cost its gradient.

Usage: python experiments/gpu/measure.py [--device cuda] [--px 64] [--repeats 20]

Writes outputs/gpu/DEVICE.json. With ``--device cpu`` it runs anywhere, as a check of the script itself.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch

from ldr2hdr.backbones.unet import UNet
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
from ldr2hdr.training.callbacks import write_json

ALGORITHMS: dict[str, Callable[..., AbstractMetaLearner]] = {
    "maml": MAMLLearner,
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
TIMED = ("maml", "fomaml", "reptile")
ENGINES: dict[str, dict[str, Any]] = {
    "learn2learn": {"engine": "learn2learn"},
    "one after another": {"engine": "fast"},
    "stacked": {"engine": "stacked"},
    "stacked, graph": {"engine": "stacked", "cuda_graph": True},
}


def main() -> None:
    """Measure, and write the results after each row."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--px", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=20)
    options = parser.parse_args()
    device = torch.device(options.device)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"
    results: dict[str, Any] = {"device": name, "torch": torch.__version__, "px": options.px, "steps": [], "bf16": {}}
    path = Path("outputs/gpu") / f"{device.type}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    for algorithm in TIMED:
        for engine in ENGINES:
            if device.type == "cuda" or "graph" not in engine:
                row = time_step(algorithm, engine, device, px=options.px, repeats=options.repeats)
                results["steps"].append({"algorithm": algorithm, "engine": engine, **row})
                print(json.dumps(results["steps"][-1]), flush=True)
                write_json(path, results)
    for algorithm in ALGORITHMS:
        results["bf16"][algorithm] = agreement(algorithm, device, px=options.px)
        print(f"bf16 {algorithm} {results['bf16'][algorithm]:.3f}", flush=True)
        write_json(path, results)


def make(algorithm: str, device: torch.device, **inner: Any) -> AbstractMetaLearner:
    """A learner of three inner steps on the default network, its head away from zero."""
    torch.manual_seed(0)
    model = Reconstructor(RidgeResponse(), UNet())
    torch.nn.init.normal_(model.backbone.head.conv.weight, std=0.02)
    adapts = ("context",) if algorithm == "cavia" else ("*",)
    return ALGORITHMS[algorithm](model, LogL1(), inner=InnerLoop(steps=3, adapts=adapts, **inner)).to(device)


def tasks(device: torch.device, *, px: int, num_tasks: int = 8) -> TaskBatch:
    """Gammas with a gain each, K = 2 and Q = 1."""
    generator = torch.Generator().manual_seed(0)
    gain = torch.linspace(0.5, 2, num_tasks)[:, None, None, None, None]

    def shots(count: int) -> Shots:
        ldr = torch.rand(num_tasks, count, 3, px, px, generator=generator)
        return Shots(ldr, gain * ldr**2.2)

    return TaskBatch(shots(2), shots(1), (("place",),) * num_tasks, ("camera",) * num_tasks).to(device)


def time_step(algorithm: str, engine: str, device: torch.device, *, px: int, repeats: int) -> dict[str, float]:
    """Median time of a meta-step in milliseconds, by CUDA's clock where there is one, and its peak memory in MiB."""
    learner, batch = make(algorithm, device, **ENGINES[engine]), tasks(device, px=px)
    for _ in range(3):
        learner.outer_step(batch)
    if device.type != "cuda":
        times = []
        for _ in range(repeats):
            start = time.perf_counter()
            learner.outer_step(batch)
            times.append(1e3 * (time.perf_counter() - start))
        return {"ms": statistics.median(times)}
    torch.cuda.reset_peak_memory_stats(device)
    marks = [torch.cuda.Event(enable_timing=True) for _ in range(repeats + 1)]
    marks[0].record()
    for mark in marks[1:]:
        learner.outer_step(batch)
        mark.record()
    torch.cuda.synchronize(device)
    times = [before.elapsed_time(after) for before, after in pairwise(marks)]
    return {"ms": statistics.median(times), "mib": torch.cuda.max_memory_allocated(device) / 2**20}


def agreement(algorithm: str, device: torch.device, *, px: int) -> float:
    """Cosine of the meta-gradients in bfloat16 and in single precision."""
    gradients = []
    for is_mixed in (False, True):
        learner = make(algorithm, device, engine="stacked")
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=is_mixed):
            result = learner.outer_step(tasks(device, px=px))
        gradients.append(torch.cat([part.flatten() for part in result.gradient_sum]))
    return torch.nn.functional.cosine_similarity(*gradients, dim=0).item()


if __name__ == "__main__":
    main()
