"""The page in a browser: from a dropped photograph to its light on the disk; nothing complains.

Screenshots are kept in pytest's temporary folder (`--basetemp` chooses it).
"""

import threading
import time

import numpy as np
import pytest
from merging.brackets import light_of, save, shoot
from report.devtools import CHROMIUM

import ldr2hdr
from ldr2hdr import cli
from ldr2hdr.cli.app.server import listen
from ldr2hdr.io import read_photo, read_radiance
from ldr2hdr.radiometry import encode_srgb

pytestmark = [pytest.mark.slow, pytest.mark.skipif(CHROMIUM is None, reason="needs Debian's chromium")]

CANVAS = "document.querySelector('#stage canvas')"
SETTLED = "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done, 30))))"
# The middle of every pixel of the picture; from a copy, for the stage is not made to be read
READ = f"""(() => {{
  const stage = {CANVAS}, {{zoom, left, top}} = stage.dataset, canvas = document.createElement("canvas");
  Object.assign(canvas, {{width: stage.width, height: stage.height}});
  const context = canvas.getContext("2d", {{willReadFrequently: true}}), seen = [];
  context.drawImage(stage, 0, 0);
  for (let y = 0; y < 128; y++) for (let x = 0; x < 128; x++) {{
    const at = (start, i) => Math.floor(Number(start) + (i + 0.5) * Number(zoom));
    seen.push(...context.getImageData(at(left, x), at(top, y), 1, 1).data.slice(0, 3));
  }}
  return seen;
}})()"""
MAX_BYTES = 3_000_000


@pytest.fixture(scope="module")
def url(model):
    with listen(model, port=0, max_bytes=MAX_BYTES, max_pixels=200 * 200) as served:
        thread = threading.Thread(target=served.serve)
        thread.start()
        yield served.url
        served.stop()
        thread.join(20)


@pytest.fixture
def browser(chromium, url, tmp_path):
    chromium.complaints.clear()
    chromium.call("Page.setDownloadBehavior", behavior="allow", downloadPath=str(tmp_path))
    visit(chromium, url)
    yield chromium
    assert chromium.complaints == []


def visit(browser, url, *, width=1280, scale=1, dark=False):
    metrics = {"width": width, "height": 900, "deviceScaleFactor": scale, "mobile": width < 600}
    browser.call("Emulation.setDeviceMetricsOverride", **metrics)
    scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
    browser.call("Emulation.setEmulatedMedia", features=[scheme])
    browser.call("Page.navigate", url=url)
    browser.wait(f"document.readyState === 'complete' && location.href === '{url}'")


def choose_files(browser, field, *paths):
    found = browser.call("Runtime.evaluate", expression=f"document.getElementById('{field}')")["result"]
    browser.call("DOM.setFileInputFiles", files=[str(path) for path in paths], objectId=found["objectId"])


def convert(browser, photo):
    choose_files(browser, "photo", photo)
    browser.wait(f"location.pathname.startsWith('/result/') && {CANVAS}?.dataset.shows")


def set_ev(browser, ev):
    browser.evaluate(
        f"(() => {{ const ev = document.getElementById('ev'); ev.value = {ev};"
        "ev.dispatchEvent(new Event('input')); })()"
    )


def pixels(browser):
    browser.evaluate(SETTLED)
    return np.array(browser.evaluate(READ)).reshape(128, 128, 3)


def download(browser, words, path):
    browser.evaluate(f"[...document.querySelectorAll('a')].find((link) => link.textContent === '{words}').click()")
    end = time.monotonic() + 60
    while not path.exists() or path.stat().st_size == 0 or list(path.parent.glob("*.crdownload")):
        assert time.monotonic() < end, f"never there: {path}"
        time.sleep(0.02)
    return path


def test_from_a_photograph_to_its_light(browser, photo, ckpt, tmp_path):
    convert(browser, photo)
    (tmp_path / "told").mkdir()
    assert cli.main(["convert", str(photo), "-o", str(tmp_path / "told" / "a.exr"), "--ckpt", str(ckpt)]) == 0
    light = read_radiance(tmp_path / "told" / "a.exr")
    got = download(browser, "Download EXR", tmp_path / "sunset.exr")
    np.testing.assert_array_equal(read_radiance(got), light)
    # all of the stage shows the light: the white line stands at the left
    browser.evaluate("document.getElementById('wipe').focus()")
    browser.press("Home")
    for ev in (0, -3.25):
        set_ev(browser, ev)
        expected = np.moveaxis(np.round(255 * encode_srgb((light * 2.0**ev).clamp(0, 1)).numpy()), 0, -1)
        assert expected.std() > 5
        assert np.abs(pixels(browser) - expected).max() <= 1
    browser.press("End")
    set_ev(browser, 0)
    levels = np.moveaxis((read_photo(photo).ldr * 255).round().numpy(), 0, -1)
    np.testing.assert_array_equal(pixels(browser), levels)
    ultrahdr = download(browser, "Download Ultra HDR", tmp_path / "sunset_hdr.jpg")
    np.testing.assert_array_equal(np.moveaxis((read_photo(ultrahdr).ldr * 255).round().numpy(), 0, -1), levels)
    browser.screenshot(tmp_path / "result.png")


