"""learn2learn is loaded where it is asked for, and whoever imports it afterwards finds it untouched."""

import pickle
import subprocess
import sys

import pytest
import torch

from ldr2hdr.meta.learn2learn import MetaCurvatureTransform

pytestmark = pytest.mark.slow

OURS = "import ldr2hdr.meta.learn2learn"
THEIRS = """
import sys
try:
    from learn2learn.algorithms import MAML
    print(MAML.__module__)
except ImportError as error:
    print(repr(error))
print(*sorted(name for name in sys.modules if name.startswith("learn2learn")))
"""
# as if it were not installed
HIDDEN = """
from importlib.machinery import PathFinder
find = PathFinder.find_spec
PathFinder.find_spec = lambda name, *rest: None if name.partition(".")[0] == "learn2learn" else find(name, *rest)
"""


def printed_by(*lines: str) -> str:
    done = subprocess.run([sys.executable, "-c", "\n".join(lines)], capture_output=True, text=True, check=True)
    return done.stdout


def test_no_trace_is_left() -> None:
    assert printed_by(OURS, "import sys; print([n for n in sys.modules if n.startswith('learn2learn')])") == "[]\n"


def test_a_later_import_finds_what_it_would_have_found_without_us() -> None:
    assert printed_by(OURS, THEIRS) == printed_by(THEIRS)


def test_a_users_earlier_import_stays() -> None:
    """Its root wants packages that are not here: an empty module stands for it."""
    before = "import sys, types; sys.modules['learn2learn'] = root = types.ModuleType('learn2learn')"
    check = "print(sys.modules['learn2learn'] is root, 'learn2learn.algorithms' in sys.modules)"
    assert printed_by(before, OURS, check) == "True False\n"


def test_nothing_but_its_engine_and_meta_curvature_needs_it() -> None:
    train = """
import torch
from ldr2hdr.losses import LogL1
from ldr2hdr.meta.inner_loop import InnerLoop
from ldr2hdr.meta.maml import MAMLLearner
from ldr2hdr.meta.meta_curvature import MetaCurvatureLearner
import ldr2hdr.build, ldr2hdr.meta.r2d2, ldr2hdr.meta.cavia, ldr2hdr.meta.meta_sgd, ldr2hdr.meta.maml_plus_plus
MAMLLearner(torch.nn.Linear(1, 1), LogL1())
for make, inner in ((MAMLLearner, InnerLoop(engine="learn2learn")), (MetaCurvatureLearner, InnerLoop())):
    try:
        make(torch.nn.Linear(1, 1), LogL1(), inner=inner)
    except ModuleNotFoundError as error:
        print(error)
"""
    install = 'pip install --no-deps --config-settings="--build-option=build_ext" learn2learn==0.2.0'
    assert printed_by(HIDDEN, train).splitlines() == [f"learn2learn is not installed: {install}"] * 2


def test_what_is_made_of_it_can_be_pickled() -> None:
    transform = MetaCurvatureTransform(torch.ones(2, 2))
    copy = pickle.loads(pickle.dumps(transform))
    assert all(map(torch.equal, copy.parameters(), transform.parameters()))
