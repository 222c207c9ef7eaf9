"""The model that ships: small, the one that its card describes, better than a fixed gamma, and nothing else."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hydra import compose, initialize_config_dir
from PIL import Image
from PIL.ExifTags import IFD, Base
from PIL.TiffImagePlugin import IFDRational

import ldr2hdr
from ldr2hdr import build, cli
from ldr2hdr.baselines.inverse_gamma import InverseGamma
from ldr2hdr.data.cameras.camera import Camera
from ldr2hdr.inference.convert import convert_photo
from ldr2hdr.inference.outputs import Job
from ldr2hdr.inference.profiles.model import Model
from ldr2hdr.inference.weights import SHIPPED
from ldr2hdr.io import read_photo, read_radiance
from ldr2hdr.io.weights import Weights, read_weights, write_weights
from ldr2hdr.metrics.hdr import evaluate_pictures
from ldr2hdr.training.checkpoints import checkpoint_hash
from profiles.photographs import write_photo

CARD = Path(build.CONF_DIR).parent / "experiments" / "pretrained" / "README.md"


@pytest.fixture(scope="module")
def model() -> Model:
    return ldr2hdr.load()


def lamp(path: Path, *, time_s: float, f_number: float, iso: int) -> Path:
    """Write a photograph of a lamp with its settings."""
    levels = np.full((96, 128, 3), 60, np.uint8)
    levels[30:60, 40:80] = 255
    exif = Image.Exif()
    exif.get_ifd(IFD.Exif).update(
        {Base.ExposureTime: IFDRational(time_s), Base.FNumber: IFDRational(f_number), Base.ISOSpeedRatings: iso}
    )
    Image.fromarray(levels).save(path, exif=exif, quality=100)
    return path


def test_a_lamp_in_a_dim_room_stands_farther_above_white_than_a_sunlit_wall(model: Model, tmp_path: Path) -> None:
    """What EXIF says of how bright the scene was moves clipped light, and no other; a tensor is of a typical scene."""
    dim = lamp(tmp_path / "dim.jpg", time_s=0.25, f_number=2.8, iso=400)
    bright = lamp(tmp_path / "bright.jpg", time_s=1 / 500, f_number=8.0, iso=100)
    in_dim, typical, in_bright = (model(photo) for photo in (dim, read_photo(dim).ldr, bright))
    stops = torch.stack([torch.log2(light[:, 40:50, 55:65].mean()) for light in (in_bright, typical, in_dim)])
    assert (stops.diff() > 0.2).all()
    torch.testing.assert_close(in_dim[:, :20], in_bright[:, :20], atol=0, rtol=0)
    convert_photo(Job(dim, tmp_path / "dim.exr"), model.single_shot(), is_half=False)
    torch.testing.assert_close(read_radiance(tmp_path / "dim.exr"), in_dim)


def test_it_is_small_and_the_one_of_the_card(model: Model) -> None:
    assert SHIPPED.stat().st_size <= 4e6
    assert model.sha256 == checkpoint_hash(SHIPPED)
    assert model.sha256 in CARD.read_text(encoding="utf-8")


def test_it_tells_what_it_is_and_names_no_machine() -> None:
    _, cfg = build.load_learner(SHIPPED)
    assert cfg.backbone._target_.endswith("Highlights")
    assert cfg.response._target_.endswith("PriorResponse")
    assert "/" not in read_weights(SHIPPED).config


@pytest.mark.parametrize(("family", "most"), [("dedicated", 0.9), ("pointwise", 1.0), ("phone", 1.06)])
def test_without_support_virtual_cameras_are_about_a_fixed_gamma(
    model: Model, cache_dir: Path, family: str, most: float
) -> None:
    """Its curve is that of real cameras. Stops, 8 tasks of test places: 0.54 to 0.56 (pointwise), 0.57 to 0.54."""
    overrides = [f"camera={family}", "task=profile", "paths.output_dir=unused", f"paths.cache_dir={cache_dir}"]
    with initialize_config_dir(build.CONF_DIR, version_base="1.3"):
        cfg = compose("train", overrides=overrides)
    tasks = build.build_tasks(cfg, build.build_source(cfg), split="test", ranges="seen", seed=11)
    errors: dict[str, list[float]] = {"shipped": [], "gamma": []}
    for query in (tasks[index].query for index in range(8)):
        for name, predict in (("shipped", model.learner.single_shot()), ("gamma", InverseGamma(2.2))):
            with torch.no_grad():
                scores = evaluate_pictures(predict(query.ldr), query)
            errors[name].append(scores["log2_rmse", "all"].nanmean().item())
    shipped, gamma = (sum(values) / len(values) for values in errors.values())
    assert shipped < most * gamma


def test_a_changed_file_is_refused(tmp_path: Path) -> None:
    data = bytearray(SHIPPED.read_bytes())
    data[-3] ^= 1
    changed = tmp_path / "changed.safetensors"
    changed.write_bytes(data)
    with pytest.raises(ValueError, match=r"changed.safetensors is refused: its content is not what was written"):
        ldr2hdr.load(changed)


def test_weights_that_ask_for_other_code_are_refused(tmp_path: Path) -> None:
    config, state = read_weights(SHIPPED)
    strange = tmp_path / "strange.safetensors"
    config = config.replace("ldr2hdr.backbones.highlights.backbone.Highlights", "os.mkdir")
    write_weights(strange, Weights(config, state))
    with pytest.raises(ValueError, match=r"its backbone must be one that conf/backbone/ names, got os.mkdir"):
        ldr2hdr.load(strange)


def test_the_command_needs_no_checkpoint(
    tmp_path: Path,
    bracket: Path,
    scenes: dict[str, torch.Tensor],
    camera: Camera,
    capsys: pytest.CaptureFixture[str],
) -> None:
    photo = write_photo(tmp_path / "photo.jpg", scenes["venice_sunset"], camera)
    assert cli.main(["convert", str(photo), "-o", str(tmp_path / "single.exr")]) == 0
    assert "the model that ships with ldr2hdr, single-shot: no camera profile" in capsys.readouterr().out
    assert cli.main(["adapt", str(bracket), "-o", str(tmp_path / "nova.ldr2hdr"), "--no-check"]) == 0
    words = ["convert", str(photo), "-o", str(tmp_path / "adapted.exr"), "--camera", str(tmp_path / "nova.ldr2hdr")]
    assert cli.main(words) == 0
    assert "camera: Acme Nova 7" in capsys.readouterr().out
    truth = scenes["venice_sunset"].clamp(0.01, 0.9)
    single, adapted = (read_radiance(tmp_path / f"{name}.exr").clamp(0.01, 0.9) for name in ("single", "adapted"))
    assert (adapted / truth).log2().abs().mean() < 0.6 * (single / truth).log2().abs().mean()
