"""Every algorithm on real networks: both engines, several threads, steps taken twice, all give the same numbers."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import pytest
import torch
from networks import (
    BACKBONES,
    LOSS,
    RESPONSES,
    batch,
    flat,
    gradient_of,
    reconstructor,
    relative_error,
    shots,
    state_of,
)

from ldr2hdr.meta.alpaca import AlpacaLearner
from ldr2hdr.meta.base import AbstractMetaLearner
from ldr2hdr.meta.cavia import CAVIALearner
from ldr2hdr.meta.from_scratch import FromScratchLearner
from ldr2hdr.meta.imaml import IMAMLLearner
from ldr2hdr.meta.inner_loop import InnerLoop, Loss
from ldr2hdr.meta.inner_optimizers import SGD, Adam, Momentum
from ldr2hdr.meta.maml import MAMLLearner
from ldr2hdr.meta.maml_plus_plus import MAMLPlusPlusLearner
from ldr2hdr.meta.meta_curvature import MetaCurvatureLearner
from ldr2hdr.meta.meta_sgd import MetaSGDLearner
from ldr2hdr.meta.r2d2 import R2D2Learner
from ldr2hdr.meta.reptile import ReptileLearner
from ldr2hdr.meta.supervised import SupervisedLearner
from ldr2hdr.reconstructor import Reconstructor
from ldr2hdr.response.local import LocalRidgeResponse


def _alpaca(model: Reconstructor, loss: Loss, **settings: object) -> AlpacaLearner:
    """One with a closed form of its own beside it: a device takes this along."""
    return AlpacaLearner(model, loss, beside=LocalRidgeResponse(), **settings)


# what is made of MAML, and so can take its steps twice
UNROLLED: dict[str, Callable[..., AbstractMetaLearner]] = {
    "maml": MAMLLearner,
    "fomaml": partial(MAMLLearner, first_order=True),
    "anil": partial(MAMLLearner, inner=InnerLoop(steps=2, adapts=["backbone.head.*"])),
    "single_shot": partial(MAMLLearner, single_shot_weight=0.3),
    "momentum": partial(MAMLLearner, inner=InnerLoop(steps=2, optimizer=Momentum)),
    "adam": partial(MAMLLearner, inner=InnerLoop(steps=2, optimizer=Adam, lr=0.005)),
    "decay": partial(MAMLLearner, inner=InnerLoop(steps=2, optimizer=partial(SGD, decay=0.5))),
    "clip": partial(MAMLLearner, inner=InnerLoop(steps=2, clip=0.05)),
    "meta_sgd": MetaSGDLearner,
    "meta_sgd_adam": partial(MetaSGDLearner, inner=InnerLoop(steps=2, optimizer=Adam, lr=0.005)),
    "maml_plus_plus": partial(MAMLPlusPlusLearner, multi_step_until=5, second_order_from=0),
    "maml_plus_plus_first": partial(MAMLPlusPlusLearner, multi_step_until=5, second_order_from=1),
    "meta_curvature": MetaCurvatureLearner,
    "cavia": partial(
        CAVIALearner, num_context=3, modulates=["backbone.*"], inner=InnerLoop(lr=1.0, steps=2, adapts=["context"])
    ),
    "r2d2_steps": R2D2Learner,
}
ALGORITHMS: dict[str, Callable[..., AbstractMetaLearner]] = UNROLLED | {
    "r2d2": partial(R2D2Learner, inner=InnerLoop(steps=0)),
    "alpaca": partial(_alpaca, inner=InnerLoop(steps=0)),
    "imaml": IMAMLLearner,
    "imaml_head": partial(IMAMLLearner, inner=InnerLoop(steps=2, adapts=["backbone.head.*"], optimizer=Momentum)),
    "reptile": ReptileLearner,
    "reptile_adam": partial(ReptileLearner, inner=InnerLoop(steps=2, optimizer=Adam, lr=0.005, clip=0.05)),
    "supervised": SupervisedLearner,
    "from_scratch": FromScratchLearner,
}
# one of every class
CLASSES = (
    "adam",
    "maml_plus_plus",
    "meta_sgd",
    "meta_curvature",
    "cavia",
    "r2d2",
    "alpaca",
    "imaml",
    "reptile",
    "supervised",
)


def make(
    name: str, backbone: str = "unet", response: str = "ridge", *, twice: bool = False, **change: object
) -> AbstractMetaLearner:
    """A learner with two inner steps; the random numbers of its own start are the same every time."""
    model = reconstructor(backbone, response)
    torch.manual_seed(1)
    factory = ALGORITHMS[name]
    own = factory.keywords if isinstance(factory, partial) else {}
    inner = replace(own.get("inner", InnerLoop(steps=2)), **change)
    return factory(model, LOSS, inner=inner, **({"checkpoint_steps": True} if twice else {})).double()


@pytest.mark.parametrize("response", RESPONSES)
@pytest.mark.parametrize("backbone", BACKBONES)
@pytest.mark.parametrize("name", ALGORITHMS)
def test_both_engines_have_the_same_loss_and_meta_gradient(name: str, backbone: str, response: str) -> None:
    slow, fast = (gradient_of(make(name, backbone, response, engine=engine)) for engine in ("learn2learn", "fast"))
    assert fast.loss_before.item() == pytest.approx(slow.loss_before.item(), rel=1e-9)
    assert fast.loss_after.item() == pytest.approx(slow.loss_after.item(), rel=1e-9)
    if name == "from_scratch":
        assert not flat(fast.gradient).any()
    else:
        assert flat(slow.gradient).norm() > 1e-3
        assert relative_error(fast, slow) < 1e-9


@pytest.mark.parametrize("name", UNROLLED)
def test_steps_taken_twice_have_the_same_gradient(name: str) -> None:
    once, twice = (gradient_of(make(name, steps=3, twice=twice)) for twice in (False, True))
    assert twice.loss_after.item() == pytest.approx(once.loss_after.item(), rel=1e-12)
    assert relative_error(twice, once) < 1e-9


@pytest.mark.parametrize("name", CLASSES)
def test_two_task_threads_have_the_bits_of_one(name: str) -> None:
    one = make(name).outer_step(batch(3))
    torch.set_num_threads(2)
    try:
        two = make(name).outer_step(batch(3))
    finally:
        torch.set_num_threads(1)
    assert one.num_counted == two.num_counted == 3
    assert torch.equal(flat(one.gradient_sum), flat(two.gradient_sum))
    assert one.loss_after == two.loss_after


@pytest.mark.parametrize("name", ALGORITHMS)
def test_adapting_is_the_same_by_both_engines_and_leaves_every_bit(name: str) -> None:
    predictions = []
    for engine in ("learn2learn", "fast"):
        learner = make(name, engine=engine)
        before = state_of(learner)
        with torch.no_grad():
            # more steps than were trained with
            predictions.append([learner.adapt(shots(1), steps=steps)(shots(2).ldr) for steps in (0, 1, 4)])
        assert all(torch.equal(tensor, before[key]) for key, tensor in learner.state_dict().items())
        assert all(parameter.grad is None for parameter in learner.parameters())
    for slow, fast in zip(*predictions, strict=True):
        torch.testing.assert_close(fast, slow, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", CLASSES)
def test_what_is_saved_is_all_there_is(name: str) -> None:
    """After a step of the outer optimiser, a fresh learner with the state dict adapts to the same bits."""
    trained = make(name)
    result = trained.outer_step(batch(2))
    with torch.no_grad():
        torch._foreach_add_(trained.trainable(), list(result.gradient_sum), alpha=-0.01)
    loaded = make(name)
    loaded.load_state_dict(trained.state_dict())
    query = shots(2).ldr
    assert torch.equal(loaded.adapt(shots(1))(query), trained.adapt(shots(1))(query))
    assert torch.equal(loaded.single_shot()(query), trained.single_shot()(query))
    assert torch.equal(flat(gradient_of(loaded).gradient), flat(gradient_of(trained).gradient))
