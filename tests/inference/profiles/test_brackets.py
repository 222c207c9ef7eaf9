"""What tells how a photograph was exposed, and every folder that is no bracket."""

from fractions import Fraction
from pathlib import Path

import pytest
import torch
from PIL import ExifTags, Image
from PIL.TiffImagePlugin import IFDRational
from torch import Tensor

from ldr2hdr.data.cameras.camera import Camera
from ldr2hdr.inference.profiles.brackets import RefusedBracket, read_bracket
from ldr2hdr.io import ImageError
from profiles.photographs import TIME_S, write_bracket, write_photo


def test_exif_orders_the_photographs_by_exposure(tmp_path: Path, scenes: dict[str, Tensor], camera: Camera) -> None:
    found = read_bracket(write_bracket(tmp_path / "b", scenes["blender_city"], camera, evs=(2, -2, 0)))
    assert [path.name for path in found.paths] == ["1.jpg", "2.jpg", "0.jpg"]
    torch.testing.assert_close(found.evs, torch.tensor([-2.0, 0.0, 2.0]), atol=1e-4, rtol=0)
    assert (found.ev_source, found.camera, found.size) == ("exif", "Acme Nova 7", (128, 128))
    assert bool((found.ldr.mean(dim=(1, 2, 3)).diff() > 0).all())


def test_aperture_and_iso_count(tmp_path: Path, scenes: dict[str, Tensor], camera: Camera) -> None:
    for name, f_number, time in (("a", 8.0, TIME_S), ("b", 4.0, TIME_S), ("c", 4.0, TIME_S * 4)):
        write_photo(tmp_path / f"{name}.jpg", scenes["blender_city"], camera, f_number=f_number, time_s=time)
    evs = read_bracket(tmp_path).evs
    torch.testing.assert_close(evs, torch.tensor([-2.0, 0.0, 2.0]), atol=1e-4, rtol=0)


def test_a_list_goes_before_exif_and_the_option_before_all(bracket: Path) -> None:
    (bracket / "exposures.csv").write_text("file,exposure_time_s\n0.jpg,0.01\n1.jpg,0.08\n2.jpg,0.64\n")
    listed, asked = read_bracket(bracket), read_bracket(bracket, evs=[-1.0, 0.0, 1.5])
    torch.testing.assert_close(listed.evs, torch.tensor([-3.0, 0.0, 3.0]), atol=1e-5, rtol=0)
    assert (listed.ev_source, asked.ev_source, asked.evs.tolist()) == ("file", "option", [-1.0, 0.0, 1.5])


def test_large_photographs_are_shrunk(tmp_path: Path) -> None:
    ramp = torch.linspace(0, 255, 1400).to(torch.uint8).expand(700, 1400).numpy()
    for number in range(2):
        Image.fromarray(ramp).save(tmp_path / f"{number}.png")
    found = read_bracket(tmp_path, evs=[0.0, 1.0])
    assert found.ldr.shape == (2, 3, 256, 512)
    assert found.size == (700, 1400)
    steps = found.ldr[0, 0, 0].diff()
    assert float(steps.min()) > -1e-6  # rounding of the mean over equal pixels
    assert float(steps.max()) < 2.5 / 512


def test_no_folder_and_too_few(tmp_path: Path, bracket: Path) -> None:
    with pytest.raises(RefusedBracket, match=r"expected a folder .*missing"):
        read_bracket(tmp_path / "missing")
    for name in ("1.jpg", "2.jpg"):
        (bracket / name).unlink()
    with pytest.raises(RefusedBracket, match=r"at least two photographs .* found 1: .*bracket"):
        read_bracket(bracket)


def test_sizes_and_cameras_must_agree(bracket: Path, scenes: dict[str, Tensor], camera: Camera) -> None:
    scene = scenes["blender_city"]
    write_photo(bracket / "1.jpg", scene, camera, model="Other 1")
    with pytest.raises(RefusedBracket, match=r"one camera, got Acme Nova 7 for .*0.jpg and Acme Other 1 for .*1.jpg"):
        read_bracket(bracket)
    write_photo(bracket / "1.jpg", scene[:, :100], camera)
    with pytest.raises(RefusedBracket, match=r"one size, got \(128, 128\) for .*0.jpg and \(100, 128\) for .*1.jpg"):
        read_bracket(bracket)


def test_tiny_photographs(tmp_path: Path) -> None:
    for number in range(2):
        Image.new("RGB", (1, 1)).save(tmp_path / f"{number}.jpg")
    with pytest.raises(RefusedBracket, match=r"at least 64 pixels a side, got 1 x 1: .*0.jpg"):
        read_bracket(tmp_path, evs=[0.0, 1.0])


