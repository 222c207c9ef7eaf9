"""Tasks from real brackets: exposures of one scene by one camera, with the HDR that was merged of them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import torch

from ldr2hdr.data.datasets.base import AbstractFileDataset
from ldr2hdr.data.datasets.pixels import read_exposures, read_sensor_exposure
from ldr2hdr.data.datasets.record import SceneRecord
from ldr2hdr.data.loading.packing import PackedBatch
from ldr2hdr.data.loading.prepared import Cut, PreparedPixels, gains_of
from ldr2hdr.data.scenes.crops import Window, draw_window
from ldr2hdr.data.tasks.base import AbstractTasks
from ldr2hdr.data.tasks.draws import task_generator
from ldr2hdr.data.tasks.labels import TruthLabels
from ldr2hdr.tasks import Shots, Task


class _Choice(NamedTuple):
    """Draws of a task made before the size of the pictures is known; the generator draws on."""

    record: SceneRecord
    numbers: tuple[int, ...]
    generator: torch.Generator


@dataclass(eq=False, repr=False, kw_only=True)
class BracketTasks(AbstractTasks):
    """``task=bracket``: support and query are different exposures of ONE scene, photographed, not rendered.

    All exposures of a task are cropped at one random place. Labels are the scene's HDR at each exposure, in units of
    the sensor's white, for query and support alike. Where the label source needs no truth, scenes without an HDR file
    are shown too: the merge of all their exposures is the truth that the query is judged by, and the support's labels
    come from the support alone. Every scene is shown once before one is shown again. A task depends on the seed, the
    split and the index alone.

    Attributes:
        source: A set with exposures; what of it does not fit together is left out, see its ``problems``.
        cameras: Not used: the pictures are by the cameras that took them.
        ranges: Not used: real cameras are not drawn from ranges; the tasks are the same for seen and unseen.
        prepared: Folder that ``ldr2hdr prepare`` wrote of the set; None to decode the files for every task.
        records: The scenes that are shown.

    Raises:
        ValueError: If the source has no photographed exposures, a scene has too few exposures or pixels, or no scene of
            the split can be used.
    """

    is_one_scene = True
    has_own_cameras = True
    prepared: Path | str | None = None
    records: tuple[SceneRecord, ...] = field(init=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        self._pixels = None if self.prepared is None else PreparedPixels(self.prepared, self.records)

    def _find_places(self) -> tuple[str, ...]:
        source = self.source
        if not isinstance(source, AbstractFileDataset):
            raise ValueError(
                f"task=bracket needs a data set of photographed exposures, such as dataset=bracket_folder, got "
                f"{type(source).__name__}; task=scene renders exposures of any scene"
            )
        merges = not self.label_source.needs_truth
        whole, bare = [], []
        records = source.split(self.split)
        if not records:
            return ()
        for record in records:
            if record.hdr is not None and record.exposures:
                whole.append(record)
            elif len(record.exposures) > 1:
                bare.append(record)
        for record in (*whole, *(bare if merges else ())):
            self._require_enough(len(record.exposures), where=f" in scene {record.id!r}")
        # exposures that do not fit are left out, of which too few may stay
        fitted = source.fitted(self.split, merges=merges)
        self.records = tuple(record for record in fitted if self._has_enough(len(record.exposures)))
        if not self.records:
            hint = "" if merges else "; labels=merge trains on the latter"
            first = next((f": {problem.path}: {problem.message}" for problem in source.problems()), "")
            raise ValueError(
                f"the {self.split} split of {type(source).__name__} has no scene with exposures and an HDR that "
                f"fits them ({len(whole)} have both, {len(bare)} have exposures alone{hint}), or too few exposures fit "
                f"for shots={self.shots}, queries={self.queries}; see its problems{first}"
            )
        return tuple(sorted({record.place for record in self.records}))

    def __getitems__(self, indices: Sequence[int]) -> PackedBatch | list[Task]:
        """Make several tasks at once, for a loader: packed if the pixels are prepared and the labels are the truth.

        Raises:
            ImageError: If a file cannot be read any more.
            RefusedSupport: If the label source refuses every one of several draws.
        """
        if self._pixels is None or not isinstance(self.label_source, TruthLabels):
            return [self[index] for index in indices]
        return self._pixels.pack(
            [self._cut(self._choose(index, 0), self._pixels) for index in indices], num_shots=self.shots
        )

    def _draw(self, index: int, attempt: int) -> Task:
        choice = self._choose(index, attempt)
        if self._pixels is None:
            support, query = self._decode(choice)
        else:
            cut = self._cut(choice, self._pixels)
            support, query = self._pixels.pack([cut], num_shots=self.shots).to("cpu").shots(0)
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
