"""The fit of response and scale against cameras whose response and scale are known."""

import math
from pathlib import Path

import pytest
import torch

from ldr2hdr.calibration.curve import MAX_LEVEL, MIN_LEVEL
from ldr2hdr.calibration.scale import fit_scale
from ldr2hdr.data.cameras.crf import GammaCurve, SigmoidCurve, SrgbCurve
from ldr2hdr.data.datasets.fitting import fit_pixels, fit_record
from ldr2hdr.data.datasets.pixels import read_exposures, read_sensor_exposure
from ldr2hdr.data.datasets.record import Frame, HdrReference, SceneRecord
from ldr2hdr.io import ImageError, write_image

CURVES = [
    GammaCurve((2.2, 2.2, 2.2)),
    GammaCurve((1.8, 2.0, 2.4)),
    SrgbCurve(),
    SigmoidCurve((0.9, 0.9, 0.9), (0.6, 0.6, 0.6)),
]


def light(generator, size=64):
    """Smooth light over 12 stops, 2 of them above white."""
    coarse = torch.rand(1, 3, 5, 5, generator=generator) * 12 - 10
    return torch.exp2(torch.nn.functional.interpolate(coarse, (size, size), mode="bicubic", align_corners=True)[0])


def shoot(curve, exposure, evs, gains=(1.0, 1.0, 1.0)):
    """8-bit pictures by a response, with a white balance."""
    balanced = exposure * torch.tensor(gains)[:, None, None]
    pictures = [curve((balanced * 2.0**ev).clamp(max=1)) for ev in evs]
    return torch.round(torch.stack(pictures) * 255) / 255


@pytest.mark.parametrize("evs", [(0.0,), (-2.0, 0.0, 2.0), (-4.0, -3.0, -2.0, -1.0, 0.0, 1.0, 2.0)])
@pytest.mark.parametrize("curve", CURVES)
def test_scale_and_response_are_found(generator, curve, evs):
    exposure = light(generator)
    fit = fit_scale(shoot(curve, exposure, evs, gains=(0.6, 1.0, 1.7)), exposure * 37, evs=evs)
    assert math.log2(fit.scale * 37) == pytest.approx(0, abs=0.1)
    assert fit.residual_stops < 0.05
    assert max(map(abs, fit.ev_errors)) < 0.01
    # green, whose gain is 1: levels that are seen lead to the exposure that made them
    level = torch.arange(MIN_LEVEL, MAX_LEVEL + 1)
    true = curve.inverse(level.view(1, 1, -1).expand(3, 1, -1) / 255)[1, 0].log2()
    assert (fit.curve[1, level] - true).abs().max() < 0.15
    assert (fit.curve.diff(dim=1) >= 0).all()
    assert fit.curve[1, -1] == 0


def noise_in(ldr, generator):
    """A fifth is noise: at the rare bright levels, most pixels are wrong."""
    ldr[:, :, :12] = torch.rand(3, 3, 12, 64, generator=generator)


def person_in(ldr, generator):
    """Two fifths show what is elsewhere in the scene."""
    ldr[:, :, :28] = ldr[:, :, -28:].clone()


@pytest.mark.parametrize("spoil", [noise_in, person_in])
def test_a_minority_of_wrong_pixels_has_no_say(generator, spoil):
    exposure = light(generator)
    ldr = shoot(CURVES[2], exposure, (-2.0, 0.0, 2.0))
    spoil(ldr, generator)
    fit = fit_scale(ldr, exposure, evs=(-2.0, 0.0, 2.0))
    assert math.log2(fit.scale) == pytest.approx(0, abs=0.1)
    assert fit.residual_stops < 0.1


@pytest.mark.parametrize("wrong", [0, 1, 2])
def test_a_wrong_ev_is_found_and_counts_in_the_residual(generator, wrong):
    evs = [-2.0, 0.0, 2.0]
    ldr = shoot(CURVES[0], light(generator), evs)
    nominal = list(evs)
    nominal[wrong] -= 0.5
    fit = fit_scale(ldr, light(generator.manual_seed(0)), evs=nominal)
    expected = [0.0, 0.0, 0.0]
    expected[wrong] = 0.5
    assert fit.ev_errors == pytest.approx(expected, abs=0.02)
    assert fit.residual_stops == pytest.approx(0.5, abs=0.05)


def test_the_residual_is_the_noise_of_the_worst_exposure(generator):
    exposure = light(generator, size=128)
    ldr = shoot(CURVES[0], exposure, (-1.0, 1.0))
    noise = torch.exp2(0.3 * torch.randn(3, 128, 128, generator=generator))
    noisy = torch.stack([ldr[0], shoot(CURVES[0], exposure * noise, (1.0,))[0]])
    assert fit_scale(noisy, exposure, evs=(-1.0, 1.0)).residual_stops == pytest.approx(0.3, abs=0.06)


def test_unrelated_pictures_leave_a_residual_or_no_rise(generator):
    evs = (-2.0, 0.0, 2.0)
    for _ in range(5):
        fit = fit_scale(shoot(CURVES[0], light(generator), evs), light(generator), evs=evs)
        assert fit.residual_stops > 0.75 or fit.rise < 0.25


def pair_of(ldr, linear, evs):
    """What becomes of a record with these pixels: its exposures are named by number."""
    exposures = tuple(Frame(Path(str(number)), ev, "name") for number, ev in enumerate(evs))
    record = SceneRecord("x", "x", "camera", exposures, HdrReference(Path("light")), None)
    return fit_pixels(record, ldr, linear, max_residual_stops=0.75)


