"""Values of a configuration, held against the types of the parameters that they are for."""

import inspect
from collections.abc import Iterator, Mapping, Sequence
from pydoc import ErrorDuringImport, locate
from types import NoneType, UnionType
from typing import Any, Final, Literal, Union, cast, get_args, get_origin, get_type_hints

from omegaconf import DictConfig, OmegaConf

# Of the keys that are no parameter of anything
_OWN_TYPES: Final[Mapping[str, object]] = {
    "seed": int,
    "num_threads": int | None,
    "num_tasks": int,
    "num_resamples": int,
    "samples": int,
    "steps": Sequence[int],
    "fine_tune_lrs": Sequence[float],
    "overwrite": bool,
    "tf32": bool,
    "trust": Sequence[str],
}
_NAMES: Final[Mapping[object, str]] = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    str: "text",
    NoneType: "null",
}
_MISSING: Final = "???"


def require_fitting_values(config: DictConfig) -> None:
    """Refuse values of other types than those expected; what a type says nothing about is let pass.

    Raises:
        ValueError: If there is one, with its key and what is expected.
    """
    tree = cast(dict[str, Any], OmegaConf.to_container(config, resolve=True))
    own = ((key, tree[key], expected) for key, expected in _OWN_TYPES.items() if key in tree)
    bad = [
        f"{key}={_show(value)}: expected {_describe(expected)}"
        for key, value, expected in (*own, *_parameters(tree, ""))
        if value != _MISSING and not _fits(value, expected)
    ]
    if bad:
        raise ValueError("; ".join(bad))


def _parameters(node: object, prefix: str) -> Iterator[tuple[str, object, object]]:
    """Yield the key, the value and the type of each parameter that is configured, at any depth."""
    if isinstance(node, list):
        for index, child in enumerate(node):
            yield from _parameters(child, f"{prefix}{index}.")
    if not isinstance(node, dict):
        return
    types = _types_of(node["_target_"]) if "_target_" in node else {}
    for key, value in node.items():
        if key in types:
            yield f"{prefix}{key}", value, types[key]
        yield from _parameters(value, f"{prefix}{key}.")


def _types_of(target: str) -> Mapping[str, object]:
    """Return the types of a target's parameters; nothing if it cannot be found, which building will report."""
    try:
        made: Any = locate(target)
        function = made.__init__ if inspect.isclass(made) else made
        return get_type_hints(function)
    except NameError:  # some are of modules that are imported for type checkers alone
        return {name: kind for name, kind in function.__annotations__.items() if not isinstance(kind, str)}
    except (ErrorDuringImport, AttributeError, TypeError):
        return {}


def _fits(value: object, expected: object) -> bool:
    origin, arguments = get_origin(expected), get_args(expected)
    if origin in (Union, UnionType):
        return any(_fits(value, one) for one in arguments)
    if origin is Literal:
        return value in arguments
    if expected in (int, float, bool, str, NoneType):
        return _is_plain(value, cast(type, expected))
    if origin in (list, tuple, Sequence) and arguments:
        return isinstance(value, list) and _fit_all(value, origin, arguments)
    return True


def _is_plain(value: object, expected: type) -> bool:
    if isinstance(value, dict) and "_target_" in value:
        return True  # whatever it makes
    if expected is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if expected is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if expected is str:
        return isinstance(value, str | int | float)  # a folder may be named 2024
    return isinstance(value, expected)


def _fit_all(values: list[object], origin: object, arguments: tuple[object, ...]) -> bool:
    if origin is tuple and Ellipsis not in arguments:
        return len(values) == len(arguments) and all(map(_fits, values, arguments))
    return all(_fits(value, arguments[0]) for value in values)


def _describe(expected: object) -> str:
    """Say what fits a type.

    Example:
        >>> _describe(int | None), _describe(Sequence[float]), _describe(Literal["a", "b"] | None)
        ('a whole number or null', 'a list of numbers, such as [1, 2]', 'a or b or null')
    """
    return " or ".join(dict.fromkeys(_alternatives(expected)))


def _alternatives(expected: object) -> list[str]:
    origin, arguments = get_origin(expected), get_args(expected)
    if origin in (Union, UnionType):
        return [name for one in arguments for name in _alternatives(one)]
    if origin is Literal:
        return list(map(str, arguments))
    if origin in (list, tuple, Sequence):
        if origin is tuple and Ellipsis not in arguments:
            return [f"a list of {len(arguments)} values"]
        return ["a list of numbers, such as [1, 2]" if arguments[0] in (int, float) else "a list"]
    return [_NAMES.get(expected, getattr(expected, "__name__", str(expected)))]


def _show(value: object) -> str:
    return "null" if value is None else str(value)
