"""OpenEXR files: bit-exact round trips, channel layouts, and every refusal."""

import struct

import numpy as np
import OpenEXR
import pytest

from ldr2hdr.data.datasets.headers import read_header
from ldr2hdr.io import read_radiance
from ldr2hdr.io.errors import ImageError
from ldr2hdr.io.exr import read_exr, read_exr_size, write_exr

# To linear Rec. 709 with Bradford adaptation, as published: ITU-R BT.2407 table 2-1 and SMPTE RP 177 for those with the
# same white; for ACES, those of colour-science and of the ACES reference's transforms. XYZ at equal energy: Lindbloom's
# Bradford matrix from E to D65, and then his matrix to sRGB.
_E_TO_D65 = [
    [0.9531874, -0.0265906, 0.0238731],
    [-0.0382467, 1.0288406, 0.0094060],
    [0.0026068, -0.0030332, 1.0892565],
]
_SRGB_FROM_XYZ = [
    [3.2404542, -1.5371385, -0.4985314],
    [-0.9692660, 1.8760108, 0.0415560],
    [0.0556434, -0.2040259, 1.0572252],
]
MATRICES = {
    "Rec. 2020": (
        (0.708, 0.292, 0.170, 0.797, 0.131, 0.046, 0.3127, 0.3290),
        [[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]],
    ),
    "Display P3": (
        (0.680, 0.320, 0.265, 0.690, 0.150, 0.060, 0.3127, 0.3290),
        [[1.22494, -0.22494, 0.0], [-0.04206, 1.04206, 0.0], [-0.01964, -0.07864, 1.09827]],
    ),
    "AP0": (
        (0.7347, 0.2653, 0.0, 1.0, 0.0001, -0.077, 0.32168, 0.33767),
        [[2.52169, -1.13413, -0.38756], [-0.27648, 1.37272, -0.09624], [-0.01538, -0.15298, 1.16835]],
    ),
    "AP1": (
        (0.713, 0.293, 0.165, 0.830, 0.128, 0.044, 0.32168, 0.33767),
        [[1.70505, -0.62179, -0.08326], [-0.13026, 1.14080, -0.01055], [-0.02400, -0.12897, 1.15297]],
    ),
    "XYZ": ((1.0, 0.0, 0.0, 1.0, 0.0, 0.0, 1 / 3, 1 / 3), np.array(_SRGB_FROM_XYZ) @ np.array(_E_TO_D65)),
}


