"""Files as cameras, phones and programs write them: stray bytes, metadata in text, transparent levels, other codecs."""

import io
import struct
import zlib

import cv2
import numpy as np
import pytest
from handmade import encode, png_chunk, set_tiff_tag
from PIL import ExifTags, Image, ImageOps
from PIL.PngImagePlugin import PngInfo

from ldr2hdr.data.datasets.headers import read_header
from ldr2hdr.io import ImageError, ldr, read_ldr, read_photo, write_image
from ldr2hdr.io.jpeg import join_jpeg, parse_jpeg

IFD, Base = ExifTags.IFD, ExifTags.Base
READERS = (read_ldr, read_photo)


@pytest.fixture
def levels(rng):
    return rng.integers(0, 255, (24, 40, 3), dtype=np.uint8)


def exif_of(orientation, model="One", time_s=0.004):
    exif = Image.Exif()
    exif[Base.Orientation], exif[Base.Model] = orientation, model
    exif.get_ifd(IFD.Exif)[Base.ExposureTime] = time_s
    return exif.tobytes()


def raw_profile(block, name=b"exif"):
    """As ImageMagick writes it: the name, the length, lines of 72 hexadecimal digits."""
    digits = block.hex().encode()
    lines = b"\n".join(digits[at : at + 72] for at in range(0, len(digits), 72))
    return b"\n%s\n%8d\n%s\n" % (name, len(block), lines)


def text_chunk(kind, keyword, text):
    if kind == b"tEXt":
        return png_chunk(kind, keyword + b"\0" + text)
    if kind == b"zTXt":
        return png_chunk(kind, keyword + b"\0\0" + zlib.compress(text))
    packed = zlib.compress(text) if kind == b"iTXt packed" else text
    flag = b"\1" if kind == b"iTXt packed" else b"\0"
    return png_chunk(b"iTXt", keyword + b"\0" + flag + b"\0en\0Wort\0" + packed)


TEXTS = [b"tEXt", b"zTXt", b"iTXt", b"iTXt packed"]


@pytest.mark.parametrize("is_late", [False, True])
@pytest.mark.parametrize("keyword", [b"Raw profile type exif", b"Raw profile type APP1"])
@pytest.mark.parametrize("kind", TEXTS)
def test_exif_in_text_chunks_of_a_png_counts(tmp_path, levels, kind, keyword, is_late):
    png, path = encode(Image.fromarray(levels), "png"), tmp_path / "a.png"
    chunk = text_chunk(kind, keyword, raw_profile(exif_of(6)))
    at = len(png) - 12 if is_late else 33
    path.write_bytes(png[:at] + chunk + png[at:])
    photo, header = read_photo(path), read_header(path)
    assert (photo.source.shot.model, photo.source.shot.exposure_time_s) == ("One", 0.004)
    assert photo.source.exif_damage is None
    assert header.shot == photo.source.shot
    expected = np.rot90(levels, -1).transpose(2, 0, 1)
    for picture in (photo.ldr, read_ldr(path)):
        np.testing.assert_array_equal(picture.mul(255).round(), expected)
    assert header[:2] == expected.shape[1:]
    assert np.asarray(ImageOps.exif_transpose(Image.open(path))).shape[:2] == header[:2] or keyword.endswith(b"APP1")


def test_the_chunk_of_exif_goes_before_the_text(tmp_path, levels):
    info = PngInfo()
    info.add_text("Raw profile type exif", raw_profile(exif_of(6, "Old")).decode())
    Image.fromarray(levels).save(tmp_path / "a.png", exif=exif_of(1, "New"), pnginfo=info)
    assert (read_photo(tmp_path / "a.png").source.shot.model, *read_header(tmp_path / "a.png")[:2]) == ("New", 24, 40)


def test_xmp_in_an_app1_profile_is_no_exif(tmp_path, levels):
    info = PngInfo()
    info.add_text("Raw profile type APP1", raw_profile(b"http://ns.adobe.com/xap/1.0/\0<x/>", b"APP1").decode())
    info.add_text("Raw profile type exif", "\nexif\n   zz\nno digits")
    Image.fromarray(levels).save(tmp_path / "a.png", pnginfo=info)
    assert read_photo(tmp_path / "a.png").source.exif is None


