"""Facts that are kept of a scene, and the findings in them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from jaxtyping import Float
from torch import Tensor

from ldr2hdr.data.datasets.record import SceneRecord
from ldr2hdr.data.doctor.findings import Finding

_MOSTLY: Final = 0.7
# Of local tone mapping, 0.3 stops were measured in the median, 0.5 in the 95th percentile
_HIGH_RESIDUAL: Final = 0.5
_MIN_RANGE_STOPS: Final = 5.0


class ExposureFacts(NamedTuple):
    """One exposure: nominal and measured EV (None if not measurable), shares of black and white pixels."""

    path: Path
    ev: float
    ev_source: str
    measured_ev: float | None
    black: float
    white: float
    shift_px: tuple[int, int] | None


class HdrFacts(NamedTuple):
    """The HDR: range in stops, and how it fits the exposures; None where there are none, or it does not."""

    path: Path
    range_stops: float
    scale: float | None
    residual_stops: float | None
    peak_stops: float | None
    num_pixels: int | None


class SceneFacts(NamedTuple):
    """Scene as measured from its pixels.

    Attributes:
        record: As read.
        size: Height and width.
        exposures: Dark to bright, as in the record.
        hdr: None if there is none.
        is_usable: Whether training would take it as a pair.
        curve: Log2 of sensor exposure for each level; None if it is unknown.
        signature: To compare with other scenes.
        thumbnails: JPEG by caption, up to five exposures first.
    """

    record: SceneRecord
    size: tuple[int, int]
    exposures: tuple[ExposureFacts, ...]
    hdr: HdrFacts | None
    is_usable: bool
    curve: Float[Tensor, "3 256"] | None
    signature: Float[Tensor, " s"]
    thumbnails: tuple[tuple[str, bytes], ...]


def judge_facts(facts: SceneFacts) -> Iterator[Finding]:
    """Find exposures that show little, and HDR pictures that hold little or fit badly."""
    for exposure in facts.exposures:
        for share, colour in ((exposure.black, "black"), (exposure.white, "white")):
            if share > _MOSTLY:
                yield Finding("note", "clipped", exposure.path, f"{share:.0%} of it is {colour}", facts.record.id)
    hdr = facts.hdr
    if hdr is None:
        return
    if hdr.range_stops < _MIN_RANGE_STOPS:
        message = f"{hdr.range_stops:.1f} stops from dark to bright, a photograph holds as much"
        yield Finding("warning", "low_range", hdr.path, message, facts.record.id)
    if facts.is_usable and (hdr.residual_stops or 0.0) > _HIGH_RESIDUAL:
        message = (
            f"the well-exposed pixels are {hdr.residual_stops:.2f} stops off a linear HDR seen by one response: "
            "local tone mapping, motion, or an HDR that is not linear"
        )
        yield Finding("note", "nonlinear", hdr.path, message, facts.record.id)
