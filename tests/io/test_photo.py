"""Photographs as people have them: depths, profiles, orientations, and every refusal, against Pillow and lcms."""

import io
import zlib

import cv2
import numpy as np
import pytest
import torch
from handmade import encode, set_tiff_tag, with_chunks, with_luminance_table, with_size
from PIL import ExifTags, Image, ImageCms, ImageOps

from ldr2hdr.io import ImageError, read_ldr, read_photo
from ldr2hdr.io.icc_writing import adobe_rgb_profile, display_p3_profile, linear_rec709_profile, srgb_profile
from ldr2hdr.radiometry import encode_srgb

WIDE = {"Display P3": display_p3_profile, "Adobe RGB": adobe_rgb_profile}
LCMS_SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
SUFFIXES = ["png", "jpg", "tiff"]


@pytest.fixture
def levels():
    """All corners of the cube and smooth colours between them, without symmetry."""
    y, x = np.mgrid[0:24, 0:40]
    smooth = np.stack([x * 6, y * 10, 255 - (x + y) * 4], axis=-1).clip(0, 255).astype(np.uint8)
    smooth[:8, :8] = np.array(list(np.ndindex(2, 2, 2)), np.uint8)[:, None] * 255
    return smooth


@pytest.fixture
def codes16(rng):
    return rng.integers(0, 65536, (5, 7, 3), dtype=np.uint16)


def save(path, picture, **options):
    picture.save(path, **({"quality": 98, "subsampling": 0} if path.suffix == ".jpg" else {}) | options)
    return path


def scaled(levels):
    return (
        torch.from_numpy(np.ascontiguousarray(levels.transpose(2, 0, 1)).astype(np.float32))
        / np.iinfo(levels.dtype).max
    )


def by_lcms(levels, icc):
    """The conversion of another engine, with the same intent and no black point compensation."""
    source, target = (ImageCms.ImageCmsProfile(io.BytesIO(profile)) for profile in (icc, srgb_profile()))
    intent = ImageCms.Intent.RELATIVE_COLORIMETRIC
    return np.asarray(ImageCms.profileToProfile(Image.fromarray(levels), source, target, renderingIntent=intent))


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("name", WIDE)
def test_wide_profiles_are_converted_as_lcms_does(tmp_path, levels, suffix, name):
    path = save(tmp_path / f"a.{suffix}", Image.fromarray(levels), icc_profile=WIDE[name]())
    photo = read_photo(path)
    stored = np.asarray(Image.open(path))
    expected = by_lcms(stored, WIDE[name]())
    assert np.abs(expected.astype(int) - stored).max() > 20  # the conversion matters
    # two JPEG decoders may differ by a level, which the conversion magnifies
    np.testing.assert_allclose(photo.ldr, scaled(expected), atol=(5 if suffix == "jpg" else 1.01) / 255)
    assert photo.source.colour_space == f"{name} compatible"
    assert photo.source.icc == WIDE[name]()


def test_sixteen_bits_are_converted_without_rounding_to_eight(tmp_path, codes16):
    imagecodecs = pytest.importorskip("imagecodecs", reason="the oracle for 16 bits")
    tifffile = pytest.importorskip("tifffile", reason="writes the file")
    tifffile.imwrite(tmp_path / "a.tiff", codes16, photometric="rgb", iccprofile=adobe_rgb_profile())
    # without its optimisation, a coarse table that errs by 1 % at the edge of sRGB
    options = {"colorspace": "rgb", "intent": 1, "flags": imagecodecs.CMS.FLAGS.NOOPTIMIZE}
    expected = imagecodecs.cms_transform(codes16, adobe_rgb_profile(), srgb_profile(), **options)
    photo = read_photo(tmp_path / "a.tiff")
    assert photo.source.bit_depth == 16
    # the engine keeps 15 bits of linear light, which the dark end of the curve magnifies
    np.testing.assert_allclose(photo.ldr, scaled(expected), atol=12.92 / 2**15)


