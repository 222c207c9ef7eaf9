"""Metrics of optional packages: their figures where they are installed, clear words where they are not."""

import importlib.util
import sys

import cv2
import pytest
import torch

from ldr2hdr.metrics import colorvideovdp
from ldr2hdr.metrics.crf_correction import correct_crf
from ldr2hdr.metrics.perceptual import cvvdp, cvvdp_version, flip, flip_version
from ldr2hdr.metrics.suite import MetricSuite

# flip-evaluator 1.7, and ColorVideoVDP 0.5.7 as its package and as it is after the response correction
FLIP = {"gain": 0.36307, "gamma": 0.65874, "clip": 0.07124, "rgb": 0.22254, "ripple": 0.01096}
JOD = {
    "gain": (9.4653, 10.0000),
    "gamma": (8.2238, 9.9594),
    "clip": (6.5439, 7.2957),
    "rgb": (9.2122, 9.9705),
    "ripple": (9.9974, 9.9974),
}

needs_flip = pytest.mark.skipif(
    importlib.util.find_spec("flip_evaluator") is None, reason="flip-evaluator is not installed"
)
needs_cvvdp = pytest.mark.skipif(importlib.util.find_spec("pycvvdp") is None, reason="cvvdp is not installed")


@needs_flip
def test_flip_is_that_of_its_package(reference, distorted):
    preds = torch.stack([distorted[name] for name in FLIP])
    found = flip(preds, reference.expand_as(preds))
    torch.testing.assert_close(found, found.new_tensor(list(FLIP.values())), atol=1e-5, rtol=0)
    # its exposures come from the reference
    torch.testing.assert_close(flip(100 * distorted["gain"], 100 * reference), found[0], atol=1e-4, rtol=0)
    assert flip(reference, reference) == 0
    # as it comes, its package would end the process on the second and third
    dim = flip(torch.stack([reference, 1e-30 * reference]), torch.stack([0 * reference, 1e-30 * reference]))
    assert dim[0].isnan()
    assert dim[1] == 0
    assert flip_version().startswith("flip-evaluator 1.")


@needs_cvvdp
def test_jods_are_those_of_the_package(reference, distorted):
    preds = torch.stack([distorted[name] for name in JOD])
    targets = reference.expand_as(preds)
    found = torch.stack([cvvdp(preds, targets), cvvdp(correct_crf(preds, targets).picture, targets)], dim=1)
    torch.testing.assert_close(found, found.new_tensor(list(JOD.values())), atol=1e-4, rtol=0)
    assert cvvdp(reference, reference) == 10
    assert "Lpeak=1500" in cvvdp_version()


@needs_cvvdp
def test_an_unknown_display_is_named(reference):
    with pytest.raises(ValueError, match="no display 'cinema'"):
        cvvdp(reference, reference, display_name="cinema")


@needs_cvvdp
def test_loading_leaves_no_torchvision_behind(reference):
    cvvdp(reference, reference)
    assert "torchvision" not in sys.modules


def test_the_blur_that_stands_in_is_a_gaussian(generator):
    image = torch.rand(2, 1, 40, 50, generator=generator)
    blurred = colorvideovdp.GaussianBlur(13, 3)(image)
    for found, picture in zip(blurred, image, strict=True):
        expected = cv2.GaussianBlur(picture[0].numpy(), (13, 13), 3, borderType=cv2.BORDER_REFLECT_101)
        torch.testing.assert_close(found[0], torch.from_numpy(expected), atol=1e-6, rtol=0)


@pytest.fixture
def without_packages(monkeypatch):
    """As on a machine where neither is installed."""
    monkeypatch.setitem(sys.modules, "flip_evaluator", None)
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "pycvvdp" else find(name))
    caches = (colorvideovdp.load, colorvideovdp._import_metric)
    for cache in caches:
        cache.cache_clear()
    yield
    for cache in caches:
        cache.cache_clear()


@pytest.mark.usefixtures("without_packages")
@pytest.mark.parametrize(
    ("name", "message"), [("flip", r"pip install 'ldr2hdr\[perceptual\]'"), ("cvvdp", "--no-deps cvvdp")]
)
def test_a_suite_says_what_to_install_before_anything_runs(name, message):
    with pytest.raises(ModuleNotFoundError, match=message):
        MetricSuite([name])


def test_a_package_without_its_own_dependencies_is_told(monkeypatch, tmp_path):
    package = tmp_path / "pycvvdp"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "cvvdp_metric.py").write_text("import a_package_that_nobody_has\n")
    monkeypatch.syspath_prepend(tmp_path)
    for name in [name for name in sys.modules if name.partition(".")[0] == "pycvvdp"]:
        monkeypatch.delitem(sys.modules, name)
    colorvideovdp._import_metric.cache_clear()
    with pytest.raises(ModuleNotFoundError, match="without a_package_that_nobody_has: pip install"):
        colorvideovdp._import_metric()
    sys.modules.pop("pycvvdp", None)
    assert "torchvision" not in sys.modules
