"""What a single shot makes of highlights: ``python experiments/pretrained/picture.py`` writes ``single_shot.png``."""

from pathlib import Path
from typing import Final

import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from PIL import Image

import ldr2hdr
from ldr2hdr.build import CONF_DIR
from ldr2hdr.data.scenes.sources import PanoramaSource

# family of the camera, number of the test place, seed of camera and view
_ROWS: Final = (("dedicated", 0, 40), ("pointwise", 3, 43))
_SIDE_PX: Final = 288
_SHOWN_EV: Final = -2


def main() -> None:
    """LDR, then darker inverse gamma, the model that ships, and the truth; a row for each camera."""
    model, source = ldr2hdr.load(), PanoramaSource(cache_dir=Path(".cache"), fov_deg=[60.0, 60.0])
    rows = []
    for name, place, seed in _ROWS:
        with initialize_config_dir(CONF_DIR, version_base="1.3"):
            family = instantiate(compose("train", overrides=["paths.output_dir=unused", f"camera={name}"]).camera[name])
        generator = torch.Generator().manual_seed(seed)
        camera = family.sample(generator, ranges="seen")
        view = source.sample(source.places("test")[place], crop_px=_SIDE_PX, generator=generator)
        exposure = camera.expose(view[None], generator)
        ldr = camera.shoot(exposure, generator)
        with torch.no_grad():
            linear = (ldr**2.2, model.single_shot()(ldr), camera.light(exposure))
        shown = [(picture * 2.0**_SHOWN_EV).clamp(0, 1) ** (1 / 2.2) for picture in linear]
        rows.append(torch.cat([ldr, *shown], dim=3)[0])
    codes = (torch.cat(rows, dim=1).movedim(0, -1) * 255).round().to(torch.uint8)
    Image.fromarray(codes.numpy()).quantize(256).save(Path(__file__).with_name("single_shot.png"), optimize=True)


if __name__ == "__main__":
    main()
