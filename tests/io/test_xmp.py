"""Exposures where EXIF was stripped and the XMP packet was not; a packet is from a stranger."""

import time

import numpy as np
import pytest
from handmade import encode, png_chunk
from PIL import ExifTags, Image
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from ldr2hdr.data.datasets.headers import read_header
from ldr2hdr.inference.merging.sets import as_bracket
from ldr2hdr.io import read_photo
from ldr2hdr.io.exif import parse_exif
from ldr2hdr.io.jpeg import XMP_NAME, Segment, join_jpeg, parse_jpeg
from ldr2hdr.io.photo import read_shot
from ldr2hdr.io.shot import describe_shot
from ldr2hdr.io.xmp import parse_xmp

NAMES = (
    'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns:exif="http://ns.adobe.com/exif/1.0/" '
    'xmlns:exifEX="http://cipa.jp/exif/1.0/" xmlns:tiff="http://ns.adobe.com/tiff/1.0/" '
    'xmlns:xmpMM="http://ns.adobe.com/xap/1.0/mm/"'
)
GREY = Image.new("RGB", (16, 12), (90, 100, 110))


def packet(attributes="", elements="", *, head="", wrapper=True):
    """As programs write it: properties as attributes, or as elements of their own."""
    inside = f'<rdf:RDF {NAMES}><rdf:Description rdf:about="" {attributes}>{elements}</rdf:Description></rdf:RDF>'
    wrapped = f'<x:xmpmeta xmlns:x="adobe:ns:meta/">{inside}</x:xmpmeta>' if wrapper else inside
    marker = '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
    return f'{head}{marker}\n{wrapped}\n{" " * 2000}<?xpacket end="w"?>'.encode()


def exposure_of(text):
    shot = describe_shot(parse_exif(None), text)
    return shot.exposure_time_s, shot.f_number, shot.iso


ARRAY = "<exif:ISOSpeedRatings><rdf:Seq><rdf:li>400</rdf:li></rdf:Seq></exif:ISOSpeedRatings>"
AS_ATTRIBUTES = packet('exif:ExposureTime="1/250" exif:FNumber="28/10"', ARRAY)


@pytest.mark.parametrize(
    "text",
    [
        AS_ATTRIBUTES,
        packet(elements=f"<exif:ExposureTime>1/250</exif:ExposureTime><exif:FNumber> 28/10 </exif:FNumber>{ARRAY}"),
        packet('exif:ExposureTime="0.004" exif:FNumber="2.8" exifEX:PhotographicSensitivity="400"'),
        packet('exif:ExposureTime="1/250" exif:FNumber="28/10"', ARRAY, wrapper=False),
        packet('exif:ExposureTime="1/250" exif:FNumber="28/10"', ARRAY).decode().encode("utf-16"),
        packet(
            'exif:ExposureTime="1/250" exif:FNumber="28/10" exifEX:SensitivityType="2" '
            'exifEX:RecommendedExposureIndex="400"',
            ARRAY.replace("400", "65535"),
        ),
        AS_ATTRIBUTES + b"\0\0",
        AS_ATTRIBUTES[:1000],
    ],
)
def test_exposures_are_read_in_every_form(text):
    assert exposure_of(text) == pytest.approx((0.004, 2.8, 400))


def test_apex_values_are_read_as_those_of_exif():
    text = packet('exif:ShutterSpeedValue="8/1" exif:ApertureValue="4/1" exif:BrightnessValue="5/1"')
    assert exposure_of(text) == pytest.approx((1 / 256, 4.0, None))


