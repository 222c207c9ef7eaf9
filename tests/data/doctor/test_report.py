"""doctor.json has a stable schema; doctor.html is one safe page."""

import shutil
from html.parser import HTMLParser

from faults import cut_in_half
from lookalikes import LOOKALIKES, UNIT, light_of, shoot, write_hdr, write_ldr

from doctor.reading import found


class Page(HTMLParser):
    """Tags and text of a page, whose tags must all be closed in order."""

    VOID = ("meta", "img")

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.sources, self.text = [], [], [], ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.sources += [value for key, value in attrs if key in ("src", "href")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def test_the_schema_is_stable(root, doctor):
    cut_in_half(LOOKALIKES["ldr_hdr_pair"].write_all(root, (1, 4, 7))[1].hdr)
    _, report = doctor()
    assert report["schema_version"] == 1
    assert list(report) == [
        *("schema_version", "root", "dataset", "is_guessed", "counts", "findings", "scenes", "responses")
    ]
    assert list(report["counts"]) == [
        *("files", "scenes", "places", "cameras", "exposures", "hdr"),
        *("train", "val", "test", "error", "warning", "note"),
    ]
    assert list(report["findings"][0]) == ["severity", "kind", "path", "message", "scene"]
    scene = report["scenes"][0]
    assert list(scene) == [
        *("id", "place", "camera", "height", "width", "is_usable", "exposures", "hdr", "split"),
    ]
    assert list(scene["exposures"][0]) == ["path", "ev", "ev_source", "measured_ev", "black", "white", "shift_px"]
    assert list(scene["hdr"]) == ["path", "range_stops", "scale", "residual_stops", "peak_stops", "num_pixels"]
    assert list(report["responses"][0]) == ["camera", "num_scenes", "curve"]


def test_the_page_stands_alone_and_shows_each_thumbnail_once(root, doctor, tmp_path):
    written = LOOKALIKES["ldr_hdr_pair"].write_all(root, (1, 4, 7))
    write_hdr(written[1].hdr, light_of(77) * UNIT)
    doctor()
    text = (tmp_path / "out" / "doctor.html").read_text()
    page = Page(text)
    assert "http" not in text
    assert page.tags.count("img") == len(page.sources) == 3 * 4
    assert all(source.startswith("data:image/jpeg;base64,") for source in page.sources)
    assert page.tags.count("svg") == 1
    assert "usable, with doubts" in page.text


def test_the_page_shows_few_scenes_of_many(root, doctor, tmp_path):
    LOOKALIKES["funt"].write_all(root, range(1, 41))
    doctor()
    assert Page((tmp_path / "out" / "doctor.html").read_text()).tags.count("img") == 8


def test_names_cannot_change_the_page_or_the_table(root, doctor, tmp_path, capsys):
    kind = LOOKALIKES["hdr_real"]
    kind.write_all(root, (1,))
    (root / "LDR_in" / "<script>.jpg").write_bytes(b"\xff\xd8\xff")
    write_ldr(root / "LDR_in" / "[bold]&amp;.png", shoot(light_of(5), 0))
    _, report = doctor()
    page = Page((tmp_path / "out" / "doctor.html").read_text())
    assert "script" not in page.tags
    assert "LDR_in/<script>.jpg" in page.text
    assert "LDR_in/[bold]&amp;.png" in page.text
    assert {"LDR_in/<script>.jpg", "LDR_in/[bold]&amp;.png"} <= {path for _, _, path in found(report)}
    assert "[bold]&amp;.png" in capsys.readouterr().out


def test_a_name_that_is_no_text_can_be_reported(root, doctor, tmp_path):
    LOOKALIKES["hdr_real"].write_all(root, (1,))
    shutil.copy(root / "LDR_in" / "00001.jpg", bytes(root / "LDR_in") + b"/\xff.jpg")
    _, report = doctor()
    assert ("warning", "orphan", "LDR_in/\udcff.jpg") in found(report)
    Page((tmp_path / "out" / "doctor.html").read_text())


def test_a_long_bracket_is_shown_by_five_of_its_exposures(root, doctor, tmp_path):
    LOOKALIKES["drtmo"].write_all(root, (1,))
    doctor()
    page = Page((tmp_path / "out" / "doctor.html").read_text())
    assert page.tags.count("img") == 5
    assert page.text.count("-2.0 EV") == page.text.count("+2.0 EV") == 1
