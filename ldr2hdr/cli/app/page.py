"""The page as text: one file with its style and script, that loads nothing."""

import json
from collections.abc import Mapping
from html import escape
from importlib.resources import files
from string import Template
from typing import Final, NamedTuple

from ldr2hdr.cli.app.service import Camera, Result
from ldr2hdr.evaluation.report.pictures import viewer_blobs, viewer_data
from ldr2hdr.inference.profiles.brackets import PHOTO_SUFFIXES
from ldr2hdr.io import RAW_SUFFIXES

# What a browser's file chooser offers: by itself it does not know the files of all phones and cameras
_BRACKET_KINDS: Final = ("image/*", *PHOTO_SUFFIXES)
_PHOTO_KINDS: Final = (*_BRACKET_KINDS, *RAW_SUFFIXES)
_ANY_CAMERA: Final = "any camera (single-shot)"


class Settings(NamedTuple):
    """What the page's script has to know.

    Attributes:
        token: That a page of ours has, and other sites have not.
        max_bytes: Of all files sent at once.
        max_pixels: Of a photograph.
    """

    token: str
    max_bytes: int
    max_pixels: int


def build_page(
    settings: Settings,
    cameras: Mapping[str, Camera],
    *,
    nonce: str,
    camera: str | None = None,
    shown: tuple[str, Result] | None = None,
) -> str:
    """The page.

    Args:
        settings: For the script.
        cameras: To choose from.
        nonce: That the policy allows scripts and styles by.
        camera: Key of the one that is chosen; None for a single shot.
        shown: Key and result to show; None for the page to start with.
    """
    scripts = [_data("settings", {"token": settings.token, "maxBytes": settings.max_bytes})]
    result = ""
    if shown is not None:
        scene = shown[1].scene
        scripts += [_data("viewer-data", viewer_data([scene])), *viewer_blobs([scene])]
        result = _build_result(*shown)
    elif camera is not None and camera in cameras:
        result = _build_camera(camera, cameras[camera])
    code = [_text("ldr2hdr.cli.app", "app.js")] + [_text("ldr2hdr.evaluation.report", "viewer.js")] * (
        shown is not None
    )
    return Template(_text("ldr2hdr.cli.app", "page.html")).substitute(
        title=escape(f"{shown[1].upload.name} - ldr2hdr" if shown else "ldr2hdr"),
        nonce=nonce,
        css=_text("ldr2hdr.evaluation.report", "page.css") + _text("ldr2hdr.cli.app", "app.css"),
        cameras=_options(cameras, camera),
        photo_kinds=",".join(_PHOTO_KINDS),
        bracket_kinds=",".join(_BRACKET_KINDS),
        limits=f"{settings.max_bytes / 1e6:.3g} MB and {settings.max_pixels / 1e6:.3g} megapixels",
        size="drop small" if shown else "drop",
        result=result + "\n" + "\n".join(scripts),
        script="\n".join(code),
    )


def _build_result(key: str, result: Result) -> str:
    converted, shown = result.converted, result.scene.about
    stops = converted.stops_above_white
    about = (
        f"{converted.width} x {converted.height} pixels; brightest pixel {abs(stops):.1f} stops "
        f"{'above' if stops >= 0 else 'below'} white; by {result.about}"
    )
    if shown["width"] < converted.width:
        about += f"; shown at {shown['width']} x {shown['height']}, the downloads have all pixels"
    if converted.exif_damage is not None:
        about += f"; {converted.exif_damage}"
    return Template(_text("ldr2hdr.cli.app", "result.html")).substitute(
        name=escape(result.upload.name), about=escape(about), key=escape(key)
    )


def _build_camera(key: str, camera: Camera) -> str:
    return (
        f'<section class="card pad" id="learned"><p><b>Learned: {escape(camera.title)}.</b> Now drop a photograph by it'
        ' above.</p><p class="downloads">'
        f'<a class="button main" href="/camera/{escape(key)}/profile" download>Download '
        'its profile</a></p><p class="soft">With the profile, <code>ldr2hdr convert --camera</code> does the same '
        "in a terminal.</p></section>"
    )


def _options(cameras: Mapping[str, Camera], chosen: str | None) -> str:
    titles = {"": _ANY_CAMERA, **{key: camera.title for key, camera in cameras.items()}}
    return "".join(
        f'<option value="{escape(key)}"{" selected" * (key == (chosen or ""))}>{escape(title)}</option>'
        for key, title in titles.items()
    )


def _data(name: str, content: object) -> str:
    text = json.dumps(content, allow_nan=False).replace("<", "\\u003c")
    return f'<script type="application/json" id="{name}">{text}</script>'


def _text(package: str, name: str) -> str:
    return files(package).joinpath(name).read_text(encoding="utf-8")