@pytest.mark.parametrize(
    "text",
    [
        None,
        b"",
        b"no XML",
        AS_ATTRIBUTES[:400],
        packet('exif:ExposureTime="0/0" exif:FNumber="-1" exifEX:PhotographicSensitivity="many"'),
        packet('exif:ExposureTime="1e400" exif:FNumber="nan" exifEX:PhotographicSensitivity="0x190"'),
        packet('exif:BrightnessValue="5/1"'),
        # of a picture that this one was made of
        packet(
            elements='<xmpMM:Ingredients><rdf:Bag><rdf:li><rdf:Description exif:ExposureTime="1/8"/></rdf:li></rdf:Bag>'
            "</xmpMM:Ingredients>"
        ),
        # a document type: a bomb, a file of this machine, or nothing at all
        packet('exif:ExposureTime="1/8"', head='<!DOCTYPE a [<!ENTITY b "1/8">]>'),
        packet(elements="<exif:ExposureTime>&b;</exif:ExposureTime>", head='<!DOCTYPE a [<!ENTITY b "1/8">]>'),
        packet(elements="<exif:ExposureTime>&b;</exif:ExposureTime>", head='<!DOCTYPE a SYSTEM "file:///etc/passwd">'),
        packet('exif:ExposureTime="1/8"', head="<!DOCTYPE a>").decode().encode("utf-16"),
    ],
)
def test_what_is_no_exposure_says_nothing(text):
    assert exposure_of(text) == (None, None, None)


def test_no_packet_takes_long():
    start = time.monotonic()
    for bomb in (b"<a>" * 1_300_000, packet(elements=ARRAY[:28] + "1" * 4_000_000), b"<a " + b'b="1" ' * 700_000):
        assert parse_xmp(bomb) == {}
    many = ARRAY.replace("<rdf:li>400</rdf:li>", "<rdf:li>400</rdf:li>" * 9_999)
    assert len(parse_xmp(packet(elements=many))) == 1
    assert time.monotonic() - start < 5


def write(path, text, exif=b""):
    if path.suffix == ".jpg":
        jpeg = parse_jpeg(path, encode(GREY, "jpeg", exif=exif))
        segments = [*jpeg.segments[:1], Segment(0xE1, XMP_NAME + text), *jpeg.segments[1:]]
        path.write_bytes(join_jpeg(segments, jpeg.scans))
    elif path.suffix == ".png":
        png = encode(GREY, "png", **({"exif": exif} if exif else {}))
        path.write_bytes(png[:33] + png_chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + text) + png[33:])
    elif path.suffix == ".heic":
        heif = pytest.importorskip("pillow_heif", reason="extra heic")
        heif.from_pillow(GREY).save(path, xmp=text, exif=exif or None)
    else:
        directory = ImageFileDirectory_v2()
        directory[700] = text
        directory.tagtype[700] = 1
        GREY.save(path, tiffinfo=directory)
    return path


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tiff", ".heic"])
def test_a_bracket_without_exif_is_known_by_its_packets(tmp_path, suffix):
    paths = [
        write(tmp_path / f"{number}{suffix}", packet(f'exif:ExposureTime="1/{time}"'))
        for number, time in enumerate((400, 100))
    ]
    assert read_photo(paths[0]).source.shot.exposure_time_s == pytest.approx(1 / 400)
    assert read_shot(paths[0]).exposure_time_s == pytest.approx(1 / 400)
    if suffix != ".heic":
        assert read_header(paths[1]).shot.exposure_time_s == pytest.approx(1 / 100)
    bracket = as_bracket(paths)
    assert bracket.source == "EXIF"
    assert np.diff(bracket.evs) == pytest.approx([2])


def exif_block(**settings):
    exif = Image.Exif()
    exif.get_ifd(ExifTags.IFD.Exif).update({ExifTags.Base[name]: value for name, value in settings.items()})
    return exif.tobytes()


def test_exif_goes_before_the_packet(tmp_path):
    exif = exif_block(ExposureTime=0.5, ISOSpeedRatings=65535)
    shot = read_shot(write(tmp_path / "a.jpg", AS_ATTRIBUTES, exif))
    assert (shot.exposure_time_s, shot.f_number, shot.iso, shot.is_iso_capped) == (0.5, 2.8, 400, False)


def test_camera_and_date_are_read(tmp_path):
    date = 'exif:DateTimeOriginal="2020-02-03T04:05:06.7+01:00"'
    shot = read_shot(write(tmp_path / "a.jpg", packet(f'tiff:Make="S\u00f6hne &amp; Co" tiff:Model="X1" {date}')))
    assert (shot.camera, shot.taken) == ("S\u00f6hne & Co X1", "2020:02:03 04:05:06")
