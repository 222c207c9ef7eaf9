"""Base of all readers: records on demand, splits, scales, and scenes for virtual cameras."""

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from ldr2hdr.data.datasets.files import HDR_SUFFIXES, check_root
from ldr2hdr.data.datasets.fitting import fit_record
from ldr2hdr.data.datasets.merging import merge_record
from ldr2hdr.data.datasets.pixels import read_linear
from ldr2hdr.data.datasets.record import HdrReference, Problem, SceneRecord, Transfer
from ldr2hdr.data.datasets.scan import Candidate, Scan, examine
from ldr2hdr.data.scenes.cache import CachedPicture, cache_picture
from ldr2hdr.data.scenes.crops import check_positive, draw_window, shrink
from ldr2hdr.data.scenes.places import Split, check_fractions, look_up, split_by_hash
from ldr2hdr.data.scenes.sources import AbstractSceneSource


@dataclass(eq=False, repr=False)
class AbstractFileDataset(AbstractSceneSource):
    """Set of scenes in files, split by place. Its HDR pictures are a source of scenes for virtual cameras, too.

    The folder is checked at once; the files are listed, and their headers read, at the first question.

    Attributes:
        layout: Patterns of files below the root, of which one at least must be there.
        root: Folder of the set.
        cache_dir: Where decoded HDR pictures and fitted scales are kept.
        fractions: Expected shares of train, val and test, where nothing was published.
        seed: Of the hash that splits by place.
        max_residual_stops: Exposures further from their HDR are left out by `fitted`, and the scene if half or more
            are.
        max_scale: Of the views for virtual cameras: largest side of the cut-out in units of ``crop_px``.

    Raises:
        ValueError: If the folder is missing or holds no such set, or a number is out of range.
    """

    layout: ClassVar[tuple[str, ...]]
    root: Path | str | None
    _: KW_ONLY
    cache_dir: Path | str
    fractions: Sequence[float] = (0.8, 0.1, 0.1)
    seed: int = 0
    max_residual_stops: float = 0.75
    max_scale: float = 4.0

    def __post_init__(self) -> None:
        check_fractions(self.fractions)
        if not self.max_residual_stops > 0 or not self.max_scale >= 1:
            raise ValueError(
                "dataset.max_residual_stops must be positive and dataset.max_scale at least 1, "
                f"got {self.max_residual_stops} and {self.max_scale}"
            )
        self.folder = check_root(self.root, self.layout)
        self._cache_dir = Path(self.cache_dir)
        self._scanned: Scan | None = None
        self._hdrs: dict[str, list[HdrReference]] | None = None
        self._fit_problems: dict[str, tuple[Problem, ...]] = {}
        self._pictures: dict[Path, CachedPicture] = {}

    @abstractmethod
    def _find(self) -> Iterator[Candidate | Problem]:
        """The scenes that the layout names, and what does not fit the layout."""

    def records(self) -> tuple[SceneRecord, ...]:
        """Return the scenes that can be read by their headers, sorted by id; HDR at its nominal scale."""
        return self._scan().records

    def problems(self) -> tuple[Problem, ...]:
        """Return the faults of the files, and of the pixels of those scenes that `fitted` has looked at."""
        of_fits = (problem for problems in self._fit_problems.values() for problem in problems)
        return (*self._scan().problems, *of_fits)

    def split(self, name: Split) -> tuple[SceneRecord, ...]:
        """Return the scenes of a split, as published or by a hash of the place, which stays when scenes are added."""
        return tuple(record for record in self.records() if self._split_of(record) == name)

    def _split_of(self, record: SceneRecord) -> Split:
        return record.split or split_by_hash(record.place, self.fractions, seed=self.seed)

    def fitted(self, name: Split, *, merges: bool = False) -> tuple[SceneRecord, ...]:
        """Return the scenes of a split with exposures and an HDR that fits them, brought to sensor exposure.

        The pixels are read, once for any number of runs. What cannot be used is in `problems`.

        Args:
            name: Of the split.
            merges: Whether scenes without an HDR get one, merged of their exposures and kept in the cache.
        """
        usable = []
        for record in self.split(name):
            if not record.exposures or (record.hdr is None and (not merges or len(record.exposures) < 2)):
                continue
            whole = record if record.hdr is not None else merge_record(record, cache_dir=self._cache_dir)
            if isinstance(whole, Problem):
                self._fit_problems[record.id] = (whole,)
                continue
            fit = fit_record(whole, cache_dir=self._cache_dir, max_residual_stops=self.max_residual_stops)
            self._fit_problems[record.id] = fit.problems
            usable += [fit.record] if fit.record is not None else []
        return tuple(usable)

    def places(self, split: Split) -> tuple[str, ...]:
        """Names of a split's places with HDR, sorted."""
        return tuple(sorted({record.place for record in self.split(split) if record.hdr is not None}))

    def check_crop(self, crop_px: int) -> None:
        """Refuse a crop size that is not positive or larger than some picture.

        Raises:
            ValueError: Naming the file, the sizes and the key to change.
        """
        check_positive(crop_px)
        scan = self._scan()
        for record in scan.records:
            height, width = scan.sizes[record.paths[-1]]
            if min(height, width) < crop_px:
                raise ValueError(
                    f"the scene is smaller than the crop: {width} x {height} pixels, but task.crop_px={crop_px}; "
                    f"lower task.crop_px or remove {record.paths[-1]}"
                )

    def sample(self, place: str, *, crop_px: int, generator: torch.Generator) -> Float[Tensor, "3 crop_px crop_px"]:
        """A random crop, at a random scale, of a random HDR picture of a place; in the units of the file.

        Raises:
            ValueError: If the place is unknown or smaller than the crop.
            ImageError: If the file cannot be read.
        """
        choice = look_up(self._by_place(), place)
        pick = torch.rand((), generator=generator, dtype=torch.float64).item()
        return self._crop(choice[int(pick * len(choice))], crop_px=crop_px, generator=generator)

    def _by_place(self) -> dict[str, list[HdrReference]]:
        if self._hdrs is None:
            self._hdrs = {}
            for record in self.records():
                if record.hdr is not None:
                    self._hdrs.setdefault(record.place, []).append(record.hdr)
        return self._hdrs

    def _crop(
        self, hdr: HdrReference, *, crop_px: int, generator: torch.Generator
    ) -> Float[Tensor, "3 crop_px crop_px"]:
        check_positive(crop_px)
        height, width = self._scan().sizes[hdr.path]
        window = draw_window(height, width, crop_px=crop_px, max_scale=self.max_scale, generator=generator)
        if hdr.transfer != Transfer() or hdr.path.suffix.lower() not in HDR_SUFFIXES:
            return shrink(read_linear(hdr)[:, window.rows, window.columns], crop_px).clone()
        if hdr.path not in self._pictures:
            self._pictures[hdr.path] = cache_picture(hdr.path, self._cache_dir)
        stored = self._pictures[hdr.path].open()
        cut = stored.half[:, window.rows, window.columns].astype("float32")
        return shrink(torch.from_numpy(cut), crop_px) * stored.unit

    def _train_or_val(self, place: str) -> Split:
        """The split of a place of a set that publishes a test set, but no validation set."""
        train, val, _ = self.fractions
        total = train + val
        return split_by_hash(place, (train / total, val / total, 0.0), seed=self.seed) if total > 0 else "train"

    def _scan(self) -> Scan:
        if self._scanned is None:
            self._scanned = examine(self._find(), set_name=self.name)
        return self._scanned
