"""Ultra HDR files: the photograph untouched, both forms of metadata, and what decoders of three makers show."""

import re

import gain_map_decoder
import numpy as np
import pytest
import torch
from handmade import with_luminance_table
from PIL import ExifTags, Image

from ldr2hdr.io import ImageError, read_photo, write_image
from ldr2hdr.io.icc_writing import display_p3_profile, srgb_profile
from ldr2hdr.io.jpeg import parse_jpeg
from ldr2hdr.io.ultrahdr import has_gain_map, write_ultrahdr
from ldr2hdr.radiometry import encode_srgb

HEIGHT, WIDTH = 32, 48
P3_FROM_REC709 = np.array([[0.822462, 0.177538, 0], [0.033194, 0.966806, 0], [0.017083, 0.072397, 0.91052]])


def srgb_light(codes):
    return np.where(codes > 0.04045, ((codes + 0.055) / 1.055) ** 2.4, codes / 12.92)


@pytest.fixture
def exposure():
    """Smooth colours from a fifth of white to 4 stops above it, without symmetry."""
    y, x = torch.meshgrid(torch.linspace(0, 1, HEIGHT), torch.linspace(0, 1, WIDTH), indexing="ij")
    stops = 6 * x - 2
    return torch.exp2(stops) * torch.stack([1 - 0.5 * y, 0.6 + 0.2 * y, 0.4 + 0.6 * y])


@pytest.fixture
def levels(exposure):
    """What a camera made of it."""
    return (encode_srgb(exposure.clamp(0, 1)) * 255).round().byte().movedim(0, -1).numpy()


def take(path, levels, **options):
    Image.fromarray(levels).save(path, "jpeg", quality=95, subsampling=0, **options)
    return read_photo(path)


def pixels(path):
    """Codes as any program shows them, not turned."""
    with Image.open(path) as picture:
        return np.asarray(picture)


def shown(path):
    """Linear light on a display without limits."""
    return gain_map_decoder.decode(path.read_bytes(), srgb_light, headroom=10.0)


def assert_shows(decoded, expected, *, stops=0.08):
    """Both with the offset of black, as a display has it; a code of the map is 0.02 stops, JPEG does the rest."""
    error = np.log2((decoded + 1 / 64) / (expected.movedim(0, -1).numpy() + 1 / 64))
    assert np.abs(error).max() < stops
    assert abs(error.mean()) < 0.01


def test_the_photograph_is_there_byte_for_byte(tmp_path, exposure, levels):
    exif = Image.Exif()
    exif[ExifTags.Base.Model] = "One"
    photo = take(tmp_path / "a.jpg", levels, exif=exif, icc_profile=srgb_profile(), comment=b"mine")
    write_image(tmp_path / "b.jpg", exposure, format="ultrahdr", photo=photo)
    written, original = (tmp_path / "b.jpg").read_bytes(), (tmp_path / "a.jpg").read_bytes()
    assert parse_jpeg(tmp_path, written).scans == parse_jpeg(tmp_path, original).scans
    kept = [
        segment
        for segment in parse_jpeg(tmp_path, written).segments
        if segment in parse_jpeg(tmp_path, original).segments
    ]
    assert kept == list(parse_jpeg(tmp_path, original).segments)
    assert original[-2:] == b"\xff\xd9"
    assert np.array_equal(Image.open(tmp_path / "b.jpg"), Image.open(tmp_path / "a.jpg"))
    assert read_photo(tmp_path / "b.jpg").source.shot.model == "One"


@pytest.mark.parametrize("headroom", [0.0, 1.0, 2.0, 8.0])
def test_a_decoder_by_the_standard(tmp_path, exposure, levels, headroom):
    photo = take(tmp_path / "a.jpg", levels)
    write_image(tmp_path / "b.jpg", exposure, format="ultrahdr", photo=photo)
    data = (tmp_path / "b.jpg").read_bytes()
    decoded = gain_map_decoder.decode(data, srgb_light, headroom=headroom)
    full = exposure.max().log2().item()
    weight = min(headroom / full, 1.0)
    base = torch.from_numpy(srgb_light(pixels(tmp_path / "a.jpg") / 255)).movedim(-1, 0).float()
    expected = (base + 1 / 64) ** (1 - weight) * (exposure + 1 / 64) ** weight - 1 / 64
    assert_shows(decoded, expected)


