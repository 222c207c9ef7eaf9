"""The page's answers.

Whoever can open a port of this machine can open the page. What other sites could make a browser do is refused: names
that they let point here (the ``Host`` is checked), their forms and scripts (each request that changes something needs
a token that only the page has), frames and scripts in file names (the policy).
"""

import secrets
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, cast

from werkzeug.datastructures import FileStorage
from werkzeug.exceptions import (
    BadRequest,
    Forbidden,
    HTTPException,
    LengthRequired,
    NotFound,
    RequestEntityTooLarge,
    ServiceUnavailable,
    UnsupportedMediaType,
)
from werkzeug.routing import Map, Rule
from werkzeug.sansio.utils import host_is_trusted
from werkzeug.utils import send_file
from werkzeug.wrappers import Request, Response

from ldr2hdr.backbones.highlights.distribution import Statistic
from ldr2hdr.cli.app.page import HIGHLIGHTS, Settings, build_page
from ldr2hdr.cli.app.service import Desk, MergeChoices, Result
from ldr2hdr.cli.app.uploads import Upload, accept
from ldr2hdr.cli.app.worker import Told, TooMany, Work
from ldr2hdr.cli.stops import parse_stops
from ldr2hdr.inference.merging.merging import MergeOptions
from ldr2hdr.inference.tiling import OnShare
from ldr2hdr.io import ImageError

_NAMES: Final = ("127.0.0.1", "localhost")
TOKEN_HEADER: Final = "X-Ldr2hdr-Token"
MAX_BRACKET: Final = 30
_FORM_BYTES: Final = 2**16  # of what is around the files in a form
_MAX_WORDS: Final = 100
_HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_POLICY: Final = (
    "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; img-src data:; connect-src 'self'; "
    "form-action 'none'; frame-ancestors 'none'; base-uri 'none'"
)
_Task = Callable[[list[Upload], OnShare], str]


