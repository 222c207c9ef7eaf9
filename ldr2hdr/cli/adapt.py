"""``ldr2hdr adapt``: one bracket to a camera profile."""

import argparse
import math
import re
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from ldr2hdr.cli.messages import FAILED, WRONG_USAGE, complain
from ldr2hdr.cli.outputs import require_writable

if TYPE_CHECKING:
    from rich.console import Console

    from ldr2hdr.inference.profiles.model import AdaptedCamera

_ABOUT = """\
Learn a camera from a bracket: three photographs or more of one still scene at different exposures, on a tripod or
steadily held, as the camera's bracketing makes them. All else stays fixed: aperture, ISO, white balance, picture style.
The profile makes `ldr2hdr convert --camera` right for every photograph of that camera.

The exposures are told by EXIF; or by exposures.csv in the folder, with the columns file and exposure_time_s; or by
--ev. One photograph is kept out, to tell how much better it is predicted, and how many inner steps are best.
"""
_NOTES = """\
examples:
  ldr2hdr adapt bracket/ -o my_camera.ldr2hdr
  ldr2hdr adapt garden/ kitchen/ -o my_camera.ldr2hdr
  ldr2hdr adapt bracket/ --ev -2,0,2 -o my_camera.ldr2hdr --ckpt last.ckpt

exit codes: 0 written; 1 the bracket cannot teach (the reason is told), or a file cannot be read; 2 wrong usage
"""


def add_command(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Describe ``ldr2hdr adapt`` to the parser."""
    parser = commands.add_parser(
        "adapt",
        help="learn your camera from a bracket",
        description=_ABOUT,
        epilog=_NOTES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "folders",
        nargs="+",
        type=Path,
        metavar="BRACKET_FOLDER",
        help="exposures of one scene; several folders of one camera",
    )
    parser.add_argument(*("-o", "--out"), required=True, type=Path, metavar="PROFILE", help="camera profile to write")
    parser.add_argument("--ckpt", type=Path, help="checkpoint of a trained network (default: the one that ships)")
    parser.add_argument(
        "--ev",
        type=_numbers,
        metavar="EV,EV,...",
        help="stops of the photographs in the order of their names: --ev -2,0,2 or --ev -2/3,0,2/3",
    )
    # else argparse takes a word that begins with a minus and is no single number for an option
    parser._negative_number_matcher = re.compile(r"-[\d.]")
    parser.add_argument("--steps", type=_count, default=10, metavar="K", help="most inner steps to try (default: 10)")
    parser.add_argument(
        "--no-check", action="store_true", help="keep no photograph out: two are enough, no inner step is taken"
    )
    parser.add_argument("--device", default="cpu", help="cpu (default), cuda, cuda:1")
    parser.add_argument("--force", action="store_true", help="overwrite an existing profile")
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> int:
    try:
        require_writable(args.out, option="-o", what="a camera profile", is_forced=args.force)
    except OSError as error:
        return complain(error, WRONG_USAGE)
    from rich.console import Console

    from ldr2hdr.inference.profiles.model import load

    console = Console(soft_wrap=True, markup=False, highlight=False)
    try:
        model = load(args.ckpt, device=args.device)
        adapted = model.adapt(
            *args.folders,
            evs=args.ev,
            max_steps=args.steps,
            is_checked=not args.no_check,
            on_step=lambda step, after, before: console.print(_describe_step(step, after, before)),
        )
        _report(adapted, console)
        adapted.save(args.out)
    except (ValueError, OSError) as error:
        return complain(error, FAILED)
    console.print(f"wrote {args.out}: {args.out.stat().st_size / 1e3:.0f} kB; ldr2hdr convert --camera {args.out}")
    return 0


def _report(adapted: "AdaptedCamera", console: "Console") -> None:
    profile = adapted.profile
    console.print(f"camera: {profile.camera or 'not told by EXIF'}; adapted to {profile.num_frames} photographs")
    if profile.check is None:
        console.print("not checked: no photograph was kept out")
        return
    check = profile.check
    console.print(
        f"error on {check.held_out}, which was kept out: {check.single_shot_stops:.3f} stops single-shot, "
        f"{check.stops[profile.steps]:.3f} after {_steps(profile.steps)}, which are taken"
    )


def _describe_step(step: int, after: float, before: float) -> str:
    return f"  {_steps(step):>11}: error on the photograph kept out {before:.3f} stops before, {after:.3f} after"


def _steps(count: int) -> str:
    return f"{count} step{'s' * (count != 1)}"


def _numbers(text: str) -> list[float]:
    """Parse numbers between commas or blanks, fractions of stops too; a typographic minus is one."""
    expected = f"expected stops between commas, such as -2,0,2 or -2/3,0,2/3, got {text!r}"
    try:
        numbers = [float(Fraction(part)) for part in text.replace("\N{MINUS SIGN}", "-").replace(",", " ").split()]
    except (ValueError, ZeroDivisionError, OverflowError) as error:
        raise argparse.ArgumentTypeError(expected) from error
    if not numbers or not all(math.isfinite(number) for number in numbers):
        raise argparse.ArgumentTypeError(expected)
    return numbers


def _count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"expected a number of steps, 0 or more, got {text!r}")
    return int(text)
