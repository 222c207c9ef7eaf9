"""``ldr2hdr prepare``: decode a data set once."""

import argparse
import functools
import sys
from pathlib import Path

from ldr2hdr.cli.messages import FAILED, WRONG_USAGE, complain

_ABOUT = """\
Decode a data set once into a folder of files of which a crop reads its own part; task.prepared makes training use it.

LDR pictures keep their codes, without loss. HDR pictures become half floats where the relative error is at most 2**-11,
else single floats; index.json has the measured error of each. A run that was killed goes on where it was: what is
whole, by its hash, is kept.
"""
_NOTES = """\
examples:
  ldr2hdr prepare LDR-HDR-pair_Dataset/ -o prepared/
  python -m ldr2hdr.train task=bracket dataset=ldr_hdr_pair dataset.root=LDR-HDR-pair_Dataset task.prepared=prepared

exit codes: 0 complete; 1 there are corrupt files (the other scenes are prepared; --skip-bad goes without those);
2 wrong usage, such as a folder that holds something else
"""


def add_command(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Describe ``ldr2hdr prepare`` to the parser."""
    parser = commands.add_parser(
        "prepare",
        help="decode a data set once, for fast training",
        description=_ABOUT,
        epilog=_NOTES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("root", type=Path, metavar="ROOT", help="folder of the set")
    parser.add_argument("--dataset", metavar="NAME", help="its kind, as in conf/dataset (default: by its layout)")
    parser.add_argument("--test-root", type=Path, metavar="FOLDER", help="its test scenes, where they are apart")
    parser.add_argument(*("-o", "--out"), required=True, type=Path, metavar="CACHE", help="folder to write")
    parser.add_argument("--skip-bad", action="store_true", help="leave out scenes with corrupt files")
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> int:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from ldr2hdr.data.doctor.known_sets import guess_set, open_set
    from ldr2hdr.data.loading.preparing import prepare

    console = Console(soft_wrap=True, markup=False, highlight=False)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    try:
        name = args.dataset or guess_set(args.root)
        dataset = open_set(args.root, name, cache_dir=args.out, test_root=args.test_root)
        with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as progress:
            track = functools.partial(progress.track, description="preparing")
            done = prepare(dataset, args.out, name=name, root=args.root, is_skipping=args.skip_bad, track=track)
    except (ValueError, OSError) as error:
        return complain(error, WRONG_USAGE)
    console.print(done.summary())
    for file in done.written.skipped:
        sys.stderr.write(f"corrupt: {file.file}: {file.reason}\n")
    if done.written.is_complete:
        return 0
    return complain(ValueError("mend the corrupt files, or go without them by --skip-bad"), FAILED)
