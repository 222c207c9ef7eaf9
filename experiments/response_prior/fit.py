"""Learn the priors over camera responses that ship: of the DoRF curves, and the same centred by chart cameras.

    python experiments/response_prior/fit.py --dorf dorf201.npz --chart colorchecker

The database (Grossberg and Nayar 2004) is an .npz with the arrays ``irradiance`` and ``brightness``, 201 x 1024. The
charts are a folder for each camera, see `charts.py`.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from charts import Chart, read_chart

from ldr2hdr.calibration.prior import PRIOR_FILE, hat_basis, read_dorf, warp

NUM_COMPONENTS = 8
_NUM_KNOTS = 48
_WHITE_KNOT = 250
# What charts have to move: the DoRF covariance counts as so many cameras, the DoRF mean as so many
_PSEUDO_CAMERAS = 5.0
_PSEUDO_MEANS = 1.0
_NUM_STEPS = 100
# A patch counts a quarter, with an error of .06 nats and of .7 levels: patches of one camera err alike
_PATCH_EVIDENCE, _PATCH_DEVIATION, _LEVEL_DEVIATION = 0.25, 0.06, 0.7
# What the components leave is smooth over this distance in warped level, and .01 nats at least
_REST_LENGTH, _REST_DEVIATION = 0.6, 0.01


class Components(NamedTuple):
    """Mean of curves, the directions in which they differ times the deviation along each, and what these leave."""

    mean: np.ndarray
    components: np.ndarray
    rest: np.ndarray


def fit(curves: np.ndarray) -> Components:
    """Find the principal components of log inverse curves ``(n, levels)``."""
    mean = curves.mean(axis=0)
    _, singular, rows = np.linalg.svd(curves - mean, full_matrices=False)
    directions = rows[:NUM_COMPONENTS]
    # of two opposite directions that which brightens
    directions = directions * np.sign(directions.sum(axis=1, keepdims=True))
    rest = (curves - mean) - (curves - mean) @ directions.T @ directions
    return Components(mean, directions * (singular[:NUM_COMPONENTS, None] / np.sqrt(len(curves) - 1)), rest.std(axis=0))


def place_knots() -> np.ndarray:
    """Levels that are equally spaced in warped level, as far as whole numbers can be, 250 among them."""
    levels = np.linspace(0, 255, 25501)
    position = warp(torch.from_numpy(levels)).numpy()
    wanted = np.linspace(position[0], position[-1], _NUM_KNOTS)
    knots = np.unique(np.rint(np.interp(wanted, position, levels)).astype(int))
    knots[np.abs(knots - _WHITE_KNOT).argmin()] = _WHITE_KNOT
    return knots


def centre(found: Components, knots: np.ndarray, cameras: Sequence[Sequence[Chart]]) -> Components:
    """Move mean and spread to where chart cameras are, by expectation maximisation over the components' coefficients.

    The covariance has an inverse Wishart prior about that of the curves, the mean a normal one.
    """
    told = [_coefficients(found, knots, charts) for charts in cameras]
    mean, spread = np.zeros(NUM_COMPONENTS), np.eye(NUM_COMPONENTS)
    for _ in range(_NUM_STEPS):
        prior = np.linalg.inv(spread)
        covariances = [np.linalg.inv(prior + precision) for precision, _ in told]
        means = [
            covariance @ (prior @ mean + information)
            for covariance, (_, information) in zip(covariances, told, strict=True)
        ]
        mean = sum(means) / (len(told) + _PSEUDO_MEANS)
        scatter = sum(
            covariance + np.outer(own - mean, own - mean) for covariance, own in zip(covariances, means, strict=True)
        )
        scatter = scatter + _PSEUDO_CAMERAS * np.eye(NUM_COMPONENTS) + _PSEUDO_MEANS * np.outer(mean, mean)
        spread = scatter / (_PSEUDO_CAMERAS + len(told) + 1)
    values, vectors = np.linalg.eigh(spread)
    components = (vectors * np.sqrt(values)).T[::-1] @ found.components
    return Components(found.mean + mean @ found.components, components, found.rest)


def _coefficients(found: Components, knots: np.ndarray, charts: Sequence[Chart]) -> tuple[np.ndarray, np.ndarray]:
    """Precision and information about a camera's coefficients, whatever the factor of each light and channel is."""
    slope = np.gradient(hat_basis(torch.from_numpy(knots)).numpy() @ found.mean)
    designs, targets, weights = [], [], []
    for place, chart in enumerate(charts):
        for channel in range(3):
            level = chart.levels[..., channel]
            is_used = (level > 10) & (level < 248) & chart.is_known[None, :, channel]
            level = level[is_used]
            basis = hat_basis(torch.from_numpy(knots), torch.from_numpy(level)).numpy()
            factors = np.zeros((len(level), 3 * len(charts)))
            factors[:, 3 * place + channel] = 1
            designs.append(np.hstack([basis @ found.components.T, factors]))
            targets.append(chart.log_light[..., channel][is_used] - basis @ found.mean)
            of_level = _LEVEL_DEVIATION * slope[np.rint(level).astype(int)]
            weights.append(_PATCH_EVIDENCE / (_PATCH_DEVIATION**2 + of_level**2))
    design, target, weight = (np.concatenate(parts) for parts in (designs, targets, weights))
    normal, products = (design.T * weight) @ design, (design.T * weight) @ target
    kept, free = slice(None, NUM_COMPONENTS), slice(NUM_COMPONENTS, None)
    solved = np.linalg.solve(normal[free, free] + 1e-9 * np.eye(3 * len(charts)), normal[free, kept])
    return normal[kept, kept] - normal[kept, free] @ solved, products[kept] - solved.T @ products[free]


