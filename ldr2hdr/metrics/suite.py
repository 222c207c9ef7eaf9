"""Suite of metrics of an evaluation, with their regions and alignments."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any, Final, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from ldr2hdr.metrics.alignment import ALIGNMENTS, Alignment, align
from ldr2hdr.metrics.catalogue import METRICS
from ldr2hdr.metrics.functional import Display
from ldr2hdr.metrics.regions import Regions, find_regions
from ldr2hdr.tasks import Shots

REGIONS: Final = {
    "all": "every pixel",
    "well_exposed": "no channel of the photo at or above level 250 or at or below 5 of 255, true exposure at most 1",
    "clipped": "a channel of the photo at or above level 250 of 255",
    "dark": "a channel of the photo at or below level 5 of 255, none clipped",
}
MONOTONE: Final = "is_monotone"
_MONOTONE_DEFINITION: Final = "share of pictures whose response correction keeps the order of luminances"


class ScoreName(NamedTuple):
    """A metric after an alignment.

    In files the two are one name, ``pu_psnr`` or ``pu_psnr+crf``: an aligned metric is another metric, never to be
    averaged with the plain one, and what reads the names of metrics need not know alignments.
    """

    metric: str
    alignment: str = "none"

    def __str__(self) -> str:
        return self.metric if self.alignment == "none" else f"{self.metric}+{self.alignment}"

    @classmethod
    def parse(cls, text: str) -> "ScoreName":
        """Invert ``str``.

        Example:
            >>> ScoreName.parse("pu_psnr+crf"), str(ScoreName.parse("pu_psnr"))
            (ScoreName(metric='pu_psnr', alignment='crf'), 'pu_psnr')
        """
        metric, _, alignment = text.partition("+")
        return cls(metric, alignment or "none")


@dataclass(frozen=True)
class MetricSuite:
    """Metrics to compute of each picture.

    Attributes:
        metrics: Names of the catalogue.
        regions: Parts of a picture; a metric that has no regions is taken on ``all`` alone, whether listed or not.
        alignments: What is forgiven before; a metric that makes no sense after one of them is left out there.
        display: Where relative pictures become light.

    Raises:
        ValueError: If a list is empty, names something twice or something unknown.
        ModuleNotFoundError: If the package of an optional metric is not installed.
    """

    metrics: Sequence[str]
    regions: Sequence[str] = ("all", "well_exposed", "clipped")
    alignments: Sequence[Alignment] = ("none",)
    display: Display = field(default_factory=Display)

    def __post_init__(self) -> None:
        for key, names, known in (
            ("metrics", self.metrics, METRICS),
            ("regions", self.regions, REGIONS),
            ("alignments", self.alignments, ALIGNMENTS),
        ):
            if not names or len(set(names)) < len(names) or not set(names) <= set(known):
                raise ValueError(
                    f"metrics.{key} must name some of {', '.join(known)}, each once, got {', '.join(names) or 'none'}"
                )
        self._package_versions()

    def evaluate(self, pred: Float[Tensor, "n 3 h w"], query: Shots) -> dict[tuple[str, str], Float[Tensor, " n"]]:
        """Judge reconstructions of the query.

        Args:
            pred: Reconstructed sensor exposure.
            query: The pictures with their true sensor exposure.

        Returns:
            By ``(metric, region)``, one value per picture; an aligned metric is named as by :class:`ScoreName`. NaN
            where the picture has no pixel of the region.

        Raises:
            ValueError: If the shapes differ, or a picture holds a negative, infinite or undefined value.
        """
        regions = find_regions(query.ldr, query.exposure)
        scores: dict[tuple[str, str], Tensor] = {}
        for alignment in self.alignments:
            scores |= self._evaluate_aligned(pred, query.exposure, regions, alignment)
        return scores

    def protocol(self) -> dict[str, Any]:
        """Return all that decides the numbers, for a file beside them, in types of JSON."""
        display = self.display
        definitions = {name: METRICS[name].definition for name in self.metrics}
        if "crf" in self.alignments:
            definitions[MONOTONE] = _MONOTONE_DEFINITION
        return {
            "metrics": definitions,
            "regions": {name: REGIONS[name] for name in ("all", *self.regions)},
            "alignments": {name: ALIGNMENTS[name] for name in self.alignments},
            "display": f"median reference luminance, at least {display.median_floor:g} of sensor white, at "
            f"{display.anchor_cd_m2:g} cd/m2; both pictures clipped to 0.005..{display.peak_cd_m2:g} cd/m2",
            "versions": {"ldr2hdr": version("ldr2hdr"), "torch": str(torch.__version__), **self._package_versions()},
        }

    def _evaluate_aligned(
        self,
        pred: Float[Tensor, "n 3 h w"],
        target: Float[Tensor, "n 3 h w"],
        regions: Regions,
        alignment: Alignment,
    ) -> dict[tuple[str, str], Float[Tensor, " n"]]:
        recorded = ~regions.clipped & ~regions.dark
        aligned = align(pred, target, recorded=recorded, alignment=alignment, display=self.display)
        scores: dict[tuple[str, str], Tensor] = {}
        for name in self.metrics:
            metric = METRICS[name]
            if alignment not in metric.alignments:
                continue
            score, light = str(ScoreName(name, alignment)), getattr(aligned, metric.light)
            if not metric.has_regions:
                scores[score, "all"] = metric.function(*light)
                continue
            for region in self.regions:
                scores[score, region] = metric.function(*light, getattr(regions, region))
        if aligned.is_monotone is not None:
            scores[str(ScoreName(MONOTONE, alignment)), "all"] = aligned.is_monotone.to(pred.dtype)
        return scores

    def _package_versions(self) -> dict[str, str]:
        """Return what to quote of the optional packages in use."""
        makers = {name: METRICS[name].package for name in self.metrics}
        return {name: package() for name, package in makers.items() if package is not None}


FAST: Final = MetricSuite(("pu_psnr", "log2_rmse"))
"""Metrics that training and evaluation show; ``conf/metrics/fast.yaml``."""
