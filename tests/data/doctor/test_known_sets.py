"""A folder is taken for the set that it is, or the user is asked."""

from pathlib import Path

import pytest
import yaml
from lookalikes import LOOKALIKES, light_of, write_hdr

from ldr2hdr import cli
from ldr2hdr.build import CONF_DIR
from ldr2hdr.data.doctor.known_sets import guess_set, open_set
from ldr2hdr.data.loading.prepared_index import read_index

EXPECTED = ("hdr_real", "ldr_hdr_pair", "kalantari", "ntire2021", "si_hdr", "drtmo", "hdr_synth", "funt")


@pytest.mark.parametrize("name", EXPECTED)
def test_a_layout_is_recognised(name, root):
    LOOKALIKES[name].write_all(root, (1, 4))
    assert guess_set(root) == name


@pytest.mark.parametrize(("name", "guess"), [("bracket_folder", "bracket_folder"), ("fairchild", "fairchild")])
def test_a_loose_layout_is_recognised_where_no_other_is(name, guess, root, doctor, capsys):
    LOOKALIKES[name].write_all(root, (1, 4))
    _, report = doctor()
    assert (report["dataset"], report["is_guessed"]) == (guess, True)
    assert "guessed" in capsys.readouterr().out


def test_ordinary_pictures_are_a_folder_of_hdr(root, doctor):
    for seed, name in enumerate(("a.hdr", "sub/b.hdr")):
        write_hdr(root / name, light_of(seed))
    (root / "odd.hdr").write_bytes(b"#?RADIANCE no more")
    code, report = doctor()
    assert (report["dataset"], code) == ("hdr_folder", 1)
    assert {finding["path"] for finding in report["findings"] if finding["severity"] == "error"} == {"odd.hdr"}


def test_ordinary_pictures_are_prepared(root, tmp_path):
    write_hdr(root / "a.hdr", light_of(0))
    out = tmp_path / "prepared"
    assert cli.main(["prepare", str(root), "--dataset", "hdr_folder", "-o", str(out)]) == 0
    assert [scene.source.id for scene in read_index(out).scenes] == ["a.hdr"]


@pytest.mark.parametrize("words", [["--dataset", "nonsense"], ["--dataset", "kalantari"]])
def test_wrong_usage_leaves_no_folder_behind(root, tmp_path, words):
    LOOKALIKES["hdr_eye"].write_all(root, (1,))
    assert cli.main(["doctor", str(root), *words, "-o", str(tmp_path / "out")]) == 2
    assert not (tmp_path / "out").exists()


def test_wrong_usage_names_the_sets(root, tmp_path, capsys):
    LOOKALIKES["hdr_eye"].write_all(root, (1,))
    for words, expected in (
        ([str(root)], "may be any of hdr_real, hdr_eye: say which by --dataset"),
        ([str(tmp_path / "none")], "found none"),
        ([str(root), "--dataset", "nonsense"], "unknown data set 'nonsense', expected one of ldr_hdr_pair, "),
        ([str(root), "--dataset", "kalantari"], "expected **/exposure.txt"),
        ([str(CONF_DIR)], "looks like no set: name one of ldr_hdr_pair, "),
        ([str(root), "--dataset", "hdr_eye", "-o", str(root / "00001" / "gt.hdr")], "gt.hdr"),
    ):
        assert cli.main(["doctor", *(["-o", str(tmp_path / "out")] if "-o" not in words else []), *words]) == 2
        assert expected in capsys.readouterr().err


def test_names_are_those_of_the_conf(root):
    """Every reader of records that has a conf can be named, and no other."""
    confs = {path.stem: yaml.safe_load(path.read_text()) for path in Path(CONF_DIR).glob("dataset/*.yaml")}
    readers = {name: conf["_target_"] for name, conf in confs.items() if ".datasets." in conf["_target_"]}
    with pytest.raises(ValueError, match="expected one of") as told:
        open_set(root, "nonsense", cache_dir=root)
    names = str(told.value).split("expected one of ")[1].split(", ")
    assert set(names) == set(readers)
