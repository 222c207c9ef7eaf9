"""The page's answers: a photograph to its light, and every refusal, in plain words and with nothing left behind."""

import io
import json
import re
import struct
import threading
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import OpenEXR
import pytest
import torch
from merging.brackets import light_of, save, shoot
from PIL import ExifTags, Image
from werkzeug.datastructures import FileStorage
from werkzeug.test import Client, EnvironBuilder, TestResponse, run_wsgi_app

import ldr2hdr
from ldr2hdr import cli
from ldr2hdr.cli.app import service
from ldr2hdr.cli.app.page import Settings
from ldr2hdr.cli.app.service import Desk, MergeChoices
from ldr2hdr.cli.app.uploads import Upload
from ldr2hdr.cli.app.views import TOKEN_HEADER, Page
from ldr2hdr.inference.merging.merging import MergeOptions
from ldr2hdr.inference.profiles.brackets import PHOTO_SUFFIXES
from ldr2hdr.inference.profiles.fitting import Check
from ldr2hdr.inference.profiles.model import AdaptedCamera, Model
from ldr2hdr.io import RAW_SUFFIXES, read_photo, read_radiance, write_image
from ldr2hdr.io import photo as photos

MAX_BYTES, MAX_PIXELS = 400_000, 200 * 200
TOKEN = {TOKEN_HEADER: "secret"}


@pytest.fixture
def desk(model: Model, tmp_path: Path) -> Desk:
    (tmp_path / "desk").mkdir()
    return Desk(model, tmp_path / "desk", max_pixels=MAX_PIXELS)


@pytest.fixture
def client(desk: Desk) -> Iterator[Client]:
    page = Page(desk, Settings("secret", MAX_BYTES, MAX_PIXELS))
    yield Client(page)
    page.close()


def kept(tmp_path: Path) -> list[str]:
    return sorted(path.name for path in (tmp_path / "desk").iterdir())


def post(client: Client, url: str, *files: tuple[bytes, str], headers: Any = TOKEN, **fields: str) -> TestResponse:
    uploads = [FileStorage(io.BytesIO(data), filename=name, name="file") for data, name in files]
    return client.post(url, data={**fields, "file": uploads}, headers=headers)


def events(response: TestResponse) -> list[dict[str, Any]]:
    assert response.status_code == 200, response.text
    return [json.loads(line) for line in response.text.splitlines() if line]


def convert(client: Client, path: Path, *, camera: str = "") -> str:
    *told, last = events(post(client, "/photo", (path.read_bytes(), path.name), camera=camera))
    assert last["state"] == "done", last
    shares = [event["share"] for event in told if event["state"] == "working"]
    assert shares == sorted(shares)
    assert 0 <= shares[0] <= shares[-1] <= 1
    return last["location"]


def small_jpeg(side: int = 16) -> bytes:
    file = io.BytesIO()
    Image.linear_gradient("L").resize((side, side)).convert("RGB").save(file, "JPEG")
    return file.getvalue()


def huge_png() -> bytes:
    """Its header claims more pixels than any memory holds."""
    header = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(b"")), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in chunks
    )


