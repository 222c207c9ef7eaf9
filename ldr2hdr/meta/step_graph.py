"""Outer steps as CUDA graphs: recorded once, then launched whole instead of one operation at a time."""

import logging
from collections.abc import Callable, Hashable

import torch
from torch import Tensor

from ldr2hdr.meta.outer_step import OuterStep
from ldr2hdr.tasks import Shots, TaskBatch

# What cuDNN, cuBLAS and the allocator settle at first use must not be recorded
_WARM_UP_STEPS = 3

_log = logging.getLogger(__name__)


class GraphedSteps:
    """Take outer steps by CUDA graphs where that is possible, and say once why where it is not.

    A graph repeats the same operations on the same addresses. So a step must never wait for the device nor read memory
    of the CPU, parameters must be changed in place, and batches must keep their shapes; anything else that the
    operations depend on belongs to ``settings``.
    """

    def __init__(self) -> None:
        self._graphs: dict[Hashable, _StepGraph] = {}
        self._last: Hashable = None
        self._refused: str | None = None

    def __call__(
        self, step: Callable[[TaskBatch], OuterStep], batch: TaskBatch, *, settings: Hashable = None
    ) -> OuterStep:
        """Take a step; what it returns is overwritten by the next one."""
        device = batch.support.ldr.device
        if device.type != "cuda":
            return self._refuse(step, batch, f"the batch is on {device.type}, and graphs are CUDA's")
        key = (settings, batch.support.ldr.shape, batch.query.ldr.shape, torch.is_autocast_enabled("cuda"))
        graph, is_steady, self._last = self._graphs.get(key), key == self._last, key
        if graph is None:
            if self._refused or not is_steady:  # settings that change from step to step are not worth a graph
                return step(batch)
            try:
                graph = self._graphs[key] = _StepGraph(step, batch)
            except RuntimeError as error:
                return self._refuse(step, batch, f"a step could not be recorded: {error}")
        return graph(batch)

    def _refuse(self, step: Callable[[TaskBatch], OuterStep], batch: TaskBatch, reason: str) -> OuterStep:
        if self._refused is None:
            _log.warning("algo.inner.cuda_graph has no effect: %s", reason)
        self._refused = reason
        return step(batch)

    def __reduce__(self) -> tuple[type["GraphedSteps"], tuple[()]]:
        return GraphedSteps, ()


class _StepGraph:
    def __init__(self, step: Callable[[TaskBatch], OuterStep], batch: TaskBatch) -> None:
        support, query = (Shots(shots.ldr.clone(), shots.exposure.clone()) for shots in (batch.support, batch.query))
        self._batch = TaskBatch(support, query, batch.query_places, batch.cameras)
        stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(_WARM_UP_STEPS):
                step(self._batch)
        torch.cuda.current_stream().wait_stream(stream)
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph):
            self._result = step(self._batch)

    def __call__(self, batch: TaskBatch) -> OuterStep:
        for mine, new in zip(_tensors(self._batch), _tensors(batch), strict=True):
            mine.copy_(new)
        self._graph.replay()
        return self._result


def _tensors(batch: TaskBatch) -> list[Tensor]:
    return [tensor for shots in (batch.support, batch.query) for tensor in (shots.ldr, shots.exposure)]
