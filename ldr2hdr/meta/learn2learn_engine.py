"""Inner loop on learn2learn's clones: the wrapped library, and the oracle of the fast engine."""

from collections.abc import Callable, Iterator
from itertools import count, islice

import torch
from torch import Tensor

from ldr2hdr.meta.inner_loop import AbstractEngine, Adapted, Order
from ldr2hdr.meta.inner_optimizers import SGD
from ldr2hdr.meta.learn2learn import MAML, clone_module, update_module
from ldr2hdr.tasks import Shots, Statistics


class Learn2LearnEngine(AbstractEngine):
    """Plain gradient steps on all parameters by learn2learn's ``MAML``; anything else on its module clones."""

    def unroll(
        self, support: Shots, statistics: Statistics, *, order: Order, steps: int | None = None
    ) -> Iterator[Adapted]:
        """Yield the model after 0, 1, 2, ... inner steps, up to ``steps`` or without end; all share one clone."""
        rule = self.adaptation.rule
        everything = len(self.adaptation.adapted) == len(list(self.adaptation.model.parameters()))
        numbers = islice(count(), steps)
        if type(rule) is SGD and rule.decay == 1 and everything and self.adaptation.clip is None:
            return self._unroll_maml(support, statistics, numbers, lr=rule.lr, order=order)
        return self._unroll_clone(support, statistics, numbers, order=order)

    def at_theta(self) -> Callable[[Tensor, Statistics], Tensor]:
        """Return ``(ldr, statistics) -> prediction`` by theta."""
        return self.adaptation.model

    def _unroll_maml(
        self, support: Shots, statistics: Statistics, numbers: Iterator[int], *, lr: float, order: Order
    ) -> Iterator[Adapted]:
        model, loss = self.adaptation.model, self.adaptation.loss
        with torch.enable_grad():
            wrapper = MAML(model, lr=lr, first_order=order != "second", allow_nograd=True, allow_unused=True)
            learner = wrapper.clone()
        yield Adapted(learner, list(learner.module.parameters()))
        for _ in numbers:
            with torch.enable_grad():
                learner.adapt(loss(learner(support.ldr, statistics), support.exposure))
            yield Adapted(learner, list(learner.module.parameters()))

    def _unroll_clone(
        self, support: Shots, statistics: Statistics, numbers: Iterator[int], *, order: Order
    ) -> Iterator[Adapted]:
        adaptation = self.adaptation
        with torch.enable_grad():
            clone = clone_module(adaptation.model)
        parameters = list(clone.parameters())
        iterate = adaptation.rule.start([parameters[index] for index in adaptation.adapted])
        yield Adapted(clone, parameters)
        for number in numbers:
            with torch.enable_grad():
                loss = adaptation.loss(clone(support.ldr, statistics), support.exposure)
                phi = iterate.parameters
                gradient = torch.autograd.grad(loss, phi, create_graph=order == "second", allow_unused=True)
                kept: Order = "first" if order == "none" else order
                iterate = adaptation.step(iterate, gradient, number=number, order=kept)
                updates: list[Tensor | None] = [None] * len(parameters)
                current = list(clone.parameters())
                for index, parameter in zip(adaptation.adapted, iterate.parameters, strict=True):
                    updates[index] = parameter - current[index]
                update_module(clone, updates)
                current = list(clone.parameters())
                iterate = iterate._replace(parameters=[current[index] for index in adaptation.adapted])
            yield Adapted(clone, current)
