"""Tasks of several kinds in one data set: what a learner meets that is to serve them all."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

from ldr2hdr.data.cameras.camera import CameraFamily
from ldr2hdr.data.cameras.drift import Drift
from ldr2hdr.data.cameras.ranges import Ranges
from ldr2hdr.data.scenes.places import Split
from ldr2hdr.data.scenes.sources import AbstractSceneSource
from ldr2hdr.data.tasks.labels import AbstractLabelSource, TruthLabels
from ldr2hdr.data.tasks.mixing import MixedTasks
from ldr2hdr.data.tasks.profiles import ProfileTasks
from ldr2hdr.data.tasks.sampling import AbstractRenderedTasks, CameraTasks, SceneTasks


def mix_kinds(
    source: AbstractSceneSource,
    cameras: Mapping[str, CameraFamily],
    *,
    split: Split,
    ranges: Ranges,
    seed: int,
    label_source: AbstractLabelSource,
    shots: int,
    queries: int,
    crop_px: int,
    scene_evs: Sequence[float],
    profile_evs: Sequence[float],
    weights: Mapping[str, float],
    camera_device: str = "cpu",
    drift: Drift | None = None,
) -> MixedTasks:
    """Make a data set in which ``task=camera``, ``task=scene`` and ``task=profile`` take turns.

    Args:
        source: As for all tasks, like the next five.
        cameras: Each kind of task has all families.
        split: Which places are shown.
        ranges: Which cameras see them.
        seed: Each kind has its own.
        label_source: Of scenes and profiles; tasks of a camera, which show several scenes, have the truth.
        shots: Of each kind.
        queries: Of each kind.
        crop_px: Of each kind.
        scene_evs: The bracket of ``task=scene``.
        profile_evs: The bracket of ``task=profile``.
        weights: Shares of ``camera``, ``scene`` and ``profile``; what is not named is left out.
        camera_device: Where cameras shoot.
        drift: Glare and white balance that differ from picture to picture; None for none.

    Raises:
        ValueError: As for each kind, and if a weight names no kind.
    """

    def of_kind(
        make: Callable[..., AbstractRenderedTasks], number: int, labels: AbstractLabelSource, **bracket: Sequence[float]
    ) -> Callable[[], AbstractRenderedTasks]:
        return partial(
            make,
            source,
            cameras,
            split=split,
            ranges=ranges,
            seed=seed + number,
            label_source=labels,
            shots=shots,
            queries=queries,
            crop_px=crop_px,
            camera_device=camera_device,
            drift=drift,
            **bracket,
        )

    makers = {
        "camera": of_kind(CameraTasks, 0, TruthLabels()),
        "scene": of_kind(SceneTasks, 1, label_source, evs=scene_evs),
        "profile": of_kind(ProfileTasks, 2, label_source, evs=profile_evs),
    }
    if not weights or not set(weights) <= set(makers):
        raise ValueError(f"task.weights must name some of {', '.join(makers)}, got {', '.join(weights) or 'none'}")
    return MixedTasks({kind: makers[kind]() for kind in weights}, weights)
