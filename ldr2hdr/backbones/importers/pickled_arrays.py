"""A list of NumPy arrays that was pickled, read by an allow-list over `Unpickler.find_class`.

NumPy pickles by naming three of its functions and classes; every other name is refused. The allowed names lead to
stand-ins that hold numbers and do nothing: NumPy's own would not do, for a pickle may set the state of a ``dtype`` to
Python objects that are not there, and NumPy 2 follows the pointers that the file gives.
"""

import pickle
from io import BytesIO
from typing import Any, Final

import numpy as np

_FLOATS: Final = ("f2", "f4", "f8")


def load_pickled_arrays(file: BytesIO) -> list[np.ndarray]:
    """Read a pickled array of arrays.

    Args:
        file: Open where the pickle begins.

    Returns:
        Its arrays, in order, of floating point each.

    Raises:
        ValueError: If the pickle is damaged, names anything but arrays, or is no list of them.
    """
    try:
        # latin1 is how Python 3 reads the bytes that Python 2 wrote
        outer = _ArrayUnpickler(file, encoding="latin1").load()
    except (pickle.UnpicklingError, EOFError, TypeError, ValueError, AttributeError, KeyError, IndexError) as error:
        raise ValueError(f"the pickled list of arrays is refused: {error}") from error
    items = outer.items() if isinstance(outer, _PickledArray) else None
    if items is None:
        raise ValueError("expected a pickled list of arrays, got something else")
    return [_to_numpy(item, number) for number, item in enumerate(items)]


class _PickledType:
    """Stands in for ``numpy.dtype``."""

    def __init__(self, code: object = None, *_: object) -> None:
        self.code = code
        self.byte_order: object = "|"

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.byte_order = state[1]

    def to_numpy(self) -> np.dtype[Any]:
        if self.code not in _FLOATS or self.byte_order not in ("<", ">"):
            raise ValueError(f"expected numbers in floating point, got {self.byte_order!r} {self.code!r}")
        return np.dtype(f"{self.byte_order}{self.code}")


class _PickledArray:
    """Stands in for ``numpy.ndarray``: keeps what the array would be restored from."""

    def __init__(self) -> None:
        self.state: tuple[Any, ...] = ()

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.state = state

    def items(self) -> list[Any] | None:
        """The objects of an array of objects; None of any other array."""
        is_list = len(self.state) == 5 and isinstance(self.state[4], list)
        return list(self.state[4]) if is_list else None

    def to_numpy(self) -> np.ndarray:
        if len(self.state) != 5:
            raise ValueError("an array lacks its parts")
        _, shape, kind, is_fortran, data = self.state
        raw = data.encode("latin1") if isinstance(data, str) else data
        if not isinstance(kind, _PickledType) or not isinstance(raw, bytes):
            raise ValueError("expected an array of numbers")
        numbers = np.frombuffer(raw, dtype=kind.to_numpy())
        return numbers.reshape(shape, order="F" if is_fortran else "C")


def _reconstruct(*_: object) -> _PickledArray:
    """Stands in for the function that makes an empty array."""
    return _PickledArray()


def _encode(text: str, encoding: str) -> bytes:
    """Stands in for ``codecs.encode``, by which old pickles write bytes."""
    if not isinstance(text, str) or encoding != "latin1":
        raise ValueError(f"expected bytes written as latin1, got {encoding!r}")
    return text.encode("latin1")


_STAND_INS: Final = {
    ("numpy.core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy._core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy", "ndarray"): _PickledArray,
    ("numpy", "dtype"): _PickledType,
    ("_codecs", "encode"): _encode,
}


class _ArrayUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> object:
        if (module, name) not in _STAND_INS:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which is no part of an array")
        return _STAND_INS[module, name]


def _to_numpy(item: object, number: int) -> np.ndarray:
    try:
        if not isinstance(item, _PickledArray):
            raise ValueError(f"expected an array, got {type(item).__name__}")
        return item.to_numpy()
    except (ValueError, TypeError) as error:
        raise ValueError(f"item {number} of the list: {error}") from error
