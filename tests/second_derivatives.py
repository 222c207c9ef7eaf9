"""Second derivatives twice: as autograd has them, and by central differences of the first ones."""

import torch


def along_a_direction(find_loss, parameter, generator):
    """Return the second derivative along a random direction, exact and measured."""

    def gradient():
        return torch.autograd.grad(find_loss(), parameter, create_graph=True)[0]

    direction = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
    exact = torch.autograd.grad((gradient() * direction).sum(), parameter)[0]
    step = 1e-5
    with torch.no_grad():
        parameter += step * direction
    ahead = gradient().detach()
    with torch.no_grad():
        parameter -= 2 * step * direction
    return exact, (ahead - gradient().detach()) / (2 * step)
