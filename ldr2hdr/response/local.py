"""Local response stage: the curve, and in the same closed form what depends on surroundings, place and colour."""

import math
from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from ldr2hdr.radiometry import LOG_OFFSET
from ldr2hdr.response.base import AbstractResponse
from ldr2hdr.response.features import (
    NUM_LOCAL,
    NUM_WHITE,
    Features,
    Fold,
    Surroundings,
    extract_features,
    hats,
    interpolate,
    split_folds,
    surroundings_of,
)
from ldr2hdr.response.fit_hypotheses import CANDIDATES, FIXED
from ldr2hdr.response.ridge import inverse_gamma_curve, knot_roughness, solve
from ldr2hdr.tasks import WHOLE, Shots, Window

_STRIP_ROWS: Final = 64
_Strip = tuple[slice, slice, slice, slice]
# Log error below which a check on held-out support says nothing: a hundredth of a stop, squared.
_FINEST_ERROR: Final = 1e-4
# Light more than this above white counts as this in the fit: a lamp must not speak for all that clipped, nor a lamp
# that local tone mapping made grey for all that is grey. What is brighter is left to the network.
_CAP_STOPS: Final = 1.0


class Moments(NamedTuple):
    """Second moments of the support, by which every fit, and every check of a fit on what it did not see, is decided.

    Attributes:
        shades: Of ``[curve, local features, log exposure]`` below white, per fold and channel.
        whites: Of ``[white features, log exposure]`` at white, per channel; on the ramp to it, a pixel counts in both.
    """

    shades: Float[Tensor, "folds 3 s s"]
    whites: Float[Tensor, "3 w w"]


class Weights(NamedTuple):
    """Weights per channel of the curve's knots, the local features, and the white features."""

    curve: Float[Tensor, "3 j"]
    local: Float[Tensor, "3 p"]
    white: Float[Tensor, "3 q"]


