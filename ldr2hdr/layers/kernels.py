"""Compile ``kernels.c`` once per machine and load it; without a compiler the torch formulas are used instead."""

import ctypes
import functools
import hashlib
import logging
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import torch
from torch import Tensor, nn

# Above this the scratch arrays of one pixel would no longer fit on a thread's stack with ease
MAX_CHANNELS: Final = 4096

DEVICE_SOURCE: Final = Path(__file__).with_name("device_kernels.c")
"""Kernels of a GPU, which are C too."""
_SOURCE: Final = Path(__file__).with_name("kernels.c")
# Reordering sums is what lets them be vectorised; NaN and infinity are kept as they are
_FLAGS: Final = (
    *("-O3", "-march=native", "-fno-math-errno", "-fno-trapping-math", "-fassociative-math", "-fno-signed-zeros"),
    *("-freciprocal-math", "-fPIC", "-shared"),
)
_SECONDS: Final = 60
SUFFIX: Final = {torch.float32: "f32", torch.float64: "f64"}
_REAL: Final = {torch.float32: ctypes.c_float, torch.float64: ctypes.c_double}

_log = logging.getLogger(__name__)


class Kernels:
    """Compiled functions; tensors must be on the CPU, dense, and of one type, float32 or float64."""

    def __init__(self, library: ctypes.CDLL) -> None:
        self._library = library
        self._functions: dict[tuple[str, torch.dtype], Callable[..., None]] = {}

    def __call__(
        self, name: str, tensors: Sequence[Tensor | None], sizes: Sequence[int], *, eps: float | None = None
    ) -> None:
        """Call a function of ``kernels.c``: its arrays, of which some may be left out, its sizes, and its epsilon."""
        given = [tensor for tensor in tensors if tensor is not None]
        dtype = given[0].dtype
        if any(tensor.dtype is not dtype or not tensor.is_cpu for tensor in given):
            got = ", ".join(f"{tensor.dtype} on {tensor.device}" for tensor in given)
            raise TypeError(f"the tensors of a layer must be on the CPU and have one type, got {got}")
        # ctypes drops the interpreter lock during the call, so that tasks on other threads go on
        self._function(name, dtype, len(tensors), len(sizes), eps is not None)(
            *(None if tensor is None else tensor.data_ptr() for tensor in tensors),
            *sizes,
            *(() if eps is None else (eps,)),
        )

    def _function(self, name: str, dtype: torch.dtype, tensors: int, sizes: int, has_eps: bool) -> Callable[..., None]:
        """Find a function; with its types declared, once, ctypes converts arguments several times faster."""
        function = self._functions.get((name, dtype))
        if function is None:
            function = getattr(self._library, f"{name}_{SUFFIX[dtype]}")
            numbers = [_REAL[dtype]] if has_eps else []
            function.argtypes = [*[ctypes.c_void_p] * tensors, *[ctypes.c_int64] * sizes, *numbers]
            function.restype = None
            self._functions[name, dtype] = function
        return function


@functools.cache
def load_kernels() -> Kernels | None:
    """Return the compiled kernels; None, with one warning, if this machine cannot build them."""
    if os.environ.get("LDR2HDR_KERNELS") == "0":
        _log.info("LDR2HDR_KERNELS=0: layers run by torch's operations")
        return None
    try:
        return Kernels(ctypes.CDLL(str(_build())))
    except (
        OSError,
        RuntimeError,
        subprocess.SubprocessError,
    ) as error:  # without a home folder, pathlib raises the second
        _log.warning("no compiled kernels, layers run by torch's operations (slower, same numbers): %s", error)
        return None


def usable_kernels(tensor: Tensor) -> Kernels | None:
    """Return the compiled kernels if they can work on this picture ``(B, C, H, W)``.

    What torch hands through a layer to record it, as for an export, has no numbers for them to read.
    """
    is_plain = type(tensor) in (Tensor, nn.Parameter)
    fits = is_plain and tensor.is_cpu and tensor.dtype in SUFFIX and tensor.shape[1] <= MAX_CHANNELS
    return load_kernels() if fits else None


def dense(picture: Tensor) -> Tensor:
    """Return a picture in the layout that the kernels read: channels last, without gaps."""
    return picture.contiguous(memory_format=torch.channels_last)


def empty_picture(shape: tuple[int, ...], *, like: Tensor) -> Tensor:
    """Allocate a picture of another's type, in the layout that the kernels write."""
    return torch.empty(shape, dtype=like.dtype, device=like.device, memory_format=torch.channels_last)


def _build() -> Path:
    """Path of the library for this source, compiler and processor; built if it is not there."""
    compiler = shutil.which(os.environ.get("CC", "cc"))
    if compiler is None:
        raise FileNotFoundError("there is no C compiler (cc); install one, or name it in the variable CC")
    command = [compiler, *_FLAGS, str(_SOURCE)]
    key = hashlib.sha256("\0".join([*command, _run([compiler, "--version"]), _processor()]).encode())
    for source in sorted(_SOURCE.parent.glob("*.c")):
        key.update(source.read_bytes())
    library = _cache_folder() / f"kernels-{key.hexdigest()[:16]}.so"
    if not library.exists():
        library.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=library.parent) as folder:
            built = Path(folder) / library.name
            _run([*command, "-o", str(built), "-lm", *(["-lmvec"] if _has_vector_math() else [])])
            built.replace(library)
    return library


def _run(command: list[str]) -> str:
    try:
        done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=_SECONDS)
    except subprocess.CalledProcessError as error:
        said = error.stderr.strip().partition("\n")[0]
        raise OSError(f"{command[0]} failed: {said}") from error
    return done.stdout


def _cache_folder() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ldr2hdr"


def _processor() -> str:
    """Return what ``-march=native`` depends on: a home folder may be shared by machines of several kinds."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return os.uname().machine
    return next((line for line in lines if line.startswith(("flags", "Features"))), os.uname().machine)


def _has_vector_math() -> bool:
    return sys.platform == "linux" and os.uname().machine == "x86_64"
