"""Files of ``torch.save`` from strangers: tensors and plain values, never code."""

import pickle
from pathlib import Path

import torch


def read_torch(path: Path, name: str, *, is_mapped: bool = False) -> object:
    """Read what ``torch.save`` wrote, on the CPU; nothing but tensors and plain values is unpickled.

    Args:
        path: The file.
        name: What to call it in an error, such as ``ckpt=last.ckpt``.
        is_mapped: Read the tensors only where they are looked at.

    Raises:
        ValueError: If the file is damaged or holds code.
    """
    try:
        return torch.load(path, map_location="cpu", weights_only=True, mmap=is_mapped)
    except pickle.UnpicklingError as error:
        raise ValueError(f"{name} is no PyTorch file, or holds more than tensors and is refused") from error
    except Exception as error:  # torch lets through whatever damage makes its reader trip over
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise ValueError(f"{name} is not a readable PyTorch file: {reason}") from error
