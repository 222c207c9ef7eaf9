"""Measure a checkpoint of ``algo=alpaca`` on real photographs, adapted by a bracket of another scene.

Usage: python experiments/real_cameras/learned_heads.py CKPT --data FOLDER [--grades AB] [--phones]
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import torch
from scoring import COLUMNS, score
from stacks import Case, apply_curve, cross_cases, read_stacks, recover_response
from systems import FIT, as_array
from torch import Tensor

from ldr2hdr.build import load_learner
from ldr2hdr.data.tasks.labels import MergeLabels
from ldr2hdr.meta.base import AbstractMetaLearner
from ldr2hdr.metrics.bootstrap import bootstrap_mean
from ldr2hdr.tasks import Shots

_SUPPORT_PX = 192


def main() -> None:
    """Convert, score, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("ckpt", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--grades", default="AB")
    parser.add_argument("--phones", action="store_true", help="phones alone")
    parser.add_argument("--max-pairs", type=int, default=6)
    args = parser.parse_args()
    torch.set_num_threads(1)
    learner, _ = load_learner(args.ckpt)
    stacks = [one for one in read_stacks(args.data, grades=args.grades) if one.is_phone or not args.phones]
    cases = list(cross_cases(stacks, max_pairs=args.max_pairs))
    errors: dict[str, list[tuple[float, ...]]] = {}
    for case in cases:
        frame = case.stack.frames[case.stack.query]
        for system, light in conversions(learner, case):
            errors.setdefault(system, []).append(score(light, case.stack.truth, frame))
    report({system: np.array(rows) for system, rows in errors.items()}, [case.stack.owner for case in cases])


@torch.no_grad()
def conversions(learner: AbstractMetaLearner, case: Case) -> Iterator[tuple[str, np.ndarray]]:
    """Yield the photograph by every system."""
    frame = case.stack.frames[case.stack.query]
    frames, times_s = case.teaching()
    yield FIT, np.exp(apply_curve(recover_response(frames, times_s), frame))
    picture, support = as_tensor(frame), support_of(case)
    response, statistics = learner.model.network.response, learner.statistics(support)
    yield "curve, single-shot", as_array(response(picture, None))
    yield "curve, adapted", as_array(response(picture, statistics.of_network))
    beside, law = learner.model.beside, learner.model.regress(picture, statistics)
    if beside is not None:
        yield "local", as_array(beside(picture, beside.sufficient_statistics(support)))
    yield "regression alone", as_array(learner.model.solvable.head.render(law.mean, law.linear))
    yield "single-shot", as_array(learner.single_shot()(picture))
    yield "adapted", as_array(learner.adapt(support)(picture))


def report(errors: dict[str, np.ndarray], owners: list[str]) -> None:
    """Print means over owners, and differences of the adapted from the others, in stops."""
    for system, rows in errors.items():
        print(f"{system:34s} {len(rows)}", *(cell(rows[:, at], owners, name) for at, name in enumerate(COLUMNS)))
    for system, rows in errors.items():
        away = errors["adapted"] - rows
        if system != "adapted":
            print(f"adapted - {system:24s}", *(cell(away[:, at], owners, COLUMNS[at]) for at in (0, 1, 2)))


def cell(values: np.ndarray, owners: list[str], name: str) -> str:
    """Return a mean with its interval."""
    found = bootstrap_mean(torch.from_numpy(values), owners, generator=torch.Generator().manual_seed(0))
    return f"{name} {found.mean:.3f} [{found.low:.3f}, {found.high:.3f}]"


def support_of(case: Case) -> Shots:
    """Return the frames that teach, averaged down and labelled by their own merge."""
    frames, times_s = case.teaching()
    small = torch.cat([as_tensor(shrink(one)) for one in frames])
    evs = torch.from_numpy(np.log2(times_s)).float()
    return Shots(small, MergeLabels(max_residual_stops=np.inf).label(small, evs - evs.median()))


def shrink(frame: np.ndarray) -> np.ndarray:
    """Return a frame at the size at which a support is looked at."""
    scale = _SUPPORT_PX / max(frame.shape[:2])
    return cv2.resize(frame, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)


def as_tensor(frame: np.ndarray) -> Tensor:
    """Return an 8-bit picture as ``(1, 3, H, W)`` in [0, 1]."""
    return torch.from_numpy(frame.copy()).permute(2, 0, 1).float()[None] / 255


if __name__ == "__main__":
    main()