def write_raw(path, channels, **header):
    OpenEXR.File({"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage, **header}, channels).write(
        str(path)
    )


@pytest.mark.parametrize("is_half", [True, False])
def test_zip_is_lossless_even_for_a_strided_array(tmp_path, rng, is_half):
    path = tmp_path / "a.exr"
    rgb = rng.random((7, 5, 3)).astype(np.float16 if is_half else np.float32).astype(np.float32)
    write_exr(path, rgb[::-1, :, ::-1], is_half=is_half)
    np.testing.assert_array_equal(read_exr(path), rgb[::-1, :, ::-1])
    stored = OpenEXR.File(str(path))
    assert stored.channels()["RGB"].pixels.dtype == (np.float16 if is_half else np.float32)
    assert stored.header()["chromaticities"] == pytest.approx((0.64, 0.33, 0.3, 0.6, 0.15, 0.06, 0.3127, 0.329))


@pytest.mark.parametrize("names", ["R", "RG", "XYZ", ("Y", "RY"), ("left.R", "left.G", "left.B")])
def test_channels_that_make_no_picture_are_refused_by_the_header(tmp_path, names):
    """X, Y, Z were read as grey, by their Y."""
    write_raw(tmp_path / "a.exr", {name: np.ones((2, 3), np.float32) for name in names})
    for read in (read_exr, read_exr_size, read_header):
        with pytest.raises(ImageError, match=r"expected the channels R, G, B or Y, got .*a\.exr"):
            read(tmp_path / "a.exr")


def test_grey_with_depth_is_grey(tmp_path):
    write_raw(tmp_path / "a.exr", {"Y": np.full((2, 3), 0.5, np.float32), "Z": np.ones((2, 3), np.float32)})
    np.testing.assert_array_equal(read_exr(tmp_path / "a.exr"), 0.5)


def test_a_container_of_aces_is_of_its_primaries(tmp_path, rng):
    """SMPTE ST 2065-4; the flag without chromaticities was taken for Rec. 709."""
    rgb = rng.random((2, 3, 3)).astype(np.float32)
    write_raw(tmp_path / "a.exr", {"RGB": rgb}, acesImageContainerFlag=1)
    np.testing.assert_allclose(read_exr(tmp_path / "a.exr"), rgb @ np.array(MATRICES["AP0"][1]).T, atol=5e-4)


def test_a_value_above_half_range_is_stored_in_single_precision(tmp_path):
    rgb = np.full((2, 2, 3), 70000.0, np.float32)
    write_exr(tmp_path / "a.exr", rgb)
    np.testing.assert_array_equal(read_exr(tmp_path / "a.exr"), rgb)


def test_stronger_lossy_compression_is_smaller(tmp_path, rng):
    rgb = rng.random((64, 64, 3)).astype(np.float32)
    for level in (5.0, 200.0):
        write_exr(tmp_path / f"{level:.0f}.exr", rgb, compression="dwaa", dwa_level=level)
    assert (tmp_path / "200.exr").stat().st_size < 0.7 * (tmp_path / "5.exr").stat().st_size


def test_alpha_is_dropped_and_a_single_luminance_is_grey(tmp_path, rng):
    rgba = rng.random((4, 6, 4)).astype(np.float32)
    write_raw(tmp_path / "rgba.exr", {"RGBA": rgba})
    np.testing.assert_array_equal(read_exr(tmp_path / "rgba.exr"), rgba[..., :3])
    write_raw(tmp_path / "y.exr", {"Y": np.ascontiguousarray(rgba[..., 0])})
    np.testing.assert_array_equal(read_exr(tmp_path / "y.exr"), np.repeat(rgba[..., :1], 3, axis=2))


def test_unknown_channels_are_listed(tmp_path):
    write_raw(tmp_path / "z.exr", {"depth": np.ones((2, 2), np.float32)})
    with pytest.raises(ImageError, match=r"expected the channels R, G, B or Y, got depth.*z\.exr"):
        read_exr(tmp_path / "z.exr")


@pytest.mark.parametrize("name", MATRICES)
def test_other_primaries_are_converted(tmp_path, rng, name):
    primaries, matrix = MATRICES[name]
    rgb = rng.random((70, 3, 3)).astype(np.float32)
    write_raw(tmp_path / "a.exr", {"RGB": rgb}, chromaticities=primaries)
    np.testing.assert_allclose(read_exr(tmp_path / "a.exr"), rgb @ np.array(matrix).T, atol=5e-4)
    assert read_exr_size(tmp_path / "a.exr") == (70, 3)
    write_raw(tmp_path / "grey.exr", {"Y": np.full((2, 2), 0.25, np.float32)}, chromaticities=primaries)
    np.testing.assert_array_equal(read_exr(tmp_path / "grey.exr"), 0.25)


def test_negative_values_of_other_primaries_are_kept_where_they_are_wanted(tmp_path):
    green = np.tile(np.array([0, 0.5, 0], np.float32), (2, 2, 1))
    write_raw(tmp_path / "a.exr", {"RGB": green}, chromaticities=MATRICES["Rec. 2020"][0])
    kept = read_radiance(tmp_path / "a.exr", allow_negative=True)[:, 0, 0]
    np.testing.assert_allclose(kept, (-0.2938, 0.5664, -0.0503), atol=1e-4)
    with pytest.raises(ImageError, match="expected non-negative values"):
        read_radiance(tmp_path / "a.exr")


@pytest.mark.parametrize(
    ("space", "name"), [("lin_ap0_scene", "AP0"), ("lin_ap1_scene", "AP1"), ("lin_rec2020_scene", "Rec. 2020")]
)
def test_a_space_that_is_named_is_converted(tmp_path, rng, space, name):
    rgb = rng.random((2, 3, 3)).astype(np.float32)
    write_raw(tmp_path / "a.exr", {"RGB": rgb}, colorInteropID=space)
    np.testing.assert_allclose(read_exr(tmp_path / "a.exr"), rgb @ np.array(MATRICES[name][1]).T, atol=2e-4)


def test_chroma_is_of_the_primaries_that_the_file_has(tmp_path, rng):
    """OpenEXR, ImfRgbaYca.cpp, `computeYw`: the weights of luminance are those of the chromaticities."""
    rgb = rng.random((5, 4, 3)).astype(np.float32) + np.float32(0.1)
    luminance = rgb @ np.array([0.2627, 0.6780, 0.0593], np.float32)  # ITU-R BT.2020
    planes = {"Y": luminance, "RY": rgb[..., 0] / luminance - 1, "BY": rgb[..., 2] / luminance - 1}
    primaries, matrix = MATRICES["Rec. 2020"]
    write_raw(tmp_path / "a.exr", planes, chromaticities=primaries)
    np.testing.assert_allclose(read_exr(tmp_path / "a.exr"), rgb @ np.array(matrix).T, atol=1e-3)


@pytest.mark.parametrize(
    "primaries",
    [
        (0.64, 0.33, 0.64, 0.33, 0.15, 0.06, 0.3127, 0.3290),  # two are one
        (0.64, 0.33, 0.30, 0.60, 0.47, 0.465, 0.3127, 0.3290),  # on a line
        (0.64, 0.33, 0.30, 0.60, 0.15, 0.06, 0.7, 0.3),  # white outside
        (0.64, 0.33, 0.30, 0.60, 0.15, 0.06, 0.3127, 0.0),
        (float("nan"), 0.33, 0.30, 0.60, 0.15, 0.06, 0.3127, 0.3290),
        (float("inf"), 0.33, 0.30, 0.60, 0.15, 0.06, 0.3127, 0.3290),
    ],
)
def test_primaries_that_span_no_colours_are_refused(tmp_path, primaries):
    write_raw(tmp_path / "a.exr", {"RGB": np.ones((2, 2, 3), np.float32)}, chromaticities=primaries)
    for read in (read_exr, read_exr_size, read_header):
        with pytest.raises(ImageError, match=r"expected primaries that span colours.*a\.exr"):
            read(tmp_path / "a.exr")


WEIGHTS = (0.212656, 0.715158, 0.072186)


def chroma_of(rgb):
    luminance = rgb @ np.array(WEIGHTS, np.float32)
    return {"Y": luminance, "RY": rgb[..., 0] / luminance - 1, "BY": rgb[..., 2] / luminance - 1}


def test_luminance_and_chroma_become_colours(tmp_path, rng):
    """OpenEXR's technical introduction: ``RY = (R - Y) / Y``, ``BY = (B - Y) / Y``."""
    rgb = rng.uniform(0.1, 4, (6, 5, 3)).astype(np.float32)
    write_raw(tmp_path / "yc.exr", {name: plane.copy() for name, plane in chroma_of(rgb).items()})
    np.testing.assert_allclose(read_exr(tmp_path / "yc.exr"), rgb, rtol=1e-4)
    write_raw(tmp_path / "half.exr", {"Y": rgb[..., 0].copy(), "RY": rgb[..., 1].copy()})
    with pytest.raises(ImageError, match=r"got RY, Y.*half\.exr"):
        read_exr(tmp_path / "half.exr")


def write_subsampled(path, luminance, chroma):
    """By the format's layout, without compression: the package's writer has no chroma of half size."""
    height, width = luminance.shape
    channels = b"".join(
        name + b"\0" + struct.pack("<iiii", 2, 0, step, step) for name, step in ((b"BY", 2), (b"RY", 2), (b"Y", 1))
    )
    box = struct.pack("<4i", 0, 0, width - 1, height - 1)
    attributes = {
        (b"channels", b"chlist"): channels + b"\0",
        (b"compression", b"compression"): b"\0",
        (b"dataWindow", b"box2i"): box,
        (b"displayWindow", b"box2i"): box,
        (b"lineOrder", b"lineOrder"): b"\0",
        (b"pixelAspectRatio", b"float"): struct.pack("<f", 1),
        (b"screenWindowCenter", b"v2f"): bytes(8),
        (b"screenWindowWidth", b"float"): struct.pack("<f", 1),
    }
    head = struct.pack("<II", 20000630, 2)
    head += b"".join(b"\0".join(key) + b"\0" + struct.pack("<i", len(v)) + v for key, v in attributes.items()) + b"\0"
    lines = []
    for y, line in enumerate(luminance):
        planes = [*(chroma[name][y // 2] for name in ("BY", "RY") if y % 2 == 0), line]
        data = b"".join(plane.astype("<f4").tobytes() for plane in planes)
        lines.append(struct.pack("<ii", y, len(data)) + data)
    starts = len(head) + 8 * height + np.cumsum([0, *map(len, lines[:-1])])
    path.write_bytes(head + starts.astype("<u8").tobytes() + b"".join(lines))


def test_chroma_of_half_size_is_brought_to_full_size(tmp_path):
    """Where it was sampled it stays, between it is what a smooth change of colour has there."""
    height, width = 8, 40
    ramp = 0.3 + 0.1 * np.sin(np.arange(width) / 4)[None].repeat(height, 0)
    chroma = {"RY": ramp[::2, ::2], "BY": np.full((height // 2, width // 2), -0.2)}
    write_subsampled(tmp_path / "a.exr", np.full((height, width), 2.0), chroma)
    read = read_exr(tmp_path / "a.exr")
    np.testing.assert_allclose(read[::2, ::2, 0], 2 * (chroma["RY"] + 1), rtol=1e-5)
    np.testing.assert_allclose(read[:, 14:-14, 0], 2 * (ramp[:, 14:-14] + 1), rtol=1e-3)
    np.testing.assert_allclose(read[..., 2], 1.6, rtol=1e-5)


def test_channels_of_several_precisions_are_one_picture(tmp_path):
    planes = {"R": np.full((2, 3), 1, np.float16), "G": np.full((2, 3), 2, np.float32)}
    write_raw(tmp_path / "a.exr", planes | {"B": np.full((2, 3), 3, np.float16)})
    np.testing.assert_array_equal(read_exr(tmp_path / "a.exr")[1, 2], (1, 2, 3))


@pytest.mark.parametrize(
    ("attribute", "message"),
    [
        ({"pixelAspectRatio": 2.0}, "expected square pixels, got a pixelAspectRatio of 2.0"),
        ({"whiteLuminance": -1.0}, "expected a positive whiteLuminance"),
        ({"colorInteropID": "lin_ciexyzd65_scene"}, "got the colorInteropID 'lin_ciexyzd65_scene'"),
        ({"colorInteropID": "srgb_rec709_display"}, "got the colorInteropID 'srgb_rec709_display'"),
    ],
)
def test_an_attribute_that_changes_what_the_numbers_mean_is_refused_by_name(tmp_path, attribute, message):
    write_raw(tmp_path / "a.exr", {"RGB": np.ones((2, 2, 3), np.float32)}, **attribute)
    for read in (read_exr, read_exr_size, read_header):
        with pytest.raises(ImageError, match=message + r".*a\.exr"):
            read(tmp_path / "a.exr")


def test_the_luminance_of_white_is_applied(tmp_path):
    write_raw(tmp_path / "a.exr", {"RGB": np.full((2, 2, 3), 0.5, np.float32)}, whiteLuminance=100.0)
    np.testing.assert_array_equal(read_exr(tmp_path / "a.exr"), 50)


def test_a_deep_picture_is_refused_by_name(tmp_path):
    plane = np.empty((4, 4), object)
    for at in np.ndindex(4, 4):
        plane[at] = np.full(1 + sum(at) % 2, 0.5, np.float32)
    write_raw(
        tmp_path / "deep.exr",
        dict.fromkeys("RGBA", plane),
        type=OpenEXR.deepscanline,
        compression=OpenEXR.ZIPS_COMPRESSION,
    )
    for read in (read_radiance, read_exr_size, read_header):
        with pytest.raises(ImageError, match=r"got a deep one.*deep\.exr"):
            read(tmp_path / "deep.exr")


def test_nothing_is_printed_of_damage(tmp_path, rng, capsys):
    path = tmp_path / "a.exr"
    write_exr(path, rng.random((64, 64, 3)).astype(np.float32), is_half=False)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])
    with pytest.raises(ImageError, match=r"truncated or damaged one: .*a\.exr"):
        read_exr(path)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("kept", [0.02, 0.3, 0.6, 0.98])
def test_a_truncated_file_is_refused(tmp_path, rng, kept):
    path = tmp_path / "a.exr"
    write_exr(path, rng.random((64, 64, 3)).astype(np.float32))
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * kept)])
    with pytest.raises(ImageError, match=r"truncated or damaged one: .*a\.exr"):
        read_exr(path)


def test_an_absurd_data_window_is_refused_before_it_is_allocated(tmp_path):
    path = tmp_path / "a.exr"
    write_exr(path, np.ones((3, 3, 3), np.float32))
    data = path.read_bytes()
    window = np.array([0, 0, 2, 2], "<i4").tobytes()
    assert window in data
    path.write_bytes(data.replace(window, np.array([0, 0, 2**20, 2**20], "<i4").tobytes()))
    with pytest.raises(ImageError, match=r"1048577 x 1048577|truncated or damaged"):
        read_exr(path)
