"""The command from end to end, and every bad input: one screen, the file named, nothing half-written."""

import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import OpenEXR
import pytest
import torch
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
from PIL import Image
from plain import plain
from rich.console import Console

from ldr2hdr import build, cli
from ldr2hdr.evaluation.results import TABLE_WIDTH, print_tables, write_results
from ldr2hdr.evaluation.scoring import Summary
from ldr2hdr.evaluation.stages import Stage
from ldr2hdr.io import HDR_FORMATS, RAW_SUFFIXES, read_ldr, read_radiance, write_image
from ldr2hdr.metrics.bootstrap import Interval

COLUMNS = [(metric, region) for metric in ("pu_psnr", "log2_rmse") for region in ("all", "well_exposed", "clipped")]


@pytest.fixture(scope="module")
def checkpoint() -> dict[str, Any]:
    with initialize_config_dir(build.CONF_DIR, version_base="1.3"):
        overrides = ["experiment=smoke", "backbone.widths=[4,8]", "paths.output_dir=unused", "num_threads=1"]
        cfg = compose("train", overrides=overrides)
    torch.manual_seed(0)
    learner = build.build_learner(cfg)
    with torch.no_grad():
        for parameter in learner.parameters():  # so that the fresh network is not the identity
            parameter.add_(0.1 * torch.randn_like(parameter))
    state = {f"learner.{name}": value for name, value in learner.state_dict().items()}
    return {"config": OmegaConf.to_yaml(cfg, resolve=True), "state_dict": state}


