import pytest
import torch

from ldr2hdr.data.cameras.metering import MeanMetering, NormalMetering, PercentileMetering
from ldr2hdr.radiometry import expose


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def scenes(count):
    return torch.exp(torch.randn(count, 3, 20, 20, generator=seeded()))


def test_percentile_leaves_the_drawn_fraction_below_the_clipping_level():
    radiance = scenes(300)
    exposure = expose(radiance, PercentileMetering([0.85, 0.97])(radiance, seeded()))
    fraction = (exposure <= 1 + 1e-6).double().mean(dim=(1, 2, 3))
    assert 0.85 <= fraction.min().item() < 0.86
    assert 0.96 < fraction.max().item() <= 0.97 + 1 / 1200
    assert fraction.mean().item() == pytest.approx(0.91, abs=0.006)


def test_mean_is_anchored_and_moved_uniformly():
    radiance = scenes(500)
    stops = torch.log2(expose(radiance, MeanMetering(0.5, [-3.0, 3.0])(radiance, seeded())).mean(dim=(1, 2, 3)) / 0.5)
    assert -3 - 1e-4 <= stops.min().item() < -2.9
    assert 2.9 < stops.max().item() <= 3 + 1e-4
    assert stops.std().item() == pytest.approx(3**0.5, abs=0.1)  # of a uniform law on [-3, 3]


def test_normal_stops_have_their_deviation():
    radiance = scenes(500)
    stops = torch.log2(expose(radiance, NormalMetering(0.18, 1.0)(radiance, seeded())).mean(dim=(1, 2, 3)) / 0.18)
    assert stops.mean().item() == pytest.approx(0, abs=0.1)
    assert stops.std().item() == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize(
    "metering", [PercentileMetering([0.85, 0.95]), MeanMetering(0.5, [0.0, 0.0]), NormalMetering(0.5, 1.0)]
)
def test_metering_ignores_the_unit_of_radiance_and_survives_darkness(metering):
    radiance = scenes(3)
    torch.testing.assert_close(metering(radiance, seeded()) - 4, metering(16 * radiance, seeded()), rtol=0, atol=1e-4)
    assert bool(metering(torch.zeros(2, 3, 4, 4), seeded()).isfinite().all())


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: PercentileMetering([0.0, 0.9]), "fraction_below_clip must be within"),
        (lambda: PercentileMetering([0.9, 0.8]), "fraction_below_clip must be"),
        (lambda: MeanMetering(0.0, [0.0, 1.0]), "level must be positive"),
        (lambda: MeanMetering(0.5, [1.0, 0.0]), "stops must be"),
        (lambda: NormalMetering(0.5, 0.0), "std_stops must be positive"),
    ],
)
def test_bad_metering_names_the_key(make, message):
    with pytest.raises(ValueError, match=message):
        make()