@pytest.mark.parametrize(
    "icc", [None, srgb_profile(), ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()]
)
def test_srgb_codes_are_not_touched(tmp_path, levels, icc):
    path = save(tmp_path / "a.png", Image.fromarray(levels), **({"icc_profile": icc} if icc else {}))
    assert torch.equal(read_photo(path).ldr, scaled(levels))


@pytest.mark.parametrize("suffix", ["png", "tiff"])
def test_sixteen_bits_are_kept(tmp_path, codes16, suffix):
    cv2.imwrite(str(tmp_path / f"a.{suffix}"), codes16)
    photo = read_photo(tmp_path / f"a.{suffix}")
    assert torch.equal(photo.ldr, scaled(codes16[..., ::-1]))
    assert (photo.source.bit_depth, photo.source.jpeg) == (16, None)


def test_a_grey_photograph_with_a_grey_profile(tmp_path):
    grey = bytearray(linear_rec709_profile().replace(b"rTRC", b"kTRC", 1))
    grey[16:20] = b"GRAY"
    ramp = np.arange(256, dtype=np.uint8).reshape(16, 16)
    ldr = read_photo(save(tmp_path / "a.png", Image.fromarray(ramp), icc_profile=bytes(grey))).ldr
    np.testing.assert_allclose(ldr, encode_srgb(torch.arange(256) / 255).view(1, 16, 16).expand(3, 16, 16), atol=1e-6)
    (tmp_path / "b.png").write_bytes(
        with_chunks(encode(Image.new("RGB", (2, 2), "red"), "png"), {b"iCCP": b"x\0\0" + zlib.compress(bytes(grey))})
    )
    with pytest.raises(ImageError, match=r"profile for RGB, got 'Linear Rec. 709' for grey in a colour .*b\.png"):
        read_photo(tmp_path / "b.png")


def test_a_profile_of_tables_goes_through_the_engine(tmp_path, rng, codes16):
    """The table takes red for L*, whatever green and blue are: L* 50.2 is 18.6 % of white, 119.6 of 255 in sRGB."""
    icc = with_luminance_table(srgb_profile())
    levels = rng.integers(0, 256, (4, 4, 3), dtype=np.uint8)
    levels[:, :, 0] = 128
    photo = read_photo(save(tmp_path / "a.png", Image.fromarray(levels), icc_profile=icc))
    np.testing.assert_allclose(photo.ldr * 255, 119.6, atol=1.0)
    assert photo.source.colour_space == "sRGB"  # what the profile calls itself
    cv2.imwrite(str(tmp_path / "b.png"), codes16)
    (tmp_path / "b.png").write_bytes(
        with_chunks((tmp_path / "b.png").read_bytes(), {b"iCCP": b"x\0\0" + zlib.compress(icc)})
    )
    with pytest.raises(ImageError, match=r"got one of tables; convert the photograph to sRGB first: .*b\.png"):
        read_photo(tmp_path / "b.png")


def chromaticities(*red_green):
    """Of the white of sRGB, a red and a green, and the blue of sRGB."""
    return b"".join(round(1e5 * number).to_bytes(4, "big") for number in (0.3127, 0.3290, *red_green, 0.15, 0.06))


@pytest.mark.parametrize(
    ("chunks", "expected"),
    [
        ({b"gAMA": (100000).to_bytes(4, "big")}, linear_rec709_profile()),
        ({b"gAMA": (45455).to_bytes(4, "big")}, None),
        ({b"gAMA": (100000).to_bytes(4, "big"), b"sRGB": b"\0"}, None),
        ({b"cICP": bytes((12, 13, 0, 1)), b"sRGB": b"\0"}, display_p3_profile()),
        ({b"cICP": bytes((1, 13, 0, 1))}, srgb_profile()),
        ({b"cICP": bytes((1, 1, 0, 1))}, None),
        ({b"cICP": bytes((2, 2, 0, 1))}, None),
        ({b"gAMA": (45455).to_bytes(4, "big"), b"cHRM": chromaticities(0.64, 0.33, 0.30, 0.60)}, None),
        ({b"gAMA": (45455).to_bytes(4, "big"), b"cHRM": chromaticities(0.68, 0.32, 0.265, 0.69)}, display_p3_profile()),
        ({b"gAMA": (45455).to_bytes(4, "big"), b"cHRM": bytes(32)}, None),
        ({b"cHRM": chromaticities(0.68, 0.32, 0.265, 0.69)}, None),  # decoders want both
    ],
)
def test_what_a_png_says_of_its_colours_without_a_profile(tmp_path, levels, chunks, expected):
    (tmp_path / "a.png").write_bytes(with_chunks(encode(Image.fromarray(levels), "png"), chunks))
    converted = levels if expected is None else by_lcms(levels, expected)
    np.testing.assert_allclose(read_photo(tmp_path / "a.png").ldr, scaled(converted), atol=1.01 / 255)


