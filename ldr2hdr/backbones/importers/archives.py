"""Files of tensors from strangers, read so that nothing in them can run."""

import re
import zipfile
import zlib
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Final

import numpy as np
from torch import Tensor

from ldr2hdr.backbones.importers.pickled_arrays import load_pickled_arrays
from ldr2hdr.io.torch_files import read_torch

# The one entry of an archive by TensorLayer: a list of arrays, which NumPy writes as a pickle
_LIST_ENTRY: Final = "params.npy"
_NUMBERED: Final = re.compile(r"(?:arr_)?(\d+)\.npy")
# What PyTorch's wrapper for several GPUs puts in front of every name
_WRAPPER: Final = "module."


def read_torch_state(path: Path) -> Mapping[str, Tensor]:
    """Read a state dict that ``torch.save`` wrote; nothing but tensors and plain values is unpickled.

    Args:
        path: A ``.pth`` file.

    Returns:
        Tensors by name, without the prefix of a wrapper for several GPUs.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is damaged, holds code, or is no state dict.
    """
    _require_file(path)
    content = read_torch(path, str(path))
    if not isinstance(content, dict) or not content:
        raise ValueError(f"{path} is no state dict: expected tensors by name, got {type(content).__name__}")
    stray = next((name for name, value in content.items() if not isinstance(value, Tensor)), None)
    if stray is not None:
        raise ValueError(f"{path} is no state dict: expected a tensor in {stray}, got {type(content[stray]).__name__}")
    is_wrapped = all(str(name).startswith(_WRAPPER) for name in content)
    return {str(name)[len(_WRAPPER) if is_wrapped else 0 :]: value for name, value in content.items()}


def read_npz_list(path: Path) -> list[np.ndarray]:
    """Read a list of arrays from an ``.npz`` archive, in its order.

    TensorLayer's archives have one entry ``params``, a pickled list; it is read by a reader that knows arrays and
    nothing else. Numbered entries, as ``numpy.savez(file, *arrays)`` writes, are read too, without any pickle.

    Args:
        path: An ``.npz`` file.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is damaged, holds anything but arrays of floating point, or no list of them.
    """
    _require_file(path)
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            if _LIST_ENTRY in names:
                return load_pickled_arrays(_after_header(BytesIO(archive.read(_LIST_ENTRY))))
            return [_read_plain(archive, name) for name in _in_order(names)]
    except (zipfile.BadZipFile, zlib.error, OSError, EOFError, ValueError, NotImplementedError, RuntimeError) as error:
        raise ValueError(f"{path} is not a readable list of arrays: {error}") from error


def _require_file(path: Path) -> None:
    if not path.is_file():
        raise FileNotFoundError(f"expected a file of weights, found none: {path}")


def _after_header(file: BytesIO) -> BytesIO:
    """Skip what NumPy writes before the pickle of an array of objects."""
    version = np.lib.format.read_magic(file)
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    if version not in readers:
        raise ValueError(f"expected version 1 or 2 of the npy format in {_LIST_ENTRY}, got {version}")
    _, _, kind = readers[version](file)
    if not kind.hasobject:
        raise ValueError(f"expected a list of arrays in {_LIST_ENTRY}, got one of {kind}")
    return file


def _in_order(names: list[str]) -> list[str]:
    numbered = {int(match[1]): name for name in names if (match := _NUMBERED.fullmatch(name))}
    if len(numbered) != len(names) or sorted(numbered) != list(range(len(names))) or not names:
        raise ValueError(f"expected the entry params or numbered ones, got {', '.join(names[:3]) or 'none'}")
    return [numbered[number] for number in range(len(names))]


def _read_plain(archive: zipfile.ZipFile, name: str) -> np.ndarray:
    with archive.open(name) as file:
        return np.lib.format.read_array(file, allow_pickle=False)
