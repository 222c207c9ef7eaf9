"""Prior over responses that has not seen a camera: charts taught the one that ships."""

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

import torch
from systems import Converter

from ldr2hdr.calibration import prior
from ldr2hdr.inference.profiles.curves import curve_response
from ldr2hdr.response.prior import PriorResponse

_FIT = Path(__file__).parents[1] / "response_prior" / "fit.py"


@contextmanager
def without_camera(camera: str, converter: Converter, *, curves: Path, charts: Path) -> Iterator[None]:
    """Let the model start from a prior that `fit.py` made without a chart camera, and then from its own again.

    Args:
        camera: Name of its folder.
        converter: Has the model.
        curves: The real curves ``dorf201.npz``.
        charts: Folder of all cameras.

    Raises:
        ValueError: If the model has another response, or training moved its prior: what that saw is not known.
    """
    response = curve_response(converter.model.learner.model)
    if response is None or not torch.equal(response.mean.detach(), PriorResponse().mean):
        raise ValueError("the chart needs a model with response=prior and the prior that ships; give its --ckpt")
    own = [tensor.detach().clone() for tensor in _parts(response)]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "prior.npz"
        command = [sys.executable, _FIT, "--dorf", curves, "--chart", charts, "--leave-out", camera, "--out", path]
        subprocess.run([str(part) for part in command], check=True, stdout=subprocess.DEVNULL)
        try:
            with mock.patch.object(prior, "PRIOR_FILE", path):
                prior.read_curve_prior.cache_clear()
                _set(response, _parts(PriorResponse()))
                yield
        finally:
            prior.read_curve_prior.cache_clear()
            _set(response, own)


def _parts(response: PriorResponse) -> list[torch.Tensor]:
    return [response.mean, response.components, response.residual]


@torch.no_grad()
def _set(response: PriorResponse, values: list[torch.Tensor]) -> None:
    for part, value in zip(_parts(response), values, strict=True):
        part.copy_(value)
