"""Bands: a slow gradient of gains comes back from the file without steps."""

import gain_map_decoder
import numpy as np
import pytest
import torch
from PIL import Image

from ldr2hdr.io import read_photo, write_image
from ldr2hdr.io.gainmap import OFFSET, compute_gain_map

HEIGHT, WIDTH = 128, 512


@pytest.fixture
def gradient():
    """A grey photograph and light that rises by an eighth of a stop across it; a corner is 6 stops above it."""
    ldr = np.full((HEIGHT, WIDTH, 3), 0.2, np.float32)
    gains = np.repeat(np.linspace(1, 1.125, WIDTH, dtype=np.float32)[None, :, None], HEIGHT, 0).repeat(3, 2)
    gains[:8, :8] = 6
    return ldr, ((ldr + OFFSET) * np.exp2(gains) - OFFSET).astype(np.float32), gains


def systematic_error(codes, metadata, gains):
    """Largest error of the mean of a column, in codes: noise averages out, bands do not."""
    step = (metadata.gain_max - metadata.gain_min) / 255
    stored = metadata.gain_min + step * codes[16:].astype(np.float64)
    return np.abs((stored - gains[16:]).mean(axis=(0, 2))).max() / step


def test_codes_have_no_bands(gradient):
    ldr, hdr, gains = gradient
    gain_map = compute_gain_map(ldr, hdr)
    rounded = np.rint(
        (gains - gain_map.metadata.gain_min) * 255 / (gain_map.metadata.gain_max - gain_map.metadata.gain_min)
    )
    assert systematic_error(rounded, gain_map.metadata, gains) > 0.45  # what rounding alone does
    assert systematic_error(gain_map.codes, gain_map.metadata, gains) < 0.2
    again = compute_gain_map(ldr, hdr)
    np.testing.assert_array_equal(again.codes, gain_map.codes)


def test_a_file_has_no_bands(tmp_path, gradient):
    _, _, gains = gradient
    Image.fromarray(np.full((HEIGHT, WIDTH, 3), 124, np.uint8)).save(tmp_path / "a.png")
    photo = read_photo(tmp_path / "a.png")
    light = ((124 / 255 + 0.055) / 1.055) ** 2.4
    hdr = (light + OFFSET) * np.exp2(gains) - OFFSET
    write_image(tmp_path / "b.jpg", torch.from_numpy(hdr).movedim(-1, 0), format="ultrahdr", photo=photo)
    decoded = gain_map_decoder.decode(
        (tmp_path / "b.jpg").read_bytes(), lambda codes: ((codes + 0.055) / 1.055) ** 2.4, headroom=10.0
    )
    shown = np.log2((decoded + OFFSET) / (light + OFFSET))[16:].mean(axis=(0, 2))
    step = (gains.max() - gains.min()) / 255
    # by rounding alone 0.5
    assert np.abs(shown - gains[16:].mean(axis=(0, 2))).max() < 0.3 * step
