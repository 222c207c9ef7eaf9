"""Time a meta-step of the learn2learn loop and of our engine in turn, and write what they cost.

Usage: python experiments/engine_speed/benchmark.py [--axis NAME ...] [--quick] [--again] [--tell] [--device cuda]

Rows that the results have already are left as they are, so that the table may be measured in pieces.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import torch
from cases import AXES, ENGINES, QUICK, Case, Engine, disagreement
from measuring import count_flops, machine_rates, peak_memory, time_engines, time_in_sequence
from telling import one_line, write_tables

from ldr2hdr.io.files import write_json
from ldr2hdr.layers.kernels import load_kernels
from ldr2hdr.training.callbacks import provenance

# Axes whose process must not have our compiled kernels
_WITHOUT_KERNELS: Final = ("plain",)
# Operations are counted, and gradients compared in float64, up to this size
_CHECKED_PX: Final = 128


def main(argv: Sequence[str] | None = None) -> None:
    """Measure the axes asked for, and write the tables of all that were measured."""
    options = parse(argv)
    if options.threads:
        torch.set_num_threads(options.threads)
    if options.worker:
        print(json.dumps(work(*options.worker, device=torch.device(options.device))))
        return
    known = QUICK if options.quick else AXES
    for axis in known if options.axis is None else options.axis:
        measure(axis, known[axis], options)
    if options.tell:
        write_tables(read(options.results), Path(__file__).resolve().parent)


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--axis", nargs="*", choices=tuple(AXES), help="which; all if left out")
    parser.add_argument("--quick", action="store_true", help="small pictures and few rounds, a minute in all")
    parser.add_argument("--again", action="store_true", help="measure rows anew that the results have")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, help="of torch; its choice if left out")
    parser.add_argument("--results", type=Path, help="outputs/engine_speed/DEVICE.json, or quick.json, if left out")
    parser.add_argument("--tell", action="store_true", help="write the README's tables and the figure of the results")
    parser.add_argument("--worker", nargs="+", help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    name = "quick" if options.quick else torch.device(options.device).type
    options.results = options.results or Path("outputs/engine_speed") / f"{name}.json"
    options.results.parent.mkdir(parents=True, exist_ok=True)
    return options


def measure(axis: str, cases: Sequence[Case], options: argparse.Namespace) -> None:
    """Measure what an axis lacks, and put each row into the results as soon as there is one."""
    had = [] if options.again else [row["case"] for row in read(options.results) if row["axis"] == axis]
    missing = [case for case in cases if asdict(case) not in had]
    if missing and axis in _WITHOUT_KERNELS and load_kernels() is not None:
        switches = [f"--{name}" for name in ("quick", "again") if getattr(options, name)]
        run_again(["--axis", axis, *switches], options, LDR2HDR_KERNELS="0")
        return
    device = torch.device(options.device)
    about = {"axis": axis, "machine": describe(device), "rates": machine_rates(device)} if missing else {}
    for case in missing:
        row = {**about, "case": asdict(case), **measure_row(axis, case, options)}
        others = [other for other in read(options.results) if (other["axis"], other["case"]) != (axis, row["case"])]
        write_json(options.results, [*others, row])
        print(one_line(row), flush=True)


def measure_row(axis: str, case: Case, options: argparse.Namespace) -> dict[str, Any]:
    """Return the subject of an axis: memory, the order of the engines, or their times."""
    if axis in ("memory", "sequence"):
        asked = (axis, json.dumps(asdict(case)))
        return {axis: {engine: ask_worker([*asked, engine], options) for engine in ENGINES}}
    seconds, least = (1.0, 2) if options.quick else (10.0, 4)
    device = torch.device(options.device)
    row = time_engines(case, device, seconds=seconds, least=least)
    if case.px <= _CHECKED_PX:
        row["flops"] = {engine: count_flops(case, engine) for engine in ENGINES}
        row["disagreement"] = disagreement(case, device)
    return row


def work(kind: str, case: str, engine: Engine, *, device: torch.device) -> Any:
    """Task of a process of its own: the ``memory`` of an engine, or a ``sequence`` that it begins."""
    if kind == "memory":
        return peak_memory(Case(**json.loads(case)), engine, device)
    return time_in_sequence(Case(**json.loads(case)), device, engine, rounds=7)


def ask_worker(arguments: Sequence[str], options: argparse.Namespace) -> Any:
    """The answer of ``work`` in a process of its own."""
    return json.loads(run_again(["--worker", *arguments], options).splitlines()[-1])


def run_again(arguments: Sequence[str], options: argparse.Namespace, **environment: str) -> str:
    """Run this script with other arguments and variables; returns and, but for a worker's, shows what it prints."""
    command = [sys.executable, __file__, "--device", options.device, "--results", str(options.results), *arguments]
    command += ["--threads", str(torch.get_num_threads())]
    done = subprocess.run(command, env=os.environ | environment, check=True, stdout=subprocess.PIPE, text=True)
    if "--worker" not in arguments:
        print(done.stdout, end="")
    return done.stdout


def describe(device: torch.device) -> dict[str, Any]:
    """Describe the versions and the machine."""
    cpu = Path("/proc/cpuinfo")
    lines = cpu.read_text().splitlines() if cpu.exists() else []
    model = next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine()
    )
    gpu = {"gpu": torch.cuda.get_device_name(device)} if device.type == "cuda" else {}
    kernels = load_kernels() is not None
    return {"cpu": model, **gpu, "threads": torch.get_num_threads(), "kernels": kernels, **provenance()}


def read(path: Path) -> list[dict[str, Any]]:
    """The rows so far."""
    return json.loads(path.read_text()) if path.exists() else []


if __name__ == "__main__":
    main()
