"""The Radiance codec against OpenCV, hand-made bytes, and the bound of its rounding."""

import cv2
import numpy as np
import pytest

from ldr2hdr.data.datasets.headers import read_header
from ldr2hdr.io.errors import ImageError
from ldr2hdr.io.files import MAX_PIXELS
from ldr2hdr.io.radiance import encode_hdr, read_hdr, read_hdr_size

# red 1, green 0.5, blue 0.25: mantissas 128, 64, 32 at exponent 129
QUAD = bytes((128, 64, 32, 129))
COLOUR = (1.0, 0.5, 0.25)


def hdr_file(tmp_path, size, pixels, *lines):
    path = tmp_path / "picture.hdr"
    head = ["#?RADIANCE", *(lines or ("FORMAT=32-bit_rle_rgbe",)), "", size]
    path.write_bytes("\n".join(head).encode() + b"\n" + pixels)
    return path


def numbered(count):
    """Pixel i has red i + 1, so every order of pixels is a different array."""
    return b"".join(bytes((i + 1, 0, 0, 136)) for i in range(count))


@pytest.mark.parametrize("width", [5, 64])
def test_reads_what_opencv_writes(tmp_path, rng, width):
    bgr = (rng.random((33, width, 3)) ** 4 * 1000).astype(np.float32)
    bgr[8:20] = 0.25  # runs
    path = tmp_path / "a.hdr"
    cv2.imwrite(str(path), bgr)
    np.testing.assert_array_equal(read_hdr(path), cv2.imread(str(path), cv2.IMREAD_UNCHANGED)[..., ::-1])


def test_opencv_reads_what_is_written(tmp_path, rng):
    rgb = (rng.random((16, 40, 3)) * np.exp2(rng.uniform(-20, 20, (16, 40, 1)))).astype(np.float32)
    rgb[0, 0] = 0.0
    path = tmp_path / "a.hdr"
    path.write_bytes(encode_hdr(rgb))
    decoded = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)[..., ::-1]
    error = (decoded - rgb) / np.maximum(rgb.max(axis=-1, keepdims=True), 1e-30)
    assert np.abs(error).max() <= 1 / 256 + 1e-6  # half a step of a mantissa of at least 128
    assert abs(error.mean()) < 3e-4  # truncating writers are off by -0.0028
    np.testing.assert_array_equal(decoded[0, 0], 0)


def test_a_mantissa_that_rounds_to_256_takes_the_next_exponent():
    data = encode_hdr(np.full((1, 1, 3), 255.9 / 256, np.float32))
    assert data[-4:] == bytes((128, 128, 128, 129))


def test_values_below_the_range_become_black_and_above_it_are_refused():
    assert encode_hdr(np.full((1, 1, 3), 1e-40, np.float32))[-4:] == b"\0\0\0\0"
    with pytest.raises(ImageError, match=r"up to 1.69e\+38 for .hdr, got 3e\+38"):
        encode_hdr(np.full((1, 1, 3), 3e38, np.float32))


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ("-Y 2 +X 3", [[1, 2, 3], [4, 5, 6]]),
        ("-Y 2 -X 3", [[3, 2, 1], [6, 5, 4]]),
        ("+Y 2 +X 3", [[4, 5, 6], [1, 2, 3]]),
        ("+Y 2 -X 3", [[6, 5, 4], [3, 2, 1]]),
        # columns first: three scanlines of two pixels
        ("+X 3 -Y 2", [[1, 3, 5], [2, 4, 6]]),
        ("-X 3 -Y 2", [[5, 3, 1], [6, 4, 2]]),
        ("+X 3 +Y 2", [[2, 4, 6], [1, 3, 5]]),
        ("-X 3 +Y 2", [[6, 4, 2], [5, 3, 1]]),
    ],
)
def test_all_eight_orientations_come_out_upright(tmp_path, size, expected):
    np.testing.assert_array_equal(read_hdr(hdr_file(tmp_path, size, numbered(6)))[..., 0], expected)


