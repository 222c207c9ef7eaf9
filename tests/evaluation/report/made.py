"""Runs whose numbers and pictures are known; their names try to become HTML."""

import json

import torch

from ldr2hdr.evaluation.results import write_results
from ldr2hdr.evaluation.samples import SampledTask, write_samples
from ldr2hdr.evaluation.scoring import BaselineSystem, Score, compare, score_tasks, summarize
from ldr2hdr.evaluation.stages import Stage
from ldr2hdr.io.files import write_json
from ldr2hdr.radiometry import encode_srgb
from ldr2hdr.tasks import Shots, Task

EVIL = "<img src=x onerror=alert(1)>"
PLACES = ("roof", f"cave {EVIL}", "dune")
TABLES = (("phone", "seen"), ("phone", "unseen"))
HEIGHT, WIDTH = 13, 17


class Curve:
    """Knows the camera: sRGB light up to white, times a factor; a pixel of noise tells it from a pure curve."""

    def __init__(self, factor, noise=0.0):
        self.factor, self.noise = factor, noise

    def adapt(self, support):
        def predict(ldr):
            light = torch.where(ldr <= 0.04045, ldr / 12.92, ((ldr + 0.055) / 1.055) ** 2.4)
            pattern = torch.rand(ldr.shape, generator=torch.Generator().manual_seed(3)) * self.noise
            return self.factor * light * (1 + pattern)

        return predict


def make_task(place, *, seed, size=(HEIGHT, WIDTH)):
    """Noise of 20 stops, which is harder to pack than any photograph."""
    generator = torch.Generator().manual_seed(seed)
    stops = torch.rand(2, 3, *size, generator=generator) * 20 - 12
    exposure = 2.0**stops
    exposure[0, :, 0, 0] = 0
    exposure[0, :, 0, 1] = torch.tensor([1.0, 300.0, 2.0**-14])
    # half floats are what is kept
    exposure = exposure.half().float()
    ldr = (encode_srgb(exposure.clamp(0, 1)) * 255).round() / 255
    return Task(Shots(ldr, exposure), Shots(ldr, exposure), (place, place), (place, place), f"camera {EVIL}")


class Net:
    """A system of three stages."""

    def predictors(self, support):
        yield Stage("net", "single-shot"), Curve(2.0).adapt(support)
        for steps in (0, 1):
            yield Stage("net", "adapted", steps), Curve(1.5**-steps, 0.3).adapt(support)


def systems():
    return [
        BaselineSystem("response fit", Curve(1.0)),
        BaselineSystem(f"twice {EVIL}", Curve(4.0, noise=0.5)),
        Net(),
    ]


def write_evaluation(folder, *, shots=2, num_samples=2, task=None, labels=None):
    """``task`` and ``labels`` are the classes that its configuration names."""
    folder.mkdir(parents=True)
    tasks = {
        table: [make_task(place, seed=10 * row + column) for column, place in enumerate(PLACES)]
        for row, table in enumerate(TABLES)
    }
    scores: list[Score] = []
    for (family, ranges), group in tasks.items():
        scores += score_tasks(systems(), group, camera_family=family, ranges=ranges)
    settings = {"seed": 0, "num_resamples": 50}
    opponents = (Stage("response fit"), Stage("net", "single-shot"), Stage(f"twice {EVIL}"))
    differences = compare(scores, [(Stage("net", "adapted", 1), other) for other in opponents], **settings)
    about = {
        "commit": "abc123+",
        "versions": {"torch": "2"},
        "config": {
            "task": {"shots": shots, **({} if task is None else {"_target_": f"ldr2hdr.data.tasks.sampling.{task}"})},
            "note": f"</script>{EVIL}",
            **({} if labels is None else {"labels": {"_target_": f"ldr2hdr.data.tasks.labels.{labels}"}}),
        },
        "protocol": {"alignment": "none"},
    }
    write_results(folder, scores=scores, summaries=summarize(scores, **settings), differences=differences, about=about)
    if num_samples:
        chosen = [SampledTask(*table, task) for table, group in tasks.items() for task in group[:num_samples]]
        write_samples(folder / "samples", systems(), chosen, seed=7, device="cpu")
    return folder


def write_training(folder):
    (folder / "csv").mkdir(parents=True)
    rows = ["epoch,step,train/loss,train/loss@single,val/pu_psnr@0,val/pu_psnr@5"]
    rows += [f"0,{step},{0.5 / (step + 1)},{0.6 / (step + 1)},," for step in range(10)]
    rows += ["0,9,,,20.5,25.5", "1,19,,,21.5,nan"]
    (folder / "csv" / "metrics.csv").write_text("\n".join(rows) + "\n")
    config = f"algo:\n  name: {json.dumps('</script>' + EVIL)}\n"
    write_json(folder / "manifest.json", {"commit": "abc", "versions": {}, "config": config})
    return folder
