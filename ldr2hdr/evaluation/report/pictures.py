"""Viewer of a report: sampled pictures as data."""

import base64
import json
import math
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import cv2
import numpy as np
from matplotlib import colormaps

from ldr2hdr.evaluation.report.encoding import FLOOR, MAX_EV, STEPS_PER_STOP, Packed, encode_light, pack
from ldr2hdr.evaluation.report.lines import TableKey
from ldr2hdr.evaluation.report.runs import Evaluation
from ldr2hdr.evaluation.samples import Output, Sample
from ldr2hdr.io import read_ldr, read_radiance

_THUMBNAIL_PX: Final = 68
ERROR_STOPS: Final = 3
ERROR_COLOURS: Final = "magma"  # as in panel.png
SIGNED_COLOURS: Final = "berlin"
_DARKEST_EV, _LEAST_DARK_EV = -16, -4
_FRAME_BYTES: Final = 500  # of elements around a picture, generously
# Numbers of the first two pictures of a scene; outputs follow
_PHOTO, _TRUTH = 0, 1


class Scene(NamedTuple):
    """A sample as the page holds it.

    Attributes:
        about: What the viewer's script reads.
        blobs: Base64 of each picture, in the order of ``about["pictures"]``.
        thumbnail: Data URI of a small JPEG.
    """

    about: dict[str, Any]
    blobs: tuple[str, ...]
    thumbnail: str

    @property
    def size(self) -> int:
        """Return the bytes on the page, at most."""
        text = len(json.dumps(self.about)) + 2 * len(self.about["place"].encode()) + _FRAME_BYTES
        return text + len(self.thumbnail) + sum(len(blob) + _FRAME_BYTES for blob in self.blobs)


class Chosen(NamedTuple):
    """Scenes that fit, and how many there are."""

    scenes: list[Scene]
    num_samples: int


def choose_scenes(evaluations: Sequence[Evaluation], *, max_bytes: int, max_scenes: int) -> Chosen:
    """Encode samples while there is room, in turn from every evaluation."""
    queues = [[(evaluation, sample) for sample in evaluation.samples] for evaluation in evaluations]
    longest = max(map(len, queues), default=0)
    waiting = [queue[index] for index in range(longest) for queue in queues if index < len(queue)]
    chosen = Chosen([], len(waiting))
    room = max_bytes
    for evaluation, sample in waiting[:max_scenes]:
        scene = encode_scene(evaluation, sample)
        room -= scene.size
        if room < 0:
            break
        chosen.scenes.append(scene)
    return chosen


def encode_scene(evaluation: Evaluation, sample: Sample) -> Scene:
    """Pack the photograph, the truth and every system that the tables show."""
    key = TableKey(sample.camera_family, sample.ranges, evaluation.judged.support.words)
    table = evaluation.tables.get(key)
    hidden = table.hidden if table else frozenset()
    outputs = _ordered([output for output in sample.outputs if output.stage not in hidden])
    levels = (read_ldr(sample.ldr).numpy() * 255).round().astype(np.int32)
    packed: list[Packed] = [pack(levels)]
    light: list[np.ndarray] = []
    for path in (sample.truth, *(output.path for output in outputs)):
        codes = encode_light(np.moveaxis(read_radiance(path).numpy(), 0, -1))
        packed.append(pack(codes, levels=levels, earlier=light))
        light.append(codes)
    names = ["photograph", "truth", *(str(output.stage) for output in outputs)]
    scores: list[dict[str, float]] = [{}, {}, *(output.scores for output in outputs)]
    main = str(table.main) if table else ""
    about = {
        "place": sample.place,
        "camera": sample.camera,
        "table": key.title,
        "key": key,
        "run": evaluation.name,
        "seed": sample.seed,
        "height": levels.shape[1],
        "width": levels.shape[2],
        "darkest": _darkest_ev(light),
        "right": names.index(main) if main in names else len(names) - 1,
        "pictures": [
            {"name": name, "base": _page_number(one.base), "smoothed": one.is_smoothed, "scores": numbers}
            for name, one, numbers in zip(names, packed, scores, strict=True)
        ],
    }
    return Scene(about, tuple(one.data for one in packed), _thumbnail(levels))


def viewer_data(scenes: Sequence[Scene]) -> dict[str, Any]:
    """Return what the script needs beside the pictures."""
    return {
        "stepsPerStop": STEPS_PER_STOP,
        "floor": FLOOR,
        "maxEv": MAX_EV,
        "errorStops": ERROR_STOPS,
        "colours": {"error": _colours(ERROR_COLOURS), "signed": _colours(SIGNED_COLOURS)},
        "scenes": [scene.about for scene in scenes],
    }


def _ordered(outputs: Sequence[Output]) -> list[Output]:
    """Sort the outputs of one system after each other, so that each is predicted from the one before."""
    series = [output.stage._replace(steps=None) for output in outputs]
    return sorted(
        outputs, key=lambda output: (series.index(output.stage._replace(steps=None)), output.stage.steps or 0)
    )


def gradient(name: str) -> str:
    """Return the stops of a colour map for a style sheet."""
    colours = (colormaps[name](np.linspace(0, 1, 17))[:, :3] * 255).round().astype(int)
    return ",".join(f"rgb({red},{green},{blue})" for red, green, blue in colours)


def _page_number(base: object) -> object:
    """Return the number on the page, where the photograph comes before the pictures of light."""
    return base + _TRUTH if isinstance(base, int) else base


def _darkest_ev(light: Sequence[np.ndarray]) -> int:
    """Return the exposure at which nothing is clipped any more, in whole stops."""
    brightest = max(int(codes.max()) for codes in light) / STEPS_PER_STOP + math.log2(FLOOR)
    return max(_DARKEST_EV, min(_LEAST_DARK_EV, -math.ceil(brightest)))


def _thumbnail(levels: np.ndarray) -> str:
    _, height, width = levels.shape
    scale = 2 * _THUMBNAIL_PX / min(height, width)
    small = cv2.resize(
        np.ascontiguousarray(np.moveaxis(levels, 0, -1)[..., ::-1].astype(np.uint8)),
        (max(1, round(width * scale)), max(1, round(height * scale))),
        interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR,
    )
    return jpeg_uri(small, quality=78)


def jpeg_uri(levels: np.ndarray, *, quality: int) -> str:
    """Return ``(H, W, 3)`` levels of blue, green and red as the data URI of a JPEG."""
    _, data = cv2.imencode(".jpg", levels, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return f"data:image/jpeg;base64,{base64.b64encode(data.tobytes()).decode('ascii')}"


def _colours(name: str) -> str:
    """256 colours as base64 of red, green, blue."""
    table = (colormaps[name](np.linspace(0, 1, 256))[:, :3] * 255).round().astype(np.uint8)
    return base64.b64encode(table.tobytes()).decode("ascii")
