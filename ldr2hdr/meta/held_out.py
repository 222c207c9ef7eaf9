"""Averages of fits to a support: each counts by how it predicts the part of it that it has not seen."""

import math
from collections.abc import Callable, Iterable, Iterator
from typing import Final, NamedTuple, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from ldr2hdr.radiometry import LOG_OFFSET
from ldr2hdr.tasks import Shots, Statistics

# Light more than this above white counts as this, and an error above that as that: no lamp speaks for the picture.
_CAP_NATS: Final = math.log(2)
_MOST_NATS: Final = 1.5
# Mean squared error below which a check says nothing: a hundredth of a stop, squared, as in the local response.
_FINEST_ERROR: Final = 1e-4


@runtime_checkable
class ClosedForm(Protocol):
    """Fit of a support that linearises pictures, as every response stage is."""

    def sufficient_statistics(self, support: Shots) -> Statistics:
        """Reduce a support to all that the fit depends on."""

    def __call__(self, ldr: Tensor, statistics: Statistics) -> Tensor:
        """Return sensor exposure."""


class HeldOut(NamedTuple):
    """Part of a support that is kept out.

    Attributes:
        kept: What is left to fit to.
        judged: Whole pictures with the part that is kept out.
        columns: Where in them it lies.
    """

    kept: Shots
    judged: Shots
    columns: slice


def leave_out(support: Shots) -> Iterator[HeldOut]:
    """Keep out each picture in turn; of a single one, each half, left and right.

    Labels of a bracket are a merge that the kept-out picture is part of. They stay: two pictures left over merge worse
    than three, and one not at all.
    """
    count, half = len(support), support.ldr.shape[3] // 2
    if count > 1:
        for number in range(count):
            rest = [_cut(support, slice(number)), _cut(support, slice(number + 1, None))]
            kept = Shots(torch.cat([part.ldr for part in rest]), torch.cat([part.exposure for part in rest]))
            yield HeldOut(kept, _cut(support, slice(number, number + 1)), slice(None))
    else:
        left, right = slice(0, half), slice(half, None)
        for kept_columns, columns in ((right, left), (left, right)):
            kept = Shots(support.ldr[..., kept_columns], support.exposure[..., kept_columns])
            yield HeldOut(kept, support, columns)


def held_out_errors(fit: Callable[[Shots, Tensor], Iterable[Tensor]], support: Shots) -> Float[Tensor, " n"]:
    """Return the mean squared error of fits in nats squared, where they have not seen the support.

    Args:
        fit: ``(kept, ldr) -> exposures``, one picture for each of n fits to what is kept.
        support: Pictures ``(K, 3, H, W)`` with their labels.
    """
    errors = []
    for part in leave_out(support):
        target = _log_light(part.judged.exposure[..., part.columns])
        fits = torch.stack([_log_light(found[..., part.columns]) for found in fit(part.kept, part.judged.ldr)])
        errors.append((fits - target).clamp(-_MOST_NATS, _MOST_NATS).square().flatten(1).mean(dim=1))
    return torch.stack(errors).mean(dim=0) + _FINEST_ERROR


def shares_of(errors: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
    """Return what each fit counts: the inverse of its squared error, as for independent estimates of one quantity.

    Example:
        >>> shares_of(torch.tensor([0.01, 0.03]))
        tensor([0.7500, 0.2500])
    """
    precision = 1 / errors
    return precision / precision.sum()


def _cut(shots: Shots, pictures: slice) -> Shots:
    return Shots(shots.ldr[pictures], shots.exposure[pictures])


def _log_light(exposure: Tensor) -> Tensor:
    return torch.log(exposure + LOG_OFFSET).clamp_max(_CAP_NATS)
