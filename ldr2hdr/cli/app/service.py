"""Work of the page: photographs one at a time, their results, cameras; all in one folder that goes away."""

import secrets
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple, TypeVar

from ldr2hdr.cli.app.preview import make_scene, shrink
from ldr2hdr.cli.app.uploads import Upload, naming
from ldr2hdr.evaluation.report.pictures import Scene
from ldr2hdr.inference.convert import Converted, convert_photo
from ldr2hdr.inference.outputs import Job
from ldr2hdr.inference.profiles.model import AdaptedCamera, Model
from ldr2hdr.inference.tiling import OnShare
from ldr2hdr.io import read_photo, read_radiance, write_image

_PROFILE: Final = "profile.ldr2hdr"
_READING: Final = 0.5  # of the work of adapting
_MAX_RESULTS: Final = 4
_MAX_CAMERAS: Final = 8
_Kept = TypeVar("_Kept", "Result", "Camera")


class Result(NamedTuple):
    """Converted photograph.

    Attributes:
        folder: Holds its files, and nothing else does.
        upload: The photograph.
        converted: What the conversion wrote.
        scene: For the viewer.
        camera: Key of the camera that it was converted by; None for a single shot.
        about: Words about that.
    """

    folder: Path
    upload: Upload
    converted: Converted
    scene: Scene
    camera: str | None
    about: str


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


class Desk:
    """Converts and adapts; not for two threads at once.

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

    def make_folder(self) -> Path:
        """Make a folder for one task."""
        folder = self._folder / secrets.token_hex(8)
        folder.mkdir(mode=0o700)
        return folder

    def convert(self, upload: Upload, camera: str | None, on_share: OnShare) -> str:
        """Convert a photograph.

        Args:
            upload: The photograph, alone in its folder, which then is the result's.
            camera: A key of ``cameras``; None for a single shot.
            on_share: Called with the share that is done.

        Returns:
            A key of ``results``.

        Raises:
            ValueError: If the photograph is refused, or there is no such camera; the message is for its owner.
        """
        known = None if camera is None else self.cameras.get(camera)
        if camera is not None and known is None:
            raise ValueError("that camera is gone: load the page again, and teach it anew")
        with naming(upload):
            photo = shrink(read_photo(upload.path, max_pixels=self._max_pixels).ldr)
            job = Job(upload.path, upload.path.with_name("result.exr"))
            network = self._model.single_shot() if known is None else known.adapted.network
            converted = convert_photo(job, network, on_share=on_share)
            scene = make_scene(photo, shrink(read_radiance(job.output)))
        words = known.title if known else "any camera (single-shot)"
        result = Result(upload.path.parent, upload, converted, scene, camera, words)
        return _keep(self.results, result, most=_MAX_RESULTS)

    def ultrahdr(self, result: Result) -> Path:
        """Return the result as an Ultra HDR JPEG, made when it is first asked for.

        Raises:
            ValueError: If the light cannot be stored so.
        """
        path = result.folder / "result.jpg"
        if not path.exists():
            exposure = read_radiance(result.converted.output)
            write_image(path, exposure, format="ultrahdr", photo=read_photo(result.upload.path))
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
            for number, upload in enumerate(uploads, start=1):
                read_photo(upload.path, max_pixels=self._max_pixels)  # which read_bracket has no limit of its own for
                on_share(_READING * number / len(uploads))
            is_checked = len(uploads) > 2 or self._model.compares_pairs
            adapted = self._model.adapt(folder, evs=evs, is_checked=is_checked)
        for upload in uploads:
            upload.path.unlink()
        adapted.save(folder / _PROFILE)
        return _keep(self.cameras, Camera(folder, adapted, _describe(adapted)), most=_MAX_CAMERAS)


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
