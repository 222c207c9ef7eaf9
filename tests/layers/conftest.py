import pytest

from ldr2hdr.layers.kernels import load_kernels


@pytest.fixture(params=["kernels", "torch"])
def either_way(request, monkeypatch):
    """With the compiled kernels, and without them."""
    if request.param == "torch":
        monkeypatch.setenv("LDR2HDR_KERNELS", "0")
    load_kernels.cache_clear()
    if request.param == "kernels" and load_kernels() is None:
        pytest.skip("this machine has no C compiler")
    yield
    load_kernels.cache_clear()
