"""Every learner, backbone and response stage on a device that is not the CPU, emulated: the CPU's numbers."""

import pytest
import torch
from accelerator.emulated import NAME, EmulatedTensor, counting
from networks import LOSS, batch, flat, shots
from test_engines import ALGORITHMS, make

from ldr2hdr.backbones.base import AbstractBackbone
from ldr2hdr.backbones.expandnet import ExpandNet
from ldr2hdr.backbones.hdrcnn import HDRCNN
from ldr2hdr.backbones.hdrunet import HDRUNet
from ldr2hdr.backbones.metahdr import MetaHDRUNet
from ldr2hdr.backbones.resnet import ResNet
from ldr2hdr.backbones.unet import UNet
from ldr2hdr.losses import PU21L1, ClippedTarget, ExpandNetLoss, HDRCNNLoss, LogL1, MuLawL1, TanhL1
from ldr2hdr.meta.base import AbstractMetaLearner
from ldr2hdr.meta.inner_loop import InnerLoop, Loss
from ldr2hdr.meta.maml import MAMLLearner
from ldr2hdr.metrics.hdr import evaluate_pictures
from ldr2hdr.reconstructor import Reconstructor
from ldr2hdr.response.local import LocalRidgeResponse
from ldr2hdr.response.prior import PriorResponse
from ldr2hdr.response.ridge import InverseGammaResponse, RidgeResponse
from ldr2hdr.tasks import Shots, TaskBatch

pytestmark = pytest.mark.slow

BACKBONES = {
    "unet": lambda: UNet((4, 6)),
    "unet_group": lambda: UNet((4, 6), norm="group"),
    "resnet": lambda: ResNet(4, 1),
    "metahdr": lambda: MetaHDRUNet(1),
    "metahdr_batch": lambda: MetaHDRUNet(1, norm="batch"),
    "expandnet": lambda: ExpandNet(2),
    "hdrcnn": lambda: HDRCNN(1 / 32),
    "hdrunet": lambda: HDRUNet(4),
}
RESPONSES = {
    "none": InverseGammaResponse,
    "ridge": lambda: RidgeResponse(num_knots=5),
    "local": LocalRidgeResponse,
    "prior": PriorResponse,
}

LOSSES = (LogL1(), MuLawL1(), PU21L1(), TanhL1(), ExpandNetLoss(), HDRCNNLoss(), ClippedTarget(LogL1()))


def assert_same_on_device(cpu: AbstractMetaLearner, device: AbstractMetaLearner) -> None:
    device.to(NAME)
    tasks, query = batch(3), shots(2)
    expected, found = cpu.outer_step(tasks), device.outer_step(tasks.to(NAME))
    assert all(isinstance(part, EmulatedTensor) for part in found.gradient_sum)
    gradient, wanted = flat(found.gradient_sum).cpu(), flat(expected.gradient_sum)
    assert (gradient - wanted).norm() <= 1e-9 * wanted.norm()
    torch.testing.assert_close(found.loss_after.cpu(), expected.loss_after, rtol=1e-9, atol=0)
    torch.testing.assert_close(found.loss_before.cpu(), expected.loss_before, rtol=1e-9, atol=0)
    predictions = [
        learner.adapt(support, steps=2)(ldr)
        for learner, support, ldr in ((cpu, shots(1), query.ldr), (device, shots(1).to(NAME), query.ldr.to(NAME)))
    ]
    torch.testing.assert_close(predictions[1].cpu(), predictions[0], rtol=1e-8, atol=1e-10)
    scores = [
        evaluate_pictures(predictions[0].detach(), query),
        evaluate_pictures(predictions[1].detach(), query.to(NAME)),
    ]
    for key, score in scores[0].items():
        torch.testing.assert_close(scores[1][key].cpu(), score, rtol=1e-7, atol=1e-7, equal_nan=True)


# what ALPaCA gives is a tensor of a class of its own, and so is what the emulated device gives
@pytest.mark.parametrize("name", sorted(ALGORITHMS.keys() - {"alpaca"}))
def test_every_algorithm_has_the_numbers_of_the_cpu(name: str) -> None:
    assert_same_on_device(make(name), make(name))


