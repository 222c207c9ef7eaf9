"""Mixed precision: the network in bfloat16, closed forms and updates in float32, on every thread."""

import pytest
import torch
from networks import LOSS, batch, flat, reconstructor

from ldr2hdr.meta.inner_loop import InnerLoop
from ldr2hdr.meta.maml import MAMLLearner
from ldr2hdr.reconstructor import Reconstructor
from ldr2hdr.response.local import LocalRidgeResponse
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
