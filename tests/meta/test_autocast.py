"""Mixed precision: the network in bfloat16, closed forms and updates in float32, on every thread."""

from collections.abc import Callable

import pytest
import torch
from networks import LOSS, batch, flat, reconstructor
from test_engines import ALGORITHMS, make

from ldr2hdr.backbones.base import AbstractBackbone
from ldr2hdr.backbones.metahdr import MetaHDRUNet
from ldr2hdr.backbones.resnet import ResNet
from ldr2hdr.backbones.unet import UNet
from ldr2hdr.losses import LogL1
from ldr2hdr.meta.base import AbstractMetaLearner
from ldr2hdr.meta.inner_loop import InnerLoop
from ldr2hdr.meta.maml import MAMLLearner
from ldr2hdr.reconstructor import Reconstructor
from ldr2hdr.response.local import LocalRidgeResponse
from ldr2hdr.response.ridge import RidgeResponse
from ldr2hdr.tasks import Shots, TaskBatch


def float_batch(num_tasks: int) -> TaskBatch:
    tasks = batch(num_tasks)
    support, query = (Shots(shots.ldr.float(), shots.exposure.float()) for shots in (tasks.support, tasks.query))
    return TaskBatch(support, query, tasks.query_places, tasks.cameras)


def meta_gradient(model: Reconstructor, engine: str, *, is_mixed: bool) -> torch.Tensor:
    learner = MAMLLearner(model, LOSS, inner=InnerLoop(steps=2, engine=engine))
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=is_mixed):
        gradient = flat(learner.outer_step(float_batch(2)).gradient_sum)
    assert gradient.dtype == torch.float32
    return gradient


@pytest.mark.parametrize("engine", ["learn2learn", "fast"])
@pytest.mark.parametrize("response", ["none", "ridge", "local"])
def test_bfloat16_gives_nearly_the_same_meta_gradient(engine, response):
    model = reconstructor("unet", "none" if response == "local" else response).float()
    if response == "local":
        model = Reconstructor(LocalRidgeResponse(), model.backbone)
    full, mixed = (meta_gradient(model, engine, is_mixed=is_mixed) for is_mixed in (False, True))
    assert not torch.equal(full, mixed)
    assert torch.nn.functional.cosine_similarity(full, mixed, dim=0) > 0.98


def test_threads_take_the_precision_over():
    model = reconstructor("resnet", "ridge").float()
    num_threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        alone = meta_gradient(model, "fast", is_mixed=True)
        torch.set_num_threads(2)
        assert torch.equal(meta_gradient(model, "fast", is_mixed=True), alone)
    finally:
        torch.set_num_threads(num_threads)


def cosine_after(learner: AbstractMetaLearner, *, outer_steps: int) -> float:
    """Of the meta-gradients in bfloat16 and in single precision, of a network that has learned for some steps."""
    optimizer = torch.optim.Adam(learner.trainable(), lr=2e-3)
    for _ in range(outer_steps):
        for parameter, part in zip(learner.trainable(), learner.outer_step(float_batch(2)).gradient_sum, strict=True):
            parameter.grad = part
        optimizer.step()
    gradients = []
    for is_mixed in (False, True):
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=is_mixed):
            gradients.append(flat(learner.outer_step(float_batch(2)).gradient_sum))
    return torch.nn.functional.cosine_similarity(*gradients, dim=0).item()


@pytest.mark.parametrize("engine", ["fast", "stacked"])
@pytest.mark.parametrize("name", [name for name in ALGORITHMS if name != "from_scratch" and "adam" not in name])
def test_every_algorithm_keeps_its_direction_in_bfloat16(name: str, engine: str) -> None:
    assert cosine_after(make(name, engine=engine).float(), outer_steps=0) > 0.95


@pytest.mark.parametrize("backbone", [lambda: UNet((16, 32)), lambda: ResNet(16, 2), lambda: MetaHDRUNet(4)])
def test_a_network_that_has_learned_keeps_it_too(backbone: Callable[[], AbstractBackbone]) -> None:
    """Its last layer, whose result is exponentiated, had errors of a percent."""
    torch.manual_seed(0)
    model = Reconstructor(RidgeResponse(), backbone())
    learner = MAMLLearner(model, LogL1(), inner=InnerLoop(steps=2), first_order=True)
    assert cosine_after(learner, outer_steps=15) > 0.95


@pytest.mark.parametrize(("name", "num_warnings"), [("adam", 1), ("reptile_adam", 1), ("momentum", 0)])
def test_an_inner_adam_in_16_bits_is_warned_of_once(
    name: str, num_warnings: int, caplog: pytest.LogCaptureFixture
) -> None:
    learner = make(name).float()
    learner.outer_step(float_batch(2))
    assert not caplog.records
    with torch.autocast("cpu", dtype=torch.bfloat16):
        for _ in range(2):
            learner.outer_step(float_batch(2))
    assert caplog.text.count("inner_optimizer=adam in 16 bits") == num_warnings
