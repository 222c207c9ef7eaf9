"""The server as a program: it listens to this machine alone, says what is wrong, and leaves nothing."""

import os
import signal
import socket
import sys
import threading
import urllib.request
from pathlib import Path

import pytest

from ldr2hdr import cli
from ldr2hdr.cli.app.server import LOOPBACK, listen
from ldr2hdr.inference.profiles.model import Model


def test_it_listens_on_the_loopback_and_leaves_nothing(
    model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with listen(model, port=0, max_bytes=1000, max_pixels=1000) as served:
        thread = threading.Thread(target=served.serve)
        thread.start()
        port = int(served.url.rsplit(":", 1)[1].strip("/"))
        assert served.url.startswith(f"http://{LOOPBACK}:")
        assert b"Drop a photograph" in urllib.request.urlopen(served.url, timeout=20).read()
        others = {info[4][0] for info in socket.getaddrinfo(socket.gethostname(), port, socket.AF_INET)} - {LOOPBACK}
        for address in (address for address in others if not address.startswith("127.")):
            with pytest.raises(OSError, match="refused"):
                socket.create_connection((address, port), timeout=5)
        assert len(list(tmp_path.iterdir())) == 1
        with pytest.raises(OSError, match="in use"), listen(model, port=port, max_bytes=1, max_pixels=1):
            pass
        served.stop()
        thread.join(20)
    assert list(tmp_path.iterdir()) == []


def test_the_command_opens_the_page_and_ends_by_a_signal(
    ckpt: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seen: list[int] = []

    def visit(url: str) -> None:
        seen.append(urllib.request.urlopen(url, timeout=60).status)
        seen.append(len(list(tmp_path.glob("ldr2hdr-app-*"))))
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr("webbrowser.open", lambda url: threading.Thread(target=visit, args=(url,)).start())
    before = signal.getsignal(signal.SIGTERM)
    assert cli.main(["app", "--port", "0", "--open", "--ckpt", str(ckpt)]) == 0
    assert signal.getsignal(signal.SIGTERM) == before
    assert seen == [200, 1]
    first, last = capsys.readouterr().out.splitlines()
    assert first.startswith(f"ldr2hdr is at http://{LOOPBACK}:")
    assert last == "ended; nothing is kept"
    assert list(tmp_path.iterdir()) == []


def test_a_taken_port_and_a_bad_checkpoint_are_said(
    ckpt: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server((LOOPBACK, 0)) as taken:
        port = str(taken.getsockname()[1])
        assert cli.main(["app", "--port", port, "--ckpt", str(ckpt)]) == 1
    assert "in use" in capsys.readouterr().err
    assert cli.main(["app", "--ckpt", str(tmp_path / "none.ckpt")]) == 1
    assert "none.ckpt" in capsys.readouterr().err


def test_a_missing_package_is_named(
    ckpt: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.startswith("ldr2hdr.cli.app.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "werkzeug.serving", None)
    assert cli.main(["app", "--ckpt", str(ckpt)]) == 1
    assert "pip install 'ldr2hdr[app]'" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [["--port", "70000"], ["--port", "x"], ["--max-mb", "0"], ["--max-megapixels", "nan"], ["--max-megapixels", "135"]],
)
def test_wrong_usage(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["app", *words])
    assert ended.value.code == 2
    assert "got" in capsys.readouterr().err
