"""Gain maps: the formula, its bound, and the two forms of metadata."""

import numpy as np
import pytest

from ldr2hdr.io.gainmap import OFFSET, GainMapMetadata, compute_gain_map
from ldr2hdr.io.gainmap_metadata import encode_base_xmp, encode_iso


@pytest.fixture
def pictures(rng):
    """An LDR picture with black and white, and the HDR one that it lost up to 5 stops of."""
    ldr = rng.random((12, 10, 3)).astype(np.float32) ** 2
    ldr[0] = 0
    ldr[1] = 1
    hdr = ldr * np.exp2(rng.uniform(-1, 5, ldr.shape)).astype(np.float32)
    hdr[0, 0] = 0.5
    return ldr, hdr


def apply(ldr, gain_map):
    meta = gain_map.metadata
    gains = meta.gain_min + (meta.gain_max - meta.gain_min) * gain_map.codes / 255.0
    return (ldr + meta.offset) * np.exp2(gains) - meta.offset


def test_the_gain_is_off_by_at_most_a_code_and_a_half(pictures):
    ldr, hdr = pictures
    gain_map = compute_gain_map(ldr, hdr)
    error = np.log2((apply(ldr, gain_map) + OFFSET) / (hdr + OFFSET))
    bound = (gain_map.metadata.gain_max - gain_map.metadata.gain_min) / 255 * 1.5
    assert 0.5 * bound < np.abs(error).max() <= bound * (1 + 1e-3)


def test_headroom_is_that_of_the_brightest_pixel(pictures):
    ldr, hdr = pictures
    assert compute_gain_map(ldr, hdr).metadata.headroom == pytest.approx(np.log2(hdr.max()), abs=2e-5)
    # a display is driven from 0 to the headroom, so it cannot be 0
    assert compute_gain_map(ldr, ldr).metadata.headroom == compute_gain_map(ldr * 0, ldr * 0).metadata.headroom == 1 / 8


def test_equal_pictures_have_no_gain(pictures):
    ldr, _ = pictures
    gain_map = compute_gain_map(ldr, ldr)
    assert (gain_map.metadata.gain_min, gain_map.metadata.gain_max) == (0, 0)
    np.testing.assert_allclose(apply(ldr, gain_map), ldr, atol=1e-7)


def test_a_reduced_map_holds_the_mean_gain_of_blocks(pictures):
    ldr, hdr = pictures
    whole, reduced = compute_gain_map(ldr, hdr), compute_gain_map(ldr, hdr, reduction=2)
    assert reduced.codes.shape == (6, 5, 3)
    gains = np.log2((hdr + OFFSET) / (ldr + OFFSET)).reshape(6, 2, 5, 2, 3).mean(axis=(1, 3))
    meta = reduced.metadata
    stored = meta.gain_min + (meta.gain_max - meta.gain_min) * reduced.codes / 255.0
    np.testing.assert_allclose(stored, gains, atol=(meta.gain_max - meta.gain_min) / 170 + 1e-4)
    assert whole.codes.shape == ldr.shape
    assert compute_gain_map(ldr, hdr, reduction=7).codes.shape == (2, 2, 3)


def test_the_binary_form_byte_by_byte():
    encoded = encode_iso(GainMapMetadata(gain_min=-1.5, gain_max=4.0, headroom=3.0))
    one, third = "00010000", "00030000"
    channel = f"fffe8000{one} 00040000{one} {one}{one} 00000400{one} 00000400{one}"
    assert encoded == bytes.fromhex(f"0000 0000 c0 00000000{one} {third}{one} " + channel * 3)


@pytest.mark.parametrize("existing", [None, b"", b"<no xml", b"<xml-without-rdf/>"])
def test_a_packet_is_made_where_there_is_none_to_add_to(existing):
    packet = encode_base_xmp(1234, existing)
    assert packet.startswith(b"<x:xmpmeta")
    assert b'hdrgm:Version="1.0"' in packet
    assert b'Item:Length="1234"' in packet
