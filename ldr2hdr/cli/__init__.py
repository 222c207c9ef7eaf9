"""``ldr2hdr`` command for people with photographs; one file per subcommand.

Torch takes seconds to import: it comes in with the functions that compute, so that ``--help`` is immediate.
"""

import argparse
import sys
from collections.abc import Sequence
from importlib.metadata import version

from ldr2hdr.cli import (
    adapt,
    compare,
    convert,
    doctor,
    export,
    import_weights,
    merge,
    prepare,
    profile,
    report,
    results,
    serve,
)
from ldr2hdr.cli.messages import INTERRUPTED

_DESCRIPTION = "Reconstruct the light that a photograph lost: from an 8-bit picture to linear HDR."
_EXAMPLES = """\
examples:
  ldr2hdr convert sunset.jpg -o sunset.exr
  ldr2hdr adapt bracket/ -o my_camera.ldr2hdr
  ldr2hdr convert photos/ -o hdr/ --camera my_camera.ldr2hdr
  ldr2hdr profile my_camera.ldr2hdr --report my_camera.html
  ldr2hdr merge bracket/ -o scene.exr
  ldr2hdr app --open
  ldr2hdr results outputs/demo/evaluation/results.json
  ldr2hdr report outputs/demo/evaluation outputs/demo/maml
  ldr2hdr doctor LDR-HDR-pair_Dataset/
  ldr2hdr prepare LDR-HDR-pair_Dataset/ -o prepared/

A model ships with ldr2hdr; --ckpt names another: python -m ldr2hdr.train --help
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
        return INTERRUPTED


def _build_parser() -> argparse.ArgumentParser:
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser("ldr2hdr", description=_DESCRIPTION, epilog=_EXAMPLES, formatter_class=raw)
    parser.add_argument("--version", action="version", version=f"ldr2hdr {version('ldr2hdr')}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    analyses = (results, compare, report, doctor, prepare)
    for command in (convert, adapt, profile, merge, serve, *analyses, import_weights, export):
        command.add_command(commands)
    return parser
