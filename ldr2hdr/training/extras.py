"""Extras of a run: its configuration printed, its tags enforced."""

from dataclasses import dataclass

from omegaconf import DictConfig, OmegaConf
from rich.console import Console
from rich.syntax import Syntax
from rich.tree import Tree


@dataclass(frozen=True)
class Extras:
    """Choices of ``conf/extras``.

    Args:
        print_config: Print the resolved configuration as a tree.
        enforce_tags: Refuse a run without tags.
    """

    print_config: bool = False
    enforce_tags: bool = True

    def __call__(self, config: DictConfig) -> None:
        """Apply them.

        Raises:
            ValueError: If tags are wanted and there are none.
        """
        if self.enforce_tags and "tags" in config and not config.tags:  # runs of before have none
            raise ValueError(
                f"tags={list(config.tags or ())}: expected a tag or more; extras.enforce_tags=false allows none"
            )
        if self.print_config:
            Console().print(_as_tree(config))


def _as_tree(config: DictConfig) -> Tree:
    tree = Tree("config")
    for key in config:
        value = config[key]
        branch = tree.add(str(key))
        text = OmegaConf.to_yaml(value, resolve=True) if OmegaConf.is_config(value) else str(value)
        branch.add(Syntax(text.rstrip(), "yaml"))
    return tree
