"""``ldr2hdr import-weights``: released weights of a published network to a checkpoint."""

import argparse
from pathlib import Path

from ldr2hdr.cli.messages import FAILED, complain


def add_command(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Describe ``ldr2hdr import-weights`` to the parser."""
    parser = commands.add_parser(
        "import-weights",
        help="make a checkpoint of released weights",
        description="Make a checkpoint of the weights that the authors of a published network released.",
    )
    parser.add_argument("kind", choices=("hdrcnn", "expandnet", "hdrunet"), help="whose network")
    parser.add_argument("file", type=Path, metavar="FILE", help="the weights: .npz of HDRCNN, .pth of the others")
    parser.add_argument(*("-o", "--out"), required=True, type=Path, metavar="CKPT", help="checkpoint to write")
    parser.add_argument("--force", action="store_true", help="overwrite an existing one")
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> int:
    from rich.console import Console

    from ldr2hdr.inference.import_weights import import_weights

    try:
        written = import_weights(args.kind, args.file, args.out, is_forced=args.force)
    except (ValueError, OSError) as error:
        return complain(error, FAILED, about=args.file)
    console = Console(soft_wrap=True, markup=False, highlight=False)
    console.print(f"wrote {written.path}: {written.num_parameters:,} parameters; please cite {written.citation}")
    return 0