class LocalRidgeResponse(AbstractResponse[Moments, Weights, Surroundings]):
    r"""Curve and local features, fitted to the support by ridge regression toward meta-learned weights.

    Below white, log exposure is an additive model of the picture alone, ``curve(v) + local features``: the logarithm
    makes a sum of what a camera multiplies. Local tone mapping is a factor that depends on the mean brightness
    around a pixel, vignetting one that depends on the radius, colour mixing to first order one that depends on the
    ratio to the other channels. At white, where the level says no more, log exposure is a second model, of how much
    white surrounds the pixel and what the other channels show, and at least what the first one ends with.

    Not every camera does all this, and not every support can show it: blur and misalignment pull the fit of a curve
    toward the mean. So candidates are checked on the support, fitted to all folds but one and judged on that one:
    several strengths of the prior on the local weights, the curve alone, the prior curve with gain and gamma free, the
    prior curve itself, and the display gamma, which is what many programs encode by. The weights are the average of
    the candidates by softmax of ``-trust * log error``. Folds are pictures; a single one is halved.

    Every step is a linear solve from the same moments, so the outer loop learns priors, strengths and trust through
    it. With no support the weights are the prior.

    Args:
        num_knots: Number of LDR levels that carry the curve.
        gamma: Display gamma; the prior curve starts at it.
        prior_weight: Start of the strength of the prior on the curve.
        smoothness_weight: Start of the weight of the curve's second difference.
        local_weight: Start of the strengths of the prior on the local weights.
        white_weight: Start of the strengths of the prior on the white weights.
        white_stops: Start of the prior for white: how far above the end of the curve, in stops.
        trust: Start of the trust in the check on held-out support.

    Raises:
        ValueError: If an argument is out of range.

    References:
        Hastie and Tibshirani, "Generalized additive models", 1990, sec. 5.2.
        Breiman, "Stacked regressions", 1996, for averaging by held-out error.
    """

    def __init__(
        self,
        num_knots: int = 24,
        gamma: float = 2.2,
        prior_weight: float = 1e-6,
        smoothness_weight: float = 1e-3,
        local_weight: float = 1e-2,
        white_weight: float = 1e-2,
        white_stops: float = 0.5,
        trust: float = 16.0,
    ) -> None:
        super().__init__()
        strengths = (prior_weight, smoothness_weight, local_weight, white_weight, trust)
        if min(strengths) <= 0:
            raise ValueError(
                "response.prior_weight, smoothness_weight, local_weight, white_weight and trust must be positive, "
                f"got {strengths}"
            )
        curve = inverse_gamma_curve(num_knots, gamma)
        white = F.pad(torch.tensor([white_stops * math.log(2)]), (0, NUM_WHITE - 1))
        self.curve_prior = nn.Parameter(curve.expand(3, -1).clone())
        self.local_prior = nn.Parameter(torch.zeros(3, NUM_LOCAL))
        self.white_prior = nn.Parameter(white.expand(3, -1).clone())
        self.log_prior_weight = nn.Parameter(torch.tensor(math.log(prior_weight)))
        self.log_smoothness_weight = nn.Parameter(torch.tensor(math.log(smoothness_weight)))
        self.log_local_weight = nn.Parameter(torch.full((NUM_LOCAL,), math.log(local_weight)))
        self.log_white_weight = nn.Parameter(torch.full((NUM_WHITE,), math.log(white_weight)))
        self.log_trust = nn.Parameter(torch.tensor(math.log(trust)))
        self.register_buffer("roughness", F.pad(knot_roughness(num_knots), (0, NUM_LOCAL) * 2), persistent=False)
        self.register_buffer("display_curve", curve.expand(3, -1).clone(), persistent=False)
        self.roughness: Tensor
        self.display_curve: Tensor

    @torch.no_grad()
    def sufficient_statistics(self, support: Shots) -> Moments:
        """Reduce the support to its moments.

        Args:
            support: K examples ``(K, 3, H, W)``.
        """
        features = extract_features(support.ldr)
        log_exposure = torch.log(support.exposure + LOG_OFFSET).clamp_max(math.log(2.0) * _CAP_STOPS)
        num_pixels = log_exposure[:, 0].numel()

        def shade_columns(strip: _Strip) -> list[Tensor]:
            num_knots = self.curve_prior.shape[1]
            knots = hats(features.tone[strip] * (num_knots - 1), num_knots)
            return [*knots.unbind(dim=-1), *(feature[strip] for feature in features.local), log_exposure[strip]]

        def white_columns(strip: _Strip) -> list[Tensor]:
            return [*(feature[strip] for feature in features.white), log_exposure[strip]]

        folds = split_folds(support.ldr)
        shades = [_gram(shade_columns, 1 - features.whiteness, fold) for fold in folds]
        whites = [_gram(white_columns, features.whiteness, fold) for fold in folds]
        return Moments(torch.stack(shades) / num_pixels, torch.stack(whites).sum(dim=0) / num_pixels)

    def weights(self, statistics: Moments | None) -> Weights:
        """Solve for the weights: the fit to the support, or the prior without one."""
        if statistics is None:
            return self._assemble(torch.cat([self.curve_prior, self.local_prior], dim=1), whites=None)
        total = statistics.shades.sum(dim=0)
        # the first fit sees all folds, the others leave out one each
        candidates = self._solve_shades(torch.cat([total[None], total - statistics.shades]))
        residual = F.pad(candidates[:, 1:], (0, 1), value=-1.0)
        error = torch.einsum("gfci,fcij,gfcj->g", residual, statistics.shades, residual).clamp_min(0)
        share = torch.softmax(-self.log_trust.exp() * torch.log(error + _FINEST_ERROR), dim=0)
        return self._assemble(torch.einsum("g,gcs->cs", share, candidates[:, 0]), whites=statistics.whites)

    def global_statistics(self, strips: Iterable[Float[Tensor, "b 3 _ w"]], size: tuple[int, int]) -> Surroundings:
        """Return means over the cells of whole pictures."""
        return surroundings_of(strips, size)

    def linearize(
        self,
        part: Float[Tensor, "b 3 h w"],
        weights: Weights,
        *,
        global_statistics: Surroundings | None = None,
        window: Window = WHOLE,
    ) -> Float[Tensor, "b 3 h w"]:
        """Linearise by both models; white becomes what light above the sensor's white is estimated to be."""
        return _evaluate(extract_features(part, global_statistics, window=window), weights)

    def _solve_shades(self, moments: Float[Tensor, "f 3 s s"]) -> Float[Tensor, "g f 3 p"]:
        """Solve for the weights ``[curve, local]`` of each candidate."""
        num_knots = self.curve_prior.shape[1]
        penalties, priors = [], []
        for candidate in CANDIDATES:
            on_curve = candidate.curve * self.log_prior_weight.exp().expand(num_knots)
            on_local = candidate.local * self.log_local_weight.exp()
            bend = candidate.bend * self.log_smoothness_weight.exp() * self.roughness
            penalties.append(torch.diag(torch.cat([on_curve, on_local])) + bend)
            local_prior = self.local_prior if candidate.local < FIXED else torch.zeros_like(self.local_prior)
            curve_prior = self.display_curve if candidate.is_display_gamma else self.curve_prior
            priors.append(torch.cat([curve_prior, local_prior], dim=1))
        penalty, prior = torch.stack(penalties)[:, None, None], torch.stack(priors)[:, None]
        pull = (penalty @ prior[..., None])[..., 0]
        return solve(moments[..., :-1, :-1] + penalty, moments[..., :-1, -1] + pull)

    def _assemble(self, shades: Float[Tensor, "3 s"], *, whites: Float[Tensor, "3 w w"] | None) -> Weights:
        """Solve for white, whose prior starts from the end of the curve."""
        num_knots = self.curve_prior.shape[1]
        curve, local = shades[:, :num_knots], shades[:, num_knots:]
        white = self.white_prior + F.pad(curve[:, -1:], (0, NUM_WHITE - 1))
        if whites is not None:
            penalty = torch.diag(self.log_white_weight.exp())
            white = solve(whites[..., :-1, :-1] + penalty, whites[..., :-1, -1] + white @ penalty)
        return Weights(curve, local, white)