def test_chromaticities_of_a_png_count(tmp_path, levels):
    numbers = (31270, 32900, 64000, 33000, 21000, 71000, 15000, 6000)  # white, then Adobe RGB
    chunks = {
        b"gAMA": round(1e5 * 256 / 563).to_bytes(4, "big"),
        b"cHRM": b"".join(n.to_bytes(4, "big") for n in numbers),
    }
    (tmp_path / "a.png").write_bytes(with_chunks(encode(Image.fromarray(levels), "png"), chunks))
    expected = scaled(by_lcms(levels, adobe_rgb_profile()))
    np.testing.assert_allclose(read_photo(tmp_path / "a.png").ldr, expected, atol=1.01 / 255)


def test_adobe_rgb_marked_the_old_way(tmp_path, levels):
    exif = Image.Exif()
    exif.get_ifd(ExifTags.IFD.Interop)[1] = "R03"
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.IFD.Interop] = exif.get_ifd(ExifTags.IFD.Interop)
    path = save(tmp_path / "_A.jpg", Image.fromarray(levels), exif=exif)
    expected = by_lcms(np.asarray(Image.open(path)), adobe_rgb_profile())
    photo = read_photo(path)
    assert photo.source.shot.is_adobe_rgb
    np.testing.assert_allclose(photo.ldr, scaled(expected), atol=5 / 255)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_is_applied(tmp_path, levels, suffix, orientation):
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    options = {"tiffinfo": {ExifTags.Base.Orientation: orientation}} if suffix == "tiff" else {"exif": exif}
    path = save(tmp_path / f"a.{suffix}", Image.fromarray(levels), **options)
    expected = np.asarray(ImageOps.exif_transpose(Image.open(path)))
    photo = read_photo(path)
    np.testing.assert_allclose(photo.ldr, scaled(expected), atol=1.01 / 255)
    assert torch.equal(photo.ldr, read_ldr(path))
    assert photo.source.orientation == (1 if suffix == "tiff" else orientation)


def test_what_must_be_kept_of_a_jpeg(tmp_path, levels):
    exif = Image.Exif()
    exif[ExifTags.Base.Make], exif[ExifTags.Base.Model] = "Canon", "Canon EOS R5"
    exif.get_ifd(ExifTags.IFD.Exif).update({ExifTags.Base.ExposureTime: 0.004, ExifTags.Base.FNumber: 2.8})
    exif.get_ifd(ExifTags.IFD.Exif).update({ExifTags.Base.ISOSpeedRatings: 200})
    exif.get_ifd(ExifTags.IFD.Exif).update({ExifTags.Base.DateTimeOriginal: "2024:05:06 07:08:09"})
    path = save(tmp_path / "a.jpg", Image.fromarray(levels), exif=exif)
    source = read_photo(path).source
    assert (source.path, source.kind, source.bit_depth) == (path, "JPEG", 8)
    assert source.jpeg == path.read_bytes()
    assert source.exif is not None
    assert b"Exif\0\0" + source.exif in source.jpeg
    shot = source.shot
    assert (shot.camera, shot.iso, shot.taken) == ("Canon EOS R5", 200, "2024:05:06 07:08:09")
    assert (shot.exposure_time_s, shot.f_number) == pytest.approx((0.004, 2.8))


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_single_pixel(tmp_path, suffix):
    photo = read_photo(save(tmp_path / f"a.{suffix}", Image.new("RGB", (1, 1), (10, 200, 90))))
    np.testing.assert_allclose(photo.ldr.flatten() * 255, (10, 200, 90), atol=3)


