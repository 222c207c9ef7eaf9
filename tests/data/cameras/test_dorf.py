"""Cameras with the responses of real ones."""

import math

import numpy as np
import pytest
import torch

from ldr2hdr.calibration.prior import read_prior
from ldr2hdr.data.cameras.dorf import DorfFamily, TableCurve

SHARE = {"seen": [0.0, 0.9], "unseen": [[0.92, 0.99]]}


def draw(count, ranges="seen", **options):
    generator = torch.Generator().manual_seed(3)
    family = DorfFamily(SHARE, **options)
    return torch.tensor([family.sample(generator, ranges=ranges).exposure for _ in range(count)], dtype=torch.float64)


def scores(tables):
    """Coefficients of the green curves, in standard deviations."""
    prior = read_prior()
    log_exposure = (tables[:, 1] / tables[:, 1, 250:251]).log()[:, 1:]
    found = torch.linalg.lstsq(prior.components[:, 1:].T, (log_exposure - prior.mean[1:]).T).solution
    return found.T / prior.deviations


@pytest.fixture
def database(tmp_path):
    """Sixty gamma curves, one of them twice."""
    irradiance = np.linspace(0, 1, 1024)
    gammas = np.append(np.linspace(1.2, 3.0, 60), 3.0)
    path = tmp_path / "curves.npz"
    np.savez(path, irradiance=np.tile(irradiance, (61, 1)), brightness=irradiance ** (1 / gammas[:, None]))
    return path


def test_a_table_is_straight_between_its_levels():
    curve = TableCurve(((0.0, 0.2, 1.0), (0.0, 0.5, 1.0), (0.0, 0.8, 1.0)))
    exposure = torch.tensor([0.1, 0.25, 0.9], dtype=torch.float64).view(3, 1, 1)
    expected = [0.25, 0.25, 0.75]
    assert curve(exposure).flatten().tolist() == pytest.approx(expected)
    assert curve.inverse(torch.tensor(expected, dtype=torch.float64).view(3, 1, 1)).flatten().tolist() == (
        pytest.approx(exposure.flatten().tolist())
    )


def test_middle_grey_is_shown_as_real_cameras_show_it():
    """Of the 190 curves, 10 % show 0.18 of white darker than 0.204 of 1, half darker than 0.437."""
    generator = torch.Generator().manual_seed(0)
    family = DorfFamily(SHARE)
    grey = torch.full((3, 1, 1), 0.18, dtype=torch.float64)
    shown = torch.stack([family.sample(generator, ranges="seen")(grey)[1, 0, 0] for _ in range(300)])
    low, middle, high = shown.quantile(torch.tensor([0.1, 0.5, 0.9], dtype=torch.float64)).tolist()
    assert low == pytest.approx(0.204, abs=0.05)
    assert middle == pytest.approx(0.437, abs=0.04)
    assert high == pytest.approx(0.566, abs=0.05)


def test_seen_cameras_are_nearer_to_the_mean_than_unseen_ones():
    seen, unseen = (scores(draw(60, ranges))[:, :2].square().sum(dim=1) for ranges in ("seen", "unseen"))
    # the share of a circle that a normal law in the plane has is 1 - exp(-r**2 / 2)
    edges = [-2 * math.log1p(-share) for share in (0.9, 0.92, 0.99)]
    assert seen.max() < edges[0] + 0.05
    assert edges[1] - 0.05 < unseen.min()
    assert unseen.max() < edges[2] + 0.05


def test_channels_differ_within_the_spread():
    alone = draw(10)
    assert torch.equal(alone[:, 0], alone[:, 2])
    prior = read_prior()
    tables = draw(10, channel_spread=0.1)
    logs = (tables / tables[..., 250:251]).log()[..., 1:]
    difference = (logs[:, 0] - logs[:, 1]).abs()
    assert (difference > 1e-4).any()
    assert (difference <= 0.2 * (prior.deviations[:, None] * prior.components).abs().sum(0)[1:] + 1e-9).all()


def test_unseen_cameras_have_the_held_out_curves_of_the_database(database):
    tables = draw(80, "unseen", curves=database)
    shown = tables[:, 1, 128].unique()
    assert 25 < len(shown) <= 40
    gammas = shown.log() / math.log(128 / 255)
    assert gammas.min() > 1.19
    assert gammas.max() < 3.01
    assert torch.equal(draw(5, curves=database), draw(5))


def test_a_draw_that_never_rises_is_mended(monkeypatch):
    falling = read_prior().mean.flip(0)
    monkeypatch.setattr(DorfFamily, "_draw_curve", lambda *_, **__: falling)
    assert (draw(1).diff(dim=-1) > 0).all()


def test_a_file_that_is_no_database_is_refused(tmp_path):
    path = tmp_path / "x.npz"
    np.savez(path, irradiance=np.ones((3, 4)))
    with pytest.raises(ValueError, match=r"arrays irradiance and brightness, cannot read them: .*x\.npz"):
        DorfFamily(SHARE, curves=path)
    np.savez(path, irradiance=np.ones((3, 4)), brightness=np.ones((3, 4)))
    with pytest.raises(ValueError, match="expected more than 40 curves"):
        DorfFamily(SHARE, curves=path)
