"""Imported networks compute what the published ones do, and checkpoints of them are like any other."""

import hashlib

import numpy as np
import pytest
import torch
from archives import (
    HDRCNNInNumPy,
    expandnet_by_name,
    expandnet_state,
    hdrunet_by_name,
    hdrunet_state,
    write_tensorlayer,
)

from ldr2hdr.backbones.importers.expandnet import import_expandnet
from ldr2hdr.backbones.importers.hdrcnn import import_hdrcnn
from ldr2hdr.backbones.importers.hdrunet import import_hdrunet
from ldr2hdr.build import build_teacher, load_learner
from ldr2hdr.inference.import_weights import import_weights


def write_hdrcnn(folder):
    network = HDRCNNInNumPy(4, np.random.default_rng(0))

    def predict(ldr):
        pictures = [network(picture.permute(1, 2, 0).double().numpy()) for picture in ldr]
        return torch.tensor(np.stack(pictures)).permute(0, 3, 1, 2).float()

    return write_tensorlayer(folder / "hdrcnn_params.npz", network.arrays), predict


def write_expandnet(folder):
    state = expandnet_state(8, torch.Generator().manual_seed(0))
    torch.save(state, folder / "weights.pth")

    def predict(ldr):
        relative = expandnet_by_name(state, ldr)
        weight = torch.minimum(ldr, 1 - ldr)
        return relative * ((weight * ldr**2.2).sum((1, 2, 3)) / (weight * relative).sum((1, 2, 3))).view(-1, 1, 1, 1)

    return folder / "weights.pth", predict


def write_hdrunet(folder):
    state = hdrunet_state(8, torch.Generator().manual_seed(0))
    torch.save({f"module.{name}": tensor for name, tensor in state.items()}, folder / "pretrained_model.pth")
    return folder / "pretrained_model.pth", lambda ldr: hdrunet_by_name(state, ldr).relu() ** 2.24


WRITERS = {"hdrcnn": write_hdrcnn, "expandnet": write_expandnet, "hdrunet": write_hdrunet}


@pytest.fixture
def ldr(generator):
    """Two pictures from black to white, both included."""
    pictures = (torch.rand(2, 3, 64, 32, generator=generator) * 1.4 - 0.2).clamp(0, 1)
    assert all(picture.min() == 0 and picture.max() == 1 for picture in pictures)
    return pictures


@pytest.fixture(params=["expandnet", "hdrcnn", "hdrunet"])
def kind(request):
    return request.param


def test_the_checkpoint_computes_what_the_published_network_does(tmp_path, kind, ldr):
    file, predict = WRITERS[kind](tmp_path)
    written = import_weights(kind, file, tmp_path / "a.ckpt")
    learner, _ = load_learner(written.path)
    with torch.no_grad():
        found, expected = learner.single_shot()(ldr), predict(ldr)
    assert 0.01 < expected.mean() < 100
    assert expected.std() > 0.01
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=3e-4 if kind == "hdrcnn" else 1e-4)


def test_the_checkpoint_says_what_it_is(tmp_path, kind):
    file, _ = WRITERS[kind](tmp_path)
    written = import_weights(kind, file, tmp_path / "a.ckpt")
    learner, cfg = load_learner(written.path)
    assert written.num_parameters == sum(parameter.numel() for parameter in learner.parameters())
    assert (list(cfg.camera), list(cfg.dataset)) == ([], [])
    assert cfg.algo._target_.endswith("SupervisedLearner")
    assert cfg.backbone.get("norm", "none") == "none"
    assert cfg.loss.get("highlights_only", True)
    content = torch.load(written.path, weights_only=True)["imported"]
    assert content["sha256"] == hashlib.sha256(file.read_bytes()).hexdigest()
    assert (content["kind"], content["file"]) == (kind, file.name)
    assert content["citation"] == written.citation
    assert not list(tmp_path.glob(".*"))


