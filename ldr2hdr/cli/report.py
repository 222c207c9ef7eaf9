"""``ldr2hdr report``: runs on one page."""

import argparse
import sys
from pathlib import Path

from ldr2hdr.cli.messages import FAILED, WRONG_USAGE, complain

_ABOUT = """\
Write one HTML page about evaluations and training runs: tables with intervals, quality against inner steps, shots and
places, training curves, and a viewer of sampled pictures with exposure, wipe, error and zoom.

The page needs no network and no other file. Pictures are there if the evaluation kept some:
  python -m ldr2hdr.evaluate ckpt=last.ckpt samples=2
"""
_NOTES = """\
examples:
  ldr2hdr report outputs/demo/evaluation
  ldr2hdr report outputs/demo/evaluation outputs/demo/maml outputs/demo/supervised -o demo.html
"""


def add_command(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Describe ``ldr2hdr report`` to the parser."""
    parser = commands.add_parser(
        "report",
        help="one page about runs, with a viewer",
        description=_ABOUT,
        epilog=_NOTES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "runs", type=Path, nargs="+", metavar="RUN", help="folder of an evaluation, a training run or a sweep"
    )
    parser.add_argument(
        *("-o", "--out"), type=Path, default=Path("report.html"), metavar="PAGE", help="default: report.html"
    )
    parser.add_argument("--title", default="ldr2hdr report", help="heading of the page")
    parser.add_argument("--max-mb", type=float, default=25.0, metavar="MB", help="size of the page (default: 25)")
    parser.add_argument(
        "--max-scenes", type=int, default=40, metavar="N", help="most sampled pictures to show (default: 40)"
    )
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> int:
    from ldr2hdr.evaluation.report import write_report

    if not args.max_mb > 0 or args.max_scenes < 0:
        message = f"--max-mb must be positive and --max-scenes not negative, got {args.max_mb:g} and {args.max_scenes}"
        return complain(ValueError(message), WRONG_USAGE)
    try:
        chosen = write_report(args.out, args.runs, title=args.title, max_mb=args.max_mb, max_scenes=args.max_scenes)
    except (ValueError, OSError) as error:
        return complain(error, FAILED)
    shown, found = len(chosen.scenes), chosen.num_samples
    size = args.out.stat().st_size / 1e6
    sys.stdout.write(f"wrote {args.out}: {size:.1f} MB, {shown} of {found} sampled pictures\n")
    return 0
