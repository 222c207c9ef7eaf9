"""Feed damaged files to every reader and write what came of it.

``PYTHONPATH=tests/io python tests/security/fuzzing.py 20000 TOLD.json``

It runs in a process of its own, with bounded memory: a library in C++ that crashes or asks for terabytes ends it, and
the file that did it stays at ``TOLD.json.damaged``.
"""

import argparse
import json
import resource
import tempfile
import time
import warnings
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import torch
from PIL import ExifTags, Image, ImageCms
from pillow_heif import from_pillow
from safetensors.torch import save_file

from ldr2hdr.backbones.importers.archives import read_npz_list, read_torch_state
from ldr2hdr.inference.profiles.files import FORMAT, read_profile
from ldr2hdr.io import ImageError, read_photo, read_radiance
from ldr2hdr.io.exr import write_exr
from ldr2hdr.io.radiance import encode_hdr
from ldr2hdr.training.checkpoints import read_checkpoint

# Above what the libraries take when they are loaded
_HEADROOM_BYTES = 3 * 2**30
_SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
_INTERESTING = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)


class Kind(NamedTuple):
    """A format: its reader, the only errors that it may raise, and intact files to damage."""

    read: Callable[[Path], object]
    errors: tuple[type[Exception], ...]
    seeds: list[bytes]
    repair: Callable[[bytes], bytes] | None = None


def mutate(data: bytes, rng: np.random.Generator) -> bytes:
    """Damage a file in one to six places: bits, bytes, numbers, and pieces left out, doubled or cut off."""
    damaged = bytearray(data)
    for _ in range(rng.integers(1, 7)):
        if len(damaged) < 8:
            break
        # half of the damage is done to the first 256 bytes, where the headers are
        start = int(rng.integers(min(256, len(damaged)) if rng.random() < 0.5 else len(damaged)))
        end = start + int(rng.integers(1, 64))
        match rng.integers(6):
            case 0:
                damaged[start] ^= 1 << int(rng.integers(8))
            case 1:
                damaged[start] = int(rng.integers(256))
            case 2:
                order = "little" if rng.random() < 0.5 else "big"
                damaged[start : start + 4] = int(rng.choice(_INTERESTING)).to_bytes(4, order)
            case 3:
                del damaged[start:end]
            case 4:
                damaged[start:start] = damaged[start:end]
            case 5:
                del damaged[max(8, start) :]
    return bytes(damaged)


def intact_files(folder: Path) -> dict[str, Kind]:
    """Small files of every format that strangers send."""
    rng = np.random.default_rng(0)
    light = rng.gamma(1.0, 2.0, (12, 16, 3)).astype(np.float32)
    codes = rng.integers(0, 256, (12, 16, 3), dtype=np.uint8)
    pictures, tensors = (ImageError,), (ValueError,)
    return {
        "EXR": Kind(read_radiance, pictures, list(_exrs(folder, light))),
        "Radiance": Kind(read_radiance, pictures, [encode_hdr(light)]),
        "PNG": Kind(read_photo, pictures, [*_pillow(folder, "png", codes), _opencv(".png", codes)], with_checksums),
        "JPEG": Kind(read_photo, pictures, list(_pillow(folder, "jpg", codes))),
        "TIFF": Kind(read_photo, pictures, [*_pillow(folder, "tif", codes), _opencv(".tiff", codes)]),
        "HEIC": Kind(read_photo, pictures, list(_heics(folder, codes))),
        "RAW": Kind(read_photo, pictures, [_raw(folder, codes)]),
        "profile": Kind(read_profile, tensors, [_profile(folder)]),
        "checkpoint": Kind(read_checkpoint, tensors, [_saved(folder, {"config": "a: 1", "state_dict": _state()})]),
        "state dict": Kind(read_torch_state, tensors, [_saved(folder, _state())]),
        "npz": Kind(read_npz_list, tensors, [_npz(folder)]),
    }


def with_checksums(png: bytes) -> bytes:
    """The same PNG with the checksums that its chunks should have."""
    told, position = bytearray(png), 8
    while position + 12 <= len(told):
        end = position + 8 + int.from_bytes(told[position : position + 4], "big")
        if end + 4 > len(told):
            break
        told[end : end + 4] = zlib.crc32(told[position + 4 : end]).to_bytes(4, "big")
        position = end + 4
    return bytes(told)


def _state() -> dict[str, torch.Tensor]:
    return {"weight": torch.arange(12.0).reshape(3, 4), "bias": torch.zeros(3)}


