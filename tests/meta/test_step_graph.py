"""Outer steps as CUDA graphs: the numbers of steps taken one operation at a time."""

import pytest
import torch
from networks import batch, flat
from test_engines import ALGORITHMS, make


@pytest.mark.gpu
@pytest.mark.parametrize("name", ALGORITHMS)
def test_a_graph_has_the_numbers_of_its_operations(name: str) -> None:
    graphed, plain = (make(name, cuda_graph=cuda_graph).to("cuda") for cuda_graph in (True, False))
    for _ in range(4):  # the first is taken as usual, the second is recorded
        results = [learner.outer_step(batch(3).to("cuda")) for learner in (graphed, plain)]
        found, expected = (flat(result.gradient_sum) for result in results)
        torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12)
        for learner, gradient in ((graphed, results[0]), (plain, results[1])):
            with torch.no_grad():
                torch._foreach_add_(learner.trainable(), list(gradient.gradient_sum), alpha=-0.01)
    assert graphed._graphs._refused is None


@pytest.mark.gpu
@pytest.mark.parametrize("name", ALGORITHMS)
def test_a_gpu_has_the_numbers_of_the_cpu(name: str) -> None:
    on_gpu, on_cpu = make(name).to("cuda").outer_step(batch(3).to("cuda")), make(name).outer_step(batch(3))
    difference = flat(on_gpu.gradient_sum).cpu() - flat(on_cpu.gradient_sum)
    assert difference.norm() <= 1e-8 * flat(on_cpu.gradient_sum).norm()