def covariance_of_rest(knots: np.ndarray, rest: np.ndarray) -> np.ndarray:
    """Covariance at the knots of what the components leave, 0 at level 250."""
    position = warp(torch.from_numpy(knots).double()).numpy()
    deviation = np.sqrt(rest**2 + _REST_DEVIATION**2) * (knots != _WHITE_KNOT)
    alike = np.exp(-0.5 * ((position[:, None] - position) / _REST_LENGTH) ** 2)
    return deviation[:, None] * deviation * alike


def build(curves: np.ndarray, cameras: Sequence[Sequence[Chart]]) -> dict[str, np.ndarray]:
    """Fit both priors; arrays as `PRIOR_FILE` has them."""
    whole, knots = fit(curves), place_knots()
    centred = fit(curves[:, knots])
    if cameras:
        centred = centre(centred, knots, cameras)
    deviations = np.linalg.norm(whole.components, axis=1)
    arrays = {
        "mean": centred.mean,
        "components": centred.components.T,
        "residual": covariance_of_rest(knots, centred.rest),
        "dorf_mean": whole.mean,
        "dorf_components": whole.components / deviations[:, None],
        "dorf_deviations": deviations,
        "dorf_residual": whole.rest,
    }
    return {"knots": knots.astype(np.uint8)} | {name: array.astype(np.float32) for name, array in arrays.items()}


def describe(prior: dict[str, np.ndarray], held_out: np.ndarray) -> str:
    """Say how well the components describe curves that they were not fitted to."""
    centred = held_out - prior["dorf_mean"]
    coefficients = centred @ prior["dorf_components"].T
    error = (centred - coefficients @ prior["dorf_components"]) / np.log(2)
    dark, bright = (np.sqrt((error[:, levels] ** 2).mean()) for levels in (slice(1, 16), slice(16, 251)))
    scores = coefficients / prior["dorf_deviations"]
    beyond = ((scores[:, :2] ** 2).sum(axis=1) > 4.605).mean()
    return (
        f"left of the held-out curves: {dark:.3f} stops at levels 1 to 15, {bright:.3f} at 16 to 250\n"
        f"their coefficients: {np.sqrt((scores**2).mean()):.2f} standard deviations; "
        f"{beyond:.0%} beyond the 90 % that the first two have"
    )


def read_cameras(folder: Path, left_out: Sequence[str]) -> list[list[Chart]]:
    """Read the charts of all cameras but some.

    Raises:
        ValueError: If a camera to leave out is not there.
    """
    names = sorted(path.name for path in folder.iterdir() if path.is_dir())
    if missing := set(left_out) - set(names):
        raise ValueError(f"--leave-out names cameras that {folder} does not have: {sorted(missing)}")
    return [[read_chart(folder / name, light) for light in (1, 2)] for name in names if name not in left_out]


def main(arguments: Sequence[str] | None = None) -> None:
    """Fit, write and describe."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dorf", type=Path, required=True, help="the database")
    parser.add_argument("--chart", type=Path, help="folder of chart cameras; without it the mean is that of the curves")
    parser.add_argument("--leave-out", action="append", default=[], metavar="CAMERA", help="of the charts; repeatable")
    parser.add_argument("--out", type=Path, default=PRIOR_FILE)
    options = parser.parse_args(arguments)
    curves = read_dorf(options.dorf)
    cameras = read_cameras(options.chart, options.leave_out) if options.chart else []
    prior = build(curves.log_exposure[~curves.is_held_out], cameras)
    np.savez(options.out, **prior)
    num_held_out = curves.is_held_out.sum()
    print(f"{len(curves.is_held_out) - num_held_out} curves, {num_held_out} held out; {len(cameras)} chart cameras")
    print(describe(prior, curves.log_exposure[curves.is_held_out]))


if __name__ == "__main__":
    main()
