"""The viewer's frame: controls that viewer.js brings to life."""

from typing import Final

import numpy as np
from matplotlib import colormaps

from ldr2hdr.evaluation.report.pictures import ERROR_COLOURS, ERROR_STOPS, SIGNED_COLOURS, Chosen, thumbnails

_KEYS: Final = (
    "With the picture in focus: <kbd>+</kbd> <kbd>−</kbd> <kbd>0</kbd> zoom, arrows move a zoomed picture, "
    "<kbd>[</kbd> <kbd>]</kbd> exposure, <kbd>x</kbd> swap, wheel zooms. With the white line in focus: arrows wipe."
)
_MODES: Final = (("light", "light"), ("error", "error"), ("signed", "± error"))


def viewer_section(chosen: Chosen) -> str:
    """The strip of scenes, the stage and its controls; empty without scenes."""
    if not chosen.scenes:
        return ""
    count, hidden = len(chosen.scenes), chosen.num_samples - len(chosen.scenes)
    left_out = f" {hidden} more are in the runs' samples folders." if hidden else ""
    text = (
        f"{count} sampled query picture{'s' * (count != 1)}.{left_out} Shown ever darker, light that the photograph "
        "clipped turns grey; light that was recovered stays bright."
    )
    return (
        f'<p class="soft">{text}</p><p id="viewer-note"><noscript>The viewer needs JavaScript.</noscript></p>'
        f'<div id="viewer" hidden><div class="strip" role="group" aria-label="Scenes">{thumbnails(chosen.scenes)}</div>'
        f'<div class="card viewer"><div class="stagebox">{_STAGE}</div><div class="controls">{_controls()}</div></div>'
        f'<p class="keys">{_KEYS}</p></div>'
    )


_STAGE: Final = (
    '<div id="stage" tabindex="0" role="group" aria-label="Picture; plus and minus zoom, arrows move it">'
    '<canvas></canvas><div class="chip left"><span id="name-left"></span><small id="score-left"></small></div>'
    '<div class="chip right"><span id="name-right"></span><small id="score-right"></small></div>'
    '<div id="wipe" tabindex="0" role="slider" aria-label="Wipe between the two systems" aria-valuemin="0" '
    'aria-valuemax="100" aria-valuenow="50"></div></div>'
)


def _controls() -> str:
    modes = "".join(
        f'<label><input type="radio" name="mode" value="{mode}"{" checked" * (mode == "light")}>{words}</label>'
        for mode, words in _MODES
    )
    return (
        '<div><h3 id="scene-title"></h3><p class="soft" id="scene-about"></p></div>'
        '<div class="field"><div class="line"><label class="soft" for="ev" style="flex:1">Exposure</label>'
        '<output id="ev-value" for="ev"></output><button type="button" class="button" id="ev-reset" '
        'aria-label="Exposure back to 0">0</button></div>'
        '<input type="range" id="ev" step="0.25" value="0"><div class="ends"><span id="ev-min"></span>'
        "<span>darker · brighter</span><span>+6</span></div></div>"
        '<div class="field"><label for="left">Left</label><select id="left"></select></div>'
        '<div class="field"><label for="right">Right</label><div class="line"><select id="right"></select>'
        '<button type="button" class="button" id="swap" title="swap left and right" aria-label="Swap left and right">'
        "⇄</button></div></div>"
        f'<fieldset class="segmented"><legend>Show</legend><div>{modes}</div></fieldset>{_scale()}'
        '<div class="field"><span class="label">Zoom</span><div class="line">'
        '<button type="button" class="button" data-zoom-by="-1" aria-label="Smaller">−</button>'
        '<output id="zoom-value" style="min-width:44px;text-align:center"></output>'
        '<button type="button" class="button" data-zoom-by="1" aria-label="Larger">+</button>'
        '<button type="button" class="button" data-zoom-by="0">Fit</button></div></div>'
        '<div id="readout"></div>'
    )


def _scale() -> str:
    """Colour bars of both kinds of error."""
    bars = "".join(
        f'<i class="{kind}" style="background:linear-gradient(to right,{_gradient(name)})"></i>'
        for kind, name in (("error", ERROR_COLOURS), ("signed", SIGNED_COLOURS))
    )
    most = ERROR_STOPS
    words = {
        "error": ("0", "error in stops", f"{most} or more"),
        "signed": (f"−{most} stops: too dark", "", f"too bright: +{most}"),
    }
    ends = "".join(
        f'<span class="of-{kind}">{word}</span>'
        for column in range(3)
        for kind, word in ((kind, texts[column]) for kind, texts in words.items())
    )
    return f'<div id="scale">{bars}<div class="ends">{ends}</div></div>'


def _gradient(name: str) -> str:
    colours = (colormaps[name](np.linspace(0, 1, 17))[:, :3] * 255).round().astype(int)
    return ",".join(f"rgb({red},{green},{blue})" for red, green, blue in colours)
