"""Systems of an evaluation: baselines, checkpoints at every stage, and their opponents."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

import torch
from hydra.utils import get_class, instantiate
from omegaconf import DictConfig, OmegaConf

from ldr2hdr.baselines.inverse_gamma import InverseGamma
from ldr2hdr.baselines.response_fit import ResponseFit
from ldr2hdr.build import build_learner, choose_device, load_learner
from ldr2hdr.configuration.folders import CONF_DIR
from ldr2hdr.evaluation.scoring import (
    AbstractBaseline,
    BaselineSystem,
    LearnedSystem,
    System,
)
from ldr2hdr.evaluation.stages import ADAPTED, FINE_TUNED, SINGLE_SHOT, Stage
from ldr2hdr.meta.base import AbstractMetaLearner

_LDR_INPUT, _INVERSE_GAMMA, _RESPONSE_FIT = "LDR input", "inverse gamma 2.2", "response fit"
# By their names in conf/systems; in every table, for nobody can judge a figure without them
_ALWAYS: Final = {"ldr_input": _LDR_INPUT, "inverse_gamma": _INVERSE_GAMMA, "response_fit": _RESPONSE_FIT}

_NOT_SPLITTING: Final = ("cache_dir", "train_root", "fov_deg", "pitch_deg", "max_scale")


@dataclass(frozen=True)
class Systems:
    """Systems to judge, and the pairs to compare.

    Attributes:
        judged: All of them.
        learner: The meta-learner of the checkpoint; None if only systems without one are judged.
        main_steps: Of the steps to report, those nearest to the number trained with.
        pairs: The meta-learner after these steps, with each of its opponents.
        fine_tuned: More opponents, of which only the strongest in each table counts.
    """

    judged: list[System]
    learner: AbstractMetaLearner | None = None
    main_steps: int = 0
    pairs: Sequence[tuple[Stage, Stage]] = ()
    fine_tuned: Sequence[tuple[Stage, Stage]] = ()


def build_systems(cfg: DictConfig) -> Systems:
    """Gather what ``ckpt``, ``supervised_ckpt``, ``others`` and ``systems`` name.

    Raises:
        ValueError: If a system needs a bracket of the scene that is judged and the task shows other scenes, or a
            checkpoint does not fit.
    """
    baselines = _baselines(cfg)
    others = _others(cfg)
    if cfg.ckpt is None:
        return Systems([*baselines, *others])
    device = choose_device(cfg.device)
    learner, trained = _load(cfg, cfg.ckpt, device)
    name = _algorithm(trained)
    torch.manual_seed(cfg.seed)
    # a fresh network passes its response stage through: the closed form before any training
    untrained = LearnedSystem("untrained", build_learner(trained).eval().to(device), (0,), with_single_shot=False)
    main_steps = _nearest_steps(cfg, learner)
    main = Stage(name, ADAPTED, main_steps)
    opponents = [Stage(name, SINGLE_SHOT), Stage(_RESPONSE_FIT), untrained.stage_after(0)]
    if 0 in cfg.steps and main_steps > 0:
        opponents.append(Stage(name, ADAPTED, 0))
    opponents += [Stage(baseline.name) for baseline in baselines if baseline.name not in _ALWAYS.values()]
    opponents += [other.stage_after(_nearest_steps(cfg, other.learner)) for other in others]
    supervised = _supervised(cfg, device)
    tuned = [system.stage_after(steps) for system in supervised if system.verb == FINE_TUNED for steps in system.steps]
    return Systems(
        [*baselines, untrained, LearnedSystem(name, learner, cfg.steps), *others, *supervised],
        learner,
        main_steps,
        [(main, opponent) for opponent in opponents],
        [(main, opponent) for opponent in tuned],
    )


def _baselines(cfg: DictConfig) -> list[BaselineSystem]:
    """Return those in every table, then those asked for."""
    always: dict[str, AbstractBaseline] = {
        _LDR_INPUT: InverseGamma(1.0),
        _INVERSE_GAMMA: InverseGamma(2.2),
        _RESPONSE_FIT: ResponseFit(),
    }
    asked = {name: instantiate(node) for name, node in (cfg.systems or {}).items() if name not in _ALWAYS}
    kind: Any = get_class(cfg.task._target_)
    for name, baseline in asked.items():
        if getattr(baseline, "needs_one_scene", False) and not kind.is_one_scene:
            raise ValueError(
                f"systems={name} merges a bracket of the scene that it is judged on, and task=camera shows others; "
                "use task=scene or task=bracket, or leave it out"
            )
    return [BaselineSystem(name, baseline) for name, baseline in (always | asked).items()]


def _others(cfg: DictConfig) -> list[LearnedSystem]:
    device = choose_device(cfg.device)
    return [
        LearnedSystem(str(name), _load(cfg, path, device)[0], cfg.steps) for name, path in (cfg.others or {}).items()
    ]


def _supervised(cfg: DictConfig, device: torch.device) -> list[LearnedSystem]:
    """Return the supervised network as it is, and fine-tuned at each rate."""
    if cfg.supervised_ckpt is None:
        return []
    learner, trained = _load(cfg, cfg.supervised_ckpt, device)
    if _algorithm(trained) != "supervised":
        raise ValueError(
            f"supervised_ckpt={cfg.supervised_ckpt} must be trained with algo=supervised, got {_algorithm(trained)}"
        )
    steps = [number for number in cfg.steps if number > 0]
    tuned = [
        LearnedSystem("supervised", learner, steps, lr=rate, with_single_shot=False, verb=FINE_TUNED)
        for rate in cfg.fine_tune_lrs
    ]
    return [LearnedSystem("supervised", learner, ()), *tuned]


def _load(cfg: DictConfig, path: str, device: torch.device) -> tuple[AbstractMetaLearner, DictConfig]:
    learner, trained = load_learner(path, trust=cfg.trust)
    _require_unseen_places(cfg, trained)
    return learner.to(device), trained


def _nearest_steps(cfg: DictConfig, learner: AbstractMetaLearner) -> int:
    return int(min(cfg.steps, key=lambda steps: (abs(steps - learner.inner.steps), steps)))


def _algorithm(trained: DictConfig) -> str:
    """Return the option of ``conf/algo`` that a run was made with.

    Of the options of its class it is the one of whose own settings the run has most, as FOMAML is MAML with one
    setting; the option that they begin with has none.
    """
    node = cast(dict[str, Any], OmegaConf.to_container(trained.algo))
    options = {name: own for name, (target, own) in _algorithms().items() if target == node["_target_"]}
    fitting = {name: len(own) for name, own in options.items() if len(options) == 1 or _holds(node, own)}
    if not fitting:
        return str(node["_target_"]).rsplit(".", 1)[-1].removesuffix("Learner").lower()
    return max(fitting, key=lambda name: fitting[name])


def _algorithms() -> dict[str, tuple[str, dict[str, Any]]]:
    """Return the class of each option of ``conf/algo``, and its settings where it begins with another option."""
    files = sorted(Path(CONF_DIR, "algo").glob("*.yaml"))
    nodes = {file.stem: cast(dict[str, Any], OmegaConf.to_container(OmegaConf.load(file))) for file in files}
    found = {}
    for name, node in nodes.items():
        base = next((nodes[entry] for entry in node["defaults"] if isinstance(entry, str)), None)
        own = {} if base is None else {key: value for key, value in node.items() if key not in ("defaults", "_target_")}
        found[name] = ({**(base or {}), **node}["_target_"], own)
    return found


def _holds(node: object, settings: Mapping[str, Any]) -> bool:
    """Whether a configuration has these settings, at any depth."""
    return isinstance(node, Mapping) and all(
        _holds(node.get(key), value) if isinstance(value, Mapping) else key in node and node[key] == value
        for key, value in settings.items()
    )


def _require_unseen_places(cfg: DictConfig, trained: DictConfig) -> None:
    """Refuse the data set of training with another split: its training places would be tested.

    Raises:
        ValueError: If so.
    """
    for name in set(_sets(cfg)) & set(_sets(trained)):
        tested, learned = _sets(cfg)[name], _sets(trained)[name]
        if tested.get("root") is not None and tested.get("root") == learned.get("train_root"):
            raise ValueError(f"the checkpoint was trained on all of {tested['root']}; give another dataset.root")
        here, there = _splitting(tested), _splitting(learned)
        if here != there and here.get("root") == there.get("root"):
            raise ValueError(
                f"the checkpoint was trained on dataset.{name}={there}, and {here} splits the same places otherwise; "
                "give the same settings, or another dataset.root"
            )


def _splitting(node: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that decide the split: neither what is shown of a place, nor what is trained on besides."""
    return {key: value for key, value in node.items() if key not in _NOT_SPLITTING}


def _sets(cfg: DictConfig) -> dict[str, dict[str, Any]]:
    """Return the settings of each data set."""
    sets = cast(dict[str, Any], OmegaConf.to_container(cfg.dataset, resolve=True))
    return {name: node for name, node in sets.items() if isinstance(node, dict) and "_target_" in node}
