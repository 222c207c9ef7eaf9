"""The one place where learn2learn is loaded.

Its root package imports torchvision and gym, and its ``algorithms`` package imports Lightning modules of its own;
its wrappers, transforms and clones need none of them. Bare module objects with the right paths stand in for both
packages.
"""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType


def _register_bare_package(name: str, path: Path) -> None:
    if name not in sys.modules:
        package = ModuleType(name)
        package.__path__ = [str(path)]
        sys.modules[name] = package


_root = importlib.util.find_spec("learn2learn")
if _root is None or _root.origin is None:
    raise ModuleNotFoundError("learn2learn is not installed; `make install` builds it with the flag it needs")
_register_bare_package("learn2learn", Path(_root.origin).parent)
_register_bare_package("learn2learn.algorithms", Path(_root.origin).parent / "algorithms")

from learn2learn.algorithms.gbml import GBML  # noqa: E402 - the bare packages must be there first
from learn2learn.algorithms.maml import MAML  # noqa: E402
from learn2learn.algorithms.meta_sgd import MetaSGD  # noqa: E402
from learn2learn.optim.transforms.metacurvature_transform import MetaCurvatureTransform  # noqa: E402
from learn2learn.utils import clone_module, update_module  # noqa: E402

# GBML looks for it in the root package
sys.modules["learn2learn"].clone_module = clone_module  # type: ignore[attr-defined]

__all__ = ["GBML", "MAML", "MetaCurvatureTransform", "MetaSGD", "clone_module", "update_module"]
