"""What a model knows of a support, as named tensors: stored without code, and rebuilt only in the model's own shape."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import torch
from torch import Tensor

from ldr2hdr.tasks import Shots, Statistics

# Two supports that differ in all that a statistics's shape may depend on.
_TRIALS: Final = ((2, 16, 24), (3, 32, 16))


def flatten(statistics: Statistics) -> dict[str, Tensor]:
    """Tensors of a statistics by name: of a tensor, None, and NamedTuples and shots of such.

    Raises:
        TypeError: If there is anything else in it.
    """
    return {".".join(path) or "value": tensor for path, tensor in _leaves(statistics, ())}


def rebuild(
    sufficient_statistics: Callable[[Shots], Statistics], tensors: Mapping[str, Tensor], *, device: torch.device
) -> Statistics:
    """The statistics that these tensors are of, in the shape that the model makes contexts of.

    Args:
        sufficient_statistics: Makes contexts of supports; it is tried on two made-up ones.
        tensors: From `flatten`, on the CPU.
        device: Where the model computes, and the statistics will be.

    Raises:
        ValueError: If names, types or sizes are not those of this model's contexts, or a value is not finite.
    """
    templates = [sufficient_statistics(_made_up(*trial, device=device)) for trial in _TRIALS]
    expected, other = (flatten(template) for template in templates)
    if set(tensors) != set(expected):
        raise ValueError(f"expected the tensors {sorted(expected) or 'none'}, got {sorted(tensors) or 'none'}")
    for name, tensor in tensors.items():
        one, two = expected[name], other[name]
        # what is the same for two supports that have nothing in common is the model's, and fixed
        fits = tensor.ndim == one.ndim and all(
            size == first or (first != second and size > 0)
            for size, first, second in zip(tensor.shape, one.shape, two.shape, strict=True)
        )
        if not fits or tensor.dtype != one.dtype or not bool(tensor.isfinite().all()):
            raise ValueError(
                f"expected finite {one.dtype} like {tuple(one.shape)} for {name}, "
                f"got {tensor.dtype} {tuple(tensor.shape)}"
            )
    return _fill(templates[0], {name: tensor.to(device) for name, tensor in tensors.items()}, ())


def _made_up(count: int, height: int, width: int, *, device: torch.device) -> Shots:
    pictures = torch.linspace(0, 1, count * 3 * height * width, device=device).view(count, 3, height, width)
    return Shots(pictures, pictures)


def _leaves(node: object, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Tensor]]:
    if isinstance(node, Tensor):
        yield path, node
        return
    for name, child in _children(node).items():
        yield from _leaves(child, (*path, name))


def _children(node: object) -> dict[str, Any]:
    if node is None:
        return {}
    if isinstance(node, Shots):
        return {"ldr": node.ldr, "exposure": node.exposure}
    if isinstance(node, tuple) and hasattr(node, "_asdict"):
        return dict(node._asdict())
    raise TypeError(f"a camera profile holds tensors and NamedTuples of them, not {type(node).__name__}")


def _fill(node: object, tensors: Mapping[str, Tensor], path: tuple[str, ...]) -> Any:  # noqa: ANN401 (of the type of the node)
    if isinstance(node, Tensor):
        return tensors[".".join(path) or "value"]
    if node is None:
        return None
    children = {name: _fill(child, tensors, (*path, name)) for name, child in _children(node).items()}
    return type(node)(**children)
