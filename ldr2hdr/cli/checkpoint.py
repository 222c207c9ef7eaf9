"""Options of commands that work with a checkpoint, and the model that they name."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ldr2hdr.backbones.highlights.distribution import Statistic
    from ldr2hdr.inference.profiles.model import Model


def add_checkpoint_options(parser: argparse.ArgumentParser, *, what: str = "a trained network") -> None:
    """Add what names a checkpoint, and whose code it may be made of.

    Args:
        parser: Of the command.
        what: It is, for the help.
    """
    parser.add_argument("--ckpt", type=Path, help=f"checkpoint of {what} (default: the one that ships)")
    parser.add_argument(
        "--trust-package",
        action="append",
        default=[],
        metavar="NAME",
        help="package whose classes the checkpoint may be made of, installed or in the working folder, as "
        "trust=[NAME] of ldr2hdr.evaluate; may be repeated",
    )


def load_model(args: argparse.Namespace, *, device: str = "cpu", highlights: "Statistic | None" = None) -> "Model":
    """Load the checkpoint that the options of `add_checkpoint_options` name, or the one that ships.

    Args:
        args: As parsed.
        device: As of `ldr2hdr.load`.
        highlights: As of `ldr2hdr.load`.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is refused, or the device is not there.
    """
    from ldr2hdr.inference.profiles.model import load

    if args.trust_package and str(Path.cwd()) not in sys.path:
        sys.path.append(str(Path.cwd()))  # last: it hides nothing; `python -m` has it, a console script has not
    return load(args.ckpt, device=device, highlights=highlights, trust=args.trust_package)
