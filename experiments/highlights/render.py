"""Render views of panoramas into a cache that `train.py` and `evaluate.py` read.

    python experiments/highlights/render.py --panoramas panoramas --out .cache/highlights

`places.csv` lists the panoramas, and which of them train. A view is a function of the seed and its number: the same
command goes on where it was interrupted. The whole takes 2.6 GB, and 0.25 GB for the decoded panoramas.
"""

import argparse
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from jaxtyping import Float
from places import PLACES_FILE, Panorama, read_places
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from views import SIZES, Scene, Views, bytes_per_view

from ldr2hdr.data.cameras.drift import add_glare
from ldr2hdr.data.scenes.cache import CachedPicture, cache_picture
from ldr2hdr.data.scenes.places import SPLITS, Split
from ldr2hdr.data.scenes.projection import render_view

# Landscape views of each split; half as many portrait ones are added
NUMBERS: Final[dict[Split, int]] = {"train": 5000, "val": 240, "test": 240}
# A source counts as clipped from this part of its maximum on
_CENSORED_FROM: Final = 0.8
_DARKEST_STOPS: Final = -14.0
# Median of green over white, in stops: levels 16 to 215 of a usual camera
_MIDDLE_STOPS: Final = (-8.5, -0.5)
_MAX_DRAWS: Final = 1000
# Least and largest share of the light in the lens's veil
_GLARE: Final = (0.002, 0.08)
# Of the share of pixels above white: median, spread in nats, least, largest
_SHARE: Final = (0.09, 0.9, 0.003, 0.5)


class Source(NamedTuple):
    """A panorama that may be looked into.

    Attributes:
        panorama: What it is.
        picture: Decoded.
        ceiling: Light per channel from which on it counts as clipped, in the picture's unit.
    """

    panorama: Panorama
    picture: CachedPicture
    ceiling: Float[np.ndarray, "3"]


