"""The house is in order: nothing dead, no module too long, no drawer for everything."""

import re
import subprocess
from pathlib import Path

from vulture import Vulture

from ldr2hdr.build import CONF_DIR

ROOT = Path(CONF_DIR).parent
MODULES = sorted((ROOT / "ldr2hdr").rglob("*.py"))
# A module past this is usually two
MOST_LINES = 250
# Names that Lightning, Hydra, Werkzeug, argparse, torch, Python or a reader of a JSON report asks for
ASKED_FOR_ELSEWHERE = re.compile(
    r"(on|log|configure)_\w+|(training|validation)_step|\w+_dataloader|__\w+__|automatic_optimization|find_class"
    r"|_negative_number_matcher|max_content_length|max_form_parts|timeout|doc_string|producer_name|dim_param"
    r"|types|storage_options|params|setup|teardown|state_key|shift_px|_batches_that_stepped|_id"
)


def test_nothing_is_dead() -> None:
    """All that is defined is used: by the code, by its tests, by a template, or named in conf/."""
    vulture = Vulture()
    vulture.scavenge([str(ROOT / folder) for folder in ("ldr2hdr", "tests", "experiments")])
    for file in (ROOT / "conf").rglob("*.yaml"):
        vulture.scan("\n".join(re.findall(r"\bldr2hdr(?:\.\w+)+", file.read_text(encoding="utf-8"))))
    for file in (ROOT / "ldr2hdr").rglob("*.html"):
        vulture.scan("\n".join(re.findall(r"\b[a-z]\w*\.[a-z]\w*", file.read_text(encoding="utf-8"))))
    dead = [item for item in vulture.get_unused_code(min_confidence=60) if "ldr2hdr" in Path(item.filename).parts]
    left = [f"{item.filename}:{item.first_lineno} {item.name}" for item in dead]
    assert [line for line in left if not ASKED_FOR_ELSEWHERE.fullmatch(line.rsplit(" ", 1)[1])] == []


def test_no_module_is_too_long() -> None:
    lengths = {str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines()) for path in MODULES}
    assert {path: lines for path, lines in lengths.items() if lines > MOST_LINES} == {}


def test_no_module_is_a_drawer() -> None:
    drawers = {"utils", "util", "helpers", "helper", "common", "misc", "manager"}
    assert [path for path in MODULES if drawers & {path.stem, path.parent.name}] == []


def test_the_top_level_is_what_it_should_be() -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    top = {name.partition("/")[0].strip('"') for name in listed}
    expected = {"pyproject.toml", "conf", "ldr2hdr", "experiments", "tests", "Makefile", "README.md", "docs"}
    papers = {"LICENSE", "CONTRIBUTING.md", "CHANGELOG.md", "CITATION.cff", "constraints.txt", "mkdocs.yml"}
    assert {name for name in top if not name.startswith(".")} <= expected | papers | {"MANIFEST.in", "setup.py"}
