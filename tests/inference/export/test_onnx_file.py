"""Networks as ONNX files: ONNX Runtime's numbers are torch's at any size, and a file that is off is not left."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jaxtyping
import pytest
import torch
from profiles.conftest import bracket, camera, ckpt, scenes  # noqa: F401 (they are fixtures)
from torch import Tensor, nn

import ldr2hdr
from ldr2hdr import cli
from ldr2hdr.backbones.base import AbstractConvolutionalBackbone
from ldr2hdr.backbones.resnet import ResNet
from ldr2hdr.backbones.unet import UNet
from ldr2hdr.inference.export import onnx_file
from ldr2hdr.inference.export.onnx_file import export_onnx, relative_difference
from ldr2hdr.inference.export.whole import WholePicture, probe_picture
from ldr2hdr.io import ImageError
from ldr2hdr.reconstructor import Reconstructor
from ldr2hdr.response.local import LocalRidgeResponse
from ldr2hdr.response.ridge import InverseGammaResponse, RidgeResponse
from ldr2hdr.tasks import Shots, Statistics

pytestmark = pytest.mark.slow

onnx = pytest.importorskip("onnx", reason="needs the extra onnx")
runtime = pytest.importorskip("onnxruntime", reason="needs the extra onnx")

RESPONSES = {"none": InverseGammaResponse, "ridge": RidgeResponse, "local": LocalRidgeResponse}
BACKBONES = {"unet": lambda: UNet((4, 8)), "resnet": lambda: ResNet(4, 1), "group": lambda: UNet((8, 8, 8), "group")}
SIZES = ((37, 53), (128, 64), (16, 17), (33, 95))


@pytest.fixture(autouse=True, scope="module")
def _sizes_may_be_symbols() -> Iterator[None]:
    """While a network is traced, its sizes are no numbers, which type checks at run time refuse."""

    def untyped(*arguments: Any) -> Any:
        jaxtyping.config.update("jaxtyping_disable", True)
        try:
            return real(*arguments)
        finally:
            jaxtyping.config.update("jaxtyping_disable", False)

    real = onnx_file._translate
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(onnx_file, "_translate", untyped)
        yield


def make_network(backbone: str, response: str) -> Reconstructor:
    torch.manual_seed(0)
    network = Reconstructor(RESPONSES[response](), BACKBONES[backbone]()).eval()
    with torch.no_grad():
        for parameter in network.backbone.parameters():  # so that the fresh network is not the identity
            parameter.add_(0.1 * torch.randn_like(parameter))
    return network


def make_statistics(network: Reconstructor) -> Statistics:
    ldr = torch.cat([probe_picture(40, 48, seed=seed) for seed in (5, 6)])
    return network.sufficient_statistics(Shots(ldr, 1.4 * ldr.pow(1.8) + 0.01))


def run(file: Path, picture: Tensor) -> Tensor:
    session = runtime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    (got,) = session.run(None, {"ldr": picture.numpy()})
    return torch.from_numpy(got)


@torch.inference_mode()
def worst(file: Path, network: nn.Module) -> float:
    pictures = [probe_picture(*size, seed=seed) for seed, size in enumerate(SIZES, start=7)]
    return max(relative_difference(run(file, picture), network(picture)) for picture in pictures)


@pytest.mark.parametrize("response", RESPONSES)
@pytest.mark.parametrize("backbone", BACKBONES)
@torch.inference_mode()
def test_what_is_exported_computes_as_the_network(backbone: str, response: str) -> None:
    network = make_network(backbone, response)
    for statistics in (None, make_statistics(network)):
        whole = WholePicture(network.bind(statistics))
        for seed, size in enumerate(SIZES):
            picture = probe_picture(*size, seed=seed)
            expected = network(picture, statistics)
            assert expected.std() > 0.01
            torch.testing.assert_close(whole(picture), expected, rtol=2e-5, atol=2e-6)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    network = make_network("resnet", "ridge")
    told = export_onnx(
        tmp_path_factory.mktemp("onnx") / "net.onnx",
        network.bind(make_statistics(network)),
        about={"ldr2hdr.camera": "Acme Nova 7"},
    )
    assert told.difference <= 1e-4
    return told.path


def test_an_adapted_network_is_the_same_at_any_size(exported: Path) -> None:
    network = make_network("resnet", "ridge")
    assert worst(exported, network.bind(make_statistics(network))) <= 1e-4
    assert worst(exported, network) > 0.01  # it is the camera's, and not any camera's


def test_theta_is_the_same_at_any_size(tmp_path: Path) -> None:
    network = make_network("unet", "none")
    export_onnx(tmp_path / "net.onnx", network.bind())
    assert worst(tmp_path / "net.onnx", network) <= 1e-4


def test_the_file_tells_what_it_takes_and_nothing_of_this_machine(exported: Path) -> None:
    model = onnx.load(exported)
    onnx.checker.check_model(model)
    assert {entry.key: entry.value for entry in model.metadata_props}["ldr2hdr.camera"] == "Acme Nova 7"
    for value, name in ((model.graph.input[0], "ldr"), (model.graph.output[0], "exposure")):
        dims = value.type.tensor_type.shape.dim
        assert value.name == name
        assert [dim.dim_value or dim.dim_param for dim in dims] == [1, 3, "height", "width"]
    data = exported.read_bytes()
    for word in (str(Path(ldr2hdr.__file__).parent), "site-packages", ".py"):
        assert word.encode() not in data
    assert list(exported.parent.iterdir()) == [exported]


def test_a_file_that_is_off_is_not_left(exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx_file, "_translate", lambda whole, path: onnx.load(exported))
    other = make_network("resnet", "ridge")
    with pytest.raises(ValueError, match=r"differ by .* and 0.0001 are allowed; nothing is left at .*off.onnx"):
        export_onnx(tmp_path / "off.onnx", other.bind())
    for parameter in other.backbone.parameters():
        parameter.data.fill_(torch.nan)
    with pytest.raises(ValueError, match="differ by nan"):
        export_onnx(tmp_path / "off.onnx", other.bind())
    assert list(tmp_path.iterdir()) == []


class Branching(AbstractConvolutionalBackbone):
    """What no file can hold: which operations come depends on the values."""

    def forward(self, ldr: Tensor, linear: Tensor) -> Tensor:
        return ldr if ldr.sum() > linear.sum() else linear


def test_a_network_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"this network cannot be written as net\.onnx: "):
        export_onnx(tmp_path / "net.onnx", Reconstructor(InverseGammaResponse(), Branching()).bind())
    assert list(tmp_path.iterdir()) == []


def test_names_and_folders_are_checked(tmp_path: Path, exported: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    network = make_network("resnet", "none").bind()
    with pytest.raises(ValueError, match=r"ending in \.onnx"):
        export_onnx(tmp_path / "net.pt", network)
    monkeypatch.setattr(onnx_file, "_translate", lambda whole, path: onnx.load(exported))
    with pytest.raises(ImageError, match="existing folder"):
        export_onnx(tmp_path / "none" / "net.onnx", network)


@pytest.mark.parametrize("package", ["onnx", "onnxscript", "onnxruntime"])
def test_a_missing_package_is_named(package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ValueError, match=rf"package {package} to export.*pip install 'ldr2hdr\[onnx\]'"):
        export_onnx(tmp_path / "net.onnx", make_network("resnet", "none").bind())


def test_a_profile_from_the_command_line(
    ckpt: Path,  # noqa: F811
    bracket: Path,  # noqa: F811
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """U-Net and the local stage, adapted to a bracket."""
    model = ldr2hdr.load(ckpt)
    adapted = model.adapt(bracket, is_checked=False)
    adapted.save(tmp_path / "my.ldr2hdr")
    out = tmp_path / "my.onnx"
    words = ["export", "--onnx", str(out), "--ckpt", str(ckpt), "--camera", str(tmp_path / "my.ldr2hdr")]
    assert cli.main(words) == 0
    said = capsys.readouterr()
    assert said.out.startswith(f"wrote {out}: ")
    assert "differ by at most" in said.out
    assert said.err == ""
    for seed, size in enumerate(SIZES):
        picture = probe_picture(*size, seed=seed)
        assert relative_difference(run(out, picture)[0], adapted(picture[0])) <= 1e-4
    about = {entry.key: entry.value for entry in onnx.load(out).metadata_props}
    assert about["ldr2hdr.model_sha256"] == model.sha256
    assert about["ldr2hdr.camera"] == "Acme Nova 7"
    assert "sensor exposure" in about["ldr2hdr.output"]
    assert "model_sha256" in about["ldr2hdr.licence"]
    assert cli.main(words) == 2
    assert "use --force" in capsys.readouterr().err


def test_what_the_command_refuses(ckpt: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:  # noqa: F811
    for words, code, said in (
        (["--onnx", str(tmp_path / "none" / "a.onnx"), "--ckpt", str(ckpt)], 2, "create it first"),
        (["--onnx", str(tmp_path / "a.onnx"), "--ckpt", str(tmp_path / "none.ckpt")], 1, "none.ckpt"),
        (["--onnx", str(tmp_path / "a.pt"), "--ckpt", str(ckpt)], 1, "ending in .onnx"),
        (["--onnx", str(tmp_path / "a.onnx"), "--ckpt", str(ckpt), "--camera", str(tmp_path / "x")], 1, "profile"),
    ):
        assert cli.main(["export", *words]) == code
        assert said in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_network_of_its_own_is_refused(
    ckpt: Path,  # noqa: F811
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("ldr2hdr.meta.maml.MAMLLearner.single_shot", lambda self: lambda ldr: ldr)
    assert cli.main(["export", "--onnx", str(tmp_path / "a.onnx"), "--ckpt", str(ckpt)]) == 1
    assert "no network of its own" in capsys.readouterr().err