def test_an_average_with_a_closed_form_has_the_numbers_of_the_cpu() -> None:
    cpu, device = make("alpaca").eval(), make("alpaca").eval().to(NAME)
    laws = [
        learner.model.predict(ldr, learner.statistics(support))
        for learner, support, ldr in ((cpu, shots(1), shots(2).ldr), (device, shots(1).to(NAME), shots(2).ldr.to(NAME)))
    ]
    for expected, found in zip(*laws, strict=True):
        torch.testing.assert_close(found.cpu(), expected, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("response", RESPONSES)
@pytest.mark.parametrize("backbone", BACKBONES)
def test_every_backbone_and_response_has_the_numbers_of_the_cpu(backbone: str, response: str) -> None:
    learners = []
    for _ in range(2):
        torch.manual_seed(0)
        net: AbstractBackbone = BACKBONES[backbone]()
        with torch.no_grad():
            for parameter in net.parameters():
                parameter.add_(0.1 * torch.randn_like(parameter))
        model = Reconstructor(RESPONSES[response](), net).double()
        learners.append(MAMLLearner(model, LOSS, inner=InnerLoop(lr=0.01, steps=1)))
    assert_same_on_device(*learners)


def test_the_device_refuses_tensors_of_the_cpu_and_counts_what_a_gpu_waits_for() -> None:
    with counting() as counts:
        weight = torch.ones(3).to(NAME)
        assert (weight.device.type, (weight * torch.tensor(2.0)).device.type) == (NAME, NAME)
        with pytest.raises(RuntimeError, match=r"tensors of the CPU beside those of the device, of shapes \(3,\)"):
            weight + torch.ones(3)
        assert weight.view(3, 1).sum().item() == 3
        assert weight.cpu().tolist() == [1, 1, 1]
    assert (counts.transfers, counts.reads) == (1, 2)
    assert counts.operations == {"mul": 1, "sum": 1}


@pytest.mark.parametrize("name", ALGORITHMS)
def test_a_step_waits_for_nothing_and_repeats_itself(name: str) -> None:
    """What a CUDA graph asks for: no reads, nothing from the CPU, the same operations whatever the data."""
    learner = make(name).to(NAME)
    learner.outer_step(batch(2).to(NAME))  # constants may be brought to the device once
    sequences = []
    for tasks in (batch(2), spoiled(batch(2))):
        on_device = tasks.to(NAME)
        with counting() as counts:
            learner.outer_step(on_device)
        assert (counts.reads, counts.transfers) == (0, 0)
        sequences.append(counts.operations)
    assert sequences[0] == sequences[1]


@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: type(loss).__name__)
@pytest.mark.parametrize("response", RESPONSES)
def test_no_loss_and_no_response_waits_either(response: str, loss: Loss) -> None:
    learner = MAMLLearner(Reconstructor(RESPONSES[response](), UNet((4, 6))).double(), loss, inner=InnerLoop(steps=1))
    learner.to(NAME).outer_step(batch(2).to(NAME))
    tasks = batch(2).to(NAME)
    with counting() as counts:
        learner.outer_step(tasks)
    assert (counts.reads, counts.transfers) == (0, 0)


@pytest.mark.parametrize("response", RESPONSES)
def test_no_sum_of_a_step_has_an_order_of_its_own(response: str) -> None:
    """A GPU adds what is scattered, and what a padding repeats, in the order in which it comes."""
    learner = MAMLLearner(Reconstructor(RESPONSES[response](), UNet((4, 6))).double(), LOSS, inner=InnerLoop(steps=2))
    learner.to(NAME)
    with counting() as counts:
        learner.outer_step(batch(2).to(NAME))
    loose = ("scatter", "index_add", "index_put", "replication_pad2d_backward", "bilinear2d_backward")
    assert not [name for name in counts.operations if any(word in name for word in loose)]


@pytest.mark.parametrize("name", ["maml", "fomaml", "reptile"])
def test_a_step_launches_a_twentieth_of_learn2learns_operations_however_many_tasks(name: str) -> None:
    """T = 8, K = 2, 3 inner steps, the default U-Net behind the ridge response."""

    def launches(engine: str, num_tasks: int) -> int:
        torch.manual_seed(0)
        model = Reconstructor(RidgeResponse(), UNet()).double()
        learner = ALGORITHMS[name](model, LOSS, inner=InnerLoop(steps=3, engine=engine)).to(NAME)
        tasks = batch(num_tasks).to(NAME)
        learner.outer_step(tasks)
        with counting() as counts:
            learner.outer_step(tasks)
        return counts.launches

    at_8 = launches("auto", 8)
    assert at_8 <= launches("learn2learn", 8) / 20
    assert launches("auto", 32) <= 1.1 * launches("auto", 2)


def spoiled(tasks: TaskBatch) -> TaskBatch:
    exposure = tasks.query.exposure.clone()
    exposure[0, 0, 0, 0, 0] = float("inf")
    return TaskBatch(tasks.support, Shots(tasks.query.ldr, exposure), tasks.query_places, tasks.cameras)


def test_a_graph_that_cannot_be_recorded_says_why_once(caplog: pytest.LogCaptureFixture) -> None:
    graphed, plain = (make("maml", cuda_graph=cuda_graph).to(NAME) for cuda_graph in (True, False))
    for _ in range(2):
        found = flat(graphed.outer_step(batch(2).to(NAME)).gradient_sum).cpu()
        assert torch.equal(found, flat(plain.outer_step(batch(2).to(NAME)).gradient_sum).cpu())
    assert caplog.text.count("algo.inner.cuda_graph has no effect: the batch is on emulated") == 1


@pytest.mark.parametrize("name", ["maml", "reptile", "r2d2", "imaml"])
def test_mixed_precision_keeps_updates_and_closed_forms_in_single(name: str) -> None:
    learner = make(name).float().to(NAME)
    tasks = batch(2)
    support, query = (Shots(part.ldr.float(), part.exposure.float()) for part in (tasks.support, tasks.query))
    tasks = TaskBatch(support, query, tasks.query_places, tasks.cameras).to(NAME)
    full = learner.outer_step(tasks)
    with torch.autocast(NAME, dtype=torch.bfloat16):
        mixed = learner.outer_step(tasks)
    assert all(part.dtype == torch.float32 for part in mixed.gradient_sum)
    gradients = [flat(result.gradient_sum).cpu() for result in (full, mixed)]
    assert not torch.equal(*gradients)
    assert torch.nn.functional.cosine_similarity(*gradients, dim=0) > 0.95
