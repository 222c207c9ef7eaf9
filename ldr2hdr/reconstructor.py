"""The network that is meta-learned: a response stage in front of any backbone."""

from jaxtyping import Float
from torch import Tensor, nn

from ldr2hdr.tasks import Shots


class Reconstructor(nn.Module):
    """Map LDR pictures to sensor exposure.

    Args:
        response: Linearises the picture, ``(ldr, context) -> linear``.
        backbone: Corrects it, ``(ldr, linear) -> exposure``.
    """

    def __init__(self, response: nn.Module, backbone: nn.Module) -> None:
        super().__init__()
        self.response = response
        self.backbone = backbone

    def summarize(self, support: Shots) -> object:
        """What the response stage needs of the support; a function of the data alone, not of any parameter."""
        return self.response.summarize(support)  # type: ignore[operator]

    def forward(self, ldr: Float[Tensor, "b 3 h w"], context: object = None) -> Float[Tensor, "b 3 h w"]:
        """Reconstruct ``(B, 3, H, W)`` pictures of one camera.

        Args:
            ldr: Display-referred pictures in [0, 1], any size.
            context: What ``summarize`` made of this camera's support; None for a single shot.

        Returns:
            Sensor exposure, 1 at the camera's white, non-negative, unbounded above.
        """
        exposure: Tensor = self.backbone(ldr, self.response(ldr, context))
        return exposure
