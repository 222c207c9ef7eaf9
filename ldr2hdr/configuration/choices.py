"""Names of the options that a run was composed of: what people call it by."""

from pathlib import Path
from typing import Final

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

_OF_HYDRA: Final = "hydra/"


def note_choices(config: DictConfig) -> None:
    """Write into a configuration which option each group has, and of which sweep it is.

    As plain values: a run that is resumed keeps them, whatever the command was that resumes it.
    """
    hydra = HydraConfig.get()
    chosen = {group: option for group, option in hydra.runtime.choices.items() if not group.startswith(_OF_HYDRA)}
    OmegaConf.update(config, "choices", chosen, force_add=True)
    if hydra.mode is RunMode.MULTIRUN:
        config.sweep = Path(str(hydra.sweep.dir)).name


def name_choices(*groups: str, _root_: DictConfig) -> str | None:
    """Name the options of some groups, as in ``algo=maml backbone=unet``; None if they were not noted.

    Example:
        >>> name_choices("algo", "loss", _root_=OmegaConf.create({"choices": {"algo": "maml", "loss": "log_l1"}}))
        'algo=maml loss=log_l1'
    """
    chosen = _root_.choices
    return " ".join(f"{group}={chosen[group]}" for group in groups if group in chosen) or None


OmegaConf.register_new_resolver("choice_names", name_choices, replace=True)