def main(arguments: Sequence[str] | None = None) -> None:
    """Decode the panoramas and render all views."""
    options = parse(arguments)
    panoramas = read_places(options.places)
    numbers = {split: {"landscape": number, "portrait": number // 2} for split, number in options.numbers.items()}
    require_room(options.out, sum(sum(by_shape.values()) for by_shape in numbers.values()), len(panoramas))
    require_same(options.out, {"seed": options.seed, "places": [list(panorama) for panorama in panoramas]})
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns) as progress:
        decoding = progress.track(panoramas, description="panoramas")
        sources = [open_source(panorama, options.panoramas, cache_dir=options.out / "decoded") for panorama in decoding]
        for split, by_shape in numbers.items():
            of_split = [source for source in sources if source.panorama.split == split]
            for shape, number in by_shape.items():
                views = Views.create(options.out, split, shape, number=number)
                left = sorted(set(range(number)) - set(views.done.tolist()))
                bar = progress.add_task(f"{split}, {shape}", total=number, completed=number - len(left))
                for index in left:
                    generator = np.random.default_rng(
                        (options.seed, SPLITS.index(split), list(SIZES).index(shape), index)
                    )
                    views.write(index, *draw_scene(of_split, generator, size=SIZES[shape]))
                    progress.advance(bar)


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--panoramas", type=Path, required=True, help="folder that the files of --places are in")
    parser.add_argument("--places", type=Path, default=PLACES_FILE, help="list of panoramas, places and splits")
    parser.add_argument("--out", type=Path, default=Path(".cache/highlights"))
    parser.add_argument("--seed", type=int, default=0)
    for split, number in NUMBERS.items():
        parser.add_argument(f"--{split}", type=int, default=number, help="landscape views; half as many portrait ones")
    options = parser.parse_args(arguments)
    options.numbers = {split: getattr(options, split) for split in SPLITS if getattr(options, split)}
    return options


def require_room(folder: Path, num_views: int, num_panoramas: int) -> None:
    """Say how much the cache takes; refuse if the disk has less.

    Raises:
        SystemExit: If it has.
    """
    folder.mkdir(parents=True, exist_ok=True)
    # files are made at their full size, and take room as they are filled
    there = sum(512 * file.stat().st_blocks for file in folder.rglob("*.npy"))
    needed = num_views * bytes_per_view() + num_panoramas * 512 * 1024 * 3 * 2 - there
    free = shutil.disk_usage(folder).free
    print(
        f"{num_views} views take {num_views * bytes_per_view() / 1e9:.2f} GB in {folder}, {free / 1e9:.1f} GB are free"
    )
    if needed > free:
        raise SystemExit(f"{needed / 1e9:.2f} GB more are needed; choose another --out, or fewer views")


def require_same(folder: Path, settings: dict[str, object]) -> None:
    """Note what views are made of, beside them.

    Raises:
        SystemExit: If those that are there are of something else.
    """
    path = folder / "settings.json"
    if path.is_file() and json.loads(path.read_text(encoding="utf-8")) != settings:
        raise SystemExit(f"the views in {folder} have another seed, or other places; choose another --out")
    path.write_text(json.dumps(settings), encoding="utf-8")


def open_source(panorama: Panorama, root: Path, *, cache_dir: Path) -> Source:
    """Decode a panorama, unless it is decoded already."""
    picture = cache_picture(root / panorama.file, cache_dir)
    stored = picture.open()
    maximum = stored.half.max(axis=(1, 2)).astype(np.float32) * np.float32(stored.unit)
    return Source(panorama, picture, _CENSORED_FROM * maximum)


def draw_scene(
    sources: Sequence[Source], generator: np.random.Generator, *, size: tuple[int, int]
) -> tuple[Scene, dict[str, object]]:
    """Look into a random panorama through a lens, under a random light and exposure.

    Returns:
        The view, and what `views.RECORD` notes about it.

    Raises:
        ValueError: If no view has its middle tones where a camera would put them.
    """
    weights = np.array([source.panorama.weight for source in sources])
    for _ in range(_MAX_DRAWS):
        source = sources[generator.choice(len(sources), p=weights / weights.sum())]
        light = look(source.picture, generator, size=size)
        is_censored = light >= source.ceiling[:, None, None]
        glare = float(np.exp(generator.uniform(*np.log(_GLARE)))) if generator.random() < 0.85 else 0.0
        light = light * balance(light, generator)[:, None, None]
        if glare:
            light = add_glare(light, share=glare, parts=generator.dirichlet((1, 1, 1)).tolist())
        median, spread, least, largest = _SHARE
        share = float(np.clip(median * np.exp(generator.normal(0, spread)), least, largest))
        white = np.quantile(light.max(axis=0)[::2, ::2], 1 - share)
        if white <= 1e-6:
            continue
        stops = np.log2(np.maximum(light / np.float32(white), 2.0**_DARKEST_STOPS))
        middle = float(np.median(stops[1, ::4, ::4]))
        if _MIDDLE_STOPS[0] <= middle <= _MIDDLE_STOPS[1]:
            about = {"place": source.panorama.place, "glare": glare, "share": share, "middle": middle}
            return Scene(stops, is_censored), about | describe(stops)
    raise ValueError(
        f"of {_MAX_DRAWS} views none has its median {_MIDDLE_STOPS} stops over white; are all places black?"
    )


def describe(stops: Float[np.ndarray, "3 h w"]) -> dict[str, object]:
    """Return the mean excess of channels above white, and the share of their pixels whose channels all are."""
    is_above = stops >= 0
    excess = float(stops[is_above].mean()) if is_above.any() else 0.0
    return {"excess": excess, "full": float(is_above.all(axis=0).sum() / max(is_above.any(axis=0).sum(), 1))}


def look(
    picture: CachedPicture, generator: np.random.Generator, *, size: tuple[int, int]
) -> Float[np.ndarray, "3 h w"]:
    """Render a view of 25 to 100 degrees along the longer side, about level, mirrored or not."""
    wide = generator.uniform(35, 100) if generator.random() < 0.8 else generator.uniform(25, 45)
    yaw, pitch = generator.uniform(0, 360), float(np.clip(generator.normal(4, 14), -40, 55))
    fov = 2 * np.degrees(np.arctan(np.tan(np.radians(wide) / 2) * size[1] / max(size)))
    stored = picture.open()
    view = render_view(stored.half, yaw_deg=yaw, pitch_deg=pitch, fov_deg=float(fov), size_px=size)
    light = view.numpy() * np.float32(stored.unit)
    return light[:, :, ::-1].copy() if generator.random() < 0.5 else light


def balance(light: Float[np.ndarray, "3 h w"], generator: np.random.Generator) -> Float[np.ndarray, "3"]:
    """Draw a camera's gains, green 1: most cameras go part of the way to a grey picture, and none hits it."""
    bright = np.quantile(light[:, ::4, ::4], 0.95)
    mean = np.minimum(light, bright).mean(axis=(1, 2)) + 1e-6
    strength = generator.uniform(0.2, 1) if generator.random() < 0.7 else 0.0
    missed = generator.normal(0, 0.12 if generator.random() < 0.75 else 0.3, 3)
    gains = (mean[1] / mean) ** strength * 2.0**missed
    return np.clip(gains / gains[1], 0.2, 5).astype(np.float32)


if __name__ == "__main__":
    main()