def test_both_forms_of_metadata_say_the_same(tmp_path, exposure, levels):
    write_image(tmp_path / "b.jpg", exposure, format="ultrahdr", photo=take(tmp_path / "a.jpg", levels))
    base, gain_map = gain_map_decoder.split((tmp_path / "b.jpg").read_bytes())
    iso = gain_map_decoder.read_iso(gain_map)
    assert gain_map_decoder.read_xmp(gain_map) == iso
    assert iso.alternate_headroom == pytest.approx(exposure.max().log2().item(), abs=1e-4)
    assert int(re.search(rb'Item:Length="(\d+)"', base)[1]) == len(gain_map)


@pytest.mark.parametrize("is_old", [False, True])
def test_the_reference_decoder(tmp_path, exposure, levels, is_old):
    imagecodecs = pytest.importorskip("imagecodecs", reason="brings libultrahdr")
    write_image(tmp_path / "b.jpg", exposure, format="ultrahdr", photo=take(tmp_path / "a.jpg", levels))
    data = (tmp_path / "b.jpg").read_bytes()
    if is_old:  # a reader of before the ISO standard sees the XMP alone
        data = data.replace(b"urn:iso:std:iso:ts:21496:-1\0", b"urn:of:something:else:------\0"[:28])
    linear = imagecodecs.ULTRAHDR.CT.LINEAR
    decoded = imagecodecs.ultrahdr_decode(data, dtype=np.float16, transfer=linear)[..., :3].astype(np.float32)
    assert_shows(decoded, exposure)


def test_light_above_what_displays_show_is_clipped(tmp_path, exposure, levels):
    exposure[:, :, -8:] = 1000.0
    write_image(tmp_path / "b.jpg", exposure, format="ultrahdr", photo=take(tmp_path / "a.jpg", levels))
    decoded = shown(tmp_path / "b.jpg")
    np.testing.assert_allclose(decoded[:, -1], 10000 / 203, rtol=0.03)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_map_lies_as_the_photograph_is_stored(tmp_path, exposure, levels, orientation):
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    photo = take(tmp_path / "a.jpg", levels, exif=exif)
    light = torch.from_numpy(srgb_light(photo.ldr.numpy())).float()
    write_image(tmp_path / "b.jpg", light * 4, format="ultrahdr", photo=photo)
    decoded = shown(tmp_path / "b.jpg")
    stored = torch.from_numpy(srgb_light(pixels(tmp_path / "a.jpg") / 255)).movedim(-1, 0).float()
    assert_shows(decoded, stored * 4)


def test_the_gain_is_measured_in_the_colours_of_the_profile(tmp_path, exposure, levels):
    photo = take(tmp_path / "a.jpg", levels, icc_profile=display_p3_profile())
    write_image(tmp_path / "b.jpg", exposure, format="ultrahdr", photo=photo)
    decoded = shown(tmp_path / "b.jpg")
    in_p3 = torch.einsum("ij,jhw->ihw", torch.from_numpy(P3_FROM_REC709).float(), exposure)
    assert_shows(decoded, in_p3)


def test_a_grey_photograph_can_be_the_base(tmp_path, exposure, levels):
    photo = take(tmp_path / "a.jpg", levels[..., 1])
    grey = exposure[1:2].expand(3, -1, -1)
    write_image(tmp_path / "b.jpg", grey, format="ultrahdr", photo=photo)
    decoded = shown(tmp_path / "b.jpg")
    assert_shows(decoded, grey)


def test_a_camera_file_starts_with_its_exif(tmp_path, exposure, levels):
    exif = Image.Exif()
    exif[ExifTags.Base.Model] = "One"
    take(tmp_path / "a.jpg", levels, exif=exif)
    data = (tmp_path / "a.jpg").read_bytes()
    assert data[2:4] == b"\xff\xe0"
    (tmp_path / "a.jpg").write_bytes(data[:2] + data[4 + int.from_bytes(data[4:6], "big") :])  # without JFIF
    write_image(tmp_path / "b.jpg", exposure, format="ultrahdr", photo=read_photo(tmp_path / "a.jpg"))
    markers = [marker for marker, _, _ in gain_map_decoder.app_segments((tmp_path / "b.jpg").read_bytes())][:4]
    assert markers == [0xE1, 0xE1, 0xE2, 0xE2]  # EXIF, XMP, ISO, directory
    assert_shows(shown(tmp_path / "b.jpg"), exposure)


