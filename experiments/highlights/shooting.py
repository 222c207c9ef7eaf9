"""Photographs of rendered views by virtual cameras, with what a response stage makes of them, and the truth."""

from collections.abc import Sequence
from typing import Final, NamedTuple

import cv2
import numpy as np
import torch
from curves import Belief, Curves, draw_belief, draw_camera
from jaxtyping import Bool, Float
from recipe import BELIEFS, Recipe
from torch import Tensor
from views import Scene, Views

from ldr2hdr.calibration.curve import NUM_LEVELS, levels_of, look_up
from ldr2hdr.data.cameras.development import Jpeg, Quantise, Response
from ldr2hdr.data.cameras.dorf import TableCurve
from ldr2hdr.data.cameras.stages import Clip, Noise

_WHITE: Final = NUM_LEVELS - 1
# A sun beyond is a sun
_MOST_STOPS: Final = 9.0
# Levels by which truth and belief are brought to one scale, and the least number of such pixels
_ALIGNED_BY: Final = (12, 240)
_LEAST_PX: Final = 300
# Variance of the noise in units of white: of one photon's light, and of the dark, as powers of two
_SHOT: Final = (-17.0, -11.0)
_READ: Final = (-24.0, -15.0)
_OTHER_SHAPES: Final = (1.5, 16 / 9, 1.0)
# Least level that is drawn, in stops over white, and the least and most by which a view's is multiplied
_LEAST_LEVEL: Final = 0.15
_FACTORS: Final = (0.3, 4.0)


class Example(NamedTuple):
    """Photographs, what is believed of them, and the truth; one, or a batch.

    Attributes:
        ldr: In [0, 1].
        linear: Exposure by the believed curve, 1 at level 250.
        stops: True log2 exposure, on the scale of ``linear``.
        is_censored: Where the truth is as much as that or more.
    """

    ldr: Float[Tensor, "*b 3 h w"]
    linear: Float[Tensor, "*b 3 h w"]
    stops: Float[Tensor, "*b 3 h w"]
    is_censored: Bool[Tensor, "*b 3 h w"]


def draw_batch(
    shapes: Sequence[Views], weights: Sequence[np.ndarray], *, curves: Curves, recipe: Recipe, step: int
) -> Example:
    """Photograph random views of one shape, at times cut to another: a function of the recipe's seed and the step.

    Args:
        shapes: Landscape views, and portrait ones.
        weights: How often each of them is drawn.
        curves: Of the cameras.
        recipe: Of the training.
        step: Number of the batch.
    """
    generator = np.random.default_rng((recipe.seed, step))
    shape = int(generator.random() < 0.35)
    views, odds = shapes[shape], weights[shape]
    picks = generator.choice(len(odds), recipe.batch, p=odds / odds.sum())
    shot = [shoot(views[int(pick)], curves=curves, recipe=recipe, generator=generator) for pick in picks]
    batch = stack(shot)
    return _cut(batch, generator) if generator.random() < 0.4 else batch


def stack(examples: Sequence[Example]) -> Example:
    """Make a batch of examples of one size."""
    return Example(*(torch.stack(parts) for parts in zip(*examples, strict=True)))


def shoot(scene: Scene, *, curves: Curves, recipe: Recipe, generator: np.random.Generator) -> Example:
    """Take a photograph for training: the scene mirrored, a little brighter or darker, its highlights relit."""
    if generator.random() < 0.5:
        scene = Scene(scene.stops[..., ::-1], scene.is_censored[..., ::-1])
    stops = scene.stops + np.float32(generator.normal(0, 0.1))
    stops = _relight(stops, recipe, generator)
    camera = draw_camera(curves, generator, is_held_out=False)
    kinds = list(BELIEFS)
    belief = draw_belief(camera, curves, generator, kind=kinds[generator.choice(len(kinds), p=list(BELIEFS.values()))])
    return _expose(Scene(stops, scene.is_censored), camera, belief, mixed=recipe.mixed, generator=generator)


def _relight(
    stops: Float[np.ndarray, "3 h w"], recipe: Recipe, generator: np.random.Generator
) -> Float[np.ndarray, "3 h w"]:
    """Give what all channels clip more light or less, so that its mean level is in part drawn, and not the place's own.

    How bright a real lamp or window is hardly follows from how much of the picture it clips, as it does in views of
    few places: what a network learns of that from them misleads it on photographs. Channels change alike, and so hues
    stay.
    """
    common = stops.min(axis=0).clip(0)
    is_full = common > 0
    own = float(common[is_full].mean()) if is_full.any() else 0.0
    drawn = max(generator.normal(recipe.level_stops, recipe.level_deviation), _LEAST_LEVEL)
    factor = (own + recipe.level * (drawn - own)) / max(own, _LEAST_LEVEL)
    stretch = 1 + generator.uniform(0, recipe.stretch)
    return stops + np.float32(np.clip(factor, *_FACTORS) * stretch - 1) * common