@pytest.mark.parametrize("content", [b"not a picture at all\n", b"", None])
def test_a_file_that_is_no_picture_is_named(bracket: Path, content: bytes | None) -> None:
    broken = bracket / "1.jpg"
    broken.write_bytes(broken.read_bytes()[:3000] if content is None else content)
    with pytest.raises(ImageError, match=r"1\.jpg"):
        read_bracket(bracket)


@pytest.mark.parametrize("evs", [[0.0, 1.0], [0.0, 1.0, float("nan")]])
def test_numbers_of_the_option_must_fit(bracket: Path, evs: list[float]) -> None:
    with pytest.raises(RefusedBracket, match=r"one finite number of --ev for each of the 3 .*0.jpg, 1.jpg, 2.jpg, got"):
        read_bracket(bracket, evs=evs)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("file,exposure_time_s\n0.jpg,0.1\n1.jpg,0.2\n", "not listed: 2.jpg; listed but not there: none"),
        ("file,exposure_time_s\n0.jpg,0.1\n1.jpg,0.2\n2.jpg,1\n3.jpg,1\n", "not listed: none; .* not there: 3.jpg"),
        ("file,exposure_time_s\n0.jpg,long\n", "expected the columns file and exposure_time_s"),
    ],
)
def test_a_list_must_fit(bracket: Path, text: str, message: str) -> None:
    (bracket / "exposures.csv").write_text(text)
    with pytest.raises(RefusedBracket, match=f"{message}.*exposures.csv"):
        read_bracket(bracket)


def test_nothing_tells_the_exposures(tmp_path: Path, scenes: dict[str, Tensor], camera: Camera) -> None:
    folder = write_bracket(tmp_path / "b", scenes["blender_city"], camera, has_exif=False)
    with pytest.raises(RefusedBracket, match=r"no exposure time of 0.jpg, 1.jpg, 2.jpg; give --ev, or write .*csv"):
        read_bracket(folder)


def test_an_aperture_that_some_files_lack(bracket: Path, scenes: dict[str, Tensor], camera: Camera) -> None:
    write_photo(bracket / "2.jpg", scenes["blender_city"], camera, f_number=None)
    with pytest.raises(RefusedBracket, match=r"the aperture of some photographs, but not of 2.jpg; give --ev"):
        read_bracket(bracket)


def test_equal_exposures(tmp_path: Path, scenes: dict[str, Tensor], camera: Camera) -> None:
    for number in range(3):
        write_photo(tmp_path / f"{number}.jpg", scenes["blender_city"], camera, time_s=Fraction(1, 60))
    with pytest.raises(RefusedBracket, match="different exposures, these 3 are all the same by EXIF"):
        read_bracket(tmp_path)


def write_frames(folder: Path, settings: list[dict[int, object]]) -> Path:
    folder.mkdir()
    ramp = torch.linspace(0, 255, 96).to(torch.uint8).expand(80, 96).numpy()
    for number, tags in enumerate(settings):
        exif = Image.Exif()
        exif.get_ifd(ExifTags.IFD.Exif).update(tags)
        Image.fromarray(ramp).convert("RGB").save(folder / f"{number}.jpg", exif=exif)
    return folder


def test_exposures_in_apex_alone(tmp_path: Path) -> None:
    """``t = 2**-Tv`` and ``N = 2**(Av / 2)`` (CIPA DC-008, annex C), as old Fujifilm and Ricoh cameras write them."""
    apex = [{0x9201: IFDRational(stops), 0x9202: IFDRational(4), 0x8827: 100} for stops in (8, 6, 4)]
    torch.testing.assert_close(read_bracket(write_frames(tmp_path / "b", apex)).evs, torch.tensor([-2.0, 0.0, 2.0]))


def test_an_iso_beyond_sixteen_bits(tmp_path: Path) -> None:
    """PhotographicSensitivity is 65535 for all above; SensitivityType names the tag that has it (annex G)."""
    time = {0x829A: IFDRational(1, 60)}
    told = [time | {0x8827: min(iso, 65535), 0x8830: 2, 0x8832: iso} for iso in (25600, 102400, 409600)]
    torch.testing.assert_close(read_bracket(write_frames(tmp_path / "b", told)).evs, torch.tensor([-2.0, 0.0, 2.0]))
    untold = [{0x829A: IFDRational(1, time), 0x8827: 65535} for time in (60, 30)]
    with pytest.raises(RefusedBracket, match=r"ISO is 65535 or more, and not how much, of 0.jpg, 1.jpg; give --ev"):
        read_bracket(write_frames(tmp_path / "c", untold))


def test_a_limit_of_pixels_and_the_share_that_is_read(bracket: Path) -> None:
    shares: list[float] = []
    read_bracket(bracket, max_pixels=128 * 128, on_share=shares.append)
    assert shares == [1 / 3, 2 / 3, 1.0]
    with pytest.raises(ImageError, match=r"128 .*0\.jpg"):
        read_bracket(bracket, max_pixels=128 * 128 - 1, on_share=shares.append)
    assert len(shares) == 3
