"""``ldr2hdr app``: a page on this machine."""

import argparse
import signal
import webbrowser

from ldr2hdr.cli.checkpoint import add_checkpoint_options, load_model
from ldr2hdr.cli.messages import FAILED, complain

DEFAULT_PORT = 8470
_ABOUT = """\
Open a page on this machine: drop a photograph, look at its light with an exposure slider, download EXR or Ultra HDR.
Drop a bracket to merge it, or to teach the page your camera.

The page is served to this machine alone, and loads nothing from anywhere. Photographs are kept in a temporary folder
until the command ends. It needs the extra "app".
"""
_NOTES = """\
examples:
  ldr2hdr app --open
  ldr2hdr app --ckpt last.ckpt --port 0

From another machine, through ssh: ssh -L 8470:localhost:8470 HOST, then http://localhost:8470/ in the browser there.
Anybody with an account on this machine can open the page while it runs, but not see others' photographs.

exit codes: 0 ended by Ctrl+C; 1 the checkpoint failed, the port is taken or the extra is missing; 2 wrong usage
"""


def add_command(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Describe ``ldr2hdr app`` to the parser."""
    parser = commands.add_parser(
        "app",
        help="open a page to drop photographs on",
        description=_ABOUT,
        epilog=_NOTES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_checkpoint_options(parser)
    parser.add_argument("--device", default="cpu", help="cpu (default), cuda, cuda:1")
    parser.add_argument(
        "--port", type=_port, default=DEFAULT_PORT, help=f"of this machine (default: {DEFAULT_PORT}); 0 for a free one"
    )
    parser.add_argument("--open", action="store_true", help="open the page in the browser")
    parser.add_argument(
        "--max-mb", type=_positive, default=200.0, metavar="MB", help="most to send at once (default: 200)"
    )
    parser.add_argument(
        "--max-megapixels",
        type=_megapixels,
        default=64.0,
        metavar="MP",
        help="largest photograph (default: 64; at most 134)",
    )
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> int:
    from rich.console import Console

    try:
        from ldr2hdr.cli.app.server import listen
    except ModuleNotFoundError as error:
        missing = f"expected the package {error.name} for the page, it is not installed; pip install 'ldr2hdr[app]'"
        return complain(ValueError(missing), FAILED)
    console = Console(soft_wrap=True, markup=False, highlight=False)
    # so that the photographs are removed then, too
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        model = load_model(args, device=args.device)
        max_bytes, max_pixels = round(args.max_mb * 1e6), round(args.max_megapixels * 1e6)
        with listen(model, port=args.port, max_bytes=max_bytes, max_pixels=max_pixels) as served:
            console.print(f"ldr2hdr is at {served.url} - Ctrl+C ends it")
            if args.open:
                webbrowser.open(served.url)
            served.serve()
    except KeyboardInterrupt:
        pass
    except (ValueError, OSError) as error:
        return complain(error, FAILED)
    finally:
        signal.signal(signal.SIGTERM, before)
    console.print("ended; nothing is kept")
    return 0


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"expected a port from 0 to 65535, got {text!r}")
    return int(text)


def _megapixels(text: str) -> float:
    from ldr2hdr.io.files import MAX_PIXELS  # brings OpenCV, which no --help needs

    number = _positive(text)
    if number * 1e6 > MAX_PIXELS:
        raise argparse.ArgumentTypeError(f"expected at most {MAX_PIXELS / 1e6:.0f} megapixels, got {text!r}")
    return number


def _positive(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < 1e6:
        raise argparse.ArgumentTypeError(f"expected a positive number, got {text!r}")
    return number
