"""The picture that shows at a glance what a reconstruction recovered."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import torch
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from torch import Tensor

from ldr2hdr.io.files import replacing
from ldr2hdr.metrics.hdr import evaluate_pictures
from ldr2hdr.radiometry import expose
from ldr2hdr.tasks import Shots
from ldr2hdr.training.panels import MAX_ERROR_STOPS, encode_srgb, error_stops

_EVS: Final = (0.0, -2.0, -4.0)
_ERROR_COLOURS: Final = "magma"
_DPI: Final = 100
_TEXT, _SMALL, _TITLE = 13.0, 11.5, 16.0  # points
_HOW_TO_READ: Final = (
    "Shown ever darker, light that the photo clipped turns grey; light that was recovered stays bright."
)


@dataclass(frozen=True)
class _Layout:
    """A grid of equal pictures, in inches from the top left corner; four columns are 14 inches wide."""

    num_columns: int
    cell_height: float
    cell_width: float = 3.2
    left: float = 0.92
    top: float = 1.72
    gap: float = 0.056
    bottom: float = 0.5

    @property
    def size(self) -> tuple[float, float]:
        """Width and height of the whole."""
        width = self.left + self.num_columns * (self.cell_width + self.gap) + self.gap
        height = self.top + (len(_EVS) + 1) * (self.cell_height + self.gap) + self.bottom
        return width, height

    def add_cell(self, figure: Figure, row: int, column: int) -> Axes:
        """Add an empty picture without ticks."""
        width, height = self.size
        left = self.left + column * (self.cell_width + self.gap)
        low = height - self.top - (row + 1) * self.cell_height - row * self.gap
        box = (left / width, low / height, self.cell_width / width, self.cell_height / height)
        axes = figure.add_axes(box)
        axes.set_axis_off()
        return axes


def draw_panel(
    path: Path, query: Shots, *, reconstructions: Mapping[str, Float[Tensor, "3 h w"]], title: str, caption: str
) -> None:
    """Draw reconstructions of one photograph beside the truth, ever darker, above their errors.

    Darkening shows what a highlight holds: one that was clipped turns grey, one that was recovered stays bright.
    A pixel's error is the root mean square over its channels in stops, floored as in ``log2_rmse``, so that the
    map and the number below it say the same.

    Args:
        path: The picture file to write, whole or not at all.
        query: One photograph ``(1, 3, H, W)`` with its true sensor exposure.
        reconstructions: Sensor exposure by heading; a second line of a heading is printed small.
        title: First line, bold.
        caption: Second line; how to read the picture follows it.

    Raises:
        ValueError: If the query is not one picture, or a reconstruction is not of its size.
        ImageError: If the folder is missing.
    """
    _check(query, reconstructions)
    truth = query.exposure[0]
    columns = {**reconstructions, "truth\nwhat the sensor would have recorded": truth}
    height, width = truth.shape[-2:]
    layout = _Layout(num_columns=len(columns), cell_height=_Layout.cell_width * height / width)
    figure = Figure(figsize=layout.size, dpi=_DPI, facecolor="white")
    _write_titles(figure, layout, title, caption)
    for column, (heading, exposure) in enumerate(columns.items()):
        cells = [layout.add_cell(figure, row, column) for row in range(len(_EVS) + 1)]
        for axes, ev in zip(cells, _EVS, strict=False):
            shown = encode_srgb(expose(exposure, torch.tensor(ev)))
            axes.imshow(shown.movedim(0, -1).numpy(), interpolation="bicubic")
        _write_heading(cells[0], heading)
        if column == 0:
            _write_row_labels(cells)
        if column < len(reconstructions):
            _draw_error(cells[-1], exposure, query)
        else:
            _draw_colour_bar(figure, cells[-1])  # the truth has no error
    with replacing(path) as temporary:
        figure.savefig(temporary)


def _check(query: Shots, reconstructions: Mapping[str, Tensor]) -> None:
    if len(query) != 1:
        raise ValueError(f"a panel shows one photograph, got {len(query)}")
    for heading, exposure in reconstructions.items():
        if exposure.shape != query.exposure.shape[1:]:
            found, expected = tuple(exposure.shape), tuple(query.exposure.shape[1:])
            raise ValueError(f"a reconstruction must be of the truth's shape {expected}, got {found} for {heading!r}")


def _write_titles(figure: Figure, layout: _Layout, title: str, caption: str) -> None:
    width, height = layout.size
    left = layout.left / width
    figure.text(left, 1 - 0.18 / height, title, fontsize=_TITLE, fontweight="bold", va="top")
    figure.text(
        left, 1 - 0.53 / height, f"{caption}\n{_HOW_TO_READ}", fontsize=_SMALL, va="top", color="0.3", linespacing=1.5
    )


def _write_heading(axes: Axes, heading: str) -> None:
    name, _, note = heading.partition("\n")
    _write(axes, name, at=(0.5, 1.0), offset=(0.0, 24.0), fontsize=_TEXT, fontweight="bold")
    _write(axes, note, at=(0.5, 1.0), offset=(0.0, 7.0), fontsize=_SMALL, color="0.3")


def _write_row_labels(cells: Sequence[Axes]) -> None:
    labels = [f"{ev:.0f} EV".replace("-", "\N{MINUS SIGN}") for ev in _EVS] + ["error"]
    for axes, label in zip(cells, labels, strict=True):
        _write(
            axes, label, at=(0.0, 0.5), offset=(-10.0, 0.0), ha="right", va="center", fontsize=_TEXT, fontweight="bold"
        )


def _write(
    axes: Axes,
    text: str,
    *,
    at: tuple[float, float],
    offset: tuple[float, float],
    fontsize: float,
    fontweight: str = "normal",
    color: str = "black",
    ha: Literal["left", "center", "right"] = "center",
    va: Literal["top", "center", "baseline"] = "baseline",
) -> None:
    """Write beside a cell: at a fraction of it, shifted by points."""
    axes.annotate(
        text,
        at,
        xytext=offset,
        xycoords="axes fraction",
        textcoords="offset points",
        ha=ha,
        va=va,
        fontsize=fontsize,
        fontweight=fontweight,
        color=color,
    )


def _draw_error(axes: Axes, exposure: Float[Tensor, "3 h w"], query: Shots) -> None:
    error = error_stops(exposure, query.exposure[0])
    axes.imshow(error.numpy(), cmap=_ERROR_COLOURS, vmin=0, vmax=MAX_ERROR_STOPS, interpolation="nearest")
    scores = evaluate_pictures(exposure[None], query)
    rmse, psnr = scores["log2_rmse", "all"].item(), scores["pu_psnr", "all"].item()
    text = f"RMSE {rmse:.2f} stops · PU21-PSNR {psnr:.1f} dB"
    _write(axes, text, at=(0.5, 0.0), offset=(0.0, -8.0), va="top", fontsize=_SMALL)


def _draw_colour_bar(figure: Figure, cell: Axes) -> None:
    bar = cell.inset_axes((0.08, 0.0, 0.09, 1.0))
    colours = ScalarMappable(Normalize(0, MAX_ERROR_STOPS), _ERROR_COLOURS)
    figure.colorbar(colours, cax=bar, ticks=range(int(MAX_ERROR_STOPS) + 1), extend="max")
    bar.tick_params(labelsize=_SMALL)
    cell.text(
        0.36,
        0.5,
        "error in stops\n\n1 stop: wrong\nby a factor of 2",
        transform=cell.transAxes,
        va="center",
        fontsize=_SMALL,
        color="0.3",
    )