def test_an_imported_network_can_label(tmp_path, ldr):
    file, predict = write_hdrcnn(tmp_path)
    teacher = build_teacher(str(import_weights("hdrcnn", file, tmp_path / "a.ckpt").path))
    label = teacher.label(ldr, torch.zeros(2))
    torch.testing.assert_close(label, predict(ldr), atol=1e-5, rtol=3e-4)
    assert label.max() > 1


def test_an_existing_checkpoint_is_overwritten_only_by_force(tmp_path):
    file, _ = write_expandnet(tmp_path)
    out = tmp_path / "a.ckpt"
    out.write_bytes(b"mine")
    with pytest.raises(ValueError, match=r"a\.ckpt exists; choose another name, or force to overwrite it"):
        import_weights("expandnet", file, out)
    assert out.read_bytes() == b"mine"
    import_weights("expandnet", file, out, is_forced=True)
    load_learner(out)


@pytest.mark.parametrize(
    ("kind", "out", "reason"),
    [
        ("singlehdr", "a.ckpt", "expected weights of expandnet, hdrcnn, hdrunet, got 'singlehdr'"),
        ("hdrcnn", "a.pth", r"expected an output whose name ends in \.ckpt, got .*a\.pth"),
    ],
)
def test_wrong_usage_is_told_before_anything_is_read(tmp_path, kind, out, reason):
    with pytest.raises(ValueError, match=reason):
        import_weights(kind, tmp_path / "nowhere", tmp_path / out)


def at(number, change):
    def damage(arrays):
        arrays[number] = change(arrays[number].copy())

    return damage


def poison(array):
    array.flat[0] = np.nan
    return array


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda arrays: arrays.pop(), "expected the 80 arrays of HDRCNN, got 79"),
        (lambda arrays: arrays.clear(), "expected the 80 arrays of HDRCNN, got 0"),
        (at(0, lambda array: array[..., 0]), r"params\[0\] \(encoder/h1/conv_1/W\)"),
        (
            at(2, lambda array: array.transpose(3, 0, 1, 2)),
            r"expected shape \(3, 3, 1, 1\) of params\[2\] \(encoder/h1/conv_2/W\), got \(1, 3, 3, 1\)",
        ),
        (at(30, poison), r"expected finite numbers .* in params\[30\] \(encoder/h6/conv/moving_mean\)"),
        (at(31, np.negative), r"no negative variance in params\[31\] \(encoder/h6/conv/moving_variance\)"),
        (at(79, lambda array: array[:2]), r"params\[79\] \(decoder/h7/fuse_skip_connection/b\)"),
    ],
)
def test_a_wrong_entry_of_hdrcnn_is_named(tmp_path, damage, reason):
    arrays = HDRCNNInNumPy(1, np.random.default_rng(0)).arrays
    damage(arrays)
    with pytest.raises(ValueError, match=reason):
        import_hdrcnn(write_tensorlayer(tmp_path / "a.npz", arrays))


@pytest.mark.parametrize(
    ("read", "make", "first", "other"),
    [
        (import_expandnet, expandnet_state, "local_net.0.0", "glob_net.6"),
        (import_hdrunet, hdrunet_state, "conv_first", "recon_trunk2.7.sft2.SFT_shift_conv1"),
    ],
)
def test_a_wrong_entry_of_a_state_dict_is_named(tmp_path, read, make, first, other):
    path = tmp_path / "a.pth"

    def refuse(state, reason):
        torch.save(state, path)
        with pytest.raises(ValueError, match=reason) as caught:
            read(path)
        assert str(path) in str(caught.value)

    state = make(4, torch.Generator().manual_seed(0))
    refuse({name: t for name, t in state.items() if not name.startswith(first)}, f"there is no entry {first}.weight")
    refuse({**state, f"{first}.weight": torch.ones(4)}, f"expected 4 dimensions of {first}.weight")
    refuse({name: t for name, t in state.items() if name != f"{other}.bias"}, f"there is no entry {other}.bias")
    refuse({**state, f"{other}.weight": torch.ones(1)}, f"of {other}.weight, got \\(1,\\)")
    refuse({**state, "running_mean": torch.ones(1)}, "the first is running_mean")
