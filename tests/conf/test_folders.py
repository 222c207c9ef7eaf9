"""What people type becomes what Hydra understands."""

from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from ldr2hdr.configuration.folders import quote_paths


def test_a_path_that_is_there_is_itself_whatever_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    typed = ["ckpt=run/0_algo=maml,x=[1]/last.ckpt", "+others.a=a (1).ckpt", "resume=plain", "ckpt=Kamera/größe.ckpt"]
    typed += [f"ckpt={name}" for name in ("it's", "a=\\'b'", "back\\slash", "at the end\\", "写真", '"')]
    for one in typed:
        path = Path(one.partition("=")[2])
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    parsed = OverridesParser.create().parse_overrides(quote_paths(typed))
    assert [str(one.value()) for one in parsed] == [one.partition("=")[2] for one in typed]


def test_all_else_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "unet").touch()
    (tmp_path / "a b").mkdir()
    typed = ["--help", "-m", "algo=maml,fomaml", "backbone=unet", "steps=[0,1]", "ckpt='a=b'", "~x", "num_threads="]
    typed += ["--config-dir=a b", f"task.scene_evs=[{'0,' * 200}]"]
    assert quote_paths(typed) == typed
