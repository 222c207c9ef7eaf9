"""What a suite computes, whatever its metrics are, and that its configurations are complete."""

import json
from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.errors import InstantiationException
from hydra.utils import instantiate

from ldr2hdr.build import CONF_DIR
from ldr2hdr.metrics.alignment import ALIGNMENTS
from ldr2hdr.metrics.catalogue import METRICS
from ldr2hdr.metrics.functional import PSNR_CAP_DB, Display, log2_rmse, pu21_psnr
from ldr2hdr.metrics.hdr import evaluate_pictures
from ldr2hdr.metrics.regions import find_regions
from ldr2hdr.metrics.suite import FAST, REGIONS, MetricSuite, ScoreName
from ldr2hdr.tasks import Shots

SUITES = sorted(path.stem for path in Path(CONF_DIR, "metrics").glob("*.yaml"))
BUILT_IN = tuple(name for name, metric in METRICS.items() if metric.package is None)
FULL = MetricSuite(BUILT_IN, tuple(REGIONS), tuple(ALIGNMENTS))


def configuration(name):
    with initialize_config_dir(CONF_DIR, version_base="1.3"):
        return compose(f"metrics/{name}").metrics


@pytest.fixture
def query(generator):
    """Two photos of smooth scenes with clipped and dark parts."""
    ramp = torch.linspace(-14, 3, 96).exp2().expand(64, -1) * torch.linspace(0.5, 1, 64)[:, None]
    exposure = torch.stack([ramp, ramp.flip(1)]).unsqueeze(1) * torch.tensor([1.0, 0.8, 0.6]).view(3, 1, 1)
    exposure = exposure * (1 + 0.1 * torch.rand(2, 3, 64, 96, generator=generator))
    return Shots((exposure.clamp(0, 1) ** 0.45 * 255).round() / 255, exposure)


@pytest.fixture
def pred(query, generator):
    return (0.8 * query.ldr**2) * (1 + 0.1 * torch.rand(query.ldr.shape, generator=generator))


def test_the_default_is_what_it_always_was(pred, query):
    regions = find_regions(query.ldr, query.exposure)
    shown = Display(anchor_cd_m2=20.0, peak_cd_m2=1000.0).present(pred, query.exposure)
    expected = {}
    for name in ("all", "well_exposed", "clipped"):
        expected["pu_psnr", name] = pu21_psnr(*shown, getattr(regions, name))
        expected["log2_rmse", name] = log2_rmse(pred, query.exposure, getattr(regions, name))
    found = evaluate_pictures(pred, query)
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[key], value) for key, value in expected.items())


@pytest.mark.parametrize("name", SUITES)
def test_every_configuration_builds(name):
    cfg = configuration(name)
    assert {key for key in cfg if not key.startswith("_")} == set(MetricSuite.__dataclass_fields__)
    try:
        suite = instantiate(cfg)
    except InstantiationException as error:
        if name != "perceptual" or not isinstance(error.__cause__, ModuleNotFoundError):
            raise
        pytest.skip(str(error.__cause__))
    assert suite.protocol()["metrics"].keys() >= set(cfg.metrics)
    if name == "fast":
        assert suite.protocol() == FAST.protocol()


def test_the_configurations_have_every_metric():
    assert set(configuration("full").metrics) == set(BUILT_IN)
    assert set(configuration("perceptual").metrics) == set(METRICS)
    assert set(configuration("full").regions) == set(REGIONS)
    assert set(configuration("full").alignments) == set(ALIGNMENTS)


def test_every_metric_is_there_after_each_alignment_that_suits_it(pred, query):
    scores = evaluate_pictures(pred, query, suite=FULL)
    expected = {
        (str(ScoreName(name, alignment)), region)
        for name in BUILT_IN
        for alignment in METRICS[name].alignments
        for region in (REGIONS if METRICS[name].has_regions else ("all",))
    }
    assert scores.keys() == expected | {("is_monotone+crf", "all")}
    assert all(column.shape == (2,) and column.dtype == pred.dtype for column in scores.values())
    assert all(column.isfinite().all() for column in scores.values())


