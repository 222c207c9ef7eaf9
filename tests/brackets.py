"""Brackets of which everything is known."""

import torch
import torch.nn.functional as F

EVS = (-2.0, 0.0, 2.0)


def texture(size, seed=0, *, octaves=(4, 8, 16, 32, 64)):
    """Exposure ``(3, size, size)`` from 7 stops below to 1.5 above the clipping point, detailed at each scale."""
    generator = torch.Generator().manual_seed(seed)
    noises = [torch.rand(1, 3, n, n, generator=generator, dtype=torch.float64) / n**0.5 for n in octaves]
    total = sum(F.interpolate(noise, size=(size, size), mode="bilinear")[0] for noise in noises)
    low, high = total.amin(dim=(1, 2), keepdim=True), total.amax(dim=(1, 2), keepdim=True)
    return torch.exp2(-7 + 8.5 * (total - low) / (high - low))


def shoot(curve, exposure, evs=EVS):
    """8-bit pictures ``(n, 3, h, w)`` of one exposure, or of one for each ev."""
    clipped = (exposure * torch.exp2(torch.tensor(evs, dtype=torch.float64))[:, None, None, None]).clamp(max=1)
    return ((curve(clipped) * 255).round() / 255).float()


def windows(full, shifts, size):
    """A window of ``full`` for each shift ``(n, 2)``, as a camera that moved against the shift sees it."""
    origin = (full.shape[-1] - size) // 2
    corners = (origin - torch.as_tensor(shifts)).tolist()
    return torch.stack([full[:, y : y + size, x : x + size] for y, x in corners])
