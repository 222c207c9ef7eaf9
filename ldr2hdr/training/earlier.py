"""Configurations of earlier versions, brought to present names: old checkpoints load and old runs resume."""

import re
from collections.abc import Mapping
from typing import Final

_MOVED: Final[Mapping[str, str]] = {
    "callbacks": "training.callbacks",
    "data.bracket_tasks": "data.tasks.brackets",
    "data.camera": "data.cameras.camera",
    "data.crf_families": "data.cameras.crf_families",
    "data.datamodule": "data.loading.datamodule",
    "data.development": "data.cameras.development",
    "data.labels": "data.tasks.labels",
    "data.metering": "data.cameras.metering",
    "data.optics_families": "data.cameras.optics_families",
    "data.profile_tasks": "data.tasks.profiles",
    "data.sampling": "data.tasks.sampling",
    "data.scenes": "data.scenes.sources",
    "data.stages": "data.cameras.stages",
    "loggers": "training.loggers",
    "meta.rules": "meta.inner_optimizers",
    "module": "training.module",
    "schedules": "training.schedules",
    "survival": "training.checkpointing",
    "sweeps": "training.sweeps",
}
"""Present name of each module that a configuration of version 0.1 may name, below ``ldr2hdr``."""

_RENAMED: Final[Mapping[str, str]] = {
    "ldr2hdr.data.scenes.sources.FolderSource": "ldr2hdr.data.datasets.hdr_folder.HdrFolder",
}
"""Present name of each class that has another than its module's."""

# the lookahead leaves present names alone: `data.scenes` held classes before it held modules
_NAMED: Final = re.compile(rf"\bldr2hdr\.({'|'.join(map(re.escape, _MOVED))})(?=\.(?!sources\.))")


def with_present_names(config: str) -> str:
    """Return a configuration whose classes are named as they are today.

    Args:
        config: YAML text, resolved or as composed.

    Example:
        >>> with_present_names("_target_: ldr2hdr.module.MetaModule")
        '_target_: ldr2hdr.training.module.MetaModule'
        >>> with_present_names("_target_: ldr2hdr.training.module.MetaModule")
        '_target_: ldr2hdr.training.module.MetaModule'
        >>> with_present_names("_target_: ldr2hdr.data.scenes.FolderSource")
        '_target_: ldr2hdr.data.datasets.hdr_folder.HdrFolder'
    """
    moved = _NAMED.sub(lambda match: f"ldr2hdr.{_MOVED[match[1]]}", config)
    for earlier, present in _RENAMED.items():
        moved = moved.replace(earlier, present)
    return moved
