"""OpenEXR files: bit-exact round trips, channel layouts, and every refusal."""

import numpy as np
import OpenEXR
import pytest

from ldr2hdr.io.errors import ImageError
from ldr2hdr.io.exr import read_exr, write_exr


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


def test_other_primaries_are_refused(tmp_path):
    aces = (0.7347, 0.2653, 0.0, 1.0, 0.0001, -0.077, 0.32168, 0.33767)
    write_raw(tmp_path / "aces.exr", {"RGB": np.ones((2, 2, 3), np.float32)}, chromaticities=aces)
    with pytest.raises(ImageError, match=r"expected Rec. 709 primaries .* got \(0.734.*aces\.exr"):
        read_exr(tmp_path / "aces.exr")


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
