"""Page as text: one file with its style and script, that loads nothing, written by ``page.html``."""

from collections.abc import Mapping
from typing import Final, NamedTuple

from ldr2hdr.backbones.highlights.distribution import Statistic
from ldr2hdr.cli.app.service import Camera, Result
from ldr2hdr.evaluation.report.pictures import viewer_data
from ldr2hdr.inference.profiles.brackets import PHOTO_SUFFIXES
from ldr2hdr.io import RAW_SUFFIXES
from ldr2hdr.io.html import render

# What a browser's file chooser offers: by itself it does not know the files of all phones and cameras
_BRACKET_KINDS: Final = ("image/*", *PHOTO_SUFFIXES)
_PHOTO_KINDS: Final = (*_BRACKET_KINDS, *RAW_SUFFIXES)
HIGHLIGHTS: Final = {"median": "least error, for pictures", "mean": "right energy, to light a scene by"}
"""What clipped light may become, and words for people."""


class Settings(NamedTuple):
    """Settings of the page's script.

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
    highlights: Statistic | None = None,
) -> str:
    """Return the page as HTML.

    Args:
        settings: For the script.
        cameras: To choose from.
        nonce: That the policy allows scripts and styles by.
        camera: Key of the one that is chosen; None for a single shot.
        shown: Key and result to show; None for the page to start with.
        highlights: What clipped light becomes by itself; None if there is nothing to choose.
    """
    key, result = shown or ("", None)
    return render(
        "cli/app/page.html",
        settings=settings,
        cameras=cameras,
        camera=camera if camera in cameras else None,
        nonce=nonce,
        key=key,
        result=result,
        highlights=highlights if result is None or result.highlights is None else result.highlights,
        statistics=HIGHLIGHTS,
        data=None if result is None else viewer_data([result.scene]),
        photo_kinds=",".join(_PHOTO_KINDS),
        bracket_kinds=",".join(_BRACKET_KINDS),
    )
