"""Measure an evaluation alone and beside busy loops, by how OpenMP's threads wait and by their number.

.venv/bin/python experiments/busy_machine/measure.py            # both; on a machine that is otherwise idle
.venv/bin/python experiments/busy_machine/measure.py --calm     # alone
.venv/bin/python experiments/busy_machine/measure.py --busy     # beside two busy loops
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

# OMP_WAIT_POLICY and GOMP_SPINCOUNT if any, num_threads; the first is what ldr2hdr does by itself
ARMS: Final = (("passive 1000", "null"), ("passive", "null"), ("active", "null"), ("passive", "1"))
EVALUATION: Final = ("experiment=demo_evaluate", "fine_tune_lrs=[]", "panel=null", "tables=false", "num_resamples=20")


class Cost(NamedTuple):
    """Seconds of one run: on the clock, and of all its threads on the cores."""

    wall: float
    cpu: float


def main() -> None:
    """Measure, and print a table: medians, and what the neighbours cost."""
    arguments = _parse()
    load = os.getloadavg()[0]
    if load > 0.5:
        print(f"the load is {load:.1f}: what else runs here is measured too", file=sys.stderr)
    states = [state for state in ("calm", "busy") if getattr(arguments, state)] or ["calm", "busy"]
    costs: dict[tuple[str, str, str], list[Cost]] = {}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        _run("train", "experiment=demo", "trainer.max_steps=2", f"hydra.run.dir={folder}/run", policy="passive")
        for _ in range(arguments.repeats):  # arms in turn, so that a slow spell of the machine meets all of them
            for state in states:
                with _neighbours(arguments.loops if state == "busy" else 0):
                    for policy, threads in ARMS:
                        cost = _evaluate(folder, threads, policy=policy, num_tasks=arguments.num_tasks)
                        costs.setdefault((policy, threads, state), []).append(cost)
                        print(f"{state}, {policy}, num_threads={threads}: {cost.wall:.1f} s, {cost.cpu:.1f} CPU s")
    _print_table(costs, states)


def _print_table(costs: dict[tuple[str, str, str], list[Cost]], states: list[str]) -> None:
    print("\n| waiting | threads | " + " | ".join(f"{state}: wall, CPU" for state in states) + " | busy / calm |")
    print("|---" * (len(states) + 3) + "|")
    for policy, threads in ARMS:
        found = [_median(costs[policy, threads, state]) for state in states]
        cells = [f"{cost.wall:.1f} s, {cost.cpu:.1f} s" for cost in found]
        ratio = f"{found[1].wall / found[0].wall:.2f}, {found[1].cpu / found[0].cpu:.2f}" if len(found) == 2 else "–"
        print(f"| {policy} | {threads} | {' | '.join(cells)} | {ratio} |")


def _median(costs: list[Cost]) -> Cost:
    return sorted(costs, key=lambda cost: cost.wall)[len(costs) // 2]


def _evaluate(folder: Path, threads: str, *, policy: str, num_tasks: int) -> Cost:
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    overrides = (*EVALUATION, f"num_tasks={num_tasks}", f"num_threads={threads}", "supervised_ckpt=null")
    _run("evaluate", *overrides, f"ckpt={folder}/run/checkpoints/last.ckpt", f"hydra.run.dir={folder}/x", policy=policy)
    wall, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    return Cost(wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def _run(program: str, *overrides: str, policy: str) -> None:
    env = {key: value for key, value in os.environ.items() if not key.startswith(("OMP_", "MKL_", "GOMP_"))}
    env |= dict(zip(("OMP_WAIT_POLICY", "GOMP_SPINCOUNT"), policy.split(), strict=False))
    command = [sys.executable, "-m", f"ldr2hdr.{program}", *overrides]
    subprocess.run(command, env=env, check=True, stdout=subprocess.DEVNULL)


@contextmanager
def _neighbours(number: int) -> Iterator[None]:
    """Keep a number of processes busy, which count by themselves: they are no part of any cost."""
    loops = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(number)]
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
        for loop in loops:
            loop.wait()


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--calm", action="store_true", help="alone")
    parser.add_argument("--busy", action="store_true", help="beside busy loops")
    parser.add_argument("--loops", type=int, default=2, help="busy loops (default: %(default)s)")
    parser.add_argument("--num-tasks", type=int, default=2, help="tasks of each table (default: %(default)s)")
    parser.add_argument("--repeats", type=int, default=3, help="runs of each kind (default: %(default)s)")
    return parser.parse_args()


if __name__ == "__main__":
    main()
