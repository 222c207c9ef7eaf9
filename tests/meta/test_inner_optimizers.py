"""Inner optimisers are torch's own, and what the inner loop makes of them is as asked for."""

from collections.abc import Callable

import pytest
import torch
from networks import LOSS, reconstructor
from networks import shots as pictures
from quadratic import LR, W0, A, B, Constant, adapted, half_square, shots

from ldr2hdr.meta.inner_loop import InnerLoop
from ldr2hdr.meta.inner_optimizers import SGD, Adam, Momentum
from ldr2hdr.meta.maml import MAMLLearner


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (SGD, torch.optim.SGD),
        (lambda lr: Momentum(lr, momentum=0.8), lambda p, lr: torch.optim.SGD(p, lr, momentum=0.8)),
        (lambda lr: Adam(lr, eps=1e-16), lambda p, lr: torch.optim.Adam(p, lr, eps=1e-16)),
    ],
    ids=["sgd", "momentum", "adam"],
)
def test_adapting_is_what_torchs_optimiser_does(ours: Callable, theirs: Callable) -> None:
    support, query = pictures(1), pictures(2)
    learner = MAMLLearner(reconstructor(), LOSS, inner=InnerLoop(lr=0.01, optimizer=ours))
    model = reconstructor()
    optimizer = theirs(model.parameters(), lr=0.01)
    for _ in range(5):
        optimizer.zero_grad()
        LOSS(model(support.ldr), support.exposure).backward()
        optimizer.step()
    torch.testing.assert_close(learner.adapt(support, steps=5)(query.ldr), model(query.ldr), rtol=1e-7, atol=1e-9)


def test_decay_shrinks_the_rate_from_step_to_step() -> None:
    learner = MAMLLearner(Constant(), half_square, inner=InnerLoop(lr=LR, optimizer=lambda lr: SGD(lr, decay=0.5)))
    black = torch.zeros(1, 3, 1, 1, dtype=torch.float64)
    expected = A + (1 - LR) * (1 - LR / 2) * (1 - LR / 4) * (W0 - A)
    assert learner.adapt(shots(A), steps=3)(black)[0, 0, 0, 0].item() == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("engine", ["learn2learn", "fast"])
def test_a_clipped_gradient_has_the_bound_as_its_norm_and_no_second_derivative(engine: str) -> None:
    learner = MAMLLearner(Constant(), half_square, inner=InnerLoop(lr=LR, steps=1, clip=0.5, engine=engine))
    result = learner.task_gradient(shots(A), shots(B))
    # w0 lies 1.3 below the target: the step is the rate times the bound, wherever it starts
    assert result.gradient[0].item() == pytest.approx(W0 + LR * 0.5 - B, abs=1e-12)


@pytest.mark.parametrize("engine", ["learn2learn", "fast"])
def test_a_gradient_below_the_bound_is_left(engine: str) -> None:
    learner = MAMLLearner(Constant(), half_square, inner=InnerLoop(lr=LR, steps=2, clip=9.0, engine=engine))
    expected = (1 - LR) ** 2 * (adapted(2) - B)
    assert learner.task_gradient(shots(A), shots(B)).gradient[0].item() == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: SGD(0.0), "lr > 0"),
        (lambda: SGD(0.1, decay=1.5), "decay"),
        (lambda: Momentum(0.1, momentum=1.0), "momentum"),
        (lambda: Adam(0.1, beta1=-0.1), "beta1"),
        (lambda: Adam(0.1, beta2=1.0), "beta2"),
        (lambda: Adam(0.1, eps=0.0), "eps"),
    ],
)
def test_arguments_out_of_range_are_named(make: Callable, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        make()


def test_what_adapts_must_be_there_and_not_frozen() -> None:
    with pytest.raises(ValueError, match=r"algo\.inner\.adapts='\*\.heat\.\*' names no parameter; there are"):
        MAMLLearner(reconstructor(), LOSS, inner=InnerLoop(adapts=["*.heat.*"]))
    frozen = reconstructor().requires_grad_(False)
    with pytest.raises(ValueError, match=r"nothing adapts: algo\.inner\.adapts"):
        MAMLLearner(frozen, LOSS)


def test_steps_twice_by_learn2learn_are_refused() -> None:
    with pytest.raises(ValueError, match=r"algo\.checkpoint_steps"):
        MAMLLearner(Constant(), half_square, inner=InnerLoop(engine="learn2learn"), checkpoint_steps=True)
