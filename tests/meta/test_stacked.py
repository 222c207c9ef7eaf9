"""All tasks at once: the numbers of one after another, for every algorithm."""

import pytest
import torch
from networks import BACKBONES, RESPONSES, batch, flat
from test_engines import ALGORITHMS, CLASSES, UNROLLED, make

from ldr2hdr.meta.outer_step import OuterStep
from ldr2hdr.tasks import Shots, TaskBatch

pytestmark = pytest.mark.slow


def assert_same(found: OuterStep, expected: OuterStep) -> None:
    assert torch.equal(found.is_counted, expected.is_counted)
    torch.testing.assert_close(found.losses_after, expected.losses_after, rtol=1e-9, atol=0, equal_nan=True)
    torch.testing.assert_close(found.losses_before, expected.losses_before, rtol=1e-9, atol=0, equal_nan=True)
    difference = flat(found.gradient_sum) - flat(expected.gradient_sum)
    assert difference.norm() <= 1e-9 * flat(expected.gradient_sum).norm()


@pytest.mark.parametrize("response", RESPONSES)
@pytest.mark.parametrize("backbone", BACKBONES)
@pytest.mark.parametrize("name", ALGORITHMS)
def test_a_stack_has_the_numbers_of_its_tasks(name: str, backbone: str, response: str) -> None:
    stacked, one_by_one = (make(name, backbone, response, engine=engine) for engine in ("stacked", "fast"))
    assert_same(stacked.outer_step(batch(3)), one_by_one.outer_step(batch(3)))


@pytest.mark.parametrize("name", UNROLLED)
def test_steps_taken_twice_have_the_numbers_too(name: str) -> None:
    stacked, one_by_one = (make(name, engine=engine, twice=True) for engine in ("stacked", "fast"))
    assert_same(stacked.outer_step(batch(2)), one_by_one.outer_step(batch(2)))


@pytest.mark.parametrize("name", CLASSES)
def test_stacks_of_a_batch_have_the_numbers_of_the_whole(name: str) -> None:
    assert_same(
        make(name, engine="stacked", task_chunk=2).outer_step(batch(3)),
        make(name, engine="stacked").outer_step(batch(3)),
    )


@pytest.mark.parametrize("name", CLASSES)
def test_a_task_that_is_not_finite_is_left_out_and_spoils_nothing(name: str) -> None:
    tasks = batch(3)
    exposure = tasks.query.exposure.clone()
    exposure[1, 0, 0, 0, 0] = float("nan")
    spoiled = TaskBatch(tasks.support, Shots(tasks.query.ldr, exposure), tasks.query_places, tasks.cameras)
    stacked, one_by_one = (make(name, engine=engine) for engine in ("stacked", "fast"))
    found = stacked.outer_step(spoiled)
    assert found.is_counted.tolist() == [True, False, True]
    assert_same(found, one_by_one.outer_step(spoiled))


def test_a_stack_begins_at_the_parameters_as_they_are() -> None:
    learners = [make("meta_sgd", engine=engine) for engine in ("stacked", "fast")]
    for _ in range(2):
        results = [learner.outer_step(batch(2)) for learner in learners]
        assert_same(*results)
        for learner, result in zip(learners, results, strict=True):
            with torch.no_grad():
                torch._foreach_add_(learner.trainable(), list(result.gradient_sum), alpha=-0.01)
