"""Pages as HTML, from templates that escape every value they are given."""

import json
from functools import cache
from importlib.resources import files

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup


def render(template: str, /, **values: object) -> str:
    """Return what a template makes of some values.

    Args:
        template: Path below the package. In it ``embed(path)`` is a style sheet or a script of the package, and
            ``content|data`` is JSON.
        values: What the template names; text, unless it is `Markup`.
    """
    return _templates().get_template(template).render(values)


@cache
def _templates() -> Environment:
    loader = PackageLoader("ldr2hdr", "")
    found = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    found.globals["embed"] = lambda path: Markup(files("ldr2hdr").joinpath(path).read_text(encoding="utf-8"))
    found.filters["data"] = _to_data
    return found


def _to_data(content: object) -> Markup:
    """Return JSON for a script element, which no text in it can end."""
    return Markup(json.dumps(content, allow_nan=False).replace("<", "\\u003c"))
