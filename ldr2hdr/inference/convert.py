"""Conversion of one photograph to an HDR file."""

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from ldr2hdr.inference.outputs import Job, formats_of
from ldr2hdr.inference.tiling import OnShare, Read, reconstruct_bands
from ldr2hdr.inference.uncertainty import LAYERS, Uncertainty, assess, vary
from ldr2hdr.io import Photo, read_photo, write_image
from ldr2hdr.io.exr import HALF_MAX
from ldr2hdr.io.preview import preview_path, write_preview
from ldr2hdr.reconstructor import BoundReconstructor


class Converted(NamedTuple):
    """HDR file that a conversion wrote.

    Attributes:
        output: The HDR file.
        width: In pixels.
        height: In pixels.
        stops_above_white: The brightest value of any channel relative to the sensor's white, in stops; minus
            infinity if the picture is black.
        camera: That took the photograph, by EXIF; None if unknown.
        exif_damage: What of its EXIF cannot be read, or has no room or place in the file, or that its own gain map was
            kept, in a line; None if there is nothing to say.
    """

    output: Path
    width: int
    height: int
    stops_above_white: float
    camera: str | None = None
    exif_damage: str | None = None


def reconstruct_photo(ldr: Float[Tensor, "3 h w"], network: BoundReconstructor) -> Float[Tensor, "3 h w"]:
    """Reconstruct sensor exposure of a photograph, on the CPU; arguments and errors as for `convert_photo`."""
    size = (ldr.shape[1], ldr.shape[2])
    return _gather(reconstruct_bands(network, _reader(ldr), size=size), size, dtype=torch.float32).picture


def assess_photo(ldr: Float[Tensor, "3 h w"], network: BoundReconstructor, *, tone_error_stops: float) -> Uncertainty:
    """Compute how uncertain the result of `reconstruct_photo` is; arguments and errors as for `convert_photo`."""
    size = (ldr.shape[1], ldr.shape[2])
    bands = reconstruct_bands(network, _reader(ldr), size=size, has_spread=network.has_distribution)
    bands = _with_uncertainty(ldr, bands, network, strength=1.0, tone_error_stops=tone_error_stops)
    return Uncertainty(*_gather(bands, size, dtype=torch.float32).picture[3:])


def limit_highlights(exposure: Float[Tensor, "*s"], strength: float) -> Float[Tensor, "*s"]:
    """Take back part of what is above white, in stops; what is below stays as it is.

    Args:
        exposure: Sensor exposure.
        strength: 1 for all that was reconstructed; 0 for nothing above white, the photograph linearised.

    Example:
        >>> limit_highlights(torch.tensor([0.5, 1.0, 16.0]), 0.5)
        tensor([0.5000, 1.0000, 4.0000])
    """
    return exposure if strength == 1 else exposure.clamp_max(1) * exposure.clamp_min(1).pow(strength)


def convert_photo(
    job: Job,
    network: BoundReconstructor,
    *,
    strength: float = 1.0,
    is_half: bool = True,
    tone_error_stops: float | None = None,
    on_share: OnShare | None = None,
    replaces_gain_map: bool = False,
    has_preview: bool = False,
    read: Callable[[Path], Photo] = read_photo,
) -> Converted:
    """Read, reconstruct, write: the HDR file is there whole or not at all.

    Args:
        job: What to convert to what; the extension gives the format.
        network: Of the camera, or of any; it works on tiles, on the device that it is on.
        strength: How much of what is above white is kept, see `limit_highlights`.
        is_half: Store 16-bit floats where the format has them and the values fit.
        tone_error_stops: Error of the camera's tones, the least that ``sigma`` is. Given, the channels of
            `ldr2hdr.inference.uncertainty` are written too, which takes three reconstructions of a network that knows
            no distribution. None leaves them out.
        on_share: Called with the share that is done, as `reconstruct_bands` does.
        replaces_gain_map: In Ultra HDR, put the new gain map in the place of one that the photograph has.
        has_preview: Write a tone-mapped JPEG beside the file.
        read: Reads the photograph, once; its pixels are not kept for longer than needed.

    Raises:
        ImageError: If the photograph cannot be read, or the reconstruction cannot be stored.
        ValueError: If the photograph is large, and the network cannot work on tiles.
    """
    photo = read(job.photo)
    network = network.taken_at(photo.source.shot.absolute_ev)
    height, width = photo.ldr.shape[1:]
    has_spread = tone_error_stops is not None and network.has_distribution
    bands = reconstruct_bands(
        network, _reader(photo.ldr), size=(height, width), on_share=on_share, has_spread=has_spread
    )
    bands = (_limited(band, strength) for band in bands)
    if tone_error_stops is not None:
        bands = _with_uncertainty(photo.ldr, bands, network, strength=strength, tone_error_stops=tone_error_stops)
    gathered = _gather(bands, (height, width), dtype=torch.float16 if is_half else torch.float32)
    (format, *_) = formats_of(job.output)
    if format != "ultrahdr":
        photo = _without_pixels(photo)  # writing takes as much memory again
    layers = dict(zip(LAYERS, gathered.picture[3:], strict=False))
    lost = write_image(
        job.output,
        gathered.picture[:3],
        format=format,
        photo=photo,
        layers=layers,
        is_half=is_half,
        replaces_gain_map=replaces_gain_map,
    )
    if has_preview:
        write_preview(preview_path(job.output), gathered.picture[:3])
    stops = math.log2(gathered.peak) if gathered.peak > 0 else -math.inf
    source = photo.source
    damage = "; ".join(told for told in (source.exif_damage, lost) if told) or None
    return Converted(job.output, width, height, stops, source.shot.camera, damage)


