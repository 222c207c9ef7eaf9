"""Gaussian mixtures of regression weights, and what pictures tell of them."""

import math
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor


class Information(NamedTuple):
    """Gaussian likelihood of weights ``w``, ``exp(-w precision w / 2 + product w)``, one or several.

    Attributes:
        precision: Symmetric, positive semidefinite.
        product: Precision times the estimate.
    """

    precision: Float[Tensor, "*b m m"]
    product: Float[Tensor, "*b m"]


class Mixture(NamedTuple):
    """Mixture of J Gaussians.

    Attributes:
        log_shares: Logarithms of what each counts; their exponentials sum to 1.
        means: Of each.
        covariances: Of each.
    """

    log_shares: Float[Tensor, " j"]
    means: Float[Tensor, "j m"]
    covariances: Float[Tensor, "j m m"]

    def mean(self) -> Float[Tensor, " m"]:
        """Return the mean of the whole."""
        return self.log_shares.exp() @ self.means

    def covariance(self) -> Float[Tensor, "m m"]:
        """Return the covariance of the whole: the mean of those within, and that of the means."""
        shares, away = self.log_shares.exp(), self.means - self.mean()
        return torch.einsum("j,jkl->kl", shares, self.covariances) + torch.einsum("j,jk,jl->kl", shares, away, away)


def allow_for_drift(information: Information, drift: Float[Tensor, "m m"]) -> Information:
    r"""Return what data tell of weights, when they are of weights that differ from these by a drift.

    The estimate's covariance :math:`A^{-1}` becomes :math:`A^{-1} + S`: however much a single picture has to say, it
    can never tell more than the drift from picture to picture leaves. A may be singular.

    Args:
        information: With precision A.
        drift: Covariance S of the difference.
    """
    precision, product = information
    identity = torch.eye(len(drift), dtype=drift.dtype, device=drift.device)
    both = torch.cat([precision, product[..., None]], dim=-1)
    found = solve_or_nan(identity + precision @ drift, both)
    return Information(found[..., :-1], found[..., -1])


def condition(prior: Mixture, information: Information, *, trust: Float[Tensor, ""]) -> Mixture:
    r"""Return the mixture that a prior becomes by data.

    Each Gaussian :math:`N(m, P)` becomes that of the weights given data, :math:`Q = I + P A`,

    .. math:: N\bigl(m + Q^{-1} P (b - A m),\; Q^{-1} P\bigr)

    and counts by its evidence, what it gave to the data before,
    :math:`\log Z = b m - \tfrac12 m A m - \tfrac12 \log|Q| + \tfrac12 (b - A m) Q^{-1} P (b - A m)`, up to a constant.

    Args:
        prior: Of the weights.
        information: Precision A and product b of all data together.
        trust: What evidence counts; below 1 for data that tell less than they say.

    References:
        Bishop, "Pattern Recognition and Machine Learning", 2006, sec. 3.4 and 3.5, for one Gaussian.
    """
    precision, product = information
    identity = torch.eye(precision.shape[-1], dtype=precision.dtype, device=precision.device)
    surprise = product - prior.means @ precision
    inflated = identity + prior.covariances @ precision
    moved = (prior.covariances @ surprise[..., None])[..., 0]
    found = solve_or_nan(inflated, torch.cat([prior.covariances, moved[..., None]], dim=-1))
    covariances, moves = found[..., :-1], found[..., -1]
    expected = prior.means @ product - torch.einsum("jk,kl,jl->j", prior.means, precision, prior.means) / 2
    evidence = expected + (surprise * moves).sum(dim=1) / 2 - torch.linalg.slogdet(inflated).logabsdet / 2
    return Mixture(torch.log_softmax(prior.log_shares + trust * evidence, 0), prior.means + moves, covariances)


def solve_or_nan(matrix: Float[Tensor, "*b m m"], right: Float[Tensor, "*b m n"]) -> Float[Tensor, "*b m n"]:
    """Solve linear equations; NaN, which the guards of training see, where they have no solution."""
    solution, failed = torch.linalg.solve_ex(matrix, right)
    return torch.where((failed == 0)[..., None, None], solution, math.nan)