def test_a_photograph_becomes_what_convert_makes_of_it(
    client: Client, photo: Path, ckpt: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    location = convert(client, photo)
    assert cli.main(["convert", str(photo), "-o", str(tmp_path / "told.exr"), "--ckpt", str(ckpt)]) == 0
    exr = client.get(f"{location}/exr", buffered=True)
    assert exr.headers["Content-Disposition"] == "attachment; filename=sunset.exr"
    (tmp_path / "got.exr").write_bytes(exr.data)
    torch.testing.assert_close(
        read_radiance(tmp_path / "got.exr"), read_radiance(tmp_path / "told.exr"), rtol=0, atol=0
    )
    assert cli.main(["convert", str(photo), "-o", str(tmp_path / "told.jpg"), "--ckpt", str(ckpt)]) == 0
    ultrahdr = client.get(f"{location}/ultrahdr", buffered=True)
    assert "sunset_hdr.jpg" in ultrahdr.headers["Content-Disposition"]
    assert ultrahdr.data == (tmp_path / "told.jpg").read_bytes()
    page = client.get(location)
    assert "sunset.jpg" in page.text
    assert "128 x 128 pixels" in page.text
    assert 'id="picture-0-1"' in page.text


def test_no_photograph_is_decoded_more_often_than_needed(
    client: Client, photo: Path, exposures: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """To be merged as codes, all at once, then the reference for what the file says of it and for the page."""
    decoded: list[str] = []
    decode = photos._read_photo
    monkeypatch.setattr(photos, "_read_photo", lambda path, most: decoded.append(path.name) or decode(path, most))
    convert(client, photo)
    assert decoded == ["00.jpg"]
    decoded.clear()
    *_, last = merge(client, exposures, reference="2")
    assert last["state"] == "done", last
    assert decoded == ["00.jpg", "01.jpg", "02.jpg", "01.jpg"]


def test_the_chooser_offers_what_convert_takes(client: Client) -> None:
    """All that is found in folders, but for what a browser calls a picture by itself."""
    photo, merged, bracket = re.findall(r'accept="([^"]+)"', client.get("/").text)
    assert photo.split(",") == merged.split(",") == ["image/*", *PHOTO_SUFFIXES, *RAW_SUFFIXES]
    assert bracket.split(",") == ["image/*", *PHOTO_SUFFIXES]


def test_damaged_exif_is_told_on_the_page(client: Client, tmp_path: Path) -> None:
    exif = b"Exif\0\0II*\0\x08\0\0\0\x05\0"
    Image.linear_gradient("L").resize((32, 32)).convert("RGB").save(tmp_path / "a.jpg", exif=exif)
    assert "; its EXIF is damaged, part of it cannot be read" in client.get(convert(client, tmp_path / "a.jpg")).text


def test_the_page_loads_nothing_and_says_so(client: Client) -> None:
    page = client.get("/")
    policy = page.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    nonces = {part.split("'")[0] for part in policy.split("'nonce-")[1:]}
    assert len(nonces) == 1
    assert all(f'nonce="{nonces.copy().pop()}"' in tag for tag in page.text.split("<script")[1:] if "json" not in tag)
    assert client.get("/").headers["Content-Security-Policy"] != policy
    assert "Access-Control-Allow-Origin" not in page.headers
    assert "http://" not in page.text.replace("http://www.w3.org", "")
    assert "https://" not in page.text


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "localhost.evil.example", "10.0.0.1", ""])
@pytest.mark.parametrize("url", ["/", "/result/x/exr"])
def test_other_names_of_this_machine_are_refused(client: Client, host: str, url: str) -> None:
    response = client.get(url, headers={"Host": host})
    assert response.status_code == 403
    assert "secret" not in response.text


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:8470", "localhost:9000"])
def test_names_of_the_loopback_are_answered(client: Client, host: str) -> None:
    assert client.get("/", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize("headers", [{}, {TOKEN_HEADER: ""}, {TOKEN_HEADER: "secre"}, {TOKEN_HEADER: "sécret"}])
@pytest.mark.parametrize("url", ["/photo", "/bracket", "/merge"])
def test_what_no_page_of_ours_sent_is_refused(
    client: Client, headers: dict[str, str], url: str, tmp_path: Path
) -> None:
    assert post(client, url, (small_jpeg(), "a.jpg"), headers=headers).status_code == 403
    assert kept(tmp_path) == []


def test_too_many_bytes_are_refused_unread(client: Client, tmp_path: Path) -> None:
    response = post(client, "/photo", (bytes(MAX_BYTES + 70_000), "a.jpg"))
    assert response.status_code == 413
    assert "up to 0.4 MB" in response.text
    environ = EnvironBuilder("/photo", method="POST", data={"camera": ""}, headers=TOKEN).get_environ()
    del environ["CONTENT_LENGTH"]
    _, status, _ = run_wsgi_app(client.application, environ)
    assert status == "411 LENGTH REQUIRED"
    assert kept(tmp_path) == []


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"not a picture at all", "unknown format"),
        (b"", "an empty file"),
        (b"GIF89a" + bytes(20), "GIF"),
        (b"\x76\x2f\x31\x01" + bytes(20), "OpenEXR"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "unknown format"),
    ],
)
def test_what_is_no_photograph_is_refused(client: Client, data: bytes, what: str, tmp_path: Path) -> None:
    response = post(client, "/photo", (data, "evil.jpg"))
    assert response.status_code == 415
    assert response.text.startswith("expected a JPEG, PNG, TIFF, HEIC or camera RAW photograph, got ")
    assert what in response.text
    assert response.text.endswith(": evil.jpg\n")
    assert kept(tmp_path) == []


