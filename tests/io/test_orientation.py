"""The eight orientations, against Pillow."""

import numpy as np
import pytest
import torch
from PIL import ExifTags, Image, ImageOps

from ldr2hdr.io.orientation import turn_stored, turn_upright


@pytest.mark.parametrize("orientation", range(1, 9))
def test_turning_agrees_with_pillow_and_can_be_undone(orientation):
    stored = torch.arange(2 * 3 * 4, dtype=torch.uint8).reshape(2, 3, 4)
    for plane in stored:
        picture = Image.fromarray(plane.numpy())
        picture.getexif()[ExifTags.Base.Orientation] = orientation
        expected = np.asarray(ImageOps.exif_transpose(picture))
        np.testing.assert_array_equal(turn_upright(plane, orientation), expected)
    assert torch.equal(turn_stored(turn_upright(stored, orientation), orientation), stored)