def _evaluate(features: Features, weights: Weights) -> Float[Tensor, "b 3 h w"]:
    """Compute exposure by the model's two sums."""
    tone = features.tone.transpose(0, 1)
    curve = interpolate(tone.flatten(1), weights.curve).view(tone.shape).transpose(0, 1)
    shades = _weigh(features.local, weights.local) + curve
    # a channel clips where its shades end: white is at least as bright as they would be there
    whites = torch.maximum(_weigh(features.white, weights.white), shades)
    log_exposure = torch.lerp(shades, whites, features.whiteness)
    return F.relu(log_exposure.exp() - LOG_OFFSET)


def _gram(
    columns: Callable[[_Strip], list[Tensor]], share: Float[Tensor, "k 3 h w"], fold: Fold
) -> Float[Tensor, "3 s s"]:
    """Compute second moments of the columns over a fold, where a pixel counts by its share squared, strip by strip."""
    total = share.new_zeros(3, 1, 1)
    for start in range(0, share.shape[2], _STRIP_ROWS):
        strip = (fold.pictures, slice(None), slice(start, start + _STRIP_ROWS), fold.columns)
        rows = torch.stack(columns(strip), dim=-1) * share[strip][..., None]
        rows = rows.transpose(0, 1).flatten(1, 3)
        total = total + rows.mT @ rows
    return total


def _weigh(features: tuple[Tensor, ...], weights: Float[Tensor, "3 p"]) -> Float[Tensor, "b 3 h w"]:
    """Sum the features by the weights of their channel, one at a time to spare memory."""
    total = torch.zeros_like(features[0])
    for feature, weight in zip(features, weights.unbind(dim=1), strict=True):
        total = total + feature * weight[:, None, None]
    return total
