"""Brackets made of known light, as files."""

import csv
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image
from PIL.TiffImagePlugin import IFDRational

GAMMA = 2.2
"""Of the camera: level 250 is where it clips, as estimated curves have it."""


def light_of(rng: np.random.Generator, *, height: int = 96, width: int = 128, stops: float = 5.0) -> np.ndarray:
    """Smooth light of some stops of range, 1 at most, with a texture."""
    y, x = np.mgrid[:height, :width] / max(height, width)
    waves = np.sin(6 * x + 2 * y)[..., None] * np.array([1, 0.8, 0.9]) + 0.3 * np.sin(23 * y - 9 * x)[..., None]
    texture = 0.15 * rng.standard_normal((height, width, 3))
    logs = waves + texture
    return np.exp2((logs - logs.max()) / np.ptp(logs) * stops)


def shoot(light: np.ndarray, ev: float) -> np.ndarray:
    """8-bit levels of a power law."""
    return np.rint(250 * (light * 2.0**ev) ** (1 / GAMMA)).clip(0, 255).astype(np.uint8)


def save(path: Path, levels: np.ndarray, *, time_s: float | None = None, taken: str = "", model: str = "One") -> Path:
    """A PNG, or a JPEG of the best quality, with what EXIF may say."""
    exif = Image.Exif()
    if time_s is not None:
        exif[ExifTags.Base.Model] = model
        settings = exif.get_ifd(ExifTags.IFD.Exif)
        settings[ExifTags.Base.ExposureTime] = IFDRational(round(time_s * 100000), 100000)
        if taken:
            settings[ExifTags.Base.DateTimeOriginal] = taken
    options = {"quality": 98, "subsampling": 0} if path.suffix == ".jpg" else {}
    Image.fromarray(levels).save(path, exif=exif, **options)
    return path


def write_bracket(folder: Path, pictures: dict[float, np.ndarray], *, suffix: str = ".png") -> Path:
    """A folder of frames with exposures.csv."""
    folder.mkdir()
    with (folder / "exposures.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["file", "exposure_time_s"])
        for number, (ev, levels) in enumerate(pictures.items()):
            save(folder / f"{number}{suffix}", levels)
            writer.writerow([f"{number}{suffix}", 2.0**ev])
    return folder
