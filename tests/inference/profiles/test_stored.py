"""Files of an earlier version: its profile and its checkpoint load, and say what they said."""

from pathlib import Path

import torch

import ldr2hdr

# written at commit 614959b: a network of experiment=smoke, and its profile after two inner steps
STORED = Path(__file__).parent / "stored"


def test_an_old_profile_converts_as_it_did() -> None:
    """The figures are those of the version that wrote it."""
    model = ldr2hdr.load(STORED / "ridge.ckpt")
    ramp = torch.linspace(0, 1, 3 * 8 * 12).view(3, 8, 12)
    exposure = model.camera(STORED / "ridge.ldr2hdr")(ramp)
    for found, expected in (
        (exposure[:, 3, 5], (0.03260359, 0.26116648, 0.61622107)),
        (exposure[:, 7, 11], (0.14152284, 0.46818873, 1.29585183)),
        (model(ramp)[:, 3, 5], (0.01387521, 0.19653824, 0.63217008)),
    ):
        torch.testing.assert_close(found, torch.tensor(expected), rtol=1e-6, atol=1e-7)
