"""``ldr2hdr doctor``: what is wrong with a data set."""

import argparse
import sys
from pathlib import Path

from ldr2hdr.cli.messages import FAILED, WRONG_USAGE, complain

_ABOUT = """\
Decode every picture of a data set and report what would break training, what is doubtful and what is worth knowing:
orphans, damaged files, duplicates and leaks between splits, wrong EVs, shifts, clipping, HDR that does not fit.

Prints a table; writes doctor.json (everything) and doctor.html (one page with thumbnails, for any browser).
"""
_NOTES = """\
examples:
  ldr2hdr doctor LDR-HDR-pair_Dataset/
  ldr2hdr doctor brackets/ --dataset bracket_folder -o checked/

exit codes: 0 nothing would break training; 1 something would; 2 wrong usage, such as a folder that is no data set
"""


def add_command(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Describe ``ldr2hdr doctor`` to the parser."""
    parser = commands.add_parser(
        "doctor",
        help="check a data set before training",
        description=_ABOUT,
        epilog=_NOTES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("root", type=Path, metavar="ROOT", help="folder of the set")
    parser.add_argument("--dataset", metavar="NAME", help="its kind, as in conf/dataset (default: by its layout)")
    parser.add_argument("--test-root", type=Path, metavar="FOLDER", help="its test scenes, where they are apart")
    parser.add_argument(
        *("-o", "--out"), type=Path, default=Path("doctor"), metavar="FOLDER", help="for the report (default: doctor)"
    )
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> int:
    from rich.console import Console

    from ldr2hdr.data.doctor.command import examine_folder
    from ldr2hdr.data.doctor.report import TABLE_WIDTH, print_report

    console = Console(width=None if sys.stdout.isatty() else TABLE_WIDTH)
    try:
        reported = examine_folder(args.root, args.out, dataset=args.dataset, console=console, test_root=args.test_root)
    except (ValueError, OSError) as error:
        return complain(error, WRONG_USAGE)
    print_report(console, reported.diagnosis)
    console.print(f"wrote {reported.report} and {reported.page}", markup=False, highlight=False, soft_wrap=True)
    return FAILED if reported.diagnosis.has_errors else 0