def test_a_progressive_photograph_stays_one(tmp_path, exposure, levels):
    photo = take(tmp_path / "a.jpg", levels, progressive=True)
    write_image(tmp_path / "b.jpg", exposure, format="ultrahdr", photo=photo)
    with Image.open(tmp_path / "b.jpg") as picture:
        assert picture.info["progressive"]
    assert_shows(shown(tmp_path / "b.jpg"), exposure)


@pytest.mark.parametrize("suffix", ["png", "tiff"])
def test_of_another_format_a_jpeg_is_made(tmp_path, exposure, levels, suffix):
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation], exif[ExifTags.Base.Model] = 6, "One"
    Image.fromarray(np.rot90(levels)).save(tmp_path / f"a.{suffix}", exif=exif)
    photo = read_photo(tmp_path / f"a.{suffix}")
    write_image(tmp_path / "b.jpg", exposure, format="ultrahdr", photo=photo)
    assert_shows(shown(tmp_path / "b.jpg"), exposure)
    again = read_photo(tmp_path / "b.jpg")
    assert (again.source.orientation, again.source.shot.model) == (1, "One")
    np.testing.assert_allclose(again.ldr, photo.ldr, atol=8 / 255)


def test_of_a_profile_of_tables_a_jpeg_is_made(tmp_path, exposure, levels):
    photo = take(tmp_path / "a.jpg", levels, icc_profile=with_luminance_table(srgb_profile()))
    write_image(tmp_path / "b.jpg", exposure, format="ultrahdr", photo=photo)
    assert read_photo(tmp_path / "b.jpg").source.icc is None
    assert_shows(shown(tmp_path / "b.jpg"), exposure, stops=0.2)


LIGHTROOM = (
    b'<?xpacket begin="\xef\xbb\xbf" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">'
    b'<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about="" '
    b'xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmlns:dc="http://purl.org/dc/elements/1.1/" xmp:Rating="5">'
    b"<dc:subject><rdf:Bag><rdf:li>sunset</rdf:li></rdf:Bag></dc:subject></rdf:Description></rdf:RDF></x:xmpmeta>"
    + b" " * 2000
    + b'<?xpacket end="w"?>'
)


def test_the_photographers_own_metadata_is_kept(tmp_path, exposure, levels):
    photo = take(tmp_path / "a.jpg", levels, xmp=LIGHTROOM)
    write_image(tmp_path / "b.jpg", exposure, format="ultrahdr", photo=photo)
    packets = [
        body for _, body, _ in gain_map_decoder.app_segments((tmp_path / "b.jpg").read_bytes()) if b"xap/1.0/\0" in body
    ]
    assert len(packets) == 1
    assert b'xmp:Rating="5"' in packets[0]
    assert b"<rdf:li>sunset</rdf:li>" in packets[0]
    assert b"hdrgm:Version" in packets[0]
    assert_shows(shown(tmp_path / "b.jpg"), exposure)


def test_an_older_gain_map_is_replaced(tmp_path, exposure, levels):
    write_image(
        tmp_path / "b.jpg", exposure * 0.5, format="ultrahdr", photo=take(tmp_path / "a.jpg", levels, xmp=LIGHTROOM)
    )
    (tmp_path / "b.jpg").write_bytes((tmp_path / "b.jpg").read_bytes() + b"a motion clip")
    photo = read_photo(tmp_path / "b.jpg")
    write_image(tmp_path / "c.jpg", exposure, format="ultrahdr", photo=photo, replaces_gain_map=True)
    base, _ = gain_map_decoder.split((tmp_path / "c.jpg").read_bytes())
    assert base.count(b"hdrgm:Version=") == base.count(b"MPF\0") == base.count(b"<Container:Directory>") == 1
    assert_shows(shown(tmp_path / "c.jpg"), exposure)
    assert b'xmp:Rating="5"' in base


