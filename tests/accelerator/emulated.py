"""An accelerator emulated on the CPU: what would fail on a GPU fails here, and what a GPU would wait for is counted.

``tensor.to("emulated")`` is a tensor whose device says so, around one on the CPU that does the computing. Torch runs
its whole machinery above (autograd, vmap, autocast) as for any device, and hands the operations that are left to
`_run`. As on a GPU, an operation refuses to mix a tensor of the device with one of the CPU, numbers of no dimension
excepted. Importing this module makes the device known to torch, for good.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves, tree_map
from torch.utils.backend_registration import _setup_privateuseone_for_python_backend

NAME: Final = "emulated"
_CPU: Final = torch.device("cpu")
# operations that tell the CPU what is in a tensor, for which it has to wait
_READING: Final = frozenset({"_local_scalar_dense", "equal", "is_nonzero", "nonzero", "masked_select", "_unique2"})
# operations that launch nothing beside the views, which the schema tells
_FREE: Final = frozenset({"_unsafe_view", "empty", "empty_like", "empty_strided", "new_empty", "new_empty_strided"})


@dataclass
class Counts:
    """What happened on the device.

    Attributes:
        operations: Launches by the name of the operation; neither views nor copies from or to the CPU.
        reads: Times the CPU waited for a value.
        transfers: Copies from the CPU to the device.
    """

    operations: Counter[str] = field(default_factory=Counter)
    reads: int = 0
    transfers: int = 0

    @property
    def launches(self) -> int:
        return self.operations.total()


_active: list[Counts] = []


@contextmanager
def counting() -> Iterator[Counts]:
    """Count what happens on the device in this block."""
    counts = Counts()
    _active.append(counts)
    try:
        yield counts
    finally:
        _active.remove(counts)


class EmulatedTensor(Tensor):
    """A tensor of the emulated device around ``inner``, one of the CPU."""

    __torch_function__ = torch._C._disabled_torch_function_impl

    @staticmethod
    def __new__(cls, inner: Tensor) -> "EmulatedTensor":
        layout = {"strides": inner.stride(), "storage_offset": inner.storage_offset(), "dtype": inner.dtype}
        made = torch.Tensor._make_wrapper_subclass(cls, inner.size(), device=torch.device(NAME, 0), **layout)
        made.inner = inner
        return made

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _run(func, args, kwargs or {})

    def __repr__(self, *, tensor_contents: object = None) -> str:
        return f"EmulatedTensor({self.inner})"


def _run(func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """Compute on the CPU storage, and wrap what comes out unless it is for the CPU."""
    name = func.overloadpacket.__name__
    given = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
    foreign = [tensor for tensor in given if not isinstance(tensor, EmulatedTensor)]
    is_copy = name in ("_to_copy", "copy_", "_copy_from")
    if any(tensor.ndim > 0 for tensor in foreign) and not is_copy:
        shapes = ", ".join(str(tuple(tensor.shape)) for tensor in foreign)
        raise RuntimeError(f"{func} got tensors of the CPU beside those of the device, of shapes {shapes}")
    to_cpu = kwargs.get("device") == _CPU or (name == "copy_" and not isinstance(args[0], EmulatedTensor))
    _count(func, name, is_arriving=is_copy and bool(foreign) and not to_cpu, is_leaving=to_cpu)
    found = func(*tree_map(_inner, args), **tree_map(_inner, kwargs))
    if to_cpu:
        return found
    if torch.Tag.inplace_view in func.tags:  # the outer tensor's shape has to follow
        with torch._C._DisableTorchDispatch():
            func(*args, **kwargs)
    resized = [tensor for tensor in given if isinstance(tensor, EmulatedTensor) and tensor.shape != tensor.inner.shape]
    wrapped = {id(tensor.inner): tensor for tensor in given if isinstance(tensor, EmulatedTensor)}
    if resized:
        raise NotImplementedError(f"{func} changes a shape in a way that the emulation does not follow")
    # an operation in place returns what it was given
    return tree_map(lambda leaf: wrapped[id(leaf)] if id(leaf) in wrapped else _wrap(leaf), found)


def _count(func: Any, name: str, *, is_arriving: bool, is_leaving: bool) -> None:
    is_view = any(made.alias_info is not None and not made.alias_info.is_write for made in func._schema.returns)
    for counts in _active:
        if is_arriving:
            counts.transfers += 1
        elif is_leaving or name in _READING:
            counts.reads += 1
        elif not is_view and name not in _FREE:
            counts.operations[name] += 1


def _inner(leaf: Any) -> Any:
    if isinstance(leaf, EmulatedTensor):
        return leaf.inner
    return _CPU if isinstance(leaf, torch.device) and leaf.type == NAME else leaf


def _wrap(leaf: Any) -> Any:
    return EmulatedTensor(leaf) if isinstance(leaf, Tensor) else leaf


def _cast(leaf: Any, dtype: torch.dtype) -> Any:
    return leaf.to(dtype) if isinstance(leaf, EmulatedTensor) and leaf.dtype.is_floating_point else leaf


def _run_cast(func: Any, args: Sequence[Any], kwargs: Mapping[str, Any], dtype: torch.dtype) -> Any:
    """Compute in a precision, with autocasting off below."""
    with torch._C._ExcludeDispatchKeyGuard(torch._C.DispatchKeySet(torch._C.DispatchKey.AutocastPrivateUse1)):
        args, kwargs = tree_map(lambda leaf: _cast(leaf, dtype), (tuple(args), dict(kwargs)))
        return func(*args, **kwargs)


class _Module:
    """What ``torch.emulated`` has to offer, for torch's own use."""

    @staticmethod
    def get_amp_supported_dtype() -> list[torch.dtype]:
        return [torch.bfloat16, torch.float16]

    @staticmethod
    def is_available() -> bool:
        return True

    @staticmethod
    def device_count() -> int:
        return 1

    @staticmethod
    def current_device() -> int:
        return 0

    @staticmethod
    def _is_in_bad_fork() -> bool:
        return False

    @staticmethod
    def manual_seed_all(seed: int) -> None:
        """There are no random numbers of its own."""


