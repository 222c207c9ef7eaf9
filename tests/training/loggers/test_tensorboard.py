"""Tables in Markdown, read by the package that TensorBoard shows them with."""

import xml.etree.ElementTree as ET

import markdown
import pytest
from torch.utils.tensorboard import SummaryWriter

from ldr2hdr.training.loggers.surviving import Table
from ldr2hdr.training.loggers.tensorboard import TensorBoardLogger


@pytest.mark.parametrize(
    "text",
    [
        "a|b",
        "|",
        "a\\|b",
        "ends in \\",
        "`a|b` | `",
        "place_1",
        "a*b*c",
        "<i>x</i> & y",
        "[a](b)",
        "two\nlines",
    ],
)
def test_a_cell_is_shown_as_it_is(tmp_path, monkeypatch, text):
    written = []
    monkeypatch.setattr(SummaryWriter, "add_text", lambda self, name, body, step: written.append(body))
    logger = TensorBoardLogger(str(tmp_path))
    logger.show_table(Table("scores", 3, (f"head {text}", "second"), [(text, 0.25), ("after", None)]))
    logger.finalize("success")
    root = ET.fromstring(f"<page>{markdown.markdown(written[0], extensions=['tables'])}</page>")
    rows = [["".join(cell.itertext()) for cell in row] for row in root.iter("tr")]
    shown = text.replace("\n", " ")
    assert rows == [[f"head {shown}", "second"], [shown, "0.250"], ["after", ""]]
