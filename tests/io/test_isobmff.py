"""Boxes of AVIF and JPEG XL: what is put in is found by other decoders, and what is not understood is refused."""

import io
import struct

import numpy as np
import pytest
from PIL import Image

from ldr2hdr.io.errors import ImageError
from ldr2hdr.io.isobmff import Box, add_avif_exif, add_jxl_exif, join_boxes, mark, parse_boxes


@pytest.fixture
def imagecodecs():
    return pytest.importorskip("imagecodecs", reason="extra formats")


@pytest.fixture
def avif(imagecodecs, rng):
    codes = rng.integers(0, 1024, (8, 12, 3), dtype=np.uint16)
    return imagecodecs.avif_encode(codes, level=100, bitspersample=10)


def test_boxes_are_taken_apart_and_put_together():
    data = join_boxes([Box(b"ftyp", b"avif"), Box(b"free", b""), Box(b"mdat", bytes(5))])
    assert parse_boxes(data) == [(b"ftyp", b"avif"), (b"free", b""), (b"mdat", bytes(5))]
    assert parse_boxes(b"") == []


@pytest.mark.parametrize(
    ("data", "body"),
    [
        (struct.pack(">I4sQ", 1, b"mdat", 19) + b"abc", b"abc"),
        (struct.pack(">I4s", 0, b"mdat") + b"to the end", b"to the end"),
    ],
)
def test_sizes_are_told_in_three_ways(data, body):
    assert parse_boxes(data) == [(b"mdat", body)]


@pytest.mark.parametrize("data", [b"\0\0\0\x09mdat", b"\0\0\0\x07mdat", b"\0\0", struct.pack(">I4sQ", 1, b"mdat", 15)])
def test_a_box_that_is_not_whole_is_refused(data):
    with pytest.raises(ImageError, match="expected whole boxes, got"):
        parse_boxes(data)


def test_an_item_of_exif_leaves_the_picture_as_it_was(imagecodecs, avif):
    exif = Image.Exif()
    exif[272] = "One"
    written = add_avif_exif(avif, exif.tobytes().removeprefix(b"Exif\0\0"))
    np.testing.assert_array_equal(imagecodecs.avif_decode(written), imagecodecs.avif_decode(avif))
    with Image.open(io.BytesIO(written)) as picture:
        assert dict(picture.getexif()) == {272: "One"}


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        (b"mdat", lambda body: None, "expected the boxes ftyp, meta and mdat, got"),
        (b"iloc", lambda body: b"\1" + body[1:], "expected one item in an AVIF file"),
        (b"iloc", lambda body: body[:7] + b"\2" + body[8:], "expected one item in an AVIF file"),
        (b"iloc", lambda body: body[:-1], "expected one item in an AVIF file"),
        (b"iinf", lambda body: b"\1" + body[1:], "expected one item in an AVIF file"),
        (b"pitm", lambda body: b"", "expected one item in an AVIF file"),
    ],
)
def test_another_layout_of_avif_is_refused(avif, name, change, message):
    """It would be spoilt; the last is a reference between items, by the name of a box that is left out."""
    boxes = dict(parse_boxes(avif))
    if name == b"mdat":
        del boxes[name]
    else:
        inner = dict(parse_boxes(boxes[b"meta"][4:]))
        inner[name if change(b"12345678") else b"iref"] = change(inner[name])
        boxes[b"meta"] = boxes[b"meta"][:4] + join_boxes(Box(*box) for box in inner.items())
    with pytest.raises(ImageError, match=message):
        add_avif_exif(join_boxes(Box(*box) for box in boxes.items()), b"II*\0")


def test_a_box_of_exif_stands_before_the_codestream(imagecodecs, rng):
    light = rng.random((5, 7, 3)).astype(np.float16)
    plain = imagecodecs.jpegxl_encode(light, lossless=True, usecontainer=True)
    written = add_jxl_exif(plain, b"II*\0 and so on")
    np.testing.assert_array_equal(imagecodecs.jpegxl_decode(written), light)
    names = [box.name for box in parse_boxes(written)]
    assert names.index(b"Exif") == names.index(b"jxlc") - 1
    assert dict(parse_boxes(written))[b"Exif"] == bytes(4) + b"II*\0 and so on"
    assert [box for box in parse_boxes(written) if box.name != b"Exif"] == parse_boxes(plain)


def test_a_file_of_another_layout_goes_without_exif():
    damaged = b"\0\0\0\x09mdat"
    expected = "its EXIF is left out, the encoder makes files of a new layout: expected whole boxes, got 8 bytes"
    for add in (add_avif_exif, add_jxl_exif):
        marked = mark(damaged, b"II*\0", add)
        assert marked.data == damaged
        assert marked.damage is not None
        assert marked.damage.startswith(expected)
        assert mark(damaged, None, add) == (damaged, None)
    assert mark(b"", b"II*\0", add_jxl_exif) == (add_jxl_exif(b"", b"II*\0"), None)
