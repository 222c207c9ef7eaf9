"""Support that the systems of an evaluation adapted on, which camera and range do not determine."""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

# What the configuration names, in words; what is not listed here keeps its own name
_TASKS: Final = {
    "CameraTasks": "scenes by one camera",
    "SceneTasks": "exposures of one scene",
    "ProfileTasks": "a bracket, other scenes asked",
    "BracketTasks": "photographed brackets",
}
_TRUE: Final = "true labels"
_LABELS: Final = {"TruthLabels": _TRUE, "MergeLabels": "merged labels", "build_teacher": "a teacher's labels"}


class Support(NamedTuple):
    """The pictures that systems adapted on; "" or None for what is not known.

    Attributes:
        task: What the pictures of a task have in common.
        labels: Where the light in them comes from.
        shots: Their number K.
    """

    task: str = ""
    labels: str = ""
    shots: int | None = None

    @property
    def words(self) -> str:
        """Return the support in words; true labels go without saying.

        Example:
            >>> Support("exposures of one scene", "merged labels", 2).words
            'exposures of one scene, merged labels'
        """
        return ", ".join(part for part in (self.task, self.labels) if part and part != _TRUE)


def read_support(config: object) -> Support:
    """Find it in the configuration of an evaluation.

    Args:
        config: As ``results.json`` holds it, or anything else, which says nothing.

    Example:
        >>> read_support({"task": {"_target_": "ldr2hdr.data.tasks.sampling.SceneTasks", "shots": 2}})
        Support(task='exposures of one scene', labels='', shots=2)
    """
    task, labels = (_child(config, key) for key in ("task", "labels"))
    shots = task.get("shots")
    return Support(_name(task, _TASKS), _name(labels, _LABELS), shots if isinstance(shots, int) else None)


def _child(node: object, key: str) -> Mapping[str, Any]:
    found = node.get(key) if isinstance(node, dict) else None
    return found if isinstance(found, dict) else {}


def _name(node: Mapping[str, Any], words: Mapping[str, str]) -> str:
    target = str(node.get("_target_", "")).rpartition(".")[2]
    return words.get(target, target)
