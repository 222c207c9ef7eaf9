"""The study's picture: one photograph of one camera by each system."""

from pathlib import Path

import torch

from ldr2hdr.evaluation.figures import draw_panel
from ldr2hdr.tasks import Shots

HEADINGS = {
    "inverse gamma": "inverse gamma 2.2\nknows no camera",
    "single-shot": "single-shot\nthe network, no bracket",
    "response fit": "response fit\nclassical, from the bracket",
    "adapted": "adapted\nthe network, from the bracket",
}


def draw(path: Path, query: Shots, made: dict[str, torch.Tensor], *, taught: str, place: str) -> None:
    """Draw one photograph by each system beside the light in the camera's colours."""
    columns = {heading: made[name] for name, heading in HEADINGS.items()}
    draw_panel(
        path,
        query,
        reconstructions={"photograph\nits codes as light": query.ldr[0], **columns},
        title=f"{place}, photographed by a camera that was never trained on",
        caption=f"the bracket shows another place, {taught}",
    )
