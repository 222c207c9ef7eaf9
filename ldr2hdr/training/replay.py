"""Runs of before, by what they wrote about themselves: to go on with one, or to do one again and compare."""

import csv
import logging
from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any, Final, cast

import lightning as L
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf

from ldr2hdr.data.loading.datamodule import TaskDataModule
from ldr2hdr.training.callbacks import describe_run, read_manifest
from ldr2hdr.training.occupied import resume_argument

_MANIFEST: Final = "manifest.json"
_DESCRIBED: Final = ("commit", "versions", "machine", "data")
# What says which run, and where this one is: not part of what is run
_OF_THE_COMMAND: Final = ("resume", "replay", "overwrite", "paths")
_log = logging.getLogger(__name__)


def choose_config(cfg: DictConfig, overrides: Sequence[str]) -> DictConfig:
    """The configuration of the run that ``resume`` or ``replay`` names, else the one given.

    Args:
        cfg: As composed.
        overrides: What was typed; single values of it change those of the earlier run.

    Returns:
        The configuration, with all paths in the folder of the run that is resumed, or of the new one.

    Raises:
        ValueError: If both are given, the folder holds no run, or an override chooses another object.
    """
    if cfg.resume is None and cfg.replay is None:
        return cfg
    if cfg.resume is not None and cfg.replay is not None:
        raise ValueError(f"resume={cfg.resume} goes on with a run and replay={cfg.replay} does one again: give one")
    earlier = Path(cfg.resume or cfg.replay).resolve()
    manifest = read_manifest(earlier / _MANIFEST)
    # as it was composed, not resolved: what depends on a value that is changed now follows it
    chosen = cast(DictConfig, OmegaConf.create(manifest["composed"]))
    chosen.paths.output_dir = cfg.paths.output_dir if cfg.resume is None else str(earlier)
    chosen.paths.cache_dir = cfg.paths.cache_dir
    chosen.resume, chosen.replay = None, cfg.replay
    if cfg.resume is not None:
        chosen.ckpt = "last"
    else:
        chosen.ckpt = None if chosen.ckpt == "last" else chosen.ckpt
        chosen.num_threads = manifest.get("machine", {}).get("threads", chosen.num_threads)
    for override in OverridesParser.create().parse_overrides(list(overrides)):
        if str(override.key_or_group).partition(".")[0] not in _OF_THE_COMMAND:
            _apply(chosen, override)
    return chosen


def warn_of_differences(earlier: Path, trainer: L.Trainer, datamodule: TaskDataModule) -> None:
    """Say in one line each what is not as it was: commit, versions, machine, data, and changes on the way."""
    manifest = read_manifest(earlier / _MANIFEST)
    now = describe_run(trainer, datamodule)
    was = dict(_flatten({key: manifest.get(key) for key in _DESCRIBED}))
    for key, value in _flatten({key: now[key] for key in _DESCRIBED}):
        if was.get(key) != value:
            _log.warning("%s of %s was %s, now it is %s", key, earlier, was.get(key), value)
    for resumed in manifest.get("resumed", ()):
        if _config(resumed) != _config(manifest):
            _log.warning("%s was resumed after step %s with another configuration", earlier, resumed["step"])


def compare_runs(earlier: Path, again: Path) -> str:
    """Compare what came out of two runs, by the hashes in their manifests.

    Returns:
        That they are identical, in one line.

    Raises:
        ValueError: If they are not, saying where they part; or if the earlier one did not end.
    """
    was, now = (read_manifest(folder / _MANIFEST).get("final") for folder in (earlier, again))
    if was is None or now is None:
        unfinished = earlier if was is None else again
        raise ValueError(
            f"{unfinished} has not come to its end, there is nothing to compare; {resume_argument(unfinished)} first"
        )
    if was == now:
        return f"identical: theta {now['theta_sha256'][:16]}, tasks {now['tasks_sha256'][:16]}, {now['step']} steps"
    parts = [f"{key} was {was.get(key)}, is {value}" for key, value in now.items() if was.get(key) != value]
    raise ValueError(f"not identical to {earlier}: {'; '.join(parts)}; {_first_difference(earlier, again)}")


def _first_difference(earlier: Path, again: Path) -> str:
    tables = []
    for folder in (earlier, again):
        path = folder / "csv" / "metrics.csv"
        if not path.is_file():
            return f"{path} is missing, so where they part is unknown"
        with path.open(newline="", encoding="utf-8") as file:
            tables.append(list(csv.DictReader(file)))
    for was, now in zip_longest(*tables, fillvalue={}):
        for key in {**was, **now}:
            if was.get(key) != now.get(key):
                step = was.get("step", now.get("step"))
                return f"the first difference logged is {key} after step {step}: {was.get(key)}, now {now.get(key)}"
    return "all that was logged is the same"


def _apply(chosen: DictConfig, override: Override) -> None:
    """Change, add or delete what one override of the command line says."""
    key = override.key_or_group
    if override.is_delete():
        parent, _, name = key.rpartition(".")
        node = OmegaConf.select(chosen, parent) if parent else chosen
        del node[name]
        return
    is_new = override.is_add() or override.is_force_add()
    if isinstance(OmegaConf.select(chosen, key), DictConfig) or not (is_new or _has(chosen, key)):
        raise ValueError(
            f"resume= and replay= keep the run's configuration, {override.input_line} is no single value of it; "
            "a new run may start from its checkpoint by ckpt= or init_ckpt="
        )
    OmegaConf.update(chosen, key, override.value(), force_add=is_new)


def _has(config: DictConfig, key: str) -> bool:
    parent, _, name = key.rpartition(".")
    node = OmegaConf.select(config, parent) if parent else config
    return isinstance(node, DictConfig) and name in node


def _config(manifest: Mapping[str, Any]) -> object:
    """Return what was run according to a manifest, without what is the same for any command."""
    config = OmegaConf.to_container(OmegaConf.create(manifest["config"]))
    return {key: value for key, value in cast(dict[str, Any], config).items() if key not in (*_OF_THE_COMMAND, "ckpt")}


def _flatten(node: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, object]]:
    for key, value in node.items():
        if isinstance(value, Mapping):
            yield from _flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
