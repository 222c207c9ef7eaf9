"""Test the band of a recovered curve on real curves that the prior has not seen: synthetic brackets of all 40.

    python experiments/response_prior/coverage.py --dorf dorf201.npz

Each bracket has three exposures two stops apart of one random scene, in 8 bits. In the second half of the table each
frame's tone errs as a smooth function of the light, as real cameras' tone mapping does.
"""

import argparse
import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from ldr2hdr.calibration.information import bracket_information
from ldr2hdr.calibration.posterior import CurveInformation, CurvePosterior, by_level, condition, posterior_mean
from ldr2hdr.calibration.prior import CurvePrior, JointGaussian, hat_basis, read_curve_prior, read_dorf

# Levels that a scene shows between black and white
_LEVELS = slice(3, 250)
_EVS = torch.tensor([-2.0, 0.0, 2.0], dtype=torch.float64)
_SIZE_PX = 192
# Of tone error between two frames, in nats: of one frame it is less by the root of 2
_TONE_DEVIATIONS = (0.0, 0.1)
_TONE_LENGTH = 1.5
_LEAST_RISE = 1e-4
# What a row of a bracket says to what it counts, for the spread alone. Real curves that the prior has not seen, 40 of
# DoRF, lie within the 95 % band of one bracket of their camera at 95 % of levels where tones of two frames differ by .1
# nat as a smooth function of the light, at 98 % where none differ.
_EVIDENCE_RATIO = 3.0


class Found(NamedTuple):
    """A curve that was recovered from one bracket.

    Attributes:
        share: Of levels at which the true curve is within the 95 % band.
        error: Root of the mean square over levels 13 to 239, in stops.
        error_before: The same of the prior's mean.
    """

    share: float
    error: float
    error_before: float


def recover(log_curve: Tensor, prior: CurvePrior, *, tone_deviation: float, seed: int) -> Found:
    """Photograph a random scene by a camera with this curve ``(256,)`` in each channel, and recover the curve."""
    truth = log_curve[:, None].expand(-1, 3)
    frames = photograph(log_curve, tone_deviation / math.sqrt(2), torch.Generator().manual_seed(seed))
    found = posterior(bracket_information(frames, _EVS, prior), prior)
    is_within = (found.log_curve - truth).abs() <= 1.96 * found.deviation
    initial = (hat_basis(prior.knots) @ prior.mean)[:, None].expand(-1, 3)
    errors = [
        (curve - truth)[13:240].square().mean().sqrt().item() / math.log(2) for curve in (found.log_curve, initial)
    ]
    return Found(is_within[_LEVELS].double().mean().item(), *errors)


def posterior(information: CurveInformation, prior: CurvePrior) -> CurvePosterior:
    """Return the curve that prior and brackets give, with a spread that allows for errors as of local tone mapping.

    With weights that are r times too small, the estimate's covariance is ``Q^-1 (P + L / r) Q^-1``, P the prior's
    precision, L the data's, Q their sum.
    """
    mean, covariance = condition(prior.joint(), information)
    too_much = (1 - 1 / _EVIDENCE_RATIO) * covariance @ information.precision @ covariance
    found = by_level(JointGaussian(mean, covariance - too_much), prior.knots)
    return found._replace(log_curve=posterior_mean(information, prior))


def photograph(log_curve: Tensor, tone_deviation: float, generator: torch.Generator) -> Tensor:
    """Return 8-bit frames ``(3, 3, h, w)`` of a scene that has detail at each scale, and 12 stops."""
    noises = [
        torch.rand(1, 3, n, n, generator=generator, dtype=torch.float64) / math.sqrt(n) for n in (4, 8, 16, 32, 64)
    ]
    total = sum(F.interpolate(noise, size=(_SIZE_PX, _SIZE_PX), mode="bilinear")[0] for noise in noises)
    low, high = total.amin(dim=(1, 2), keepdim=True), total.amax(dim=(1, 2), keepdim=True)
    log_light = (-9 + 12 * (total - low) / (high - low)) * math.log(2)
    rising = (log_curve - _LEAST_RISE * torch.arange(256)).cummax(0).values + _LEAST_RISE * torch.arange(256)
    # a level begins half way to the one below
    edges = (rising[1:] + rising[:-1]) / 2
    exposed = [log_light + ev * math.log(2) for ev in _EVS.tolist()]
    exposed = [light + _tone_error(light, tone_deviation, generator) for light in exposed]
    return torch.stack([torch.searchsorted(edges, light.contiguous()) for light in exposed]).to(torch.uint8)


def _tone_error(log_light: Tensor, deviation: float, generator: torch.Generator) -> Tensor:
    """A smooth random function of log light, 0 in the median."""
    place = torch.linspace(-10, 5, 150, dtype=torch.float64)
    alike = torch.exp(-0.5 * ((place[:, None] - place) / _TONE_LENGTH) ** 2) + 1e-6 * torch.eye(150)
    table = deviation * torch.linalg.cholesky(alike) @ torch.randn(150, generator=generator, dtype=torch.float64)
    position = ((log_light + 10) / 15 * 149).clamp(0, 148.99)
    error = torch.lerp(table[position.long()], table[position.long() + 1], position - position.long())
    return error - error.median()


def main(arguments: Sequence[str] | None = None) -> None:
    """Print shares and errors over the held-out curves."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dorf", type=Path, required=True, help="the database")
    options = parser.parse_args(arguments)
    curves, prior = read_dorf(options.dorf), read_curve_prior()
    held_out = torch.from_numpy(curves.log_exposure[curves.is_held_out])
    print(
        "| tone errs by, nat | levels within the 95 % band | median curve | worst curve | error, stops | of the prior |"
    )
    print("|---|---|---|---|---|---|")
    for deviation in _TONE_DEVIATIONS:
        found = [recover(curve, prior, tone_deviation=deviation, seed=seed) for seed, curve in enumerate(held_out)]
        shares, errors, before = torch.tensor(found).T
        cells = (shares.mean(), shares.median(), shares.min(), errors.mean(), before.mean())
        print(f"| {deviation:g} | " + " | ".join(f"{float(cell):.3f}" for cell in cells) + " |")


if __name__ == "__main__":
    main()
