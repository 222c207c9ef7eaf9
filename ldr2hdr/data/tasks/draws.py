"""The randomness of a task, which is that of its name."""

import hashlib
import logging
from collections.abc import Callable
from typing import Final

import torch

from ldr2hdr.data.tasks.labels import RefusedSupport
from ldr2hdr.tasks import Task

_log = logging.getLogger(__name__)
_NUM_ATTEMPTS: Final = 8


def draw_until_labelled(draw: Callable[[int, int], Task], index: int) -> Task:
    """Make a task by ``draw(index, attempt)``, with the next attempt while the label source refuses the support.

    Raises:
        RefusedSupport: If it refuses every one of several draws.
    """
    for attempt in range(_NUM_ATTEMPTS - 1):
        try:
            return draw(index, attempt)
        except RefusedSupport as error:
            _log.info("task %d, draw %d: %s", index, attempt, error)
    return draw(index, _NUM_ATTEMPTS - 1)


def task_generator(seed: int, split: str, ranges: str, index: int, attempt: int = 0) -> torch.Generator:
    """Seed a generator from everything that names a draw of a task, so that neighbours are unrelated.

    Example:
        >>> first, again = (task_generator(0, "train", "seen", 7).initial_seed() for _ in range(2))
        >>> first == again
        True
    """
    name = f"{seed}/{split}/{ranges}/{index}" + (f"/{attempt}" if attempt else "")
    digest = hashlib.sha256(name.encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "little", signed=True))
