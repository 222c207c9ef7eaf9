"""Loader speed and memory: a prepared set beside decoding files for each task, and beside a whole set in memory.

Tasks are of three exposures of a 1024-pixel scene, JPEG and Radiance, cropped to 512 pixels, in batches of 4. Two times
are told: until a batch is what a network can use, float32 on the training device, which here is the CPU; and until a
loader has handed over what it makes, which of the prepared set are packed codes. The loaders take turns.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from ldr2hdr.data.datasets.base import AbstractFileDataset
from ldr2hdr.data.datasets.record import Frame, HdrReference, SceneRecord
from ldr2hdr.data.loading.memory import ReusedMemory
from ldr2hdr.data.loading.packing import PackedBatch, as_batch
from ldr2hdr.data.loading.prepared_index import read_index, scene_path, write_index
from ldr2hdr.data.loading.preparing import prepare
from ldr2hdr.data.tasks.brackets import BracketTasks
from ldr2hdr.radiometry import expose
from ldr2hdr.tasks import Shots, Task

SIZE, CROP, BATCH = 1024, 512, 4
EVS = (-2.0, 0.0, 2.0)
NUM_SCENES, NUM_IN_MEMORY, NUM_ROUNDS = 20, 20, 5
NUM_TASKS = {"prepared": 480, "decoding": 96, "float64 in memory": 96}
# Loader processes, and threads of the process that trains; a loader process has one
RUNS = ((0, 1), (0, 2), (1, 1), (2, 1))
SETTINGS = {"split": "train", "ranges": "seen", "seed": 0, "shots": 2, "queries": 1, "crop_px": CROP}


class Scenes(AbstractFileDataset):
    """Scenes whose scale is known, so that no fit is timed."""

    name = "loader_speed"
    layout = ("*/*.hdr",)

    def _find(self):
        return iter(())

    def records(self) -> tuple[SceneRecord, ...]:
        """One for each folder."""
        return tuple(self._record(folder) for folder in sorted(self.folder.iterdir()))

    def problems(self) -> tuple:
        """There are none."""
        return ()

    def check_crop(self, crop_px: int) -> None:
        """All scenes are large enough."""

    def split(self, name: str) -> tuple[SceneRecord, ...]:
        """All scenes."""
        return self.records()

    def fitted(self, name: str, *, merges: bool = False) -> tuple[SceneRecord, ...]:
        """All scenes."""
        return self.records()

    @staticmethod
    def _record(folder: Path) -> SceneRecord:
        exposures = tuple(Frame(folder / f"{i}.jpg", ev, "name") for i, ev in enumerate(EVS))
        return SceneRecord(folder.name, folder.name, "synthetic", exposures, HdrReference(folder / "light.hdr"), None)


class Decoding(Dataset[Task]):
    """Tasks as written when speed is no concern, though with OpenCV's fast decoders: each task reads its files."""

    def __init__(self, records: tuple[SceneRecord, ...]) -> None:
        self.records = records

    def __getitem__(self, index: int) -> Task:
        """Decode, crop, convert the crop."""
        ldr, light = self.decode(index)
        return crop_task(np.stack(ldr), light, index=index, scale=255, record=self.records[index % len(self.records)])

    def decode(self, index: int) -> tuple[list[np.ndarray], np.ndarray]:
        """Pictures of the exposures, and of the light."""
        record = self.records[index % len(self.records)]
        ldr = [cv2.imread(str(exposure.path), cv2.IMREAD_UNCHANGED) for exposure in record.exposures]
        return ldr, cv2.imread(str(record.hdr.path), cv2.IMREAD_UNCHANGED)


class InMemory(Dataset[Task]):
    """MetaHDR's way: every picture as float64."""

    def __init__(self, records: tuple[SceneRecord, ...]) -> None:
        self.records = records
        self.pixels = [self._read(record) for record in records]

    def __getitem__(self, index: int) -> Task:
        """Crop and convert to float32."""
        ldr, light = self.pixels[index % len(self.pixels)]
        return crop_task(ldr, light, index=index, scale=1, record=self.records[index % len(self.pixels)])

    @staticmethod
    def _read(record: SceneRecord):
        shape = (len(record.exposures), SIZE, SIZE, 3)
        ldr = np.empty(shape, dtype=np.float64)
        for target, exposure in zip(ldr, record.exposures, strict=True):
            np.divide(cv2.imread(str(exposure.path), cv2.IMREAD_UNCHANGED), 255, out=target)
        return ldr, cv2.imread(str(record.hdr.path), cv2.IMREAD_UNCHANGED).astype(np.float64)


