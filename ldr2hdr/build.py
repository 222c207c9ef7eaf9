"""Composition root: from configuration to objects. The only place that instantiates, and that seeds globally.

Lightning, which takes two seconds to import, comes in where a training is built: converting photographs does without.
"""

import functools
import inspect
import logging
import os
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch
from hydra.core.hydra_config import HydraConfig
from hydra.errors import InstantiationException
from hydra.types import RunMode
from hydra.utils import get_object, instantiate
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from torch.utils.data import Dataset

from ldr2hdr.configuration import choices as choices  # conf/logger needs its resolver
from ldr2hdr.configuration.folders import CONF_DIR, registered_folders
from ldr2hdr.configuration.values import require_fitting_values
from ldr2hdr.data.cameras.ranges import Ranges
from ldr2hdr.data.scenes.places import Split
from ldr2hdr.data.scenes.sources import AbstractSceneSource
from ldr2hdr.data.tasks.labels import TeacherLabels
from ldr2hdr.data.tasks.mixing import MixedTasks
from ldr2hdr.meta.base import AbstractMetaLearner
from ldr2hdr.metrics.suite import MetricSuite
from ldr2hdr.reconstructor import Reconstructor
from ldr2hdr.tasks import Task
from ldr2hdr.training.checkpoints import find_checkpoint, read_checkpoint, require_known_classes

if TYPE_CHECKING:
    import lightning as L

    from ldr2hdr.data.loading.datamodule import TaskDataModule
    from ldr2hdr.training.module import MetaModule

# What decides the names and shapes of theta: a checkpoint of one cannot be read by another.
_MODEL_KEYS = ("backbone", "response")

# What ``cfg.dataset`` holds besides the sets themselves
_NO_SETS = ("root", "weights")
_SEED_STEP = 1_000_003  # more than the seeds that anybody counts through


class RunError(Exception):
    """Reason that stopped a run, in one screen."""


@contextmanager
def one_screen_errors() -> Iterator[None]:
    """Leave out the frames of the libraries, and in a single run of Hydra all, between a user and what can be mended.

    Raises:
        RunError: With the reason alone; in a sweep, whose other jobs go on.
        SystemExit: With the same, in a single run; the environment variable HYDRA_FULL_ERROR=1 shows all frames.
    """
    try:
        yield
    except _mendable_errors() as error:
        if os.environ.get("HYDRA_FULL_ERROR") == "1":
            raise
        if HydraConfig.initialized() and HydraConfig.get().mode is RunMode.RUN:
            sys.exit(str(error))
        raise RunError(str(error)) from None


def _mendable_errors() -> tuple[type[Exception], ...]:
    from lightning.fabric.utilities.exceptions import MisconfigurationException

    of_libraries = (InstantiationException, OmegaConfBaseException, MisconfigurationException)
    return ValueError, OSError, FloatingPointError, ModuleNotFoundError, *of_libraries


@dataclass(frozen=True)
class Training:
    """Arguments of ``trainer.fit``; ``ckpt`` is the file to resume from."""

    datamodule: "TaskDataModule"
    module: "MetaModule"
    trainer: "L.Trainer"
    ckpt: Path | None


def build_training(cfg: DictConfig) -> Training:
    """Build a training run, seeded by ``cfg.seed``.

    Raises:
        ValueError: If ``cfg.ckpt`` or ``cfg.init_ckpt`` holds another network than the configuration describes, a key
            is no parameter of what it configures, a value of another type, or the hardware asked for is not there.
    """
    import lightning as L

    require_fitting_values(cfg)
    set_threads(cfg)
    set_precision(cfg)
    _quieten_lightning()
    L.seed_everything(cfg.seed, workers=True, verbose=False)
    ckpt = find_checkpoint(cfg.ckpt, Path(cfg.paths.output_dir))
    if ckpt is not None:
        _require_same_model(cfg, read_checkpoint(ckpt).config, ckpt)
    learner = build_learner(cfg)
    if cfg.init_ckpt is not None and ckpt is None:
        _start_from(learner, cfg)
    module = _partial(cfg.module)(
        learner=learner,
        optimizer=_partial(cfg.optimizer),
        scheduler=_partial(cfg.scheduler),
        run_config=OmegaConf.to_yaml(cfg, resolve=True),
        composed_config=OmegaConf.to_yaml(cfg),
    )
    datamodule = _partial(cfg.data)(functools.partial(build_tasks, cfg, build_source(cfg), seed=cfg.seed))
    return Training(datamodule, module, _build_trainer(cfg), ckpt)


