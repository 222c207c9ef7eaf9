"""Every expansion operator: laws of the family, then each against its own formula."""

import math

import pytest
import torch

from ldr2hdr.baselines.expansion.akyuz2007 import Akyuz2007
from ldr2hdr.baselines.expansion.base import is_well_exposed
from ldr2hdr.baselines.expansion.bist2017 import Bist2017, encode_lightness
from ldr2hdr.baselines.expansion.huo2014 import Huo2014
from ldr2hdr.baselines.expansion.key import log_mean, measure_key
from ldr2hdr.baselines.expansion.kovaleski_oliveira2014 import KovaleskiOliveira2014
from ldr2hdr.baselines.expansion.kuo2012 import Kuo2012
from ldr2hdr.baselines.expansion.landis2002 import Landis2002
from ldr2hdr.baselines.expansion.masia2009 import Masia2009
from ldr2hdr.baselines.expansion.masia2017 import Masia2017
from ldr2hdr.baselines.inverse_gamma import InverseGamma
from ldr2hdr.radiometry import luminance
from ldr2hdr.tasks import Shots

OPERATORS = [
    Akyuz2007(),
    Akyuz2007(gamma=1.5),
    Bist2017(),
    Bist2017(saturation=1.0, gamma=1.6),
    Huo2014(),
    KovaleskiOliveira2014(),
    Kuo2012(),
    Landis2002(),
    Landis2002(threshold=None),
    Masia2009(),
    Masia2017(),
]
every_operator = pytest.mark.parametrize("operator", OPERATORS, ids=repr)
GAMMA = 2.2


def expand(operator, ldr):
    return operator.adapt(None)(ldr)


