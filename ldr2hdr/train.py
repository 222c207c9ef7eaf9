"""Meta-train: ``python -m ldr2hdr.train algo=maml backbone=unet``.

``resume=RUN`` goes on with the run of a folder, ``replay=RUN`` does it again and compares. In a Slurm job that may be
pre-empted, one command does for the first start and for every other::

    #SBATCH --requeue --open-mode=append --signal=TERM@120
    srun python -m ldr2hdr.train hardware=multi_node ... hydra.run.dir=RUN ckpt=last
    [ $? -ne 143 ] || scontrol requeue $SLURM_JOB_ID

Two minutes before its time is up, or when it is pre-empted, the job's processes end their step, write ``last.ckpt``
and exit with 143. Lightning's own requeueing, by SIGUSR1, is not used: it saves in the midst of a step.

Torch and Lightning, which take seconds to import, come in when a run begins: ``--help`` does without.
"""

import logging
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from ldr2hdr.configuration.choices import note_choices
from ldr2hdr.configuration.env_file import load_env_file
from ldr2hdr.configuration.folders import CONF_DIR, quote_paths, search_registered_folders, stay_where_started
from ldr2hdr.training.earlier import require_present_keys
from ldr2hdr.training.occupied import require_free_folder

if TYPE_CHECKING:
    import lightning as L
    from torch import Tensor

    from ldr2hdr.build import Training

_log = logging.getLogger(__name__)

# A resumed run writes to the folder that it is in, and leaves what Hydra wrote there at first
OmegaConf.register_new_resolver("given", lambda value, default: default if value is None else value, replace=True)
OmegaConf.register_new_resolver("unless_given", lambda value, other: other if value is None else None, replace=True)
search_registered_folders()


@hydra.main(version_base="1.3", config_path=CONF_DIR, config_name="train")
def main(cfg: DictConfig) -> float | None:
    """Train theta as the configuration says; checkpoints and logs go to the run's folder.

    Returns:
        ``cfg.optimized_metric`` at the last validation, for sweepers; None if there was no validation.
    """
    from ldr2hdr.build import build_training, one_screen_errors
    from ldr2hdr.training.replay import choose_config

    with one_screen_errors():
        stay_where_started(cfg)
        if cfg.resume is None:
            require_free_folder(Path(cfg.paths.output_dir), ckpt=cfg.ckpt, overwrite=cfg.overwrite)
        note_choices(cfg)
        apply_extras = instantiate(cfg.extras)
        cfg = choose_config(cfg, HydraConfig.get().overrides.task)
        apply_extras(cfg)
        run = build_training(cfg)
        if HydraConfig.get().mode is RunMode.MULTIRUN:
            require_own_processes(run.trainer)
        if cfg.replay is None:
            fit(run)
        else:
            _replay(run, Path(cfg.replay), Path(cfg.paths.output_dir))
        return read_objective(OmegaConf.select(cfg, "optimized_metric"), run.trainer.callback_metrics)


def require_own_processes(trainer: "L.Trainer") -> None:
    """Refuse a job of a sweep whose other processes Lightning would start, by repeating the command with its sweep.

    Raises:
        ValueError: If it would.
    """
    from lightning.pytorch.strategies.launchers.subprocess_script import _SubprocessScriptLauncher

    if trainer.world_size > 1 and isinstance(trainer.strategy.launcher, _SubprocessScriptLauncher):
        raise ValueError(
            f"a job of a sweep cannot start {trainer.world_size} processes itself, got "
            f"trainer.devices={trainer.num_devices} and trainer.num_nodes={trainer.num_nodes}; use trainer.devices=1, "
            "or hydra/launcher=slurm with hydra.launcher.tasks_per_node"
        )


def read_objective(name: str | None, metrics: Mapping[str, "Tensor"]) -> float | None:
    """Return the metric that a sweeper compares runs by; None without a name or a validation.

    Raises:
        ValueError: If there was a validation, without this metric.
    """
    validated = sorted(key for key in metrics if key.startswith("val"))
    if name is None or not validated:
        return None
    if name not in metrics:
        raise ValueError(f"optimized_metric={name} is none of what was logged: {', '.join(validated)}")
    return float(metrics[name])


def fit(run: "Training") -> None:
    """Train, and stop in good order when a signal asks for it.

    Raises:
        Stopped: After a signal; the run can be resumed.
        OSError: If the last checkpoint could not be written.
    """
    from ldr2hdr.training.checkpointing import LastCheckpoint, WholeFiles
    from ldr2hdr.training.loggers.metrics_table import MetricsTable

    if run.ckpt is None:
        for logger in run.trainer.loggers:
            if isinstance(logger, MetricsTable):
                logger.clear()
    with ExitStack() as stack:
        for callback in run.trainer.checkpoint_callbacks:
            if isinstance(callback, LastCheckpoint):
                if run.ckpt is None:
                    callback.clear()
                stack.enter_context(callback.listening())
        run.trainer.fit(run.module, run.datamodule, ckpt_path=run.ckpt, weights_only=True)
    files = run.trainer.strategy.checkpoint_io
    if isinstance(files, WholeFiles) and files.unwritten:
        reasons = "; ".join(f"{path}: {reason}" for path, reason in files.unwritten.items())
        raise OSError(f"trained to the end, but what is in these files is older: {reasons}")


def _replay(run: "Training", earlier: Path, folder: Path) -> None:
    from ldr2hdr.training.replay import compare_runs, warn_of_differences

    if run.trainer.is_global_zero:
        warn_of_differences(earlier, run.trainer, run.datamodule)
    fit(run)
    if run.trainer.is_global_zero:
        _log.info(compare_runs(earlier, folder))


if __name__ == "__main__":
    sys.argv[1:] = quote_paths(sys.argv[1:])
    try:
        require_present_keys(sys.argv[1:])
    except ValueError as error:
        sys.exit(str(error))
    load_env_file()
    main()