def crop_task(ldr: np.ndarray, light: np.ndarray, *, index: int, scale: float, record: SceneRecord) -> Task:
    """The task of a random crop of decoded pictures, channels BGR last."""
    top, left = np.random.default_rng(index).integers(0, SIZE - CROP, 2)
    rows, columns = slice(top, top + CROP), slice(left, left + CROP)
    pictures = np.ascontiguousarray(ldr[:, rows, columns, ::-1].transpose(0, 3, 1, 2), dtype=np.float32)
    shots = torch.from_numpy(pictures).div_(scale)
    cut = torch.from_numpy(np.ascontiguousarray(light[rows, columns, ::-1].transpose(2, 0, 1), dtype=np.float32))
    exposure = expose(cut.expand(len(shots), -1, -1, -1), torch.tensor(EVS))
    of = (record.id,)
    return Task(Shots(shots[:2], exposure[:2]), Shots(shots[2:], exposure[2:]), of * 2, of, record.camera)


def write_scene(folder: Path, seed: int) -> None:
    """13 stops of light with detail at all scales and 1 % of noise; 8-bit exposures by a gamma of 2.2."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    sizes = (4, 8, 16, 32, 64, 128, 256, 512)
    waves = sum(cv2.resize(rng.random((n, n, 3), dtype=np.float32) / n**0.7, (SIZE, SIZE)) for n in sizes)
    stops = -9 + 13 * (waves - waves.min()) / np.ptp(waves)
    light = np.exp2(stops) * (1 + 0.01 * rng.standard_normal(stops.shape, dtype=np.float32))
    cv2.imwrite(str(folder / "light.hdr"), light.astype(np.float32))
    for number, ev in enumerate(EVS):
        picture = np.rint(np.clip(light * 2.0**ev, 0, 1) ** (1 / 2.2) * 255).astype(np.uint8)
        cv2.imwrite(str(folder / f"{number}.jpg"), picture, [cv2.IMWRITE_JPEG_QUALITY, 95])


def link_scenes(work: Path, count: int) -> tuple[Path, Path]:
    """A set of ``count`` scenes, hard links of the ``NUM_SCENES``, and its prepared folder."""
    root, out = work / f"set{count}", work / f"prepared{count}"
    (out / "scenes").mkdir(parents=True)
    index = read_index(work / "prepared")
    scenes = []
    for number in range(count):
        scene = index.scenes[number % len(index.scenes)]
        folder = root / f"scene{number:04}"
        folder.mkdir(parents=True)
        for file in (work / "set" / scene.source.id).iterdir():
            os.link(file, folder / file.name)
        source = replace(scene.source, id=folder.name, content_hash=f"{number:032}")
        os.link(scene_path(work / "prepared", scene.source.content_hash), scene_path(out, source.content_hash))
        scenes.append(replace(scene, source=source))
    write_index(out, replace(index, scenes=tuple(scenes)))
    return root, out


def make(kind: str, root: Path, prepared: Path) -> Dataset[Task]:
    """The loader of a kind."""
    source = Scenes(root, cache_dir=prepared)
    if kind == "prepared":
        return BracketTasks(source, {}, **SETTINGS, prepared=prepared)
    if kind == "readers":
        return BracketTasks(source, {}, **SETTINGS)
    records = source.records()
    return Decoding(records) if kind == "decoding" else InMemory(records[:NUM_IN_MEMORY])


def load(tasks: Dataset[Task], indices: Iterable[int], *, memory: ReusedMemory | None, num_workers: int = 0) -> float:
    """Tasks per second, from the first batch on.

    Args:
        tasks: What is loaded.
        indices: Of the tasks.
        memory: Where batches are unpacked, as the data module of a training does it; None to take what is handed over.
        num_workers: Loader processes.
    """
    batches = iter(DataLoader(tasks, BATCH, sampler=list(indices), collate_fn=as_batch, num_workers=num_workers))
    next(batches)
    start, num = time.perf_counter(), 0
    used = None
    for batch in batches:
        if memory is not None:
            used = batch.to("cpu", memory=memory) if isinstance(batch, PackedBatch) else batch.to("cpu")
        num += len(used or batch)
    return num / (time.perf_counter() - start)


def drop_from_page_cache(*folders: Path) -> None:
    """Make the next read of these files one from the disk."""
    for path in (path for folder in folders for path in folder.rglob("*") if path.is_file()):
        descriptor = os.open(path, os.O_RDONLY)
        os.fsync(descriptor)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(descriptor)


def in_words(values: list[float], form: Callable[[float], str] = "{:.1f}".format) -> str:
    """Median, and least and largest in brackets."""
    return f"{form(statistics.median(values))} ({form(min(values))} to {form(max(values))})"


def measure_speed(root: Path, prepared: Path) -> None:
    """Print tasks/s and pixels/s of the loaders, which take turns."""
    loaders = {kind: make(kind, root, prepared) for kind in NUM_TASKS}
    memory = ReusedMemory()
    columns = "workers", "threads", "loader", "usable tasks/s", "megapixels/s", "ratio", "handed over tasks/s", "ratio"
    print(f"| {' | '.join(columns)} |\n{'|---' * len(columns)}|")
    for num_workers, num_threads in RUNS:
        torch.set_num_threads(num_threads)
        usable: dict[str, list[float]] = {kind: [] for kind in loaders}
        handed_over: dict[str, list[float]] = {kind: [] for kind in loaders}
        for turn in range(NUM_ROUNDS):
            for kind in sorted(loaders, reverse=turn % 2 == 1):
                indices = range(turn * 1000, turn * 1000 + NUM_TASKS[kind])
                usable[kind].append(load(loaders[kind], indices, memory=memory, num_workers=num_workers))
                # what the others hand over is usable: the CPU has it already
                again = load(loaders[kind], indices, memory=None, num_workers=num_workers) if kind == "prepared" else 0
                handed_over[kind].append(again or usable[kind][-1])
        for kind, values in usable.items():
            megapixels = [value * len(EVS) * CROP**2 / 1e6 for value in values]
            told = map(in_words, (values, megapixels, handed_over[kind]))
            ratios = (ratio_in_words(kind, speeds) for speeds in (usable, handed_over))
            row = (num_workers, num_threads, kind, next(told), next(told), next(ratios), next(told), next(ratios))
            print(f"| {' | '.join(map(str, row))} |", flush=True)
    torch.set_num_threads(1)
    slow = load(make("readers", root, prepared), range(BATCH * 3), memory=memory)
    print(f"\nThis project's own readers without a prepared folder, 0 workers, 8 tasks: {slow:.2f} tasks/s")
    start = time.perf_counter()
    for index in range(NUM_TASKS["decoding"]):
        loaders["decoding"].decode(index)
    speed = NUM_TASKS["decoding"] / (time.perf_counter() - start)
    print(f"OpenCV's decoders alone, nothing cropped, converted or batched: {speed:.1f} tasks/s")


def ratio_in_words(kind: str, speeds: dict[str, list[float]]) -> str:
    """By how much the prepared set is faster, of neighbouring runs."""
    if kind == "prepared":
        return ""
    return in_words([ours / other for ours, other in zip(speeds["prepared"], speeds[kind], strict=True)])


def measure_cold(root: Path, prepared: Path) -> None:
    """Print tasks/s of one pass over files that are not in the page cache."""
    speeds: dict[str, list[float]] = {"prepared": [], "decoding": []}
    memory = ReusedMemory()
    for turn in range(3):
        for kind in sorted(speeds, reverse=turn % 2 == 1):
            tasks = make(kind, root, prepared)
            drop_from_page_cache(root, prepared)
            speeds[kind].append(load(tasks, range(NUM_SCENES), memory=memory))
    ratios = [ours / other for ours, other in zip(*speeds.values(), strict=True)]
    told = ", ".join(f"{kind} {in_words(values)}" for kind, values in speeds.items())
    print(f"\nFrom the disk, 0 workers, 16 tasks of as many scenes, tasks/s: {told}; ratio {in_words(ratios)}")


def measure_memory(kind: str, root: Path, prepared: Path) -> None:
    """Print the peak of the resident memory, before and after 500 tasks; run in a process of its own."""
    before = peak_memory_mib()
    load(make(kind, root, prepared), range(500 if kind == "prepared" else 8), memory=ReusedMemory())
    print(f"{peak_memory_mib():.0f} MiB, {before:.0f} of them before")


def peak_memory_mib() -> float:
    """Of this program; what getrusage tells includes the process that started it."""
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


def main() -> None:
    """Make scenes in a temporary folder, measure, and delete them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--memory", nargs=3, metavar=("KIND", "ROOT", "PREPARED"), help="used by the script itself")
    args = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    if args.memory:
        kind, root, prepared = args.memory
        measure_memory(kind, Path(root), Path(prepared))
        return
    work = Path(tempfile.mkdtemp(prefix="loader_speed_"))
    try:
        root, prepared = work / "set", work / "prepared"
        for seed in range(NUM_SCENES):
            write_scene(root / f"scene{seed:04}", seed)
        start = time.perf_counter()
        done = prepare(Scenes(root, cache_dir=work), prepared, name=Scenes.name, root=root)
        print(f"prepare: {(time.perf_counter() - start) / NUM_SCENES:.2f} s a scene\n{done.summary()}\n", flush=True)
        measure_speed(root, prepared)
        measure_cold(root, prepared)
        print("\n| loader | scenes | peak resident memory |\n|---|---|---|")
        for kind, count in (("prepared", 50), ("prepared", 500), ("float64 in memory", NUM_IN_MEMORY)):
            folders = map(str, link_scenes(work, count))
            command = [sys.executable, __file__, "--memory", kind, *folders]
            told = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
            print(f"| {kind} | {count} | {told} |", flush=True)
    finally:
        shutil.rmtree(work)


if __name__ == "__main__":
    main()
