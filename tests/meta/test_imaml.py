"""iMAML: the gradient of a minimum, against the closed form and an exact linear solve."""

import pytest
import torch
from networks import LOSS, flat, reconstructor
from networks import shots as pictures
from quadratic import LR, STEPS, W0, A, B, Constant, half_square, shots
from torch import Tensor

from ldr2hdr.meta.imaml import IMAMLLearner, conjugate_gradients
from ldr2hdr.meta.inner_loop import InnerLoop
from ldr2hdr.meta.inner_optimizers import Adam

STRENGTH = 0.5
BLACK = torch.zeros(1, 3, 1, 1, dtype=torch.float64)


@pytest.mark.parametrize("steps", STEPS)
def test_the_quadratic_has_its_closed_form_after_any_number_of_steps(steps: int) -> None:
    learner = IMAMLLearner(
        Constant(), half_square, inner=InnerLoop(lr=LR, steps=steps), proximal_strength=STRENGTH, cg_steps=1
    )
    minimum = (A + STRENGTH * W0) / (1 + STRENGTH)
    phi = minimum + (1 - LR * (1 + STRENGTH)) ** steps * (W0 - minimum)
    result = learner.task_gradient(shots(A), shots(B))
    assert learner.adapt(shots(A))(BLACK)[0, 0, 0, 0].item() == pytest.approx(phi, abs=1e-12)
    assert result.gradient[0].item() == pytest.approx((phi - B) * STRENGTH / (1 + STRENGTH), abs=1e-12)
    assert result.loss_after.item() == pytest.approx((phi - B) ** 2 / 2, abs=1e-12)
    assert result.loss_before.item() == pytest.approx((W0 - B) ** 2 / 2, abs=1e-12)


def test_at_the_minimum_it_is_the_gradient_through_the_steps() -> None:
    """Independent of the implicit function theorem: finite differences of the minimum that the steps find."""

    def query_loss(start: float) -> float:
        model = Constant(start)
        learner = IMAMLLearner(model, half_square, inner=InnerLoop(lr=LR, steps=200), proximal_strength=STRENGTH)
        return learner.task_gradient(shots(A), shots(B)).loss_after.item()

    learner = IMAMLLearner(Constant(), half_square, inner=InnerLoop(lr=LR, steps=200), proximal_strength=STRENGTH)
    slope = (query_loss(W0 + 1e-5) - query_loss(W0 - 1e-5)) / 2e-5
    assert learner.task_gradient(shots(A), shots(B)).gradient[0].item() == pytest.approx(slope, abs=1e-9)


@pytest.mark.parametrize("engine", ["learn2learn", "fast"])
def test_a_network_has_the_gradient_of_the_exact_linear_solve(engine: str) -> None:
    """With a part that does not adapt: its gradient goes through the minimum as well."""
    strength, support, query = 2.0, pictures(1), pictures(2, count=1)
    model = reconstructor("unet", "ridge")
    learner = IMAMLLearner(
        model,
        LOSS,
        inner=InnerLoop(lr=0.05, steps=4, adapts=["backbone.head.*", "response.prior"], engine=engine),
        proximal_strength=strength,
        cg_steps=60,
    )
    found = learner.task_gradient(support, query)
    statistics = model.sufficient_statistics(support)
    parameters = dict(model.named_parameters())
    adapting = [name for name in parameters if name.startswith("backbone.head") or name == "response.prior"]
    last = learner.engine().adapt(support, statistics, steps=4)
    minimum = {name: tensor.detach() for name, tensor in zip(parameters, last.parameters, strict=True)}

    def loss_at(changed: dict[str, Tensor], shots_: object) -> Tensor:
        return LOSS(
            torch.func.functional_call(model, {**minimum, **changed}, (shots_.ldr, statistics)), shots_.exposure
        )

    leaves = {name: tensor.clone().requires_grad_() for name, tensor in minimum.items()}
    phi = [leaves[name] for name in adapting]
    direct = dict(zip(leaves, torch.autograd.grad(loss_at(leaves, query), list(leaves.values())), strict=True))
    slope = torch.cat([g.flatten() for g in torch.autograd.grad(loss_at(leaves, support), phi, create_graph=True)])
    rows = [torch.autograd.grad(entry, list(leaves.values()), retain_graph=True, allow_unused=True) for entry in slope]
    derivative = {
        name: torch.stack([torch.zeros(leaf.numel()).to(slope) if row[i] is None else row[i].flatten() for row in rows])
        for i, (name, leaf) in enumerate(leaves.items())
    }
    hessian = torch.cat([derivative[name] for name in adapting], dim=1)
    v = torch.linalg.solve(torch.eye(len(slope)).to(slope) + hessian / strength, flat([direct[n] for n in adapting]))
    pieces = dict(zip(adapting, v.split([leaf.numel() for leaf in phi]), strict=True))
    expected = flat(
        [
            pieces[name] if name in pieces else direct[name].flatten() - v @ derivative[name] / strength
            for name in leaves
        ]
    )
    assert ((flat(found.gradient) - expected).norm() / expected.norm()).item() < 1e-9


def test_conjugate_gradients_solve_in_as_many_steps_as_there_are_unknowns(generator: torch.Generator) -> None:
    root = torch.randn(6, 6, generator=generator, dtype=torch.float64)
    matrix = root @ root.T + 0.1 * torch.eye(6)
    target = torch.randn(6, generator=generator, dtype=torch.float64)
    found = conjugate_gradients(lambda x: x @ matrix, target[None], steps=6)
    torch.testing.assert_close(found[0], torch.linalg.solve(matrix, target), rtol=1e-9, atol=0)
    # a target of zero needs no step, and divides by nothing
    assert not conjugate_gradients(lambda x: x @ matrix, 0 * target[None], steps=6).any()


def test_conjugate_gradients_stop_where_the_operator_bends_down() -> None:
    target = torch.tensor([[1.0, 1.0], [1.0, 0.0]], dtype=torch.float64)
    diagonal = torch.tensor([1.0, -3.0], dtype=torch.float64)
    found = conjugate_gradients(lambda x: diagonal * x, target, steps=5)
    assert torch.equal(found, target)  # the second task's is the solution besides


def test_any_inner_optimiser_is_pulled_back_to_theta() -> None:
    free, pulled = (
        IMAMLLearner(
            Constant(), half_square, inner=InnerLoop(lr=0.1, steps=60, optimizer=Adam), proximal_strength=strength
        )
        .adapt(shots(A))(BLACK)[0, 0, 0, 0]
        .item()
        for strength in (1e-9, 1.0)
    )
    assert free == pytest.approx(A, abs=0.05)
    assert pulled == pytest.approx((A + W0) / 2, abs=0.05)


@pytest.mark.parametrize("change", [{"proximal_strength": 0.0}, {"cg_steps": 0}])
def test_arguments_out_of_range_name_their_key(change: dict[str, float]) -> None:
    (key,) = change
    with pytest.raises(ValueError, match=f"algo.{key}"):
        IMAMLLearner(Constant(), half_square, **change)
