"""The ``ldr2hdr`` command for people with photographs.

Torch takes seconds to import: it comes in with the functions that compute, so that ``--help`` is immediate.
"""

import argparse
import functools
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
  ldr2hdr doctor LDR-HDR-pair_Dataset/
  ldr2hdr prepare LDR-HDR-pair_Dataset/ -o prepared/

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
_DOCTOR = """\
Decode every picture of a data set and tell what would break training, what is doubtful and what is worth knowing:
orphans, damaged files, duplicates and leaks between splits, wrong EVs, shifts, clipping, HDR that does not fit.

Prints a table; writes doctor.json (everything) and doctor.html (one page with thumbnails, for any browser).
"""
_DOCTOR_NOTES = """\
examples:
  ldr2hdr doctor LDR-HDR-pair_Dataset/
  ldr2hdr doctor brackets/ --dataset bracket_folder -o checked/

exit codes: 0 nothing would break training; 1 something would; 2 wrong usage, such as a folder that is no data set
"""
_PREPARE = """\
Decode a data set once into a folder of memory-mapped files, which task.prepared makes training read.

LDR pictures keep their codes, without loss. HDR pictures become half floats where the relative error is at most 2**-11,
else single floats; index.json tells the measured error of each. A run that was killed goes on where it was: what is
whole, by its hash, is kept.
"""
_PREPARE_NOTES = """\
examples:
  ldr2hdr prepare LDR-HDR-pair_Dataset/ -o prepared/
  python -m ldr2hdr.train task=bracket dataset=ldr_hdr_pair dataset.root=LDR-HDR-pair_Dataset task.prepared=prepared

exit codes: 0 complete; 1 there are corrupt files (the other scenes are prepared; --skip-bad goes without those);
2 wrong usage, such as a folder that holds something else
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
    convert.add_argument("--device", default="cpu", help="cpu (default), cuda, cuda:1")
    convert.add_argument("--force", action="store_true", help="overwrite existing files")
    convert.set_defaults(run=_convert)

    results = commands.add_parser(
        "results", help="print the tables of an evaluation", description="Print the tables of an evaluation."
    )
    results.add_argument("file", type=Path, metavar="RESULTS.json", help="results.json of an evaluation")
    results.set_defaults(run=_print_results)

    doctor = commands.add_parser(
        "doctor",
        help="check a data set before training",
        description=_DOCTOR,
        epilog=_DOCTOR_NOTES,
        formatter_class=raw,
    )
    doctor.add_argument("root", type=Path, metavar="ROOT", help="folder of the set")
    doctor.add_argument("--dataset", metavar="NAME", help="its kind, as in conf/dataset (default: by its layout)")
    doctor.add_argument(
        *("-o", "--out"), type=Path, default=Path("doctor"), metavar="FOLDER", help="for the report (default: doctor)"
    )
    doctor.set_defaults(run=_doctor)

    prepare = commands.add_parser(
        "prepare",
        help="decode a data set once, for fast training",
        description=_PREPARE,
        epilog=_PREPARE_NOTES,
        formatter_class=raw,
    )
    prepare.add_argument("root", type=Path, metavar="ROOT", help="folder of the set")
    prepare.add_argument("--dataset", metavar="NAME", help="its kind, as in conf/dataset (default: by its layout)")
    prepare.add_argument(*("-o", "--out"), required=True, type=Path, metavar="CACHE", help="folder to write")
    prepare.add_argument("--skip-bad", action="store_true", help="leave out scenes with corrupt files")
    prepare.set_defaults(run=_prepare)
    return parser


def _convert(args: argparse.Namespace) -> int:
    from rich.console import Console

    from ldr2hdr.build import choose_device, load_learner
    from ldr2hdr.convert import plan_jobs

    console = Console(soft_wrap=True, markup=False, highlight=False)
    try:
        jobs = plan_jobs(args.photos, args.out, extension=args.format, is_forced=args.force)
    except (ValueError, OSError) as error:
        return _complain(error, _WRONG_USAGE)
    try:
        learner, _ = load_learner(args.ckpt)
        device = choose_device(args.device)
    except (ValueError, OSError) as error:
        return _complain(error, _FAILED)
    single_shot = learner.to(device).single_shot()
    console.print("single-shot: no camera profile was used; tones are those of the cameras trained on")
    num_failed = _convert_all(jobs, lambda ldr: single_shot(ldr.to(device)).cpu(), console)
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


def _doctor(args: argparse.Namespace) -> int:
    from rich.console import Console

    from ldr2hdr.doctor.command import examine_folder
    from ldr2hdr.doctor.report import TABLE_WIDTH, print_report

    console = Console(width=None if sys.stdout.isatty() else TABLE_WIDTH)
    try:
        reported = examine_folder(args.root, args.out, dataset=args.dataset, console=console)
    except (ValueError, OSError) as error:
        return _complain(error, _WRONG_USAGE)
    print_report(console, reported.diagnosis)
    console.print(f"wrote {reported.report} and {reported.page}", markup=False, highlight=False, soft_wrap=True)
    return _FAILED if reported.diagnosis.has_errors else 0


def _prepare(args: argparse.Namespace) -> int:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from ldr2hdr.data.preparing import prepare
    from ldr2hdr.doctor.known_sets import guess_set, open_set

    console = Console(soft_wrap=True, markup=False, highlight=False)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    try:
        name = args.dataset or guess_set(args.root)
        dataset = open_set(args.root, name, cache_dir=args.out)
        with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as progress:
            track = functools.partial(progress.track, description="preparing")
            done = prepare(dataset, args.out, name=name, root=args.root, is_skipping=args.skip_bad, track=track)
    except (ValueError, OSError) as error:
        return _complain(error, _WRONG_USAGE)
    console.print(done.summary())
    for file in done.written.skipped:
        sys.stderr.write(f"corrupt: {file.file}: {file.reason}\n")
    if done.written.is_complete:
        return 0
    return _complain(ValueError("mend the corrupt files, or go without them by --skip-bad"), _FAILED)


def _complain(error: Exception, code: int, *, about: Path | None = None) -> int:
    """Tell what went wrong on standard error, naming the file; returns the exit code."""
    message = str(error)
    prefix = f"{about}: " if about is not None and str(about) not in message else ""
    sys.stderr.write(f"ldr2hdr: error: {prefix}{message}\n")
    return code


if __name__ == "__main__":
    sys.exit(main())