def _quieten_lightning() -> None:
    """Keep advice and a warning about its own use of torch off the screen; real warnings stay."""
    logging.getLogger("lightning.pytorch.utilities.rank_zero").setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", message=r".*isinstance\(treespec, LeafSpec\)", category=FutureWarning)
    warnings.filterwarnings("ignore", message=r".*does not have many workers")
    # ours are: what they give next follows from the number of steps; and a resumed run has checkpoints
    warnings.filterwarnings("ignore", message=r".*your dataloader is not resumable")
    warnings.filterwarnings("ignore", message=r".*Checkpoint directory .* exists and is not empty")


def _build_trainer(cfg: DictConfig) -> "L.Trainer":
    from lightning.fabric.utilities.exceptions import MisconfigurationException

    make_trainer = _partial(cfg.trainer)
    loggers = [instantiate(logger) for logger in cfg.logger.values()]
    callbacks = [instantiate(callback) for callback in cfg.callbacks.values()]
    try:
        return cast("L.Trainer", make_trainer(logger=loggers, callbacks=callbacks))
    except MisconfigurationException as error:
        asked = f"trainer.accelerator={cfg.trainer.accelerator} and trainer.devices={cfg.trainer.devices}"
        raise ValueError(f"no trainer with {asked}: {error}; hardware=cpu runs everywhere") from error


def build_learner(cfg: DictConfig) -> AbstractMetaLearner:
    """Build the meta-learner with a fresh network."""
    model = Reconstructor(instantiate(cfg.response), instantiate(cfg.backbone))
    return cast(AbstractMetaLearner, _partial(cfg.algo)(model, instantiate(cfg.loss)))


def build_source(cfg: DictConfig) -> dict[str, AbstractSceneSource]:
    """Open the data sets by name, once for all splits: opening reads every file to know its content."""
    return {str(name): instantiate(node) for name, node in cfg.dataset.items() if name not in _NO_SETS}


def build_tasks(
    cfg: DictConfig,
    source: Mapping[str, AbstractSceneSource],
    *,
    split: Split,
    ranges: Ranges,
    seed: int,
    camera: str | None = None,
) -> Dataset[Task]:
    """Build the tasks of one split; those of several data sets take turns.

    Args:
        cfg: Has ``camera``, ``task``, ``labels`` and ``dataset.weights``.
        source: What ``build_source`` made of ``cfg.dataset``.
        split: Which places are shown.
        ranges: Which cameras see them.
        seed: Seed of the tasks.
        camera: The one camera family to use; all of ``cfg.camera`` if None.
    """
    families = {name: instantiate(node) for name, node in cfg.camera.items() if camera in (None, name)}
    make_tasks, label_source = _partial(cfg.task), instantiate(cfg.labels)
    tasks: dict[str, Dataset[Task]] = {}
    for position, (name, scenes) in enumerate(source.items()):
        # each set has its own cameras: of one seed, two would draw the same ones
        own_seed = seed + _SEED_STEP * position
        tasks[name] = make_tasks(scenes, families, split=split, ranges=ranges, seed=own_seed, label_source=label_source)
    weights = cfg.dataset.weights
    if len(tasks) == 1 and weights is None:
        return next(iter(tasks.values()))
    return MixedTasks(tasks, None if weights is None else {name: float(weights[name]) for name in weights})


def build_suite(cfg: DictConfig) -> MetricSuite:
    """Build the metrics of an evaluation."""
    return cast(MetricSuite, instantiate(cfg.metrics))


def build_teacher(ckpt: str, *, trust: Sequence[str] = ()) -> TeacherLabels:
    """Build the labels by a checkpoint's network, without support; arguments and errors as for ``load_learner``."""
    learner, _ = load_learner(ckpt, trust=trust)
    return TeacherLabels(learner.model)


