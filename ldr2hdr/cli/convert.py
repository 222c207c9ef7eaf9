"""``ldr2hdr convert``: photographs to HDR files."""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ldr2hdr.cli.messages import FAILED, WRONG_USAGE, complain

if TYPE_CHECKING:
    from rich.console import Console

    from ldr2hdr.convert import Converted, Job
    from ldr2hdr.meta.base import Predictor

_ABOUT = """\
Convert photographs (PNG, JPEG or TIFF, 8 or 16 bits) to HDR pictures of linear light, OpenEXR or Radiance.

In the result, 1.0 is where the camera clipped; the highlights that it lost are above. Rec. 709 primaries.
A photograph is converted whole: the default network needs about 0.6 GB of memory per megapixel.
"""
_NOTES = """\
examples:
  ldr2hdr convert sunset.jpg -o sunset.exr --ckpt last.ckpt
  ldr2hdr convert a.jpg b.png -o hdr/ --format hdr --ckpt last.ckpt

exit codes: 0 all written; 1 the checkpoint or some photographs failed (the others are written);
2 wrong usage, such as an output that exists (nothing is written)
"""


def add_command(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Describe ``ldr2hdr convert`` to the parser."""
    parser = commands.add_parser(
        "convert",
        help="turn photographs into HDR files",
        description=_ABOUT,
        epilog=_NOTES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("photos", nargs="+", type=Path, metavar="PHOTO", help="photographs to convert")
    parser.add_argument(
        *("-o", "--out"),
        required=True,
        type=Path,
        help="file to write, its name ending in .exr or .hdr; or an existing folder, for any number of photographs",
    )
    parser.add_argument("--ckpt", required=True, type=Path, help="checkpoint of a trained network")
    parser.add_argument("--format", choices=("exr", "hdr"), help="kind of the files in a folder (default: exr)")
    parser.add_argument("--device", default="cpu", help="cpu (default), cuda, cuda:1")
    parser.add_argument("--force", action="store_true", help="overwrite existing files")
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> int:
    from rich.console import Console

    from ldr2hdr.build import choose_device, load_learner
    from ldr2hdr.convert import plan_jobs

    console = Console(soft_wrap=True, markup=False, highlight=False)
    try:
        jobs = plan_jobs(args.photos, args.out, extension=args.format, is_forced=args.force)
    except (ValueError, OSError) as error:
        return complain(error, WRONG_USAGE)
    try:
        learner, _ = load_learner(args.ckpt)
        device = choose_device(args.device)
    except (ValueError, OSError) as error:
        return complain(error, FAILED)
    single_shot = learner.to(device).single_shot()
    console.print("single-shot: no camera profile was used; tones are those of the cameras trained on")
    num_failed = _convert_all(jobs, lambda ldr: single_shot(ldr.to(device)).cpu(), console)
    if len(jobs) > 1:
        console.print(f"{len(jobs) - num_failed} of {len(jobs)} photographs converted")
    return FAILED if num_failed else 0


def _convert_all(jobs: Sequence["Job"], predictor: "Predictor", console: "Console") -> int:
    """Convert one after the other, whatever happens to the others; returns how many failed."""
    from ldr2hdr.convert import convert_photo

    num_failed = 0
    for job in _with_progress(jobs, console):
        try:
            console.print(_describe(convert_photo(job, predictor)))
        except (ValueError, OSError) as error:
            num_failed += 1
            complain(error, FAILED, about=job.photo)
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