def test_refusals_are_said_in_plain_words(browser, photo, tmp_path):
    (tmp_path / "notes.jpg").write_text("not a picture at all")
    choose_files(browser, "photo", tmp_path / "notes.jpg")
    failed = "document.getElementById('failed')"
    browser.wait(f"!{failed}.hidden")
    assert "got an unknown format: notes.jpg" in browser.evaluate(f"{failed}.textContent")
    # a request that is refused is told on the console, by the browser itself
    assert [told["entry"]["text"] for told in browser.complaints if "415" not in told["entry"]["text"]] == []
    browser.complaints.clear()
    (tmp_path / "large.jpg").write_bytes(photo.read_bytes() + bytes(MAX_BYTES))
    choose_files(browser, "photo", tmp_path / "large.jpg")
    browser.wait(f"{failed}.textContent.includes('this page takes up to')")
    choose_files(browser, "bracket", photo)
    browser.wait(f"{failed}.textContent.includes('at least two')")
    browser.evaluate(
        """(() => { const files = new DataTransfer(), options = {dataTransfer: files, bubbles: true, cancelable: true};
        for (const name of ["a.jpg", "b.jpg"]) files.items.add(new File(["light"], name));
        document.getElementById("photo-drop").dispatchEvent(new DragEvent("drop", options)); })()"""
    )
    browser.wait(f"{failed}.textContent.includes('One photograph at a time')")
    assert browser.evaluate("location.pathname") == "/"
    assert not browser.evaluate("document.getElementById('photo').disabled")


def test_a_bracket_teaches_the_camera(browser, bracket, photo, tmp_path):
    browser.evaluate("document.querySelectorAll('details')[1].open = true")
    choose_files(browser, "bracket", *sorted(bracket.iterdir())[:2])
    browser.wait("document.getElementById('learned') !== null")
    assert "Acme Nova 7, from 2 photographs" in browser.evaluate(
        "document.getElementById('camera').selectedOptions[0].text"
    )
    convert(browser, photo)
    assert "by Acme Nova 7" in browser.evaluate("document.querySelector('section').textContent")
    assert browser.evaluate("document.getElementById('camera').selectedIndex") == 1


def test_a_bracket_is_merged_with_its_choices(browser, ckpt, tmp_path):
    light = light_of(np.random.default_rng(0), height=128)
    paths = [
        save(tmp_path / f"IMG_{number}.jpg", shoot(light, ev), time_s=0.02 * 2.0**ev)
        for number, ev in enumerate((-2, 0, 2))
    ]
    browser.evaluate("document.querySelector('details').open = true")
    choose_files(browser, "merge", paths[0])
    browser.wait("document.getElementById('failed').textContent.includes('at least two')")
    browser.evaluate(
        "document.getElementById('reference').value = '2'; document.getElementById('deghost').checked = false"
    )
    choose_files(browser, "merge", *reversed(paths))
    browser.wait(f"location.pathname.startsWith('/result/') && {CANVAS}?.dataset.shows")
    assert "reference IMG_1.jpg" in browser.evaluate("document.querySelector('section').textContent")
    told = tmp_path / "told.exr"
    words = ["merge", *map(str, paths), "--reference", "2", "--no-deghost", "--ckpt", str(ckpt), "-o", str(told)]
    assert cli.main(words) == 0
    got = download(browser, "Download EXR", tmp_path / "IMG_0.exr")
    np.testing.assert_array_equal(read_radiance(got), read_radiance(told))
    # the small pictures choose the exposure of the large one
    browser.evaluate("document.getElementById('wipe').focus()")
    browser.press("Home")
    browser.evaluate("document.querySelector('[data-ev=\"2\"]').click()")
    expected = np.moveaxis(np.round(255 * encode_srgb((read_radiance(told) * 4).clamp(0, 1)).numpy()), 0, -1)
    assert np.abs(pixels(browser) - expected).max() <= 1
    browser.screenshot(tmp_path / "merged.png")


def test_what_clipped_light_becomes_is_chosen_on_the_page(chromium, photo, tmp_path):
    with listen(ldr2hdr.load(), port=0, max_bytes=MAX_BYTES, max_pixels=200 * 200) as served:
        thread = threading.Thread(target=served.serve)
        thread.start()
        chromium.complaints.clear()
        visit(chromium, served.url)
        chromium.evaluate("document.getElementById('highlights').value = 'mean'")
        convert(chromium, photo)
        assert chromium.evaluate("document.getElementById('highlights').value") == "mean"
        assert chromium.complaints == []
        served.stop()
        thread.join(20)


def test_the_page_is_in_reach_of_the_keyboard_and_fits_a_phone(browser, photo, url, tmp_path):
    convert(browser, photo)
    reached = []
    for _ in range(20):
        browser.press("Tab")
        reached.append(browser.evaluate("document.activeElement.id || document.activeElement.textContent"))
    wanted = ["camera", "photo", "Download EXR", "Download Ultra HDR", "stage", "wipe", "ev", "left", "right", "swap"]
    assert [name for name in dict.fromkeys(reached) if name in wanted] == wanted
    where = browser.evaluate("location.href")
    for width, dark in ((390, False), (390, True), (1280, True)):
        visit(browser, where, width=width, scale=2, dark=dark)
        browser.wait(f"{CANVAS}.dataset.shows")
        assert browser.evaluate("document.documentElement.scrollWidth") <= width
        paper = browser.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (sum(map(int, paper[4:-1].split(","))) < 200) == dark
        browser.screenshot(tmp_path / f"{width}{'-dark' * dark}.png")
    visit(browser, url, width=390, scale=2)
    browser.screenshot(tmp_path / "start.png")