def load_learner(path: str | Path, *, trust: Sequence[str] = ()) -> tuple[AbstractMetaLearner, DictConfig]:
    """Rebuild the meta-learner of a checkpoint.

    Args:
        path: A checkpoint that ``ldr2hdr.train`` wrote.
        trust: Packages whose classes it may be made of, besides those that ``conf/`` and registered packages name.

    Returns:
        The learner with theta, in evaluation mode, and the configuration it was trained with.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is no checkpoint of ldr2hdr, asks for code that is not trusted, or holds another
            network than it describes.
    """
    checkpoint = read_checkpoint(path)
    require_known_classes(checkpoint, [Path(CONF_DIR), *registered_folders().values()], trust=trust)
    cfg = checkpoint.config
    try:
        learner = build_learner(cfg)
        learner.load_state_dict(checkpoint.learner_state)
    except (RuntimeError, AttributeError, TypeError, InstantiationException) as error:
        reason = str(error).strip().partition("\n")[0]
        raise ValueError(f"ckpt={path} does not hold the network that it describes: {reason}") from error
    return learner.eval(), cfg


def choose_device(name: str | None) -> torch.device:
    """Return the device of this name, such as ``cpu`` or ``cuda:1``; None is the GPU if there is one, else the CPU.

    Raises:
        ValueError: If there is no such device.
    """
    if name is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        return torch.zeros(1, device=name).device
    except (RuntimeError, AssertionError) as error:
        reason = str(error).partition("\n")[0]
        raise ValueError(f"device={name} is not there: {reason}; device=cpu runs everywhere") from error


def set_threads(cfg: DictConfig) -> None:
    """Apply ``cfg.num_threads``."""
    if cfg.num_threads is not None:
        torch.set_num_threads(cfg.num_threads)


def set_precision(cfg: DictConfig) -> None:
    """Apply ``cfg.tf32``, of which runs of before know nothing; torch itself would have it on for convolutions."""
    is_tf32 = bool(OmegaConf.select(cfg, "tf32", default=False))
    torch.set_float32_matmul_precision("high" if is_tf32 else "highest")
    torch.backends.cudnn.allow_tf32 = is_tf32


def _partial(node: DictConfig) -> Callable[..., Any]:
    """Instantiate all but the arguments still to come; handed to Hydra, a dataclass among them would become conf.

    Raises:
        ValueError: If a key is no parameter; the call itself may come minutes later, inside the trainer.
    """
    maker: functools.partial[Any] = instantiate(node, _partial_=True)
    try:
        inspect.signature(maker.func).bind_partial(*maker.args, **maker.keywords)
    except TypeError as error:
        raise ValueError(f"the configuration of {node._target_} does not fit its parameters: {error}") from error
    return maker


def _start_from(learner: AbstractMetaLearner, cfg: DictConfig) -> None:
    """Take theta from ``cfg.init_ckpt``; what its algorithm learned besides stays there."""
    checkpoint = read_checkpoint(cfg.init_ckpt)
    _require_same_model(cfg, checkpoint.config, cfg.init_ckpt)
    prefix = "model."
    theta = {k.removeprefix(prefix): v for k, v in checkpoint.learner_state.items() if k.startswith(prefix)}
    learner.model.load_state_dict(theta)


def _require_same_model(cfg: DictConfig, trained: DictConfig, path: Path | str) -> None:
    for key in _MODEL_KEYS:
        if cfg[key] != _with_later_keys(trained[key]):
            raise ValueError(
                f"ckpt={path} was trained with {key}={OmegaConf.to_container(trained[key])}, "
                f"the configuration asks for {key}={OmegaConf.to_container(cfg[key])}"
            )


def _with_later_keys(node: DictConfig) -> DictConfig:
    """Return a node with the defaults of parameters that its class has and it lacks: they came after it was written."""
    parameters = inspect.signature(get_object(node._target_)).parameters.values()
    later = {it.name: it.default for it in parameters if it.name not in node and it.default is not it.empty}
    return cast(DictConfig, OmegaConf.merge(later, node))
