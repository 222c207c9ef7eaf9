"""The grid against OpenCV's direct filter, and where the answer is known."""

import math

import cv2
import pytest
import torch

from ldr2hdr.baselines.expansion.bilateral_grid import bilateral_filter


def pictures(batch, height, width):
    """Smooth shades with an edge and a little noise, in [0, 1]."""
    generator = torch.Generator().manual_seed(0)
    noise = torch.rand(batch, height, width, generator=generator)
    rows, columns = torch.linspace(0, 1, height)[:, None], torch.linspace(0, 1, width)
    shade = 0.3 * rows + 0.2 * (3 * columns).sin() + 0.3 * (columns > 0.5)
    return (shade + 0.1 * noise).clamp(0, 1)


@pytest.mark.parametrize(("sigma_px", "sigma_range"), [(3.0, 0.1), (6.0, 0.05), (4.0, 0.3)])
def test_it_is_the_direct_filter(sigma_px, sigma_range):
    picture = pictures(1, 90, 80)
    ours = bilateral_filter(picture, picture, sigma_px=sigma_px, sigma_range=sigma_range)[0]
    reach = int(4 * sigma_px)
    direct = cv2.bilateralFilter(picture[0].numpy(), 2 * reach + 1, sigma_range, sigma_px)
    # OpenCV reflects the picture at its border, the grid ends there
    inside = (slice(reach, -reach), slice(reach, -reach))
    error = (ours - torch.from_numpy(direct))[inside].abs()
    assert (picture[0] - torch.from_numpy(direct))[inside].abs().mean() > 0.01
    assert error.mean() < 1.5e-3
    assert error.max() < 0.03


def test_with_a_guide_of_one_value_it_is_a_gaussian():
    spike = torch.zeros(1, 1, 81)
    spike[0, 0, 40] = 1.0
    out = bilateral_filter(spike, torch.full_like(spike, 0.3), sigma_px=5.0, sigma_range=0.1)[0, 0]
    expected = torch.exp(-0.5 * ((torch.arange(81.0) - 40) / 5) ** 2) / (5 * math.sqrt(2 * math.pi))
    torch.testing.assert_close(out, expected, rtol=0, atol=0.05 * expected.max().item())
    assert out.sum().item() == pytest.approx(1, abs=1e-2)


def test_values_do_not_cross_an_edge_of_the_guide():
    guide = torch.zeros(1, 20, 20)
    guide[..., 10:] = 1.0
    values = torch.rand(1, 20, 20, generator=torch.Generator().manual_seed(0))
    values[..., 10:] += 5
    out = bilateral_filter(values, guide, sigma_px=50.0, sigma_range=0.1)
    assert out[..., :10].max() < 1
    assert out[..., 10:].min() > 5


def test_each_picture_is_filtered_for_itself():
    batch = pictures(3, 17, 23) * torch.tensor([1.0, 0.5, 0.1])[:, None, None]
    together = bilateral_filter(batch, batch, sigma_px=4.0, sigma_range=0.1)
    single = torch.cat([bilateral_filter(one[None], one[None], sigma_px=4.0, sigma_range=0.1) for one in batch])
    torch.testing.assert_close(together, single, rtol=0, atol=1e-6)


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (7, 1)])
@pytest.mark.parametrize("sigma_px", [0.2, 30.0])
def test_a_constant_stays_at_any_size(size, sigma_px):
    picture = torch.full((2, *size), 0.7)
    torch.testing.assert_close(bilateral_filter(picture, picture, sigma_px=sigma_px, sigma_range=0.01), picture)


@pytest.mark.parametrize("sigmas", [{"sigma_px": 0.0, "sigma_range": 1.0}, {"sigma_px": 1.0, "sigma_range": -1.0}])
def test_sigmas_must_be_positive(sigmas):
    with pytest.raises(ValueError, match="positive sigmas"):
        bilateral_filter(torch.zeros(1, 2, 2), torch.zeros(1, 2, 2), **sigmas)
