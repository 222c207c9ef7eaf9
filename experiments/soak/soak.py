"""Train a tiny network for 2,000 steps as the command line does, and watch memory and open files grow, or not.

.venv/bin/python experiments/soak/soak.py --steps 2000
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import lightning as L
import numpy as np

OVERRIDES = (
    *("experiment=smoke", "logger=local", "backbone.widths=[4,8]", "task.crop_px=16"),
    *("data.num_train_tasks=200", "callbacks.last.every_n_steps=50", "num_threads=1"),
    *("+callbacks.watch._target_=soak.ResourceWatch", "~callbacks.progress", "+trainer.enable_progress_bar=false"),
)
PAGE_MIB = os.sysconf("SC_PAGE_SIZE") / 2**20


class ResourceWatch(L.Callback):
    """Write the resident memory, open files and threads of this process every few steps.

    Args:
        path: A file of JSON lines.
        every_n_steps: Between two of them.
    """

    def __init__(self, path: str, every_n_steps: int = 20) -> None:
        self.path = Path(path)
        self.every_n_steps = every_n_steps

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx) -> None:
        """Add a line."""
        if trainer.global_step % self.every_n_steps == 0:
            about = {
                "step": trainer.global_step,
                "rss_mib": int(Path("/proc/self/statm").read_text().split()[1]) * PAGE_MIB,
                "open_files": len(os.listdir("/proc/self/fd")),
                "threads": len(os.listdir("/proc/self/task")),
            }
            with self.path.open("a") as file:
                file.write(json.dumps(about) + "\n")


def slope(lines, key: str, *, after: int) -> tuple[float, float]:
    """Growth per 1000 steps by least squares, and its standard error, of the steps after the first ones."""
    steps = np.array([line["step"] for line in lines if line["step"] > after]) / 1000
    values = np.array([line[key] for line in lines if line["step"] > after])
    (rate, _), covariance = np.polyfit(steps, values, 1, cov=True)
    return float(rate), float(np.sqrt(covariance[0, 0]))


def main() -> None:
    """Run, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--after", type=int, default=400, help="steps to warm up, which the slope leaves out")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        watch = Path(folder) / "watch.jsonl"
        own = (f"trainer.max_steps={arguments.steps}", f"+callbacks.watch.path={watch}", f"hydra.run.dir={folder}/run")
        env = os.environ | {"PYTHONPATH": str(Path(__file__).parent)}
        start = time.perf_counter()
        command = [sys.executable, "-m", "ldr2hdr.train", *OVERRIDES, *own]
        subprocess.run(command, env=env, check=True, stdout=subprocess.DEVNULL)
        seconds = time.perf_counter() - start
        lines = [json.loads(line) for line in watch.read_text().splitlines()]
    first, last = next(line for line in lines if line["step"] > arguments.after), lines[-1]
    print(f"{arguments.steps} steps in {seconds:.0f} s; from step {first['step']} to {last['step']}:")
    for key in ("rss_mib", "open_files", "threads"):
        rate, error = slope(lines, key, after=arguments.after)
        print(f"{key}: {first[key]:.1f} to {last[key]:.1f}, {rate:+.2f} +- {error:.2f} per 1000 steps")


if __name__ == "__main__":
    main()
