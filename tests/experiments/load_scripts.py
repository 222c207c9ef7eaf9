"""Import the scripts of an experiment, whose modules import each other by their bare names."""

import importlib
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

import pytest


def load_scripts(folder: Path, names: Sequence[str]) -> dict[str, ModuleType]:
    """The modules of a folder by name; another experiment may have modules of the same names."""
    others = {name: sys.modules.pop(name) for name in names if name in sys.modules}
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        modules = {name: importlib.import_module(name) for name in names}
    for name in names:
        del sys.modules[name]
    sys.modules.update(others)
    return modules
