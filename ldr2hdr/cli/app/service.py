"""Work of the page: photographs one at a time, brackets, their results, cameras; all in one folder that goes away."""

import math
import secrets
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple, TypeVar

import numpy as np
from jaxtyping import Float
from torch import Tensor

from ldr2hdr.backbones.highlights.backbone import AbstractHighlightBackbone
from ldr2hdr.backbones.highlights.distribution import Statistic
from ldr2hdr.cli.app.preview import Shown, make_scene, show_exposures, shrink
from ldr2hdr.cli.app.uploads import Upload, in_owners_words, naming
from ldr2hdr.evaluation.report.pictures import Scene
from ldr2hdr.inference.convert import Converted, convert_photo
from ldr2hdr.inference.merging.api import curve_of, filler, notes_on, write_merged
from ldr2hdr.inference.merging.merging import Merged, MergeOptions, merge_bracket
from ldr2hdr.inference.merging.sets import as_bracket
from ldr2hdr.inference.outputs import Job
from ldr2hdr.inference.profiles.model import AdaptedCamera, Model
from ldr2hdr.inference.tiling import OnShare
from ldr2hdr.io import Photo, read_photo, read_radiance, write_image

_PROFILE: Final = "profile.ldr2hdr"
_READING: Final = 0.5  # of the work of adapting
_MERGING: Final = 0.9  # of the work of merging; the rest is written and shown
_MAX_RESULTS: Final = 4
_MAX_CAMERAS: Final = 8
_Kept = TypeVar("_Kept", "Result", "Camera")


class Result(NamedTuple):
    """Converted photograph, or merged bracket.

    Attributes:
        folder: Holds its files, and nothing else does.
        upload: The photograph, or the bracket's reference by the name of its first.
        converted: What was written, and notes on it.
        scene: For the viewer.
        exposures: Small pictures of the light, from dark to bright.
        camera: Key of the camera that it was made by; None for any.
        about: Words about that.
        highlights: What clipped light became; None if the network has one answer alone.
        is_merged: Whether it is of a bracket.
    """

    folder: Path
    upload: Upload
    converted: Converted
    scene: Scene
    exposures: tuple[Shown, ...]
    camera: str | None
    about: str
    highlights: Statistic | None = None
    is_merged: bool = False


class Camera(NamedTuple):
    """Camera that was learned from a bracket.

    Attributes:
        folder: Holds its profile.
        adapted: Network of the camera.
        title: Words for people.
    """

    folder: Path
    adapted: AdaptedCamera
    title: str

    @property
    def profile(self) -> Path:
        """Return the file that `ldr2hdr convert --camera` takes."""
        return self.folder / _PROFILE


class MergeChoices(NamedTuple):
    """Choices of a merge.

    Attributes:
        evs: Exposures in stops, in the order of the photographs; None if EXIF or their names tell.
        camera: A key of ``cameras``, which gives the response; None to estimate it from the bracket.
        options: As of `merge_bracket`.
    """

    evs: Sequence[float] | None = None
    camera: str | None = None
    options: MergeOptions = MergeOptions()