@pytest.mark.parametrize(
    ("data", "words"),
    [(small_jpeg(256), "pixels"), (huge_png(), "pixels"), (small_jpeg()[:-40], "truncated")],
    ids=["too large", "absurd header", "truncated"],
)
def test_photographs_that_are_refused_are_named_as_their_owner_does(
    client: Client, data: bytes, words: str, tmp_path: Path
) -> None:
    *_, last = events(post(client, "/photo", (data, "my holiday.jpg")))
    assert last["state"] == "failed"
    assert words in last["message"]
    assert last["message"].endswith("my holiday.jpg")
    assert str(tmp_path) not in last["message"]
    assert kept(tmp_path) == []


def test_the_wrong_number_of_files_is_refused(client: Client) -> None:
    good = (small_jpeg(), "a.jpg")
    wrong = [("/photo", ()), ("/photo", (good, good))]
    wrong += [(url, (good,) * count) for url in ("/bracket", "/merge") for count in (1, 31)]
    for url, files in wrong:
        response = post(client, url, *files, camera="")
        assert response.status_code == 400
        assert f"got {len(files)}." in response.text


def test_names_are_shown_and_are_no_paths(client: Client, tmp_path: Path) -> None:
    name = "../../a/<img src=x onerror=alert(1)>\x07.jpg"
    *_, last = events(post(client, "/photo", (small_jpeg(), name)))
    page = client.get(last["location"])
    assert "<img src=x" not in page.text
    assert "&lt;img src=x onerror=alert(1)&gt;.jpg" in page.text
    (folder,) = kept(tmp_path)
    assert sorted(path.name for path in (tmp_path / "desk" / folder).iterdir()) == ["00.jpg", "result.exr"]


def test_only_the_latest_results_are_kept(client: Client, desk: Desk, tmp_path: Path) -> None:
    locations = [events(post(client, "/photo", (small_jpeg(), "a.jpg")))[-1]["location"] for _ in range(5)]
    assert [client.get(location).status_code for location in locations] == [404, 200, 200, 200, 200]
    assert client.get(f"{locations[0]}/exr", buffered=True).status_code == 404
    assert len(kept(tmp_path)) == len(desk.results) == 4


