"""Response curves as files that other programs read: CSV, 1D LUT, and the array of OpenCV and colour-hdri."""

import csv
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import numpy as np
import torch

from ldr2hdr.inference.profiles.verification import Verification
from ldr2hdr.io.files import replacing


def write_curve_csv(path: Path, curve: Verification) -> None:
    """Write log2 exposure and its standard deviation, in stops, of each channel at each level.

    Raises:
        OSError: If it cannot be written.
    """
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(["level", *(f"{name}_{part}" for part in ("log2", "deviation") for name in "rgb")])
        for level, values in enumerate(torch.cat([curve.curve, curve.deviation], dim=1).tolist()):
            rows.writerow([level, *(f"{value:.5f}" for value in values)])


def write_curve_cube(path: Path, curve: Verification) -> None:
    """Write a 1D LUT from picture values in [0, 1] to linear exposure, 1 at level 250.

    Raises:
        OSError: If it cannot be written.

    References:
        Adobe, Cube LUT specification 1.0, 2013.
    """
    head = ["# camera response: display-referred value to linear exposure", f"LUT_1D_SIZE {len(curve.curve)}"]
    lines = [" ".join(f"{value:.7f}" for value in values) for values in curve.curve.exp2().tolist()]
    with replacing(path) as temporary:
        temporary.write_text("\n".join([*head, *lines, ""]), encoding="utf-8")


def write_curve_npy(path: Path, curve: Verification) -> None:
    """Write linear exposure as ``(256, 1, 3)`` float32, channels red, green and blue.

    That is the layout of OpenCV's ``CalibrateDebevec``, whose pictures have blue first: ``response[..., ::-1]``; for
    colour-hdri, ``response[:, 0]``.

    Raises:
        OSError: If it cannot be written.
    """
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.save(file, curve.curve.exp2()[:, None].numpy().astype(np.float32), allow_pickle=False)


WRITERS: Final[Mapping[str, Callable[[Path, Verification], None]]] = {
    "csv": write_curve_csv,
    "cube": write_curve_cube,
    "npy": write_curve_npy,
}
