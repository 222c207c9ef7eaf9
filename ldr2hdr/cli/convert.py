"""``ldr2hdr convert``: photographs to HDR files."""

import argparse
import glob
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ldr2hdr.cli.checkpoint import add_checkpoint_options, load_model
from ldr2hdr.cli.messages import FAILED, WRONG_USAGE, complain
from ldr2hdr.cli.outputs import add_output_options

if TYPE_CHECKING:
    from rich.console import Console

    from ldr2hdr.inference.convert import Converted
    from ldr2hdr.inference.outputs import Job
    from ldr2hdr.reconstructor import BoundReconstructor

_ABOUT = """\
Convert photographs (JPEG, PNG, TIFF, HEIC or camera RAW) to HDR pictures of linear light, Rec. 709 primaries.

In the result, 1.0 is where the camera clipped; the highlights that it lost are above. Photographs are turned upright,
their colour profiles are honoured, and what EXIF says of camera, shot and place is kept. With a profile of the camera,
or a bracket by it, tones are that camera's.
"""
_NOTES = """\
examples:
  ldr2hdr convert sunset.jpg -o sunset.exr
  ldr2hdr convert photos/ -o hdr/ --format ultrahdr --camera my_camera.ldr2hdr
  ldr2hdr convert "day1/*.jpg" b.png -o hdr/ --bracket bracket/ --trust --ckpt last.ckpt

formats: exr (16-bit floats), hdr (Radiance), ultrahdr (the JPEG itself with a gain map), and with the extra
"formats" avif (PQ), jxl (lossless), tiff (32-bit floats)

channels of --trust: mask.clipped (1 where the photograph is white in a channel), mask.invented (share of a pixel's
light that is above what the photograph shows), sigma (uncertainty in stops: it ranks pixels by the error to expect)

exit codes: 0 all written; 1 the checkpoint, the camera or some photographs failed (the others are written);
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
    parser.add_argument(
        "photos", nargs="+", metavar="PHOTO", help='photographs to convert; folders of them, or patterns like "*.jpg"'
    )
    parser.add_argument(
        *("-o", "--out"),
        type=Path,
        help="file to write, its extension that of the format; or an existing folder, for any number of photographs "
        "(default: beside each photograph)",
    )
    add_checkpoint_options(parser)
    camera = parser.add_mutually_exclusive_group()
    camera.add_argument("--camera", type=Path, metavar="PROFILE", help="profile that `ldr2hdr adapt` made")
    camera.add_argument("--bracket", type=Path, metavar="FOLDER", help="bracket of the same camera to adapt to first")
    parser.add_argument(
        "--strength",
        type=_share,
        default=1.0,
        metavar="S",
        help="how much of the highlights above white is kept, in stops: 0 none, 1 all (default)",
    )
    parser.add_argument(
        "--highlights",
        type=_statistic,
        metavar="WHAT",
        help="what clipped light becomes: median (least error, for pictures; default), mean (right energy, to light a "
        "scene by), or a number from 0 to 1, that quantile of what is likely",
    )
    parser.add_argument("--float", action="store_true", help="32-bit floats in exr and jxl, not 16")
    parser.add_argument("--trust", action="store_true", help="in exr, say of each pixel how far to trust it")
    parser.add_argument(
        "--replace-gain-map",
        action="store_true",
        help="in ultrahdr, replace the gain map of a photograph that has one (default: it is kept)",
    )
    add_output_options(parser)
    parser.set_defaults(run=_run)


class _System(NamedTuple):
    """Network with the camera it was adapted to.

    Attributes:
        network: Maps photographs to sensor exposure.
        camera: Its name by EXIF; None if unknown, or for any camera.
        tone_error_stops: How wrong its tones are, as far as that is known.
        about: A line about it.
    """

    network: "BoundReconstructor"
    camera: str | None
    tone_error_stops: float
    about: str


def _run(args: argparse.Namespace) -> int:
    from rich.console import Console

    from ldr2hdr.inference.outputs import plan_jobs

    console = Console(soft_wrap=True, markup=False, highlight=False)
    try:
        jobs = plan_jobs(_find_photos(args.photos), args.out, extension=args.format, is_forced=args.force)
        if args.trust:
            _require_exr(jobs)
    except (ValueError, OSError) as error:
        return complain(error, WRONG_USAGE)
    try:
        system = _load_system(args)
    except (ValueError, OSError) as error:
        return complain(error, FAILED)
    console.print(system.about)
    num_failed = _convert_all(jobs, system, console, args)
    if len(jobs) > 1:
        console.print(f"{len(jobs) - num_failed} of {len(jobs)} photographs converted")
    return FAILED if num_failed else 0


def _load_system(args: argparse.Namespace) -> _System:
    """Load the checkpoint, and adapt it as asked for.

    Raises:
        ValueError: If checkpoint, profile or bracket are refused.
        OSError: If a file is not there.
    """
    from ldr2hdr.inference.uncertainty import UNKNOWN_CAMERA_STOPS

    model = load_model(args, device=args.device, highlights=args.highlights)
    if args.camera is None and args.bracket is None:
        which = "the model that ships with ldr2hdr, " if args.ckpt is None else ""
        about = f"{which}single-shot: no camera profile was used; tones are those of the cameras trained on"
        return _System(model.single_shot(), None, UNKNOWN_CAMERA_STOPS, about)
    adapted = model.adapt(args.bracket) if args.camera is None else model.camera(args.camera)
    camera, check = adapted.profile.camera, adapted.profile.check
    about = f"camera: {camera or 'not named by EXIF'}, from {args.camera or args.bracket}"
    if check is None:
        return _System(adapted.network, camera, UNKNOWN_CAMERA_STOPS, about)
    after = check.stops[adapted.profile.steps]
    about += f"; error on what was kept out {check.single_shot_stops:.3f} stops single-shot, {after:.3f} adapted"
    return _System(adapted.network, camera, after, about)


def _find_photos(words: Sequence[str]) -> list[Path]:
    """List files as they are named, those of folders and of patterns sorted; none twice.

    Raises:
        ValueError: If a folder or a pattern gives none.
    """
    from ldr2hdr.inference.merging.sets import list_photographs

    found: dict[Path, None] = {}
    for word in words:
        path = Path(word)
        if path.is_dir():
            paths, what = list_photographs(path), "the folder holds no photograph (JPEG, PNG, TIFF, HEIC or camera RAW)"
        elif glob.has_magic(word) and not path.exists():
            paths, what = sorted(Path(name) for name in glob.glob(word, recursive=True)), "no file is of this pattern"
            paths = [path for path in paths if path.is_file()]
        else:
            paths, what = [path], ""
        if not paths:
            raise ValueError(f"{what}: {word}")
        found |= dict.fromkeys(paths)
    return list(found)


def _require_exr(jobs: Sequence["Job"]) -> None:
    others = [job.output for job in jobs if job.output.suffix.lower() != ".exr"]
    if others:
        raise ValueError(f"--trust adds channels that only exr has, got {others[0]}; leave --trust or the format out")


def _convert_all(jobs: Sequence["Job"], system: _System, console: "Console", args: argparse.Namespace) -> int:
    """Convert one after the other, whatever happens to the others; returns how many failed."""
    from ldr2hdr.inference.convert import convert_photo

    num_failed = 0
    for job in _with_progress(jobs, console):
        try:
            converted = convert_photo(
                job,
                system.network,
                strength=args.strength,
                is_half=not args.float,
                tone_error_stops=system.tone_error_stops if args.trust else None,
                replaces_gain_map=args.replace_gain_map,
                has_preview=args.preview,
            )
            console.print(_describe(converted))
            if converted.exif_damage is not None:
                console.print(f"note: {job.photo}: {converted.exif_damage}")
            if system.camera and converted.camera not in (None, system.camera):
                console.print(f"note: {job.photo} is by {converted.camera}, and the profile by {system.camera}")
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
    output, stops = converted.output, converted.stops_above_white
    size_mb = output.stat().st_size / 1e6
    side = "above" if stops >= 0 else "below"
    return (
        f"wrote {output}: {converted.width} x {converted.height} pixels, {size_mb:.1f} MB, "
        f"brightest pixel {abs(stops):.1f} stops {side} white"
    )


def _statistic(text: str) -> str | float:
    return text if text in ("median", "mean") else _share(text)


def _share(text: str) -> float:
    expected = f"expected a number from 0 to 1, got {text!r}"
    try:
        share = float(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(expected) from error
    if not 0 <= share <= 1:
        raise argparse.ArgumentTypeError(expected)
    return share