@pytest.mark.parametrize("form", ['tiff:Orientation="6"', "<tiff:Orientation>6</tiff:Orientation>"])
def test_the_orientation_of_xmp_counts_where_exif_has_none(tmp_path, levels, form):
    info = PngInfo()
    info.add_itxt("XML:com.adobe.xmp", f"<x:xmpmeta {form} </x:xmpmeta>")
    for name, exif, size in (("a.png", None, (40, 24)), ("b.png", exif_of(1), (24, 40))):
        Image.fromarray(levels).save(tmp_path / name, pnginfo=info, **({} if exif is None else {"exif": exif}))
        assert read_ldr(tmp_path / name).shape[1:] == read_header(tmp_path / name)[:2] == size


@pytest.mark.parametrize("keyword", ["Raw profile type xmp", "Raw profile type APP1"])
def test_the_orientation_of_xmp_counts_in_a_profile_of_text(tmp_path, levels, keyword):
    info = PngInfo()
    info.add_text(keyword, raw_profile(b'<x tiff:Orientation="8"/>', b"xmp").decode(), zip=True)
    Image.fromarray(levels).save(tmp_path / "a.png", pnginfo=info)
    assert read_photo(tmp_path / "a.png").ldr.shape[1:] == (40, 24)


GREY = np.tile(np.arange(64, dtype=np.uint8) * 4, (64, 1))


def transparent(mode, level, **options):
    if mode == "I;16":
        png = cv2.imencode(".png", GREY.astype(np.uint16) * 257)[1].tobytes()
    elif mode == "RGB16":
        png = cv2.imencode(".png", np.dstack([GREY.astype(np.uint16) * 257] * 3))[1].tobytes()
    else:
        png = encode(Image.fromarray(GREY).convert(mode), "png", **options)
    return png[:33] + (b"" if b"tRNS" in png else png_chunk(b"tRNS", level)) + png[33:]


def palette(is_transparent):
    picture = Image.fromarray(GREY).convert("P")
    return encode(picture, "png", transparency=bytes([0 if is_transparent else 255]) + bytes([255]) * 255)


@pytest.mark.parametrize(
    ("png", "is_transparent"),
    [
        (transparent("L", struct.pack(">H", 0)), True),
        (transparent("L", struct.pack(">H", 1)), False),  # of a level that no pixel has
        (transparent("1", struct.pack(">H", 1)), True),
        (transparent("I;16", struct.pack(">H", 257 * 8)), True),
        (transparent("I;16", struct.pack(">H", 257 * 8 + 1)), False),
        (transparent("RGB", struct.pack(">3H", 8, 8, 8)), True),
        (transparent("RGB", struct.pack(">3H", 8, 8, 9)), False),
        (transparent("RGB16", struct.pack(">3H", *[257 * 8] * 3)), True),
        (transparent("RGB16", struct.pack(">3H", *[257 * 8 + 1] * 3)), False),
    ],
)
def test_a_transparent_level_is_transparency(tmp_path, png, is_transparent):
    path = tmp_path / "a.png"
    path.write_bytes(png)
    for read in READERS:
        if is_transparent:
            with pytest.raises(ImageError, match=r"expected an opaque picture.*a\.png"):
                read(path)
        else:
            read(path)


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_a_transparent_level_of_few_bits_is_transparency(tmp_path, bits):
    rows = np.packbits(np.unpackbits(np.arange(8, dtype=np.uint8)[:, None], axis=1), axis=1)
    head = struct.pack(">IIBBBBB", 8 // bits, 8, bits, 0, 0, 0, 0)
    data = zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))
    for level, is_transparent in ((0, True), (2**bits - 1, bits == 1), (2**bits + 0, True)):
        chunks = [(b"IHDR", head), (b"tRNS", struct.pack(">H", level)), (b"IDAT", data), (b"IEND", b"")]
        path = tmp_path / f"{level}.png"
        path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(png_chunk(*chunk) for chunk in chunks))
        if is_transparent:
            with pytest.raises(ImageError, match="expected an opaque picture"):
                read_ldr(path)


@pytest.mark.parametrize("is_transparent", [True, False])
def test_a_transparent_entry_of_a_palette_is_transparency(tmp_path, is_transparent):
    (tmp_path / "a.png").write_bytes(palette(is_transparent))
    for read in READERS:
        if is_transparent:
            with pytest.raises(ImageError, match="expected an opaque picture"):
                read(tmp_path / "a.png")
        else:
            read(tmp_path / "a.png")


def segments_at(jpeg):
    """Where each segment starts."""
    at, starts = 2, []
    while jpeg[at + 1] != 0xDA:
        starts.append(at)
        at += 2 + int.from_bytes(jpeg[at + 2 : at + 4])
    return [*starts, at]


