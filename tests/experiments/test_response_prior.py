"""The committed prior is what the script makes of such a database."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from load_scripts import load_scripts

from ldr2hdr.calibration.prior import PRIOR_FILE, hat_basis, read_curve_prior

pytestmark = pytest.mark.slow

FOLDER = Path(__file__).parents[2] / "experiments" / "response_prior"


@pytest.fixture
def database(tmp_path):
    irradiance = np.tile(np.linspace(0, 1, 1024), (60, 1))
    gammas = np.linspace(1.5, 3.0, 60)[:, None]
    np.savez(tmp_path / "curves.npz", irradiance=irradiance, brightness=irradiance ** (1 / gammas))
    return tmp_path / "curves.npz"


@pytest.fixture
def charts(tmp_path):
    """Two cameras with a gamma of 1.8, of a chart of greys; RAW in 8 bits."""
    light = np.linspace(0.02, 0.9, 24).reshape(4, 6).repeat(65, axis=0).repeat(65, axis=1)
    for camera in ("a", "b"):
        (tmp_path / "charts" / camera).mkdir(parents=True)
        for number in (1, 2):
            for step in range(1, 5):
                exposed = (light * 2.0 ** (step - 4)).clip(max=1)[..., None].repeat(3, axis=2)
                for kind, picture in (("raw", exposed), ("jpg", exposed ** (1 / 1.8))):
                    path = tmp_path / "charts" / camera / f"wb1i{number}e{step}-{kind}.png"
                    cv2.imwrite(str(path), np.rint(picture * 255).astype(np.uint8))
    return tmp_path / "charts"


def run(arguments, capsys):
    load_scripts(FOLDER, ("charts", "fit"))["fit"].main([str(argument) for argument in arguments])
    return capsys.readouterr().out


def test_the_file_is_made_of_curves_and_charts(database, charts, tmp_path, capsys):
    said = run(["--dorf", database, "--chart", charts, "--out", tmp_path / "prior.npz"], capsys)
    assert "20 curves, 40 held out; 2 chart cameras" in said
    made, shipped = (np.load(path) for path in (tmp_path / "prior.npz", PRIOR_FILE))
    assert {name: made[name].shape for name in made} == {name: shipped[name].shape for name in shipped}
    assert (made["knots"] == shipped["knots"]).all()


def test_a_family_of_one_parameter_has_one_component(database, tmp_path, capsys):
    run(["--dorf", database, "--out", tmp_path / "prior.npz"], capsys)
    prior = np.load(tmp_path / "prior.npz")
    assert prior["dorf_deviations"][1] < 0.1 * prior["dorf_deviations"][0]
    np.testing.assert_allclose(prior["mean"], prior["dorf_mean"][prior["knots"]], atol=1e-6)


def test_charts_move_the_mean_to_their_cameras(database, charts, tmp_path, capsys):
    means = []
    for number, options in enumerate(([], ["--chart", charts, "--leave-out", "a"], ["--chart", charts])):
        out = tmp_path / f"{number}.npz"
        run(["--dorf", database, *options, "--out", out], capsys)
        prior = np.load(out)
        means.append(prior["mean"][prior["knots"] == 63][0])
    errors = [abs(mean - 1.8 * np.log(63 / 250)) for mean in means]
    assert errors[0] > 0.2
    assert errors[2] < errors[1] < errors[0]


def test_cameras_that_are_not_there_cannot_be_left_out(database, charts, capsys):
    with pytest.raises(ValueError, match=r"does not have: \['c'\]"):
        run(["--dorf", database, "--chart", charts, "--leave-out", "c"], capsys)


def test_a_chart_without_pictures_is_named(database, charts, capsys):
    (charts / "a" / "wb1i1e1-jpg.png").unlink()
    with pytest.raises(OSError, match=r"wb1i1e1-jpg\.png"):
        run(["--dorf", database, "--chart", charts], capsys)


def test_the_band_holds_curves_that_do_not_come_from_the_prior():
    """Powers, whose contrast is within what cameras have, in the simulation that measures the real held-out curves."""
    coverage = load_scripts(FOLDER, ("coverage",))["coverage"]
    level = torch.arange(256, dtype=torch.float64).clamp_min(0.25)
    curves = [exponent * torch.log(level / 250) for exponent in (1.8, 2.2, 2.6)]
    found = [
        coverage.recover(curve, read_curve_prior(), tone_deviation=0.1, seed=seed) for seed, curve in enumerate(curves)
    ]
    assert sum(each.share for each in found) / len(found) > 0.9
    assert all(each.error < 0.5 * each.error_before for each in found)


def test_the_simulated_camera_has_the_curve_it_is_given():
    coverage = load_scripts(FOLDER, ("coverage",))["coverage"]
    prior = read_curve_prior()
    curve = hat_basis(prior.knots) @ prior.mean
    found = coverage.recover(curve, prior, tone_deviation=0.0, seed=0)
    assert found.error < 0.03
    assert found.error_before == 0
    assert found.share > 0.99
