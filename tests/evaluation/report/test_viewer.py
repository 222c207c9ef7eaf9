"""The viewer in a browser: pixels are what the EXR predicts, keys and pointer do what they say, nothing complains.

Screenshots are kept in pytest's temporary folder (`--basetemp` chooses it).
"""

import math

import numpy as np
import pytest
from matplotlib import colormaps

from ldr2hdr.evaluation.report import write_report
from ldr2hdr.evaluation.samples import read_samples
from ldr2hdr.io import read_ldr, read_radiance
from report.devtools import CHROMIUM

pytestmark = [pytest.mark.slow, pytest.mark.skipif(CHROMIUM is None, reason="needs Debian's chromium")]

CANVAS = "document.querySelector('#stage canvas')"
# The middle of every pixel of the picture, as the stage shows it; from a copy, for the stage is not made to be read
READ = f"""(() => {{
  const stage = {CANVAS}, {{zoom, left, top}} = stage.dataset, canvas = document.createElement("canvas");
  Object.assign(canvas, {{width: stage.width, height: stage.height}});
  const context = canvas.getContext("2d", {{willReadFrequently: true}}), seen = [];
  context.drawImage(stage, 0, 0);
  for (let y = 0; y < HEIGHT; y++) for (let x = 0; x < WIDTH; x++) {{
    const at = (start, i) => Math.floor(Number(start) + (i + 0.5) * Number(zoom));
    seen.push(...context.getImageData(at(left, x), at(top, y), 1, 1).data.slice(0, 3));
  }}
  return seen;
}})()"""
SETTLED = "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done, 30))))"


@pytest.fixture(scope="module")
def page(evaluation, training, tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "report.html"
    write_report(path, [evaluation, training])
    return path


@pytest.fixture
def browser(chromium, page):
    chromium.complaints.clear()
    chromium.open(page)
    chromium.wait(f"{CANVAS}.dataset.shows")
    yield chromium
    assert chromium.complaints == []


@pytest.fixture(scope="module")
def sample(evaluation):
    return read_samples(evaluation / "samples")[0]


def choose(browser, control, value, *, event="input"):
    browser.evaluate(
        f"(() => {{ const control = document.getElementById('{control}'); control.value = {value};"
        f"control.dispatchEvent(new Event('{event}')); }})()"
    )


def show(browser, name):
    """One system alone, on all of the stage."""
    names = browser.evaluate("[...document.getElementById('right').options].map((option) => option.text)")
    choose(browser, "right", names.index(name), event="change")
    browser.evaluate("document.getElementById('wipe').focus()")
    browser.press("Home")


def pixels(browser, picture):
    browser.evaluate(SETTLED)
    _, height, width = picture.shape
    seen = browser.evaluate(READ.replace("HEIGHT", str(height)).replace("WIDTH", str(width)))
    return np.moveaxis(np.array(seen).reshape(height, width, 3), -1, 0)


def srgb_levels(light):
    light = np.clip(light, 0, 1)
    return np.round(255 * np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055))


def pictures(sample):
    found = {"truth": sample.truth} | {str(output.stage): output.path for output in sample.outputs}
    return {name: read_radiance(path).double().numpy() for name, path in found.items()}


@pytest.mark.parametrize("ev", [0, -3.25, 6])
def test_the_slider_shows_what_the_exr_predicts(browser, sample, ev):
    choose(browser, "ev", ev)
    assert browser.evaluate("Number(document.getElementById('ev').value)") == ev
    for name, light in pictures(sample).items():
        show(browser, name)
        seen, expected = pixels(browser, light), srgb_levels(light * 2.0**ev)
        assert expected.std() > 10
        assert np.abs(seen - expected).max() <= 1, name


def test_the_photograph_is_shown_as_it_is(browser, sample):
    levels = (read_ldr(sample.ldr) * 255).round().numpy()
    show(browser, "photograph")
    np.testing.assert_array_equal(pixels(browser, levels), levels)


def test_the_slider_spans_the_light(browser, sample):
    """At its darkest end nothing is clipped, of the truth or of any system."""
    darkest = browser.evaluate("Number(document.getElementById('ev').min)")
    brightest = max(light.max() for light in pictures(sample).values())
    assert 0.5 < brightest * 2**darkest <= 1.01


