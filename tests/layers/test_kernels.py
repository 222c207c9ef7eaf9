"""The compiled kernels: built once, told about once if they cannot be, and never needed."""

import logging
import os
from pathlib import Path

import pytest
import torch

from ldr2hdr.layers import kernels
from ldr2hdr.layers.kernels import MAX_CHANNELS, load_kernels, usable_kernels
from ldr2hdr.layers.pixel_norm import KernelSiLU, pixel_norm_silu

PICTURE = torch.zeros(1, 16, 2, 2)


@pytest.fixture
def fresh_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    load_kernels.cache_clear()
    yield tmp_path
    load_kernels.cache_clear()


def test_without_a_compiler_one_warning_and_the_same_numbers(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, generator: torch.Generator
) -> None:
    inputs = torch.randn(2, 24, 5, 5, generator=generator), torch.rand(24, 1, 1), torch.rand(24, 1, 1)
    compiled = pixel_norm_silu(*inputs)
    monkeypatch.setenv("CC", "nonexistent")
    load_kernels.cache_clear()
    try:
        with caplog.at_level(logging.WARNING, logger="ldr2hdr"):
            plain = [pixel_norm_silu(*inputs) for _ in range(3)]
    finally:
        load_kernels.cache_clear()
    torch.testing.assert_close(plain[0], compiled, rtol=1e-5, atol=1e-6)
    (record,) = caplog.records
    assert "no C compiler" in record.getMessage()
    assert "same numbers" in record.getMessage()


@pytest.mark.parametrize("compiler", ["false", "true"])
def test_a_compiler_that_fails_is_one_warning(
    fresh_cache: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, compiler: str
) -> None:
    """One says so, the other writes nothing."""
    monkeypatch.setenv("CC", compiler)
    assert load_kernels() is None
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert not list((fresh_cache / "ldr2hdr").glob("*.so"))


def test_a_cache_that_cannot_be_written_is_one_warning(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    load_kernels.cache_clear()
    assert load_kernels() is None
    load_kernels.cache_clear()
    assert len(caplog.records) == 1


def test_a_user_without_a_home_is_one_warning(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def nowhere() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", nowhere)
    load_kernels.cache_clear()
    assert load_kernels() is None
    load_kernels.cache_clear()
    assert len(caplog.records) == 1


def test_kernels_can_be_switched_off(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setenv("LDR2HDR_KERNELS", "0")
    load_kernels.cache_clear()
    assert load_kernels() is None
    load_kernels.cache_clear()
    assert not caplog.records


def test_what_is_built_is_kept(fresh_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if load_kernels() is None:
        pytest.skip("this machine has no C compiler")
    (library,) = (fresh_cache / "ldr2hdr").iterdir()
    assert os.stat(library.parent).st_mode & 0o077 == 0, "others could put code there"
    ran: list[list[str]] = []
    monkeypatch.setattr(kernels, "_run", lambda command, run=kernels._run: (ran.append(command), run(command))[1])
    load_kernels.cache_clear()
    assert load_kernels() is not None
    assert [command[1:] for command in ran] == [["--version"]]


def test_only_pictures_they_are_made_for() -> None:
    if load_kernels() is None:
        pytest.skip("this machine has no C compiler")
    assert usable_kernels(PICTURE) is usable_kernels(PICTURE.double()) is load_kernels()
    assert usable_kernels(PICTURE.half()) is None
    assert usable_kernels(PICTURE.to("meta")) is None
    assert usable_kernels(torch.zeros(1, MAX_CHANNELS + 1, 1, 1)) is None


def test_kernels_that_disappear_before_the_backward_pass_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    if load_kernels() is None:
        pytest.skip("this machine has no C compiler")
    activated = KernelSiLU()(PICTURE.clone().requires_grad_())
    monkeypatch.setenv("LDR2HDR_KERNELS", "0")
    load_kernels.cache_clear()
    try:
        with pytest.raises(RuntimeError, match="disappeared"):
            activated.sum().backward()
    finally:
        load_kernels.cache_clear()


def test_weights_on_another_device_are_refused() -> None:
    """Failed by ending the process."""
    if load_kernels() is None:
        pytest.skip("this machine has no C compiler")
    gain, bias = (torch.ones(16, 1, 1, device=device) for device in ("meta", "cpu"))
    with pytest.raises(TypeError, match=r"on the CPU and have one type, got .*float32 on meta"):
        pixel_norm_silu(PICTURE, gain, bias)
