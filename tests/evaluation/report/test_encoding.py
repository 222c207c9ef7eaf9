"""What the page holds is what the EXR held: to 0.3 of a level, and without loss after that."""

import base64
import zlib

import numpy as np
import pytest

from ldr2hdr.evaluation.report.encoding import FLOOR, MAX_EV, STEPS_PER_STOP, encode_light, pack

SHAPE = (3, 11, 14)


def unpack(packed, *, levels, earlier):
    """As the browser does it, pixel by pixel."""
    data = zlib.decompress(base64.b64decode(packed.data), -15)
    head = 3 * 256 * 2 if packed.base == "table" else 0
    count = int(np.prod(SHAPE))
    assert len(data) == head + 2 * count
    folded = [data[head + i] + 256 * data[head + count + i] for i in range(count)]
    codes = np.array([value // 2 if value % 2 == 0 else -(value + 1) // 2 for value in folded]).reshape(SHAPE)
    if packed.is_smoothed:
        for channel, y, x in np.ndindex(SHAPE):
            left = codes[channel, y, x - 1] if x else 0
            up = codes[channel, y - 1, x] if y else 0
            corner = codes[channel, y - 1, x - 1] if x and y else 0
            if corner >= max(left, up):
                guess = min(left, up)
            elif corner <= min(left, up):
                guess = max(left, up)
            else:
                guess = left + up - corner
            codes[channel, y, x] += guess
    if packed.base == "table":
        table = np.frombuffer(data[:head], "<u2").reshape(3, 256)
        codes += np.stack([table[channel][levels[channel]] for channel in range(3)])
    elif packed.base is not None:
        codes += earlier[packed.base]
    return codes


@pytest.fixture
def random():
    return np.random.default_rng(0)


def pictures(random):
    """Codes, and what they should be predicted from."""
    levels = random.integers(0, 256, SHAPE, dtype=np.int32)
    noise = [random.integers(0, 3329, SHAPE, dtype=np.int32) for _ in range(3)]
    ramp = np.broadcast_to(np.arange(SHAPE[2], dtype=np.int32) * 7 + 40, SHAPE).copy()
    curve = (levels**2 // 30).astype(np.int32)
    return levels, noise, [(ramp, (None, True)), (curve, ("table", False)), (noise[2] + 1, (2, False))]


@pytest.mark.parametrize("index", range(3))
def test_packing_loses_nothing_and_finds_what_predicts(random, index):
    levels, noise, rows = pictures(random)
    codes, (base, is_smoothed) = rows[index]
    packed = pack(codes, levels=levels, earlier=noise)
    assert packed.base == base
    if base is None:
        assert packed.is_smoothed is is_smoothed
    np.testing.assert_array_equal(unpack(packed, levels=levels, earlier=noise), codes)


def test_extremes_survive_every_prediction(random):
    """Largest code beside the smallest, predicted from the opposite: residuals of 16 bits hold it."""
    checks = np.indices(SHAPE).sum(0) % 2
    codes = (checks * 3328).astype(np.int32)
    levels = ((1 - checks) * 255).astype(np.int32)
    for options in ({"levels": levels}, {"earlier": [3328 - codes]}, {}):
        packed = pack(codes, **options)
        np.testing.assert_array_equal(unpack(packed, levels=levels, earlier=options.get("earlier")), codes)


def srgb_level(light):
    light = np.clip(light, 0, 1)
    return 255 * np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)


def test_no_exposure_shows_another_level():
    light = np.concatenate([[0.0], 2.0 ** np.linspace(-20, 15.99, 3000)]).astype(np.float32)
    codes = encode_light(np.stack([light] * 3, -1)[None])[0, 0]
    back = FLOOR * (2.0 ** (codes / STEPS_PER_STOP) - 1)  # as the browser does
    assert back[0] == 0
    for ev in np.arange(-16, MAX_EV + 0.25, 0.25):
        worst = np.abs(srgb_level(back * 2**ev) - srgb_level(light.astype(float) * 2**ev)).max()
        assert worst < 0.6, ev
    bright = light > 16 * FLOOR
    assert np.abs(np.log2(back[bright] / light[bright])).max() < 0.5 / 128 * 1.1


def test_what_is_no_light_is_darkness_or_the_brightest():
    codes = encode_light(np.array([[[np.nan, -1.0, np.inf]]], dtype=np.float32))
    assert codes.ravel().tolist() == [0, 0, 3328]
