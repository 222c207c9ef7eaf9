"""Files of weights from strangers: what is in them comes out, and nothing else happens."""

import io
import pickle
import zipfile

import numpy as np
import pytest
import torch
from archives import write_tensorlayer

from ldr2hdr.backbones.importers.archives import read_npz_list, read_torch_state
from ldr2hdr.backbones.importers.entries import Entries

ARRAYS = [
    np.arange(6, dtype=np.float32).reshape(1, 2, 3),
    np.asfortranarray(np.arange(6, dtype=np.float64).reshape(2, 3)),
    np.array([1.5, -2.0], dtype=">f4"),
    np.array([0.25], dtype=np.float16),
]


class Malicious:
    def __reduce__(self):
        return print, ("ran",)


def write_pickle(path, pickled, *, shape=(1,)):
    """An archive whose entry ``params`` says that it is a list of objects, and goes on with these bytes."""
    with zipfile.ZipFile(path, "w") as archive:
        header = io.BytesIO()
        np.lib.format.write_array_header_1_0(header, {"descr": "|O", "fortran_order": False, "shape": shape})
        archive.writestr("params.npy", header.getvalue() + pickled)
    return path


def listed(arrays):
    result = np.empty(len(arrays), dtype=object)
    result[:] = arrays
    return result


def assert_same(found, expected):
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_list_by_tensorlayer_is_read(tmp_path):
    assert_same(read_npz_list(write_tensorlayer(tmp_path / "a.npz", ARRAYS)), ARRAYS)


def test_a_list_that_an_old_numpy_pickled_is_read(tmp_path):
    pickled = pickle.dumps(listed(ARRAYS), protocol=2).replace(b"numpy._core", b"numpy.core")
    assert_same(read_npz_list(write_pickle(tmp_path / "a.npz", pickled)), ARRAYS)


def test_a_list_that_python_2_pickled_is_read(tmp_path):
    def array(shape, code, order, data):
        # what Python 2 wrote, whose strings are bytes: opcode U, length, bytes
        made = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\nK\x00\x85U\x01btR"
        kind = (
            b"cnumpy\ndtype\nU\x02"
            + code
            + b"K\x00K\x01\x87R(K\x03U\x01"
            + order
            + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
        )
        return made + b"(K\x01" + shape + kind + b"\x89" + data + b"tb"

    numbers = np.array([1.0, -3.5], dtype="<f4")
    inner = array(b"K\x02\x85", b"f4", b"<", b"U\x08" + numbers.tobytes())
    outer = array(b"K\x01\x85", b"O8", b"|", b"]" + inner + b"a")
    assert_same(read_npz_list(write_pickle(tmp_path / "a.npz", b"\x80\x02" + outer + b".")), [numbers])


def test_numbered_arrays_are_read_in_their_order(tmp_path):
    arrays = [np.array([float(number)]) for number in range(12)]
    np.savez(tmp_path / "a.npz", *arrays)
    assert_same(read_npz_list(tmp_path / "a.npz"), arrays)


@pytest.mark.parametrize(
    ("pickled", "reason"),
    [
        (pickle.dumps(listed([Malicious()])), r"it asks for builtins\.print, which is no part of an array"),
        (pickle.dumps(Malicious(), protocol=2), r"it asks for __builtin__\.print"),
        (pickle.dumps(np.array([1.0])), "expected a pickled list of arrays"),
        (pickle.dumps({}), "expected a pickled list of arrays"),
        (pickle.dumps(listed(["text"])), "item 0 of the list: expected an array, got str"),
        (pickle.dumps(listed([np.array([1.0]), np.array([1, 2])])), "item 1 of the list: expected numbers in floating"),
        (pickle.dumps(listed([listed([1])])), "item 0 of the list: expected an array of numbers"),
        (pickle.dumps(listed([np.array([1.0])]))[:-20], "the pickled list of arrays is refused"),
        (b"cnumpy.core.multiarray\n_reconstruct\n(tR.", "expected a pickled list of arrays"),
        (b"c_codecs\nencode\n(V1\nVrot13\ntR.", "expected bytes written as latin1, got 'rot13'"),
        (pickle.dumps(listed([np.zeros(3)])).replace(b"K\x03\x85", b"K\x04\x85"), "item 0 of the list: cannot reshape"),
    ],
)
def test_a_pickle_of_anything_else_is_refused(tmp_path, capsys, pickled, reason):
    path = write_pickle(tmp_path / "a.npz", pickled)
    with pytest.raises(ValueError, match=reason) as caught:
        read_npz_list(path)
    assert str(path) in str(caught.value)
    assert "ran" not in capsys.readouterr().out


def test_an_array_that_lacks_its_parts_is_refused(tmp_path):
    empty = b"cnumpy.core.multiarray\n_reconstruct\n(tR"
    outer = empty + b"(K\x01K\x01\x85N\x89](" + empty + b"etb."
    with pytest.raises(ValueError, match="item 0 of the list: an array lacks its parts"):
        read_npz_list(write_pickle(tmp_path / "a.npz", outer))


