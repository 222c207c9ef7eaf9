"""What a browser shows: Chromium decodes the files, on a display with room for highlights and on one without.

Its decoders of containers, AV1 and JPEG XL are not the ones that the files are written with.
"""

import base64
import html
import importlib.util
import json
import re
import shutil
import subprocess

import numpy as np
import pytest
import torch
from PIL import Image

from ldr2hdr.io import read_photo, write_image
from ldr2hdr.io.icc_writing import display_p3_profile
from ldr2hdr.radiometry import encode_srgb

HAS_FORMATS = importlib.util.find_spec("imagecodecs") is not None
CHROMIUM = shutil.which("chromium")
PATCH_PX = 32
# what the camera saw: greys around white, then a lamp that is orange
LIGHT = torch.tensor([[0.18] * 3, [0.5] * 3, [1.0] * 3, [2.0] * 3, [4.0] * 3, [16.0] * 3, [4.0, 0.5, 0.1]])
MIME = {".jpg": "image/jpeg", ".avif": "image/avif", ".jxl": "image/jxl"}
READ = """
<script>
function read(image) {
  const canvas = document.createElement('canvas');
  canvas.width = image.width; canvas.height = image.height;
  const context = canvas.getContext('2d', {colorSpace: 'srgb-linear', colorType: 'float16'});
  context.globalHDRHeadroom = Number(image.dataset.headroom);
  context.drawImage(image, 0, 0);
  const row = context.getImageData(0, image.height / 2, image.width, 1, {pixelFormat: 'rgba-float32'}).data;
  const seen = [];
  for (let x = 16; x < image.width; x += 32) seen.push([row[4 * x], row[4 * x + 1], row[4 * x + 2]]);
  document.getElementById(image.dataset.name).textContent = JSON.stringify(seen);
}
</script>
"""

pytestmark = [pytest.mark.slow, pytest.mark.skipif(CHROMIUM is None, reason="needs Debian's chromium")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A photograph of the patches, clipped at white, and its HDR in each format."""
    folder = tmp_path_factory.mktemp("browser")
    exposure = LIGHT.T[:, None, :].repeat_interleave(PATCH_PX, -1).repeat_interleave(PATCH_PX, -2)
    levels = (encode_srgb(exposure.clamp(0, 1)) * 255).round().byte().movedim(0, -1).numpy()
    for name, options in (("photo", {}), ("wide", {"icc_profile": display_p3_profile()})):
        Image.fromarray(levels).save(folder / f"{name}.jpg", quality=95, subsampling=0, **options)
        photo = read_photo(folder / f"{name}.jpg")
        write_image(folder / f"{name}_hdr.jpg", exposure, format="ultrahdr", photo=photo)
    data = (folder / "photo_hdr.jpg").read_bytes()
    (folder / "old_hdr.jpg").write_bytes(data.replace(b"urn:iso:std:iso:ts:21496:-1", b"urn:iso:std:iso:ts:00000:-1"))
    return folder


def browse(page, *options):
    page_options = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run")
    features = ("--enable-experimental-web-platform-features", f"--user-data-dir={page.parent / 'profile'}")
    command = [CHROMIUM, *page_options, *features, *options, page.as_uri()]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout


def seen_by_canvas(folder, pictures):
    """Linear Rec. 709 of each patch, by (file, headroom in stops); what a browser cannot decode is left out."""
    body = READ
    for index, (name, headroom) in enumerate(pictures):
        path = folder / name
        source = f"data:{MIME[path.suffix]};base64,{base64.b64encode(path.read_bytes()).decode()}"
        body += f'<pre id="p{index}"></pre>'
        body += f'<img data-name="p{index}" data-headroom="{headroom}" onload="read(this)" src="{source}">'
    page = folder / "canvas.html"
    page.write_text(f"<!doctype html><body>{body}</body>")
    told = re.findall(r'<pre id="p(\d+)">(\[.*?\])</pre>', browse(page, "--dump-dom"))
    return {pictures[int(index)]: np.array(json.loads(html.unescape(text))) for index, text in told}


@pytest.fixture(scope="module")
def seen(folder):
    exposure = LIGHT.T[:, None, :].repeat_interleave(PATCH_PX, -1).repeat_interleave(PATCH_PX, -2)
    pictures = [("photo_hdr.jpg", headroom) for headroom in (0, 2, 8)]
    pictures += [("photo.jpg", 8), ("old_hdr.jpg", 8), ("wide_hdr.jpg", 8)]
    for name in ("a.avif", "a.jxl") if HAS_FORMATS else ():
        write_image(folder / name, exposure)
        pictures.append((name, 8))
    return seen_by_canvas(folder, pictures)


@pytest.mark.parametrize("name", ["photo_hdr.jpg", "old_hdr.jpg", "wide_hdr.jpg", "a.avif", "a.jxl"])
def test_a_bright_display_shows_the_light(seen, name):
    if name.startswith("a.") and not HAS_FORMATS:
        pytest.skip("needs the extra formats")
    if name == "a.jxl" and (name, 8) not in seen:
        pytest.skip("this Chromium has no JPEG XL")
    np.testing.assert_allclose(seen[name, 8], LIGHT, rtol=0.03, atol=0.003)


def test_an_ordinary_display_shows_the_photograph(seen):
    np.testing.assert_allclose(seen["photo_hdr.jpg", 0], seen["photo.jpg", 8], atol=2e-3)


def test_a_display_between_shows_what_lies_between(seen):
    """2 of 4 stops of headroom: half of every gain."""
    base = LIGHT.clamp(max=1)
    expected = ((base + 1 / 64) * (LIGHT + 1 / 64)).sqrt() - 1 / 64
    np.testing.assert_allclose(seen["photo_hdr.jpg", 2], expected, rtol=0.03, atol=0.003)


def test_a_screenshot_has_the_colours_of_the_photograph(folder):
    page = folder / "page.html"
    page.write_text('<!doctype html><body style="margin:0"><img src="photo_hdr.jpg" style="display:block"></body>')
    browse(page, f"--screenshot={folder / 'page.png'}", "--window-size=640,480", "--force-color-profile=srgb")
    with Image.open(folder / "page.png") as picture:
        shot = np.asarray(picture.convert("RGB"))
    centres = shot[PATCH_PX // 2, PATCH_PX // 2 : PATCH_PX * len(LIGHT) : PATCH_PX]
    expected = encode_srgb(LIGHT.clamp(0, 1)) * 255
    np.testing.assert_allclose(centres, expected, atol=3)
