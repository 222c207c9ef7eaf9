"""Networks as ONNX files, each compared with torch before it gets its name (extra ``onnx``)."""

import importlib
import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, Final, NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ldr2hdr.inference.export.whole import WholePicture, probe_picture
from ldr2hdr.io.files import replacing
from ldr2hdr.reconstructor import BoundReconstructor

SUFFIX: Final = ".onnx"
TOLERANCE: Final = 1e-4
"""Largest difference to torch, relative to the value where that is above the sensor's white."""
MIN_SIDE_PX: Final = 16
INPUT: Final = "ldr"
OUTPUT: Final = "exposure"
# Resize with the coordinates that torch uses, and functions on floats of 64 bits, are all there
_OPSET: Final = 20
# A multiple of no down-sampling, and one of all in use; traced at the third, so that neither is what was traced.
_CHECKED: Final = ((37, 53), (128, 64))
_TRACED: Final = (43, 75)
_PACKAGES: Final = ("onnx", "onnxscript", "onnxruntime")
_ON: Final = ("CPUExecutionProvider",)
_UNITS: Final = {
    "ldr2hdr.input": (
        f"{INPUT} (1, 3, height, width), float32: sRGB codes in [0, 1], display-referred, red green blue, upright; "
        f"any size from {MIN_SIDE_PX} pixels a side"
    ),
    "ldr2hdr.output": (
        f"{OUTPUT} (1, 3, height, width), float32: sensor exposure, linear light of Rec. 709 primaries, 1 where the "
        "camera clips, non-negative, unbounded above"
    ),
}


class Exported(NamedTuple):
    """ONNX file that was written.

    Attributes:
        path: The file.
        difference: Largest difference to torch, relative to the larger of 1 and the value.
        sizes: Heights and widths of the pictures that were compared.
    """

    path: Path
    difference: float
    sizes: tuple[tuple[int, int], ...]


def export_onnx(path: Path, network: BoundReconstructor, *, about: Mapping[str, str] | None = None) -> Exported:
    """Write a network as an ONNX file, whole or not at all: one that torch disagrees with is not left.

    Args:
        path: The file; replaced if it exists.
        network: Of a camera, or of any.
        about: Further metadata, beside what goes in and what comes out.

    Raises:
        ValueError: If the name does not end in ``.onnx``, a package is not installed, the network has an operation
            that ONNX has not, or ONNX Runtime's numbers are not torch's.
        ImageError: If the folder does not exist.
    """
    if path.suffix.lower() != SUFFIX:
        raise ValueError(f"expected a name ending in {SUFFIX}, got {path}")
    onnx, _, runtime = (_import(package) for package in _PACKAGES)
    model = _translate(WholePicture(network), path)
    _tidy(model)
    onnx.helper.set_model_props(model, {**_UNITS, **(about or {})})
    with replacing(path) as temporary:
        onnx.save_model(model, str(temporary))
        difference = _compare(network, runtime.InferenceSession(str(temporary), providers=_ON))
        if not difference <= TOLERANCE:
            raise ValueError(
                f"ONNX Runtime's numbers are not torch's: they differ by {difference:.2g}, and {TOLERANCE:g} are "
                f"allowed; nothing is left at {path}"
            )
    return Exported(path, difference, _CHECKED)


def _import(package: str) -> ModuleType:
    try:
        return importlib.import_module(package)
    except ImportError as error:
        raise ValueError(
            f"expected the package {package} to export, it is not installed; pip install 'ldr2hdr[onnx]'"
        ) from error


def _translate(whole: WholePicture, path: Path) -> Any:  # noqa: ANN401 (a protocol buffer, of an optional package)
    either = torch.export.Dim.DYNAMIC
    with _quiet():
        try:
            program = torch.onnx.export(
                whole,
                (probe_picture(*_TRACED, seed=0),),
                dynamo=True,
                dynamic_shapes=({2: either, 3: either},),
                input_names=[INPUT],
                output_names=[OUTPUT],
                opset_version=_OPSET,
                verbose=False,
            )
        except torch.onnx.errors.OnnxExporterError as error:
            reason = str(error.__cause__ or error).partition("\n")[0]
            raise ValueError(f"this network cannot be written as {path.name}: {reason}") from error
    assert program is not None  # it is None for the older exporter alone
    return program.model_proto


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence the exporter, whose words on torchvision and on itself help nobody who exports a network."""
    log = logging.getLogger("torch.onnx._internal.exporter._registration")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=r".isinstance\(treespec, LeafSpec\)", category=FutureWarning)
            yield
    finally:
        log.setLevel(level)


def _tidy(model: Any) -> None:  # noqa: ANN401
    """Name the sides, and leave out the lines of source that every operation came from."""
    for value in (*model.graph.input, *model.graph.output):
        sides = value.type.tensor_type.shape.dim[2:]
        for side, name in zip(sides, ("height", "width"), strict=True):
            side.dim_param = name
    del model.graph.value_info[:]
    graphs = [model.graph, *model.functions]
    for holder in graphs:
        del holder.metadata_props[:]
        for node in holder.node:
            del node.metadata_props[:]
            node.doc_string = ""
            graphs += [part.g for part in node.attribute if part.HasField("g")]
    model.producer_name = "ldr2hdr"


def _compare(network: BoundReconstructor, session: Any) -> float:  # noqa: ANN401
    """Return the largest difference at all sizes to the network itself; NaN if a number is not finite."""
    worst = 0.0
    for seed, size in enumerate(_CHECKED):
        picture = probe_picture(*size, seed=seed)
        with torch.inference_mode():
            expected = network(picture)
        (got,) = session.run(None, {INPUT: picture.numpy()})
        worst = float(np.maximum(worst, relative_difference(torch.from_numpy(got), expected)))
    return worst


def relative_difference(got: Float[Tensor, "*s"], expected: Float[Tensor, "*s"]) -> float:
    """Return the largest difference, relative to the expected value where that is above 1.

    Example:
        >>> relative_difference(torch.tensor([0.5, 9.0]), torch.tensor([0.5, 10.0]))
        0.1...
    """
    return float(((got - expected).abs() / expected.abs().clamp_min(1)).max())
