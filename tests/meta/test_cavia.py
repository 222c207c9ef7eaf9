"""CAVIA: context parameters alone adapt, from zero, and shift gains and biases."""

import pytest
import torch
from networks import LOSS, flat, gradient_of, reconstructor
from networks import shots as pictures
from quadratic import LR, STEPS, W0, A, B, half_square, shots
from torch import Tensor, nn

from ldr2hdr.meta.cavia import CAVIALearner
from ldr2hdr.meta.inner_loop import InnerLoop
from ldr2hdr.tasks import Shots

D = 0.8


class Bias(nn.Module):
    """Predicts one learned number everywhere, as a layer's bias."""

    def __init__(self) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.tensor([W0], dtype=torch.float64))

    def sufficient_statistics(self, support: Shots) -> None:
        """No closed-form part."""

    def forward(self, ldr: Tensor, statistics: None = None) -> Tensor:
        return self.bias.expand_as(ldr)


def learner_of(steps: int, **change: object) -> CAVIALearner:
    inner = InnerLoop(lr=LR, steps=steps, adapts=["context"])
    learner = CAVIALearner(Bias(), half_square, inner=inner, num_context=1, **change).double()
    with torch.no_grad():
        learner.model.directions.fill_(D)
    return learner


@pytest.mark.parametrize("steps", STEPS)
def test_bias_and_direction_have_the_gradient_of_the_closed_form(steps: int) -> None:
    shrink = 1 - LR * D**2
    phi = A + shrink**steps * (W0 - A)
    result = learner_of(steps).task_gradient(shots(A), shots(B))
    of_direction, of_bias = result.gradient
    assert result.loss_after.item() == pytest.approx((phi - B) ** 2 / 2, abs=1e-12)
    assert of_bias.item() == pytest.approx(shrink**steps * (phi - B), abs=1e-12)
    slope = steps * shrink ** (steps - 1) * (-2 * LR * D) * (W0 - A)
    assert of_direction.item() == pytest.approx(slope * (phi - B), abs=1e-12)


def test_first_order_takes_the_gradient_at_phi() -> None:
    phi = A + (1 - LR * D**2) ** 2 * (W0 - A)
    of_bias = learner_of(2, first_order=True).task_gradient(shots(A), shots(B)).gradient[1]
    assert of_bias.item() == pytest.approx(phi - B, abs=1e-12)


def test_the_context_is_not_learned_and_what_it_shifts_is() -> None:
    learner = CAVIALearner(reconstructor("unet", "ridge"), LOSS, num_context=5, modulates=["backbone.*"]).double()
    trainable = {id(parameter) for parameter in learner.trainable()}
    names = {name for name, parameter in learner.named_parameters() if id(parameter) not in trainable}
    assert names == {"model.context"}
    assert not learner.model.context.any()
    # stem, down, up: four biases, two gains and biases of norms each are shifted, and the head's bias
    assert set(learner.model.sizes) == {
        name
        for name, _ in learner.model.network.named_parameters()
        if name.startswith("backbone") and name.endswith(("bias", "gain"))
    }
    assert len(gradient_of(learner).gradient) == len(learner.trainable())


def test_without_support_it_is_the_network_itself() -> None:
    network = reconstructor()
    inner = InnerLoop(lr=1.0, adapts=["context"], engine="learn2learn")
    learner = CAVIALearner(network, LOSS, num_context=4, inner=inner).double()
    query = pictures(2).ldr
    assert learner.single_shot() is network
    assert torch.equal(learner.adapt(pictures(1), steps=0)(query), network(query))
    assert not torch.equal(learner.adapt(pictures(1), steps=1)(query), network(query))


def test_a_step_of_the_context_is_a_step_along_its_directions() -> None:
    """The shift after one step is -lr D D^T times the gradient of the gains and biases."""
    network, support, query = reconstructor(), pictures(1), pictures(2)
    learner = CAVIALearner(network, LOSS, inner=InnerLoop(lr=0.5, adapts=["context"]), num_context=4).double()
    parameters = dict(network.named_parameters())
    shifted = [parameters[name] for name in learner.model.sizes]
    gradient = flat(torch.autograd.grad(LOSS(network(support.ldr), support.exposure), shifted))
    directions = learner.model.directions.detach()
    shifts = (-0.5 * directions @ (directions.T @ gradient)).split([p.numel() for p in shifted])
    moved = {
        name: parameters[name] + s.view_as(parameters[name])
        for name, s in zip(learner.model.sizes, shifts, strict=True)
    }
    expected = torch.func.functional_call(network, moved, (query.ldr,))
    torch.testing.assert_close(learner.adapt(support, steps=1)(query.ldr), expected, rtol=1e-9, atol=1e-12)


def test_arguments_out_of_range_name_their_key() -> None:
    with pytest.raises(ValueError, match=r"algo\.num_context"):
        CAVIALearner(Bias(), half_square, num_context=0)
    with pytest.raises(ValueError, match=r"algo\.inner\.adapts must be \[context\]"):
        CAVIALearner(Bias(), half_square, inner=InnerLoop(lr=1.0))
    with pytest.raises(ValueError, match=r"algo\.modulates=\['\*\.weight'\]"):
        CAVIALearner(reconstructor(), half_square, modulates=["*.weight"])


def test_folding_leaves_the_prediction_and_the_model() -> None:
    learner = CAVIALearner(reconstructor("unet", "ridge"), LOSS, num_context=5, modulates=["backbone.*"]).double()
    with torch.no_grad():
        learner.model.context.copy_(torch.linspace(-1, 1, 5))
    before = {name: value.clone() for name, value in learner.state_dict().items()}
    support, query = pictures(1), pictures(2)
    statistics = learner.statistics(support)
    folded = learner.model.fold(statistics)
    with torch.no_grad():
        predicted, own = folded.network(query.ldr, folded.statistics), learner.single_shot()(query.ldr)
        torch.testing.assert_close(predicted, learner.model(query.ldr, statistics), rtol=1e-12, atol=0)
    assert not torch.allclose(predicted, own)
    assert all(torch.equal(value, before[name]) for name, value in learner.state_dict().items())
