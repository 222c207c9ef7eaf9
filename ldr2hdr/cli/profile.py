"""``ldr2hdr profile``: a camera profile in words, as a page, and as a curve for other programs."""

import argparse
import math
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from ldr2hdr.cli.messages import FAILED, WRONG_USAGE, complain
from ldr2hdr.cli.outputs import require_writable

if TYPE_CHECKING:
    from ldr2hdr.inference.profiles.files import Profile

_ABOUT = """\
Show a camera profile: the camera, how well its curve predicts what was kept out, what was left out and why; and write
its response curve for other programs.
"""
_NOTES = """\
examples:
  ldr2hdr profile my_camera.ldr2hdr
  ldr2hdr profile my_camera.ldr2hdr --report my_camera.html
  ldr2hdr profile my_camera.ldr2hdr --csv curve.csv --cube curve.cube --npy curve.npy

The CSV has log2 exposure by level with its standard deviation; the 1D LUT maps picture values to linear light, 1 at
level 250; the array is (256, 1, 3) float32, red first, as OpenCV and colour-hdri lay it out.

exit codes: 0 all written; 1 it is no profile, has no curve, or a file cannot be written; 2 wrong usage
"""
_EXPORTS = {"csv": "a table", "cube": "a 1D LUT", "npy": "an array"}


def add_command(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Describe ``ldr2hdr profile`` to the parser."""
    parser = commands.add_parser(
        "profile",
        help="show a camera profile, export its curve",
        description=_ABOUT,
        epilog=_NOTES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("profile", type=Path, metavar="FILE", help="profile that `ldr2hdr adapt` made")
    parser.add_argument("--report", type=Path, metavar="PAGE", help="write a page with the curve and its check")
    for name, what in _EXPORTS.items():
        parser.add_argument(f"--{name}", type=Path, metavar="OUT", help=f"write the curve as {what}")
    parser.add_argument("--force", action="store_true", help="overwrite existing files")
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> int:
    outputs = {name: getattr(args, name) for name in ("report", *_EXPORTS) if getattr(args, name) is not None}
    try:
        for name, path in outputs.items():
            require_writable(path, option=f"--{name}", what=_EXPORTS.get(name, "a page"), is_forced=args.force)
    except OSError as error:
        return complain(error, WRONG_USAGE)
    from ldr2hdr.cli.curve_page import require_curve, write_page
    from ldr2hdr.inference.profiles.curve_files import WRITERS
    from ldr2hdr.inference.profiles.files import read_profile

    try:
        profile = read_profile(args.profile)
        for name, path in outputs.items():
            if name == "report":
                write_page(path, profile, title=args.profile.name)
            else:
                WRITERS[name](path, require_curve(profile))
    except (ValueError, OSError) as error:
        return complain(error, FAILED, about=args.profile)
    sys.stdout.write(
        "".join(f"{line}\n" for line in (*describe(profile), *(f"wrote {path}" for path in outputs.values())))
    )
    return 0


def describe(profile: "Profile") -> Iterator[str]:
    """Yield what a profile says of itself, line by line."""
    yield f"camera: {profile.camera or 'not named by EXIF'}; adapted to {profile.num_frames} photographs"
    curve = profile.verification
    if curve is not None:
        for scene in curve.scenes:
            yield f"  {scene.name}: {len(scene.frames)} exposures; {scene.settings or 'settings not known'}"
            for left in scene.left_out:
                yield f"    left out: {left.name}: {left.reason}"
    if profile.check is None:
        yield "not checked: nothing was kept out"
        return
    check = profile.check
    yield (
        f"error on {check.held_out}: {check.single_shot_stops:.3f} stops single-shot, "
        f"{check.stops[profile.steps]:.3f} with the profile, of {profile.steps} inner step{'s' * (profile.steps != 1)}"
    )
    if curve is not None and math.isfinite(curve.cast):
        yield f"cast on it: {curve.cast_before:.3f} stops single-shot, {curve.cast:.3f} with the profile"