class _Gathered(NamedTuple):
    picture: Float[Tensor, "c h w"]
    peak: float


def _reader(ldr: Float[Tensor, "3 h w"]) -> Read:
    return lambda *window: ldr[:, *window]


def _with_uncertainty(
    ldr: Float[Tensor, "3 h w"],
    bands: Iterator[Float[Tensor, "c _ w"]],
    network: BoundReconstructor,
    *,
    strength: float,
    tone_error_stops: float,
) -> Iterator[Float[Tensor, "6 _ w"]]:
    """Put the channels of `ldr2hdr.inference.uncertainty` below the colours, in place of what a distribution gave."""
    top = 0
    for made, spread in _with_others(ldr, bands, network, strength=strength):
        rows = slice(top, top + made[0].shape[1])
        layers = assess(ldr[:, rows], made, tone_error_stops=tone_error_stops, spread=spread)
        yield torch.cat([made[0], torch.stack(layers)])
        top = rows.stop


def _with_others(
    ldr: Float[Tensor, "3 h w"],
    bands: Iterator[Float[Tensor, "c _ w"]],
    network: BoundReconstructor,
    *,
    strength: float,
) -> Iterator[tuple[list[Float[Tensor, "3 _ w"]], Float[Tensor, "3 _ w"] | None]]:
    """Exposures of a photograph and of two as good, and the spread: of the bands, or by two reconstructions more."""
    if network.has_distribution:
        for band in bands:
            exposure, spread, *others = torch.split(band, 3)
            yield [exposure, *others], spread
        return
    varied = [reconstruct_bands(network, read, size=(ldr.shape[1], ldr.shape[2])) for read in vary(ldr)]
    for band, darker, mirrored in zip(bands, *varied, strict=True):
        yield [band, *(limit_highlights(other, strength) for other in (darker, mirrored.flip(2)))], None


def _limited(band: Float[Tensor, "c _ w"], strength: float) -> Float[Tensor, "c _ w"]:
    """Take back highlights of all exposures of a band, and of their spread."""
    # exposure, spread, exposures of others; or exposure alone
    parts = [
        part * strength if at == 1 else limit_highlights(part, strength) for at, part in enumerate(torch.split(band, 3))
    ]
    return torch.cat(parts)


def _without_pixels(photo: Photo) -> Photo:
    return photo._replace(ldr=photo.ldr.new_empty(3, 0, 0))


def _gather(bands: Iterator[Float[Tensor, "c _ w"]], size: tuple[int, int], *, dtype: torch.dtype) -> _Gathered:
    """Put bands together, in half precision only as long as it can hold them, as in the files."""
    rows, top, peak = torch.empty(0, dtype=dtype), 0, 0.0
    for band in bands:
        if top == 0:
            rows = torch.empty(*size, len(band), dtype=dtype)
        brightest = band[:3].max().item()
        if brightest > HALF_MAX and rows.dtype == torch.float16:
            rows = rows.float()
        rows[top : top + band.shape[1]] = band.movedim(0, -1)
        top += band.shape[1]
        peak = max(peak, brightest)
    return _Gathered(rows.movedim(-1, 0), peak)
