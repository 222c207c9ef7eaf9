"""Learn the prior over camera responses that ships: mean, components and spreads of the DoRF curves.

    python experiments/response_prior/fit.py dorf201.npz

The database (Grossberg and Nayar 2004) is an .npz with the arrays ``irradiance`` and ``brightness``, 201 x 1024.
"""

import sys

import numpy as np

from ldr2hdr.calibration.prior import PRIOR_FILE, read_dorf

NUM_COMPONENTS = 8


def fit(curves):
    """Principal components of log inverse curves ``(n, 256)``, as `ResponsePrior` holds them."""
    mean = curves.mean(axis=0)
    _, singular, rows = np.linalg.svd(curves - mean, full_matrices=False)
    components = rows[:NUM_COMPONENTS]
    # of two opposite directions that which brightens
    components = components * np.sign(components.sum(axis=1, keepdims=True))
    rest = (curves - mean) - (curves - mean) @ components.T @ components
    spread = singular[:NUM_COMPONENTS] / np.sqrt(len(curves) - 1)
    arrays = {"mean": mean, "components": components, "deviations": spread, "residual": rest.std(axis=0)}
    return {name: array.astype(np.float32) for name, array in arrays.items()}


def describe(prior, held_out):
    """How well the components describe curves that they were not fitted to, in stops."""
    centred = held_out - prior["mean"]
    coefficients = centred @ prior["components"].T
    error = (centred - coefficients @ prior["components"]) / np.log(2)
    shares = [float(np.sqrt((error[:, levels] ** 2).mean())) for levels in (slice(1, 16), slice(16, 251))]
    scores = coefficients / prior["deviations"]
    return shares, float(np.sqrt((scores**2).mean())), float(((scores[:, :2] ** 2).sum(axis=1) > 4.605).mean())


def main(database, out=PRIOR_FILE):
    """Fit, write and describe."""
    curves = read_dorf(database)
    prior = fit(curves.log_exposure[~curves.is_held_out])
    np.savez(out, **prior)
    (dark, bright), spread, beyond = describe(prior, curves.log_exposure[curves.is_held_out])
    print(f"{(~curves.is_held_out).sum()} curves, {curves.is_held_out.sum()} held out")
    print(f"left of the held-out curves: {dark:.3f} stops at levels 1 to 15, {bright:.3f} at 16 to 250")
    print(f"their coefficients: {spread:.2f} standard deviations; {beyond:.0%} beyond the 90 % that the first two have")


if __name__ == "__main__":
    main(*sys.argv[1:])
