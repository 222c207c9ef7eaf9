"""ALPaCA: Bayesian linear regression on learned features gives the last layer, and how sure it is."""

import copy
import math
from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple, cast

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from ldr2hdr.layers.precision import full_precision
from ldr2hdr.meta.folding import FoldedNetwork
from ldr2hdr.meta.held_out import ClosedForm, held_out_errors, shares_of
from ldr2hdr.meta.inner_loop import InnerLoop, Loss
from ldr2hdr.meta.maml import MAMLLearner
from ldr2hdr.meta.mixture import Information, Mixture, allow_for_drift, condition
from ldr2hdr.meta.solved_head import AbstractSolvedHead, HeadStatistics, SolvableHead
from ldr2hdr.tasks import Shots

# Labels may ask for any factor where a picture is black or white; more than e to this they do not get, in nats.
_MOST_NATS: Final = 3.0
_LOG_NOISE_RANGE: Final = (-4.0, 2.0)
# Labels of which every picture's are those of the first times a factor, to this relative error, show one scene.
_SAME_SCENE_NATS: Final = 1e-3
_LEAST_LIGHT: Final = 2.0**-20
# What mixes weights begins at 0 and must move less than the rest, at one rate for all: it is a big matrix.
_MIXING_SHARE: Final = 1 / 16
# Of the Student t law that predictions are judged by.
_DEGREES: Final = 4.0


