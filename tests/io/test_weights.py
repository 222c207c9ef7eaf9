"""Weights come back as they were written; what is damaged, changed or something else is refused."""

import json
import os
import struct
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from ldr2hdr.io.weights import Weights, read_weights, write_weights

STATE = {"b": torch.linspace(-1, 1, 6).view(2, 3).T, "a": torch.tensor(3.0), "n": torch.tensor([2, 1])}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "net.safetensors"
    write_weights(path, Weights("key: [1, 2]\n", STATE))
    return path


def edit_header(path: Path, old: str, new: str) -> None:
    """Change the metadata, and let the tensors stay."""
    data = path.read_bytes()
    (size,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + size])
    assert old in header["__metadata__"]["config"]
    header["__metadata__"]["config"] = header["__metadata__"]["config"].replace(old, new)
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data[8 + size :])


def test_what_was_written_is_read(file: Path) -> None:
    config, state = read_weights(file)
    assert config == "key: [1, 2]\n"
    assert state.keys() == STATE.keys()
    assert all(torch.equal(tensor, STATE[name]) and tensor.dtype == STATE[name].dtype for name, tensor in state.items())
    again = file.with_name("again.safetensors")
    write_weights(again, Weights(config, state))
    read_weights(again)


@pytest.mark.skipif(os.name == "nt", reason="no such modes")
def test_a_file_follows_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_weights(tmp_path / "net.safetensors", Weights("key: 1\n", STATE))
    finally:
        os.umask(before)
    assert (tmp_path / "net.safetensors").stat().st_mode & 0o777 == 0o640


def test_a_changed_value_or_configuration_is_refused(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    changed = file.with_name("changed.safetensors")
    changed.write_bytes(data)
    with pytest.raises(ValueError, match=r"changed.safetensors is refused: its content is not what was written"):
        read_weights(changed)
    edit_header(file, "1, 2", "1, 3")
    with pytest.raises(ValueError, match=r"net.safetensors is refused: its content is not what was written"):
        read_weights(file)


def test_other_files_are_refused(file: Path) -> None:
    save_file(STATE | {"b": STATE["b"].contiguous()}, file.with_name("other.safetensors"))
    with pytest.raises(ValueError, match=r"other.safetensors is some other safetensors file, not weights of ldr2hdr"):
        read_weights(file.with_name("other.safetensors"))
    file.write_bytes(file.read_bytes()[:50])
    with pytest.raises(ValueError, match=r"net.safetensors is damaged, or no weights"):
        read_weights(file)


def test_the_name_tells_the_format(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"expected a name ending in .safetensors, got .*net.ckpt"):
        write_weights(tmp_path / "net.ckpt", Weights("", STATE))
