"""From scratch: nothing is learned but at test time."""

import pytest
import torch
from quadratic import LR, W0, A, B, Constant, adapted, half_square, shots

from ldr2hdr.meta.from_scratch import FromScratchLearner
from ldr2hdr.meta.inner_loop import InnerLoop


def test_the_outer_loop_leaves_the_initial_weights_and_measures_the_adapted_ones() -> None:
    learner = FromScratchLearner(Constant(), half_square, inner=InnerLoop(lr=LR, steps=3))
    result = learner.task_gradient(shots(A), shots(B))
    assert result.gradient[0].item() == 0
    assert result.loss_before.item() == pytest.approx((W0 - B) ** 2 / 2, abs=1e-12)
    assert result.loss_after.item() == pytest.approx((adapted(3) - B) ** 2 / 2, abs=1e-12)
    black = torch.zeros(1, 3, 1, 1, dtype=torch.float64)
    assert learner.adapt(shots(A), steps=7)(black)[0, 0, 0, 0].item() == pytest.approx(adapted(7), abs=1e-12)
