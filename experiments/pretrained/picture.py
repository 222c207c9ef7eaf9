"""Draw what the shipped model makes of test places: ``python experiments/pretrained/picture.py`` writes two pictures.

``panel.jpg`` stands in README: one photograph, the model without and with a profile of the camera, and the truth.
``sheet.jpg`` has all test places at 0, -2 and -4 EV, also those where the model fails.
"""

import csv
import tempfile
from pathlib import Path
from typing import Final, NamedTuple

import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

import ldr2hdr
from ldr2hdr.build import CONF_DIR
from ldr2hdr.data.scenes.sources import PanoramaSource
from ldr2hdr.radiometry import encode_srgb

_FOLDER: Final = Path(__file__).parent
_COLUMNS: Final = ("photograph, 8 bit", "single-shot", "with a profile", "truth")
_HEADER_PX: Final = 24
# place of the panel, and seed of its camera and view
_PANEL: Final = ("venice_sunset", 8)
_TEACHER: Final = "rooitou_park"


class Views(NamedTuple):
    """One photograph and its reconstructions, linear but for the first."""

    ldr: Tensor
    single: Tensor
    adapted: Tensor
    truth: Tensor


def main() -> None:
    """Write both pictures."""
    model, source = ldr2hdr.load(), PanoramaSource(cache_dir=Path(".cache"), fov_deg=[60.0, 60.0])
    place, seed = _PANEL
    _save(_FOLDER / "panel.jpg", [_rows(_shoot(model, source, place, seed=seed, side_px=288), evs=(0, -2))])
    sheet = [
        _rows(_shoot(model, source, place, seed=10, side_px=224), evs=(0, -2, -4)) for place in source.places("test")
    ]
    _save(_FOLDER / "sheet.jpg", sheet)


def _shoot(model: ldr2hdr.Model, source: PanoramaSource, place: str, *, seed: int, side_px: int) -> Views:
    """Photograph a place by an unseen camera, after a bracket of another place by the same one."""
    with initialize_config_dir(CONF_DIR, version_base="1.3"):
        family = instantiate(compose("train", overrides=["paths.output_dir=unused", "camera=dorf"]).camera["dorf"])
    generator = torch.Generator().manual_seed(seed)
    camera = family.sample(generator, ranges="unseen")
    with tempfile.TemporaryDirectory() as name:
        taught = camera.expose(source.sample(_TEACHER, crop_px=256, generator=generator)[None], generator)
        _write_bracket(Path(name), [camera.shoot(taught * 2.0**ev, generator)[0] for ev in (-2, 0, 2)])
        phi = model.adapt(name, is_checked=False)
    exposure = camera.expose(source.sample(place, crop_px=side_px, generator=generator)[None], generator)
    ldr = camera.shoot(exposure, generator)[0]
    return Views(ldr, model(ldr), phi(ldr), camera.light(exposure)[0])


def _write_bracket(folder: Path, frames: list[Tensor]) -> None:
    with (folder / "exposures.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["file", "ev"])
        for number, frame in enumerate(frames):
            Image.fromarray(_codes(frame)).save(folder / f"{number}.png")
            table.writerow([f"{number}.png", 2 * number])


def _rows(views: Views, *, evs: tuple[int, ...]) -> Tensor:
    """Show the light at some exposures, one below the other; the photograph as its own light by the sRGB curve."""
    rows = []
    for ev in evs:
        pictures = [views.ldr**2.2, views.single, views.adapted, views.truth]
        # one scale for each: brightness is free, as in the scores
        middle = [picture[:, ((views.ldr > 0.1) & (views.ldr < 0.9)).all(dim=0)].median() for picture in pictures]
        shown = [encode_srgb((p / m * middle[-1] * 2.0**ev).clamp(0, 1)) for p, m in zip(pictures, middle, strict=True)]
        rows.append(torch.cat([views.ldr if ev == 0 else shown[0], *shown[1:]], dim=2))
    return torch.cat(rows, dim=1)


def _save(path: Path, blocks: list[Tensor]) -> None:
    codes = _codes(torch.cat(blocks, dim=1))
    picture = Image.new("RGB", (codes.shape[1], codes.shape[0] + _HEADER_PX), "white")
    picture.paste(Image.fromarray(codes), (0, _HEADER_PX))
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(14)
    for number, title in enumerate(_COLUMNS):
        draw.text((number * codes.shape[1] // len(_COLUMNS) + 6, 4), title, fill="black", font=font)
    picture.save(path, quality=88)


def _codes(picture: Tensor):
    return (picture.movedim(0, -1) * 255).round().to(torch.uint8).numpy()


if __name__ == "__main__":
    main()
