"""Pictures of the optics and of what they do to a scene."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import torch
from jaxtyping import Float
from learned import LearnedHeightMap
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from systems import CodedCamera
from torch import Tensor

from ldr2hdr.io.files import replacing

_DECADES: Final = 5.0  # shares of light from 1e-5 to 1


def show_psf(psf: Float[Tensor, "3 k k"]) -> Float[Tensor, "k k 3"]:
    """Colours by the logarithm of each channel's share of light: black is 1e-5 or less, white is all of it."""
    return (1 + psf.clamp_min(1e-12).log10() / _DECADES).clamp(0, 1).movedim(0, -1)


def draw_optics(
    path: Path, cameras: Mapping[str, CodedCamera], *, pictures: Mapping[str, Float[Tensor, "3 h w"]]
) -> None:
    """Draw each camera's PSF above a picture taken through it, and the height of a learned plate.

    Args:
        path: The file to write.
        cameras: By name.
        pictures: One display-referred picture by each of them.
    """
    plates = {name: camera.encoder.psf for name, camera in cameras.items()}
    columns = len(cameras) + sum(isinstance(plate, LearnedHeightMap) for plate in plates.values())
    figure = Figure(figsize=(2.9 * columns, 6.2), dpi=100, layout="constrained", facecolor="white")
    grid = figure.subplots(2, columns, squeeze=False)
    for column, (name, camera) in enumerate(cameras.items()):
        centre = camera.psf.shape[-1] // 2
        share = camera.psf[:, centre - 1 : centre + 2, centre - 1 : centre + 2].sum(dim=(-2, -1)).mean().item()
        grid[0, column].imshow(show_psf(camera.psf).numpy(), interpolation="nearest")
        grid[0, column].set_title(f"{name}\n{100 * share:.0f} % of the light in 3 x 3 pixels", fontsize=10)
        grid[1, column].imshow(pictures[name].movedim(0, -1).numpy(), interpolation="nearest")
    for name, plate in plates.items():
        if isinstance(plate, LearnedHeightMap):
            _draw_plate(figure, grid[0, -1], plate, name=name)
            grid[1, -1].remove()
    for axes in figure.axes:
        axes.set_xticks([])
    for axes in grid.flat:
        axes.set_yticks([])
    grid[0, 0].set_ylabel("PSF, logarithmic\nblack 1e-5, white 1")
    grid[1, 0].set_ylabel("picture of the sensor")
    with replacing(path) as temporary:
        figure.savefig(temporary)


def _draw_plate(figure: Figure, axes: Axes, plate: LearnedHeightMap, *, name: str) -> None:
    with torch.no_grad():
        height = plate.height_um()
    image = axes.imshow(height.numpy(), cmap="viridis", interpolation="nearest")
    axes.set_title(f"{name}\nheight of the plate, micrometres", fontsize=10)
    figure.colorbar(image, ax=axes, shrink=0.8)
