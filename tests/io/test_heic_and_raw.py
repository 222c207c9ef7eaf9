"""What phones and cameras store: HEIC written by another library, and a RAW file made pixel by pixel."""

import io
import struct
import sys

import numpy as np
import pytest
import torch
from handmade import encode, set_tiff_tag, write_dng
from PIL import ExifTags, Image, ImageCms

from ldr2hdr.io import ImageError, read_photo
from ldr2hdr.io.exif import parse_exif
from ldr2hdr.io.icc_writing import display_p3_profile, srgb_profile
from ldr2hdr.io.raw import exif_of_raw
from ldr2hdr.io.shot import describe_shot
from ldr2hdr.radiometry import encode_srgb


@pytest.fixture
def heif():
    return pytest.importorskip("pillow_heif", reason="extra heic")


@pytest.fixture
def levels():
    y, x = np.mgrid[0:48, 0:64]
    return np.stack([x * 3, y * 5, 255 - x - y], -1).astype(np.uint8)


def write_heic(heif, path, levels, **options):
    stored = heif.from_pillow(Image.fromarray(levels))
    stored.save(path, quality=100, chroma=444, **options)
    return path


def scaled(levels):
    return torch.from_numpy(np.ascontiguousarray(levels.transpose(2, 0, 1)).astype(np.float32) / 255)


def test_heic_is_read_upright(heif, tmp_path, levels):
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation], exif[ExifTags.Base.Model] = 6, "Phone"
    path = write_heic(heif, tmp_path / "a.heic", levels, exif=exif.tobytes())
    photo = read_photo(path)
    np.testing.assert_allclose(photo.ldr, scaled(np.rot90(levels, -1)), atol=4 / 255)
    assert (photo.source.kind, photo.source.bit_depth, photo.source.orientation) == ("HEIC", 8, 1)
    assert photo.source.shot.camera == "Phone"


def test_heic_profiles_are_converted(heif, tmp_path, levels):
    plain = read_photo(write_heic(heif, tmp_path / "a.heic", levels)).ldr
    wide = read_photo(write_heic(heif, tmp_path / "b.heic", levels, icc_profile=display_p3_profile()))
    assert wide.source.colour_space == "Display P3 compatible"
    decoded = Image.fromarray(plain.mul(255).round().byte().movedim(0, -1).numpy())
    profiles = [ImageCms.ImageCmsProfile(io.BytesIO(icc)) for icc in (display_p3_profile(), srgb_profile())]
    converted = np.asarray(ImageCms.profileToProfile(decoded, *profiles, renderingIntent=1))
    assert (wide.ldr - plain).abs().max() > 0.05
    np.testing.assert_allclose(wide.ldr, scaled(converted), atol=1.01 / 255)
    named = write_heic(heif, tmp_path / "c.heic", levels, color_primaries=12, transfer_characteristics=13)
    torch.testing.assert_close(read_photo(named).ldr, wide.ldr, atol=1 / 255, rtol=0)


@pytest.mark.parametrize(("mode", "channels"), [("RGB;16", 3), ("L;16", 1)])
def test_ten_bits_reach_from_black_to_white(heif, tmp_path, mode, channels):
    codes = np.zeros((16, 16, channels), np.uint16)
    codes[:, 8:] = 65535
    buffer = io.BytesIO()
    heif.encode(mode, (16, 16), codes.tobytes(), buffer, quality=-1)
    (tmp_path / "a.heic").write_bytes(buffer.getvalue())
    photo = read_photo(tmp_path / "a.heic")
    assert photo.source.bit_depth == 10
    assert torch.equal(photo.ldr[:, 0, ::15], torch.tensor([0.0, 1.0]).expand(3, 2))


@pytest.mark.parametrize(("primaries", "transfer"), [(9, 1), (1, 8)])
def test_heic_of_other_colours_is_refused_without_a_profile(heif, tmp_path, levels, primaries, transfer):
    """Rec. 2020, and linear light: by ITU-T H.273, which is all that such a file says of them."""
    named = {"color_primaries": primaries, "transfer_characteristics": transfer}
    path = write_heic(heif, tmp_path / "a.heic", levels, **named)
    with pytest.raises(ImageError, match=rf"got primaries {primaries} and transfer {transfer} .*a\.heic"):
        read_photo(path)


@pytest.mark.parametrize(("transfer", "name"), [(16, "PQ"), (18, "HLG")])
def test_hdr_heic_is_refused(heif, tmp_path, levels, transfer, name):
    path = write_heic(heif, tmp_path / "a.heic", levels, color_primaries=9, transfer_characteristics=transfer)
    with pytest.raises(ImageError, match=rf"expected an LDR photograph, got {name} HDR already: .*a\.heic"):
        read_photo(path)


def test_damaged_large_and_transparent_heic_is_refused(heif, tmp_path, levels):
    path = write_heic(heif, tmp_path / "a.heic", levels)
    data = path.read_bytes()
    with pytest.raises(ImageError, match=r"of 1 to 100 pixels, the header says 64 x 48: .*a\.heic"):
        read_photo(path, max_pixels=100)
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(ImageError, match=r"the HEIC picture is truncated or damaged .*a\.heic"):
        read_photo(path)
    data = write_heic(heif, path, np.zeros((64, 64, 3), np.uint8)).read_bytes()  # stored without cropping
    path.write_bytes(data.replace(struct.pack(">II", 64, 64), struct.pack(">II", 40000, 40000)))
    with pytest.raises(ImageError, match=r"the header says 40000 x 40000: .*a\.heic"):
        read_photo(path)
    alpha = np.dstack([levels, np.full(levels.shape[:2], 100, np.uint8)])
    with pytest.raises(ImageError, match=r"expected an opaque picture, .*b\.heic"):
        read_photo(write_heic(heif, tmp_path / "b.heic", alpha))
    alpha[..., 3] = 255
    np.testing.assert_allclose(
        read_photo(write_heic(heif, tmp_path / "c.heic", alpha)).ldr, scaled(levels), atol=4 / 255
    )


