"""A camera with coded optics and the network that decodes its pictures, trained together."""

from dataclasses import dataclass
from typing import Final, Literal, get_args

import torch
from jaxtyping import Float
from learned import FixedPsf, FreePsf, LearnedHeightMap, OpticalEncoder
from torch import Tensor, nn
from views import MAX_EXPOSURE, seeded

from ldr2hdr.backbones.unet import UNet
from ldr2hdr.data.cameras.optics import delta_psf
from ldr2hdr.data.cameras.optics_families import StarPsf
from ldr2hdr.data.cameras.optics_waves import CodedLens

Arm = Literal["none", "fixed", "free", "lens", "height"]
ARMS: Final = get_args(Arm)
NAMES: Final[dict[Arm, str]] = {
    "none": "no optics",
    "fixed": "star filter, fixed",
    "free": "free PSF, end to end",
    "lens": "flat plate, fixed",
    "height": "height map, end to end",
}

_LEVELS: Final = 255
_GAMMA: Final = 2.2
_EPS: Final = 1 / 255


@dataclass(frozen=True)
class Design:
    """Settings that all arms share.

    Attributes:
        psf_px: Side of the PSF.
        widths: Features of the U-Net at each resolution.
        read_noise_dn: The sensor's noise in 8-bit levels of linear exposure.
        samples: Height samples across the aperture.
    """

    psf_px: int = 47
    widths: tuple[int, ...] = (16, 32, 64, 128)
    read_noise_dn: float = 0.5
    samples: int = 96

    def start(self) -> Float[Tensor, "3 k k"]:
        """The PSF that the free one starts from and the fixed one stays at: a point with eight rays."""
        return StarPsf(self.psf_px, lines=4, share=0.1, decay_px=self.psf_px / 6, angle_deg=0.0).kernel()


class CodedCamera(nn.Module):
    """Optics, a linear sensor, an 8-bit picture of gamma 2.2, and a decoder that knows the gamma."""

    def __init__(self, psf: nn.Module, decoder: nn.Module, *, read_noise_dn: float) -> None:
        super().__init__()
        self.encoder = OpticalEncoder(psf, read_noise_dn=read_noise_dn, max_exposure=MAX_EXPOSURE)
        self.decoder = decoder

    def shoot(self, exposure: Float[Tensor, "n 3 h w"], generator: torch.Generator) -> Float[Tensor, "n 3 h w"]:
        """Take 8-bit pictures; their rounding lets gradients pass."""
        picture = self.encoder(exposure, generator) ** (1 / _GAMMA)
        return picture + (torch.round(picture * _LEVELS) / _LEVELS - picture).detach()

    def develop(self, ldr: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 3 h w"]:
        """Reconstruct sensor exposure."""
        return self.decoder(ldr, ldr**_GAMMA)

    @property
    def psf(self) -> Float[Tensor, "3 k k"]:
        """The PSF as designed."""
        return self.encoder.psf().detach()


def build_psf(arm: Arm, design: Design, *, generator: torch.Generator) -> nn.Module:
    """The optics of an arm before training."""
    lens = CodedLens(size_px=design.psf_px)
    if arm == "free":
        return FreePsf(design.start())
    if arm == "height":
        return LearnedHeightMap(lens, samples=design.samples, generator=generator)
    flat = torch.zeros(design.samples, design.samples, dtype=torch.float64)
    fixed = {"none": delta_psf(design.psf_px), "fixed": design.start(), "lens": lens.psf(flat)}
    return FixedPsf(fixed[arm])


def build_camera(arm: Arm, design: Design, *, seed: int) -> CodedCamera:
    """Build an untrained camera; the decoder starts the same in every arm."""
    camera_psf = build_psf(arm, design, generator=seeded(seed, "height map"))
    with torch.random.fork_rng(devices=[]):  # torch's layers take no generator
        torch.manual_seed(seed)
        decoder = UNet(design.widths)
    return CodedCamera(camera_psf, decoder, read_noise_dn=design.read_noise_dn)


def root_l2(pred: Float[Tensor, "n 3 h w"], target: Float[Tensor, "n 3 h w"]) -> Float[Tensor, " n"]:
    """Root mean square error of the square roots of each picture.

    In squares of roots a highlight weighs by its light: the paper's loss is this over a whole batch.

    References:
        Metzler, Ikoma, Peng, Wetzstein, CVPR 2020; the released training program adds 1/255.
    """
    return ((pred + _EPS).sqrt() - (target + _EPS).sqrt()).square().mean(dim=(1, 2, 3)).sqrt()
