"""VSI agrees with its authors' code and with another implementation, and is defined on every picture."""

import pytest
import torch

from ldr2hdr.metrics.saliency import pu21_vsi, saliency

# m_vsi.m of its authors run in Octave
REFERENCE = {
    "gain": 0.99930696,
    "gamma": 0.98964472,
    "clip": 0.93025679,
    "rgb": 0.99575702,
    "ripple": 0.99913016,
}
# piq 0.8.0 fed with PU21 units, data_range=255, on 520 x 640 pixels, which are halved first
LARGE = {
    "gain": 0.99972158,
    "gamma": 0.99573019,
    "clip": 0.96436261,
    "rgb": 0.99574754,
    "ripple": 0.99973117,
}


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("name", REFERENCE)
def test_vsi_agrees_with_the_official_code(reference, distorted, name, dtype):
    found = pu21_vsi(distorted[name].to(dtype), reference.to(dtype)).item()
    assert found == pytest.approx(REFERENCE[name], abs=2e-4)  # which itself varies by 5e-5 between its platforms


def test_vsi_of_large_pictures_agrees_with_another_implementation(large):
    reference, distorted = large
    preds = torch.stack([distorted[name] for name in LARGE]).float()
    found = pu21_vsi(preds, reference.float().expand_as(preds))
    torch.testing.assert_close(found, torch.tensor(list(LARGE.values())), atol=1e-4, rtol=0)


def test_vsi_is_symmetric_and_one_for_equal_pictures_alone(reference, distorted):
    preds = torch.stack([reference, *distorted.values()])
    targets = reference.expand_as(preds)
    values = pu21_vsi(preds, targets)
    assert values[0].item() == pytest.approx(1, abs=1e-12)
    assert (values[1:] < 1 - 1e-4).all()
    torch.testing.assert_close(values, pu21_vsi(targets, preds))
    torch.testing.assert_close(values, torch.stack([pu21_vsi(pred, reference) for pred in preds]))


def test_pictures_without_colour_or_contrast_are_judged(reference):
    grey = reference[:1].expand(3, -1, -1)
    black = torch.full_like(reference, 0.005)
    pairs = [(0.7 * grey, grey), (black, reference), (reference, black), (black, 50 * black), (black, black)]
    preds, targets = (torch.stack(pictures).float() for pictures in zip(*pairs, strict=True))
    values = pu21_vsi(preds, targets)
    assert values.isfinite().all()
    assert (values[1:3] < 0.8).all()
    assert (values[:4] < 0.9999).all()
    assert values[4] == 1


def test_nothing_is_salient_where_there_is_nothing_to_see():
    flat = torch.tensor([40.0, 300.0, 7.0]).view(1, 3, 1, 1).expand(1, 3, 50, 70)
    assert saliency(flat).abs().max() == 0


def test_a_spot_is_salient_and_more_so_in_the_middle():
    picture = torch.full((2, 3, 128, 128), 20.0)
    picture[0, :, 60:68, 60:68] = 200
    picture[:, :, 4:12, 4:12] = 200
    middle, corner = saliency(picture)
    assert middle.argmax() // 128 in range(55, 73)
    assert middle[60:68, 60:68].mean() > 2 * middle[4:12, 4:12].mean()
    assert corner.argmax() // 128 < 20


@pytest.mark.parametrize("shape", [(1, 1), (5, 300), (383, 385)])
def test_any_size_is_judged(generator, shape):
    pictures = 100 * torch.rand(2, 3, *shape, generator=generator)
    assert 0 < pu21_vsi(*pictures) <= 1