STRAY = [b"\x3f\x3e", b"\0" * 16, b"\xff" * 5, b"junk\xff\0more", b"\xff\xd0", b"\xff\x01", b"\xff\x00"]


@pytest.mark.parametrize("stray", STRAY)
def test_stray_bytes_between_segments_are_passed_over_as_decoders_do(tmp_path, levels, stray):
    whole = encode(Image.fromarray(levels), "jpeg", exif=exif_of(6), quality=95)
    (tmp_path / "whole.jpg").write_bytes(whole)
    expected = read_photo(tmp_path / "whole.jpg")
    for at in segments_at(whole)[1:]:
        path = tmp_path / "a.jpg"
        path.write_bytes(whole[:at] + stray + whole[at:])
        photo = read_photo(path)
        np.testing.assert_array_equal(photo.ldr, expected.ldr)
        np.testing.assert_array_equal(read_ldr(path), expected.ldr)
        assert read_header(path) == (40, 24, expected.source.shot)
        assert cv2.imread(str(path)).shape[:2] == (40, 24)


@pytest.mark.parametrize("missing", [2, 16])
def test_a_length_that_is_too_short_leaves_stray_bytes(tmp_path, levels, missing):
    whole = bytearray(encode(Image.fromarray(levels), "jpeg", comment=b"a" * 40))
    at = whole.index(b"\xff\xfe") + 2
    whole[at : at + 2] = struct.pack(">H", int.from_bytes(whole[at : at + 2]) - missing)
    (tmp_path / "a.jpg").write_bytes(whole)
    assert read_photo(tmp_path / "a.jpg").ldr.shape == (3, 24, 40)


@pytest.mark.parametrize("stray", STRAY)
def test_an_ultra_hdr_file_of_such_a_photograph_is_whole(tmp_path, levels, stray):
    whole = encode(Image.fromarray(levels), "jpeg", exif=exif_of(1), quality=95)
    at = segments_at(whole)[2]
    (tmp_path / "a.jpg").write_bytes(whole[:at] + stray + whole[at:])
    photo = read_photo(tmp_path / "a.jpg")
    out = tmp_path / "b.jpg"
    write_image(out, photo.ldr * 3, format="ultrahdr", photo=photo)
    data = out.read_bytes()
    jpeg = parse_jpeg(out, data)
    base = join_jpeg(jpeg.segments, jpeg.scans)
    assert data.startswith(base)  # no stray byte is left
    assert data[len(base) : len(base) + 3] == b"\xff\xd8\xff"
    offset = int.from_bytes(data[(mpf := data.index(b"MPF\0") + 4) + 50 + 24 : mpf + 50 + 28])
    assert mpf + offset == len(base)
    np.testing.assert_array_equal(read_photo(out).ldr, photo.ldr)


def heif(codec, brand=b"heic"):
    pillow_heif = pytest.importorskip("pillow_heif", reason="extra heic")
    buffer = io.BytesIO()
    pillow_heif.from_pillow(Image.new("RGB", (64, 48))).save(buffer)
    return buffer.getvalue().replace(b"hvc1\0", codec + b"\0").replace(b"ftypheic", b"ftyp" + brand)


@pytest.mark.parametrize(
    ("codec", "message"),
    [
        (b"unci", "got a HEIF without compression"),
        (b"av01", "got a HEIF coded by AV1, which is AVIF"),
        (b"j2k1", "got a HEIF coded by JPEG 2000"),
        (b"avc1", "got a HEIF coded by H.264"),
        (b"vvc1", "got a HEIF coded by VVC"),
    ],
)
@pytest.mark.parametrize("brand", [b"heic", b"mif1", b"mif2", b"unif"])
def test_another_codec_is_not_damage(tmp_path, codec, message, brand):
    (tmp_path / "a.heic").write_bytes(heif(codec, brand))
    with pytest.raises(ImageError, match=message + r".*a\.heic") as caught:
        read_photo(tmp_path / "a.heic")
    assert "damaged" not in str(caught.value)


def logluv(photometric):
    data = bytearray(encode(Image.new("RGB", (8, 8)), "tiff"))
    set_tiff_tag(data, 262, photometric)
    return bytes(data)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"II+\0\x08\0\0\0" + bytes(40), "got (a )?BigTIFF"),
        (b"MM\0+\0\x08\0\0" + bytes(40), "got (a )?BigTIFF"),
        (logluv(32845), "got LogLuv, which is HDR already"),
        (logluv(32844), "got LogL, which is HDR already"),
    ],
)
def test_what_is_not_read_is_called_what_it_is(tmp_path, content, message):
    (tmp_path / "a.tif").write_bytes(content)
    for read in (*READERS, read_header):
        with pytest.raises(ImageError, match=message + r".*a\.tif"):
            read(tmp_path / "a.tif")


