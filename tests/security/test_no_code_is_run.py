"""Nothing in the package evaluates text, unpickles freely, unpacks archives to disk, or starts a shell."""

import ast
from pathlib import Path

import pytest

from ldr2hdr.build import CONF_DIR

PACKAGE = Path(CONF_DIR).parent / "ldr2hdr"
FORBIDDEN = {
    *("eval", "exec", "compile", "__import__"),
    *("pickle.load", "pickle.loads", "yaml.load", "yaml.unsafe_load", "marshal.loads"),
    *("extractall", "extract", "unpack_archive", "os.system", "os.popen"),
}


def name_of(call: ast.Call) -> str:
    return ast.unparse(call.func)


def offences(source: str) -> list[str]:
    found = []
    for call in [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]:
        name, options = name_of(call), {word.arg: ast.unparse(word.value) for word in call.keywords}
        is_forbidden = name in FORBIDDEN or name.rpartition(".")[2] in {"extractall", "extract", "unpack_archive"}
        trusts = name == "torch.load" and options.get("weights_only") != "True"
        trusts |= name.endswith("read_array") and options.get("allow_pickle", "False") != "False"
        if is_forbidden or trusts or options.get("shell", "False") != "False":
            found.append(f"line {call.lineno}: {name}")
    return found


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_the_package_runs_nothing_from_files(path: Path) -> None:
    assert offences(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "line",
    [
        "eval(text)",
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "archive.extractall()",
        "subprocess.run(x, shell=True)",
        "np.lib.format.read_array(f, allow_pickle=True)",
    ],
)
def test_the_check_finds_what_it_looks_for(line: str) -> None:
    assert len(offences(line)) == 1
