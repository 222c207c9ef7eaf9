"""Sources of radiance: scenes, split by place."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Final

import torch
from jaxtyping import Float
from torch import Tensor

from ldr2hdr.data.scenes.cache import CachedPicture, cache_picture
from ldr2hdr.data.scenes.crops import check_positive
from ldr2hdr.data.scenes.places import Split, list_for_training, list_pictures, look_up, places_of, read_manifest
from ldr2hdr.data.scenes.projection import render_view

_EMBEDDED: Final = Path(__file__).parent / "panoramas"


class AbstractSceneSource(ABC):
    """Random linear views of places; a place belongs to one split.

    Attributes:
        name: Of the set in ``conf/dataset``.
    """

    name: ClassVar[str] = "NAME"

    @abstractmethod
    def places(self, split: Split) -> tuple[str, ...]:
        """Names of a split's places, sorted; empty if the split has none."""

    @abstractmethod
    def check_crop(self, crop_px: int) -> None:
        """Refuse a crop size that some scene cannot serve, before a run starts.

        Raises:
            ValueError: Naming the scene, the sizes and the key to change.
        """

    @abstractmethod
    def sample(self, place: str, *, crop_px: int, generator: torch.Generator) -> Float[Tensor, "3 crop_px crop_px"]:
        """A random square view of a place, a pure function of the generator's state.

        Args:
            place: One of `places`.
            crop_px: Side of the view.
            generator: Source of all randomness.

        Returns:
            Linear Rec. 709 radiance, relative units, float32, finite and non-negative.

        Raises:
            ValueError: If the place is unknown or smaller than the crop.
        """


class PanoramaSource(AbstractSceneSource):
    """Pinhole views into equirectangular panoramas, at random headings, pitches and fields of view.

    A folder with a ``manifest.csv`` (columns ``file``, ``place``, ``split``) is split as that says, and several
    files may show one place. Without it, every file is a place and the split is drawn by a hash of its name.

    Args:
        cache_dir: Where decoded panoramas are kept, as float16; see `StoredRadiance` for the precision.
        root: Folder of ``.hdr`` and ``.exr`` panoramas; None for the 17 that ship with the package.
        train_root: Folder of more panoramas, which are all of the train split, whatever their names; None for none.
        fov_deg: Least and largest horizontal field of view.
        pitch_deg: Least and largest pitch, positive up.
        fractions: Shares of train, val and test; used without a manifest only.
        seed: Of the hash; used without a manifest only.

    Raises:
        ValueError: If a range, the manifest or a panorama's shape is wrong, a folder is missing or empty, or one for
            training shows a place of another split.
        ImageError: If a panorama cannot be read.
    """

    name: ClassVar[str] = "panoramas"

    def __init__(
        self,
        *,
        cache_dir: Path | str,
        root: Path | str | None = None,
        train_root: Path | str | None = None,
        fov_deg: Sequence[float] = (40.0, 90.0),
        pitch_deg: Sequence[float] = (-30.0, 30.0),
        fractions: Sequence[float] = (0.7, 0.15, 0.15),
        seed: int = 0,
    ) -> None:
        _check_range("fov_deg", fov_deg, low=1.0, high=170.0)
        _check_range("pitch_deg", pitch_deg, low=-90.0, high=90.0)
        self._fov_deg, self._pitch_deg = tuple(fov_deg), tuple(pitch_deg)
        folder = _EMBEDDED if root is None else Path(root)
        manifest = folder / "manifest.csv"
        has_manifest = manifest.is_file()
        self._placed = read_manifest(manifest) if has_manifest else list_pictures(folder, fractions, seed=seed)
        if train_root is not None:
            self._placed += list_for_training(Path(train_root), self._placed)
        self._pictures: dict[str, list[CachedPicture]] = {}
        for file, place, _ in self._placed:
            picture = cache_picture(file, Path(cache_dir))
            if picture.width != 2 * picture.height:
                raise ValueError(
                    "expected an equirectangular panorama, twice as wide as high, got "
                    f"{picture.width} x {picture.height}: {file}; ordinary pictures want dataset=hdr_folder"
                )
            self._pictures.setdefault(place, []).append(picture)

    def places(self, split: Split) -> tuple[str, ...]:
        """Names of a split's places, sorted."""
        return places_of(self._placed, split)

    def check_crop(self, crop_px: int) -> None:
        """Accept any positive size.

        Raises:
            ValueError: If the size is not positive.
        """
        check_positive(crop_px)

    def sample(self, place: str, *, crop_px: int, generator: torch.Generator) -> Float[Tensor, "3 crop_px crop_px"]:
        """A random view; of a place with several panorama files, a random one is taken."""
        self.check_crop(crop_px)
        pictures = look_up(self._pictures, place)
        pick, heading, elevation, width = torch.rand(4, generator=generator, dtype=torch.float64).tolist()
        return _render(
            pictures[int(pick * len(pictures))],
            yaw_deg=360.0 * heading - 180.0,
            pitch_deg=_mix(self._pitch_deg, elevation),
            fov_deg=_mix(self._fov_deg, width),
            size_px=(crop_px, crop_px),
        )

    def view(
        self, name: str, *, yaw_deg: float, pitch_deg: float, fov_deg: float, size_px: tuple[int, int]
    ) -> Float[Tensor, "3 h w"]:
        """A chosen view; see `render_view` for the angles.

        Args:
            name: A place (its first file) or the name of a file, such as ``studio_small_03.exr``.
            yaw_deg: Heading, positive to the right.
            pitch_deg: Elevation, positive up.
            fov_deg: Horizontal field of view.
            size_px: Height and width.

        Raises:
            ValueError: If the name is unknown.
        """
        by_file = {picture.source.name: [picture] for group in self._pictures.values() for picture in group}
        picture = look_up(by_file | self._pictures, name)[0]
        return _render(picture, yaw_deg=yaw_deg, pitch_deg=pitch_deg, fov_deg=fov_deg, size_px=size_px)


def _render(
    picture: CachedPicture, *, yaw_deg: float, pitch_deg: float, fov_deg: float, size_px: tuple[int, int]
) -> Float[Tensor, "3 h w"]:
    stored = picture.open()
    view = render_view(stored.half, yaw_deg=yaw_deg, pitch_deg=pitch_deg, fov_deg=fov_deg, size_px=size_px)
    return view * stored.unit


def _mix(bounds: Sequence[float], position: float) -> float:
    return bounds[0] + (bounds[1] - bounds[0]) * position


def _check_range(key: str, bounds: Sequence[float], *, low: float, high: float) -> None:
    if len(bounds) != 2 or not low <= bounds[0] <= bounds[1] <= high:
        raise ValueError(f"dataset.{key} must be an increasing pair within [{low}, {high}], got {tuple(bounds)}")
