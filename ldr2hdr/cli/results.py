"""``ldr2hdr results``: the tables of an evaluation."""

import argparse
import sys
from pathlib import Path

from ldr2hdr.cli.messages import FAILED, complain


def add_command(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Describe ``ldr2hdr results`` to the parser."""
    parser = commands.add_parser(
        "results", help="print the tables of an evaluation", description="Print the tables of an evaluation."
    )
    parser.add_argument("file", type=Path, metavar="RESULTS.json", help="results.json of an evaluation")
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> int:
    from rich.console import Console

    from ldr2hdr.evaluation.results import TABLE_WIDTH, print_tables, read_results

    try:
        results = read_results(args.file)
    except (ValueError, OSError) as error:
        return complain(error, FAILED, about=args.file)
    console = Console(width=None if sys.stdout.isatty() else TABLE_WIDTH)
    print_tables(console, summaries=results.summaries, differences=results.differences)
    return 0
