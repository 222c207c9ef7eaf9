"""Ranges that a camera's parameters are drawn from: one that training sees, and others outside it."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias, cast, get_args

import torch

Ranges: TypeAlias = Literal["seen", "unseen"]
Law: TypeAlias = Literal["uniform", "loguniform", "integer", "normal"]
Interval: TypeAlias = tuple[float, float]
Channels: TypeAlias = tuple[float, float, float]
RangeSpec: TypeAlias = float | Mapping[str, object]

# A normal law has no edge: seen is its bulk, unseen its tails (standard deviations), with a gap between.
_NORMAL_BULK: Final = 2.5
_NORMAL_TAIL: Final = (2.75, 5.0)


@dataclass(frozen=True)
class Range:
    """Distribution of one camera parameter.

    Attributes:
        key: Name of the parameter in the configuration, for error messages.
        seen: Closed interval that training cameras draw from.
        unseen: Closed intervals outside ``seen`` with equal weight; empty if the parameter has no unseen set,
            and then unseen cameras draw from ``seen`` too.
        law: How a value is drawn within an interval. ``normal`` truncates to ``seen``, and is uniform in
            ``unseen``.
        mean: Mean of the normal law before truncation.
        std: Standard deviation of the normal law before truncation.

    Raises:
        ValueError: If an interval is reversed or not finite, if unseen meets seen, or if the law cannot be
            drawn.
    """

    key: str
    seen: Interval
    unseen: tuple[Interval, ...] = ()
    law: Law = "uniform"
    mean: float = 0.0
    std: float = 1.0

    def __post_init__(self) -> None:
        for low, high in (self.seen, *self.unseen):
            if not (math.isfinite(low) and math.isfinite(high) and low <= high):
                raise ValueError(f"{self.key} needs finite intervals with low <= high, got [{low}, {high}]")
            if self.law == "loguniform" and low <= 0:
                raise ValueError(f"{self.key} is loguniform and needs positive bounds, got [{low}, {high}]")
        for low, high in self.unseen:
            if low <= self.seen[1] and high >= self.seen[0]:
                raise ValueError(
                    f"{self.key}.unseen must be outside {self.key}.seen, got [{low}, {high}] meeting "
                    f"[{self.seen[0]}, {self.seen[1]}]"
                )
        if self.law == "normal" and self.std <= 0:
            raise ValueError(f"{self.key}.std must be positive, got {self.std}")

    def draw(self, generator: torch.Generator, *, ranges: Ranges) -> float:
        """Draw one value."""
        return self._draw_within(self._pick(generator, ranges=ranges), generator)

    def draw_channels(self, generator: torch.Generator, *, ranges: Ranges, spread: float) -> Channels:
        """Draw values for red, green and blue that differ by at most a factor ``1 +- spread``.

        All three stay in the interval that the camera was drawn from.
        """
        low, high = self._pick(generator, ranges=ranges)
        centre = self._draw_within((low, high), generator)
        red, green, blue = (
            min(max(centre * (1 + spread * (2 * _draw_unit(generator) - 1)), low), high) for _ in range(3)
        )
        return red, green, blue

    def _pick(self, generator: torch.Generator, *, ranges: Ranges) -> Interval:
        if ranges == "seen" or not self.unseen:
            return self.seen
        return self.unseen[min(int(_draw_unit(generator) * len(self.unseen)), len(self.unseen) - 1)]

    def _draw_within(self, interval: Interval, generator: torch.Generator) -> float:
        low, high = interval
        unit = _draw_unit(generator)
        if self.law == "loguniform":
            value = low * math.pow(high / low, unit)
        elif self.law == "integer":
            value = low + math.floor(unit * (high - low + 1))
        elif self.law == "normal" and interval == self.seen:
            cdf_low, cdf_high = (_normal_cdf((edge - self.mean) / self.std) for edge in interval)
            quantile = torch.tensor(cdf_low + unit * (cdf_high - cdf_low), dtype=torch.float64)
            value = self.mean + self.std * float(torch.special.ndtri(quantile).item())
        else:
            value = low + unit * (high - low)
        return min(max(value, low), high)


def parse_range(spec: RangeSpec, key: str, *, needs_unseen: bool = False) -> Range:
    """Read a range as the configuration writes it.

    ``0.3`` is a constant. ``{seen: [1.8, 2.6], unseen: [[1.3, 1.7], [2.7, 3.4]]}`` is uniform; ``law`` may be
    ``uniform``, ``loguniform`` or ``integer``. ``{law: normal, mean: 0.9, std: 0.1, clip: [0.2, 2.5]}`` makes
    ``seen`` from the 2.5 standard deviations around the mean and ``unseen`` from the tails beyond 2.75, up to
    5.

    Args:
        spec: Number or mapping.
        key: Name of the parameter, for error messages.
        needs_unseen: Whether cameras of the unseen set must differ in this parameter, if it varies at all: a number
            keeps it constant.

    Raises:
        ValueError: If keys are unknown or missing, or the intervals are not valid.

    Example:
        >>> parse_range({"seen": [1.8, 2.6], "unseen": [[2.7, 3.4]]}, "exponent").unseen
        ((2.7, 3.4),)
    """
    if not isinstance(spec, Mapping):
        parsed = Range(key, seen=(float(spec), float(spec)))
    elif spec.get("law") == "normal":
        parsed = _parse_normal(spec, key)
    else:
        _check_keys(spec, key, needed={"seen"}, optional={"unseen", "law"})
        parsed = Range(
            key,
            seen=parse_interval(spec["seen"], f"{key}.seen"),
            unseen=tuple(parse_interval(part, f"{key}.unseen") for part in _as_sequence(spec, "unseen", key)),
            law=_parse_law(spec.get("law", "uniform"), key),
        )
    if needs_unseen and isinstance(spec, Mapping) and not parsed.unseen:
        raise ValueError(f"{key} needs unseen intervals, which cameras of the unseen set are drawn from; got none")
    return parsed


def parse_interval(spec: object, key: str) -> Interval:
    """Read ``[low, high]``.

    Raises:
        ValueError: If it is not two numbers, low first.
    """
    if isinstance(spec, Sequence) and len(spec) == 2 and all(isinstance(edge, int | float) for edge in spec):
        low, high = float(spec[0]), float(spec[1])
        if low <= high:
            return low, high
    raise ValueError(f"{key} must be [low, high] with low <= high, got {spec}")


def _parse_normal(spec: Mapping[str, object], key: str) -> Range:
    _check_keys(spec, key, needed={"law", "mean", "std"}, optional={"clip"})
    mean, std = float(cast("float", spec["mean"])), float(cast("float", spec["std"]))
    floor, ceiling = parse_interval(spec.get("clip", [-math.inf, math.inf]), f"{key}.clip")
    near, far = _NORMAL_TAIL
    tails = ((mean - far * std, mean - near * std), (mean + near * std, mean + far * std))
    return Range(
        key,
        seen=(max(mean - _NORMAL_BULK * std, floor), min(mean + _NORMAL_BULK * std, ceiling)),
        unseen=tuple((max(low, floor), min(high, ceiling)) for low, high in tails if low < ceiling and high > floor),
        law="normal",
        mean=mean,
        std=std,
    )


def _parse_law(spec: object, key: str) -> Law:
    if spec not in get_args(Law):
        raise ValueError(f"{key}.law must be one of {get_args(Law)}, got {spec!r}")
    return cast("Law", spec)


def _as_sequence(spec: Mapping[str, object], name: str, key: str) -> Sequence[object]:
    parts = spec.get(name, ())
    if not isinstance(parts, Sequence):
        raise ValueError(f"{key}.{name} must be a list of [low, high], got {parts}")
    return parts


def _check_keys(spec: Mapping[str, object], key: str, *, needed: set[str], optional: set[str]) -> None:
    if not needed <= set(spec) <= needed | optional:
        raise ValueError(
            f"{key} must have the keys {sorted(needed)} and may have {sorted(optional)}, got {sorted(spec)}"
        )


def _draw_unit(generator: torch.Generator) -> float:
    return float(torch.rand((), generator=generator, dtype=torch.float64, device=generator.device).item())


def _normal_cdf(score: float) -> float:
    return 0.5 * (1 + math.erf(score / math.sqrt(2)))
