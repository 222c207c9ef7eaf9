"""Tasks from real brackets: exposures of one scene by one camera, with the HDR that was merged of them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar, NamedTuple

import torch
from torch.utils.data import Dataset

from ldr2hdr.data.cameras.camera import CameraFamily
from ldr2hdr.data.cameras.ranges import Ranges
from ldr2hdr.data.datasets.base import AbstractFileDataset
from ldr2hdr.data.datasets.pixels import read_exposures, read_sensor_exposure
from ldr2hdr.data.datasets.record import SceneRecord
from ldr2hdr.data.loading.packing import PackedBatch
from ldr2hdr.data.loading.prepared import Cut, PreparedPixels, gains_of
from ldr2hdr.data.scenes.crops import Window, draw_window
from ldr2hdr.data.scenes.places import Split
from ldr2hdr.data.scenes.sources import AbstractSceneSource
from ldr2hdr.data.tasks.draws import draw_until_labelled, task_generator
from ldr2hdr.data.tasks.labels import AbstractLabelSource, TruthLabels
from ldr2hdr.tasks import Shots, Task


class _Choice(NamedTuple):
    """What is drawn of a task before the size of the pictures is known; the generator draws on."""

    record: SceneRecord
    numbers: tuple[int, ...]
    generator: torch.Generator


class BracketTasks(Dataset[Task]):
    """``task=bracket``: support and query are different exposures of ONE scene, photographed, not rendered.

    All exposures of a task are cropped at one random place. Labels are the scene's HDR at each exposure, in units of
    the sensor's white, for query and support alike. Every scene is shown once before one is shown again. A task depends
    on the seed, the split and the index alone.

    Args:
        source: A set with exposures and HDR; what of it does not fit together is left out, see its ``problems``.
        cameras: Not used: the pictures are by the cameras that took them.
        split: Which places are shown.
        ranges: Not used: real cameras are not drawn from ranges; the tasks are the same for seen and unseen.
        seed: Seed of the whole data set.
        shots: Support pictures K per task.
        queries: Query pictures Q per task.
        crop_px: Side of the square pictures.
        prepared: Folder that ``ldr2hdr prepare`` wrote of the set; None to decode the files for every task.
        label_source: Where the support's labels come from. It is never shown the query, whose labels are the truth.

    Raises:
        ValueError: If the source has no photographed exposures, a count is not positive, a scene has too few exposures
            or pixels, or no scene of the split can be used.
    """

    is_one_scene: ClassVar[bool] = True
    has_own_cameras: ClassVar[bool] = True

    def __init__(
        self,
        source: AbstractSceneSource,
        cameras: Mapping[str, CameraFamily],
        *,
        split: Split,
        ranges: Ranges,
        seed: int,
        shots: int,
        queries: int,
        crop_px: int,
        prepared: Path | str | None = None,
        label_source: AbstractLabelSource | None = None,
    ) -> None:
        del cameras, ranges
        if not isinstance(source, AbstractFileDataset):
            raise ValueError(
                f"task=bracket needs a data set of photographed exposures, such as dataset=bracket_folder, got "
                f"{type(source).__name__}; task=scene renders exposures of any scene"
            )
        if min(shots, queries, crop_px) < 1:
            raise ValueError(
                "task.shots, task.queries and task.crop_px must be positive, "
                f"got shots={shots}, queries={queries}, crop_px={crop_px}"
            )
        source.check_crop(crop_px)
        candidates = [record for record in source.split(split) if record.hdr is not None and record.exposures]
        for record in candidates:
            _check_count(record, shots, queries)
        # exposures that do not fit are left out, of which too few may stay
        self.records = tuple(record for record in source.fitted(split) if _has_enough(record, shots, queries))
        if not self.records:
            raise ValueError(
                f"the {split} split of {type(source).__name__} has no scene with exposures and an HDR that fits them "
                f"({len(candidates)} have both), or too few exposures fit for shots={shots}, queries={queries}; "
                "see its problems"
            )
        self._prepared = None if prepared is None else PreparedPixels(prepared, self.records)
        self.label_source = TruthLabels() if label_source is None else label_source
        self.source = source
        self.split: Split = split
        self.seed = seed
        self.shots = shots
        self.queries = queries
        self.crop_px = crop_px
        self.places = tuple(sorted({record.place for record in self.records}))

    def __getitem__(self, index: int) -> Task:
        """Make task ``index``: take the next scene, draw exposures and a crop.

        Raises:
            ImageError: If a file cannot be read any more.
            RefusedSupport: If the label source refuses every one of several draws.
        """
        return draw_until_labelled(self._draw, index)

    def __getitems__(self, indices: Sequence[int]) -> PackedBatch | list[Task]:
        """Make several tasks at once, for a loader: packed if the pixels are prepared and the labels are the truth.

        Raises:
            ImageError: If a file cannot be read any more.
            RefusedSupport: If the label source refuses every one of several draws.
        """
        if self._prepared is None or not isinstance(self.label_source, TruthLabels):
            return [self[index] for index in indices]
        return self._prepared.pack(
            [self._cut(self._choose(index, 0), self._prepared) for index in indices], num_shots=self.shots
        )

    def _draw(self, index: int, attempt: int) -> Task:
        choice = self._choose(index, attempt)
        if self._prepared is None:
            support, query = self._decode(choice)
        else:
            cut = self._cut(choice, self._prepared)
            support, query = self._prepared.pack([cut], num_shots=self.shots).to("cpu").shots(0)
        record = choice.record
        evs = torch.tensor([record.exposures[number].ev for number in choice.numbers[: self.shots]])
        return Task(
            support=Shots(support.ldr, self.label_source.label(support.ldr, evs, truth=support.exposure)),
            query=query,
            support_places=(record.place,) * self.shots,
            query_places=(record.place,) * self.queries,
            camera=record.camera,
        )

    def _choose(self, index: int, attempt: int) -> _Choice:
        record = self._record_of(index)
        generator = task_generator(self.seed, self.split, "bracket", index, attempt)
        order = torch.randperm(len(record.exposures), generator=generator)[: self.shots + self.queries]
        return _Choice(record, tuple(order.tolist()), generator)

    def _record_of(self, index: int) -> SceneRecord:
        epoch, position = divmod(index, len(self.records))
        generator = task_generator(self.seed, self.split, "order", epoch)
        return self.records[int(torch.randperm(len(self.records), generator=generator)[position])]

    def _cut(self, choice: _Choice, prepared: PreparedPixels) -> Cut:
        window = self._draw_window(*prepared.size_of(choice.record), choice.generator)
        return Cut(choice.record, choice.numbers, window)

    def _decode(self, choice: _Choice) -> tuple[Shots, Shots]:
        """Support and query, out of the files."""
        record, numbers, generator = choice
        pictures = read_exposures([record.exposures[number] for number in numbers])
        window = self._draw_window(pictures.shape[2], pictures.shape[3], generator)
        ldr = pictures[..., window.rows, window.columns].clone()
        light = read_sensor_exposure(record)[:, window.rows, window.columns]
        exposure = light * gains_of(record, numbers)[:, None, None, None]
        return Shots(ldr[: self.shots], exposure[: self.shots]), Shots(ldr[self.shots :], exposure[self.shots :])

    def _draw_window(self, height: int, width: int, generator: torch.Generator) -> Window:
        return draw_window(height, width, crop_px=self.crop_px, max_scale=1.0, generator=generator)


def _has_enough(record: SceneRecord, shots: int, queries: int) -> bool:
    return shots < len(record.exposures) and shots + queries <= len(record.exposures)


def _check_count(record: SceneRecord, shots: int, queries: int) -> None:
    if not _has_enough(record, shots, queries):
        raise ValueError(
            "shots must be below the number of exposures and shots + queries at most that number, got "
            f"shots={shots}, queries={queries} for {len(record.exposures)} exposures in scene {record.id!r}; lower "
            "task.shots or task.queries, or add exposures"
        )