def test_exposure_and_colour_correction_are_divided_out(tmp_path):
    lines = ("EXPOSURE=2", "EXPOSURE= 4.0", "COLORCORR=1 2 0.5")
    rgb = read_hdr(hdr_file(tmp_path, "-Y 1 +X 1", QUAD, *lines))
    np.testing.assert_allclose(rgb[0, 0], (1 / 8, 0.5 / 16, 0.25 / 4), rtol=1e-6)


def test_no_format_line_and_windows_line_ends_are_read(tmp_path):
    path = tmp_path / "a.hdr"
    path.write_bytes(b"#?RGBE\r\n# comment\r\n\r\n-Y 1 +X 1\r\n" + QUAD)
    np.testing.assert_array_equal(read_hdr(path)[0, 0], COLOUR)


def test_xyz_white_is_rgb_white(tmp_path):
    # 0.9 of the D65 white X Y Z = 0.9505, 1, 1.089, in 256ths
    path = hdr_file(tmp_path, "-Y 1 +X 1", bytes((219, 230, 251, 128)), "FORMAT=32-bit_rle_xyze")
    np.testing.assert_allclose(read_hdr(path)[0, 0], 0.9, atol=0.006)


def test_old_run_lengths_repeat_the_last_pixel(tmp_path):
    # 1 + 2 repeats, then a pixel repeated by 0x0101 through two markers in a row
    pixels = QUAD + b"\1\1\1\2" + b"\x40\0\0\x81" + b"\1\1\1\1" + b"\1\1\1\1"
    rgb = read_hdr(hdr_file(tmp_path, "-Y 1 +X 261", pixels))
    np.testing.assert_array_equal(rgb[0, :3], [COLOUR] * 3)
    np.testing.assert_array_equal(rgb[0, 3:, 0], 0.5)


def test_damaged_old_run_lengths_do_not_unroll_beyond_the_picture(tmp_path):
    pixels = (QUAD + b"\1\1\1\xff" * 4) * 1000
    assert read_hdr(hdr_file(tmp_path, "-Y 1 +X 7", pixels)).shape == (1, 7, 3)


RLE_LINE = b"\2\2\0\x08" + b"\x88\x80" * 3 + b"\x88\x81"


@pytest.mark.parametrize(
    ("size", "pixels", "lines", "message"),
    [
        ("-Y 1 +X 2", QUAD, (), "truncated: 2 pixels announced, 1 found"),
        ("-Y 2 +X 8", RLE_LINE, (), "truncated at scanline 1 of 2"),
        ("-Y 1 +X 8", RLE_LINE[:-1], (), "truncated at scanline 0 of 1"),
        ("-Y 2 +X 8", RLE_LINE + QUAD, (), "scanline 1 does not start with its run-length marker"),
        ("-Y 1 +X 8", RLE_LINE[:-2] + b"\x89\x81", (), "scanline 0 holds more pixels than its 8"),
        ("-Y 0 +X 5", b"", (), "the header says 5 x 0"),
        ("-Y 2000000 +X 2000000", QUAD, (), f"1 to {MAX_PIXELS} pixels"),
        ("-Y 2 +Y 2", QUAD, (), "expected a size such as"),
        ("480 by 640", QUAD, (), "expected a size such as"),
        ("-Y 1 +X 1", QUAD, ("FORMAT=64-bit",), "got '64-bit'"),
        ("-Y 1 +X 1", QUAD, ("EXPOSURE=0",), "expected positive numbers in EXPOSURE"),
        ("-Y 1 +X 1", QUAD, ("COLORCORR=1 2",), "expected positive numbers in EXPOSURE and COLORCORR"),
        ("-Y 1 +X 1", QUAD, ("EXPOSURE=bright",), "expected positive numbers in EXPOSURE"),
    ],
)
def test_damage_is_an_image_error_that_names_the_file(tmp_path, size, pixels, lines, message):
    with pytest.raises(ImageError, match=message) as caught:
        read_hdr(hdr_file(tmp_path, size, pixels, *lines))
    assert "picture.hdr" in str(caught.value)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("PRIMARIES= 0.64 0.33 0.64 0.33 0.15 0.06 0.3127 0.3290", "expected primaries that span colours"),
        ("PRIMARIES= 0.64 0.33 0.3", "expected primaries that span colours"),
        ("PRIMARIES= wide", "expected numbers in PRIMARIES"),
        ("PIXASPECT= 2", "expected square pixels"),
        ("GAMMA=2.2", "expected linear light"),
        ("NCOMP=8", "expected three components"),
    ],
)
def test_a_line_that_changes_what_the_numbers_mean_is_refused_by_name(tmp_path, line, message):
    path = hdr_file(tmp_path, "-Y 1 +X 1", QUAD, line)
    for read in (read_hdr, read_hdr_size, read_header):
        with pytest.raises(ImageError, match=message + r".*picture\.hdr"):
            read(path)