@pytest.fixture
def folder(tmp_path: Path, checkpoint: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder: a checkpoint, two photographs and an empty folder for the results."""
    monkeypatch.chdir(tmp_path)
    torch.save(checkpoint, "net.ckpt")
    ramp = torch.linspace(0, 1, 24).expand(3, 16, 24)
    write_image("a.png", ramp)
    write_image("b.jpg", ramp.flip(-1))
    Path("out").mkdir()
    return tmp_path


def convert(*words: str, ckpt: str = "net.ckpt") -> int:
    return cli.main(["convert", *words, "--ckpt", ckpt])


def written() -> set[str]:
    return {str(path) for path in Path().rglob("*") if path.suffix in (".exr", ".hdr")}


def test_one_photo(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert convert("a.png", "-o", "a.exr") == 0
    learner, _ = build.load_learner("net.ckpt")
    with torch.inference_mode():
        expected = learner.single_shot()(read_ldr("a.png")[None])[0]
    torch.testing.assert_close(read_radiance("a.exr"), expected, rtol=1e-3, atol=1e-5)
    out = capsys.readouterr().out
    assert "single-shot: no camera profile" in out
    stops = expected.max().log2().item()
    side = "above" if stops >= 0 else "below"
    assert re.search(rf"wrote a.exr: 24 x 16 pixels, \S+ MB, brightest pixel {abs(stops):.1f} stops {side} white", out)


def test_a_batch_goes_on_after_a_bad_photo(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert convert("a.png", "missing.jpg", "b.jpg", "-o", "out", "--format", "hdr") == 1
    assert written() == {"out/a.hdr", "out/b.hdr"}
    captured = capsys.readouterr()
    assert captured.err == "ldr2hdr: error: expected a picture, found no such file: missing.jpg\n"
    assert "2 of 3 photographs converted" in captured.out


def test_an_error_that_does_not_name_the_photo_is_prefixed(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "ldr2hdr.inference.convert.convert_photo",
        lambda job, network, **options: (_ for _ in ()).throw(OSError("full")),
    )
    assert convert("a.png", "-o", "a.exr") == 1
    assert capsys.readouterr().err == "ldr2hdr: error: a.png: full\n"


def test_of_twenty_photographs_one_is_broken(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("photos").mkdir()
    for number in range(20):
        Path(f"photos/{number:02}.jpg").write_bytes(Path("b.jpg").read_bytes())
    Path("photos/07.jpg").write_bytes(Path("b.jpg").read_bytes()[:200])
    assert convert("photos", "-o", "out") == 1
    captured = capsys.readouterr()
    assert written() == {f"out/{number:02}.exr" for number in range(20) if number != 7}
    assert captured.err.count("\n") == 1
    assert "photos/07.jpg" in captured.err
    assert captured.out.endswith("19 of 20 photographs converted\n")


def test_folders_patterns_and_names_are_photographs_once_each(folder: Path) -> None:
    Path("more").mkdir()
    for name in ("more/c.PNG", "more/.hidden.png", "more/d.dng", "more/c.nef"):
        Path(name).write_bytes(Path("a.png").read_bytes())
    assert convert("*.png", "a.png", "more", "-o", "out") == 0
    # of a RAW file and what was developed from it, the latter; what a file holds is told by its content
    assert written() == {"out/a.exr", "out/c.exr", "out/d.exr"}


@pytest.mark.parametrize(
    ("word", "message"), [("*.tiff", "no file is of this pattern"), ("out", "the folder holds no photograph")]
)
def test_what_gives_no_photograph_is_wrong_usage(
    folder: Path, capsys: pytest.CaptureFixture[str], word: str, message: str
) -> None:
    assert convert("a.png", word, "-o", "out") == 2
    assert message in capsys.readouterr().err
    assert written() == set()


def test_without_a_name_files_lie_beside_their_photographs(folder: Path) -> None:
    assert convert("a.png", "b.jpg") == 0
    assert written() == {"a.exr", "b.exr"}
    original = Path("b.jpg").read_bytes()
    assert convert("b.jpg", "--format", "ultrahdr") == 0
    assert Path("b.jpg").read_bytes() == original
    assert Path("b_hdr.jpg").read_bytes() != original


@pytest.mark.parametrize(
    ("format", "start"),
    [
        ("exr", b"\x76\x2f\x31\x01"),
        ("hdr", b"#?"),
        ("ultrahdr", b"\xff\xd8"),
        ("tiff", b"II*\0"),
        ("jxl", b""),
        ("avif", b"\0\0"),
    ],
)
def test_each_format(folder: Path, format: str, start: bytes) -> None:
    pytest.importorskip("imagecodecs", reason="the extra that writes AVIF, JPEG XL and TIFF")
    assert convert("a.png", "-o", "out", "--format", format) == 0
    (made,) = Path("out").iterdir()
    assert made.suffix == HDR_FORMATS[format][0]
    assert made.read_bytes().startswith(start)


def test_strength_takes_back_what_is_above_white(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("ldr2hdr.inference.profiles.model.Model.single_shot", lambda model: plain(lambda ldr: 16 * ldr))
    for strength, brightest in (("1", 16.0), ("0.5", 4.0), ("0", 1.0)):
        assert convert("a.png", "-o", "a.exr", "--strength", strength, "--force") == 0
        assert read_radiance("a.exr").max().item() == pytest.approx(brightest, rel=1e-3)
    with pytest.raises(SystemExit, match="2"):
        convert("a.png", "-o", "a.exr", "--strength", "2")
    with pytest.raises(SystemExit, match="2"):
        convert("a.png", "-o", "a.exr", "--strength", "half")
    assert "expected a number from 0 to 1, got 'half'" in capsys.readouterr().err


def test_damaged_exif_is_noted_once_and_the_photograph_converted(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.open("b.jpg").save("c.jpg", exif=b"Exif\0\0II*\0\x08\0\0\0\x05\0")
    assert convert("b.jpg", "c.jpg", "-o", "out") == 0
    captured = capsys.readouterr()
    notes = [line for line in captured.out.splitlines() if line.startswith("note:")]
    assert notes == ["note: c.jpg: its EXIF is damaged, part of it cannot be read"]
    assert captured.err == ""
    assert written() == {"out/b.exr", "out/c.exr"}


@pytest.mark.parametrize("suffix", RAW_SUFFIXES)
def test_every_kind_of_raw_file_is_found_in_a_folder(folder: Path, suffix: str) -> None:
    Path("a.png").rename(f"out/d{suffix.upper()}")  # what a file holds is told by its content
    assert convert("out") == 0
    assert written() == {"out/d.exr"}


def test_half_or_single_precision(folder: Path) -> None:
    for options, dtype in ([], np.float16), (["--float"], np.float32):
        assert convert("a.png", "-o", "a.exr", "--force", *options) == 0
        assert OpenEXR.File("a.exr").channels()["RGB"].pixels.dtype == dtype


def test_a_read_only_folder(folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != Path("out"))
    assert convert("a.png", "b.jpg", "-o", "out") == 2
    assert capsys.readouterr().err == "ldr2hdr: error: the folder out to write to is read-only; choose another by -o\n"


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="the folder where not even root may create files")
@pytest.mark.parametrize("format", ["exr", "hdr", "ultrahdr", "jxl", "tiff"])
def test_a_folder_that_only_looks_writable(folder: Path, capsys: pytest.CaptureFixture[str], format: str) -> None:
    pytest.importorskip("imagecodecs", reason="the extra that writes JPEG XL and TIFF")
    assert convert("a.png", "b.jpg", "-o", "/proc/self", "--format", format) in (1, 2)
    errors = capsys.readouterr().err.splitlines()
    assert errors
    assert all("/proc/self" in error and error.startswith("ldr2hdr: error: ") for error in errors)


def test_an_existing_file_needs_force(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("out/b.exr").write_bytes(b"old")
    assert convert("a.png", "b.jpg", "-o", "out") == 2
    assert "refusing to overwrite out/b.exr; use --force" in capsys.readouterr().err
    assert written() == {"out/b.exr"}
    assert convert("a.png", "b.jpg", "-o", "out", "--force") == 0
    assert read_radiance("out/b.exr").shape == (3, 16, 24)


def make_bad_photo(kind: str) -> str:
    good = {"png": Path("a.png").read_bytes(), "jpg": Path("b.jpg").read_bytes()}
    if kind.startswith("truncated"):
        extension = kind.split()[1]
        name, data = f"bad.{extension}", good[extension][: len(good[extension]) // 2]
    elif kind == "text":
        name, data = "bad.jpg", b"not a picture at all\n"
    elif kind == "empty":
        name, data = "bad.jpg", b""
    else:
        write_image("bad.hdr", torch.ones(3, 4, 4))
        name, data = "bad.jpg", Path("bad.hdr").read_bytes()
        Path("bad.hdr").unlink()
    Path(name).write_bytes(data)
    return name


@pytest.mark.parametrize("kind", ["truncated png", "truncated jpg", "text", "empty", "hdr given as ldr"])
def test_bad_photos_are_named(folder: Path, capsys: pytest.CaptureFixture[str], kind: str) -> None:
    name = make_bad_photo(kind)
    assert convert(name, "-o", "x.exr") == 1
    error = capsys.readouterr().err
    assert name in error
    assert error.count("\n") == 1
    assert written() == set()


@pytest.mark.parametrize(
    ("out", "message"), [("missing/a.exr", "folder missing"), ("a.bmp", "a.bmp"), ("missing", "missing")]
)
def test_bad_outputs_are_wrong_usage(folder: Path, capsys: pytest.CaptureFixture[str], out: str, message: str) -> None:
    assert convert("a.png", "-o", out) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


class Malicious:
    """Creates a file when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("pwned",)


def spoil(checkpoint: dict[str, Any], kind: str) -> None:
    if kind == "pickle":
        torch.save({**checkpoint, "config": Malicious()}, "bad.ckpt")
    elif kind == "target":
        cfg = OmegaConf.create(checkpoint["config"])
        # what a prefix check would let through: the `os` that a module of ours imported
        cfg.response = {"_target_": "ldr2hdr.io.files.os.mkdir", "path": "pwned"}
        torch.save({**checkpoint, "config": OmegaConf.to_yaml(cfg)}, "bad.ckpt")
    elif kind == "interpolation":
        cfg = OmegaConf.create(checkpoint["config"])
        cfg.backbone.norm = "${evil}"
        cfg.evil = {"_target_": "ldr2hdr.io.files.os.mkdir", "path": "pwned"}
        torch.save({**checkpoint, "config": OmegaConf.to_yaml(cfg)}, "bad.ckpt")
    elif kind == "no yaml":
        torch.save({**checkpoint, "config": "a: [1, 2"}, "bad.ckpt")
    elif kind == "no parameter":
        cfg = OmegaConf.create(checkpoint["config"])
        cfg.backbone.depth = 5
        torch.save({**checkpoint, "config": OmegaConf.to_yaml(cfg)}, "bad.ckpt")
    elif kind == "no config":
        torch.save({**checkpoint, "config": ""}, "bad.ckpt")
    elif kind == "other weights":
        torch.save({**checkpoint, "state_dict": {}}, "bad.ckpt")
    elif kind == "garbage":
        Path("bad.ckpt").write_bytes(b"\x00garbage" * 50)
    elif kind == "truncated":
        Path("bad.ckpt").write_bytes(Path("net.ckpt").read_bytes()[:2000])
    elif kind == "no keys":
        torch.save({"weights": torch.ones(3)}, "bad.ckpt")


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("missing", "no checkpoint at"),
        ("garbage", "is no PyTorch file"),
        ("truncated", "not a readable PyTorch file"),
        ("no keys", "needs the keys config and state_dict"),
        ("no config", "its response must be one that conf/response/ names, got none"),
        ("other weights", "does not hold the network that it describes"),
        ("pickle", "holds more than tensors and is refused"),
        ("interpolation", "is refused: its configuration must be YAML without interpolations"),
        ("no yaml", "holds a configuration that is not YAML"),
        ("no parameter", "does not hold the network that it describes.*"),
        ("target", "is refused: its response must be .* got ldr2hdr.io.files.os.mkdir"),
    ],
)
def test_bad_checkpoints_are_refused(
    folder: Path, checkpoint: dict[str, Any], capsys: pytest.CaptureFixture[str], kind: str, message: str
) -> None:
    spoil(checkpoint, kind)
    assert convert("a.png", "-o", "a.exr", ckpt="bad.ckpt") == 1
    error = capsys.readouterr().err
    assert re.search(message, error)
    assert "bad.ckpt" in error
    assert error.count("\n") == 1
    assert written() == set()
    assert not Path("pwned").exists()


