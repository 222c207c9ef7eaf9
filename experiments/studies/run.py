"""Train, judge, tabulate and draw a study: python experiments/studies/run.py NAME [NAME ...].

NAME is a folder of experiments/ with a study.yaml. Networks that several studies ask for are trained once, and an
interrupted study goes on where it was. results.json and figure.png are written to the study's folder.
"""

import argparse
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from drawing import draw
from judging import Judge, Reported, TestSet
from omegaconf import DictConfig, OmegaConf
from pooling import Pooled, keep_best_rates, pool
from reporting import as_markdown, best_of, write_results
from runs import Run, make_run, merge, read_record, train

from ldr2hdr.evaluation.scoring import Score
from ldr2hdr.training.callbacks import provenance

HERE = Path(__file__).parent


def main(argv: Sequence[str] | None = None) -> None:
    """Run the studies, one after the other."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="+", help="folders of experiments/")
    parser.add_argument("--out", type=Path, default=Path("outputs/studies"), help="networks and scores")
    parser.add_argument("--seeds", type=int, nargs="+", help="fewer than the study asks for")
    parser.add_argument("--train-only", action="store_true", help="do not judge yet")
    options = parser.parse_args(argv)
    torch.set_num_threads(1)
    for name in ("ldr2hdr.meta.base", "lightning.pytorch.utilities.rank_zero"):  # counted, and told in the results
        logging.getLogger(name).setLevel(logging.ERROR)
    for name in options.names:
        study = read_study(HERE.parent / name)
        study.seeds = options.seeds or study.seeds
        for run in runs_of(study, options.out):
            if train(run):
                print(f"{name}: {run.name}, seed {run.seed}: {read_record(run)['cpu_s']} s", flush=True)
        if not options.train_only:
            judge(study, HERE.parent / name, options.out)


def read_study(folder: Path) -> DictConfig:
    """A study's settings over those of all."""
    return OmegaConf.merge(OmegaConf.load(HERE / "common.yaml"), OmegaConf.load(folder / "study.yaml"))


def runs_of(study: DictConfig, out: Path) -> Iterator[Run]:
    """All networks of a study, seed by seed; a teacher comes before those that it labels for."""
    for seed in study.seeds:
        teacher = teacher_of(study, seed, out)
        if teacher is not None:
            yield teacher
        for name, own in study.runs.items():
            yield make_run(name, seed, merge(study.train, own), out=out.resolve(), teacher=teacher)


def teacher_of(study: DictConfig, seed: int, out: Path) -> Run | None:
    """The network that labels, if the study has one."""
    if "teacher" not in study:
        return None
    return make_run("teacher", seed, merge(study.train, study.teacher), out=out.resolve())


def judge(study: DictConfig, folder: Path, out: Path) -> None:
    """Score every network, and write what the study's page shows."""
    judges = make_judge(study, out)
    runs = [run for run in runs_of(study, out) if run.name in study.runs]
    pooled = Pooled([], [])
    for name in judges.test_sets:
        by_seed = keep_best_rates([_score(judges, name, study, runs, seed) for seed in study.seeds])
        pairs = [tuple(pair) for pair in study.compare]
        found = pool(by_seed, pairs, seed=study.test_seed, num_resamples=study.num_resamples)
        pooled = Pooled(pooled.means + found.means, pooled.differences + found.differences)
        places = found.means[0].summary.interval.num_scenes
        print(f"{name}: {places} places, best mean: {best_of(pooled, test_set=name)}")
    for region in ("all", "well_exposed", "clipped"):
        print(f"\n**PU21-PSNR in dB, {region}**\n\n{as_markdown(pooled, region=region)}")
    records = {f"{run.name}, seed {run.seed}": _cost(run) for run in runs}
    settings = {key: OmegaConf.to_container(study)[key] for key in study if key != "figure"}
    write_results(folder / "results.json", pooled, about={**provenance(), "study": settings, "runs": records})
    draw(folder / "figure.png", study.figure, pooled, records)


def _cost(run: Run) -> dict[str, Any]:
    """Return a run's description, without its overrides: they are in the study's settings, and hold local paths."""
    return {key: value for key, value in read_record(run).items() if key != "overrides"}


def make_judge(study: DictConfig, out: Path) -> Judge:
    """The study's test sets."""
    teacher = teacher_of(study, study.seeds[0], out)
    ckpt = "" if teacher is None else str(teacher.ckpt)
    test_sets = []
    for node in OmegaConf.to_container(study.test_sets):
        task = tuple(text.replace("{teacher}", ckpt) for text in node.pop("task", ()))
        test_sets.append(TestSet(task=task, **node))
    reported = Reported(*(tuple(study.reported[key]) for key in ("steps", "fine_tune_steps", "fine_tune_lrs")))
    return Judge(test_sets, common=study.test, reported=reported, out=out, seed=study.test_seed)


def _score(judges: Judge, name: str, study: DictConfig, runs: Sequence[Run], seed: int) -> list[Score]:
    """Every system on one test set; what has no seed is repeated for each."""
    scores = judges.score_baselines(name)
    for label, own in study.untrained.items():
        scores = scores + judges.score_untrained(name, label, merge(study.train, own))
    for run in runs:
        if run.seed == seed:
            scores = scores + judges.score_run(name, run)
    return scores


if __name__ == "__main__":
    main()
