"""``ldr2hdr convert``: photographs to HDR files."""

import argparse
import glob
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ldr2hdr.cli.messages import FAILED, NEEDS_CKPT, WRONG_USAGE, complain

if TYPE_CHECKING:
    from rich.console import Console

    from ldr2hdr.convert import Converted, Job
    from ldr2hdr.meta.base import Predictor
    from ldr2hdr.reconstructor import Reconstructor

_FORMATS = ("exr", "hdr", "ultrahdr", "avif", "jxl", "tiff")
_ABOUT = """\
Convert photographs (JPEG, PNG, TIFF, HEIC or camera RAW) to HDR pictures of linear light, Rec. 709 primaries.

In the result, 1.0 is where the camera clipped; the highlights that it lost are above. Photographs are turned upright,
and their colour profiles are honoured. With a profile of the camera, or a bracket by it, tones are that camera's.
"""
_NOTES = """\
examples:
  ldr2hdr convert sunset.jpg -o sunset.exr --ckpt last.ckpt
  ldr2hdr convert photos/ -o hdr/ --format ultrahdr --camera my_camera.ldr2hdr --ckpt last.ckpt
  ldr2hdr convert "day1/*.jpg" b.png -o hdr/ --bracket bracket/ --ckpt last.ckpt

formats: exr (16-bit floats), hdr (Radiance), ultrahdr (the JPEG itself with a gain map), and with the extra
"formats" avif (PQ), jxl (lossless), tiff (32-bit floats)

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
        required=True,
        type=Path,
        help="file to write, its extension that of the format; or an existing folder, for any number of photographs",
    )
    parser.add_argument("--ckpt", type=Path, help="checkpoint of a trained network")
    camera = parser.add_mutually_exclusive_group()
    camera.add_argument("--camera", type=Path, metavar="PROFILE", help="profile that `ldr2hdr adapt` made")
    camera.add_argument("--bracket", type=Path, metavar="FOLDER", help="bracket of the same camera to adapt to first")
    parser.add_argument("--format", choices=_FORMATS, help="kind of the files in a folder (default: exr)")
    parser.add_argument(
        "--strength",
        type=_share,
        default=1.0,
        metavar="S",
        help="how much of the highlights above white is kept, in stops: 0 none, 1 all (default)",
    )
    parser.add_argument("--device", default="cpu", help="cpu (default), cuda, cuda:1")
    parser.add_argument("--force", action="store_true", help="overwrite existing files")
    parser.set_defaults(run=_run)


class _System(NamedTuple):
    """What converts: a predictor with its context, the camera that it is of, and a line about it."""

    predictor: "Reconstructor | Predictor"
    context: object
    camera: str | None
    about: str


def _run(args: argparse.Namespace) -> int:
    if args.ckpt is None:
        return complain(ValueError(NEEDS_CKPT), WRONG_USAGE)
    from rich.console import Console

    from ldr2hdr.convert import plan_jobs

    console = Console(soft_wrap=True, markup=False, highlight=False)
    try:
        jobs = plan_jobs(_find_photos(args.photos), args.out, extension=args.format, is_forced=args.force)
    except (ValueError, OSError) as error:
        return complain(error, WRONG_USAGE)
    try:
        system = _load_system(args)
    except (ValueError, OSError) as error:
        return complain(error, FAILED)
    console.print(system.about)
    num_failed = _convert_all(jobs, system, console, strength=args.strength)
    if len(jobs) > 1:
        console.print(f"{len(jobs) - num_failed} of {len(jobs)} photographs converted")
    return FAILED if num_failed else 0


def _load_system(args: argparse.Namespace) -> _System:
    """Load the checkpoint, and adapt it as asked for.

    Raises:
        ValueError: If checkpoint, profile or bracket are refused.
        OSError: If a file is not there.
    """
    from ldr2hdr.adapting.model import load

    model = load(args.ckpt, device=args.device)
    if args.camera is None and args.bracket is None:
        about = "single-shot: no camera profile was used; tones are those of the cameras trained on"
        return _System(model.single_shot(), None, None, about)
    adapted = model.adapt(args.bracket) if args.camera is None else model.camera(args.camera)
    camera, check = adapted.profile.camera, adapted.profile.check
    about = f"camera: {camera or 'not named by EXIF'}, from {args.camera or args.bracket}"
    if check is not None:
        after = check.stops[adapted.profile.steps]
        about += (
            f"; error on a photograph kept out {check.single_shot_stops:.3f} stops single-shot, {after:.3f} adapted"
        )
    return _System(*adapted.predictor(), camera, about)


def _find_photos(words: Sequence[str]) -> list[Path]:
    """Files as they are named, those of folders and of patterns sorted; none twice.

    Raises:
        ValueError: If a folder or a pattern gives none.
    """
    found: dict[Path, None] = {}
    for word in words:
        path = Path(word)
        if path.is_dir():
            from ldr2hdr.adapting.brackets import PHOTO_SUFFIXES
            from ldr2hdr.data.datasets.files import list_files

            paths, what = list_files(path, PHOTO_SUFFIXES), "the folder holds no photograph (JPEG, PNG, TIFF or HEIC)"
        elif glob.has_magic(word) and not path.exists():
            paths, what = sorted(Path(name) for name in glob.glob(word, recursive=True)), "no file is of this pattern"
            paths = [path for path in paths if path.is_file()]
        else:
            paths, what = [path], ""
        if not paths:
            raise ValueError(f"{what}: {word}")
        found |= dict.fromkeys(paths)
    return list(found)


def _convert_all(jobs: Sequence["Job"], system: _System, console: "Console", *, strength: float) -> int:
    """Convert one after the other, whatever happens to the others; returns how many failed."""
    from ldr2hdr.convert import convert_photo

    num_failed = 0
    for job in _with_progress(jobs, console):
        try:
            converted = convert_photo(job, system.predictor, context=system.context, strength=strength)
            console.print(_describe(converted))
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


def _share(text: str) -> float:
    share = float(text)
    if not 0 <= share <= 1:
        raise ValueError(text)
    return share
