"""Merging for people with photographs: files or a folder in, the light of the scene out."""

import functools
import math
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from ldr2hdr.calibration.curve import MAX_LEVEL, NUM_LEVELS
from ldr2hdr.inference.merging.merging import Merged, MergeOptions, merge_bracket
from ldr2hdr.inference.merging.sets import BracketFiles, as_bracket, find_brackets, list_photographs
from ldr2hdr.inference.outputs import formats_of
from ldr2hdr.inference.profiles.brackets import RefusedBracket
from ldr2hdr.inference.profiles.model import AdaptedCamera, Model, load
from ldr2hdr.inference.uncertainty import LAYERS
from ldr2hdr.io import Photo, read_photo, write_image
from ldr2hdr.io.preview import preview_path, write_preview
from ldr2hdr.reconstructor import BoundReconstructor

_PATCH_PX = 16


def merge(
    *photos: Path | str,
    evs: Sequence[float] | None = None,
    camera: AdaptedCamera | None = None,
    model: Model | None = None,
    reference: int | None = None,
    anchor: float | None = None,
    aligns: bool = True,
    deghosts: bool = True,
) -> Merged:
    """Merge the exposures of one scene.

    Args:
        photos: Files, or one folder that holds one bracket.
        evs: Exposures in stops, in the order of the files, those of a folder by name; None for what ``exposures.csv``,
            EXIF or the names say.
        camera: Gives the response, and fills what is white in all exposures; None to estimate it from the bracket.
        model: Fills, without a camera; None for the model that ships with the package.
        reference: Number of the photograph that stays where it is, 1 for the first; None for the best exposed.
        anchor: Exposure in stops whose white is 1 in the result, so that several sets have one scale: ``log2`` of
            ``time / f_number**2 * ISO / 100``, or as ``evs`` has it. None for the reference's.
        aligns: Find how the camera moved.
        deghosts: Take what moved in the scene from the reference alone.

    Raises:
        ImageError: If a photograph cannot be read.
        RefusedBracket: If the photographs are no bracket; the message says why.
    """
    bracket = _bracket_of([Path(photo) for photo in photos], evs)
    options = MergeOptions(None if reference is None else reference - 1, anchor, aligns, deghosts)
    curve = None if camera is None else curve_of(camera.network)
    return merge_bracket(bracket, options, log_curve=curve, network=filler(camera, model))


def _bracket_of(paths: list[Path], evs: Sequence[float] | None) -> BracketFiles:
    if len(paths) != 1 or not paths[0].is_dir():
        return as_bracket(paths, evs=evs)
    if evs is not None:
        return as_bracket(list_photographs(paths[0]), evs=evs)
    found = find_brackets(paths[0])
    if len(found.brackets) > 1:
        raise RefusedBracket(
            f"expected one bracket, the folder holds {len(found.brackets)}; name the files of one: {paths[0]}"
        )
    return found.brackets[0]


def filler(camera: AdaptedCamera | None, model: Model | None) -> Callable[[], BoundReconstructor]:
    """Return what gives the network that fills, loaded when it is first needed."""
    if camera is not None:
        return functools.partial(getattr, camera, "network")

    def give() -> BoundReconstructor:
        return (load() if model is None else model).single_shot()

    return functools.cache(give)


@torch.inference_mode()
def curve_of(network: BoundReconstructor) -> Float[Tensor, "256 3"]:
    """Return the log inverse response that a camera's network begins with: what it makes of even grey pictures."""
    grey = torch.arange(NUM_LEVELS, dtype=torch.float32) / (NUM_LEVELS - 1)
    pictures = grey.view(-1, 1, 1, 1).expand(-1, 3, _PATCH_PX, _PATCH_PX).to(network.device)
    light = network.response.linearize(pictures, network.weights).mean(dim=(2, 3)).double().cpu()
    curve = light.clamp_min(2.0**-24).log().cummax(dim=0).values
    return curve - curve[MAX_LEVEL]


def notes_on(merged: Merged, lost: str | None = None) -> list[str]:
    """Return what people should know of a merge, a line each.

    Args:
        merged: The merge.
        lost: What `write_merged` had no room for.
    """
    notes = []
    farthest = max(math.hypot(*motion.shift_px) for motion in merged.motions)
    turned = max(abs(math.degrees(motion.turn_rad)) for motion in merged.motions)
    if farthest >= 0.5 or turned >= 0.05:
        notes.append(f"aligned, by up to {farthest:.1f} pixels and {turned:.2f} degrees")
    if merged.unaligned:
        names = ", ".join(path.name for path in merged.unaligned)
        notes.append(f"too little in common with the others to align: {names}; taken as not moved")
    if merged.moved_share > 0.001:
        notes.append(f"something moved in {merged.moved_share:.1%} of the picture, which is the reference's there")
    if merged.clipped_share > 0:
        what = "filled by the network" if merged.is_filled else "a lower bound"
        notes.append(f"white in every photograph: {merged.clipped_share:.2%} of the pixels, {what}")
    return [*notes, lost] if lost else notes


def write_merged(
    merged: Merged,
    output: Path,
    *,
    is_half: bool = True,
    has_preview: bool = False,
    read: Callable[[Path], Photo] = read_photo,
) -> str | None:
    """Write a merge in the format of the name, with the reference's EXIF; in ``.exr`` with its uncertainty.

    Args:
        merged: The merge.
        output: Its extension says the format.
        is_half: Store 16-bit floats where the format has them and the values fit.
        has_preview: Write a tone-mapped JPEG beside it.
        read: Reads the reference, once; its pixels are not kept for longer than needed.

    Returns:
        What has no room or no place in the file, in a line; None if there is nothing to say.

    Raises:
        ImageError: If it cannot be stored.
    """
    (format, *_) = formats_of(output)
    photo = read(merged.bracket.paths[merged.reference])
    if format != "ultrahdr":
        photo = photo._replace(ldr=photo.ldr.new_empty(3, 0, 0))
    elif photo.source.jpeg is not None and photo.source.icc is None:
        # an sRGB JPEG is the base as it is: of the pixels only the size is looked at, and writing needs the memory
        photo = photo._replace(ldr=photo.ldr.new_zeros(1, 1, 1).expand(photo.ldr.shape))
    layers = dict(zip(LAYERS, merged.uncertainty, strict=True)) if format == "exr" else {}
    if has_preview:
        write_preview(preview_path(output), merged.exposure)
    return write_image(
        output,
        merged.exposure,
        format=format,
        photo=photo,
        layers=layers,
        is_half=is_half,
        replaces_gain_map=True,
    )
