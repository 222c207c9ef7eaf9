"""The ``ldr2hdr`` command for people with photographs.

Torch takes seconds to import: it comes in with the functions that compute, so that ``--help`` is immediate.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

    from ldr2hdr.convert import Converted, Job
    from ldr2hdr.meta.base import Predictor

_FAILED, _WRONG_USAGE, _INTERRUPTED = 1, 2, 130

_DESCRIPTION = "Reconstruct the light that a photograph lost: from an 8-bit picture to linear HDR."
_EXAMPLES = """\
examples:
  ldr2hdr convert sunset.jpg -o sunset.exr --ckpt last.ckpt
  ldr2hdr convert *.jpg -o hdr/ --format hdr --ckpt last.ckpt
  ldr2hdr results outputs/demo/evaluation/results.json

A checkpoint is made by training: python -m ldr2hdr.train --help
"""
_CONVERT = """\
Convert photographs (PNG, JPEG or TIFF, 8 or 16 bits) to HDR pictures of linear light, OpenEXR or Radiance.

In the result, 1.0 is where the camera clipped; the highlights that it lost are above. Rec. 709 primaries.
A photograph is converted whole: the default network needs about 0.6 GB of memory per megapixel.
"""
_CONVERT_NOTES = """\
examples:
  ldr2hdr convert sunset.jpg -o sunset.exr --ckpt last.ckpt
  ldr2hdr convert a.jpg b.png -o hdr/ --format hdr --ckpt last.ckpt

exit codes: 0 all written; 1 the checkpoint or some photographs failed (the others are written);
2 wrong usage, such as an output that exists (nothing is written)
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        argv: Arguments without the program's name; those of the process if None.

    Returns:
        The exit code.
    """
    args = _build_parser().parse_args(argv)
    try:
        return int(args.run(args))
    except KeyboardInterrupt:
        sys.stderr.write("\ninterrupted; files already reported are complete\n")
        return _INTERRUPTED


def _build_parser() -> argparse.ArgumentParser:
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser("ldr2hdr", description=_DESCRIPTION, epilog=_EXAMPLES, formatter_class=raw)
    parser.add_argument("--version", action="version", version=f"ldr2hdr {version('ldr2hdr')}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    convert = commands.add_parser(
        "convert",
        help="turn photographs into HDR files",
        description=_CONVERT,
        epilog=_CONVERT_NOTES,
        formatter_class=raw,
    )
    convert.add_argument("photos", nargs="+", type=Path, metavar="PHOTO", help="photographs to convert")
    convert.add_argument(
        *("-o", "--out"),
        required=True,
        type=Path,
        help="file to write, its name ending in .exr or .hdr; or an existing folder, for any number of photographs",
    )
    convert.add_argument("--ckpt", required=True, type=Path, help="checkpoint of a trained network")
    convert.add_argument("--format", choices=("exr", "hdr"), help="kind of the files in a folder (default: exr)")
    convert.add_argument("--force", action="store_true", help="overwrite existing files")
    convert.set_defaults(run=_convert)

    results = commands.add_parser(
        "results", help="print the tables of an evaluation", description="Print the tables of an evaluation."
    )
    results.add_argument("file", type=Path, metavar="RESULTS.json", help="results.json of an evaluation")
    results.set_defaults(run=_print_results)
    return parser


def _convert(args: argparse.Namespace) -> int:
    from rich.console import Console

    from ldr2hdr.build import load_learner
    from ldr2hdr.convert import plan_jobs

    console = Console(soft_wrap=True, markup=False, highlight=False)
    try:
        jobs = plan_jobs(args.photos, args.out, extension=args.format, is_forced=args.force)
    except (ValueError, OSError) as error:
        return _complain(error, _WRONG_USAGE)
    try:
        learner, _ = load_learner(args.ckpt)
    except (ValueError, OSError) as error:
        return _complain(error, _FAILED)
    console.print("single-shot: no camera profile was used; tones are those of the cameras trained on")
    num_failed = _convert_all(jobs, learner.single_shot(), console)
    if len(jobs) > 1:
        console.print(f"{len(jobs) - num_failed} of {len(jobs)} photographs converted")
    return _FAILED if num_failed else 0


def _convert_all(jobs: Sequence["Job"], predictor: "Predictor", console: "Console") -> int:
    """Convert one after the other, whatever happens to the others; returns how many failed."""
    from ldr2hdr.convert import convert_photo

    num_failed = 0
    for job in _with_progress(jobs, console):
        try:
            console.print(_describe(convert_photo(job, predictor)))
        except (ValueError, OSError) as error:
            num_failed += 1
            _complain(error, _FAILED, about=job.photo)
    return num_failed


def _with_progress(jobs: Sequence["Job"], console: "Console") -> Iterator["Job"]:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    is_shown = len(jobs) > 1 and console.is_terminal
    with Progress(*columns, console=console, disable=not is_shown, transient=True) as progress:
        yield from progress.track(jobs, description="converting")


def _describe(converted: "Converted") -> str:
    output, width, height, stops = converted
    size_mb = output.stat().st_size / 1e6
    side = "above" if stops >= 0 else "below"
    return (
        f"wrote {output}: {width} x {height} pixels, {size_mb:.1f} MB, "
        f"brightest pixel {abs(stops):.1f} stops {side} white"
    )


def _print_results(args: argparse.Namespace) -> int:
    from rich.console import Console

    from ldr2hdr.results import TABLE_WIDTH, print_tables, read_results

    try:
        results = read_results(args.file)
    except (ValueError, OSError) as error:
        return _complain(error, _FAILED, about=args.file)
    console = Console(width=None if sys.stdout.isatty() else TABLE_WIDTH)
    print_tables(console, summaries=results.summaries, differences=results.differences)
    return 0


def _complain(error: Exception, code: int, *, about: Path | None = None) -> int:
    """Tell what went wrong on standard error, naming the file; returns the exit code."""
    message = str(error)
    prefix = f"{about}: " if about is not None and str(about) not in message else ""
    sys.stderr.write(f"ldr2hdr: error: {prefix}{message}\n")
    return code


if __name__ == "__main__":
    sys.exit(main())
