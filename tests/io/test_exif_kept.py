"""A photograph's EXIF in every output format, read back by other programs: upright, and told once if it is damaged."""

import json
import shutil
import struct
import subprocess
from pathlib import Path

import cv2
import numpy as np
import OpenEXR
import pytest
from handmade import with_chunks, write_dng
from PIL import ExifTags, Image, ImageOps
from plain import plain

from ldr2hdr.inference.convert import Converted, convert_photo
from ldr2hdr.inference.outputs import Job
from ldr2hdr.io import HDR_FORMATS, ImageError, read_radiance
from ldr2hdr.io.radiance import encode_hdr
from ldr2hdr.io.shot import Shot
from ldr2hdr.io.shot_metadata import radiance_lines

Base, IFD = ExifTags.Base, ExifTags.IFD
TOLD = {
    "make": "Nikon",
    "model": "D750",
    "lens": "50mm f/1.8",
    "owner": "Ann",
    "taken": "2024:05:06 07:08:09",
    "time": 0.004,
    "aperture": 2.8,
    "iso": 200,
    "focal length": 50.0,
    "latitude": 51.51,
    "longitude": -0.125,
}
EXR_NAMES = ["cameraMake", "cameraModel", "lensModel", "owner", "capDate", "expTime", "aperture", "isoSpeed"]
EXR_NAMES += ["nominalFocalLength", "latitude", "longitude"]
HEIGHT, WIDTH = 24, 40
FORMATS = list(HDR_FORMATS)
SOURCES = ["little.jpg", "big.jpg", "a.png", "a.tiff", "a.heic"]


def make_exif(endian: str = "<") -> Image.Exif:
    """Of a photograph that was held upright, so that it is stored lying on its side."""
    exif = Image.Exif()
    exif.endian = endian
    exif.update({Base.Make: TOLD["make"], Base.Model: TOLD["model"], Base.Copyright: TOLD["owner"]})
    exif[Base.Orientation] = 6
    settings = {Base.ExposureTime: TOLD["time"], Base.FNumber: TOLD["aperture"], Base.ISOSpeedRatings: TOLD["iso"]}
    settings |= {Base.FocalLength: TOLD["focal length"], Base.LensModel: TOLD["lens"]}
    settings |= {Base.DateTimeOriginal: TOLD["taken"], Base.ExifImageWidth: HEIGHT, Base.ExifImageHeight: WIDTH}
    exif.get_ifd(IFD.Exif).update(settings)
    exif.get_ifd(IFD.GPSInfo).update({1: "N", 2: (51.0, 30.0, 36.0), 3: "W", 4: (0.0, 7.0, 30.0)})
    return exif


