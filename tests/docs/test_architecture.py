"""docs/architecture.md is true of the code."""

import re
import sys
from pathlib import Path

import torch

import ldr2hdr
from ldr2hdr.build import build_training
from ldr2hdr.train import fit

PACKAGE = Path(ldr2hdr.__file__).parent
PAGE = PACKAGE.parent / "docs" / "architecture.md"


def own_frames():
    """Names of the package's functions that are running, the outermost first."""
    frame, names = sys._getframe(1), []
    while frame is not None:
        path = Path(frame.f_code.co_filename)
        if path.is_relative_to(PACKAGE):
            module = ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
            names.append(f"{module}.{frame.f_code.co_name}")
        frame = frame.f_back
    return names[::-1]


def test_the_frames_between_main_and_the_first_gradient(compose_train, tiny, tmp_path, monkeypatch):
    differentiate, seen = torch.autograd.grad, []

    def grad(*args, **kwargs):
        seen.append(own_frames())
        return differentiate(*args, **kwargs)

    training = build_training(compose_train(tmp_path, *tiny, "trainer.max_steps=1", "~callbacks.progress"))
    monkeypatch.setattr(torch.autograd, "grad", grad)
    fit(training)
    (chain,) = re.findall(r"`train\.fit` → [^\n]*\n[^\n]*", PAGE.read_text())
    assert re.findall(r"`([\w.]+)`", chain) == seen[0]