class Page:
    """The WSGI application.

    Args:
        desk: What the page works with.
        settings: Limits and token.
    """

    def __init__(self, desk: Desk, settings: Settings) -> None:
        self.settings = settings
        self._desk = desk
        self._work = Work()
        self._answers: dict[str, Callable[..., Response]] = {
            "/": self._start,
            "/photo": self._convert,
            "/bracket": self._adapt,
            "/merge": self._merge,
            "/result/<key>": self._show,
            "/result/<key>/exr": self._exr,
            "/result/<key>/ultrahdr": self._ultrahdr,
            "/camera/<key>/profile": self._profile,
        }
        posted = ("/photo", "/bracket", "/merge")
        rules = [Rule(at, endpoint=at, methods=["POST" if at in posted else "GET"]) for at in self._answers]
        self._urls = Map(rules)

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:  # noqa: ANN401 (WSGI's types)
        """Answer one request."""
        with Request(environ) as request:
            try:
                response = self._answer(request)
            except HTTPException as error:
                words = error.description or error.name
                response = Response(f"{words}\n", status=error.code, mimetype="text/plain")
            except OSError as error:  # a disk that is full, most of all
                words = error.strerror or str(error)
                response = Response(f"ldr2hdr cannot store this: {words}\n", status=507, mimetype="text/plain")
        for name, value in _HEADERS.items():
            response.headers.setdefault(name, value)
        return response(environ, start_response)

    def close(self) -> None:
        """End what is under way."""
        self._work.close()

    def _answer(self, request: Request) -> Response:
        if not host_is_trusted(request.environ.get("HTTP_HOST"), _NAMES):
            raise Forbidden("This page answers to localhost alone.")
        endpoint, values = self._urls.bind_to_environ(request.environ).match()
        if request.method == "POST":
            self._require_welcome(request)
        return self._answers[endpoint](request, **values)

    def _require_welcome(self, request: Request) -> None:
        """Refuse what no page of ours sent, and what is too large, before any of it is read."""
        token = request.headers.get(TOKEN_HEADER, "")
        if not secrets.compare_digest(token.encode(), self.settings.token.encode()):
            raise Forbidden("This page is of an earlier start of ldr2hdr; load it again.")
        if request.content_length is None:
            raise LengthRequired("The size of what is sent must be stated beforehand.")
        most = self.settings.max_bytes
        if request.content_length > most + _FORM_BYTES:
            raise RequestEntityTooLarge(f"Too large: up to {most / 1e6:.3g} MB can be sent at once.")
        request.max_content_length = most + _FORM_BYTES
        request.max_form_parts = MAX_BRACKET + 8

    def _start(self, request: Request) -> Response:
        return self._page(camera=request.args.get("camera"))

    def _show(self, request: Request, key: str) -> Response:
        result = self._result(key)
        return self._page(camera=result.camera, shown=(key, result))

    def _page(self, *, camera: str | None, shown: tuple[str, Result] | None = None) -> Response:
        nonce = secrets.token_urlsafe(16)
        text = build_page(
            self.settings,
            dict(self._desk.cameras),
            nonce=nonce,
            camera=camera,
            shown=shown,
            highlights=self._desk.highlights,
        )
        return Response(text, mimetype="text/html", headers={"Content-Security-Policy": _POLICY.format(nonce=nonce)})

    def _convert(self, request: Request) -> Response:
        files, camera = request.files.getlist("file"), request.form.get("camera") or None
        if len(files) != 1:
            raise BadRequest(f"Expected one photograph, got {len(files)}.")
        highlights = self._parse_highlights(request.form.get("highlights", ""))

        def convert(uploads: list[Upload], on_share: OnShare) -> str:
            return f"/result/{self._desk.convert(uploads[0], camera, on_share, highlights=highlights)}"

        return self._stream(files, convert)

    def _merge(self, request: Request) -> Response:
        files, form = _bracket(request), request.form
        options = MergeOptions(
            _parse_reference(form.get("reference", ""), most=len(files)),
            is_aligned=form.get("align") != "no",
            is_deghosted=form.get("deghost") != "no",
        )
        choices = MergeChoices(_parse_evs(form.get("evs", "")), form.get("camera") or None, options)
        return self._stream(files, lambda uploads, on_share: f"/result/{self._desk.merge(uploads, choices, on_share)}")

    def _parse_highlights(self, text: str) -> Statistic | None:
        if text not in ("", *HIGHLIGHTS) or (text and self._desk.highlights is None):
            raise BadRequest(f"Expected highlights by median or mean, got {text[:_MAX_WORDS]!r}.")
        return cast(Statistic, text) if text else None

    def _adapt(self, request: Request) -> Response:
        files = _bracket(request)
        evs = _parse_evs(request.form.get("evs", ""))
        return self._stream(files, lambda uploads, on_share: f"/?camera={self._desk.adapt(uploads, evs, on_share)}")

    def _stream(self, files: Sequence[FileStorage], task: _Task) -> Response:
        """Put a task to the others, and report on it until it is done."""
        try:
            told = self._put(files, task)
        except ImageError as error:
            raise UnsupportedMediaType(str(error)) from error
        except TooMany as error:
            raise ServiceUnavailable("Too many photographs are waiting; try again when one is done.") from error
        response = Response(told.lines, mimetype="application/x-ndjson")
        response.call_on_close(told.stop)
        return response

    def _put(self, files: Sequence[FileStorage], task: _Task) -> Told:
        """Store uploads in a folder of their own, which goes if the task fails."""
        folder = self._desk.make_folder()

        def run(on_share: OnShare) -> str:
            with _removed_on_failure(folder):
                on_share(0.0)
                return task(uploads, on_share)

        with _removed_on_failure(folder):
            uploads = [accept(file.save, folder, file.filename, number=number) for number, file in enumerate(files)]
            return self._work.start(run)

    def _exr(self, request: Request, key: str) -> Response:
        result = self._result(key)
        return _download(request, result.converted.output, f"{Path(result.upload.name).stem}.exr")

    def _ultrahdr(self, request: Request, key: str) -> Response:
        result = self._result(key)
        try:
            # looked up again: the result may go while this waits for others
            path = self._work.wait_for(lambda: self._desk.ultrahdr(self._result(key)))
        except ValueError as error:
            raise NotFound(f"This light cannot be stored as Ultra HDR: {error}") from error
        return _download(request, path, f"{Path(result.upload.name).stem}_hdr.jpg")

    def _profile(self, request: Request, key: str) -> Response:
        camera = self._desk.cameras.get(key)
        if camera is None:
            raise NotFound("That camera is gone; teach it anew.")
        return _download(request, camera.profile, "camera.ldr2hdr")

    def _result(self, key: str) -> Result:
        result = self._desk.results.get(key)
        if result is None:
            raise NotFound("That result is gone: a few are kept, while ldr2hdr runs. Convert the photograph again.")
        return result


@contextmanager
def _removed_on_failure(folder: Path) -> Iterator[None]:
    try:
        yield
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _download(request: Request, path: Path, name: str) -> Response:
    kind = "application/octet-stream"
    try:
        return send_file(path, request.environ, as_attachment=True, download_name=name, mimetype=kind)
    except FileNotFoundError:
        raise NotFound("That file is gone; make it anew.") from None


def _bracket(request: Request) -> list[FileStorage]:
    files = request.files.getlist("file")
    if not 2 <= len(files) <= MAX_BRACKET:
        raise BadRequest(f"Expected a bracket of 2 to {MAX_BRACKET} photographs, got {len(files)}.")
    return files


def _parse_reference(text: str, *, most: int) -> int | None:
    """Return the number from 0 of a photograph that is counted from 1."""
    if not text.strip():
        return None
    if not text.strip().isdecimal() or not 1 <= int(text) <= most:
        raise BadRequest(f"Expected a reference of 1 to {most}, got {text[:_MAX_WORDS]!r}.")
    return int(text) - 1


def _parse_evs(text: str) -> list[float] | None:
    try:
        return parse_stops(text) or None
    except ValueError as error:
        raise BadRequest(f"Expected exposures in stops, such as -2, 0, 2, got {text[:_MAX_WORDS]!r}.") from error