@pytest.mark.parametrize("kind", ["png", "jpeg", "tiff"])
def test_a_size_is_refused_before_decoding(tmp_path, kind):
    (tmp_path / "a.jpg").write_bytes(with_size(kind, 40000, 40000))
    with pytest.raises(ImageError, match=r"of 1 to 134217728 pixels, the header says 40000 x 40000: .*a\.jpg"):
        read_photo(tmp_path / "a.jpg")
    (tmp_path / "b.jpg").write_bytes(with_size(kind, 8, 8))
    assert read_photo(tmp_path / "b.jpg", max_pixels=64).ldr.shape == (3, 8, 8)
    with pytest.raises(ImageError, match=r"of 1 to 63 pixels, the header says 8 x 8: .*b\.jpg"):
        read_photo(tmp_path / "b.jpg", max_pixels=63)


def animated_png():
    return with_chunks(encode(Image.new("RGB", (2, 2)), "png"), {b"acTL": bytes(8)})


def changed(kind, start, patch):
    """A small JPEG with a profile, the bytes of ``patch`` written into the profile at ``start``."""
    icc = bytearray(kind())
    icc[start : start + len(patch)] = patch
    return encode(Image.new("RGB", (8, 8)), "jpeg", icc_profile=bytes(icc))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "found no such file"),
        (b"", "the file is empty"),
        (b"Dear diary, today", "got something that is no picture, or of an unknown format"),
        (b"#?RADIANCE\n", "got Radiance HDR, which is HDR already"),
        (b"\x76\x2f\x31\x01\x02", "got OpenEXR, which is HDR already"),
        (encode(Image.new("RGB", (2, 2)), "gif"), "got GIF, which has 256 colours and may move"),
        (encode(Image.new("RGB", (2, 2)), "webp"), "expected a JPEG, PNG, .* photograph, got WebP"),
        (animated_png(), "got an animated PNG; export one frame"),
        (encode(Image.new("CMYK", (8, 8)), "jpeg"), "expected RGB or grey, got CMYK, which is for printing"),
        (encode(Image.new("CMYK", (8, 8)), "tiff"), "expected RGB or grey, got CMYK, which is for printing"),
        (encode(Image.new("LAB", (8, 8)), "tiff"), "expected RGB or grey, got CIELab"),
        (encode(Image.new("F", (8, 8)), "tiff"), "got floating point, which is HDR already"),
        (encode(Image.new("RGBA", (2, 2), (9, 9, 9, 100)), "png"), "expected an opaque picture"),
        (with_chunks(encode(Image.new("RGB", (2, 2)), "png"), {b"cICP": bytes((9, 16, 0, 1))}), "got PQ HDR already"),
        (with_chunks(encode(Image.new("RGB", (2, 2)), "png"), {b"cICP": bytes((9, 1, 0, 1))}), "got primaries 9 and"),
        (with_chunks(encode(Image.new("RGB", (2, 2)), "png"), {b"cICP": bytes((1, 8, 0, 1))}), "and transfer 8 of"),
        (with_chunks(encode(Image.new("RGB", (2, 2)), "png"), {b"iCCP": b"x\0\0junk"}), "profile cannot be unpacked"),
        (encode(Image.new("RGB", (8, 8)), "jpeg")[:-2], "the JPEG file is truncated, its end marker is missing"),
        (encode(Image.new("RGB", (8, 8)), "png")[:-12], "the PNG file is truncated, its end marker is missing"),
        (changed(srgb_profile, 36, b"none"), "expected an ICC profile for RGB or grey, got an unreadable one"),
        (changed(srgb_profile, 16, b"CMYK"), "expected an ICC profile for RGB or grey, got CMYK"),
        (changed(srgb_profile, 128, b"\xff\xff\xff\xff"), "the ICC profile is damaged; export the photograph again"),
        (encode(Image.new("RGB", (8, 8)), "jpeg", icc_profile=b"junk"), "got an unreadable one"),
    ],
)
def test_what_cannot_be_read_is_refused_whatever_its_name(tmp_path, content, message):
    path = tmp_path / "photo.jpg"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ImageError, match=message + r".*photo\.jpg"):
        read_photo(path)


