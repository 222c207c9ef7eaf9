"""Labels of the support: what each source gives, and that nothing of the query reaches them."""

import inspect

import pytest
import torch
from brackets import EVS, shoot, texture, windows
from test_sampling import make
from torch import nn

from ldr2hdr.data.cameras.crf import GammaCurve
from ldr2hdr.data.tasks.labels import AbstractLabelSource, MergeLabels, TeacherLabels, TruthLabels
from ldr2hdr.data.tasks.sampling import Exposed, SceneTasks
from ldr2hdr.radiometry import expose
from ldr2hdr.tasks import Shots, Task

GAMMA = GammaCurve((2.2, 2.2, 2.2))
EVS_TENSOR = torch.tensor(EVS)


class Square(nn.Module):
    def __init__(self):
        super().__init__()
        self.gain = nn.Parameter(torch.tensor(3.0))

    def forward(self, ldr):
        return self.gain * ldr**2


SOURCES = {
    "truth": TruthLabels(),
    "merge": MergeLabels(max_residual_stops=9.0),
    "debevec": MergeLabels(response="debevec_malik1997", max_residual_stops=9.0),
    "teacher": TeacherLabels(Square()),
}
EACH_SOURCE = pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES)


def bracket(size=64):
    scene = 4 * texture(size)
    return shoot(GAMMA, scene), expose(scene.expand(3, -1, -1, -1), EVS_TENSOR.double()).float()


def make_task(ldr, exposure, evs, *, shots, source):
    """A task as it is made of the pictures of one camera, support first, with labels from a source."""
    labels = source.label(ldr[:shots], evs[:shots], truth=exposure[:shots])
    places = ("a",) * len(ldr)
    return Task(Shots(ldr[:shots], labels), Shots(ldr[shots:], exposure[shots:]), places[:shots], places[shots:], "one")


@EACH_SOURCE
def test_no_query_pixel_or_label_reaches_the_support(source, generator):
    evs = torch.tensor([-2.0, 0.0, 2.0, 4.0, -4.0])
    exposure = expose(texture(32).float().expand(5, -1, -1, -1), evs)
    ldr = shoot(GAMMA, texture(32), evs.tolist())
    first = make_task(ldr, exposure, evs, shots=3, source=source)
    for garbage in (0.0, 1.0, -5.0, float("nan"), float("inf"), "noise", "shuffled", "gone"):
        other_ldr, other_exposure, other_evs = ldr.clone(), exposure.clone(), evs.clone()
        if garbage == "noise":
            other_ldr[3:] = torch.rand(ldr[3:].shape, generator=generator)
            other_exposure[3:] = torch.rand(ldr[3:].shape, generator=generator)
        elif garbage == "shuffled":
            other_ldr[3:], other_exposure[3:] = ldr[3:].flip(0), exposure[3:].flip(-1)
        elif garbage == "gone":
            other_ldr, other_exposure, other_evs = ldr[:3], exposure[:3], evs[:3]
        else:
            other_ldr[3:], other_exposure[3:], other_evs[3:] = garbage, garbage, garbage
        other = make_task(other_ldr, other_exposure, other_evs, shots=3, source=source)
        assert torch.equal(first.support.exposure, other.support.exposure)
        assert torch.equal(first.support.ldr, other.support.ldr)


class SpoiltQuery(SceneTasks):
    """The same tasks with another query: its exposures are noise."""

    def _exposures(self, camera, generator):
        exposure, places, evs = super()._exposures(camera, generator)
        noise = 7 * torch.rand(exposure[self.shots :].shape, generator=torch.Generator().manual_seed(1))
        return Exposed(torch.cat([exposure[: self.shots], noise]), places, evs)


@EACH_SOURCE
def test_sampling_keeps_the_query_from_the_support_and_its_labels(source):
    for index in range(4):
        tasks = [make(kind, crop_px=32)[index] for kind in (SceneTasks, SpoiltQuery)]
        assert not torch.equal(tasks[0].query.ldr, tasks[1].query.ldr)
        evs = torch.tensor([0.0, 2.0])
        first, second = (source.label(t.support.ldr, evs, truth=t.support.exposure) for t in tasks)
        assert torch.equal(first, second)


@EACH_SOURCE
def test_a_source_is_given_the_support_alone_and_changes_nothing(source):
    assert list(inspect.signature(source.label).parameters) == ["ldr", "evs", "truth"]
    ldr, exposure = bracket()
    before = ldr.clone(), exposure.clone(), dict(vars(source))
    labels = source.label(ldr, EVS_TENSOR, truth=exposure)
    assert torch.equal(ldr, before[0])
    assert torch.equal(exposure, before[1])
    assert vars(source) == before[2]
    assert labels.shape == ldr.shape
    assert labels.dtype == torch.float32
    assert not labels.requires_grad
    assert bool((labels >= 0).all())
    assert labels.max() > 1, "labels are exposure, not a display's [0, 1]"


