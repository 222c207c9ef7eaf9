"""``ldr2hdr compare``: two evaluations, picture by picture."""

import argparse
import sys
from pathlib import Path

from ldr2hdr.cli.messages import FAILED, complain


def add_command(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Describe ``ldr2hdr compare`` to the parser."""
    parser = commands.add_parser(
        "compare",
        help="paired differences of two evaluations",
        description="Print the paired differences of two evaluations on the pictures that both judged.",
    )
    parser.add_argument("a", type=Path, metavar="A", help="folder of an evaluation")
    parser.add_argument("b", type=Path, metavar="B", help="what it is compared with: the differences are A - B")
    parser.add_argument(
        "--systems",
        nargs=2,
        metavar=("NAME_A", "NAME_B"),
        help="a system of A and one of B to compare (default: each that both have)",
    )
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> int:
    from rich.console import Console

    from ldr2hdr.evaluation.comparison import compare_results, print_comparison
    from ldr2hdr.evaluation.results import TABLE_WIDTH

    try:
        comparison = compare_results(args.a, args.b, pairs=args.systems and [tuple(args.systems)])
    except (ValueError, OSError) as error:
        return complain(error, FAILED)
    print_comparison(Console(width=None if sys.stdout.isatty() else TABLE_WIDTH), comparison)
    return 0