def photographs(batch=3, height=24, width=31):
    """Coloured 8-bit noise at several scales, with black and white parts."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(batch, 3, 4, 5, generator=generator)
    smooth = torch.nn.functional.interpolate(coarse, size=(height, width), mode="bilinear")
    noise = torch.rand(batch, 3, height, width, generator=generator)
    return ((1.6 * smooth - 0.3 + 0.1 * noise).clamp(0, 1) * 255).round() / 255


def grey(levels):
    """A grey picture one pixel high."""
    return (torch.as_tensor(levels, dtype=torch.float64) / 255).expand(1, 3, 1, -1)


def ramp():
    return grey(range(256))


def patches(*levels, width=200):
    """Flat grey fields side by side: inside them, far from their edges, a filter leaves what it finds."""
    return grey(levels).repeat_interleave(width, dim=-1)


def anchored(display, levels):
    """The convention, for one grey row: the mean light of levels 6 to 249 is that of the inverse display curve."""
    levels = torch.as_tensor(levels, dtype=torch.float64)
    linear = (levels / 255) ** GAMMA
    told = (levels > 5) & (levels < 250)
    return display * linear[told].sum() / display[told].sum()


def grey_value(exposure):
    torch.testing.assert_close(exposure[:, 0], exposure[:, 1])
    torch.testing.assert_close(exposure[:, 0], exposure[:, 2])
    return exposure[0, 0, 0]


# ---- the family -----------------------------------------------------------------------------------------------------


@every_operator
@pytest.mark.parametrize("level", [3, 60, 128, 200, 255])
def test_a_constant_is_where_the_inverse_display_curve_puts_it(operator, level):
    ldr = grey([level]).expand(1, 3, 12, 9)
    torch.testing.assert_close(expand(operator, ldr), ldr**GAMMA, rtol=1e-6, atol=0)


@every_operator
def test_the_well_exposed_part_keeps_its_mean_luminance(operator):
    ldr = photographs()
    well_exposed = is_well_exposed(ldr)
    sums = [(luminance(light) * well_exposed).sum(dim=(1, 2)) for light in (expand(operator, ldr), ldr**GAMMA)]
    assert well_exposed.flatten(1).float().mean(dim=1).min() > 0.2
    torch.testing.assert_close(sums[0], sums[1], rtol=1e-4, atol=0)


@every_operator
def test_black_stays_black(operator):
    assert expand(operator, torch.zeros(2, 3, 9, 7)).abs().max() == 0
    ldr = photographs()
    ldr[:, :, :3] = 0
    assert expand(operator, ldr)[:, :, :3].abs().max() == 0


@every_operator
def test_a_grey_ramp_stays_one(operator):
    values = grey_value(expand(operator, ramp().float()))
    assert (values.diff() >= 0).all()
    assert values[-1] > values[128] > values[40] > 0


@every_operator
def test_colours_keep_their_ratios_but_for_the_saturation(operator):
    ldr = photographs()
    before, after = ldr**GAMMA, expand(operator, ldr)
    saturation = getattr(operator, "saturation", 1.0)
    is_told = (before > 1e-3).all(dim=1) & (after > 0).all(dim=1)
    assert is_told.float().mean() > 0.2
    for first, second in ((0, 1), (2, 1)):
        ratio = (before[:, first] / before[:, second])[is_told]
        torch.testing.assert_close((after[:, first] / after[:, second])[is_told], ratio**saturation, rtol=1e-3, atol=0)


@every_operator
def test_a_batch_is_its_pictures_one_by_one(operator):
    ldr = photographs()
    together = expand(operator, ldr)
    single = torch.cat([expand(operator, picture[None]) for picture in ldr])
    torch.testing.assert_close(together, single, rtol=1e-4, atol=1e-7)


@every_operator
@pytest.mark.parametrize("size", [(1, 1), (1, 13), (11, 1), (5, 3), (33, 17)])
def test_any_size_and_content_gives_finite_light(operator, size):
    generator = torch.Generator().manual_seed(size[0])
    noise = torch.randint(0, 256, (2, 3, *size), generator=generator) / 255
    colours = torch.eye(3).view(3, 3, 1, 1).expand(3, 3, *size)
    for ldr in (noise, colours, (noise > 0.5).float(), torch.ones(1, 3, *size), noise / 255):
        exposure = expand(operator, ldr)
        assert exposure.shape == ldr.shape
        assert exposure.dtype == ldr.dtype
        assert exposure.isfinite().all()
        assert (exposure >= 0).all()


@every_operator
def test_the_support_changes_nothing_and_the_input_is_left_alone(operator):
    ldr = photographs()
    kept = ldr.clone()
    without = expand(operator, ldr)
    torch.testing.assert_close(operator.adapt(Shots(ldr, ldr * 5))(ldr), without, rtol=0, atol=0)
    torch.testing.assert_close(ldr, kept, rtol=0, atol=0)


def test_a_picture_without_a_well_exposed_pixel_keeps_its_mean():
    ldr = patches(2, 255)
    exposure = grey_value(expand(Landis2002(), ldr))
    assert exposure.mean().item() == pytest.approx((ldr**GAMMA).mean().item(), rel=1e-6)
    # of two luminances the stretch makes the darker black, which leaves it nothing to be anchored by
    exposure = grey_value(expand(Akyuz2007(), patches(100, 255)))
    assert exposure.mean().item() == pytest.approx((patches(100, 255) ** GAMMA).mean().item(), rel=1e-6)


@every_operator
def test_the_display_gamma_is_that_of_the_anchor(operator):
    other = type(operator)(display_gamma=1.8)
    ldr = grey([90]).expand(1, 3, 6, 6)
    torch.testing.assert_close(expand(other, ldr), ldr**1.8, rtol=1e-6, atol=0)
    with pytest.raises(ValueError, match=r"display_gamma must be positive, got 0\.0"):
        type(operator)(display_gamma=0.0)


# ---- each by its formula --------------------------------------------------------------------------------------------


def test_akyuz_2007():
    levels = range(40, 256)
    linear = (torch.arange(40, 256).double() / 255) ** GAMMA
    for gamma in (1.0, 1.7):
        stretched = ((linear - linear[0]) / (1 - linear[0])) ** gamma
        expected = anchored(stretched, levels)
        torch.testing.assert_close(grey_value(expand(Akyuz2007(gamma=gamma), grey(levels))), expected)
    # from black to white there is nothing to stretch
    torch.testing.assert_close(expand(Akyuz2007(), ramp()), InverseGamma(GAMMA)(ramp()))


@pytest.mark.parametrize("threshold", [0.5, 0.2, None])
def test_landis_2002(threshold):
    linear = grey_value(ramp() ** GAMMA)
    start = linear.mean() if threshold is None else threshold
    weight = ((linear - start) / (1 - start)) ** 2
    display = torch.where(linear >= start, (1 - weight) * linear + weight * 10 * linear, linear)
    values = grey_value(expand(Landis2002(threshold=threshold), ramp()))
    torch.testing.assert_close(values, anchored(display, range(256)))
    assert (values[255] / values[40] / (linear[255] / linear[40])).item() == pytest.approx(10)


def test_landis_2002_leaves_what_does_not_reach_the_threshold():
    ldr = grey(range(150))
    torch.testing.assert_close(expand(Landis2002(), ldr), ldr**GAMMA)


@pytest.mark.parametrize(("lightness", "gamma"), [(0.8, 1.0969), (0.5, 1.3010), (0.2, 1.6990), (0.1, 2.0), (0.0, 3.0)])
def test_bist_2017_has_more_contrast_the_darker_the_style(lightness, gamma):
    luminances = torch.full((1, 1, 1), ((100 * lightness + 16) / 116) ** 3 if lightness > 0.08 else 0.0)
    assert Bist2017().find_gamma(luminances).item() == pytest.approx(gamma, abs=1e-4)


def test_bist_2017():
    linear = grey_value(ramp() ** GAMMA)
    median_lightness = 1.16 * linear[127].item() ** (1 / 3) - 0.16
    expected = anchored(linear ** (1 - math.log10(median_lightness)), range(256))
    torch.testing.assert_close(grey_value(expand(Bist2017(), ramp())), expected)
    torch.testing.assert_close(grey_value(expand(Bist2017(gamma=1.5), ramp())), anchored(linear**1.5, range(256)))


def test_cie_lightness_by_the_published_constants():
    """CIE 15:2004: L* = 903.3 Y below 0.008856, 116 Y ** (1/3) - 16 above."""
    values = torch.linspace(0, 1, 1001, dtype=torch.float64)
    expected = torch.where(values <= 0.008856, 903.3 * values, 116 * values ** (1 / 3) - 16) / 100
    torch.testing.assert_close(encode_lightness(values), expected, rtol=0, atol=1e-5)


def test_huo_2014():
    ldr = patches(60, 200)
    dark, bright = (60 / 255) ** GAMMA, (200 / 255) ** GAMMA
    mean = math.sqrt(dark * bright)
    gains = [(light**0.86 + mean**0.86) ** (1 / 0.86) for light in (dark, bright)]
    values = grey_value(expand(Huo2014(), ldr))
    assert (values[-1] / values[0]).item() == pytest.approx(bright * gains[1] / (dark * gains[0]), rel=1e-5)


@pytest.mark.parametrize(("threshold", "is_map"), [(254, [0.25, 0.25, 1.0]), (200, [0.25, 1.0, 1.0])])
def test_kovaleski_and_oliveira_2014(threshold, is_map):
    levels = (60, 220, 255) if threshold == 200 else (60, 150, 255)
    linear = (torch.tensor(levels).double() / 255) ** GAMMA
    display = (linear * (1200 - 0.3) + 0.3) * torch.tensor(is_map).double()
    values = grey_value(expand(KovaleskiOliveira2014(threshold=threshold, sigma_levels=5.0), patches(*levels)))
    torch.testing.assert_close(values[100::200], anchored(display, levels), rtol=1e-3, atol=0)


def test_kuo_2012():
    levels = (60, 140, 255)
    linear = (torch.tensor(levels).double() / 255) ** GAMMA
    values = grey_value(expand(Kuo2012(), patches(*levels)))
    display = linear / (30 * (1 - linear) + linear)
    torch.testing.assert_close(values[100::200] / values[100], display / display[0], rtol=1e-6, atol=0)


def test_kuo_2012_smooths_contours_in_lights_alone():
    """Two levels that alternate, in a shadow and in a small light: only in the light do they draw together."""
    ldr = grey([40, 42] * 180 + [250, 252] * 15 + [40] * 10).repeat(1, 1, 30, 1)
    values = expand(Kuo2012(), ldr)[0, 0, 15]
    linear = (torch.tensor([40, 42, 250, 252]).double() / 255) ** GAMMA
    display = linear / (30 * (1 - linear) + linear)
    assert (values[101] / values[100]).item() == pytest.approx((display[1] / display[0]).item(), rel=1e-6)
    assert 1 < (values[375] / values[374]).item() < 1 + 0.5 * ((display[3] / display[2]).item() - 1)


def test_masia_2009():
    levels = (40, 230, 230, 255)
    linear = (torch.tensor(levels).double() / 255) ** GAMMA
    key = 1 - linear.log().mean() / linear[0].log()
    gamma = 10.44 * key - 6.282
    assert gamma > 1
    values = grey_value(expand(Masia2009(), patches(*levels)))
    torch.testing.assert_close(values[100::200], anchored(linear**gamma, levels), rtol=1e-6, atol=0)


def test_masia_2009_does_not_turn_a_dark_picture_into_its_negative():
    ldr = patches(20, 20, 20, 255)
    linear = grey_value(ldr**GAMMA)
    assert Masia2009().find_gamma(linear[None, None]).item() == pytest.approx(10.44 * 0.25 - 6.282)
    torch.testing.assert_close(grey_value(expand(Masia2009(), ldr)), linear)


def test_masia_2009_keeps_detail():
    """A ripple below the filter's range has the same contrast after the expansion, though the exponent is above 2."""
    ldr = grey([80] * 100 + [230, 231] * 150).repeat(1, 1, 8, 1)
    values = expand(Masia2009(), ldr)[0, 0, 4]
    assert Masia2009().find_gamma(luminance(ldr**GAMMA)).item() > 1.5
    assert (values[301] / values[300]).item() == pytest.approx((231 / 230) ** GAMMA, rel=1e-3)


