"""Learners that put something around the network: what they adapted to is converted on tiles, as the network's own."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

import ldr2hdr
from ldr2hdr import cli
from ldr2hdr.data.cameras.camera import Camera
from ldr2hdr.io import read_ldr, read_radiance
from profiles.photographs import save_checkpoint, write_photo


@pytest.mark.parametrize("algo", ["alpaca", "cavia", "r2d2"])
def test_the_command_converts_with_every_learner(
    tmp_path: Path, bracket: Path, scenes: dict[str, Tensor], camera: Camera, algo: str
) -> None:
    ckpt = save_checkpoint(tmp_path / "net.ckpt", f"algo={algo}", "response=local")
    photo, profile = write_photo(tmp_path / "photo.jpg", scenes["venice_sunset"], camera), tmp_path / "a.ldr2hdr"
    model = ldr2hdr.load(ckpt)
    phi = model.adapt(bracket, is_checked=False)
    phi.save(profile)
    with torch.no_grad():
        whole = phi.network(read_ldr(photo)[None])[0]
        single = model.learner.single_shot()(read_ldr(photo)[None]).as_subclass(Tensor)[0]
    for options, expected in (([], single), (["--camera", str(profile)], whole)):
        out = tmp_path / f"{len(options)}.exr"
        assert cli.main(["convert", str(photo), "-o", str(out), "--ckpt", str(ckpt), *options]) == 0
        torch.testing.assert_close(read_radiance(out), expected, rtol=2e-3, atol=1e-5)


def test_a_profile_keeps_what_its_support_decided(tmp_path: Path, bracket: Path) -> None:
    """How much of what is learned is believed is found again from the support that a profile holds."""
    model = ldr2hdr.load(save_checkpoint(tmp_path / "net.ckpt", "algo=alpaca", "response=none"))
    phi = model.adapt(bracket, is_checked=False)
    phi.save(tmp_path / "a.ldr2hdr")
    query = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        found, again = phi.network(query), model.camera(tmp_path / "a.ldr2hdr").network(query)
    shares = phi.network.backbone.shares
    assert shares.min() > 0
    assert shares.sum() == pytest.approx(1)
    torch.testing.assert_close(again, found, rtol=1e-4, atol=1e-5)
