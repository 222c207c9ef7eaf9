"""``ldr2hdr export``: a network for programs without Python."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from ldr2hdr.cli.checkpoint import add_checkpoint_options, load_model
from ldr2hdr.cli.messages import FAILED, WRONG_USAGE, complain
from ldr2hdr.cli.outputs import require_writable

if TYPE_CHECKING:
    from ldr2hdr.inference.export.onnx_file import Exported

_ABOUT = """\
Write a network as an ONNX file, for programs without Python: single-shot, or adapted to the camera of a profile.

The file takes pictures of any size and gives linear light. Before it is there, ONNX Runtime computes two pictures with
it, and what torch makes of them must be the same to 1e-4. It needs the extra "onnx".
"""
_NOTES = """\
examples:
  ldr2hdr export --onnx net.onnx
  ldr2hdr export --onnx my_camera.onnx --camera my_camera.ldr2hdr --ckpt last.ckpt

in the file: input "ldr" (1, 3, height, width), float32, sRGB codes in [0, 1], red green blue, at least 16 pixels a
side; output "exposure" of the same size, linear light of Rec. 709 primaries, 1 where the camera clips. All of a picture
is computed at once: a large one needs as much memory as its network makes of it. The metadata state units, the licence
and the sha256 of the checkpoint.

exit codes: 0 written; 1 the checkpoint, the profile or the export failed (nothing is written); 2 wrong usage
"""


def add_command(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Describe ``ldr2hdr export`` to the parser."""
    parser = commands.add_parser(
        "export",
        help="write a network as an ONNX file",
        description=_ABOUT,
        epilog=_NOTES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--onnx", required=True, type=Path, metavar="OUT", help="file to write, ending in .onnx")
    add_checkpoint_options(parser)
    parser.add_argument("--camera", type=Path, metavar="PROFILE", help="profile that `ldr2hdr adapt` made")
    parser.add_argument("--force", action="store_true", help="overwrite an existing file")
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> int:
    out: Path = args.onnx
    try:
        require_writable(out, option="--onnx", what="an ONNX file", is_forced=args.force)
    except OSError as error:
        return complain(error, WRONG_USAGE)
    from rich.console import Console

    try:
        exported = _export(args)
    except (ValueError, OSError) as error:
        return complain(error, FAILED)
    sizes = " and ".join(f"{width} x {height}" for height, width in exported.sizes)
    Console(soft_wrap=True, markup=False, highlight=False).print(
        f"wrote {out}: {out.stat().st_size / 1e6:.2f} MB; ONNX Runtime and torch differ by at most "
        f"{exported.difference:.1e} on pictures of {sizes} pixels"
    )
    return 0


def _export(args: argparse.Namespace) -> "Exported":
    """Load, adapt and write.

    Raises:
        ValueError: If the checkpoint, the profile or the network is refused.
        OSError: If a file is not there.
    """
    from ldr2hdr.inference.export.onnx_file import export_onnx

    model = load_model(args)
    about = {
        "ldr2hdr.model_sha256": model.sha256,
        "ldr2hdr.licence": "MIT" if args.ckpt is None else "that of the checkpoint which model_sha256 names",
        "ldr2hdr.camera": "any (single-shot)",
    }
    if args.camera is None:
        return export_onnx(args.onnx, model.single_shot(), about=about)
    adapted = model.camera(args.camera)
    about["ldr2hdr.camera"] = adapted.profile.camera or "not named by EXIF"
    return export_onnx(args.onnx, adapted.network, about=about)