def test_a_damaged_profile_of_tables_is_refused(tmp_path):
    icc = with_luminance_table(srgb_profile()).replace(b"mft1", b"junk")
    path = save(tmp_path / "a.png", Image.new("RGB", (2, 2)), icc_profile=icc)
    with pytest.raises(ImageError, match=r"the ICC profile is damaged; export the photograph again.*a\.png"):
        read_photo(path)


def test_a_missing_part_of_a_profile_is_told(tmp_path):
    data = encode(Image.new("RGB", (8, 8)), "jpeg", icc_profile=srgb_profile())
    at = data.index(b"ICC_PROFILE\0") + 12
    (tmp_path / "a.jpg").write_bytes(data[:at] + b"\1\2" + data[at + 2 :])
    with pytest.raises(ImageError, match=r"expected 2 parts of an ICC profile, got parts \[1\]"):
        read_photo(tmp_path / "a.jpg")


def test_what_the_decoder_would_garble_is_refused(tmp_path, codes16):
    tifffile = pytest.importorskip("tifffile", reason="writes the files")
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, codes16.transpose(2, 0, 1), photometric="rgb", planarconfig="separate")
    with pytest.raises(ImageError, match=r"got 16 bits stored channel by channel; save it again: .*a\.tif"):
        read_photo(path)
    tifffile.imwrite(path, codes16[..., 0], photometric="miniswhite")
    with pytest.raises(ImageError, match=r"got 16 bits stored with 0 as white; save it again: .*a\.tif"):
        read_photo(path)
    tifffile.imwrite(path, codes16[..., 0].astype(np.uint32), photometric="minisblack")
    with pytest.raises(ImageError, match=r"expected 8 or 16 bits a channel, got 32: .*a\.tif"):
        read_photo(path)


def test_a_jpeg_of_twelve_bits_is_refused(tmp_path):
    data = bytearray(encode(Image.new("RGB", (8, 8)), "jpeg"))
    data[data.index(b"\xff\xc0") + 4] = 12
    (tmp_path / "a.jpg").write_bytes(data)
    with pytest.raises(ImageError, match=r"expected a JPEG of 8 bits a channel, got 12: .*a\.jpg"):
        read_photo(tmp_path / "a.jpg")


def test_a_progressive_jpeg_ends_where_its_last_scan_does(tmp_path, levels):
    """Segments stand between the scans, and may hold the two bytes of the end marker."""
    data = encode(Image.fromarray(levels), "jpeg", progressive=True)
    second_scan = data.index(b"\xff\xda", data.index(b"\xff\xda") + 2)
    comment = b"\xff\xfe\0\x05 \xff\xd9"  # decoders skip it, as any segment of a length
    (tmp_path / "a.jpg").write_bytes(data[:second_scan] + comment + data[second_scan:])
    np.testing.assert_allclose(
        read_photo(tmp_path / "a.jpg").ldr, scaled(np.asarray(Image.open(io.BytesIO(data)))), atol=0.02
    )
    (tmp_path / "b.jpg").write_bytes(data[:second_scan] + comment + data[second_scan:-2])
    with pytest.raises(ImageError, match="its end marker is missing"):
        read_photo(tmp_path / "b.jpg")


def test_tiff_tags_can_be_set():
    """The test's own tool: the header of a file says what it was made to say."""
    data = bytearray(encode(Image.new("RGB", (8, 8)), "tiff"))
    set_tiff_tag(data, 256, 9)
    assert Image.open(io.BytesIO(data)).width == 9
