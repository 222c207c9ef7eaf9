"""Photographs as files with EXIF, by cameras that no training has met; checkpoints of untrained networks."""

import functools
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from omegaconf import OmegaConf
from PIL import ExifTags, Image
from torch import Tensor

from ldr2hdr import build
from ldr2hdr.data.cameras.camera import Camera, CameraFamily
from ldr2hdr.data.cameras.development import Jpeg
from ldr2hdr.radiometry import expose

SIDE_PX = 128
TIME_S = Fraction(1, 64)


def save_checkpoint(path: Path, *overrides: str) -> Path:
    words = ["experiment=smoke", "backbone.widths=[4,8]", "paths.output_dir=unused", "num_threads=1", *overrides]
    with initialize_config_dir(build.CONF_DIR, version_base="1.3"):
        cfg = compose("train", overrides=words)
    torch.manual_seed(0)
    state = {f"learner.{name}": value for name, value in build.build_learner(cfg).state_dict().items()}
    torch.save({"config": OmegaConf.to_yaml(cfg, resolve=True), "state_dict": state}, path)
    return path


def draw_camera(seed: int, *, ranges: str = "unseen", family: str = "pointwise", has_gains: bool = False) -> Camera:
    """A camera, by default of one curve per channel and without the colour gains that no merge can know of."""
    return _make_family(family, has_gains).sample(torch.Generator().manual_seed(seed), ranges=ranges)


@functools.cache
def _make_family(family: str, has_gains: bool) -> CameraFamily:
    overrides = [f"camera={family}", f"camera.{family}.stages.gains.enabled={str(has_gains).lower()}"]
    with initialize_config_dir(build.CONF_DIR, version_base="1.3"):
        cfg = compose("train", overrides=["paths.output_dir=unused", *overrides])
    return instantiate(cfg.camera[family])


def as_jpeg(ldr: Tensor) -> Tensor:
    """Pictures as they come back from files of the quality of `write_photo`."""
    return Jpeg(95)(ldr, torch.Generator())


def write_photo(
    path: Path,
    exposure: Tensor,
    camera: Camera,
    *,
    time_s: Fraction | None = TIME_S,
    model: str = "Nova 7",
    f_number: float | None = 8.0,
    seed: int = 0,
) -> Path:
    """Shoot and save as a camera does: JPEG, with EXIF."""
    ldr = camera.shoot(exposure[None], torch.Generator().manual_seed(seed))[0]
    exif = Image.Exif()
    exif[ExifTags.Base.Make], exif[ExifTags.Base.Model] = "Acme", model
    settings = exif.get_ifd(ExifTags.IFD.Exif)
    settings[ExifTags.Base.ISOSpeedRatings] = 100
    if time_s is not None:
        settings[ExifTags.Base.ExposureTime] = float(time_s)
    if f_number is not None:
        settings[ExifTags.Base.FNumber] = f_number
    codes = ldr.mul(255).round().to(torch.uint8).movedim(0, -1).numpy()
    Image.fromarray(codes).save(path, quality=95, exif=exif)
    return path


def write_bracket(
    folder: Path, exposure: Tensor, camera: Camera, *, evs: Sequence[float] = (-2, 0, 2), has_exif: bool = True
) -> Path:
    """A folder of ``0.jpg``, ``1.jpg``, ..."""
    folder.mkdir()
    for number, ev in enumerate(evs):
        write_photo(
            folder / f"{number}.jpg",
            expose(exposure[None], torch.tensor([float(ev)]))[0],
            camera,
            time_s=TIME_S * Fraction(2**ev) if has_exif else None,
            seed=number,
        )
    return folder
