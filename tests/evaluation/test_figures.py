"""The panel: what its cells show, and that it is written whole."""

from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest
import torch
from hydra import compose, initialize_config_dir

from ldr2hdr.build import CONF_DIR
from ldr2hdr.evaluation.figures import draw_panel, encode_srgb, error_stops
from ldr2hdr.evaluation.judging import _check_settings
from ldr2hdr.io import ImageError
from ldr2hdr.metrics.functional import log2_rmse
from ldr2hdr.tasks import Shots


def query(height: int = 12, width: int = 16, count: int = 1) -> Shots:
    exposure = torch.full((count, 3, height, width), 4.0)
    return Shots(exposure.clamp(0, 1), exposure)


def draw(path: Path, shots: Shots) -> None:
    names = ("LDR input\nnote", "single-shot", "adapted\nnote")
    reconstructions = dict.fromkeys(names, shots.ldr[0])
    draw_panel(path, shots, reconstructions=reconstructions, title="a title", caption="a caption")


def test_srgb_matches_the_standard() -> None:
    # 118 of 255 is middle grey, 18 %; 188 is half
    codes = encode_srgb(torch.tensor([0.18, 0.5, -1.0, 2.0], dtype=torch.float64)) * 255
    assert codes.round().tolist() == [118, 188, 0, 255]


def test_the_error_map_averages_to_the_metric(generator: torch.Generator) -> None:
    pred, truth = torch.rand(2, 3, 5, 7, generator=generator, dtype=torch.float64) ** 8
    assert error_stops(pred, truth).square().mean().sqrt().item() == pytest.approx(log2_rmse(pred, truth).item())


def test_darkening_shows_grey_where_the_photo_clipped_and_white_where_it_did_not(tmp_path: Path) -> None:
    path = tmp_path / "panel.png"
    draw(path, query())
    pixels = iio.imread(path)[..., :3]
    assert pixels.shape[1] == 1400
    assert [file.name for file in tmp_path.iterdir()] == ["panel.png"]
    # at -2 EV, a clipped 1.0 is a quarter, sRGB code 137, and the truth of 4.0 is white
    row = pixels[172 + 240 + 5 + 120].astype(int)
    for column, code in ((0, 137), (1, 137), (3, 255)):
        np.testing.assert_allclose(row[92 + column * 325 + 160], code, atol=1)


def test_a_panel_shows_one_photograph(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="one photograph, got 2"):
        draw(tmp_path / "panel.png", query(count=2))


def test_a_reconstruction_has_the_size_of_the_truth(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"of the truth's shape .3, 12, 16., got .3, 2, 2. for 'a'"):
        draw_panel(
            tmp_path / "p.png", query(), reconstructions={"a": torch.ones(3, 2, 2)}, title="title", caption="caption"
        )


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="missing"):
        draw(tmp_path / "missing" / "panel.png", query(2, 2))


def test_evaluate_names_the_panel_camera_it_cannot_find(tmp_path: Path) -> None:
    with initialize_config_dir(CONF_DIR, version_base="1.3"):
        cfg = compose("evaluate", overrides=["camera=pointwise", "ckpt=unused"])
    with pytest.raises(ValueError, match=r"panel.camera=phone is not among the cameras pointwise; .* panel=null"):
        _check_settings(cfg)
