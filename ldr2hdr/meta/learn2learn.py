"""Import learn2learn's wrappers, transforms and clones, and leave no trace of it in ``sys.modules``.

Its root package imports torchvision and gym, and its ``algorithms`` package imports Lightning modules of its own;
what is wanted here needs none of them. While it is imported, bare module objects with the right paths stand in for
both packages; afterwards, another ``import learn2learn`` finds what it would have found without us.
"""

import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

_NAME = "learn2learn"
_INSTALL = 'pip install --no-deps --config-settings="--build-option=build_ext" learn2learn==0.2.0'


@contextmanager
def _bare_packages() -> Iterator[ModuleType]:
    """Import learn2learn's modules without what its packages import; yield its root.

    Raises:
        ModuleNotFoundError: If it is not installed.
    """
    theirs = {name: sys.modules.pop(name) for name in _loaded()}
    try:
        root = importlib.util.find_spec(_NAME)
        if root is None or root.origin is None:
            raise ModuleNotFoundError(f"learn2learn is not installed: {_INSTALL}", name=_NAME)
        folder = Path(root.origin).parent
        for name, path in ((_NAME, folder), (f"{_NAME}.algorithms", folder / "algorithms")):
            sys.modules[name] = ModuleType(name)
            sys.modules[name].__path__ = [str(path)]
        yield sys.modules[_NAME]
    finally:
        for name in _loaded():
            del sys.modules[name]
        sys.modules.update(theirs)


def _loaded() -> list[str]:
    return [name for name in sys.modules if name.partition(".")[0] == _NAME]


with _bare_packages() as _root:
    from learn2learn.algorithms.gbml import GBML
    from learn2learn.algorithms.maml import MAML
    from learn2learn.algorithms.meta_sgd import MetaSGD
    from learn2learn.optim.transforms.metacurvature_transform import MetaCurvatureTransform
    from learn2learn.utils import clone_module, update_module

    # GBML looks for it in the root package
    _root.clone_module = clone_module  # type: ignore[attr-defined]

# these classes are not those that a name in learn2learn leads to: pickle finds them here
for _class in (GBML, MAML, MetaSGD, MetaCurvatureTransform):
    _class.__module__ = __name__

__all__ = ["GBML", "MAML", "MetaCurvatureTransform", "MetaSGD", "clone_module", "update_module"]
