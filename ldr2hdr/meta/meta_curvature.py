"""Meta-Curvature: the outer loop also learns a matrix along each axis of a parameter that turns its gradients."""

from collections.abc import Sequence

from torch import Tensor, nn

from ldr2hdr.meta.inner_optimizers import AbstractDescent, AbstractRule, Iterate
from ldr2hdr.meta.maml import MAMLLearner


class MetaCurvatureLearner(MAMLLearner):
    """MAML on gradients that learned matrices transform, at first the identity; arguments as for `MAMLLearner`.

    The transforms are learn2learn's; the inner optimiser gets what they make of the gradients.

    References:
        Park and Oliva, "Meta-Curvature", NeurIPS 2019, sec. 3.
    """

    def make_rule(self, descent: AbstractDescent) -> AbstractRule:
        """Put the transforms before the inner optimiser."""
        return CurvedDescent(descent, self.adapting())


class CurvedDescent(AbstractRule):
    """Transform gradients by learned matrices, then step as an inner optimiser does.

    Args:
        descent: Steps along the transformed gradients.
        parameters: What adapts. Kernels and matrices have one square matrix per axis, a kernel's pixels taken as one;
            anything else has one factor per element.

    Raises:
        ModuleNotFoundError: If learn2learn is not installed.
    """

    def __init__(self, descent: AbstractDescent, parameters: Sequence[Tensor]) -> None:
        super().__init__()
        from ldr2hdr.meta.learn2learn import MetaCurvatureTransform  # may not be installed

        self.descent = descent
        # learn2learn makes its matrices in torch's default type, on the CPU
        self.transforms = nn.ModuleList(
            MetaCurvatureTransform(_as_transformed(parameter.detach())).to(parameter) for parameter in parameters
        )

    def start(self, parameters: Sequence[Tensor]) -> Iterate:
        """Return the iterate before the first step."""
        return self.descent.start(parameters)

    def step(self, iterate: Iterate, gradient: Sequence[Tensor], *, number: int) -> Iterate:
        """Take the inner optimiser's step along the transformed gradients."""
        curved = [
            transform(_as_transformed(part)).view_as(part)
            for transform, part in zip(self.transforms, gradient, strict=True)
        ]
        return self.descent.step(iterate, curved, number=number)


def _as_transformed(tensor: Tensor) -> Tensor:
    """In a shape that learn2learn's transform knows: as it is, or flat."""
    return tensor if tensor.ndim in (2, 4) else tensor.reshape(-1)