@pytest.mark.parametrize(
    ("start", "what"),
    [
        (b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG 2000; export it"),
        (b"\xff\x4f\xff\x51", "JPEG 2000; export it"),
        (b"II\xbc\x01", "JPEG XR"),
        (b"8BPS\0\1", "a Photoshop document; export it"),
        (b"gimp xcf v011", "a GIMP document; export it"),
        (b"BM", "BMP"),
        (b"%PDF-1.7", "PDF"),
        (b"\0\0\0\x18ftypisom", "a video"),
        (b"\0\0\0\x14ftypqt  ", "a video"),
    ],
)
def test_what_is_called_a_photograph_is_called_what_it_is(tmp_path, start, what):
    (tmp_path / "a.jpg").write_bytes(start + bytes(100))
    with pytest.raises(ImageError, match=rf"got {what}.*a\.jpg"):
        read_photo(tmp_path / "a.jpg")


@pytest.mark.parametrize(
    ("method", "name"), [(34712, "JPEG 2000"), (52546, "JPEG XL"), (50000, "Zstandard"), (65000, "method 65000")]
)
def test_a_compression_that_is_not_decoded_is_no_black_picture(tmp_path, levels, method, name):
    tiff = bytearray(encode(Image.fromarray(levels), "tiff"))
    set_tiff_tag(tiff, 259, method)
    (tmp_path / "a.tiff").write_bytes(tiff)
    for read in (*READERS, read_header):
        with pytest.raises(ImageError, match=rf"got {name}; save it again.*a\.tiff"):
            read(tmp_path / "a.tiff")


@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_adobe_deflate", "tiff_deflate", "packbits", "raw"])
def test_the_compressions_of_photographs_are_decoded(tmp_path, levels, compression):
    Image.fromarray(levels).save(tmp_path / "a.tiff", compression=compression)
    np.testing.assert_array_equal((read_ldr(tmp_path / "a.tiff") * 255).round().movedim(0, -1).numpy(), levels)


def test_an_empty_segment_of_exif_hides_no_other(tmp_path, levels):
    """ExifTool 12.57 reads the second one."""
    jpeg = encode(Image.fromarray(levels), "jpeg", exif=exif_of(6))
    (tmp_path / "a.jpg").write_bytes(jpeg[:2] + b"\xff\xe1\0\x08Exif\0\0" + jpeg[2:])
    assert read_header(tmp_path / "a.jpg").shot.exposure_time_s == pytest.approx(0.004)


@pytest.mark.parametrize("start", [b"II\x1a\0\0\0HEAPCCDR", b"\0MRM\0\0\0\0"])
def test_raw_files_of_old_cameras_are_raw_files(tmp_path, start):
    (tmp_path / "a.crw").write_bytes(start + bytes(100))
    with pytest.raises(ImageError, match=r"RAW.*a\.crw"):
        read_photo(tmp_path / "a.crw")


@pytest.mark.parametrize(
    "error", [KeyError("x"), RecursionError(), struct.error("short"), UnicodeError(), OSError(5, "I/O")]
)
def test_whatever_a_decoder_trips_over_names_the_file(tmp_path, levels, monkeypatch, error):
    path = tmp_path / "a.png"
    Image.fromarray(levels).save(path)

    def trip(*_):
        raise error

    monkeypatch.setattr(ldr, "parse_png", trip)
    for read in (*READERS, read_header):
        with pytest.raises(ImageError, match=r"cannot be read.*a\.png") as caught:
            read(path)
        assert caught.value.__cause__ is error


def test_random_damage_is_always_an_image_error(tmp_path, levels, rng):
    """On the photograph and the data-set route."""
    whole = {kind: encode(Image.fromarray(levels), kind) for kind in ("png", "jpeg", "tiff")}
    messages = []
    for number in range(150):
        data = bytearray(whole[("png", "jpeg", "tiff")[number % 3]])
        for at in rng.integers(0, min(len(data), 700), 4):
            data[at] = rng.integers(256)
        (tmp_path / "a").write_bytes(data)
        for read in (*READERS, read_header):
            try:
                read(tmp_path / "a")
            except ImageError as error:
                messages.append(str(error))
    assert len(messages) > 50
    assert all(str(tmp_path / "a") in message for message in messages)
