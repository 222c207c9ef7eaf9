"""Colour difference against an independent implementation and closed forms."""

import pytest
import torch

from ldr2hdr.metrics.colour import delta_e_itp
from ldr2hdr.radiometry import encode_pq

# colour-science 0.4.7, delta_E of method ITP, mean over pixels
REFERENCE = {
    "gain": 17.313014415433965,
    "gamma": 47.501902801361403,
    "clip": 5.7636042047268523,
    "rgb": 10.68779375226079,
    "ripple": 3.173448059390569,
}


@pytest.mark.parametrize("name", REFERENCE)
def test_difference_agrees_with_an_independent_implementation(reference, distorted, name):
    assert delta_e_itp(distorted[name], reference).item() == pytest.approx(REFERENCE[name], abs=1e-10)


def test_between_greys_it_is_the_step_of_pq():
    greys = torch.tensor([10.0, 20.0], dtype=torch.float64)
    pictures = greys.view(2, 1, 1, 1).expand(2, 3, 4, 5)
    assert delta_e_itp(*pictures).item() == pytest.approx(720 * encode_pq(greys).diff().item(), rel=1e-6)


def test_equal_pictures_do_not_differ(reference):
    assert delta_e_itp(reference, reference) == 0
