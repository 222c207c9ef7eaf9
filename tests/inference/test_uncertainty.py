"""What is said of a reconstruction's pixels is what can be known of them."""

import pytest
import torch
from plain import plain

import ldr2hdr
from ldr2hdr.backbones.highlights.backbone import Highlights
from ldr2hdr.inference.convert import assess_photo, reconstruct_photo
from ldr2hdr.inference.uncertainty import LAYERS, LEVEL, Uncertainty, assess, vary


def grey(*levels: float) -> torch.Tensor:
    return torch.tensor(levels).expand(3, 1, -1)


def test_channels_are_named_in_order() -> None:
    assert LAYERS == ("mask.clipped", "mask.invented", "sigma")
    assert Uncertainty._fields == ("clipped", "invented", "sigma")


def test_what_is_above_white_in_a_clipped_channel_is_invented() -> None:
    ldr = torch.tensor([1.0, 0.5, 0.0]).view(3, 1, 1)
    made = torch.tensor([4.0, 0.75, 0.25]).view(3, 1, 1)
    found = assess(ldr, [made, made], tone_error_stops=0.5)
    assert found.clipped.item() == 1
    assert found.invented.item() == pytest.approx(3 / 5)
    # two stops above white in one channel of three
    assert found.sigma.item() == pytest.approx((0.5**2 + 2.0**2 / 3) ** 0.5)


def test_an_exposure_above_white_that_the_photograph_tells_is_not_invented() -> None:
    found = assess(grey(0.9), [grey(2.0), grey(2.0)], tone_error_stops=0.25)
    assert (found.clipped.item(), found.invented.item(), found.sigma.item()) == (0, 0, 0.25)


def test_the_spread_is_in_stops() -> None:
    found = assess(grey(0.5, 0.5), [grey(0.1, 0.1), grey(0.1, 0.4), grey(0.1, 0.2)], tone_error_stops=0.0)
    torch.testing.assert_close(found.sigma, torch.tensor([[0.0, 1.0]]))


def test_one_reconstruction_has_no_spread() -> None:
    with pytest.raises(ValueError, match="two reconstructions or more, got 1"):
        assess(grey(0.5), [grey(0.5)], tone_error_stops=0.1)


def test_variants_are_a_level_away_and_one_is_mirrored(generator: torch.Generator) -> None:
    ldr = torch.randint(256, (3, 5, 9), generator=generator) / 255
    darker, mirrored = vary(ldr)
    whole = (slice(0, 5), slice(0, 9))
    torch.testing.assert_close(darker(*whole), (ldr - LEVEL).clamp_min(0))
    torch.testing.assert_close(mirrored(*whole), (ldr.flip(2) + LEVEL).clamp_max(1))
    window = (slice(1, 4), slice(2, 5))
    for read in (darker, mirrored):
        assert torch.equal(read(*window), read(*whole)[:, *window])


def test_a_network_with_a_distribution_looks_once(monkeypatch: pytest.MonkeyPatch, generator: torch.Generator) -> None:
    """And says what three looks say where nothing is clipped; there, its distribution says how far it may be wrong."""
    network = ldr2hdr.load().single_shot()
    ldr = torch.randint(256, (3, 40, 60), generator=generator) / 255
    ldr[:, 10:30, 20:50] = 1
    looks = []
    prepare = Highlights.prepare
    monkeypatch.setattr(Highlights, "prepare", lambda self, *given: looks.append(1) or prepare(self, *given))
    found = assess_photo(ldr, network, tone_error_stops=0.5)
    assert looks == [1]
    made = reconstruct_photo(ldr, network)
    windows = (slice(0, 40), slice(0, 60))
    darker, mirrored = (reconstruct_photo(read(*windows), network) for read in vary(ldr))
    three = assess(ldr, [made, darker, mirrored.flip(2)], tone_error_stops=0.5)
    torch.testing.assert_close(found[:2], three[:2], rtol=0, atol=1e-5)
    is_told = found.clipped == 0
    torch.testing.assert_close(found.sigma[is_told], three.sigma[is_told], rtol=0, atol=1e-5)
    assert found.sigma[20, 35] > 0.6


def test_without_a_distribution_all_is_reconstructed_three_times() -> None:
    ldr = torch.full((3, 4, 6), 0.5)
    network = plain(lambda ldr: ldr)
    expected = torch.stack([(0.5 + shift / 255) * torch.ones(1) for shift in (0, -1, 1)]).log2().var()
    found = assess_photo(ldr, network, tone_error_stops=0.0)
    torch.testing.assert_close(found.sigma, expected.sqrt().expand(4, 6), rtol=1e-4, atol=0)