@pytest.mark.parametrize("wrong", [0, 1, 2])
def test_the_exposure_of_a_wrong_ev_is_left_out_and_the_others_stay(generator, wrong):
    evs = [-2.0, 0.0, 2.0]
    exposure = light(generator)
    ldr = shoot(CURVES[0], exposure, evs)
    evs[wrong] += 1.0
    record, problems = pair_of(ldr, exposure * 5, evs).fitted
    assert [int(kept.path.name) for kept in record.exposures] == [number for number in range(3) if number != wrong]
    assert [(problem.kind, problem.path.name) for problem in problems] == [
        ("ev_mismatch", str(wrong)),
        ("misfit", str(wrong)),
    ]
    assert problems[1].message.startswith("the exposure is 1.0")
    assert math.log2(record.hdr.scale * 5) == pytest.approx(0, abs=0.1)


def test_of_two_exposures_that_disagree_none_is_believed(generator):
    exposure = light(generator)
    record, problems = pair_of(shoot(CURVES[0], exposure, (0.0, 2.0)), exposure, (0.0, 1.0)).fitted
    assert record is None
    assert [problem.kind for problem in problems if problem.path.name == "light"] == ["misfit"]
    assert "1 of 2 are further off than dataset.max_residual_stops=0.75" in problems[-1].message


def test_light_that_barely_orders_the_levels_is_refused(generator):
    """Light of little range leaves a small residual; that it is another scene's, ranks tell."""
    stops = 0.6 * torch.randn(3, 64, 64, generator=generator) - 3
    elsewhere = stops + 0.7 * torch.randn(3, 64, 64, generator=generator)
    fitted, _, fit = pair_of(shoot(CURVES[0], torch.exp2(elsewhere), (0.0,)), torch.exp2(stops), (0.0,))
    assert fit.residual_stops < 0.75
    assert fit.rise > 0.25
    assert fitted.record is None
    assert fit.agreement == pytest.approx(_spearman_of_normal(0.6 / math.hypot(0.6, 0.7)), abs=0.03)


def _spearman_of_normal(correlation):
    return 6 / math.pi * math.asin(correlation / 2)


def test_ranks_agree_where_more_light_is_never_darker(generator):
    exposure = light(generator)
    assert fit_scale(shoot(CURVES[0], exposure, (0.0,)), exposure, evs=(0.0,)).agreement > 0.99
    flat = torch.full((1, 3, 64, 64), 0.5)
    assert fit_scale(flat, exposure, evs=(0.0,)).agreement == 0


def test_too_few_well_exposed_pixels_are_no_fit(generator):
    exposure = light(generator)
    fit = fit_scale(torch.ones(1, 3, 64, 64), exposure, evs=(0.0,))
    assert (fit.residual_stops, fit.scale, fit.num_pixels) == (math.inf, 1.0, 0)
    assert fit_scale(torch.full((1, 3, 64, 64), 0.5), torch.zeros(3, 64, 64), evs=(0.0,)).num_pixels == 0


def test_a_large_picture_is_thinned_out(generator):
    exposure = light(generator, size=600)
    fit = fit_scale(shoot(CURVES[0], exposure, (0.0,)), exposure, evs=(0.0,))
    assert fit.num_pixels < 3 * 2**16
    assert math.log2(fit.scale) == pytest.approx(0, abs=0.05)


def test_exposures_without_an_ev_each_are_refused():
    with pytest.raises(ValueError, match="expected exposures of the HDR's size with one EV each"):
        fit_scale(torch.ones(2, 3, 4, 4), torch.ones(3, 4, 4), evs=(0.0,))


@pytest.fixture
def record(tmp_path, generator):
    """Two exposures and an HDR, the second exposure smaller."""
    for name, size in (("a.png", 8), ("b.png", 6), ("c.hdr", 8)):
        write_image(tmp_path / name, torch.rand(3, size, size, generator=generator))
    exposures = (Frame(tmp_path / "a.png", 0.0, "name"), Frame(tmp_path / "b.png", 1.0, "name"))
    return SceneRecord("x", "x", "camera", exposures, HdrReference(tmp_path / "c.hdr"), None)


def variant(record, *, exposures, hdr):
    return SceneRecord(record.id, record.place, record.camera, exposures, hdr, None)


def test_pixels_of_other_sizes_than_the_headers_told_are_told(record, tmp_path):
    with pytest.raises(ImageError, match=r"expected exposures of one size, got \[\(6, 6\), \(8, 8\)\].*a.png"):
        read_exposures(record.exposures)
    other = variant(record, exposures=record.exposures[1:], hdr=record.hdr)
    fitted = fit_record(other, cache_dir=tmp_path, max_residual_stops=0.75)
    assert fitted.record is None
    assert [(problem.kind, problem.path.name) for problem in fitted.problems] == [("damaged", "c.hdr")]


def test_a_record_without_hdr_or_exposures_is_no_pair(record, tmp_path):
    for other in (variant(record, exposures=(), hdr=record.hdr), variant(record, exposures=record.exposures, hdr=None)):
        with pytest.raises(ValueError, match="expected a scene with exposures and HDR, got 'x' without"):
            fit_record(other, cache_dir=tmp_path, max_residual_stops=0.75)
    with pytest.raises(ValueError, match="expected a scene with HDR, got 'x' without"):
        read_sensor_exposure(other)