def _exrs(folder: Path, light: np.ndarray) -> Iterator[bytes]:
    for compression in ("zip", "dwaa"):
        write_exr(folder / "a.exr", light, compression=compression)
        yield (folder / "a.exr").read_bytes()


def _pillow(folder: Path, suffix: str, codes: np.ndarray) -> Iterator[bytes]:
    """With an ICC profile and EXIF, and with neither."""
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation], exif[ExifTags.Base.Model] = 6, "Acme Nova 7"
    for options in ({}, {"exif": exif, "icc_profile": _SRGB}):
        Image.fromarray(codes).save(folder / f"a.{suffix}", **options)
        yield (folder / f"a.{suffix}").read_bytes()


def _heics(folder: Path, codes: np.ndarray) -> Iterator[bytes]:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation], exif[ExifTags.Base.Model] = 6, "Acme Nova 7"
    for options in ({}, {"exif": exif.tobytes(), "icc_profile": _SRGB}):
        from_pillow(Image.fromarray(codes)).save(folder / "a.heic", quality=90, **options)
        yield (folder / "a.heic").read_bytes()


def _raw(folder: Path, codes: np.ndarray) -> bytes:
    from handmade import write_dng  # of the tests of the picture files, which pytest has not on its path here

    mosaic = np.tile(codes[..., 0], (4, 4)).astype(np.uint16) * 60
    return write_dng(folder / "a.dng", mosaic, white=16000, orientation=6).read_bytes()


def _opencv(suffix: str, codes: np.ndarray) -> bytes:
    return cv2.imencode(suffix, codes.astype(np.uint16) * 257)[1].tobytes()


def _profile(folder: Path) -> bytes:
    save_file(_state(), folder / "a.ldr2hdr", {"format": FORMAT, "version": "1", "about": "{}", "sha256": "0" * 64})
    return (folder / "a.ldr2hdr").read_bytes()


def _saved(folder: Path, content: object) -> bytes:
    torch.save(content, folder / "a.ckpt")
    return (folder / "a.ckpt").read_bytes()


def _npz(folder: Path) -> bytes:
    np.savez(folder / "a.npz", np.zeros((3, 4), np.float32), np.ones(3, np.float32))
    return (folder / "a.npz").read_bytes()


def feed(kind: Kind, path: Path, count: int, rng: np.random.Generator) -> dict[str, object]:
    """Read ``count`` damaged files; tell what was read, what refused, what else was raised, and the longest time."""
    told = {"read": 0, "refused": 0, "untyped": [], "seconds": 0.0}
    for _ in range(count):
        damaged = mutate(kind.seeds[rng.integers(len(kind.seeds))], rng)
        # half of the PNGs are damaged within: their checksums are right
        is_repaired = kind.repair is not None and rng.random() < 0.5
        path.write_bytes(kind.repair(damaged) if is_repaired else damaged)
        start = time.monotonic()
        try:
            kind.read(path)
            told["read"] += 1
        except kind.errors:
            told["refused"] += 1
        except Exception as error:  # noqa: BLE001 what this script is here to find
            told["untyped"].append(f"{type(error).__name__}: {error}"[:200])
        told["seconds"] = max(told["seconds"], round(time.monotonic() - start, 3))
    return told


def main() -> None:
    """Damage ``count`` files, as many of each format."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("count", type=int, help="damaged files in all")
    parser.add_argument("told", type=Path, help="where to write what came of it")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    warnings.simplefilter("ignore")  # Pillow warns of damage, which is expected here
    damaged = Path(f"{options.told}.damaged")
    with tempfile.TemporaryDirectory() as name:
        kinds = intact_files(Path(name))
    read_intact(kinds, damaged)
    limit_memory()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    told = {
        title: feed(kind, damaged, -(-options.count // len(kinds)), np.random.default_rng([options.seed, position]))
        for position, (title, kind) in enumerate(kinds.items())
    }
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    damaged.unlink()
    options.told.write_text(json.dumps({"formats": told, "grown_mib": round(grown, 1)}, indent=2))


def read_intact(kinds: Mapping[str, Kind], path: Path) -> None:
    """Read every file as it was, so that the damage is what is refused; a profile's digest is made up."""
    for title in kinds.keys() - {"profile"}:
        for seed in kinds[title].seeds:
            path.write_bytes(seed)
            kinds[title].read(path)


def limit_memory() -> None:
    """Let this process have ``_HEADROOM_BYTES`` more than it has."""
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + _HEADROOM_BYTES, used + _HEADROOM_BYTES))


if __name__ == "__main__":
    main()
