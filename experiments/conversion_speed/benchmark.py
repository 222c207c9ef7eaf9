"""Time and memory of the conversion of a photograph, by its size and by the network.

Each row is measured in processes of their own, as `ldr2hdr convert` is one: JPEG in, OpenEXR out.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf

from ldr2hdr.build import CONF_DIR
from ldr2hdr.inference.convert import Job, convert_photo
from ldr2hdr.inference.tiling import reconstruct_bands
from ldr2hdr.io import read_ldr, write_image
from ldr2hdr.reconstructor import Reconstructor
from ldr2hdr.response.local import LocalRidgeResponse

# A name, the file of conf/backbone, and what is not as there
NETWORKS = {
    "unet": ("unet.yaml", {}),
    "unet of the demo": ("unet.yaml", {"widths": [12, 24, 48]}),
    "resnet": ("resnet.yaml", {}),
    "highlights": ("highlights.yaml", {}),
    "hdrunet": ("hdrunet.yaml", {}),
    "hdrcnn": ("hdrcnn.yaml", {}),
}
NUM_THREADS = 2


def make_model(name: str) -> Reconstructor:
    """The network behind the local response stage, with random weights."""
    file, changes = NETWORKS[name]
    config = OmegaConf.merge(OmegaConf.load(Path(CONF_DIR, "backbone", file)), changes)
    torch.manual_seed(0)
    return Reconstructor(LocalRidgeResponse(), instantiate(config)).eval()


def write_photo(path: Path, megapixels: float) -> None:
    """A JPEG of sides 3 to 2: soft light of all levels up to clipped white, with noise."""
    width = round((megapixels * 1.5e6) ** 0.5)
    height = round(megapixels * 1e6 / width)
    rng = np.random.default_rng(0)
    soft = cv2.resize(rng.random((9, 13, 3), dtype=np.float32), (width, height), interpolation=cv2.INTER_CUBIC)
    photo = (soft * 300).clip(0, 255).astype(np.uint8)
    for top in range(0, height, 512):
        rows = photo[top : top + 512]
        rows[...] = (rows + rng.normal(0, 2, rows.shape)).clip(0, 255)
    cv2.imwrite(str(path), photo, [cv2.IMWRITE_JPEG_QUALITY, 92])


def convert_once(name: str, photo: Path, *, is_whole: bool) -> None:
    """Convert one photograph; print the seconds, and the process's peak of resident memory in MiB."""
    torch.set_num_threads(NUM_THREADS)
    cv2.setNumThreads(NUM_THREADS)
    model = make_model(name)
    start = time.perf_counter()
    output = photo.with_suffix(".exr")
    if is_whole:
        with torch.inference_mode():
            write_image(output, model(read_ldr(photo)[None])[0])
    else:
        convert_photo(Job(photo, output), model.bind())
    print(time.perf_counter() - start, peak_memory_mib())


def compare(name: str, photo: Path) -> None:
    """Print where tiles may begin, how much they see, and how far they are from the whole."""
    model, ldr = make_model(name), read_ldr(photo)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():  # a fresh head ignores the features
            parameter.add_(0.02 * torch.randn(parameter.shape, generator=generator))
    size = (ldr.shape[1], ldr.shape[2])
    tiles = torch.cat(list(reconstruct_bands(model.bind(), lambda *window: ldr[:, *window], size=size)), dim=1)
    with torch.inference_mode():
        whole = model(ldr[None])[0]
    error = ((tiles - whole).abs() / (whole + 1 / 255)).max().item()
    multiple, halo = model.backbone.locality()
    print(f"{name}: multiple {multiple}, halo {halo}, relative difference to the whole {error:.1e}", flush=True)


def peak_memory_mib() -> float:
    """Of this program; what getrusage tells includes the process that started it."""
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


def measure(name: str, photo: Path, megapixels: float, *, rounds: int, is_whole: bool) -> None:
    """Print a row of the table."""
    command = [sys.executable, __file__, "--once", name, str(photo), *(["--whole"] if is_whole else [])]
    told = [subprocess.run(command, check=True, capture_output=True, text=True).stdout for _ in range(rounds)]
    seconds, memory = zip(*(map(float, line.split()) for line in told), strict=True)
    spread = f" ({min(seconds):.1f} to {max(seconds):.1f})" if rounds > 1 else ""
    middle = statistics.median(seconds)
    how = "whole" if is_whole else "tiles"
    print(
        f"| {name} | {how} | {megapixels:g} | {middle:.1f}{spread} | {middle / megapixels:.2f} | {max(memory):.0f} |",
        flush=True,
    )


def main() -> None:
    """Write photographs to a temporary folder and convert them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--networks", nargs="+", default=list(NETWORKS), choices=NETWORKS)
    parser.add_argument("--megapixels", nargs="+", type=float, default=[1, 6, 24])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--whole", action="store_true", help="without tiles")
    parser.add_argument("--compare", action="store_true", help="with the whole picture, and measure nothing")
    parser.add_argument("--once", nargs=2, metavar=("NETWORK", "PHOTO"), help="used by the script itself")
    args = parser.parse_args()
    if args.once:
        convert_once(args.once[0], Path(args.once[1]), is_whole=args.whole)
        return
    with tempfile.TemporaryDirectory(prefix="conversion_speed_") as folder:
        photo = Path(folder, "photo.jpg")
        for megapixels in args.megapixels:
            write_photo(photo, megapixels)
            for name in args.networks:
                if args.compare:
                    compare(name, photo)
                else:
                    measure(name, photo, megapixels, rounds=args.rounds, is_whole=args.whole)


if __name__ == "__main__":
    main()