def test_masia_2017():
    levels = (60, 120, 254, 255)
    linear = (torch.tensor(levels).double() / 255) ** GAMMA
    mean = linear.log().mean()
    key = 1 - mean / linear[0].log()
    expected = 2.4379 + 0.2319 * mean - 1.1228 * key + 0.0085 * 50
    field = grey_value(patches(*levels) ** GAMMA)[None, None]
    assert Masia2017().find_gamma(field).item() == pytest.approx(expected.item(), rel=1e-9)
    values = grey_value(expand(Masia2017(), patches(*levels)))
    # 254 and 255 are one shade for the filter: only the others are flat enough for the formula
    assert (values[300] / values[100]).item() == pytest.approx(
        (linear[1] / linear[0]).item() ** expected.item(), rel=1e-6
    )


def test_the_key_and_the_geometric_mean_are_of_lit_pixels():
    field = torch.tensor([[[0.0, 0.0, 0.01, 1.0]], [[0.0, 0.0, 0.0, 0.0]], [[0.5, 0.5, 0.5, 0.5]]])
    assert log_mean(field).tolist() == pytest.approx([0.1, 0.0, 0.5])
    assert measure_key(field).tolist() == pytest.approx([0.5, 0.0, 0.0])
    # one pixel in a hundred is left out at either end
    lights = torch.full((1, 1, 1000), 0.1)
    lights[..., :300], lights[..., 300:600] = 0.01, 1.0
    outliers = lights.clone()
    outliers[..., :5], outliers[..., 595:600] = 1e-6, 1e3
    assert measure_key(lights).item() == pytest.approx(0.5)
    assert measure_key(outliers).item() == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize(
    ("maker", "parameters", "message"),
    [
        (Akyuz2007, {"gamma": 0.0}, "gamma must be positive"),
        (Bist2017, {"gamma": -1.0}, "Bist needs gamma > 0"),
        (Bist2017, {"saturation": 0.0}, "Bist needs"),
        (Bist2017, {"min_lightness": 0.0}, "Bist needs"),
        (Huo2014, {"n": 0.0}, "n must be positive"),
        (KovaleskiOliveira2014, {"threshold": 255}, "threshold within"),
        (KovaleskiOliveira2014, {"sigma_px": 0.0}, "positive sigma_px"),
        (KovaleskiOliveira2014, {"black_cd_m2": 1200.0}, "black_cd_m2 < peak_cd_m2"),
        (Kuo2012, {"p": 0.5}, "p >= 1"),
        (Kuo2012, {"sigma_levels": 0.0}, "positive sigma_levels"),
        (Landis2002, {"peak": 0.5}, "peak >= 1"),
        (Landis2002, {"threshold": 1.0}, "threshold within"),
        (Landis2002, {"alpha": 0.0}, "alpha > 0"),
        (Masia2009, {"min_gamma": 0.0}, "positive min_gamma"),
        (Masia2017, {"sigma_range": 0.0}, "positive min_gamma, sigma_px and sigma_range"),
    ],
)
def test_bad_parameters_are_refused(maker, parameters, message):
    with pytest.raises(ValueError, match=message):
        maker(**parameters)
