"""R2-D2: the last layer is not adapted by steps, but solved for in closed form."""

import math
from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ldr2hdr.layers.precision import full_precision
from ldr2hdr.meta.base import Predictor
from ldr2hdr.meta.inner_loop import InnerLoop, Loss
from ldr2hdr.meta.maml import MAMLLearner
from ldr2hdr.meta.mixture import solve_or_nan
from ldr2hdr.meta.solved_head import AbstractSolvedHead, HeadStatistics


class R2D2Learner(MAMLLearner):
    """Learn features from which ridge regression on the support gives the best last layer.

    The regression is part of the prediction with support, as the response stage is: it is there after 0 inner steps,
    and there need be no others. Its targets are logarithms of ratios, each support pixel one example. It is drawn
    toward the network's own last layer, where the published one is drawn toward zero: without support this layer
    is all there is.

    Args:
        inner: Gradient steps beyond the closed form; none as published.
        ridge_weight: Start of the learned strength of the regression's prior, in mean squared features.

    The others are those of `MAMLLearner`.

    Raises:
        ValueError: As for `MAMLLearner`, and if the strength is not positive or the model has no such last layer.

    References:
        Bertinetto et al., "Meta-learning with differentiable closed-form solvers", ICLR 2019, sec. 3.2.
    """

    def __init__(
        self,
        model: nn.Module,
        loss: Loss,
        *,
        inner: InnerLoop = InnerLoop(steps=0),
        first_order: bool = False,
        single_shot_weight: float = 0.0,
        checkpoint_steps: bool = False,
        ridge_weight: float = 1e-2,
    ) -> None:
        super().__init__(
            RidgeHead(model, ridge_weight),
            loss,
            inner=inner,
            first_order=first_order,
            single_shot_weight=single_shot_weight,
            checkpoint_steps=checkpoint_steps,
        )

    def single_shot(self) -> Predictor:
        """Predict without support: the network with its own last layer."""
        return cast(RidgeHead, self.model).network


class RidgeHead(AbstractSolvedHead):
    """A network whose last layer is fitted to the support, differentiably.

    Args:
        network: A `SolvableNetwork`.
        ridge_weight: Start of the learned strength of the prior, the network's own last layer.

    Raises:
        ValueError: If the strength is not positive or the network is no `SolvableNetwork`.
    """

    def __init__(self, network: nn.Module, ridge_weight: float) -> None:
        super().__init__(network, algo="r2d2")
        if ridge_weight <= 0:
            raise ValueError(f"algo.ridge_weight must be positive, got {ridge_weight}")
        self.log_ridge_weight = nn.Parameter(torch.tensor(math.log(ridge_weight)))

    def forward(
        self, ldr: Float[Tensor, "b 3 h w"], statistics: HeadStatistics | None = None
    ) -> Float[Tensor, "b 3 h w"]:
        """Predict by the fitted last layer, or by the network's own without support."""
        if statistics is None:
            return self.network(ldr, None)
        network = self.solvable
        features, linear = network.features(ldr, statistics.of_network)
        fitted = self.fit(statistics)
        with full_precision(ldr):
            log_factor = _with_one(features.to(fitted.dtype)) @ fitted
        return network.head.render(log_factor.permute(0, 3, 1, 2), linear)

    def last_layer(self, statistics: HeadStatistics) -> Float[Tensor, "3 c_plus_1"]:
        """Return the fitted weights and bias of each channel."""
        return self.fit(statistics).T

    def fit(self, statistics: HeadStatistics) -> Float[Tensor, "c_plus_1 3"]:
        r"""Return weights and bias, :math:`W_0 + \arg\min_D \tfrac1N \|X (W_0 + D) - Y\|^2 + \lambda \|D\|^2`."""
        network = self.solvable
        features, linear = network.features(statistics.support.ldr, statistics.of_network)
        with full_precision(features):
            return self._solve(features, linear, statistics.support.exposure)

    def _solve(
        self, features: Float[Tensor, "b c h w"], linear: Float[Tensor, "b 3 h w"], exposure: Float[Tensor, "b 3 h w"]
    ) -> Float[Tensor, "c_plus_1 3"]:
        network = self.solvable
        examples = _with_one(features.to(linear.dtype)).flatten(0, 2)
        target = network.head.log_factor(exposure, linear).permute(0, 2, 3, 1).flatten(0, 2)
        conv = network.head.conv
        prior = torch.cat([conv.weight.flatten(1), torch.as_tensor(conv.bias)[:, None]], dim=1).T
        gram = examples.T @ examples / len(examples)
        moment = examples.T @ (target - examples @ prior) / len(examples)
        ridge = self.log_ridge_weight.exp() * torch.eye(len(gram), dtype=gram.dtype, device=gram.device)
        return prior + solve_or_nan(gram + ridge, moment)


def _with_one(features: Float[Tensor, "b c h w"]) -> Float[Tensor, "b h w c_plus_1"]:
    """Features of each pixel, and a one for the bias."""
    return nn.functional.pad(features.permute(0, 2, 3, 1), (0, 1), value=1.0)
