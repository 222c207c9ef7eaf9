"""Archives as the published programs write them, of any numbers, and their networks computed another way."""

import numpy as np
import torch
import torch.nn.functional as F


def write_tensorlayer(path, arrays):
    """A list in one entry, which NumPy pickles."""
    listed = np.empty(len(arrays), dtype=object)
    listed[:] = arrays
    np.savez(path, params=listed)
    return path


class HDRCNNInNumPy:
    """HDRCNN on pictures (H, W, 3) of 0..1, with white at 255, colours in the order blue green red, and batch norm.

    ``arrays`` are what its archive lists: of each layer kernel and bias, and four of each batch norm.
    """

    def __init__(self, first, generator):
        self.generator = generator
        self.arrays = []
        sizes = [first * multiple for multiple in (1, 2, 4, 8, 8)]
        channels = 3
        for size, num_convs in zip(sizes, (2, 2, 3, 3, 3), strict=True):
            for _ in range(num_convs):
                self._add((3, 3, channels, size), size, gain=2.0 / 9 / channels)
                channels = size
        self._add((3, 3, channels, channels), channels, gain=2e-4 / 9 / channels, normed=True)
        for size in reversed(sizes):
            self._add((4, 4, size, channels), size, gain=0.5 / channels, normed=True)
            self._add((1, 1, 2 * size, size), size, gain=0.5 / size)
            channels = size
        self._add((1, 1, channels, 3), 3, gain=0.5 / channels, normed=True)
        self._add((1, 1, 6, 3), 3, gain=0.1)

    def _add(self, kernel, num_out, *, gain, normed=False):
        draw = self.generator
        self.arrays += [draw.normal(0, gain**0.5, kernel), draw.normal(0, 0.3, num_out)]
        if normed:
            self.arrays += [draw.normal(0, 0.3, num_out), draw.normal(1, 0.3, num_out)]
            self.arrays += [draw.normal(0, 0.3, num_out), draw.uniform(0.5, 2, num_out)]
        self.arrays = [array.astype(np.float32) for array in self.arrays]

    def __call__(self, rgb):
        arrays = iter([array.astype(np.float64) for array in self.arrays])
        features = 255 * rgb[..., ::-1] - np.array([103.939, 116.779, 123.68])
        skips = []
        for num_convs in (2, 2, 3, 3, 3):
            for _ in range(num_convs):
                features = np.maximum(convolve(features, next(arrays), next(arrays)), 0)
            skips.append(np.log((features / 255) ** 2 + 1 / 255))
            rows, columns, channels = features.shape
            features = features.reshape(rows // 2, 2, columns // 2, 2, channels).max(axis=(1, 3))
        features = convolve(features, next(arrays), next(arrays))
        features = np.maximum(batch_norm(features, arrays), 0)
        while skips:
            features = convolve_transposed(features, next(arrays), next(arrays))
            features = np.maximum(batch_norm(features, arrays), 0)
            features = convolve(np.concatenate([features, skips.pop()], axis=2), next(arrays), next(arrays))
        features = convolve(features, next(arrays), next(arrays))
        features = np.maximum(batch_norm(features, arrays), 0)
        features = np.concatenate([features, np.log(rgb**2 + 1 / 255)], axis=2)
        log_exposure = convolve(features, next(arrays), next(arrays))
        assert next(arrays, None) is None
        alpha = np.clip((rgb.max(axis=2, keepdims=True) - 0.95) / 0.05, 0, 1)
        return (1 - alpha) * rgb**2 + alpha * np.maximum(np.exp(log_exposure) - 1 / 255, 0)


def convolve(features, kernel, bias):
    rows, columns, _ = features.shape
    border = kernel.shape[0] // 2
    padded = np.pad(features, ((border, border), (border, border), (0, 0)))
    result = np.zeros((rows, columns, kernel.shape[3]))
    for i, j in np.ndindex(kernel.shape[:2]):
        result += padded[i : i + rows, j : j + columns] @ kernel[i, j]
    return result + bias


def convolve_transposed(features, kernel, bias):
    """Stride 2, kernel (4, 4, out, in): every pixel adds the kernel to a picture of twice the size."""
    rows, columns, _ = features.shape
    result = np.zeros((2 * rows + 2, 2 * columns + 2, kernel.shape[2]))
    for i, j in np.ndindex(4, 4):
        result[i : i + 2 * rows : 2, j : j + 2 * columns : 2] += features @ kernel[i, j].T
    return result[1:-1, 1:-1] + bias


def batch_norm(features, arrays):
    beta, gamma, mean, variance = (next(arrays) for _ in range(4))
    return (features - mean) / np.sqrt(variance + 1e-5) * gamma + beta


def expandnet_state(width, generator):
    """Random weights under the published names."""
    state = {}

    def add(name, before, after, side):
        scale = (before * side**2) ** -0.5
        state[f"{name}.weight"] = scale * torch.randn(after, before, side, side, generator=generator)
        state[f"{name}.bias"] = 0.1 * torch.randn(after, generator=generator)

    add("local_net.0.0", 3, width, 3)
    add("local_net.1.0", width, 2 * width, 3)
    for step in range(3):
        add(f"mid_net.{step}.0", width if step else 3, width, 3)
    add("mid_net.3", width, width, 3)
    for step in range(6):
        add(f"glob_net.{step}.0", width if step else 3, width, 3)
    add("glob_net.6", width, width, 4)
    add("end_net.0.0", 4 * width, width, 1)
    add("end_net.1", width, 3, 1)
    return state


def expandnet_by_name(state, ldr):
    """The relative picture that ExpandNet makes of a picture stretched to [0, 1]."""

    def conv(name, features, **geometry):
        return F.conv2d(features, state[f"{name}.weight"], state[f"{name}.bias"], **geometry)

    local = F.selu(conv("local_net.0.0", ldr, padding=1))
    local = F.selu(conv("local_net.1.0", local, padding=1))
    middle = ldr
    for step in range(3):
        middle = F.selu(conv(f"mid_net.{step}.0", middle, padding=2, dilation=2))
    middle = conv("mid_net.3", middle, padding=2, dilation=2)
    whole = F.interpolate(ldr, size=(256, 256), mode="bilinear", align_corners=False)
    for step in range(6):
        whole = F.selu(conv(f"glob_net.{step}.0", whole, padding=1, stride=2))
    whole = conv("glob_net.6", whole) * torch.ones_like(middle)
    fused = F.selu(conv("end_net.0.0", torch.cat([local, middle, whole], dim=1)))
    return conv("end_net.1", fused).sigmoid()


def hdrunet_state(width, generator):
    """Random weights under the published names."""
    state, half = {}, width // 2

    def add(name, before, after, side):
        scale = 0.7 * (before * side**2) ** -0.5
        state[f"{name}.weight"] = scale * torch.randn(after, before, side, side, generator=generator)
        state[f"{name}.bias"] = 0.1 * torch.randn(after, generator=generator)

    def add_modulation(name):
        for part in ("scale", "shift"):
            add(f"{name}.SFT_{part}_conv0", half, half, 1)
            add(f"{name}.SFT_{part}_conv1", half, width, 1)

    add("conv_first", 3, width, 3)
    for name in ("HR_conv1", "HR_conv2", "down_conv1", "down_conv2"):
        add(name, width, width, 3)
    for name in ("up_conv1.0", "up_conv2.0"):
        add(name, width, 4 * width, 3)
    add("conv_last", width, 3, 3)
    add_modulation("SFT_layer1")
    add_modulation("SFT_layer2")
    for trunk, number in (("recon_trunk1", 2), ("recon_trunk2", 8), ("recon_trunk3", 2)):
        for block in range(number):
            for part in ("1", "2"):
                add(f"{trunk}.{block}.conv{part}", width, width, 3)
                add_modulation(f"{trunk}.{block}.sft{part}")
    add("cond_first.0", 3, width, 3)
    for name, after, side in (
        *(("cond_first.2", width, 1), ("cond_first.4", width, 1)),
        *(("CondNet1.0", width, 1), ("CondNet1.2", half, 1)),
        *(("CondNet2.0", width, 3), ("CondNet2.2", half, 1)),
        *(("CondNet3.0", width, 3), ("CondNet3.2", half, 3)),
    ):
        add(name, width, after, side)
    add("mask_est.0", 3, width, 3)
    for name, after, side in (("mask_est.2", width, 3), ("mask_est.4", width, 1), ("mask_est.6", 3, 1)):
        add(name, width, after, side)
    return state


def hdrunet_by_name(state, ldr):
    """The display values that HDRUNet makes of a picture whose sides are multiples of 4."""

    def conv(name, features, stride=1):
        weight = state[f"{name}.weight"]
        return F.conv2d(features, weight, state[f"{name}.bias"], stride=stride, padding=weight.shape[-1] // 2)

    def leaky(features):
        return F.leaky_relu(features, 0.1)

    def modulate(name, features, condition):
        scale, shift = (
            conv(f"{name}.SFT_{part}_conv1", leaky(conv(f"{name}.SFT_{part}_conv0", condition)))
            for part in ("scale", "shift")
        )
        return features * (scale + 1) + shift

    def trunk(name, features, condition, number):
        for block in (f"{name}.{i}" for i in range(number)):
            hidden = conv(f"{block}.conv1", modulate(f"{block}.sft1", features, condition)).relu()
            features = features + conv(f"{block}.conv2", modulate(f"{block}.sft2", hidden, condition))
        return features

    def grow(name, features):
        return F.pixel_shuffle(conv(name, features), 2).relu()

    shared = ldr
    for name in ("cond_first.0", "cond_first.2", "cond_first.4"):
        shared = leaky(conv(name, shared))
    fine = conv("CondNet1.2", leaky(conv("CondNet1.0", shared)))
    middle = conv("CondNet2.2", leaky(conv("CondNet2.0", shared, stride=2)))
    coarse = conv("CondNet3.2", leaky(conv("CondNet3.0", shared, stride=2)), stride=2)
    mask = ldr
    for name in ("mask_est.0", "mask_est.2", "mask_est.4"):
        mask = conv(name, mask).relu()
    mask = conv("mask_est.6", mask)
    full = conv("HR_conv1", modulate("SFT_layer1", conv("conv_first", ldr).relu(), fine)).relu()
    half = trunk("recon_trunk1", conv("down_conv1", full, stride=2).relu(), middle, 2)
    quarter = conv("down_conv2", half, stride=2).relu()
    features = trunk("recon_trunk2", quarter, coarse, 8) + quarter
    features = trunk("recon_trunk3", grow("up_conv1.0", features) + half, middle, 2)
    features = modulate("SFT_layer2", grow("up_conv2.0", features) + full, fine)
    return mask * ldr + conv("conv_last", conv("HR_conv2", features).relu())
