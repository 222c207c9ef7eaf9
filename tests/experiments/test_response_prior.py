"""The committed prior is what the script makes of such a database."""

from pathlib import Path

import numpy as np
import pytest
from load_scripts import load_scripts

from ldr2hdr.calibration.prior import ResponsePrior

FOLDER = Path(__file__).parents[2] / "experiments" / "response_prior"


@pytest.fixture
def database(tmp_path):
    irradiance = np.tile(np.linspace(0, 1, 1024), (60, 1))
    gammas = np.linspace(1.5, 3.0, 60)[:, None]
    np.savez(tmp_path / "curves.npz", irradiance=irradiance, brightness=irradiance ** (1 / gammas))
    return tmp_path / "curves.npz"


def test_a_family_of_one_parameter_has_one_component(database, tmp_path, capsys):
    study = load_scripts(FOLDER, ("fit",))["fit"]
    study.main(database, tmp_path / "prior.npz")
    prior = ResponsePrior(**np.load(tmp_path / "prior.npz"))
    assert prior.mean.shape == prior.residual.shape == (256,)
    assert prior.components.shape == (study.NUM_COMPONENTS, 256)
    assert prior.deviations[1] < 0.1 * prior.deviations[0]
    assert "20 curves, 40 held out" in capsys.readouterr().out
