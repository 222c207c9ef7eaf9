"""ICC profiles: published colorants, every kind of curve in closed form, and the engine in Pillow as a witness."""

import io
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import ImageCms

from ldr2hdr.io import ImageError
from ldr2hdr.io.colour import is_srgb
from ldr2hdr.io.icc import parse_profile
from ldr2hdr.io.icc_writing import (
    ADOBE_RGB,
    DISPLAY_P3,
    SRGB_CURVE,
    adobe_rgb_profile,
    display_p3_profile,
    encode_profile,
    linear_rec709_profile,
    srgb_profile,
    xyz_d50_from_rgb,
)
from ldr2hdr.io.primaries import REC709

GRID = np.linspace(0, 1, 101)
# Colorants in the profiles that Adobe and Apple ship
SHIPPED = {
    ADOBE_RGB: [(0.60974, 0.31111, 0.01947), (0.20528, 0.62567, 0.06087), (0.14919, 0.06322, 0.74457)],
    DISPLAY_P3: [(0.51512, 0.24120, -0.00105), (0.29198, 0.69225, 0.04189), (0.15710, 0.06657, 0.78407)],
    REC709: [(0.43607, 0.22249, 0.01392), (0.38515, 0.71687, 0.09708), (0.14307, 0.06061, 0.71410)],
}


@pytest.mark.parametrize("primaries", SHIPPED)
def test_colorants_are_those_of_shipped_profiles(primaries):
    np.testing.assert_allclose(xyz_d50_from_rgb(primaries).T, SHIPPED[primaries], atol=2.5e-4)


@pytest.mark.parametrize("make", [srgb_profile, linear_rec709_profile, adobe_rgb_profile, display_p3_profile])
def test_another_engine_reads_what_is_written(make):
    profile = ImageCms.ImageCmsProfile(io.BytesIO(make())).profile
    parsed = parse_profile(Path("a.jpg"), make())
    assert profile.profile_description == parsed.name
    assert (profile.xcolor_space, profile.connection_space, profile.device_class) == ("RGB ", "XYZ ", "mntr")
    colorants = [profile.red_colorant[0], profile.green_colorant[0], profile.blue_colorant[0]]
    np.testing.assert_allclose(xyz_d50_from_rgb(REC709) @ parsed.rec709_from_rgb, np.array(colorants).T, atol=2e-5)
    np.testing.assert_allclose(profile.media_white_point[0], (0.9642, 1.0, 0.8249), atol=1e-4)


def with_curve(element):
    """A linear profile whose curves are ``element``."""
    icc = bytearray(linear_rec709_profile())
    for name in (b"rTRC", b"gTRC", b"bTRC"):
        struct.pack_into(">4sII", icc, icc.index(name), name, len(icc), len(element))
    struct.pack_into(">I", icc, 0, len(icc) + len(element))
    return bytes(icc) + element


def parametric(kind, *numbers):
    return b"para" + bytes(4) + struct.pack(f">HH{len(numbers)}i", kind, 0, *(round(n * 65536) for n in numbers))


def table(*entries):
    return b"curv" + bytes(4) + struct.pack(f">I{len(entries)}H", len(entries), *entries)


@pytest.mark.parametrize(
    ("element", "expected"),
    [
        (table(), GRID),
        (table(563), GRID ** (563 / 256)),
        (table(0, 16384, 65535), np.interp(GRID, [0, 0.5, 1], [0, 16384 / 65535, 1])),
        (parametric(0, 1.8), GRID**1.8),
        (parametric(1, 2.0, 1.25, -0.25), np.maximum(1.25 * GRID - 0.25, 0) ** 2),
        (parametric(2, 2.0, 1.0, -0.25, 0.125), np.maximum(GRID - 0.25, 0) ** 2 + 0.125),
        (parametric(3, *SRGB_CURVE), np.where(GRID > 0.04045, ((GRID + 0.055) / 1.055) ** 2.4, GRID / 12.92)),
        (
            parametric(4, 2.0, 0.75, 0.125, 0.5, 0.25, 0.0625, 0.03125),
            np.where(GRID >= 0.25, (0.75 * GRID + 0.125) ** 2 + 0.0625, 0.5 * GRID + 0.03125),
        ),
    ],
)
def test_every_kind_of_curve(element, expected):
    curve = parse_profile(Path("a.jpg"), with_curve(element)).curves[1]
    np.testing.assert_allclose(curve(GRID), expected, atol=3e-5)


def test_only_srgb_is_srgb():
    shapes = {
        srgb_profile(): True,
        with_curve(table(*np.rint(65535 * srgb_light(np.linspace(0, 1, 1024))).astype(int))): True,
        encode_profile("2.2", REC709, (2.2,)): False,
        display_p3_profile(): False,
        linear_rec709_profile(): False,
    }
    assert [is_srgb(parse_profile(Path("a.jpg"), icc)) for icc in shapes] == list(shapes.values())


def srgb_light(codes):
    return np.where(codes > 0.04045, ((codes + 0.055) / 1.055) ** 2.4, codes / 12.92)


def test_names_of_version_2_and_none_are_read():
    old = b"desc" + bytes(4) + struct.pack(">I", 9) + b"Old sRGB\0"
    icc = bytearray(linear_rec709_profile() + old)
    struct.pack_into(">II", icc, icc.index(b"desc") + 4, len(icc) - len(old), len(old))
    assert parse_profile(Path("a.jpg"), bytes(icc)).name == "Old sRGB"
    assert parse_profile(Path("a.jpg"), linear_rec709_profile().replace(b"desc", b"desk", 1)).name == "unnamed"


@pytest.mark.parametrize(("transfer", "name"), [(16, "PQ"), (18, "HLG")])
def test_an_hdr_profile_is_refused(transfer, name):
    element = b"cicp" + bytes(4) + bytes((9, transfer, 0, 1))
    icc = bytearray(srgb_profile() + element)
    entry = icc.index(b"chad")
    struct.pack_into(">4sII", icc, entry, b"cicp", len(icc) - len(element), len(element))
    with pytest.raises(ImageError, match=rf"expected an LDR photograph, got {name} HDR already: a\.jpg"):
        parse_profile(Path("a.jpg"), bytes(icc))


@pytest.mark.parametrize(
    "damage",
    [
        with_curve(b"junk" + bytes(12)),
        with_curve(parametric(9, 1.0)),
        with_curve(table(1, 2, 3)[:-1]),
        srgb_profile().replace(b"rXYZ", b"qXYZ", 1),
        srgb_profile()[:200],
        srgb_profile().replace(b"XYZ " + bytes(4), b"XYZ " + bytes(4), 1)[:130],
    ],
)
def test_damage_is_an_image_error_that_names_the_file(damage):
    with pytest.raises(ImageError, match=r"the ICC profile is damaged; export the photograph again.*a\.jpg"):
        parse_profile(Path("a.jpg"), damage)


def test_random_damage_is_an_image_error_or_harmless(rng):
    whole = srgb_profile()
    for _ in range(300):
        icc = bytearray(whole)
        for at in rng.integers(128, len(icc), 4):
            icc[at] = rng.integers(256)
        try:
            profile = parse_profile(Path("a.jpg"), bytes(icc))
        except ImageError as error:
            assert "a.jpg" in str(error)  # noqa: PT017 (either outcome is right)
        else:
            assert profile.rec709_from_rgb.shape == (3, 3)
