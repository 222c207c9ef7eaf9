"""Model-agnostic meta-learning, second and first order."""

from collections.abc import Callable, Sequence

import torch
from torch import nn

from ldr2hdr.meta.base import AbstractMetaLearner, TaskGradient
from ldr2hdr.meta.inner_loop import FastInnerLoop, Loss, Order
from ldr2hdr.meta.inner_optimizers import AbstractDescent
from ldr2hdr.meta.unrolled import differentiate_stepwise, differentiate_unrolled, gradient_or_zero
from ldr2hdr.tasks import Shots


class MAMLLearner(AbstractMetaLearner):
    r"""Learn the initialisation from which the inner loop does best on the query.

    .. math:: \phi = \theta - \alpha \nabla L(\theta, D_{support}), \qquad
              \min_\theta L(\phi, D_{query}) + w L(\theta, D_{query})

    Args:
        model: Holds theta.
        loss: ``(prediction, target) -> scalar``.
        inner_lr: Inner learning rate alpha.
        inner_steps: Gradient steps on the support.
        inner_optimizer: Makes the inner optimiser from ``lr=inner_lr``; None for plain gradient steps.
        inner_clip: Largest norm of an inner gradient; None for no limit.
        adapts: Which parameters adapt, as patterns of their names; ``[backbone.head.*]`` is ANIL.
        engine: ``learn2learn``, ``fast``, or ``auto`` for the faster of both.
        first_order: Treat the inner gradients as constants (FOMAML).
        single_shot_weight: The ``w`` above: how much theta is also asked to do well without any support, as for a
            photograph whose camera nobody knows. 0 is plain MAML.
        checkpoint_steps: Take each inner step twice, and keep memory from growing with their number; ``engine``
            ``auto`` or ``fast``.

    Raises:
        ValueError: If the weight is negative, or steps of learn2learn's engine are to be taken twice.

    References:
        Finn, Abbeel, Levine, "Model-Agnostic Meta-Learning", ICML 2017, alg. 2 and sec. 5.2 (first order);
        Raghu et al., "Rapid Learning or Feature Reuse?", ICLR 2020 (ANIL).
    """

    def __init__(
        self,
        model: nn.Module,
        loss: Loss,
        *,
        inner_lr: float = 0.05,
        inner_steps: int = 3,
        inner_optimizer: Callable[..., AbstractDescent] | None = None,
        inner_clip: float | None = None,
        adapts: Sequence[str] = ("*",),
        engine: str = "auto",
        first_order: bool = False,
        single_shot_weight: float = 0.0,
        checkpoint_steps: bool = False,
    ) -> None:
        super().__init__(
            model,
            loss,
            inner_lr=inner_lr,
            inner_steps=inner_steps,
            inner_optimizer=inner_optimizer,
            inner_clip=inner_clip,
            adapts=adapts,
            engine=engine,
        )
        if single_shot_weight < 0:
            raise ValueError(f"algo.single_shot_weight must be at least 0, got {single_shot_weight}")
        if checkpoint_steps and engine == "learn2learn":
            raise ValueError("algo.checkpoint_steps needs algo.engine=fast or auto, got learn2learn")
        self.first_order = first_order
        self.single_shot_weight = single_shot_weight
        self.checkpoint_steps = checkpoint_steps

    def order(self) -> Order:
        """Whether inner gradients are differentiated again at this outer step."""
        return "first" if self.first_order else "second"

    def query_weights(self) -> Sequence[float]:
        """How much the query loss after 0, 1, ..., K inner steps counts at this outer step."""
        return [0.0] * self.inner_steps + [1.0]

    def task_gradient(self, support: Shots, query: Shots) -> TaskGradient:
        """Differentiate the query loss at phi, through the inner loop, with respect to what is learned."""
        loop, wanted = self.inner_loop(), self.trainable()
        differentiate = differentiate_unrolled
        if self.checkpoint_steps and isinstance(loop, FastInnerLoop):
            differentiate = differentiate_stepwise  # type: ignore[assignment]
        gradient, loss_after = differentiate(
            loop,
            support,
            query,
            statistics=self.statistics(support),
            weights=self.query_weights(),
            wanted=wanted,
            order=self.order(),
        )
        with torch.set_grad_enabled(self.single_shot_weight > 0):
            loss_before = self.loss(loop.at_theta()(query.ldr, None), query.exposure)
        if self.single_shot_weight > 0:
            torch._foreach_add_(gradient, gradient_or_zero(loss_before, wanted), alpha=self.single_shot_weight)
        return TaskGradient(tuple(gradient), loss_before.detach(), loss_after)