@pytest.mark.parametrize("is_known_by", ["ISO", "XMP", "Apple"])
def test_a_gain_map_of_the_photograph_is_kept(tmp_path, exposure, levels, is_known_by):
    """A phone measured what a network would invent: the file is the photograph's own, to the last byte."""
    photo = take(tmp_path / "a.jpg", levels)
    write_image(tmp_path / "b.jpg", exposure, format="ultrahdr", photo=photo)
    data = (tmp_path / "b.jpg").read_bytes()
    if is_known_by != "ISO":
        data = data.replace(b"urn:iso:std:iso:ts:21496:-1\0", b"urn:of:something:else:-----\0")
    if is_known_by == "Apple":
        data = data.replace(b"http://ns.adobe.com/hdr-gain-map/1.0/", b"http://ns.apple.com/HDRGainMap/1.0/  ")
    (tmp_path / "b.jpg").write_bytes(data + b"a motion clip \xff\xd8\xff\xe1")
    original = read_photo(tmp_path / "b.jpg")
    note = write_image(tmp_path / "c.jpg", exposure * 7, format="ultrahdr", photo=original)
    assert note == "the photograph has a gain map of its own, which is kept"
    assert (tmp_path / "c.jpg").read_bytes() == (tmp_path / "b.jpg").read_bytes()
    assert (
        write_image(tmp_path / "d.jpg", exposure * 7, format="ultrahdr", photo=original, replaces_gain_map=True) is None
    )
    assert (tmp_path / "d.jpg").read_bytes() != (tmp_path / "b.jpg").read_bytes()


@pytest.mark.parametrize("behind", [b"", b"a clip \xff\xd8\xff\xe1", None])
def test_another_picture_behind_the_photograph_is_no_gain_map(tmp_path, exposure, levels, behind):
    """Such as the large preview of a camera."""
    take(tmp_path / "a.jpg", levels)
    data = (tmp_path / "a.jpg").read_bytes()
    (tmp_path / "a.jpg").write_bytes(data + (data if behind is None else behind))
    assert not has_gain_map((tmp_path / "a.jpg").read_bytes())
    write_image(tmp_path / "b.jpg", exposure, format="ultrahdr", photo=read_photo(tmp_path / "a.jpg"))
    assert_shows(shown(tmp_path / "b.jpg"), exposure)


def test_a_packet_without_room_is_replaced(tmp_path, exposure, levels):
    full = LIGHTROOM.replace(b"sunset", b"s" * 64700).replace(b" " * 2000, b"")
    write_image(tmp_path / "b.jpg", exposure, format="ultrahdr", photo=take(tmp_path / "a.jpg", levels, xmp=full))
    assert b"xmp:Rating" not in (tmp_path / "b.jpg").read_bytes()
    assert_shows(shown(tmp_path / "b.jpg"), exposure)


def test_a_reduced_map_is_smaller_and_nearly_the_same(tmp_path, exposure, levels):
    photo = take(tmp_path / "a.jpg", levels)
    write_ultrahdr(tmp_path / "whole.jpg", exposure, photo)
    write_ultrahdr(tmp_path / "half.jpg", exposure, photo, reduction=2, quality=80)
    assert (tmp_path / "half.jpg").stat().st_size < (tmp_path / "whole.jpg").stat().st_size
    decoded = shown(tmp_path / "half.jpg")
    assert_shows(decoded, exposure, stops=0.3)


def test_what_does_not_fit_is_refused(tmp_path, exposure, levels):
    photo = take(tmp_path / "a.jpg", levels)
    with pytest.raises(ImageError, match=r"of the photograph's size, got \(3, 31, 48\) for .* \(3, 32, 48\): .*b\.jpg"):
        write_image(tmp_path / "b.jpg", exposure[:, 1:], format="ultrahdr", photo=photo)
    with pytest.raises(ImageError, match=r"the photograph that an Ultra HDR file shows to old programs, got none"):
        write_image(tmp_path / "b.jpg", exposure, format="ultrahdr")
    with pytest.raises(ImageError, match=r"expected a format and its extension, .*got 'ultrahdr': .*b\.png"):
        write_image(tmp_path / "b.png", exposure, format="ultrahdr", photo=photo)
    assert [file.name for file in tmp_path.iterdir()] == ["a.jpg"]
