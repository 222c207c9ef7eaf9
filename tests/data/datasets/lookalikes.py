"""Small sets in the documented layouts: scenes of known light, shot by a known camera, and faults to plant in them."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from PIL import ExifTags, Image

from ldr2hdr.data.datasets.base import AbstractFileDataset
from ldr2hdr.data.datasets.bracket_folder import BracketFolder
from ldr2hdr.data.datasets.drtmo import Drtmo
from ldr2hdr.data.datasets.fairchild import Fairchild
from ldr2hdr.data.datasets.funt import Funt
from ldr2hdr.data.datasets.hdr_eye import HdrEye
from ldr2hdr.data.datasets.hdr_real import HdrReal
from ldr2hdr.data.datasets.hdr_synth import HdrSynth
from ldr2hdr.data.datasets.kalantari import Kalantari
from ldr2hdr.data.datasets.ldr_hdr_pair import LdrHdrPair
from ldr2hdr.data.datasets.ntire2021 import Ntire2021
from ldr2hdr.data.datasets.si_hdr import SiHdr
from ldr2hdr.io.exr import write_exr
from ldr2hdr.io.radiance import encode_hdr

HEIGHT, WIDTH = 24, 40
GAMMA = 2.0
UNIT = 37.0
"""HDR files hold sensor exposure at ev=0 times this."""


class Scene(NamedTuple):
    """Which files show a scene, and how."""

    ldrs: tuple[Path, ...]
    evs: tuple[float, ...]
    hdr: Path | None


def light_of(seed: int) -> np.ndarray:
    """Sensor exposure at ev=0, ``(H, W, 3)``: 11 stops, the top 2 above white, smooth, coloured."""
    rng = np.random.default_rng(seed)
    row, column = np.mgrid[0 : 1 : HEIGHT * 1j, 0 : 1 : WIDTH * 1j]
    waves = sum(np.sin(2 * np.pi * (f * row + g * column + h)) for f, g, h in rng.uniform(0, 1.5, (4, 3)))
    waves = (waves - waves.min()) / np.ptp(waves)
    tint = np.stack([row, column, 1 - row], axis=-1) * 0.8 - 0.4
    return np.exp2(11 * waves[..., None] - 9 + tint).astype(np.float32)


def shoot(light: np.ndarray, ev: float) -> np.ndarray:
    """What the camera makes of the light, in [0, 1]."""
    return np.clip(light * 2.0**ev, 0, 1) ** (1 / GAMMA)


def write_ldr(path: Path, picture: np.ndarray, *, exif: dict[int, object] | None = None) -> Path:
    """8-bit JPEG or PNG with EXIF, or 16-bit TIFF."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix.startswith(".tif"):
        cv2.imwrite(str(path), np.rint(picture[..., ::-1] * 65535).astype(np.uint16))
        return path
    tags = Image.Exif()
    for tag, value in (exif or {}).items():
        (
            tags
            if tag in (ExifTags.Base.Make, ExifTags.Base.Model, ExifTags.Base.Orientation)
            else tags.get_ifd(ExifTags.IFD.Exif)
        )[tag] = value
    options = {"quality": 98, "subsampling": 0} if path.suffix == ".jpg" else {}
    Image.fromarray(np.rint(picture * 255).astype(np.uint8)).save(path, exif=tags, **options)
    return path


def write_png16(path: Path, values: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.rint(values[..., ::-1]).astype(np.uint16))
    return path