@pytest.mark.parametrize(
    "lines",
    [
        ("PRIMARIES= 0.640 0.330 0.300 0.600 0.150 0.060 0.3127 0.3290",),
        ("PRIMARIES= 0.640 0.330 0.290 0.600 0.150 0.060 0.333 0.333",),  # of Radiance itself
        ("PRIMARIES=0 0 0 0 0 0 0 0",),  # of Poly Haven's files
        ("PIXASPECT=1.000000", "GAMMA=1", "NCOMP=3"),
        ("VIEW= -vtv -vp 0 0 0", "\tPRIMARIES= of a picture that this one was made of", "# GAMMA=2"),
    ],
)
def test_lines_that_change_nothing_are_passed_over(tmp_path, lines):
    path = hdr_file(tmp_path, "-Y 1 +X 1", QUAD, *lines)
    np.testing.assert_allclose(read_hdr(path)[0, 0], COLOUR)


@pytest.mark.parametrize(("size", "upright"), [("-Y 2 +X 3", (2, 3)), ("+X 3 -Y 2", (2, 3))])
def test_the_size_is_known_by_the_header(tmp_path, size, upright):
    path = hdr_file(tmp_path, size, numbered(6))
    assert read_hdr_size(path) == upright == read_hdr(path).shape[:2]


def test_other_primaries_are_converted(tmp_path):
    """A correction is of the primaries that the file has; the matrix is that of ITU-R BT.2407."""
    line = "PRIMARIES= 0.708 0.292 0.170 0.797 0.131 0.046 0.3127 0.3290"
    green = bytes((0, 128, 0, 128))
    read = read_hdr(hdr_file(tmp_path, "-Y 1 +X 1", green, line))
    np.testing.assert_allclose(read[0, 0], (-0.2938, 0.5664, -0.0503), atol=1e-4)
    read = read_hdr(hdr_file(tmp_path, "-Y 1 +X 1", green, line, "EXPOSURE=2", "COLORCORR=1 4 1"))
    np.testing.assert_allclose(read[0, 0], np.array((-0.2938, 0.5664, -0.0503)) / 8, atol=1e-4)


def test_primaries_of_xyz_mean_nothing(tmp_path):
    lines = ("FORMAT=32-bit_rle_xyze", "PRIMARIES= 0.708 0.292 0.170 0.797 0.131 0.046 0.3127 0.3290")
    assert read_hdr(hdr_file(tmp_path, "-Y 1 +X 1", QUAD, *lines)).shape == (1, 1, 3)


def test_a_header_that_never_ends_is_refused(tmp_path):
    path = tmp_path / "a.hdr"
    path.write_bytes(b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n")
    with pytest.raises(ImageError, match="expected a Radiance header"):
        read_hdr(path)