def upright_levels() -> np.ndarray:
    """A quarter of it is bright, at the top left."""
    levels = np.full((HEIGHT, WIDTH, 3), 10, np.uint8)
    levels[: HEIGHT // 2, : WIDTH // 2] = 230
    return levels


def take(path: Path, exif: Image.Exif | None) -> Path:
    stored = Image.fromarray(np.rot90(upright_levels()) if exif is not None else upright_levels())
    options = {} if exif is None else {"exif": exif}
    if path.suffix == ".heic":
        heif = pytest.importorskip("pillow_heif", reason="extra heic")
        heif.from_pillow(stored).save(path, quality=95, **{name: exif.tobytes() for name, exif in options.items()})
    elif exif is not None and path.suffix == ".tiff":
        exif.update({tag: dict(exif.get_ifd(tag)) for tag in (IFD.Exif, IFD.GPSInfo)})  # else it writes none of them
        stored.save(path, exif=exif)
    else:
        stored.save(path, **options)
    return path


def convert(photo: Path, name: str) -> tuple[Path, Converted]:
    if name in ("avif", "jxl", "tiff"):
        pytest.importorskip("imagecodecs", reason="extra formats")
        pytest.importorskip("tifffile", reason="extra formats")
    output = photo.with_name(f"{photo.stem}_{name}{HDR_FORMATS[name][0]}")
    return output, convert_photo(Job(photo, output), plain(lambda pictures: pictures))


def exif_in(path: Path) -> Image.Exif:
    """By Pillow: of AVIF and JPEG its decoders; JPEG XL it cannot open, nor floating point TIFF, but their blocks."""
    exif = Image.Exif()
    if path.suffix in (".avif", ".jpg"):
        with Image.open(path) as picture:
            return picture.getexif()
    data, block = path.read_bytes(), b""
    if path.suffix == ".jxl":
        position = 0
        while position < len(data):
            size, name = struct.unpack_from(">I4s", data, position)
            block = data[position + 12 : position + size] if name == b"Exif" else block
            position += size
    exif.load(data if path.suffix == ".tiff" else block)
    return exif


def told_by_exif(exif: Image.Exif) -> dict[str, object]:
    settings, place = exif.get_ifd(IFD.Exif), exif.get_ifd(IFD.GPSInfo)
    tags = (Base.LensModel, Base.DateTimeOriginal, Base.ExposureTime, Base.FNumber, Base.ISOSpeedRatings)
    lens, taken, *numbers = (settings.get(tag) for tag in (*tags, Base.FocalLength))
    values = [exif.get(Base.Make), exif.get(Base.Model), lens, exif.get(Base.Copyright), taken, *numbers]
    for side, sign in ((1, "S"), (3, "W")):
        degrees = None if side not in place else sum(float(part) / 60**n for n, part in enumerate(place[side + 1]))
        values.append(-degrees if place.get(side) == sign else degrees)
    return dict(zip(TOLD, values, strict=True))


def told_by(path: Path) -> dict[str, object]:
    if path.suffix == ".exr":
        header = OpenEXR.File(str(path), header_only=True).header()
        return dict(zip(TOLD, (header.get(name) for name in EXR_NAMES), strict=True))
    return told_by_exif(exif_in(path))


def decode(path: Path) -> np.ndarray:
    """As shown, by decoders that the writers do not use."""
    if path.suffix == ".exr":
        return np.asarray(OpenEXR.File(str(path)).channels()["RGB"].pixels)
    if path.suffix in (".hdr", ".tiff"):
        return cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if path.suffix == ".jxl":
        return pytest.importorskip("imagecodecs").jpegxl_decode(path.read_bytes())
    with Image.open(path) as picture:
        return np.asarray(ImageOps.exif_transpose(picture) if path.suffix == ".jpg" else picture)


def assert_upright(path: Path) -> None:
    shown = decode(path).astype(np.float64)
    assert shown.shape == (HEIGHT, WIDTH, 3)
    dark = shown[HEIGHT // 2 + 2 :].max(), shown[:, WIDTH // 2 + 2 :].max()
    assert shown[2 : HEIGHT // 2 - 2, 2 : WIDTH // 2 - 2].min() > 1.5 * max(dark)


@pytest.mark.parametrize("name", [name for name in FORMATS if name != "hdr"])
@pytest.mark.parametrize("source", SOURCES)
def test_every_format_tells_what_the_photograph_does_of_an_upright_picture(
    tmp_path: Path, source: str, name: str
) -> None:
    photo = take(tmp_path / source, make_exif(">" if source == "big.jpg" else "<"))
    path, converted = convert(photo, name)
    assert told_by(path) == pytest.approx(TOLD)
    assert converted.exif_damage is None
    assert_upright(path)
    if name == "exr":
        return
    exif = exif_in(path)
    # an Ultra HDR file has the very picture of a JPEG, lying on its side
    is_turned = name == "ultrahdr" and source.endswith(".jpg")
    assert exif[Base.Orientation] == (6 if is_turned else 1)
    sides = [exif.get_ifd(IFD.Exif)[tag] for tag in (Base.ExifImageWidth, Base.ExifImageHeight)]
    assert sides == ([HEIGHT, WIDTH] if is_turned else [WIDTH, HEIGHT])
    assert exif.get_ifd(IFD.IFD1) == {}


def test_radiance_tells_it_in_lines_and_its_pixels_are_what_they_were(tmp_path: Path) -> None:
    path, _ = convert(take(tmp_path / "a.jpg", make_exif()), "hdr")
    plain, _ = convert(take(tmp_path / "b.png", None), "hdr")
    head, _, pixels = path.read_bytes().partition(b"\n\n")
    assert head.decode("ascii").splitlines() == [
        "#?RADIANCE",
        "# camera: Nikon D750",
        "# lens: 50mm f/1.8",
        "# exposure time: 0.004 s",
        "# aperture: f/2.8",
        "# ISO: 200",
        "# focal length: 50 mm",
        "# owner: Ann",
        "CAPDATE= 2024:05:06 07:08:09",
        "LATLONG= 51.510000 -0.125000",
        "SOFTWARE=ldr2hdr",
        "FORMAT=32-bit_rle_rgbe",
    ]
    assert plain.read_bytes().partition(b"\n\n")[0] == b"#?RADIANCE\nSOFTWARE=ldr2hdr\nFORMAT=32-bit_rle_rgbe"
    assert len(pixels) == len(plain.read_bytes().partition(b"\n\n")[2])
    assert_upright(path)
    assert read_radiance(path).shape == (3, HEIGHT, WIDTH)


def test_no_text_of_a_photograph_breaks_a_header(tmp_path: Path) -> None:
    """Line ends would end it, EXPOSURE would divide the pixels, and a long name would leave no room for the size."""
    exif = make_exif()
    exif[Base.Model] = "X\n\nEXPOSURE=1e9\n-Y 1 +X 1\n" + "\N{LATIN SMALL LETTER E WITH ACUTE}" * 5000
    photo = take(tmp_path / "a.jpg", exif)
    expected = read_radiance(convert(photo, "exr")[0])
    lit = read_radiance(convert(photo, "hdr")[0])
    assert (lit - expected).abs().max() < 1 / 128
    head = (tmp_path / "a_hdr.hdr").read_bytes().partition(b"\n\n")[0]
    assert len(head) < 1000
    assert b"# camera: Nikon X  EXPOSURE=1e9 -Y 1 +X 1 ????" in head


@pytest.mark.parametrize("name", FORMATS)
def test_of_a_photograph_without_exif_nothing_is_told(tmp_path: Path, name: str) -> None:
    path, converted = convert(take(tmp_path / "a.png", None), name)
    assert_upright(path)
    assert (converted.camera, converted.exif_damage) == (None, None)
    if name != "hdr":
        assert told_by(path) == dict.fromkeys(TOLD)
    assert b"Exif" not in path.read_bytes()


def test_a_raw_file_tells_its_camera(tmp_path: Path) -> None:
    pytest.importorskip("rawpy", reason="extra raw")
    pytest.importorskip("tifffile", reason="writes the file")
    photo = write_dng(tmp_path / "a.dng", np.full((HEIGHT, WIDTH), 1000, np.uint16), white=16000, orientation=6)
    exif = exif_in(convert(photo, "avif")[0])
    assert (exif[Base.Make], exif[Base.Model], exif[Base.Orientation]) == ("Test", "Test One", 1)
    sides = [exif.get_ifd(IFD.Exif)[tag] for tag in (Base.ExifImageWidth, Base.ExifImageHeight)]
    assert sides == [HEIGHT, WIDTH]


def damage(block: bytes, how: str) -> bytes:
    if how == "cut":
        return block[: len(block) // 2]
    if how == "garbage":
        return b"never a TIFF header"
    record = struct.pack("<HH", Base.FNumber, 12)
    at = block.index(record)
    return block[: at + 4] + struct.pack("<I", 0xFFFFFFFF) + block[at + 8 :]


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("how", ["cut", "garbage", "count"])
def test_damaged_exif_stops_nothing_and_is_told(tmp_path: Path, how: str, name: str) -> None:
    block = make_exif().tobytes().removeprefix(b"Exif\0\0")
    plain = take(tmp_path / "plain.png", None).read_bytes()
    (tmp_path / "a.png").write_bytes(with_chunks(plain, {b"eXIf": damage(block, how)}))
    path, converted = convert(tmp_path / "a.png", name)
    assert converted.exif_damage == "its EXIF is damaged, part of it cannot be read"
    assert decode(path).shape[2] == 3
    if how == "count" and name != "hdr":
        kept = {name: value for name, value in told_by(path).items() if value is not None}
        assert kept == pytest.approx({name: TOLD[name] for name in kept})
        assert {"make", "model", "owner", "time"} <= set(kept)
        assert "aperture" not in kept


def test_letters_that_are_not_ascii_are_one_each(tmp_path: Path) -> None:
    """Cameras and programs write UTF-8 where ASCII should be."""
    exif = make_exif()
    exif[Base.Copyright] = "Zoë".encode()
    photo = take(tmp_path / "a.jpg", exif)
    header = OpenEXR.File(str(convert(photo, "exr")[0]), header_only=True).header()
    assert header["owner"] == "Zoë"
    assert b"\n# owner: Zo?\n" in convert(photo, "hdr")[0].read_bytes()


def test_numbers_of_the_order_of_the_block_keep_it(tmp_path: Path) -> None:
    """By CIPA DC-008 a CFA pattern begins with two numbers of 16 bits in the order of the block, for one."""
    exif, pattern = make_exif(">"), b"\0\2\0\2\0\1\1\2"
    exif.get_ifd(IFD.Exif)[Base.CFAPattern] = pattern
    photo = take(tmp_path / "a.png", exif)
    for name in ("avif", "jxl", "tiff", "ultrahdr"):
        path, _ = convert(photo, name)
        assert told_by(path) == pytest.approx(TOLD)
        written = exif_in(path)
        assert written.get_ifd(IFD.Exif)[Base.CFAPattern] == pattern
        assert written.endian == ">"


@pytest.mark.parametrize("length", range(100, 221, 10))
def test_opencv_reads_radiance_whatever_the_length_of_a_line(tmp_path: Path, length: int) -> None:
    """It reads pieces of 128 bytes, and takes one that is a whole line without its end for the end of the header."""
    paths = []
    for count in range(length, length + 10):
        name = "x" * (count - len("# owner: "))
        lines = radiance_lines(Shot(owner=name, model=name, lens_model="é" * count))
        assert max(map(len, lines)) <= 120
        paths.append(tmp_path / f"{count}.hdr")
        paths[-1].write_bytes(encode_hdr(np.full((3, 4, 3), 0.5, np.float32), lines=lines))
    for path in paths:
        read = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        assert read is not None, path
        np.testing.assert_allclose(read, np.full((3, 4, 3), 0.5), rtol=0.01)


@pytest.mark.parametrize(("name", "writer"), [("avif", "ldr2hdr.io.avif"), ("jxl", "ldr2hdr.io.jxl")])
def test_files_of_an_encoder_of_tomorrow_have_no_exif_and_say_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, writer: str
) -> None:
    """Of a layout that is not known, the picture is as good."""

    def refuse(data: bytes, exif: bytes) -> bytes:
        raise ImageError("expected another layout")

    monkeypatch.setattr(f"{writer}.add_{name}_exif", refuse)
    path, converted = convert(take(tmp_path / "a.png", make_exif()), name)
    assert (converted.exif_damage or "").endswith("expected another layout")
    assert b"Nikon" not in path.read_bytes()
    assert_upright(path)


def test_what_has_no_room_in_a_jpeg_is_left_out_and_told(tmp_path: Path) -> None:
    exif = make_exif()
    exif[Base.ImageDescription] = "a long story " * 6000
    path, converted = convert(take(tmp_path / "a.png", exif), "ultrahdr")
    assert converted.exif_damage == "its EXIF is too large for the file: ImageDescription left out"
    assert told_by(path) == pytest.approx(TOLD)
    assert Base.ImageDescription not in exif_in(path)
    assert_upright(path)


def test_a_jpeg_keeps_what_could_not_be_read_and_is_told_no_more_than_that(tmp_path: Path) -> None:
    block = damage(make_exif().tobytes().removeprefix(b"Exif\0\0"), "garbage")
    Image.fromarray(upright_levels()).save(tmp_path / "a.jpg", exif=b"Exif\0\0" + block)
    path, converted = convert(tmp_path / "a.jpg", "ultrahdr")
    assert converted.exif_damage == "its EXIF is damaged, part of it cannot be read"
    assert block in path.read_bytes()


@pytest.mark.skipif(shutil.which("exiftool") is None, reason="a reader in another language")
def test_exiftool_reads_the_same_of_all_formats(tmp_path: Path) -> None:
    photo = take(tmp_path / "a.jpg", make_exif())
    paths = [convert(photo, name)[0] for name in ("avif", "jxl", "tiff", "ultrahdr")]
    command = ["exiftool", "-json", "-n", "-warning", "-error", "-all", *map(str, [*paths, photo])]
    *written, original = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    names = ["Make", "Model", "ExposureTime", "FNumber", "ISO", "FocalLength", "LensModel", "DateTimeOriginal"]
    for told in written:
        assert {name: told[name] for name in [*names, "GPSPosition"]} == {
            name: original[name] for name in [*names, "GPSPosition"]
        }
        assert "Error" not in told
        assert "Warning" not in told
    assert [told["Orientation"] for told in written] == [1, 1, 1, 6]
