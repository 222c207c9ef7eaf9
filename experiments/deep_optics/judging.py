"""Judge the cameras on views of the test places, and write the table."""

from collections.abc import Mapping, Sequence
from typing import Final

import torch
from jaxtyping import Float
from systems import CodedCamera, root_l2
from torch import Tensor
from views import Views, seeded

from ldr2hdr.baselines.inverse_gamma import InverseGamma
from ldr2hdr.evaluation.scoring import Score, Summary, compare, summarize
from ldr2hdr.evaluation.stages import Stage
from ldr2hdr.metrics.bootstrap import is_undecided
from ldr2hdr.metrics.hdr import blacken_diverged, evaluate_pictures
from ldr2hdr.tasks import Shots

COLUMNS: Final = (
    ("pu_psnr", "all", "PU21-PSNR all, dB"),
    ("pu_psnr", "well_exposed", "well-exposed"),
    ("pu_psnr", "clipped", "clipped"),
    ("log2_rmse", "all", "RMSE all, stops"),
    ("log2_rmse", "clipped", "clipped"),
    ("root_l2", "all", "RMSE of roots"),
)
_DIGITS: Final = {"pu_psnr": 1, "log2_rmse": 2, "root_l2": 3}
_NUM_RESAMPLES: Final = 2000


def take_pictures(camera: CodedCamera, views: Views, *, seed: int) -> Float[Tensor, "n 3 h w"]:
    """Pictures of all views; the sensor's noise is the same for every camera."""
    with torch.no_grad():
        return camera.eval().shoot(views.exposure, seeded(seed, "test noise"))


def reconstruct(
    cameras: Mapping[str, CodedCamera], views: Views, *, plain: CodedCamera, seed: int
) -> dict[str, Float[Tensor, "n 3 h w"]]:
    """Sensor exposure by every camera, and by what needs no network: the plain picture and its inverse gamma."""
    picture = take_pictures(plain, views, seed=seed)
    found = {"LDR input": picture, "inverse gamma 2.2": InverseGamma()(picture)}
    with torch.no_grad():
        for name, camera in cameras.items():
            found[name] = camera.develop(take_pictures(camera, views, seed=seed))
    return found


def score_views(
    reconstructions: Mapping[str, Float[Tensor, "n 3 h w"]],
    views: Views,
    *,
    picture: Float[Tensor, "n 3 h w"],
    kind: str,
) -> list[Score]:
    """Scores of all reconstructions; regions are those of the plain camera's picture, for all alike."""
    query = Shots(picture, views.exposure)
    scores = []
    for name, exposure in reconstructions.items():
        finite = blacken_diverged(exposure)
        found = {**evaluate_pictures(finite, query), ("root_l2", "all"): root_l2(finite, views.exposure)}
        for (metric, region), values in found.items():
            scores += [
                Score(Stage(name), "deep_optics", kind, "deep_optics", place, index, metric, region, value)
                for index, (place, value) in enumerate(zip(views.places, values.tolist(), strict=True))
            ]
    return scores


def tabulate(
    scores: Sequence[Score], pairs: Sequence[tuple[Stage, Stage]], *, seed: int
) -> tuple[list[Summary], list[Summary]]:
    """Means over places and paired differences, with bootstrap intervals."""
    return (
        summarize(scores, seed=seed, num_resamples=_NUM_RESAMPLES),
        compare(scores, pairs, seed=seed, num_resamples=_NUM_RESAMPLES),
    )


def as_markdown(summaries: Sequence[Summary], differences: Sequence[Summary], *, kind: str) -> str:
    """The table of one kind of views; differences are in italics, ``?`` marks those whose interval holds 0."""
    lines = ["| system | " + " | ".join(heading for *_, heading in COLUMNS) + " |", "|---" * (len(COLUMNS) + 1) + "|"]
    for rows, is_difference in ((summaries, False), (differences, True)):
        cells = {(row.name, row.metric, row.region): row for row in rows if row.ranges == kind}
        for name in dict.fromkeys(name for name, *_ in cells):
            shown = [_cell(cells[name, metric, region], is_difference) for metric, region, _ in COLUMNS]
            lines.append(f"| {f'*{name}*' if is_difference else name} | " + " | ".join(shown) + " |")
    return "\n".join(lines)


def _cell(row: Summary, is_difference: bool) -> str:
    digits, sign = _DIGITS[row.metric], ("+" if is_difference else "")
    mean, low, high = (f"{value:{sign}.{digits}f}" for value in row.interval[:3])
    mark = " ?" if is_difference and is_undecided(row.interval) else ""
    return f"{mean} [{low}, {high}]{mark}"
