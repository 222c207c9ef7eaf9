"""AVIF, JPEG XL and TIFF: light and tags, read by decoders that the writers do not use."""

import io
import struct
import sys

import cv2
import numpy as np
import pytest
import torch
from PIL import Image, ImageCms

from ldr2hdr.io import ImageError, write_image
from ldr2hdr.io.avif import write_avif
from ldr2hdr.io.isobmff import Box, add_light_levels, join_boxes
from ldr2hdr.io.pq import WHITE_CD_M2, encode_display
from ldr2hdr.radiometry import decode_pq

REC709_FROM_REC2020 = torch.tensor([[1.6605, -0.5877, -0.0728], [-0.1246, 1.1330, -0.0084], [-0.0182, -0.1006, 1.1187]])


@pytest.fixture
def exposure():
    """Greys from 6 stops below white to 5 above, and the primaries; flat, as codecs like it."""
    patches = torch.exp2(torch.arange(-6.0, 6.0)).view(1, 1, 12).expand(3, 1, 12)
    colours = torch.eye(3).view(3, 1, 3) * 2 + 0.01
    return torch.cat([patches, colours], -1).repeat_interleave(8, -1).repeat_interleave(16, -2)


@pytest.fixture
def imagecodecs():
    return pytest.importorskip("imagecodecs", reason="extra formats")


def test_white_is_at_203_nits_in_pq():
    """0.5807 by ITU-R BT.2408; the primaries' signal by the tables of colour-science."""
    assert encode_display(torch.ones(3, 1, 1)).flatten().tolist() == pytest.approx([0.58068888] * 3, abs=2e-6)
    assert encode_display(torch.full((3, 1, 1), 1e6)).max() == 1.0
    red = decode_pq(encode_display(torch.tensor([1.0, 0, 0], dtype=torch.float64).view(3, 1, 1))) / WHITE_CD_M2
    np.testing.assert_allclose(red.flatten(), (0.6274, 0.0691, 0.0164), atol=1e-9)


@pytest.mark.parametrize(("bit_depth", "tolerance"), [(10, 0.02), (12, 0.006)])
def test_avif_holds_the_light(imagecodecs, tmp_path, exposure, bit_depth, tolerance):
    write_avif(tmp_path / "a.avif", exposure, bit_depth=bit_depth)
    codes = imagecodecs.avif_decode((tmp_path / "a.avif").read_bytes())
    assert codes.dtype == np.uint16
    signal = torch.from_numpy(codes.astype(np.float32)).movedim(-1, 0) / (2**bit_depth - 1)
    rec709 = torch.einsum("ij,jhw->ihw", REC709_FROM_REC2020, decode_pq(signal) / WHITE_CD_M2)
    torch.testing.assert_close(rec709[:, 8, 4::8], exposure[:, 8, 4::8], rtol=tolerance, atol=tolerance / 2)


def test_avif_is_tagged_as_pq_in_rec_2020(imagecodecs, tmp_path, exposure):
    """Colour information box of ISO/IEC 14496-12, 12.1.5: primaries, transfer, matrix, full range."""
    write_image(tmp_path / "a.avif", exposure)
    data = (tmp_path / "a.avif").read_bytes()
    box = data.index(b"colrnclx") + 8
    assert struct.unpack_from(">HHHB", data, box) == (9, 16, 9, 0x80)


def test_avif_says_how_bright_it_is(imagecodecs, tmp_path, exposure):
    """Content light levels: of the brightest pixel, and the mean over the picture of each pixel's brightest channel."""
    plain = exposure * 0 + 0.5
    plain[:, :4, :8] = 1000.0
    write_avif(tmp_path / "a.avif", plain)
    data = (tmp_path / "a.avif").read_bytes()
    box = data.index(b"clli") + 4
    share = 4 * 8 / plain[0].numel()
    assert struct.unpack_from(">HH", data, box) == (10000, round(10000 * share + 203 / 2 * (1 - share)))
    (links,) = (data[at + 4 :] for at in [data.index(b"ipma")])
    assert links[10] == 5
    assert links[15] == 5  # the fifth property, not essential
    decoded = imagecodecs.avif_decode(data)
    assert decoded.shape == (*plain.shape[1:], 3)
    with Image.open(tmp_path / "a.avif") as picture:
        np.testing.assert_allclose(np.asarray(picture), decoded >> 2, atol=1)


def test_avif_of_a_layout_that_is_not_known_is_left_alone():
    boxes = [Box(b"ftyp", b"avif"), Box(b"meta", bytes(4)), Box(b"mdat", b"x")]
    assert add_light_levels(join_boxes(boxes), 1, 1) == join_boxes(boxes)


@pytest.mark.parametrize(("is_half", "dtype"), [(True, np.float16), (False, np.float32)])
def test_jpeg_xl_is_lossless(imagecodecs, tmp_path, is_half, dtype):
    radiance = torch.rand(3, 5, 7, generator=torch.Generator().manual_seed(0)) * 100
    write_image(tmp_path / "a.jxl", radiance, is_half=is_half)
    decoded = imagecodecs.jpegxl_decode((tmp_path / "a.jxl").read_bytes())
    assert decoded.dtype == dtype
    np.testing.assert_array_equal(decoded, radiance.movedim(0, -1).numpy().astype(dtype))
    write_image(tmp_path / "b.jxl", radiance * 1000)
    assert imagecodecs.jpegxl_decode((tmp_path / "b.jxl").read_bytes()).dtype == np.float32


@pytest.mark.parametrize("suffix", [".tiff", ".tif"])
def test_tiff_is_lossless_and_says_that_it_is_linear(tmp_path, suffix):
    tifffile = pytest.importorskip("tifffile", reason="extra formats")
    radiance = torch.rand(3, 5, 7, generator=torch.Generator().manual_seed(0)) * 100
    path = tmp_path / f"a{suffix}"
    write_image(path, radiance)
    np.testing.assert_array_equal(cv2.imread(str(path), cv2.IMREAD_UNCHANGED)[..., ::-1], radiance.movedim(0, -1))
    with tifffile.TiffFile(path) as file:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(file.pages[0].iccprofile)).profile
    assert profile.profile_description == "Linear Rec. 709"
    np.testing.assert_allclose(profile.red_primary[1][:2], (0.6484, 0.3309), atol=1e-3)  # of Rec. 709, adapted to D50


@pytest.mark.parametrize(
    ("name", "module"), [("a.avif", "imagecodecs"), ("a.jxl", "imagecodecs"), ("a.tiff", "tifffile")]
)
def test_a_missing_package_is_named_with_its_extra(tmp_path, monkeypatch, name, module):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImageError, match=rf"the package {module} for this format.*ldr2hdr\[formats\]'.*{name}"):
        write_image(tmp_path / name, torch.ones(3, 2, 2))
    assert list(tmp_path.iterdir()) == []