def test_a_bracket_teaches_the_camera(
    client: Client, bracket: Path, photo: Path, model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of two photographs none can be kept out, so nothing is checked."""
    files = [(path.read_bytes(), path.name) for path in sorted(bracket.iterdir())[:2]]
    with monkeypatch.context() as patched:
        patched.setattr(service, "read_photo", None)  # adapting reads each photograph, once
        *_, last = events(post(client, "/bracket", *files))
    assert last["state"] == "done", last
    page = client.get(last["location"])
    assert "Acme Nova 7, from 2 photographs" in page.text
    key = last["location"].removeprefix("/?camera=")
    assert f'<option value="{key}" selected>' in page.text
    (tmp_path / "got.ldr2hdr").write_bytes(client.get(f"/camera/{key}/profile", buffered=True).data)
    location = convert(client, photo, camera=key)
    (tmp_path / "got.exr").write_bytes(client.get(f"{location}/exr", buffered=True).data)
    expected = model.camera(tmp_path / "got.ldr2hdr")(photo)
    torch.testing.assert_close(read_radiance(tmp_path / "got.exr"), expected, rtol=1e-3, atol=1e-6)
    assert not torch.allclose(model(photo), expected, rtol=0.01)


def test_of_three_photographs_one_checks_the_others(
    client: Client, bracket: Path, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The check itself, and that a bracket is refused that would not help, are `ldr2hdr.inference.profiles`'s."""

    def adapt(self: Model, folder: Path, *, is_checked: bool, **options: Any) -> AdaptedCamera:
        assert is_checked
        assert sorted(path.name for path in folder.iterdir()) == ["00.jpg", "01.jpg", "02.jpg"]
        unchecked = real(self, folder, is_checked=False, **options)
        check = Check("01.jpg", 0.3, (0.25, 0.2))
        return replace(unchecked, profile=unchecked.profile._replace(check=check, steps=1))

    real = Model.adapt
    monkeypatch.setattr(Model, "adapt", adapt)
    files = [(path.read_bytes(), path.name) for path in sorted(bracket.iterdir())]
    *told, last = events(post(client, "/bracket", *files))
    assert told[-1] == {"state": "working", "share": 0.5}
    assert "from 3 photographs: 0.30 stops off before, 0.20 after" in client.get(last["location"]).text


def test_two_photographs_are_checked_if_the_model_compares_pairs(
    client: Client, bracket: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def adapt(self: Model, folder: Path, *, is_checked: bool, **options: object) -> AdaptedCamera:
        assert is_checked
        raise ValueError("as far as it goes")

    monkeypatch.setattr(Model, "adapt", adapt)
    monkeypatch.setattr(Model, "compares_pairs", True)
    files = [(path.read_bytes(), path.name) for path in sorted(bracket.iterdir())[:2]]
    *_, last = events(post(client, "/bracket", *files))
    assert last["message"] == "as far as it goes"


def test_a_bracket_that_is_refused_is_told_of_by_its_owners_names(
    client: Client, bracket: Path, tmp_path: Path
) -> None:
    data = (bracket / "0.jpg").read_bytes()
    *_, last = events(post(client, "/bracket", (data, "dark.jpg"), (small_jpeg(), "tiny.jpg")))
    assert last["state"] == "failed"
    assert last["message"].endswith("got 16 x 16: tiny.jpg")
    *_, last = events(post(client, "/bracket", (data, "one.jpg"), (data, "two.jpg")))
    assert "all the same" in last["message"]
    assert last["message"].endswith("the bracket")
    assert kept(tmp_path) == []


def test_exposures_may_be_told(client: Client, bracket: Path) -> None:
    files = []
    for path in sorted(bracket.iterdir())[:2]:
        write_image(path.with_suffix(".png"), read_photo(path).ldr)
        files.append((path.with_suffix(".png").read_bytes(), path.name))
    *_, untold = events(post(client, "/bracket", *files))
    assert untold["state"] == "failed"
    assert "EXIF states no exposure time of 0.jpg, 1.jpg" in untold["message"]
    *_, told = events(post(client, "/bracket", *files, evs="−4/2, 0"))
    assert told["state"] == "done", told
    for wrong in ("bright, dark", "inf, 0", "1e999999999", "1/0"):
        assert post(client, "/bracket", *files, evs=wrong).status_code == 400


@pytest.fixture
def exposures(tmp_path: Path) -> list[Path]:
    """Three photographs of one scene, 2 stops apart by EXIF, the brightest patch white in all."""
    light = light_of(np.random.default_rng(0))
    light[30:60, 30:60] = 1e4
    (tmp_path / "exposures").mkdir()
    return [
        save(tmp_path / f"exposures/IMG_{number}.jpg", shoot(light, ev), time_s=0.02 * 2.0**ev)
        for number, ev in enumerate((-2, 0, 2))
    ]


def merge(client: Client, paths: Sequence[Path], **fields: str) -> list[dict[str, Any]]:
    return events(post(client, "/merge", *[(path.read_bytes(), path.name) for path in paths], **fields))


def test_a_bracket_becomes_what_merge_makes_of_it(
    client: Client, exposures: list[Path], ckpt: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(service, "read_radiance", None)  # the page shows what was merged, not a file of it
        *told, last = merge(client, exposures, reference="2")
    assert last["state"] == "done", last
    shares = [event["share"] for event in told]
    assert shares == sorted(shares)
    assert len(set(shares)) > 5
    words = ["merge", *map(str, exposures), "--reference", "2", "--ckpt", str(ckpt), "-o"]
    assert cli.main([*words, str(tmp_path / "told.exr")]) == 0
    (tmp_path / "got.exr").write_bytes(client.get(f"{last['location']}/exr", buffered=True).data)
    got, expected = (
        OpenEXR.File(str(tmp_path / f"{name}.exr"), separate_channels=True).channels() for name in ("got", "told")
    )
    assert {"mask.clipped", "sigma"} < set(got) == set(expected)
    for name, channel in expected.items():
        np.testing.assert_array_equal(got[name].pixels, channel.pixels)
    base = Image.open(io.BytesIO(client.get(f"{last['location']}/ultrahdr", buffered=True).data))
    assert base.getexif().get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.ExposureTime] == pytest.approx(0.02)
    text = client.get(last["location"]).text
    assert "merged from 3 photographs 4.0 stops apart by EXIF; reference IMG_1.jpg" in text
    assert "white in every photograph" in text
    assert re.findall(r'data-ev="(-?\d+)"', text)[-3:] == ["0", "2", "4"]
    (folder,) = kept(tmp_path)
    assert sorted(path.name for path in (tmp_path / "desk" / folder).iterdir()) == [
        "01.jpg",
        "result.exr",
        "result.jpg",
    ]


def test_choices_of_a_merge_are_those_of_the_command(
    client: Client, desk: Desk, exposures: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[MergeChoices] = []
    monkeypatch.setattr(desk, "merge", lambda uploads, choices, on_share: asked.append(choices) or "key")
    merge(client, exposures)
    merge(client, exposures, camera="abc", evs="-2 0 2", reference="3", align="no", deghost="no")
    assert asked == [
        MergeChoices(None, None, MergeOptions()),
        MergeChoices([-2.0, 0.0, 2.0], "abc", MergeOptions(2, is_aligned=False, is_deghosted=False)),
    ]


def test_a_merge_takes_the_response_of_a_camera(
    client: Client, bracket: Path, exposures: list[Path], tmp_path: Path
) -> None:
    files = [(path.read_bytes(), path.name) for path in sorted(bracket.iterdir())[:2]]
    key = events(post(client, "/bracket", *files))[-1]["location"].removeprefix("/?camera=")
    last = merge(client, exposures, camera=key)[-1]
    assert last["state"] == "done", last
    assert "response of Acme Nova 7" in client.get(last["location"]).text
    assert "that camera is gone" in merge(client, exposures, camera="unknown")[-1]["message"]


def test_merges_that_are_refused_name_files_as_their_owner_does(
    client: Client, exposures: list[Path], tmp_path: Path
) -> None:
    same = [exposures[0].rename(exposures[0].with_name("one.jpg"))] * 2
    message = merge(client, same)[-1]["message"]
    assert "nothing says how one.jpg, one.jpg were exposed" in message
    small = tmp_path / "small.jpg"
    small.write_bytes(small_jpeg())
    message = merge(client, [exposures[1], small], evs="0 1")[-1]["message"]
    assert "one size" in message
    assert "16 x 16 for small.jpg" in message
    large = tmp_path / "large.jpg"
    large.write_bytes(small_jpeg(256))
    message = merge(client, [exposures[1], large], evs="0 1")[-1]["message"]
    assert message.endswith("256 x 256: large.jpg")
    assert "got 0, 1, 2" in merge(client, exposures[1:], evs="0 1 2")[-1]["message"]
    for wrong in ("0", "4", "x"):
        assert post(client, "/merge", *[(small_jpeg(), "a.jpg")] * 3, reference=wrong).status_code == 400
    assert kept(tmp_path) == []


def test_names_tell_the_exposures_of_a_merge(client: Client, exposures: list[Path]) -> None:
    files = []
    for path, name in zip(exposures, ("a_-2.png", "a_+0.png", "a_+2.png"), strict=True):
        write_image(path.with_suffix(".png"), read_photo(path).ldr)
        files.append((path.with_suffix(".png").read_bytes(), name))
    last = events(post(client, "/merge", *files))[-1]
    assert last["state"] == "done", last
    assert "4.0 stops apart by their names" in client.get(last["location"]).text


def test_what_clipped_light_becomes_may_be_chosen(
    client: Client, exposures: list[Path], tmp_path: Path, desk: Desk
) -> None:
    assert 'id="highlights"' not in client.get("/").text  # of a network with one answer alone
    assert post(client, "/photo", (small_jpeg(), "a.jpg"), highlights="mean").status_code == 400
    shipped = Desk(ldr2hdr.load(), tmp_path / "desk", max_pixels=MAX_PIXELS)
    page = Page(shipped, Settings("secret", MAX_BYTES, MAX_PIXELS))
    client = Client(page)
    assert '<option value="median" selected>' in client.get("/").text
    photo = exposures[2]
    last = events(post(client, "/photo", (photo.read_bytes(), photo.name), highlights="mean"))[-1]
    assert last["state"] == "done", last
    (tmp_path / "got.exr").write_bytes(client.get(f"{last['location']}/exr", buffered=True).data)
    assert cli.main(["convert", str(photo), "-o", str(tmp_path / "told.exr"), "--highlights", "mean"]) == 0
    got = read_radiance(tmp_path / "got.exr")
    torch.testing.assert_close(got, read_radiance(tmp_path / "told.exr"), rtol=0, atol=0)
    assert not torch.equal(got, ldr2hdr.load()(photo).half().float())
    assert '<option value="mean" selected>' in client.get(last["location"]).text
    assert post(client, "/photo", (small_jpeg(), "a.jpg"), highlights="mode").status_code == 400
    page.close()


class Gate:
    """Stands for a conversion: it waits, then tells its progress, and never ends well."""

    def __init__(self) -> None:
        self.is_running, self.goes_on = threading.Event(), threading.Event()

    def __call__(
        self, upload: Upload, camera: str | None, on_share: Callable[[float], None], *, highlights: object
    ) -> str:
        self.is_running.set()
        self.goes_on.wait(20)
        on_share(0.5)
        raise ValueError("the end")


def test_a_page_that_is_closed_ends_its_work(
    client: Client, desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate()
    monkeypatch.setattr(desk, "convert", gate)
    with post(client, "/photo", (small_jpeg(), "a.jpg")):
        gate.is_running.wait(20)
    gate.goes_on.set()
    client.application.close()
    assert kept(tmp_path) == []


def test_too_many_photographs_are_sent_away(
    client: Client, desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate()
    monkeypatch.setattr(desk, "convert", gate)
    waiting = [post(client, "/photo", (small_jpeg(), "a.jpg")) for _ in range(5)]
    refused = post(client, "/photo", (small_jpeg(), "a.jpg"))
    assert refused.status_code == 503
    assert "Too many photographs are waiting" in refused.text
    assert len(kept(tmp_path)) == 5
    gate.goes_on.set()
    told = [events(response) for response in waiting]
    assert [one[0]["state"] for one in told] == ["working", *["waiting"] * 4]
    assert all(one[-1] == {"state": "failed", "message": "the end"} for one in told)
    assert kept(tmp_path) == []


def test_what_is_gone_is_said(client: Client) -> None:
    assert client.get("/result/unknown").status_code == 404
    assert client.get("/camera/unknown/profile").status_code == 404
    *_, last = events(post(client, "/photo", (small_jpeg(), "a.jpg"), camera="unknown"))
    assert "that camera is gone" in last["message"]
    assert client.get("/?camera=unknown").status_code == 200
    assert client.get("/photo").status_code == 405
    assert client.get("/../../etc/passwd").status_code == 404
