"""Configurations of earlier versions, brought to present names: old checkpoints load and old runs resume."""

import re
from collections.abc import Iterable, Mapping
from typing import Final

from omegaconf import DictConfig, OmegaConf

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

_INNER: Final[Mapping[str, str]] = {
    "inner_lr": "lr",
    "inner_steps": "steps",
    "inner_clip": "clip",
    "adapts": "adapts",
    "engine": "engine",
    "inner_optimizer": "optimizer",
}
"""Present name, in ``algo.inner``, of each key of ``algo`` in version 0.1."""

_LIFTED: Final = re.compile(rf"(?<=\balgo\.)({'|'.join(_INNER)})\b")


def upgrade_config(config: str) -> str:
    r"""Return a configuration with the class names and keys of today.

    Args:
        config: YAML text, resolved or as composed.

    Example:
        >>> upgrade_config("_target_: ldr2hdr.module.MetaModule")
        '_target_: ldr2hdr.training.module.MetaModule'
        >>> upgrade_config("_target_: ldr2hdr.training.module.MetaModule")
        '_target_: ldr2hdr.training.module.MetaModule'
        >>> print(upgrade_config("algo: {inner_lr: 0.1, inner_steps: 3}\nmonitor: psnr@${algo.inner_steps}"))
        algo:
          inner:
            _target_: ldr2hdr.meta.inner_loop.InnerLoop
            lr: 0.1
            steps: 3
        monitor: psnr@${algo.inner.steps}
        <BLANKLINE>
    """
    named = _NAMED.sub(lambda match: f"ldr2hdr.{_MOVED[match[1]]}", config)
    for earlier, present in _RENAMED.items():
        named = named.replace(earlier, present)
    if "inner_lr" not in named:  # every algorithm of version 0.1 had it
        return named
    tree = OmegaConf.create(_LIFTED.sub(_present_key, named))
    _lift_inner_loop(tree.algo)
    return OmegaConf.to_yaml(tree)


def require_present_keys(overrides: Iterable[str]) -> None:
    """Refuse overrides of a key that has moved since version 0.1, and new keys without a value.

    Raises:
        ValueError: If there is one, with what to type.
    """
    for override in overrides:
        if override.startswith("+") and "=" not in override:
            raise ValueError(f"{override} needs a value: {override}=VALUE")
        key = override.partition("=")[0].lstrip("+~")
        if _LIFTED.match(key, len("algo.")):
            raise ValueError(f"{key} is now {_LIFTED.sub(_present_key, key)}")


def _present_key(match: re.Match[str]) -> str:
    return f"inner.{_INNER[match[1]]}"


def _lift_inner_loop(algo: DictConfig) -> None:
    inner: dict[str, object] = {"_target_": "ldr2hdr.meta.inner_loop.InnerLoop"}
    inner |= {name: algo.pop(key) for key, name in _INNER.items() if key in algo}
    if "num_context" in algo:  # of CAVIA, which named nothing that adapts
        inner["adapts"] = ["context"]
    algo.inner = inner
