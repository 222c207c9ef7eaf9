"""The house is in order: nothing dead, no drawer for everything."""

import re
from pathlib import Path

from vulture import Vulture

from ldr2hdr.build import CONF_DIR

ROOT = Path(CONF_DIR).parent
MODULES = sorted((ROOT / "ldr2hdr").rglob("*.py"))
# Names that Lightning, Hydra, Werkzeug, argparse, torch, Python or a reader of a JSON report asks for
ASKED_FOR_ELSEWHERE = re.compile(
    r"(on|log|configure)_\w+|(training|validation)_step|\w+_dataloader|__\w+__|automatic_optimization|find_class"
    r"|_negative_number_matcher|max_content_length|max_form_parts|timeout|doc_string|producer_name|dim_param"
    r"|types|storage_options|params|setup|setup_context|teardown|state_key|shift_px|_batches_that_stepped|_id"
    r"|manipulate_search_path"
    r"|enable|disable|get_renderables"
    r"|buffer_text|\w+Handler|allow_tf32"
    r"|distribution"  # what a network knows of the light, for whoever holds one
)


def test_nothing_is_dead() -> None:
    """All that is defined is used by more than its tests: by the code, an experiment, a template, or named in conf/."""
    vulture = Vulture()
    vulture.scavenge([str(ROOT / folder) for folder in ("ldr2hdr", "experiments")])
    for file in (ROOT / "conf").rglob("*.yaml"):
        vulture.scan("\n".join(re.findall(r"\bldr2hdr(?:\.\w+)+", file.read_text(encoding="utf-8"))))
    for file in (ROOT / "ldr2hdr").rglob("*.html"):
        vulture.scan("\n".join(re.findall(r"\b[a-z]\w*\.[a-z]\w*", file.read_text(encoding="utf-8"))))
    package = ROOT / "ldr2hdr"
    dead = [item for item in vulture.get_unused_code(min_confidence=60) if Path(item.filename).is_relative_to(package)]
    left = [f"{item.filename}:{item.first_lineno} {item.name}" for item in dead]
    assert [line for line in left if not ASKED_FOR_ELSEWHERE.fullmatch(line.rsplit(" ", 1)[1])] == []


def test_no_module_is_a_drawer() -> None:
    drawers = {"utils", "util", "helpers", "helper", "common", "misc", "manager"}
    assert [path for path in MODULES if drawers & {path.stem, path.parent.name}] == []
