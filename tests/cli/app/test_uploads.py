"""What is told of uploads names them as their owner does."""

from pathlib import Path

import pytest

from ldr2hdr.cli.app.uploads import Upload, naming


def test_a_name_that_another_upload_has_here_is_not_replaced_twice() -> None:
    owned = ("01.jpg", "02.jpg", "03.jpg")
    uploads = [Upload(Path(f"/t/folder/{number:02d}.jpg"), name) for number, name in enumerate(owned)]
    with pytest.raises(ValueError, match=r"^01\.jpg and 02\.jpg do not overlap: the bracket$"), naming(*uploads):
        raise ValueError("00.jpg and 01.jpg do not overlap: /t/folder")
