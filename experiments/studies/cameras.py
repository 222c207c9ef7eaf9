"""Cameras at a distance from those of training."""

import math
from collections.abc import Mapping
from typing import Any, Final

# What a parameter may be, by its name in conf/camera; any other one has to be positive
LIMITS: Final = {"crosstalk": (-0.5, 0.24), "quality": (1.0, 100.0), "strength": (0.0, 0.95)}


def move_unseen(node: Any, *, distance: float, thickness: float, key: str = "") -> Any:
    """Replace every ``unseen`` of a camera's configuration by shells at a distance from ``seen``.

    The shell of a parameter is on both sides of the interval that training sees, ``distance`` to ``distance +
    thickness`` widths of that interval away (of its logarithm, for a loguniform law). A side that would leave what the
    parameter can be is left out.

    Args:
        node: Configuration of a camera family, or a part of it, as plain containers.
        distance: In widths of the interval; above 0.
        thickness: Likewise.
        key: Name of the parameter, for errors.

    Raises:
        ValueError: If no side of a parameter is left.
    """
    if isinstance(node, Mapping) and "seen" in node:
        return {**node, "unseen": _shells(node, distance=distance, thickness=thickness, key=key)}
    if isinstance(node, Mapping):
        return {
            name: move_unseen(part, distance=distance, thickness=thickness, key=name) for name, part in node.items()
        }
    return node


def _shells(spec: Mapping[str, Any], *, distance: float, thickness: float, key: str) -> list[list[float]]:
    to_scale, to_value = (math.log, math.exp) if spec.get("law") == "loguniform" else (float, float)
    low, high = (to_scale(edge) for edge in spec["seen"])
    near, far = distance * (high - low), (distance + thickness) * (high - low)
    sides = [[to_value(low - far), to_value(low - near)], [to_value(high + near), to_value(high + far)]]
    if spec.get("law") == "integer":
        below, above = sides
        sides = [
            [float(math.floor(below[0])), min(float(math.floor(below[1])), low - 1)],
            [max(float(math.ceil(above[0])), high + 1), float(math.ceil(above[1]))],
        ]
    least, most = LIMITS.get(key, (0.0, math.inf))
    inside = [side for side in sides if least < side[0] and side[1] < most]
    if not inside:
        raise ValueError(f"{key} can be no {distance:g} widths away from {spec['seen']}; take a smaller distance")
    return inside