def write_hdr(path: Path, light: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".exr":
        write_exr(path, light)
    else:
        path.write_bytes(encode_hdr(light))
    return path


def write_ldr_hdr_pair(root: Path, number: int, seed: int) -> Scene:
    light, evs = light_of(seed), (-2.0, 0.0, 2.0)
    folders = ("LDR_exposure_-2", "LDR_exposure_0", "LDR_exposure_+2")
    ldrs = [write_ldr(root / f / f"LDR_{number:03}.jpg", shoot(light, ev)) for f, ev in zip(folders, evs, strict=True)]
    return Scene(tuple(ldrs), evs, write_hdr(root / "HDR" / f"HDR_{number:03}.hdr", light * UNIT))


def write_hdr_real(root: Path, number: int, seed: int) -> Scene:
    ldr = write_ldr(root / "LDR_in" / f"{number:05}.jpg", shoot(light_of(seed), 0))
    return Scene((ldr,), (0.0,), write_hdr(root / "HDR_gt" / f"{number:05}.hdr", light_of(seed) * UNIT))


def write_pair_folder(root: Path, number: int, seed: int) -> Scene:
    ldr = write_ldr(root / f"{number:05}" / "input.jpg", shoot(light_of(seed), 0))
    return Scene((ldr,), (0.0,), write_hdr(root / f"{number:05}" / "gt.hdr", light_of(seed) * UNIT))


def write_hdr_synth(root: Path, number: int, seed: int) -> Scene:
    return Scene((), (), write_hdr(root / "hdr_book" / "hdr" / f"Lake{number}.hdr", light_of(seed) * UNIT))


def write_fairchild(root: Path, number: int, seed: int) -> Scene:
    write_hdr(root / f"Booth{number}CC.exr", light_of(seed + 1000))
    return Scene((), (), write_hdr(root / f"Booth{number}.exr", light_of(seed) * UNIT))


def write_funt(root: Path, number: int, seed: int) -> Scene:
    folder = root / "Nikon_D700" / "HDR_MATLAB_3x3"
    write_hdr(folder / f"S{number:04}CC.hdr", light_of(seed + 1000))
    return Scene((), (), write_hdr(folder / f"S{number:04}.hdr", light_of(seed) * UNIT))


def write_bracket_folder(root: Path, number: int, seed: int) -> Scene:
    """Five exposures by EXIF: times of the dial, f/8, ISO 100; the names do not sort by brightness."""
    folder, evs = root / f"scene{number}", (-3.0, -1.5, 0.0, 1.5, 3.0)
    names = ("c", "e", "a", "d", "b")
    ldrs = []
    for name, ev in zip(names, evs, strict=True):
        exif = {
            ExifTags.Base.Make: "Acme",
            ExifTags.Base.Model: "X1",
            ExifTags.Base.ExposureTime: 2.0**ev / 60,
            ExifTags.Base.FNumber: 8.0,
            ExifTags.Base.ISOSpeedRatings: 100,
        }
        ldrs.append(write_ldr(folder / f"{name}.jpg", shoot(light_of(seed), ev), exif=exif))
    return Scene(tuple(ldrs), evs, write_hdr(folder / "merged.exr", light_of(seed) * UNIT))


def write_kalantari(root: Path, number: int, seed: int) -> Scene:
    folder = root / "Training" / f"{number:03}" if number % 3 else root / "Test" / "PAPER" / f"Named{number}"
    evs = (-3.0, 0.0, 3.0)
    ldrs = [write_ldr(folder / f"26{i}.tif", shoot(light_of(seed), ev)) for i, ev in enumerate(evs)]
    (folder / "exposure.txt").write_text("-3.0\n0.0\n3.0\n")
    return Scene(tuple(ldrs), evs, write_hdr(folder / "HDRImg.hdr", light_of(seed) * UNIT))


def write_ntire2021(root: Path, number: int, seed: int) -> Scene:
    stem, evs = root / ("train", "val", "test")[number % 3] / f"{number:04}", (-2.5, 0.0, 2.5)
    words = ("short", "medium", "long")
    ldrs = [
        write_ldr(Path(f"{stem}_{word}.png"), shoot(light_of(seed), ev)) for word, ev in zip(words, evs, strict=True)
    ]
    np.save(f"{stem}_exposures.npy", np.array(evs) + 7.0)
    stored = (light_of(seed) * UNIT) ** (1 / 2.24)
    ratio = 65535 / stored.max()
    np.save(f"{stem}_alignratio.npy", np.float32(ratio))
    return Scene(tuple(ldrs), evs, write_png16(Path(f"{stem}_gt.png"), stored * ratio))


def write_si_hdr(root: Path, number: int, seed: int) -> Scene:
    evs = (0.0, 0.75)
    folders = ("clip_97", "clip_95")
    ldrs = [
        write_ldr(root / f / f"{number:03}.png", shoot(light_of(seed), ev)) for f, ev in zip(folders, evs, strict=True)
    ]
    return Scene(tuple(ldrs), evs, write_hdr(root / "reference" / f"{number:03}.exr", light_of(seed) * UNIT))


def write_drtmo(root: Path, number: int, seed: int) -> Scene:
    folder = root / "Bracketed_images" / f"Summi_Pool_{number}k_80_10_240_agfacolor-vista-200CDBlue"
    evs = tuple((i - 4) * 0.5 for i in range(9))
    ldrs = [write_ldr(folder / f"{'abcdefghi'[i]}.png", shoot(light_of(seed), ev)) for i, ev in enumerate(evs)]
    return Scene(tuple(ldrs), evs, None)


class Lookalike(NamedTuple):
    """A reader, and what writes scenes for it."""

    reader: Callable[..., AbstractFileDataset]
    write: Callable[[Path, int, int], Scene]
    ev_source: str = "pixels"
    has_partners: bool = True

    def write_all(self, root: Path, numbers: Sequence[int]) -> list[Scene]:
        """One scene for each number, each of other light."""
        return [self.write(root, number, seed=number) for number in numbers]


LOOKALIKES = {
    "ldr_hdr_pair": Lookalike(LdrHdrPair, write_ldr_hdr_pair, "name"),
    "hdr_real": Lookalike(HdrReal, write_hdr_real),
    "hdr_synth": Lookalike(HdrSynth, write_hdr_synth, has_partners=False),
    "hdr_eye": Lookalike(HdrEye, write_pair_folder),
    "bracket_folder": Lookalike(BracketFolder, write_bracket_folder, "exif", has_partners=False),
    "kalantari": Lookalike(Kalantari, write_kalantari, "file"),
    "ntire2021": Lookalike(Ntire2021, write_ntire2021, "file"),
    "si_hdr": Lookalike(SiHdr, write_si_hdr),
    "drtmo": Lookalike(Drtmo, write_drtmo, "name", has_partners=False),
    "fairchild": Lookalike(Fairchild, write_fairchild, has_partners=False),
    "funt": Lookalike(Funt, write_funt, has_partners=False),
}
BRACKETS = ("ldr_hdr_pair", "bracket_folder", "kalantari", "ntire2021", "si_hdr")
"""Those with several exposures and an HDR."""
PAIRED = (*BRACKETS, "hdr_real", "hdr_eye")
"""Those with exposures and an HDR."""
