"""The page's server: it listens to this machine alone."""

import secrets
import socket
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

from werkzeug.serving import WSGIRequestHandler, make_server

from ldr2hdr.cli.app.page import Settings
from ldr2hdr.cli.app.service import Desk
from ldr2hdr.cli.app.views import Page
from ldr2hdr.inference.profiles.model import Model

LOOPBACK: Final = "127.0.0.1"
_IDLE_S: Final = 60


class Served(NamedTuple):
    """A server that listens.

    Attributes:
        url: Of the page.
        serve: Answers until it is interrupted, or ``stop`` is called from another thread.
        stop: Ends ``serve``.
    """

    url: str
    serve: Callable[[], None]
    stop: Callable[[], None]


@contextmanager
def listen(model: Model, *, port: int, max_bytes: int, max_pixels: int) -> Iterator[Served]:
    """Listen on the loopback interface; afterwards no file is left.

    Args:
        model: What converts.
        port: 0 for any that is free.
        max_bytes: Of all files that are sent at once.
        max_pixels: Of a photograph.

    Raises:
        OSError: If the port is taken.
    """
    with (
        tempfile.TemporaryDirectory(prefix="ldr2hdr-app-") as folder,
        socket.create_server((LOOPBACK, port)) as listening,
    ):
        desk = Desk(model, Path(folder), max_pixels=max_pixels)
        page = Page(desk, Settings(secrets.token_urlsafe(32), max_bytes, max_pixels))
        number = listening.getsockname()[1]
        server = make_server(LOOPBACK, number, page, threaded=True, request_handler=_Handler, fd=listening.fileno())
        try:
            yield Served(f"http://{LOOPBACK}:{number}/", server.serve_forever, server.shutdown)
        finally:
            server.server_close()
            page.close()


class _Handler(WSGIRequestHandler):
    timeout = _IDLE_S  # of a connection that nothing comes from

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Say nothing: the page shows its own state."""
