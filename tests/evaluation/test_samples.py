"""Sampled pictures are those that were judged, and an index that lies is refused."""

import json

import pytest
import torch

from ldr2hdr.evaluation.samples import INDEX, SampledTask, read_samples, write_samples
from ldr2hdr.evaluation.scoring import BaselineSystem, score_tasks
from ldr2hdr.evaluation.stages import Stage
from ldr2hdr.io import read_ldr, read_radiance
from ldr2hdr.tasks import Shots, Task


class Scaled:
    """The picture times a number."""

    def __init__(self, factor):
        self.factor = factor

    def adapt(self, support):
        return lambda ldr: self.factor * ldr


SYSTEMS = [BaselineSystem("twice", Scaled(2.0)), BaselineSystem("lost", Scaled(float("nan")))]


@pytest.fixture
def task(generator):
    ldr = torch.randint(0, 256, (2, 3, 6, 9), generator=generator) / 255
    return Task(Shots(ldr, 3 * ldr), Shots(ldr, 3 * ldr), ("a", "b"), ("roof", "cave"), "camera7")


@pytest.fixture
def folder(tmp_path, task):
    assert write_samples(tmp_path / "samples", SYSTEMS, [SampledTask("phone", "seen", task)], seed=5, device="cpu") == 1
    return tmp_path / "samples"


def test_the_pictures_are_those_that_were_judged(folder, task):
    (sample,) = read_samples(folder)
    assert (sample.camera_family, sample.ranges, sample.camera) == ("phone", "seen", "camera7")
    assert (sample.place, sample.seed) == ("roof", 5)
    assert torch.equal(read_ldr(sample.ldr), task.query.ldr[0])
    assert torch.equal(read_radiance(sample.truth), task.query.exposure[0].half().float())
    twice, lost = sample.outputs
    assert torch.equal(read_radiance(twice.path), (2 * task.query.ldr[0]).half().float())
    assert read_radiance(lost.path).count_nonzero() == 0
    for score in score_tasks(SYSTEMS, [task], camera_family="phone", ranges="seen"):
        if (score.picture, score.region) == (0, "all"):
            output = {Stage("twice"): twice, Stage("lost"): lost}[score.stage]
            assert output.stage == score.stage
            assert output.scores[score.metric] == pytest.approx(score.value, abs=1e-6)


@pytest.mark.parametrize(
    "change",
    [
        lambda index: [],
        lambda index: {"samples": index["samples"]},
        lambda index: index | {"samples": [{"folder": "000"}]},
        lambda index: index | {"samples": [index["samples"][0] | {"folder": "../000"}]},
    ],
)
def test_a_damaged_index_is_refused(folder, change):
    path = folder / INDEX
    path.write_text(json.dumps(change(json.loads(path.read_text()))))
    with pytest.raises(ValueError, match=r"index\.json is not an index of samples"):
        read_samples(folder)


def test_missing_files_are_named(folder, tmp_path):
    with pytest.raises(FileNotFoundError, match="samples=2"):
        read_samples(tmp_path)
    (folder / "000" / "01.exr").unlink()
    with pytest.raises(FileNotFoundError, match=r"000/01\.exr"):
        read_samples(folder)
