"""Cases to time: a meta-step of one size, and the lists of sizes that differ from the usual one in one respect."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from itertools import product
from typing import Final, Literal

import torch
from torch import nn

from ldr2hdr.backbones.resnet import ResNet
from ldr2hdr.backbones.unet import UNet
from ldr2hdr.losses import LogL1
from ldr2hdr.meta.base import AbstractMetaLearner
from ldr2hdr.meta.inner_loop import InnerLoop
from ldr2hdr.meta.maml import MAMLLearner
from ldr2hdr.meta.reptile import ReptileLearner
from ldr2hdr.reconstructor import Reconstructor
from ldr2hdr.response.local import LocalRidgeResponse
from ldr2hdr.response.ridge import RidgeResponse
from ldr2hdr.tasks import Shots, TaskBatch

Engine = Literal["learn2learn", "fast"]
ENGINES: Final[tuple[Engine, Engine]] = ("learn2learn", "fast")
ALGORITHMS: Final = {"second": "MAML, second order", "first": "FOMAML", "reptile": "Reptile"}

_BACKBONES: Final = {"unet": UNet, "resnet": ResNet}
_RESPONSES: Final = {"ridge": RidgeResponse, "local": LocalRidgeResponse}


@dataclass(frozen=True)
class Case:
    """One meta-step: T tasks of K support and Q query pictures.

    Attributes:
        algorithm: A key of ``ALGORITHMS``.
        tasks: T.
        shots: K.
        queries: Q.
        px: Height and width of the pictures.
        steps: Inner steps.
        backbone: ``unet`` or ``resnet``, both with their default widths.
        norm: Of the backbone.
        response: The response stage, ``ridge`` or ``local``.
        checkpoint: Whether our engine takes each inner step twice to save memory.
    """

    algorithm: str = "second"
    tasks: int = 4
    shots: int = 2
    queries: int = 2
    px: int = 64
    steps: int = 3
    backbone: str = "unet"
    norm: str = "pixel"
    response: str = "ridge"
    checkpoint: bool = False

    def in_words(self) -> str:
        """The algorithm, and wherein this case differs from the usual one."""
        units = {"tasks": "T = {}", "shots": "K = {}", "queries": "Q = {}", "px": "{} px", "steps": "{} inner steps"}
        usual = asdict(Case())
        words = [ALGORITHMS[self.algorithm]]
        for field in fields(self)[1:]:
            value = getattr(self, field.name)
            if value != usual[field.name]:
                words.append(units.get(field.name, f"{field.name}={value}".lower()).format(value))
        return ", ".join(words).replace("1 inner steps", "1 inner step")


USUAL: Final = Case()


def _vary(name: str, *values: object, base: Case = USUAL) -> tuple[Case, ...]:
    return tuple(replace(base, **{name: value}) for value in values)


def _targets(algorithm: str) -> tuple[Case, ...]:
    return tuple(Case(algorithm, tasks, px=px) for px, tasks in product((64, 128), (4, 8)))


# The unrolled graph of 3 second-order steps at 512 px takes more than 13 GB per task
_LARGEST: Final = Case(px=512, tasks=2, shots=1, queries=1, steps=1)

AXES: Final[Mapping[str, tuple[Case, ...]]] = {
    **{algorithm: _targets(algorithm) for algorithm in ALGORITHMS},
    "plain": tuple(case for algorithm in ALGORITHMS for case in _targets(algorithm) if case.tasks == 4),
    "tasks": _vary("tasks", 1, 2, 3, 4, 8, 16, 32),
    "small": tuple(Case(algorithm, 1, px=px) for algorithm in ALGORITHMS for px in (32, 64, 128)),
    "shots": _vary("shots", 1, 2, 4, 8),
    "steps": _vary("steps", 1, 2, 3, 5, 7, 10),
    "px": _vary("px", 64, 96, 128, 192, 256),
    "largest": (_LARGEST, replace(_LARGEST, algorithm="first"), replace(_LARGEST, algorithm="reptile")),
    "variants": (
        *_vary("backbone", "resnet"),
        *_vary("norm", "group"),
        *_vary("response", "local"),
        *_vary("checkpoint", True),
        Case("first", backbone="resnet"),
        Case("reptile", backbone="resnet"),
    ),
    # of two processes, which each begin with another engine
    "sequence": (USUAL,),
    "memory": (
        *(Case(algorithm, px=128) for algorithm in ALGORITHMS),
        Case(px=128, steps=10),
        Case(px=128, checkpoint=True),
        Case(px=128, steps=10, checkpoint=True),
        Case(px=256),
    ),
}
# The axes whose cost should be a straight line, and what is drawn on their x axis
STRAIGHT: Final = {"tasks": "tasks T", "shots": "support pictures K", "steps": "inner steps"}
QUICK: Final[Mapping[str, tuple[Case, ...]]] = {
    **{algorithm: (Case(algorithm, px=32),) for algorithm in ALGORITHMS},
    "plain": (Case(px=32),),
    "tasks": _vary("tasks", 1, 2, 4, base=Case(px=32)),
    "shots": _vary("shots", 1, 2, base=Case(px=32)),
    "steps": _vary("steps", 1, 2, base=Case(px=32)),
    "memory": (USUAL,),
}


def build_model(case: Case, device: torch.device) -> nn.Module:
    """A network with seeded weights; its head is not zero, so that all of it takes part."""
    torch.manual_seed(0)
    backbone = _BACKBONES[case.backbone](norm=case.norm)
    with torch.no_grad():
        for parameter in backbone.head.parameters():
            parameter.normal_(0, 0.05)
    return Reconstructor(_RESPONSES[case.response](), backbone).to(device)


def build_batch(case: Case, device: torch.device, *, dtype: torch.dtype = torch.float32) -> TaskBatch:
    """Seeded noise as seen by a camera with a gamma; what it shows does not change the cost."""
    generator = torch.Generator().manual_seed(0)

    def draw(num: int) -> Shots:
        levels = 255 * torch.rand(case.tasks, num, 3, case.px, case.px, generator=generator, dtype=dtype)
        ldr = levels.round() / 255
        return Shots(ldr, 1.3 * (2.2 * ldr) ** 2.2).to(device)

    places = (("noise",) * case.queries,) * case.tasks
    return TaskBatch(draw(case.shots), draw(case.queries), places, tuple(map(str, range(case.tasks))))


def build_learner(case: Case, model: nn.Module, engine: Engine) -> AbstractMetaLearner:
    """A meta-learner of this model."""
    inner = InnerLoop(lr=0.05, steps=case.steps, engine=engine)
    if case.algorithm == "reptile":
        return ReptileLearner(model, LogL1(), inner=inner)
    checkpoint = case.checkpoint and engine == "fast"
    is_first = case.algorithm == "first"
    return MAMLLearner(model, LogL1(), inner=inner, first_order=is_first, checkpoint_steps=checkpoint)


def forward_passes(case: Case) -> int:
    """Passes of one picture through the network that the algorithm needs for a task, in units of a forward pass.

    A gradient costs three forward passes, and differentiating it three times as much. The query is seen at phi, with a
    gradient except by Reptile, and at theta without one.
    """
    step = 9 if case.algorithm == "second" else 3
    query = 2 if case.algorithm == "reptile" else 4
    return step * case.steps * case.shots + query * case.queries


def disagreement(case: Case, device: torch.device) -> float:
    """Largest relative difference between the engines' meta-gradients by a parameter, of one task in float64."""
    one = replace(case, tasks=1)
    model, batch = build_model(one, device).double(), build_batch(one, device, dtype=torch.float64)
    other, ours = (build_learner(one, model, engine).outer_step(batch).gradient_sum for engine in ENGINES)
    return max(((a - b).norm() / b.norm().clamp_min(1e-30)).item() for a, b in zip(ours, other, strict=True))