class AlpacaLearner(MAMLLearner):
    """Learn features, and the prior of a last layer on them, from which a support gives the best last layer.

    The last layer is the mean of the posterior, see `BayesianHead`; there need be no inner steps.

    Args:
        inner: Gradient steps beyond the closed form; none as published.
        num_priors: Gaussians in the prior, the first of which says that nothing is to be corrected.
        prior_deviation: Start of the standard deviation of the prior of a weight.
        drift_deviation: Start of that of a weight from picture to picture of one camera.
        pixels: Start of how many independent pixels a picture is worth.
        trust: Start of what evidence counts in the choice among the Gaussians.
        beside: Closed form, not trained, that the answer is averaged with outside training, see `BayesianHead`; such
            as a response stage. None for none.

    The others are those of `MAMLLearner`.

    Raises:
        ValueError: As for `MAMLLearner`, and if a number is not positive, there are fewer than two Gaussians, or the
            model has no last layer that could be solved for.

    References:
        Harrison, Sharma, Pavone, "Meta-learning priors for efficient online Bayesian regression", WAFR 2018, alg. 1.
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
        num_priors: int = 4,
        prior_deviation: float = 0.2,
        drift_deviation: float = 0.07,
        pixels: float = 500.0,
        trust: float = 0.1,
        beside: ClosedForm | None = None,
    ) -> None:
        super().__init__(
            BayesianHead(
                model,
                num_priors=num_priors,
                prior_deviation=prior_deviation,
                drift_deviation=drift_deviation,
                pixels=pixels,
                trust=trust,
                beside=beside,
            ),
            loss,
            inner=inner,
            first_order=first_order,
            single_shot_weight=single_shot_weight,
            checkpoint_steps=checkpoint_steps,
        )


class Prediction(NamedTuple):
    """Law of the logarithm of light, over what the response stage gives.

    Attributes:
        mean: In nats, for the network's last layer to render.
        variance: In nats squared.
        linear: What the response stage gives.
    """

    mean: Float[Tensor, "b 3 h w"]
    variance: Float[Tensor, "b 3 h w"]
    linear: Float[Tensor, "b 3 h w"]


class BayesianHead(AbstractSolvedHead):
    r"""Network whose last layer is Bayesian linear regression on its features.

    With features :math:`f(x)` and a one, the logarithm of light over what the response stage gives is, per channel,

    .. math:: y = w f(x) + e, \qquad w = W + d_k, \quad d_k \sim N(0, S), \quad e \sim N(0, \sigma^2(x))

    W is the camera's, drawn from a mixture of Gaussians, :math:`d_k` is picture k's own, and the noise depends on the
    features. Means, covariances, S, noise, how many independent pixels a picture is worth and what evidence counts
    are learned, through the solve.

    In training, where the labels of all pictures are one picture at several exposures, as those of a bracket, an error
    of them is the same in all: each pixel then has an unknown of its own, of learned deviation, which is integrated
    out. Such a support teaches by what its pictures would contradict each other in, and little by what its labels say.

    Outside training labels are believed, and the answer is averaged, in logarithms of light, with that of a closed form
    beside it. Each counts by the inverse of its squared error on pictures of the support that it was not fitted to:
    where a curve says all, what is learned adds the noise of its own estimate, and where it does not, the closed form
    still errs elsewhere. The variance is that of the mixture, in which they disagree.

    Args:
        network: A `SolvableNetwork`.

    The others are those of `AlpacaLearner`.

    Raises:
        ValueError: As for `AlpacaLearner`.
    """

    def __init__(
        self,
        network: nn.Module,
        *,
        num_priors: int,
        prior_deviation: float,
        drift_deviation: float,
        pixels: float,
        trust: float,
        beside: ClosedForm | None = None,
    ) -> None:
        super().__init__(network, algo="alpaca")
        # in a tuple it is no part of the state: its numbers are those of the code
        copied = copy.deepcopy(beside)
        self._beside = (copied.requires_grad_(False) if isinstance(copied, nn.Module) else copied,)
        numbers = (prior_deviation, drift_deviation, pixels, trust)
        if min(numbers) <= 0 or num_priors < 2:
            raise ValueError(
                "algo.prior_deviation, algo.drift_deviation, algo.pixels and algo.trust must be positive and "
                f"algo.num_priors at least 2, got {', '.join(map(str, numbers))} and {num_priors}"
            )
        features = self.solvable.head.conv.weight.shape[1]
        size = 3 * (features + 1)
        self.noise = nn.Conv2d(features, 3, 1)
        nn.init.zeros_(self.noise.weight)
        nn.init.constant_(torch.as_tensor(self.noise.bias), -1.0)
        # started apart, or they would stay the same
        self.means = nn.Parameter(0.03 * torch.randn(num_priors - 1, size))
        self.log_shares = nn.Parameter(torch.zeros(num_priors))
        deviations = torch.full((num_priors, size), math.log(prior_deviation))
        deviations[0] += math.log(0.1)
        self.log_deviations = nn.Parameter(deviations)
        self.mixing = nn.Parameter(torch.zeros(num_priors, size, size))
        self.log_drift = nn.Parameter(torch.full((size,), math.log(drift_deviation)))
        self.drift_mixing = nn.Parameter(torch.zeros(size, size))
        self.log_pixels = nn.Parameter(torch.full((2,), math.log(pixels)))
        self.log_label_deviation = nn.Parameter(torch.full((3,), -1.0))
        self.log_trust = nn.Parameter(torch.tensor(math.log(trust)))

    @property
    def beside(self) -> ClosedForm | None:
        """Return the closed form that the answer is averaged with; None in training."""
        return None if self.training else self._beside[0]

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "BayesianHead":
        """Move the closed form with the parameters, to a device or a type."""
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        (beside,) = self._beside
        if isinstance(beside, nn.Module):
            beside._apply(fn)
        return self

    def forward(
        self, ldr: Float[Tensor, "b 3 h w"], statistics: HeadStatistics | None = None
    ) -> Float[Tensor, "b 3 h w"]:
        """Predict by the mean of the last layer, with the distribution that a loss may ask for."""
        predicted = self.predict(ldr, statistics)
        head = self.solvable.head
        return _Answer.of(head.render(predicted.mean, predicted.linear), predicted, head)

    def predict(self, ldr: Float[Tensor, "b 3 h w"], statistics: HeadStatistics | None = None) -> Prediction:
        """Return the law of the logarithm of light: the average with the closed form, without support the prior's."""
        learned = self.regress(ldr, statistics)
        if statistics is None or self.beside is None:
            return learned
        with full_precision(ldr):
            support, head = statistics.support, self.solvable.head
            errors = held_out_errors(self._fits, support)
            shares = shares_of(errors)
            exposures = (
                head.render(learned.mean, learned.linear),
                self.beside(ldr, self.beside.sufficient_statistics(support)),
            )
            first, second = (head.log_factor(exposure, learned.linear) for exposure in exposures)
            mean = shares[0] * first + shares[1] * second
            away = shares.prod() * (first - second).square()
            return Prediction(mean, shares[0] * learned.variance + shares[1] * errors[1] + away, learned.linear)

    @torch.no_grad()
    def fold(self, statistics: HeadStatistics | None) -> FoldedNetwork:
        """Return the network with the solved last layer, averaged with the closed form beside it.

        Without support the last layer is the mean of the prior's, and nothing is averaged.
        """
        if statistics is None:
            return FoldedNetwork(self.with_last_layer(self._layer(self.prior())), None)
        network, of_network = super().fold(statistics)
        if self.beside is not None:
            with full_precision(statistics.support.ldr):
                shares = shares_of(held_out_errors(self._fits, statistics.support))
                of_beside = self.beside.sufficient_statistics(statistics.support)
            network = cast(Any, network).averaged_with(copy.deepcopy(self.beside), statistics=of_beside, shares=shares)
        return FoldedNetwork(network, of_network)

    def _fits(self, kept: Shots, ldr: Float[Tensor, "b 3 h w"]) -> Iterator[Float[Tensor, "b 3 h w"]]:
        """Predict by what is learned, and by the closed form beside it."""
        beside = cast(ClosedForm, self.beside)
        learned = self.regress(ldr, self.sufficient_statistics(kept))
        yield self.solvable.head.render(learned.mean, learned.linear)
        yield beside(ldr, beside.sufficient_statistics(kept))

    def regress(self, ldr: Float[Tensor, "b 3 h w"], statistics: HeadStatistics | None = None) -> Prediction:
        """Return the law of the regression alone, without support by the prior."""
        network = self.solvable
        features, linear = network.features(ldr, None if statistics is None else statistics.of_network)
        with full_precision(ldr):
            features = features.to(linear.dtype)
            weights = self.prior() if statistics is None else self.posterior(statistics)
            mean, covariance = weights.mean().to(linear.dtype), weights.covariance() + self._drift()
            basis = _with_one(features)
            predicted = torch.einsum("bfhw,cf->bchw", basis, mean.view(3, -1))
            variance = _variance(basis, covariance.to(linear.dtype)) + (2 * self._log_noise(features)).exp()
        return Prediction(predicted, variance, linear)

    def last_layer(self, statistics: HeadStatistics) -> Float[Tensor, "3 c_plus_1"]:
        """Return the posterior mean of the weights and bias of each channel."""
        return self._layer(self.posterior(statistics))

    def _layer(self, weights: Mixture) -> Float[Tensor, "3 c_plus_1"]:
        return weights.mean().to(self.solvable.head.conv.weight.dtype).view(3, -1)

    def prior(self) -> Mixture:
        """Return the law of a camera's last layer: weights and bias of each channel in turn."""
        means = nn.functional.pad(self.means, (0, 0, 1, 0))
        factors = _factor(self.log_deviations, self.mixing)
        return Mixture(torch.log_softmax(self.log_shares, 0).double(), means.double(), factors @ factors.mT)

    def posterior(self, statistics: HeadStatistics) -> Mixture:
        """Return the law of this camera's last layer."""
        support = statistics.support
        network = self.solvable
        features, linear = network.features(support.ldr, statistics.of_network)
        with full_precision(linear):
            features = features.to(linear.dtype)
            target = network.head.log_factor(support.exposure, linear).clamp(-_MOST_NATS, _MOST_NATS)
            is_one_scene = _is_one_scene(support) if self.training else target.new_zeros((), dtype=torch.bool)
            pictures = self._information(features, target, is_one_scene=is_one_scene)
            seen = allow_for_drift(pictures, self._drift())
            total = Information(seen.precision.sum(dim=0), seen.product.sum(dim=0))
            return condition(self.prior(), total, trust=self.log_trust.double().exp())

    def _information(
        self,
        features: Float[Tensor, "k c h w"],
        target: Float[Tensor, "k 3 h w"],
        *,
        is_one_scene: Bool[Tensor, ""],
    ) -> Information:
        """What each picture tells; of one scene, all that they tell together in the place of the first."""
        basis, target = _with_one(features).flatten(2), target.flatten(2)
        pixels = self.log_pixels[is_one_scene.long()].exp() / basis.shape[2]
        weight = pixels * (-2 * self._log_noise(features).flatten(2)).exp()
        weighted = basis[:, None] * weight[:, :, None]  # k 3 f n
        precision = weighted @ basis[:, None].mT
        product = (weighted @ target[..., None])[..., 0]
        # the unknown of a pixel is integrated out: what is common to its pictures tells nothing of the weights
        common = weight.sum(dim=0) + pixels * (-2 * self.log_label_deviation).exp()[:, None]
        sums, target_sums = weighted.sum(dim=0), (weight * target).sum(dim=0)
        shared = precision.sum(dim=0) - (sums / common[:, None]) @ sums.mT
        shared_product = product.sum(dim=0) - (sums @ (target_sums / common)[..., None])[..., 0]
        precision, product = (
            torch.where(is_one_scene, nn.functional.pad(one[None], (*[0] * 2 * one.ndim, 0, len(each) - 1)), each)
            for one, each in ((shared, precision), (shared_product, product))
        )
        channels = torch.eye(3, dtype=precision.dtype, device=precision.device)
        blocks = torch.einsum("kcfg,cd->kcfdg", precision, channels).flatten(3).flatten(1, 2)
        return Information(blocks.double(), product.flatten(1).double())

    def _log_noise(self, features: Float[Tensor, "b c h w"]) -> Float[Tensor, "b 3 h w"]:
        noise: Tensor = self.noise(features)
        return noise.clamp(*_LOG_NOISE_RANGE)

    def _drift(self) -> Float[Tensor, "m m"]:
        factor = _factor(self.log_drift, self.drift_mixing)
        return factor @ factor.mT


