"""Make the embedded panoramas and their manifest from the source files.

Usage: python experiments/panoramas/embed_panoramas.py SOURCE_FOLDER [TARGET_FOLDER]
"""

import csv
import hashlib
import sys
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np
from jaxtyping import Float

from ldr2hdr.io import read_radiance
from ldr2hdr.io.exr import HALF_MAX, read_exr, write_exr

TARGET = Path(__file__).parents[2] / "ldr2hdr" / "data" / "panoramas"
DWA_LEVEL = 40.0  # the smallest multiple of 5 that keeps the folder below 8.5 MB

# Test: interior, sunset, night, sun in a park, overcast city; all from originals without lossy compression.
SPLITS = {
    "blender_city": "train",
    "blender_courtyard": "val",
    "blender_forest": "train",
    "blender_interior": "val",
    "blender_night": "train",
    "blender_studio": "train",
    "blender_sunrise": "train",
    "dikhololo_night": "test",
    "empty_warehouse_01": "train",
    "forest_slope": "val",
    "kiara_1_dawn": "val",
    "lebombo": "train",
    "potsdamer_platz": "test",
    "rooitou_park": "test",
    "st_fagans_interior": "test",
    "studio_small_03": "train",
    "venice_sunset": "test",
}
SAME_PLACE = {"studio_small_03": "photo_studio", "blender_studio": "photo_studio"}


@dataclass(frozen=True)
class Entry:
    """One line of the manifest."""

    file: str
    place: str
    split: str
    source_file: str
    source_package: str
    source_version: str
    source_sha256: str
    licence: str
    repaired_pixels: int
    scale: float
    lifted_values: int
    rms_error: float


def embed(source: Path, target: Path) -> Entry:
    """Repair, scale and compress one panorama."""
    name = source.stem.removesuffix("_1k")
    radiance = read_source(source)
    is_broken = ~np.isfinite(radiance) | (radiance < 0)
    repaired = np.where(is_broken, 0.0, radiance).astype(np.float32)
    scale = 2.0 ** min(0, np.floor(np.log2(HALF_MAX / repaired.max())))
    path = target / f"{name}.exr"
    num_lifted = write_nonnegative(path, repaired * np.float32(scale))
    is_blender = name.startswith("blender_")
    return Entry(
        file=path.name,
        place=SAME_PLACE.get(name, name),
        split=SPLITS[name],
        source_file=source.name,
        source_package="blender-data (Debian)" if is_blender else "viser (Python)",
        source_version="3.4.1" if is_blender else "1.0.0",
        source_sha256=hashlib.sha256(source.read_bytes()).hexdigest(),
        licence="CC0-1.0",
        repaired_pixels=int(is_broken.any(axis=-1).sum()),
        scale=scale,
        lifted_values=num_lifted,
        rms_error=round(relative_rms(read_exr(path), repaired * scale), 4),
    )


def read_source(source: Path) -> Float[np.ndarray, "h w 3"]:
    """Read without the check for non-finite values in .exr, which are repaired here; .hdr cannot hold any."""
    if source.suffix == ".exr":
        return read_exr(source)
    return read_radiance(source).movedim(0, -1).numpy()


def write_nonnegative(path: Path, radiance: Float[np.ndarray, "h w 3"]) -> int:
    """Write with DWAA, lifting the dark values that ring below zero until none does; return how many were."""
    lifted = radiance
    for attempt in range(40):
        write_exr(path, lifted, compression="dwaa", dwa_level=DWA_LEVEL)
        decoded = read_exr(path)
        if decoded.min() >= 0:
            return int((lifted != radiance).sum())
        # growing steps, since the quantiser swallows small ones
        lift = -decoded * np.float32(1.5**attempt) + np.float32(1e-5 * 1.3**attempt)
        lifted = np.where(decoded < 0, lifted + lift, lifted)
    raise RuntimeError(f"{path.name} still decodes to negative values after 40 attempts; lower DWA_LEVEL")


def relative_rms(decoded: Float[np.ndarray, "h w 3"], truth: Float[np.ndarray, "h w 3"]) -> float:
    """Relative rms difference over values above a thousandth of the median."""
    is_bright = truth > 1e-3 * np.median(truth)
    return float(np.sqrt(np.mean((decoded[is_bright] / truth[is_bright] - 1.0) ** 2)))


def main() -> None:
    """Embed every panorama of the source folder."""
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    target = Path(sys.argv[2]) if len(sys.argv) == 3 else TARGET
    sources = sorted(path for path in Path(sys.argv[1]).iterdir() if path.suffix in (".hdr", ".exr"))
    entries = sorted((embed(source, target) for source in sources), key=lambda entry: entry.file)
    with (target / "manifest.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(Entry)], lineterminator="\n")
        writer.writeheader()
        writer.writerows(asdict(entry) for entry in entries)
    size = sum(path.stat().st_size for path in target.glob("*.exr"))
    errors = [entry.rms_error for entry in entries]
    print(f"{len(entries)} panoramas, {size / 1e6:.2f} MB, rms error mean {np.mean(errors):.4f} max {max(errors):.4f}")


if __name__ == "__main__":
    main()
