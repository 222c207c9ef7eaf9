"""Brackets among files: split by time and exposure, exposures from wherever they are said."""

import numpy as np
import pytest
from handmade import write_dng
from PIL import Image

from ldr2hdr.inference.merging.sets import as_bracket, find_brackets
from ldr2hdr.inference.profiles.brackets import RefusedBracket
from merging.brackets import save

GREY = np.full((8, 8, 3), 100, np.uint8)


def shots(folder, *frames):
    """Files of exposure time and second of the day, by number."""
    folder.mkdir(exist_ok=True)
    for number, (time_s, second) in enumerate(frames):
        taken = f"2026:01:01 10:{second // 60:02}:{second % 60:02}"
        save(folder / f"{number:02}.jpg", GREY, time_s=time_s, taken=taken)
    return folder


def names(found):
    return [[int(path.stem) for path in bracket.paths] for bracket in found.brackets]


def test_a_folder_is_split_where_exposures_recur(tmp_path):
    folder = shots(tmp_path / "a", *[(time, number) for number, time in enumerate([0.01, 0.04, 0.16] * 3)])
    assert names(find_brackets(folder)) == [[0, 1, 2], [3, 4, 5], [6, 7, 8]]


def test_a_folder_is_split_by_pauses(tmp_path):
    folder = shots(tmp_path / "a", (0.01, 0), (0.04, 1), (0.16, 120), (0.64, 121), (30.0, 130), (2.0, 175))
    assert names(find_brackets(folder)) == [[0, 1], [2, 3, 4, 5]]  # the last follows an exposure of half a minute


def test_a_single_photograph_is_no_bracket(tmp_path):
    folder = shots(tmp_path / "a", (0.01, 0), (0.04, 1), (0.16, 300))
    found = find_brackets(folder)
    assert names(found) == [[0, 1]]
    assert [path.name for path in found.left_out] == ["02.jpg"]


def test_cameras_are_kept_apart(tmp_path):
    for number, (time_s, model) in enumerate([(0.01, "One"), (0.04, "One"), (0.16, "Two"), (0.64, "Two")]):
        save(tmp_path / f"{number}.jpg", GREY, time_s=time_s, taken="2026:01:01 10:00:00", model=model)
    assert names(find_brackets(tmp_path)) == [[0, 1], [2, 3]]


def test_without_dates_names_give_the_order(tmp_path):
    for number, time_s in enumerate([0.01, 0.04, 0.01, 0.04]):
        save(tmp_path / f"{number}.jpg", GREY, time_s=time_s)
    assert names(find_brackets(tmp_path)) == [[0, 1], [2, 3]]


def test_a_list_of_exposures_makes_one_bracket(tmp_path):
    folder = shots(tmp_path, (0.01, 0), (0.04, 1), (0.01, 2), (0.04, 3))
    (folder / "exposures.csv").write_text("file,ev\n00.jpg,0\n01.jpg,1\n02.jpg,2\n03.jpg,3\n")
    (bracket,) = find_brackets(folder).brackets
    assert (bracket.evs, bracket.source) == ((0.0, 1.0, 2.0, 3.0), "exposures.csv")


def test_of_a_folder_with_a_list_the_files_listed_are_taken(tmp_path):
    folder = shots(tmp_path, (0.01, 0), (0.04, 1), (0.16, 2))
    (folder / "exposures.csv").write_text("file,ev\n00.jpg,0\n02.jpg,4\n")
    save(folder / "scene_preview.jpg", GREY)
    assert names(find_brackets(folder)) == [[0, 2]]


def test_names_say_exposures_where_nothing_else_does(tmp_path):
    paths = [save(tmp_path / f"x_{ev}.png", GREY) for ev in ("-2", "+1")]
    assert as_bracket(paths).evs == (-2.0, 1.0)
    assert as_bracket(paths, evs=[3.0, 4.0]).evs == (3.0, 4.0)


@pytest.mark.parametrize(
    ("names", "evs", "message"),
    [
        (["a"], None, "two different photographs or more, got a.png"),
        (["a", "a"], None, "two different photographs or more"),
        (
            ["a", "b"],
            None,
            "how a.png, b.png were exposed; give their exposures in stops .--ev., or in a file exposures.csv",
        ),
        (["a", "b"], [1.0], "one finite exposure in stops for each of the 2 photographs"),
        (["a", "b"], [1.0, float("nan")], "one finite exposure in stops"),
        (["a", "b"], [1.0, 1.0], "all the same by the numbers given"),
    ],
)
def test_what_is_no_bracket_is_refused(tmp_path, names, evs, message):
    for name in "ab":
        save(tmp_path / f"{name}.png", GREY)
    with pytest.raises(RefusedBracket, match=message):
        as_bracket([tmp_path / f"{name}.png" for name in names], evs=evs)


def test_a_folder_without_brackets_is_refused(tmp_path):
    with pytest.raises(RefusedBracket, match="no two photographs in a row"):
        find_brackets(shots(tmp_path / "a", (0.01, 0), (0.04, 300), (0.01, 600)))
    (tmp_path / "b").mkdir()
    with pytest.raises(RefusedBracket, match="two different photographs or more, got none"):
        find_brackets(tmp_path / "b")


def test_a_list_that_cannot_be_read_is_refused(tmp_path):
    folder = shots(tmp_path, (0.01, 0), (0.04, 1))
    (folder / "exposures.csv").write_text("nothing\n1\n")
    with pytest.raises(RefusedBracket, match="columns file"):
        find_brackets(folder)


def test_photographs_may_be_called_otherwise_than_their_files(tmp_path):
    paths = [save(tmp_path / f"{number}.png", GREY) for number in range(2)]
    assert as_bracket(paths, names=["x_-2.png", "x_+1.png"]).evs == (-2.0, 1.0)


def test_heic_says_how_it_was_exposed(tmp_path):
    heif = pytest.importorskip("pillow_heif", reason="extra heic")
    paths = []
    for number, time_s in enumerate((0.01, 0.04)):
        with Image.open(save(tmp_path / "a.jpg", GREY, time_s=time_s)) as jpeg:
            exif = jpeg.getexif().tobytes()
        paths.append(tmp_path / f"{number}.heic")
        heif.from_pillow(Image.fromarray(GREY)).save(paths[-1], quality=90, exif=exif)
    assert as_bracket(paths).evs[1] - as_bracket(paths).evs[0] == pytest.approx(2)


def test_raw_is_known_by_its_content(tmp_path):
    pytest.importorskip("tifffile", reason="writes the file")
    paths = []
    for number, time_s in enumerate((0.01, 0.04)):
        paths.append(write_dng(tmp_path / f"{number}.tiff", np.zeros((16, 16), np.uint16), white=1023, time_s=time_s))
    assert as_bracket(paths).evs[1] - as_bracket(paths).evs[0] == pytest.approx(2)
