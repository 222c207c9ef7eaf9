"""``ldr2hdr merge``: brackets to HDR files."""

import argparse
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ldr2hdr.cli.checkpoint import add_checkpoint_options, load_model
from ldr2hdr.cli.messages import FAILED, WRONG_USAGE, complain
from ldr2hdr.cli.outputs import add_output_options
from ldr2hdr.cli.stops import add_ev_option

if TYPE_CHECKING:
    from rich.console import Console

    from ldr2hdr.inference.merging.merging import Merged
    from ldr2hdr.inference.merging.sets import BracketFiles
    from ldr2hdr.inference.outputs import Job
    from ldr2hdr.inference.profiles.model import AdaptedCamera, Model

_ABOUT = """\
Merge exposures of one scene to the light that all of them saw: linear, Rec. 709 primaries, at full resolution.

A folder of many brackets is split by time and by exposures that recur. Hand-held photographs are aligned, by parts of a
pixel and turned; what moved in the scene is taken from one photograph, the reference. What is white in the darkest
photograph too is filled by the network that `ldr2hdr convert` uses. In the result, 1.0 is where the reference clips.
"""
_NOTES = """\
examples:
  ldr2hdr merge bracket/ -o scene.exr
  ldr2hdr merge IMG_1.jpg IMG_2.jpg IMG_3.jpg -o scene.jpg --reference 2 --preview
  ldr2hdr merge day1/ -o hdr/ --format avif
  ldr2hdr merge garden/ kitchen/ -o hdr/ --anchor -9 --camera my_camera.ldr2hdr

exposures: by --ev, else exposures.csv in the folder (columns file and exposure_time_s), else EXIF, else names such as
garden_-2.jpg; camera RAW files are merged as the linear light that they hold

channels of exr: R, G, B; mask.clipped (1 where every photograph is white), mask.invented (share of a pixel's light that
is the network's, not the photographs'), sigma (error to expect, in stops)

exit codes: 0 all written; 1 some brackets failed, or the model or the camera did (other brackets are written);
2 wrong usage, such as an output that exists (nothing is written)
"""


