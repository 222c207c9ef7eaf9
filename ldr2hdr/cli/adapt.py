"""``ldr2hdr adapt``: brackets to a camera profile."""

import argparse
import shlex
from pathlib import Path

from ldr2hdr.cli.checkpoint import add_checkpoint_options, load_model
from ldr2hdr.cli.messages import FAILED, WRONG_USAGE, complain
from ldr2hdr.cli.outputs import require_writable
from ldr2hdr.cli.profile import describe
from ldr2hdr.cli.stops import add_ev_option

_ABOUT = """\
Learn a camera from brackets: two photographs or more of one scene at different exposures, as the camera's bracketing
makes them, one scene or several. All else stays fixed: aperture, ISO, white balance, picture style. A tripod is best;
a steady hand will do, dark frames and what moves do no harm. The profile makes `ldr2hdr convert --camera` right for
every photograph of that camera.

The exposures are known by EXIF; or by exposures.csv in the folder, with the columns file and exposure_time_s; or by
--ev. Scenes, exposures or parts of the picture are kept out, one at a time, to see how well the others predict them;
where that is no better than without a profile, none is written.
"""
_NOTES = """\
examples:
  ldr2hdr adapt bracket/ -o my_camera.ldr2hdr --report my_camera.html
  ldr2hdr adapt garden/ kitchen/ -o my_camera.ldr2hdr
  ldr2hdr adapt bracket/ --ev -2,0,2 -o my_camera.ldr2hdr --ckpt last.ckpt

A checkpoint whose response does not compare pairs of exposures adapts to their merge: three still exposures that
overlap, one of which is kept out.

exit codes: 0 written; 1 the bracket cannot teach, or the profile would not help (the reason is given), or a file cannot
be read; 2 wrong usage
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
        help="exposures of one scene; several folders, scenes by one camera",
    )
    parser.add_argument(*("-o", "--out"), required=True, type=Path, metavar="PROFILE", help="camera profile to write")
    add_checkpoint_options(parser)
    add_ev_option(parser, order="the order of their names")
    parser.add_argument(
        "--steps",
        type=_count,
        default=0,
        metavar="K",
        help="most inner steps to try; they are taken if they help on what is kept out (default: 0)",
    )
    parser.add_argument("--no-check", action="store_true", help="keep nothing out; no inner step is taken")
    parser.add_argument("--report", type=Path, metavar="PAGE", help="write a page with the curve and its check")
    parser.add_argument("--device", default="cpu", help="cpu (default), cuda, cuda:1")
    parser.add_argument("--force", action="store_true", help="overwrite an existing profile or page")
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> int:
    try:
        require_writable(args.out, option="-o", what="a camera profile", is_forced=args.force)
        if args.report is not None:
            require_writable(args.report, option="--report", what="a page", is_forced=args.force)
    except OSError as error:
        return complain(error, WRONG_USAGE)
    from rich.console import Console

    console = Console(soft_wrap=True, markup=False, highlight=False)
    try:
        model = load_model(args, device=args.device)
        if args.report is not None and not model.compares_pairs:
            raise ValueError(
                "--report shows a curve, and the response of this checkpoint has none that is one by level"
            )
        adapted = model.adapt(
            *args.folders,
            evs=args.ev,
            max_steps=args.steps,
            is_checked=not args.no_check,
            on_step=lambda step, after, before: console.print(_describe_step(step, after, before)),
        )
        for line in describe(adapted.profile):
            console.print(line)
        adapted.save(args.out)
        if args.report is not None:
            from ldr2hdr.cli.curve_page import write_page

            write_page(args.report, adapted.profile, title=args.out.name)
            console.print(f"wrote {args.report}")
    except (ValueError, OSError) as error:
        return complain(error, FAILED)
    size_kb, typed = args.out.stat().st_size / 1e3, shlex.quote(str(args.out))
    console.print(f"wrote {args.out}: {size_kb:.0f} kB; ldr2hdr convert --camera {typed}")
    return 0


def _describe_step(step: int, after: float, before: float) -> str:
    return f"  {_steps(step):>11}: error on what was kept out {before:.3f} stops before, {after:.3f} after"


def _steps(count: int) -> str:
    return f"{count} step{'s' * (count != 1)}"


def _count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"expected a number of steps, 0 or more, got {text!r}")
    return int(text)
