"""Scores of a network on held-out places and held-out curves, beside white and twice white."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import torch
from curves import Belief, Curves
from jaxtyping import Bool, Float
from recipe import Recipe
from shooting import Example, shoot_held_out, stack
from torch import Tensor
from views import SIZES, Views

from ldr2hdr.backbones.highlights.backbone import Highlights
from ldr2hdr.backbones.highlights.distribution import Excess
from ldr2hdr.calibration.curve import levels_of
from ldr2hdr.data.scenes.places import Split
from ldr2hdr.metrics.bootstrap import Interval, bootstrap_difference, bootstrap_mean
from ldr2hdr.radiometry import CLIPPED_LEVEL

FACTORS: Final = (0.7, 0.85, 1.0, 1.15, 1.3)
"""Of the scales, for each of which it is counted how many pixels are within the inner 68 %."""
MIXED: Final = Recipe().mixed
"""Share of the photographs that were scaled down; the same for all recipes."""
_SEED: Final = 77
_BATCH: Final = 12
LEAST_SAMPLES: Final = 50
"""Clipped ones that a photograph needs to be measured on."""
_MOST_ERROR_STOPS: Final = 8.0


class Score(NamedTuple):
    """What was measured on one photograph.

    Attributes:
        place: Shown by it.
        belief: What the response stage took its curve for.
        values: By name; NaN where there is nothing to measure on.
    """

    place: str
    belief: Belief
    values: dict[str, float]


class Photograph(NamedTuple):
    """A held-out photograph."""

    place: str
    example: Example


def choose(folder: Path, number: int, *, split: Split = "val") -> list[tuple[Views, int]]:
    """Choose views as a recipe that matches real brackets draws them, each once; a third of them are portraits."""
    chosen = []
    for shape, wanted in zip(SIZES, (number - number // 3, number // 3), strict=True):
        views = Views(folder, split, shape)
        odds = Recipe().weigh(views.records[views.done])
        most = min(wanted, int((odds > 0).sum()))
        picks = np.random.default_rng(_SEED).choice(views.done, most, replace=False, p=odds / odds.sum())
        chosen += [(views, int(pick)) for pick in picks]
    return chosen


def photograph(views: Views, index: int, *, curves: Curves, kind: Belief) -> Photograph:
    """Photograph a view by a camera of a held-out curve; always alike."""
    generator = np.random.default_rng((_SEED, index, *views.size))
    example = shoot_held_out(views[index], curves=curves, kind=kind, mixed=MIXED, generator=generator)
    return Photograph(str(views.records[index]["place"]), example)


@torch.no_grad()
def judge(
    backbone: Highlights,
    chosen: Sequence[tuple[Views, int]],
    *,
    curves: Curves,
    beliefs: Iterable[Belief],
    recipe: Recipe,
) -> list[Score]:
    """Photograph views by cameras of held-out curves, and score what the backbone makes of them.

    Args:
        backbone: The network behind its guide, as it ships.
        chosen: See `choose`.
        curves: Of the cameras.
        beliefs: Of the response stage; each photograph is judged behind each of them.
        recipe: Says whether truth is censored.
    """
    device = next(backbone.parameters()).device
    scores = []
    for belief in beliefs:
        for start in range(0, len(chosen), _BATCH):
            for group in _by_size(chosen[start : start + _BATCH]):
                photographs = [photograph(views, index, curves=curves, kind=belief) for views, index in group]
                batch = Example(*(part.to(device) for part in stack([photo.example for photo in photographs])))
                values = score(backbone, batch, recipe=recipe)
                scores += [Score(photo.place, belief, own) for photo, own in zip(photographs, values, strict=True)]
    return scores


def score(backbone: Highlights, batch: Example, *, recipe: Recipe) -> list[dict[str, float]]:
    """Measure on the clipped samples of each photograph.

    The likelihood is of all of them; all else is of those whose truth the panorama tells. ``error`` is a root mean
    square, ``bias`` a mean, both in stops; ``energy`` is log2 of the ratio of sums of light.
    """
    answer = backbone.reporting("median")(batch.ldr, batch.linear)
    excess = answer.find_excess()
    systems = {
        "white": batch.linear,
        "twice white": torch.where(_is_clipped(batch), 2 * batch.linear, batch.linear),
        "median": answer,
        "mean": backbone.reporting("mean")(batch.ldr, batch.linear),
    }
    nats = excess.negative_log_likelihood(batch.stops, batch.is_censored & (recipe.censoring == "on"))
    inside = {factor: _is_inside(excess.widened(factor), batch.stops) for factor in FACTORS}
    is_full = _is_clipped(batch).all(dim=1, keepdim=True).expand_as(batch.ldr)
    found = []
    for index, is_clipped in enumerate(_is_clipped(batch)):
        is_known = is_clipped & ~batch.is_censored[index]
        values = {"likelihood": _mean(nats[index], is_clipped)}
        for factor in FACTORS:
            of_picture, full = inside[factor][index].float(), is_full[index]
            values[f"inside full {factor}"] = _mean(of_picture, is_known & full)
            values[f"inside part {factor}"] = _mean(of_picture, is_known & ~full)
        values["inside"] = _mean(inside[1.0][index].float(), is_known)
        for name, exposure in systems.items():
            errors = measure_errors(torch.log2(exposure[index][is_known]), batch.stops[index][is_known])
            values |= {f"{name} {measure}": value for measure, value in errors.items()}
        found.append(values)
    return found


def measure_errors(found: Float[Tensor, " n"], truth: Float[Tensor, " n"]) -> dict[str, float]:
    """Return error, bias and energy of clipped samples in log2; NaN of too few."""
    if len(truth) < LEAST_SAMPLES:
        return dict.fromkeys(("error", "bias", "energy"), float("nan"))
    difference = (found - truth).clamp(-_MOST_ERROR_STOPS, _MOST_ERROR_STOPS)
    energy = torch.log2(torch.exp2(found).sum() / torch.exp2(truth).sum())
    return {
        "error": difference.square().mean().sqrt().item(),
        "bias": difference.mean().item(),
        "energy": energy.item(),
    }


def tabulate(scores: Sequence[Score], belief: Belief) -> dict[str, Interval]:
    """Return the mean over places of each measure, with its 95 % interval by a bootstrap over places."""
    own = [score for score in scores if score.belief == belief]
    names = own[0].values if own else ()
    return {name: _over_places([(score.place, score.values[name]) for score in own]) for name in names}


def means(scores: Sequence[Score]) -> dict[str, dict[str, float]]:
    """Return the means over places alone: of each belief the measures that a curve of training shows."""
    kept = ("likelihood", "inside", "median error", "median bias", "mean energy", "white error", "twice white error")
    beliefs = dict.fromkeys(score.belief for score in scores)
    return {belief: {name: round(tabulate(scores, belief)[name].mean, 4) for name in kept} for belief in beliefs}


def compare(of: tuple[Sequence[Score], str], other: tuple[Sequence[Score], str]) -> Interval:
    """Return the mean difference over places, with its 95 % interval, of two measures of the same photographs."""
    own, theirs = (torch.tensor([score.values[measure] for score in scores]) for scores, measure in (of, other))
    places = [score.place for score in of[0]]
    return bootstrap_difference(own, theirs, places, generator=torch.Generator().manual_seed(0))


def as_markdown(table: Mapping[str, Interval]) -> str:
    """Write the table of one belief."""
    lines = ["| | error | bias | energy |", "|---|---|---|---|"]
    for name in ("white", "twice white", "median", "mean"):
        cells = [as_cell(table[f"{name} {measure}"]) for measure in ("error", "bias", "energy")]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    lines += ["", f"Negative log-likelihood {as_cell(table['likelihood'])} nats; within the inner 68 %: "]
    lines[-1] += f"{as_cell(table['inside'])}, and by factor of the scales (all channels clip / some do) "
    pairs = [(factor, *(table[f"inside {kind} {factor}"].mean for kind in ("full", "part"))) for factor in FACTORS]
    lines[-1] += ", ".join(f"{factor}: {full:.2f} / {part:.2f}" for factor, full, part in pairs) + "."
    return "\n".join(lines)


def as_cell(interval: Interval) -> str:
    """Write a mean with its interval."""
    return f"{interval.mean:.2f} [{interval.low:.2f}, {interval.high:.2f}]"


def _by_size(chosen: Sequence[tuple[Views, int]]) -> list[list[tuple[Views, int]]]:
    sizes = dict.fromkeys(views.size for views, _ in chosen)
    return [[(views, index) for views, index in chosen if views.size == size] for size in sizes]


def _is_clipped(batch: Example) -> Bool[Tensor, "b 3 h w"]:
    return levels_of(batch.ldr) >= CLIPPED_LEVEL


def _is_inside(excess: Excess, stops: Float[Tensor, "*s"]) -> Bool[Tensor, "*s"]:
    low, high = excess.inner_68()
    return (stops >= low) & (stops <= high)


def _mean(values: Float[Tensor, "3 h w"], mask: Bool[Tensor, "3 h w"]) -> float:
    return values[mask].mean().item() if int(mask.sum()) >= LEAST_SAMPLES else float("nan")


def _over_places(values: Sequence[tuple[str, float]]) -> Interval:
    places = [place for place, _ in values]
    generator = torch.Generator().manual_seed(_SEED)
    return bootstrap_mean(torch.tensor([value for _, value in values]), places, generator=generator)