def write_garbage(path):
    path.write_bytes(b"no archive")


def write_other_names(path):
    np.savez(path, weights=np.zeros(3))


def write_gap(path):
    np.savez(path, arr_0=np.zeros(3), arr_2=np.zeros(3))


def write_plain_list(path):
    np.savez(path, params=np.zeros(3))


def write_object_entry(path):
    np.savez(path, arr_0=listed([Malicious()]))


def write_truncated(path):
    np.savez(path, np.zeros(1000))
    path.write_bytes(path.read_bytes()[:-500])


def write_later_version(path):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("params.npy", b"\x93NUMPY\x03\x00")


@pytest.mark.parametrize(
    ("write", "reason"),
    [
        (write_garbage, "not a zip file"),
        (write_other_names, "expected the entry params or numbered ones, got weights.npy"),
        (write_gap, "numbered ones, got arr_0.npy, arr_2.npy"),
        (write_plain_list, "expected a list of arrays in params.npy, got one of float64"),
        (write_object_entry, "Object arrays cannot be loaded"),
        (write_truncated, "not a zip file"),
        (write_later_version, r"expected version 1 or 2 of the npy format in params.npy, got \(3, 0\)"),
    ],
)
def test_a_damaged_or_unknown_archive_is_refused(tmp_path, capsys, write, reason):
    path = tmp_path / "a.npz"
    write(path)
    with pytest.raises(ValueError, match=reason) as caught:
        read_npz_list(path)
    assert str(path) in str(caught.value)
    assert "ran" not in capsys.readouterr().out


@pytest.mark.parametrize("read", [read_npz_list, read_torch_state])
def test_a_file_that_is_not_there_is_named(tmp_path, read):
    with pytest.raises(FileNotFoundError, match=r"found none: .*nowhere"):
        read(tmp_path / "nowhere")


@pytest.mark.parametrize("is_zip", [True, False])
def test_a_state_dict_is_read_without_the_prefix_of_its_wrapper(tmp_path, is_zip):
    state = {"module.a.weight": torch.ones(2), "module.b": torch.zeros(1)}
    torch.save(state, tmp_path / "a.pth", _use_new_zipfile_serialization=is_zip)
    found = read_torch_state(tmp_path / "a.pth")
    assert list(found) == ["a.weight", "b"]
    assert torch.equal(found["a.weight"], torch.ones(2))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is not a readable PyTorch file"),
        (b"no weights at all", "is no PyTorch file, or holds more than tensors"),
        (pickle.dumps(Malicious(), protocol=2), "is no PyTorch file, or holds more than tensors"),
        ([torch.ones(1)], "is no state dict: expected tensors by name, got list"),
        ({}, "is no state dict: expected tensors by name, got dict"),
        ({"epoch": 3}, "is no state dict: expected a tensor in epoch, got int"),
    ],
)
def test_what_is_no_state_dict_is_refused(tmp_path, capsys, content, reason):
    path = tmp_path / "a.pth"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        torch.save(content, path)
    with pytest.raises(ValueError, match=reason) as caught:
        read_torch_state(path)
    assert str(path) in str(caught.value)
    assert "ran" not in capsys.readouterr().out


def test_entries_come_out_once_in_single_precision(tmp_path):
    entries = Entries(tmp_path / "a.pth", {"a": torch.ones(2, 3, dtype=torch.float64)})
    assert entries.shape("a", num_dims=2) == (2, 3)
    assert torch.equal(entries.take("a", (2, 3)), torch.ones(2, 3))
    entries.require_none_left()
    with pytest.raises(ValueError, match="there is no entry a"):
        entries.take("a", (2, 3))


@pytest.mark.parametrize(
    ("use", "reason"),
    [
        (lambda entries: entries.take("b", (1,)), "there is no entry b"),
        (lambda entries: entries.take("a", (3,)), r"expected shape \(3,\) of a, got \(2,\)"),
        (lambda entries: entries.take("whole", (2,)), r"numbers in floating point in whole, got torch\.int64"),
        (lambda entries: entries.take("infinite", (2,)), "expected finite numbers in floating point in infinite"),
        (lambda entries: entries.shape("a", num_dims=4), r"expected 4 dimensions of a, got shape \(2,\)"),
        (lambda entries: entries.require_none_left(), "3 entries are of no known use, the first is a"),
    ],
)
def test_a_wrong_entry_is_named_with_its_file(tmp_path, use, reason):
    tensors = {"a": torch.ones(2), "whole": torch.ones(2).long(), "infinite": torch.tensor([1.0, torch.inf])}
    with pytest.raises(ValueError, match=rf"a\.pth: .*{reason}"):
        use(Entries(tmp_path / "a.pth", tensors))
