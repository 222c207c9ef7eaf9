"""Kernels of a GPU: compiled as C they have torch's numbers, and its compiler takes them."""

import logging
import shutil
import subprocess
from contextlib import nullcontext
from pathlib import Path

import pytest
import torch
from derivatives import assert_same_derivatives
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck
from torch.func import vmap
from torch.nn import functional as F

from ldr2hdr.layers import device_kernels
from ldr2hdr.layers.kernels import DEVICE_SOURCE
from ldr2hdr.layers.pixel_norm import EPS, PixelNorm
from ldr2hdr.layers.stacked_norm import StackedNormSiLU


def stacked(features: Tensor, gain: Tensor, bias: Tensor) -> Tensor:
    """Over three tasks, with the layer that the engine takes."""
    layer = StackedNormSiLU(PixelNorm(1))

    def one(features: Tensor, gain: Tensor, bias: Tensor) -> Tensor:
        return torch.func.functional_call(layer, {"gain": gain, "bias": bias}, features)

    return vmap(one)(features, gain, bias)


def stock(features: Tensor, gain: Tensor, bias: Tensor) -> Tensor:
    length = (features.square().mean(dim=2, keepdim=True) + EPS).sqrt()
    return F.silu(features / length * gain[:, None] + bias[:, None])


def inputs_of(channels: int, generator: torch.Generator, *, px: int = 5) -> tuple[Tensor, ...]:
    features = 2 * torch.randn(3, 2, channels, px, px + 1, generator=generator, dtype=torch.float64)
    gain, bias = torch.randn(2, 3, channels, 1, 1, generator=generator, dtype=torch.float64)
    return features, gain, bias


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("channels", [1, 3, 16])
def test_a_stack_has_torchs_derivatives(
    either_way: None, channels: int, dtype: torch.dtype, generator: torch.Generator
) -> None:
    assert_same_derivatives(stacked, stock, [tensor.to(dtype) for tensor in inputs_of(channels, generator)])


def test_derivatives_agree_with_finite_differences(either_way: None, generator: torch.Generator) -> None:
    inputs = [tensor.requires_grad_() for tensor in inputs_of(3, generator, px=2)]
    assert gradcheck(stacked, inputs)
    assert gradgradcheck(stacked, inputs)


def test_no_picture_is_no_work() -> None:
    nothing = torch.zeros(3, 0, 2, 4, 4)
    assert stacked(nothing, torch.ones(3, 2, 1, 1), torch.zeros(3, 2, 1, 1)).shape == nothing.shape


@pytest.mark.skipif(shutil.which("nvcc") is None, reason="needs the CUDA toolkit")
@pytest.mark.parametrize("architecture", ["sm_80", "sm_90"])
def test_the_source_compiles_for_a_gpu_without_spilling(architecture: str, tmp_path: Path) -> None:
    command = ["nvcc", "-x", "cu", f"-arch={architecture}", "-cubin", "-Xptxas", "-v", "-o", str(tmp_path / "k.cubin")]
    said = subprocess.run([*command, str(DEVICE_SOURCE)], check=True, capture_output=True, text=True).stderr
    assert said.count("0 bytes spill stores") == 6
    assert "warning" not in said


def test_a_launch_has_a_thread_for_each_pixel(monkeypatch: pytest.MonkeyPatch, generator: torch.Generator) -> None:
    """As a GPU gets it: the grid, the pointers, whole numbers, and epsilon last."""
    launches = []

    def kernel_of(device: torch.device, name: str) -> object:
        return lambda **given: launches.append((name, given))

    monkeypatch.setattr(device_kernels, "_cuda_kernel", kernel_of)
    monkeypatch.setattr(torch.cuda, "device", nullcontext)
    features, gain, bias = inputs_of(3, generator)
    tensors = [features.movedim(0, 1).contiguous(), gain, bias, features]
    device_kernels._launch_cuda("stacked_norm_silu", tensors, device_kernels._sizes(tensors[0], gain))
    ((name, given),) = launches
    assert name == "stacked_norm_silu_f64"
    assert given["grid"][0] * given["block"][0] >= 2 * 3 * 30 > (given["grid"][0] - 1) * given["block"][0]
    assert given["args"][4:] == [2, 3, 3, 30, 3, EPS]


def test_without_a_gpus_compiler_one_warning_and_no_kernel(caplog: pytest.LogCaptureFixture) -> None:
    device_kernels._cuda_kernel.cache_clear()
    with caplog.at_level(logging.WARNING, logger="ldr2hdr"):
        found = {device_kernels._cuda_kernel(torch.device("cuda", 99), "stacked_norm_silu_f32") for _ in range(2)}
    device_kernels._cuda_kernel.cache_clear()
    assert found == {None}
    assert caplog.text.count("no kernels on cuda:99, layers run by torch's operations (slower, same numbers)") == 1


def test_kernels_of_a_gpu_can_be_switched_off_too(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("LDR2HDR_KERNELS", "0")
    device_kernels._cuda_kernel.cache_clear()
    assert device_kernels._cuda_kernel(torch.device("cuda", 0), "stacked_norm_silu_f32") is None
    device_kernels._cuda_kernel.cache_clear()
    assert not caplog.records


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_a_gpu_compiles_the_kernels_and_has_torchs_derivatives(dtype: torch.dtype, generator: torch.Generator) -> None:
    assert device_kernels._cuda_kernel(torch.device("cuda", 0), "stacked_norm_silu_f32") is not None
    assert_same_derivatives(stacked, stock, [tensor.to("cuda", dtype) for tensor in inputs_of(16, generator)])
