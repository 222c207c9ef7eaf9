"""Whether ``sigma`` knows where a reconstruction errs, on places and cameras that nothing was fitted to."""

from pathlib import Path

import torch
from torch import Tensor

import ldr2hdr
from ldr2hdr.data.scenes.sources import PanoramaSource
from ldr2hdr.inference.convert import assess_photo
from ldr2hdr.io import read_ldr
from profiles.photographs import draw_camera, write_bracket, write_photo


def rank_correlation(one: Tensor, other: Tensor) -> float:
    """Spearman's, of values that seldom repeat."""
    ranks = torch.stack([values.flatten().argsort().argsort().double() for values in (one, other)])
    return float(torch.corrcoef(ranks)[0, 1])


def test_it_ranks_the_pixels_of_photographs_by_their_error(tmp_path: Path, cache_dir: Path, ckpt: Path) -> None:
    model, source = ldr2hdr.load(ckpt), PanoramaSource(cache_dir=cache_dir)
    found = []
    for seed, place in ((0, "blender_sunrise"), (3, "venice_sunset"), (7, "venice_sunset"), (15, "blender_sunrise")):
        camera, generator = draw_camera(seed), torch.Generator().manual_seed(seed)
        taught, shown = (
            camera.expose(source.sample(name, crop_px=128, generator=generator)[None], generator)[0]
            for name in ("blender_city", place)
        )
        phi = model.adapt(write_bracket(tmp_path / f"{seed}", taught, camera), max_steps=0)
        ldr = read_ldr(write_photo(tmp_path / f"{seed}.jpg", shown, camera))
        assert phi.profile.check is not None
        uncertainty = assess_photo(ldr, phi.network, tone_error_stops=phi.profile.check.stops[0])
        error = (phi(ldr).clamp_min(2.0**-10) / shown.clamp_min(2.0**-10)).log2()
        found.append(rank_correlation(uncertainty.sigma, (error - error.median()).square().mean(dim=0)))
    assert min(found) > 0
    assert sum(found) / len(found) > 0.3