def test_the_malicious_pickle_would_have_worked(folder: Path, checkpoint: dict[str, Any]) -> None:
    spoil(checkpoint, "pickle")
    torch.load("bad.ckpt", weights_only=False)
    assert Path("pwned").is_dir()


def test_ctrl_c_is_no_traceback(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupt(args: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("ldr2hdr.cli.convert._run", interrupt)
    assert convert("a.png", "-o", "a.exr") == 130
    assert "interrupted" in capsys.readouterr().err


@pytest.mark.parametrize("argv", [[], ["convert"], ["convert", "-o", "x.exr"], ["develop"]])
def test_wrong_usage_is_2(argv: list[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        cli.main(argv)


def test_help_imports_nothing_heavy() -> None:
    program = (
        "import sys; from ldr2hdr import cli\n"
        "try: cli.main(['convert', '--help'])\n"
        "except SystemExit: sys.exit(' '.join({'torch', 'lightning', 'hydra', 'numpy', 'rich'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.stderr.strip() == ""
    assert "--ckpt" in done.stdout


def test_photographs_need_no_lightning(tmp_path: Path) -> None:
    """Which takes twice as long to import as torch."""
    write_image(tmp_path / "photo.png", torch.rand(3, 32, 32))
    program = (
        "import sys; sys.modules['lightning'] = None\n"
        "from ldr2hdr import cli; import ldr2hdr.evaluation.results, ldr2hdr.cli.app.server\n"
        "sys.exit(cli.main(['convert', 'photo.png', '-o', 'photo.exr']))"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_compare_and_import_weights_tell_what_is_wrong(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["compare", "nothing", "nowhere"]) == 1
    assert "nothing" in capsys.readouterr().err
    Path("weights.npz").write_text("no archive")
    assert cli.main(["import-weights", "hdrcnn", "weights.npz", "-o", "a.ckpt"]) == 1
    assert "weights.npz" in capsys.readouterr().err
    assert not Path("a.ckpt").exists()


def test_it_runs_as_a_module() -> None:
    command = [sys.executable, "-m", "ldr2hdr.cli", "--version"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert re.fullmatch(r"ldr2hdr \d+\.\d+\S*\n", done.stdout)


def summaries(opponent: Stage | None = None) -> list[Summary]:
    intervals = [Interval(1.5, 1.0, 2.0, 4), Interval(float("nan"), float("nan"), float("nan"), 0)]
    return [
        Summary(Stage("maml"), "phone", "unseen", metric, region, intervals[region == "clipped"], opponent)
        for metric, region in COLUMNS
    ]


def test_results_prints_the_tables_that_were_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    means, differences = summaries(), summaries(Stage("baseline"))
    write_results(tmp_path, scores=[], summaries=means, differences=differences, about={"seed": 1})
    assert cli.main(["results", str(tmp_path / "results.json")]) == 0
    expected = io.StringIO()
    print_tables(Console(file=expected, width=TABLE_WIDTH), summaries=means, differences=differences)
    assert capsys.readouterr().out == expected.getvalue()
    assert "maml" in expected.getvalue()


ROW = {"system": "maml", "camera_family": "phone", "ranges": "seen", "metric": "pu_psnr", "region": "all"}
NUMBERS = {"mean": 1.0, "low": None, "high": None, "num_scenes": 1}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no results at"),
        ("{", "is not JSON"),
        ("[]", "needs the keys means and differences"),
        ({"means": [], "differences": []}, "holds no result"),
        ({"means": [{"system": "maml"}], "differences": []}, "expected rows of system, camera_family"),
        ({"means": [{**ROW, **NUMBERS, "mean": "high"}], "differences": []}, "expected text, numbers"),
        ({"means": [{**ROW, **NUMBERS, "num_scenes": None}], "differences": []}, "expected text, numbers"),
        ({"means": 3, "differences": []}, "means must be a list"),
        ({"means": [{**ROW, **NUMBERS}], "differences": []}, "lacks pu_psnr/well_exposed, .* of 'maml'"),
    ],
)
def test_results_of_another_kind_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: object, message: str
) -> None:
    path = tmp_path / "results.json"
    if content is not None:
        path.write_text(content if isinstance(content, str) else json.dumps(content))
    assert cli.main(["results", str(path)]) == 1
    error = capsys.readouterr().err
    assert re.search(message, error)
    assert str(path) in error