_setup_privateuseone_for_python_backend(NAME, backend_module=_Module())
_library = torch.library.Library("_", "IMPL")
# functions that make tensors have none among their arguments, by which torch could find the class
_library.fallback(lambda func, *args, **kwargs: _run(func, args, kwargs), dispatch_key="PrivateUse1")
# Torch would make the first of several operations, which a GPU has in one; and the others of an empty tensor that it
# resizes, which the outer tensor would not follow.
_whole = torch.library.Library("aten", "IMPL")
for _overload in (
    torch.ops.aten.silu_backward.default,
    *(torch.ops.aten.eye.default, torch.ops.aten.eye.m, torch.ops.aten.linspace.default),
    *(torch.ops.aten.arange.default, torch.ops.aten.arange.start, torch.ops.aten.arange.start_step),
):
    _whole.impl(_overload, lambda *args, _to=_overload, **kwargs: _run(_to, args, kwargs), "PrivateUse1")

# what CUDA computes in the lower, and in single precision; the rest comes as it is
_autocast = torch.library.Library("_", "IMPL")
_autocast.fallback(torch.library.fallthrough_kernel, dispatch_key="AutocastPrivateUse1")
_aten = torch.ops.aten
for _overload in (
    *(_aten.convolution.default, _aten.conv2d.default, _aten.linear.default, _aten.matmul.default, _aten.mm.default),
    *(_aten.bmm.default, _aten.addmm.default, _aten.baddbmm.default),
):
    _whole.impl(
        _overload,
        lambda *args, _to=_overload, **kwargs: _run_cast(_to, args, kwargs, torch.get_autocast_dtype(NAME)),
        "AutocastPrivateUse1",
    )
for _overload in (
    *(_aten.exp.default, _aten.expm1.default, _aten.log.default, _aten.log1p.default, _aten.log2.default),
    *(_aten.rsqrt.default, _aten.pow.Tensor_Scalar, _aten.sum.default, _aten.sum.dim_IntList),
    *(_aten.native_group_norm.default,),
):
    _whole.impl(
        _overload,
        lambda *args, _to=_overload, **kwargs: _run_cast(_to, args, kwargs, torch.float32),
        "AutocastPrivateUse1",
    )