def test_every_source_is_tried():
    assert {type(source) for source in SOURCES.values()} == set(AbstractLabelSource.__subclasses__())


@pytest.mark.parametrize(("response", "error_stops"), [("prior", 0.12), ("debevec_malik1997", 0.05)])
def test_merge_needs_no_truth_and_labels_every_exposure_with_its_own_ev(response, error_stops):
    ldr, exposure = bracket()
    source = MergeLabels(response=response)
    labels = source.label(ldr, EVS_TENSOR)
    assert torch.equal(labels, source.label(ldr, EVS_TENSOR, truth=torch.full_like(ldr, float("nan"))))
    seen = (exposure[0] < 0.9) & (exposure[2] > 0.02)
    assert torch.log2(labels / exposure)[:, seen].square().mean().sqrt() < error_stops
    torch.testing.assert_close(labels[2], labels[0] * 16)
    clipped = exposure[0] >= 1.0
    assert clipped.any()
    torch.testing.assert_close(labels[0][clipped], torch.ones_like(labels[0][clipped]), rtol=1e-6, atol=0)


def test_merge_labels_of_a_shaken_bracket_lie_on_their_own_pictures():
    exposure = expose(windows(texture(128), [(5, -3), (0, 0), (-4, 6)], 64), EVS_TENSOR.double())
    ldr = shoot(GAMMA, exposure, (0.0, 0.0, 0.0))
    labels = MergeLabels(align=True).label(ldr, EVS_TENSOR)
    seen = (ldr > 0.1) & (ldr < 0.9)
    errors = torch.log2(labels.double() / exposure)[seen].abs()
    assert errors.square().mean().sqrt() < 0.1
    unaligned = MergeLabels(max_residual_stops=9.0).label(ldr, EVS_TENSOR)
    assert torch.log2(unaligned.double() / exposure)[seen].square().mean().sqrt() > 0.2


def test_a_teacher_is_frozen_and_its_output_is_taken_as_it_is():
    network = Square()
    source = TeacherLabels(network)
    ldr, _ = bracket()
    labels = source.label(ldr.clone().requires_grad_(), EVS_TENSOR)
    assert torch.equal(labels, 3 * ldr**2)
    with torch.no_grad():
        network.gain.fill_(100.0)
    assert network.training, "the network that is handed over stays as it was"
    assert torch.equal(source.label(ldr, EVS_TENSOR), labels)
    assert torch.equal(TeacherLabels(torch.square).label(ldr, EVS_TENSOR), ldr**2)


def test_a_recovery_that_does_not_exist_is_named():
    with pytest.raises(ValueError, match=r"labels\.response must be one of prior, debevec_malik1997, got 'robertson'"):
        MergeLabels(response="robertson")


def test_a_dark_frame_does_not_condemn_a_bracket():
    """Of three frames, the third shows next to nothing; Debevec and Malik's recovery refuses two of these."""
    exposure = 4 * texture(64) / 2**5
    ldr = shoot(GAMMA, exposure, (0.0, 2.0, -7.0))
    labels = MergeLabels().label(ldr, torch.tensor([0.0, 2.0, -7.0]))
    seen = (ldr[1] > 0.1) & (ldr[1] < 0.9)
    errors = torch.log2(labels[0].double() / exposure)[seen]
    assert (errors - errors.median()).abs().median() < 0.05


def unrelated():
    return torch.rand(2, 3, 48, 48, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    ("source", "ldr", "message"),
    [
        (TruthLabels(), unrelated(), "labels=truth needs the true exposure"),
        (MergeLabels(), unrelated()[:1], "got task.shots=1; raise task.shots"),
        (MergeLabels(), unrelated(), "exposures of one scene, .* choose task=scene"),
        (MergeLabels(response="debevec_malik1997"), unrelated(), "exposures of one scene"),
        (MergeLabels(align=True), unrelated(), "no shift up to 16 px aligns"),
        (TeacherLabels(lambda ldr: ldr - 1), unrelated(), "non-negative"),
        (TeacherLabels(lambda ldr: ldr / 0), unrelated(), "finite"),
        (TeacherLabels(lambda ldr: (ldr * 255).byte()), unrelated(), "torch.uint8"),
        (TeacherLabels(lambda ldr: ldr[:, :1]), unrelated(), r"got torch.float32 \(2, 1, 48, 48\)"),
    ],
)
def test_a_support_that_cannot_be_labelled_is_refused(source, ldr, message):
    with pytest.raises(ValueError, match=message):
        source.label(ldr, EVS_TENSOR[: len(ldr)])
