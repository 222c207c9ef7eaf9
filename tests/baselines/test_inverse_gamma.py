import pytest
import torch

from ldr2hdr.baselines.inverse_gamma import InverseGamma, InverseSRGB
from ldr2hdr.tasks import Shots


@pytest.mark.parametrize("system", [InverseGamma(), InverseGamma(1.8), InverseSRGB()], ids=repr)
def test_curves_rise_from_black_to_white_whatever_the_support(system):
    ldr = torch.linspace(0, 1, 256).expand(3, 1, 256)[None]
    exposure = system.adapt(None)(ldr)
    assert (exposure.diff(dim=-1) > 0).all()
    assert exposure[..., 0].unique().tolist() == [0]
    assert exposure[..., -1].unique().tolist() == pytest.approx([1])
    support = Shots(ldr, ldr * 7)
    torch.testing.assert_close(system.adapt(support)(ldr), exposure, rtol=0, atol=0)


def test_gamma_and_srgb_values():
    half = torch.full((1, 3, 1, 1), 0.5, dtype=torch.float64)
    assert InverseGamma(2.0).adapt(None)(half).unique().item() == 0.25
    # the values of IEC 61966-2-1 at mid grey and at both sides of its joint
    assert InverseSRGB().adapt(None)(half).unique().item() == pytest.approx(0.21404114048223255)
    assert InverseSRGB().adapt(None)(half * 0.08).unique().item() == pytest.approx(0.04 / 12.92)


def test_gamma_must_be_positive():
    with pytest.raises(ValueError, match=r"gamma must be positive, got 0\.0"):
        InverseGamma(0.0)