class _Answer(Tensor):
    """Sensor exposure that knows the law it is the median of, for losses that ask for it; else a plain picture."""

    __torch_function__ = torch._C._disabled_torch_function_impl  # type: ignore[assignment]
    predicted: Prediction
    head: SolvableHead

    @classmethod
    def of(cls, exposure: Float[Tensor, "b 3 h w"], predicted: Prediction, head: SolvableHead) -> "_Answer":
        answer = exposure.as_subclass(cls)
        answer.predicted, answer.head = predicted, head
        return answer

    def negative_log_likelihood(self, target: Float[Tensor, "b 3 h w"], *, ceiling: float) -> Float[Tensor, ""]:
        """Return the mean over all pixels, in nats and up to a constant, by a Student t law that outliers do not rule.

        Args:
            target: True sensor exposure.
            ceiling: Truth above it counts as this.
        """
        mean, variance, linear = self.predicted
        truth = self.head.log_factor(target.clamp_max(ceiling), linear).clamp(-_MOST_NATS, _MOST_NATS)
        surprise = (truth - mean).square() / variance
        return (variance.log() / 2 + (_DEGREES + 1) / 2 * torch.log1p(surprise / _DEGREES)).mean()


def _factor(log_deviations: Float[Tensor, "*b m"], mixing: Float[Tensor, "*b m m"]) -> Float[Tensor, "*b m m"]:
    """Factor of a covariance: at the start, where nothing is mixed, a diagonal one."""
    identity = torch.eye(mixing.shape[-1], dtype=torch.float64, device=mixing.device)
    return log_deviations.double().exp()[..., None] * (identity + _MIXING_SHARE * mixing.double())


def _variance(basis: Float[Tensor, "b f h w"], covariance: Float[Tensor, "m m"]) -> Float[Tensor, "b 3 h w"]:
    """Variance of each channel's product of weights and features."""
    size = basis.shape[1]
    blocks = torch.stack([covariance[at : at + size, at : at + size] for at in (0, size, 2 * size)])
    pixels = basis.flatten(2)[:, None]
    variance = ((blocks @ pixels) * pixels).sum(dim=2)
    return variance.clamp_min(0).view(len(basis), 3, *basis.shape[2:])


def _is_one_scene(support: Shots) -> Bool[Tensor, ""]:
    """Whether the labels of all pictures are those of the first times one factor each."""
    if len(support) < 2:
        return torch.zeros((), dtype=torch.bool, device=support.ldr.device)
    light = support.exposure.clamp_min(_LEAST_LIGHT).log().flatten(1)
    stops = light[1:] - light[:1]
    away = (stops - stops.median(dim=1, keepdim=True).values).abs()
    return (away < _SAME_SCENE_NATS).to(light.dtype).mean() > 0.9


def _with_one(features: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c_plus_1 h w"]:
    return torch.cat([features, torch.ones_like(features[:, :1])], dim=1)