def test_heic_without_a_picture_is_refused(heif, tmp_path, levels):
    """The settings of the decoder are missing, and the library passes over the only picture."""
    path = write_heic(heif, tmp_path / "a.heic", levels)
    path.write_bytes(path.read_bytes().replace(b"hvcC", b"hvcX"))
    with pytest.raises(ImageError, match=r"the HEIC file is damaged, no picture is left in it: .*a\.heic"):
        read_photo(path)


@pytest.fixture
def mosaic():
    """A grey of 1/16 of white beside one of 1/4."""
    codes = np.full((48, 64), 1000, np.uint16)
    codes[:, 32:] = 4000
    return codes


def need_raw():
    pytest.importorskip("rawpy", reason="extra raw")
    pytest.importorskip("tifffile", reason="writes the file")


def test_raw_is_developed_to_srgb_with_white_where_the_sensor_clips(tmp_path, mosaic):
    """The brightest pixel is at 1/4 of white, and stays there."""
    need_raw()
    photo = read_photo(write_dng(tmp_path / "a.dng", mosaic, white=16000))
    assert photo.ldr.shape == (3, 48, 64)
    for column, light in ((10, 1 / 16), (50, 1 / 4)):
        expected = encode_srgb(torch.tensor(light)).expand(3)
        np.testing.assert_allclose(photo.ldr[:, 24, column], expected, atol=1e-3)
    source = photo.source
    assert (source.kind, source.bit_depth, source.colour_space) == ("camera RAW", 14, "sRGB (developed)")
    assert source.shot.camera == "Test One"


def test_raw_of_a_sensor_without_colours_is_grey(tmp_path, mosaic):
    need_raw()
    data = bytearray(write_dng(tmp_path / "a.dng", mosaic, white=16000).read_bytes())
    set_tiff_tag(data, 262, 34892)  # PhotometricInterpretation: linear light, of a single channel
    (tmp_path / "a.dng").write_bytes(data)
    expected = encode_srgb(torch.tensor([1 / 16, 1 / 4])).expand(3, 2)
    np.testing.assert_allclose(read_photo(tmp_path / "a.dng").ldr[:, 24, [10, 50]], expected, atol=1e-3)


@pytest.mark.parametrize(("orientation", "quarter_turns"), [(3, 2), (6, -1), (8, 1)])
def test_raw_is_turned_upright(tmp_path, mosaic, orientation, quarter_turns):
    need_raw()
    lying = read_photo(write_dng(tmp_path / "a.dng", mosaic, white=16000)).ldr
    photo = read_photo(write_dng(tmp_path / "b.dng", mosaic, white=16000, orientation=orientation))
    assert torch.equal(photo.ldr, torch.rot90(lying, quarter_turns, (-2, -1)))
    assert photo.source.orientation == orientation


def test_clipped_raw_is_white(tmp_path, mosaic):
    need_raw()
    mosaic[:, 32:] = 16000
    assert read_photo(write_dng(tmp_path / "a.dng", mosaic, white=16000)).ldr[:, 24, 50].min() == 1.0


@pytest.mark.parametrize("start", [b"II*\0", b"IIRO", b"IIRS", b"IIU\0"])
def test_exif_of_raw_files_that_are_tiff_by_another_name(tmp_path, mosaic, start):
    need_raw()
    data = write_dng(tmp_path / "a.dng", mosaic, white=16000).read_bytes()
    assert describe_shot(parse_exif(exif_of_raw(tmp_path, start + data[4:]))).camera == "Test One"


def test_exif_of_raw_files_by_their_preview(tmp_path):
    exif = Image.Exif()
    exif[ExifTags.Base.Model] = "X-T5"
    preview = encode(Image.new("RGB", (8, 8)), "jpeg", exif=exif)
    data = b"FUJIFILMCCD-RAW ".ljust(84, b"\0") + struct.pack(">II", 100, len(preview)) + bytes(8) + preview + b"pixels"
    assert describe_shot(parse_exif(exif_of_raw(tmp_path, data))).camera == "X-T5"
    assert exif_of_raw(tmp_path, data[:140]) is None
    assert exif_of_raw(tmp_path, data[:50]) is None
    assert exif_of_raw(tmp_path, b"FOVb" + data[4:]) is None


def test_damaged_and_large_raw_is_refused(tmp_path, mosaic):
    need_raw()
    path = write_dng(tmp_path / "a.dng", mosaic, white=16000)
    data = bytearray(path.read_bytes())
    path.write_bytes(data[: len(data) - 2000])
    with pytest.raises(ImageError, match=r"the RAW file is damaged or of an unknown camera .*a\.dng"):
        read_photo(path)
    for tag in (256, 257):
        set_tiff_tag(data, tag, 40000)
    path.write_bytes(data)
    with pytest.raises(ImageError, match=r"the header says 40000 x 40000: .*a\.dng"):
        read_photo(path)


@pytest.mark.parametrize(
    ("module", "content", "extra"),
    [("pillow_heif", b"\0\0\0\x18ftypheic", "heic"), ("rawpy", b"FUJIFILMCCD-RAW 0201", "raw")],
)
def test_a_missing_package_is_named_with_its_extra(tmp_path, monkeypatch, module, content, extra):
    monkeypatch.setitem(sys.modules, module, None)
    (tmp_path / "a.jpg").write_bytes(content)
    with pytest.raises(ImageError, match=rf"the package {module} for this format.*ldr2hdr\[{extra}\]'.*a\.jpg"):
        read_photo(tmp_path / "a.jpg")
