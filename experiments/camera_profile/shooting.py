"""Photographs as a phone writes them: JPEG files with EXIF, by cameras from ranges that no training has met."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from PIL import ExifTags, Image

from ldr2hdr.build import CONF_DIR
from ldr2hdr.data.cameras.camera import Camera as DrawnCamera
from ldr2hdr.radiometry import expose

__all__ = ["DrawnCamera", "draw_camera", "write_bracket", "write_photo"]

EVS = (-2, 0, 2)
TIME_S = Fraction(1, 64)
QUALITY = 95


def draw_camera(seed: int, *, family: str) -> DrawnCamera:
    """A camera of gains, noise and a curve; ``phone`` adds vignetting, colour mixing and local tone mapping."""
    with initialize_config_dir(CONF_DIR, version_base="1.3"):
        cfg = compose("train", overrides=["paths.output_dir=unused", f"camera={family}"])
    return instantiate(cfg.camera[family]).sample(torch.Generator().manual_seed(seed), ranges="unseen")


def write_photo(
    path: Path, camera: DrawnCamera, exposure: torch.Tensor, *, time_s: Fraction = TIME_S, seed: int = 0
) -> Path:
    """Shoot and save."""
    ldr = camera.shoot(exposure[None], torch.Generator().manual_seed(seed))[0]
    exif = Image.Exif()
    exif[ExifTags.Base.Make], exif[ExifTags.Base.Model] = "Virtual", camera.name
    settings = exif.get_ifd(ExifTags.IFD.Exif)
    settings[ExifTags.Base.ISOSpeedRatings] = 100
    settings[ExifTags.Base.FNumber] = 1.8
    settings[ExifTags.Base.ExposureTime] = float(time_s)
    codes = ldr.mul(255).round().to(torch.uint8).movedim(0, -1).numpy()
    Image.fromarray(codes).save(path, quality=QUALITY, exif=exif)
    return path


def write_bracket(folder: Path, camera: DrawnCamera, exposure: torch.Tensor, *, evs: Sequence[int] = EVS) -> Path:
    """Three exposures, two stops apart."""
    folder.mkdir()
    for number, ev in enumerate(evs):
        shot = expose(exposure[None], torch.tensor([float(ev)]))[0]
        write_photo(folder / f"{number}.jpg", camera, shot, time_s=TIME_S * Fraction(2) ** ev, seed=number)
    return folder