def test_error_maps_are_the_error_in_stops(browser, sample):
    light = pictures(sample)
    names = ("net, single-shot", "net, adapted, 1 step")
    truth = np.log2(np.maximum(light["truth"], 2.0**-10))
    for mode, colours in (("error", "magma"), ("signed", "berlin")):
        browser.evaluate(f"document.querySelector('input[name=mode][value={mode}]').click()")
        table = np.round(colormaps[colours](np.linspace(0, 1, 256))[:, :3] * 255)
        for name in names:
            error = np.log2(np.maximum(light[name], 2.0**-10)) - truth
            share = np.sqrt((error**2).mean(0)) / 3 if mode == "error" else (error.mean(0) / 3 + 1) / 2
            entries = 255 * np.clip(share, 0, 1)
            show(browser, name)
            seen = pixels(browser, light[name])
            # the colour of an entry beside it: codes are off by half of 1/128 stop
            near = [table[np.clip(np.round(entries) + by, 0, 255).astype(int)] for by in (-1, 0, 1)]
            far = np.min([np.abs(np.moveaxis(seen, 0, -1) - colour).max(-1) for colour in near], axis=0)
            assert far.max() <= 1, (mode, name)


def test_the_wipe_parts_two_systems(browser, sample):
    light = pictures(sample)["truth"]
    choose(browser, "left", 1, event="change")  # the truth
    show(browser, "net, single-shot")
    browser.evaluate("document.getElementById('wipe').focus()")
    browser.press("End")
    truth = pixels(browser, light)
    assert np.abs(truth - srgb_levels(light)).max() <= 1
    for _ in range(25):
        browser.press("ArrowLeft")
    browser.evaluate(SETTLED)
    assert browser.evaluate("document.getElementById('wipe').getAttribute('aria-valuenow')") == "50"
    both = pixels(browser, light)
    width = light.shape[-1]
    np.testing.assert_array_equal(both[..., : width // 2], truth[..., : width // 2])
    other = srgb_levels(pictures(sample)["net, single-shot"])
    assert np.abs(both[..., width // 2 + 1 :] - other[..., width // 2 + 1 :]).max() <= 1


def test_everything_is_in_reach_of_the_keyboard(browser):
    """Tab comes to every control of the viewer, and keys change what it says."""
    browser.evaluate("document.querySelector('[data-scene]').focus()")
    reached = []
    for _ in range(20):
        browser.press("Tab")
        reached.append(browser.evaluate("document.activeElement.id || document.activeElement.name || ''"))
    wanted = ["stage", "wipe", "ev", "left", "right", "swap", "mode"]
    assert [name for name in dict.fromkeys(reached) if name in wanted] == [
        "stage",
        "wipe",
        "ev",
        "left",
        "right",
        "swap",
        "mode",
    ]
    browser.evaluate("document.getElementById('ev').focus()")
    browser.press("ArrowLeft")
    assert browser.evaluate(SETTLED) is None
    assert browser.evaluate("document.getElementById('ev-value').textContent") == "−0.25 EV"
    browser.evaluate("document.getElementById('stage').focus()")
    names = browser.evaluate("['left', 'right'].map((side) => document.getElementById(side).selectedOptions[0].text)")
    browser.press("x")
    browser.press("]")
    browser.evaluate(SETTLED)
    swapped = browser.evaluate("['left', 'right'].map((side) => document.getElementById(`name-${side}`).textContent)")
    assert swapped == names[::-1]
    assert browser.evaluate("document.getElementById('ev-value').textContent") == "+0.25 EV"


def test_zoom_is_exact_to_the_pixel_and_follows_the_keys(browser, sample):
    light = pictures(sample)["truth"]
    show(browser, "truth")
    browser.evaluate("document.getElementById('stage').focus()")
    fit = float(browser.evaluate(f"{CANVAS}.dataset.zoom"))
    assert fit == math.floor(fit) >= 4
    browser.press("+")
    browser.evaluate(SETTLED)
    before = browser.evaluate(f"({{...{CANVAS}.dataset}})")
    assert float(before["zoom"]) > fit
    block = browser.evaluate(
        f"""(() => {{ const {{zoom, left, top}} = {CANVAS}.dataset, size = Number(zoom);
        return [...{CANVAS}.getContext('2d').getImageData(Number(left) + 8 * size, Number(top) + 6 * size, size, size)
        .data]; }})()"""
    )
    expected = srgb_levels(light)[:, 6, 8]
    assert np.abs(np.array(block).reshape(-1, 4)[:, :3] - expected).max() <= 1
    browser.press("ArrowDown")
    browser.evaluate(SETTLED)
    assert float(browser.evaluate(f"{CANVAS}.dataset.top")) < float(before["top"])
    browser.press("0")
    browser.evaluate(SETTLED)
    assert float(browser.evaluate(f"{CANVAS}.dataset.zoom")) == fit


def test_the_wipe_can_be_dragged_and_pixels_be_read(browser, sample):
    browser.evaluate("document.getElementById('stage').scrollIntoView({block: 'center'})")
    left, top, width, height = browser.evaluate(
        f"(() => {{ const box = {CANVAS}.getBoundingClientRect(); return [box.x, box.y, box.width, box.height]; }})()"
    )
    zoom = float(browser.evaluate(f"{CANVAS}.dataset.zoom"))
    at = (left + width / 2 + zoom / 2, top + zoom * 3.5)  # 17 pixels wide: between the middle one and the next
    browser.drag((left + width / 2, top + height / 2), (at[0] + zoom, at[1]))
    browser.evaluate(SETTLED)
    share = float(browser.evaluate("document.getElementById('wipe').getAttribute('aria-valuenow')"))
    assert share == pytest.approx(100 * (8.5 + 1.5) / 17, abs=1)
    text = browser.evaluate("document.getElementById('readout').innerText")
    assert "x 10, y 3" in text or "x 9, y 3" in text
    column = 10 if "x 10" in text else 9
    red = pictures(sample)["truth"][0, 3, column]
    shown = float(text.split("truth")[1].split()[0])
    assert shown == pytest.approx(red, rel=0.01, abs=1e-5)


def test_another_scene_and_another_table_are_shown(browser, evaluation):
    sample = read_samples(evaluation / "samples")[3]
    browser.evaluate("document.querySelector('[data-scene=\"3\"]').click()")
    show(browser, "truth")
    light = pictures(sample)["truth"]
    browser.wait(f"{CANVAS}.dataset.shows.includes('| 3 1')")
    assert np.abs(pixels(browser, light) - srgb_levels(light)).max() <= 1
    assert browser.evaluate("document.getElementById('scene-title').textContent") == sample.place
    browser.evaluate("document.querySelector('[data-choose] input[value=\"phone/unseen\"]').click()")
    visible = browser.evaluate(
        "[...document.querySelectorAll('[data-panel]:not([hidden])')].map((panel) => panel.dataset.panel)"
    )
    assert visible == ["phone/unseen"] * 2
    checked = browser.evaluate("[...document.querySelectorAll('[data-choose] :checked')].map((radio) => radio.value)")
    assert checked == ["phone/unseen"] * 2


@pytest.mark.parametrize(("width", "scale"), [(1280, 1), (390, 2)])
@pytest.mark.parametrize("dark", [False, True])
def test_it_fits_and_is_painted_on_any_screen(chromium, page, tmp_path, width, scale, dark):
    chromium.complaints.clear()
    chromium.open(page, width=width, scale=scale, dark=dark)
    chromium.wait(f"{CANVAS}.dataset.shows")
    assert chromium.evaluate("document.documentElement.scrollWidth") == width
    small = chromium.evaluate(
        "[...document.querySelectorAll('.controls button, .controls select, .strip button')]"
        ".filter((control) => control.getBoundingClientRect().height < 30).length"
    )
    assert small == 0
    paper = chromium.evaluate("getComputedStyle(document.body).backgroundColor")
    brightness = int(paper.split("(")[1].split(",")[0])
    assert (brightness < 64) == dark
    chromium.screenshot(tmp_path / f"report_{width}_{'dark' if dark else 'light'}.png")
    assert chromium.complaints == []