def shoot_held_out(
    scene: Scene, *, curves: Curves, kind: Belief, mixed: float, generator: np.random.Generator
) -> Example:
    """Take a photograph for validation: the scene as it is, by a camera of a held-out curve."""
    camera = draw_camera(curves, generator, is_held_out=True)
    belief = draw_belief(camera, curves, generator, kind=kind)
    return _expose(scene, camera, belief, mixed=mixed, generator=generator)


def develop(
    exposure: Float[Tensor, "1 3 h w"],
    camera: Float[np.ndarray, "3 256"],
    generator: np.random.Generator,
    *,
    blur_px: float,
) -> Float[Tensor, "1 3 h w"]:
    """Turn exposure, 1 at level 250, into a photograph in [0, 1]."""
    noise = torch.Generator().manual_seed(int(generator.integers(2**62)))
    shot, read = (_WHITE * 2.0 ** (generator.uniform(*powers) / 2) for powers in (_SHOT, _READ))
    # the curve's own scale has 1 at level 255
    scaled = exposure_at_white(Noise(shot, read)(exposure, noise), camera)
    picture = Response(TableCurve(_table(camera)))(Clip()(scaled, noise), noise)
    if blur_px:
        picture = _blur(picture, blur_px)
    picture = Quantise()(picture, noise)
    if generator.random() < 0.9:
        picture = Jpeg(int(generator.integers(70, 99)))(picture, noise)
    return picture


def exposure_at_white(exposure: Float[Tensor, "1 3 h w"], camera: Float[np.ndarray, "3 256"]) -> Tensor:
    """Return exposure in units of each channel's level 255."""
    return exposure / torch.from_numpy(2.0 ** camera[:, -1:, None]).to(exposure)


def find_offset(believed: Float[Tensor, "3 h w"], stops: Float[Tensor, "3 h w"], levels: Tensor) -> Float[Tensor, ""]:
    """Return the median difference of log2 exposures on well-exposed pixels; 0 if there are few."""
    low, high = _ALIGNED_BY
    every = (slice(None), slice(None, None, 2), slice(None, None, 2))
    is_used = ((levels[every] > low) & (levels[every] < high)).all(dim=0)
    difference = (believed - stops)[every][:, is_used]
    return difference.median() if difference.numel() > _LEAST_PX else difference.new_zeros(())


def _expose(
    scene: Scene,
    camera: Float[np.ndarray, "3 256"],
    belief: Float[np.ndarray, "3 256"],
    *,
    mixed: float,
    generator: np.random.Generator,
) -> Example:
    """Photograph a scene, and bring the truth to the scale of what is believed of the photograph."""
    exposure = torch.from_numpy(np.exp2(scene.stops))[None]
    blur_px = generator.uniform(0.4, 0.9) if generator.random() < mixed else 0.0
    ldr = develop(exposure, camera, generator, blur_px=blur_px)[0]
    # photographs come scaled down: their light is mixed as their levels are
    stops = torch.log2(_blur(exposure, blur_px) if blur_px else exposure)[0]
    levels = levels_of(ldr)
    believed = look_up(torch.from_numpy(belief), levels).float()
    stops = stops + find_offset(believed, stops, levels)
    is_censored = torch.from_numpy(scene.is_censored.copy()) | (stops > _MOST_STOPS)
    return Example(ldr, torch.exp2(believed), stops.clamp_max(_MOST_STOPS), is_censored)


def _blur(picture: Float[Tensor, "1 3 h w"], sigma_px: float) -> Float[Tensor, "1 3 h w"]:
    """Blur over 3 x 3 pixels."""
    rows = np.ascontiguousarray(picture[0].permute(1, 2, 0).numpy())
    return torch.from_numpy(cv2.GaussianBlur(rows, (3, 3), sigma_px)).permute(2, 0, 1)[None]


def _table(camera: Float[np.ndarray, "3 256"]) -> tuple[tuple[float, ...], tuple[float, ...], tuple[float, ...]]:
    """Return exposure by level as `TableCurve` has it: from 0 to 1."""
    table = np.exp2(camera - camera[:, -1:])
    table[:, 0] = 0
    red, green, blue = (tuple(channel) for channel in table.tolist())
    return red, green, blue


def _cut(batch: Example, generator: np.random.Generator) -> Example:
    """Cut the pictures to a square of the shorter side, or to 3:2 or 16:9."""
    height, width = batch.ldr.shape[-2:]
    longer, shorter = max(height, width), min(height, width)
    ratio = generator.choice(_OTHER_SHAPES)
    across = shorter if ratio == 1 else round(longer / ratio)
    along = shorter if ratio == 1 else longer
    rows, columns = (across, along) if width > height else (along, across)
    top, left = int(generator.integers(height - rows + 1)), int(generator.integers(width - columns + 1))
    return Example(*(part[..., top : top + rows, left : left + columns].contiguous() for part in batch))