class Desk:
    """Converts, merges and adapts; not for two threads at once.

    Args:
        model: Network of any camera, which adapts.
        folder: For all files; it is the caller's to remove.
        max_pixels: Larger photographs are refused before they are decoded.
    """

    def __init__(self, model: Model, folder: Path, *, max_pixels: int) -> None:
        self._model = model
        self._folder = folder
        self._max_pixels = max_pixels
        self.results: dict[str, Result] = {}
        self.cameras: dict[str, Camera] = {}
        backbone = model.single_shot().backbone
        self.highlights = backbone.statistic if isinstance(backbone, AbstractHighlightBackbone) else None
        """What clipped light becomes if nobody asks for another; None if the network has one answer alone."""

    def make_folder(self) -> Path:
        """Make a folder for one task."""
        folder = self._folder / secrets.token_hex(8)
        folder.mkdir(mode=0o700)
        return folder

    def convert(
        self, upload: Upload, camera: str | None, on_share: OnShare, *, highlights: Statistic | None = None
    ) -> str:
        """Convert a photograph.

        Args:
            upload: The photograph, alone in its folder, which then is the result's.
            camera: A key of ``cameras``; None for a single shot.
            on_share: Called with the share that is done.
            highlights: What clipped light becomes, as of `ldr2hdr.load`; None for what the model was made for.

        Returns:
            A key of ``results``.

        Raises:
            ValueError: If the photograph is refused, or there is no such camera; the message is for its owner.
        """
        known = self._camera(camera)
        with naming(upload):
            job = Job(upload.path, upload.path.with_name("result.exr"))
            network = self._model.single_shot() if known is None else known.adapted.network
            network = network if highlights is None else network.reporting(highlights)
            reader = _Reader(self._max_pixels)
            converted = convert_photo(job, network, on_share=on_share, read=reader)
        words = f"by {known.title if known else 'any camera (single-shot)'}"
        chosen = self.highlights if highlights is None else highlights
        pictures = _pictures(reader.shown, read_radiance(job.output))
        result = Result(upload.path.parent, upload, converted, *pictures, camera, words, highlights=chosen)
        return _keep(self.results, result, most=_MAX_RESULTS)

    def merge(self, uploads: Sequence[Upload], choices: MergeChoices, on_share: OnShare) -> str:
        """Merge a bracket.

        Args:
            uploads: The photographs, alone in their folder, which then is the result's.
            choices: As of `ldr2hdr merge`.
            on_share: Called with the share that is done.

        Returns:
            A key of ``results``.

        Raises:
            ValueError: If the bracket is refused, or there is no such camera; the message is for its owner.
        """
        known = self._camera(choices.camera)
        adapted = None if known is None else known.adapted
        with naming(*uploads):
            paths, names = [upload.path for upload in uploads], [upload.name for upload in uploads]
            merged = merge_bracket(
                as_bracket(paths, evs=choices.evs, names=names),
                choices.options,
                log_curve=None if adapted is None else curve_of(adapted.network),
                network=filler(adapted, self._model),
                on_share=lambda share: on_share(_MERGING * share),
                max_pixels=self._max_pixels,
            )
            reference = uploads[merged.reference]
            output = reference.path.with_name("result.exr")
            reader = _Reader(self._max_pixels)
            lost = write_merged(merged, output, read=reader)
        for upload in uploads:
            if upload != reference:
                upload.path.unlink()
        notes = in_owners_words("; ".join(notes_on(merged, lost)), uploads)
        words = _describe_merge(merged, reference=reference.name, camera=known)
        named = reference._replace(name=uploads[0].name)
        pictures = _pictures(reader.shown, merged.exposure)
        result = Result(output.parent, named, _as_converted(merged, output, notes), *pictures, choices.camera, words)
        return _keep(self.results, result._replace(is_merged=True), most=_MAX_RESULTS)

    def ultrahdr(self, result: Result) -> Path:
        """Return the result as an Ultra HDR JPEG, made when it is first asked for.

        Raises:
            ValueError: If the light cannot be stored so.
        """
        path = result.folder / "result.jpg"
        if not path.exists():
            exposure = read_radiance(result.converted.output)
            photo = read_photo(result.upload.path, max_pixels=self._max_pixels)
            write_image(path, exposure, format="ultrahdr", photo=photo, replaces_gain_map=result.is_merged)
        return path

    def adapt(self, uploads: Sequence[Upload], evs: Sequence[float] | None, on_share: OnShare) -> str:
        """Learn a camera from a bracket.

        Args:
            uploads: The photographs, alone in their folder, which then is the camera's.
            evs: Exposures in stops, in the order of the photographs; None to take EXIF's.
            on_share: Called with the share that is done.

        Returns:
            A key of ``cameras``.

        Raises:
            ValueError: If the bracket is refused; the message is for its owner.
        """
        folder = uploads[0].path.parent
        with naming(*uploads):
            is_checked = len(uploads) > 2 or self._model.compares_pairs
            adapted = self._model.adapt(
                folder,
                evs=evs,
                is_checked=is_checked,
                max_pixels=self._max_pixels,
                on_share=lambda share: on_share(_READING * share),
            )
        for upload in uploads:
            upload.path.unlink()
        adapted.save(folder / _PROFILE)
        return _keep(self.cameras, Camera(folder, adapted, _describe(adapted)), most=_MAX_CAMERAS)

    def _camera(self, key: str | None) -> Camera | None:
        if key is not None and key not in self.cameras:
            raise ValueError("that camera is gone: load the page again, and teach it anew")
        return None if key is None else self.cameras[key]


class _Reader:
    """Reads a photograph of an allowed size, and keeps of its pixels what the page shows."""

    def __init__(self, max_pixels: int) -> None:
        self._max_pixels = max_pixels
        self.shown: Float[np.ndarray, "3 _ _"] = np.empty((3, 0, 0))

    def __call__(self, path: Path) -> Photo:
        photo = read_photo(path, max_pixels=self._max_pixels)
        self.shown = shrink(photo.ldr)
        return photo


def _pictures(photo: Float[np.ndarray, "3 _ _"], exposure: Float[Tensor, "3 _ _"]) -> tuple[Scene, tuple[Shown, ...]]:
    light = shrink(exposure)
    scene = make_scene(photo, light)
    return scene, show_exposures(light, darkest=scene.about["darkest"])


def _as_converted(merged: Merged, output: Path, notes: str) -> Converted:
    _, height, width = merged.exposure.shape
    peak = float(merged.exposure.max())
    return Converted(output, width, height, math.log2(peak) if peak > 0 else -math.inf, None, notes or None)


def _describe_merge(merged: Merged, *, reference: str, camera: Camera | None) -> str:
    evs, source = merged.bracket.evs, merged.bracket.source
    response = f"; response of {camera.title}" if camera else ""
    return (
        f"merged from {len(evs)} photographs {max(evs) - min(evs):.1f} stops apart by {source}; reference {reference}"
        f"{response}"
    )


def _keep(kept: dict[str, _Kept], new: _Kept, *, most: int) -> str:
    """Keep by a key that nobody guesses, and let go of the oldest."""
    key = secrets.token_urlsafe(16)
    kept[key] = new
    while len(kept) > most:
        old = kept.pop(next(iter(kept)))
        shutil.rmtree(old.folder, ignore_errors=True)
    return key


def _describe(adapted: AdaptedCamera) -> str:
    profile = adapted.profile
    words = f"{profile.camera or 'camera not named by EXIF'}, from {profile.num_frames} photographs"
    if profile.check is None:
        return words
    after = profile.check.stops[profile.steps]
    checked = f"{profile.check.single_shot_stops:.2f} stops off before, {after:.2f} after"
    left_out = sum(len(scene.left_out) for scene in profile.verification.scenes) if profile.verification else 0
    return f"{words}{f', {left_out} left out' if left_out else ''}: {checked}"
