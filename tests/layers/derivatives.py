"""Value, first and second derivatives of a layer, to compare it with torch's own."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

TOLERANCE = {torch.float64: 1e-10, torch.float32: 2e-4}


def all_derivatives(function: Callable[..., Tensor], inputs: Sequence[Tensor], *, seed: int = 0) -> list[Tensor]:
    """The output, its pull-back of a random cotangent, and the pull-back of a random cotangent of that.

    The second ones are with respect to the inputs and to the first cotangent.
    """
    generator = torch.Generator().manual_seed(seed)

    def random_like(tensor: Tensor) -> Tensor:
        return torch.randn(tensor.shape, generator=generator, dtype=torch.float64).to(tensor)

    leaves = [tensor.detach().clone(memory_format=torch.preserve_format).requires_grad_() for tensor in inputs]
    output = function(*leaves)
    cotangent = random_like(output).requires_grad_()
    first = torch.autograd.grad(output, leaves, cotangent, create_graph=True)
    inputs = [*leaves, cotangent]
    second = torch.autograd.grad(first, inputs, [random_like(part) for part in first], allow_unused=True)
    filled = [torch.zeros_like(leaf) if part is None else part for leaf, part in zip(inputs, second, strict=True)]
    return [output, *first, *filled]


def assert_same_derivatives(
    found: Callable[..., Tensor], expected: Callable[..., Tensor], inputs: Sequence[Tensor]
) -> None:
    """Relative to the largest entry of each tensor, which is what a sum over many pixels can promise."""
    tolerance = TOLERANCE[inputs[0].dtype]
    for ours, theirs in zip(all_derivatives(found, inputs), all_derivatives(expected, inputs), strict=True):
        assert ours.dtype == theirs.dtype
        scale = theirs.abs().max().item() if theirs.numel() else 1.0
        torch.testing.assert_close(ours, theirs, rtol=0, atol=tolerance * max(scale, 1e-3))