def add_command(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Describe ``ldr2hdr merge`` to the parser."""
    parser = commands.add_parser(
        "merge",
        help="merge brackets into HDR files",
        description=_ABOUT,
        epilog=_NOTES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "brackets",
        nargs="+",
        type=Path,
        metavar="BRACKET",
        help="folders, each with the exposures of one scene or of several; or two photographs or more of one scene",
    )
    parser.add_argument(
        *("-o", "--out"),
        type=Path,
        required=True,
        help="file to write, its extension that of the format; or an existing folder, for any number of brackets",
    )
    _add_choices(parser)
    add_checkpoint_options(parser, what="the network that fills")
    parser.add_argument("--float", action="store_true", help="32-bit floats in exr and jxl, not 16; so with --anchor")
    add_output_options(parser)
    parser.set_defaults(run=_run)


def _add_choices(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--camera", type=Path, metavar="PROFILE", help="profile by `ldr2hdr adapt`: gives the response")
    add_ev_option(parser, order="their order")
    parser.add_argument(
        "--reference",
        type=_count,
        metavar="N",
        help="photograph that stays where it is and says what moved, 1 for the first (default: the best exposed)",
    )
    parser.add_argument(
        "--anchor",
        type=_stops,
        metavar="EV",
        help="1.0 is where an exposure of EV stops clips, log2 of time / f-number**2 * ISO / 100, or as --ev has it: "
        "one scale for several brackets (default: where the reference clips)",
    )
    parser.add_argument("--no-align", action="store_true", help="the camera stood still")
    parser.add_argument("--no-deghost", action="store_true", help="the scene stood still")


def _run(args: argparse.Namespace) -> int:
    from rich.console import Console

    from ldr2hdr.inference.outputs import plan_jobs

    console = Console(soft_wrap=True, markup=False, highlight=False)
    try:
        brackets = _find(args, console)
        jobs = plan_jobs(
            [bracket.paths[0] for bracket in brackets], args.out, extension=args.format, is_forced=args.force
        )
        _require_apart(brackets, jobs)
    except (ValueError, OSError) as error:
        return complain(error, WRONG_USAGE)
    try:
        system = _load_system(args)
    except (ValueError, OSError) as error:
        return complain(error, FAILED)
    num_failed = 0
    for bracket, job in zip(brackets, jobs, strict=True):
        try:
            _merge(bracket, job, system, console, args)
        except (ValueError, OSError) as error:
            num_failed += 1
            complain(error, FAILED, about=bracket.paths[0])
    if len(jobs) > 1:
        console.print(f"{len(jobs) - num_failed} of {len(jobs)} brackets merged")
    return FAILED if num_failed else 0


class _System(NamedTuple):
    """Name the source of the response, and of what fills."""

    camera: "AdaptedCamera | None"
    model: "Model | None"


def _load_system(args: argparse.Namespace) -> _System:
    """Load what was asked for; the model that ships is loaded when it is needed."""
    if args.camera is None and args.ckpt is None and args.device == "cpu":
        return _System(None, None)
    model = load_model(args, device=args.device)
    return _System(None if args.camera is None else model.camera(args.camera), model)


def _find(args: argparse.Namespace, console: "Console") -> "list[BracketFiles]":
    """List the brackets.

    Raises:
        ValueError: If files and folders are mixed, or there is no bracket.
    """
    from ldr2hdr.inference.merging.sets import as_bracket, find_brackets, list_photographs

    folders = [path for path in args.brackets if path.is_dir()]
    if not folders:
        return [as_bracket(args.brackets, evs=args.ev)]
    if len(folders) < len(args.brackets):
        raise ValueError("expected folders, or the photographs of one bracket, got both; merge them one by one")
    if args.ev is not None:
        return [as_bracket(list_photographs(folder), evs=args.ev) for folder in folders]
    brackets: list[BracketFiles] = []
    for folder in folders:
        found = find_brackets(folder)
        brackets += found.brackets
        if found.left_out:
            names = ", ".join(path.name for path in found.left_out[:4])
            more = f" and {len(found.left_out) - 4} more" if len(found.left_out) > 4 else ""
            console.print(f"note: {folder}: no part of a bracket: {names}{more}")
    if len(brackets) > len(folders):
        console.print(f"{len(brackets)} brackets found, of {', '.join(str(len(one.paths)) for one in brackets)} frames")
    return brackets


def _require_apart(brackets: "Sequence[BracketFiles]", jobs: "Sequence[Job]") -> None:
    photos = {path.resolve() for bracket in brackets for path in bracket.paths}
    for job in jobs:
        if job.output.resolve() in photos:
            raise ValueError(f"the output {job.output} is one of the photographs; choose another name or folder")


def _merge(bracket: "BracketFiles", job: "Job", system: _System, console: "Console", args: argparse.Namespace) -> None:
    from ldr2hdr.inference.merging.api import curve_of, filler, notes_on, write_merged
    from ldr2hdr.inference.merging.merging import MergeOptions, merge_bracket
    from ldr2hdr.inference.uncertainty import Uncertainty
    from ldr2hdr.io import HDR_FORMATS
    from ldr2hdr.io.exr import HALF_MAX

    reference = None if args.reference is None else args.reference - 1
    merged = merge_bracket(
        bracket,
        MergeOptions(reference, args.anchor, not args.no_align, not args.no_deghost),
        log_curve=None if system.camera is None else curve_of(system.camera.network),
        network=filler(system.camera, system.model),
    )
    if job.output.suffix.lower() in HDR_FORMATS["ultrahdr"]:  # which takes most memory to write, and shows less
        unsaid = Uncertainty(*(layer.new_empty(0, 0) for layer in merged.uncertainty))
        merged = merged._replace(exposure=merged.exposure.clamp_max(HALF_MAX).half(), uncertainty=unsaid)
    lost = write_merged(merged, job.output, is_half=not args.float and args.anchor is None, has_preview=args.preview)
    console.print(_describe(merged, job.output))
    for note in notes_on(merged, lost):
        console.print(f"note: {job.output}: {note}")


def _describe(merged: "Merged", output: Path) -> str:
    _, height, width = merged.exposure.shape
    peak = float(merged.exposure.max())
    evs = merged.bracket.evs
    range_stops = f"{max(evs) - min(evs):.1f} stops apart by {merged.bracket.source}"
    brightest = f"brightest value {math.log2(peak):+.1f} stops" if peak > 0 else "all black"
    return (
        f"wrote {output}: {len(evs)} photographs {range_stops}, {width} x {height} pixels, "
        f"{output.stat().st_size / 1e6:.1f} MB, {brightest}; reference {merged.bracket.paths[merged.reference].name}"
    )


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected 1 or more, got {text!r}")
    return int(text)


def _stops(text: str) -> float:
    try:
        stops = float(text)
    except ValueError:
        stops = math.nan
    if not math.isfinite(stops):
        raise argparse.ArgumentTypeError(f"expected a number of stops such as -9, got {text!r}")
    return stops
