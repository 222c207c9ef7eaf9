"""Irradiance of a view, against the form factor of a rectangle and of a small source."""

import math

import pytest
import torch

from ldr2hdr.metrics.irradiance import irradiance, irradiance_error


def facing_rectangle(half_width: float, half_height: float) -> float:
    """Irradiance by unit radiance of a rectangle at distance 1 in front of a surface (Howell, configuration B-3)."""
    a, b = half_width, half_height
    corner = a / math.hypot(1, a) * math.atan(b / math.hypot(1, a)) + b / math.hypot(1, b) * math.atan(
        a / math.hypot(1, b)
    )
    return math.pi * 4 * corner / (2 * math.pi)


@pytest.mark.parametrize(("height", "width"), [(200, 300), (300, 200), (150, 150)])
def test_an_even_view_sends_what_a_rectangle_does(height: int, width: int) -> None:
    half = math.tan(math.radians(65) / 2)
    found = irradiance(torch.full((3, height, width), 2.0, dtype=torch.float64))
    expected = 2 * facing_rectangle(half * width / max(height, width), half * height / max(height, width))
    assert found[:, 0].tolist() == pytest.approx([expected] * 3, rel=3e-5)
    # what reaches a turned surface is the vector of light times its normal, and that vector points to the middle
    assert found[:, 1:].flatten().tolist() == pytest.approx([expected * math.cos(math.pi / 4)] * 12, rel=3e-5)


def test_a_small_lamp_is_a_point() -> None:
    """To the right, at 20 degrees: the surface turned right sees it at 25, the one turned left at 65."""
    size = 2001
    side = 2 * math.tan(math.radians(32.5)) / size
    radiance = torch.zeros(3, size, size, dtype=torch.float64)
    column = round(math.tan(math.radians(20)) / side + size / 2 - 0.5)
    radiance[:, size // 2, column] = 1000.0
    angle = math.atan((column + 0.5 - size / 2) * side)
    through = 1000.0 * side**2 * math.cos(angle) ** 3
    expected = [through * math.cos(angle - turned) for turned in (0, math.pi / 4, -math.pi / 4)]
    assert irradiance(radiance)[0, :3].tolist() == pytest.approx(expected, rel=1e-9)


def test_the_error_is_in_stops_and_the_brightest_rules_it() -> None:
    target = torch.full((2, 3, 30, 40), 0.1)
    torch.testing.assert_close(irradiance_error(4 * target, target), torch.full((2,), 2.0))
    target[:, :, 10:12, 20:22] = 100.0
    clipped = target.clamp(max=1.0)
    assert bool((irradiance_error(clipped, target) > 1).all())
    assert irradiance_error(target, target).tolist() == [0, 0]
    black = torch.zeros(1, 3, 8, 8)
    assert irradiance_error(black, black).item() == 0


def test_a_surface_sees_the_whole_view() -> None:
    with pytest.raises(ValueError, match="field_of_view_degrees must be between 0 and 90, got 120"):
        irradiance(torch.ones(3, 4, 4), field_of_view_degrees=120.0)