def test_the_truth_is_best_in_every_metric(pred, query):
    perfect, worse = (FULL.evaluate(picture, query) for picture in (query.exposure, pred))
    signs = {"higher": 1, "lower": -1, "neither": 0}
    for (name, region), column in perfect.items():
        metric = METRICS.get(ScoreName.parse(name).metric)
        gap = (column - worse[name, region]) * (0 if metric is None else signs[metric.better])
        assert (gap >= 0).all(), (name, region)
        if metric is not None and metric.better != "neither" and region in ("all", "clipped"):
            assert (gap > 0).all(), (name, region)
    for alignment in ("none", "gain"):
        name = str(ScoreName("pu_psnr", alignment))
        assert (perfect[name, "all"] > PSNR_CAP_DB - 1e-3).all()
    # of the correction, the ridge on chroma and rounding are left
    assert (perfect["pu_psnr+crf", "all"] > 70).all()


def test_a_factor_does_not_matter_after_gain_and_crf(pred, query):
    first, second = (FULL.evaluate(factor * pred, query) for factor in (1, 0.25))
    for (name, region), column in first.items():
        if ScoreName.parse(name).alignment != "none":
            torch.testing.assert_close(column, second[name, region], msg=f"{name} on {region}")
    assert (first["pu_psnr", "all"] - second["pu_psnr", "all"]).abs().min() > 1


def test_pictures_are_judged_one_by_one(pred, query):
    together = FULL.evaluate(pred, query)
    for index in range(2):
        alone = FULL.evaluate(
            pred[index : index + 1], Shots(query.ldr[index : index + 1], query.exposure[index : index + 1])
        )
        for key, column in together.items():
            torch.testing.assert_close(column[index], alone[key][0], rtol=1e-4, atol=1e-5, msg=str(key))


def test_without_pixels_of_a_region_there_is_no_score(generator):
    exposure = 0.2 + 0.5 * torch.rand(1, 3, 16, 16, generator=generator)
    scores = FULL.evaluate(exposure, Shots((exposure * 255).round() / 255, exposure))
    for (name, region), column in scores.items():
        is_empty = region in ("clipped", "dark") and name != "region_share"
        assert column.isnan().all() == is_empty, (name, region)
    assert scores["region_share", "clipped"] == 0


@pytest.mark.parametrize("level", [0.0, 1.0])
def test_a_diverged_or_featureless_reconstruction_has_scores(query, level):
    scores = FULL.evaluate(torch.full_like(query.exposure, level), query)
    assert all(column.isfinite().all() for column in scores.values())


def test_the_protocol_says_all_and_is_json():
    protocol = json.loads(json.dumps(FULL.protocol()))
    assert protocol["metrics"].keys() == {*BUILT_IN, "is_monotone"}
    assert protocol["regions"] == REGIONS
    assert protocol["alignments"] == ALIGNMENTS
    assert protocol["versions"]["torch"] == torch.__version__
    other = MetricSuite(("pu_psnr",), display=Display(anchor_cd_m2=30.0, peak_cd_m2=600.0)).protocol()
    assert "at 30 cd/m2" in other["display"]
    assert "..600 cd/m2" in other["display"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"metrics": ["psnr"]}, r"metrics\.metrics must name some of pu_psnr, .* got psnr"),
        ({"metrics": []}, r"metrics\.metrics .* got none"),
        ({"regions": ["all", "all"]}, r"metrics\.regions .* each once, got all, all"),
        ({"regions": ["shadows"]}, r"metrics\.regions must name some of all, well_exposed"),
    ],
)
def test_suites_that_make_no_sense_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        MetricSuite(**{"metrics": ["pu_psnr"], **change})


@pytest.mark.gpu
def test_a_gpu_gives_the_same_scores(pred, query):
    here, there = FULL.evaluate(pred, query), FULL.evaluate(pred.cuda(), query.to("cuda"))
    for key, column in here.items():
        torch.testing.assert_close(there[key].cpu(), column, rtol=1e-3, atol=1e-3, msg=str(key))
