"""The comparison of all systems: its configuration, its table, and one small run that is not done twice."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from ldr2hdr import evaluate
from ldr2hdr.build import CONF_DIR, build_learner
from ldr2hdr.evaluation.comparison.judged import Column, Judged, Picture
from ldr2hdr.evaluation.stages import Stage, read_stage

pytestmark = pytest.mark.slow

FOLDER = Path(__file__).parents[2] / "experiments" / "comparison"
NAMES = ("trainings", "columns", "tabulating", "charting", "compare", "metahdr_protocol")
STUDY = OmegaConf.load(FOLDER / "comparison.yaml")
# What decides how many pixels are seen in how many steps
BUDGET = {
    key: value
    for key, value in (item.split("=", 1) for item in STUDY.budget)
    if key.startswith("task.") or key in ("data.tasks_per_batch", "trainer.max_steps", "seed")
}
# not "disabled", which would disable the loggers of all tests after these
QUIET = ["hydra/job_logging=none", "hydra/hydra_logging=none"]


@pytest.mark.parametrize("name", STUDY.trained)
def test_every_system_has_the_same_budget(name, tmp_path):
    overrides = [*STUDY.trained[name].overrides, *STUDY.budget, f"paths.output_dir={tmp_path}"]
    with initialize_config_dir(CONF_DIR, version_base="1.3"):
        cfg = compose("train", overrides=overrides)
    found = {key: OmegaConf.select(cfg, key) for key in BUDGET}
    assert found == {key: int(value) for key, value in BUDGET.items()}
    assert cfg.task._target_.endswith("CameraTasks")
    assert list(cfg.camera) == ["pointwise", "phone", "coded_optics"]
    learner = build_learner(cfg)
    assert sum(parameter.numel() for parameter in learner.model.parameters()) < 600_000
    if cfg.algo._target_.endswith("SupervisedLearner"):
        assert cfg.response._target_.endswith("InverseGammaResponse")


def stage_of(name):
    return read_stage({"system": name})


def judged(scores):
    """Scores of PU21-PSNR by name of a stage, one picture per place."""
    columns = {
        Column(stage_of(name), metric, region): {
            Picture("phone", "unseen", "camera", f"place {index}", 0): value for index, value in enumerate(values)
        }
        for name, values in scores.items()
        for metric in ("pu_psnr", "log2_rmse")
        for region in ("all", "well_exposed", "clipped", "dark")
    }
    return Judged(Path(), {}, {}, columns)


@pytest.fixture
def entries(study):
    entry = study["columns"].Entry
    return [
        entry("ours", Stage("maml", "single-shot"), (Stage("maml", "adapted", 3),), "ours"),
        entry("other", Stage("other", "single-shot"), tuple(Stage("other", "adapted", n) for n in (3, 10)), "trained"),
        entry("merge", Stage("merge"), (), "merge"),
    ]


def test_ours_is_compared_with_the_best_stage_of_each(study, entries):
    found = judged(
        {
            "maml, single-shot": (30.0, 32.0),  # better than adapted: ours has no choice
            "maml, adapted, 3 steps": (20.0, 24.0),
            "other, single-shot": (10.0, 11.0),
            "other, adapted, 3 steps": (19.0, 20.0),
            "other, adapted, 10 steps": (18.0, 24.0),
        }
    )
    cells = study["tabulating"].tabulate(entries, {"a column": found})["a column"]
    assert cells.keys() == {"ours", "other"}  # the merge was not judged here
    assert cells["ours"].best == stage_of("maml, adapted, 3 steps")
    assert cells["ours"].ours_minus == {}
    assert cells["other"].best == stage_of("other, adapted, 10 steps")
    assert cells["other"].after.mean == pytest.approx(21)
    assert cells["other"].ours_minus["pu_psnr", "all"][:3] == pytest.approx((1, 0, 2))
    text = study["tabulating"].as_markdown({"a column": cells}, entries)
    assert "| other | +1.0 [+0.0, +2.0] ? |" in text
    assert "| ours |  |  | 31.0 -> 22.0 [20.0, 24.0] |" in text
    assert "| merge |  |  | - |" in text


def test_a_system_that_support_makes_worse_counts_without_it(study, entries):
    found = judged(
        {
            "maml, single-shot": (20.0,),
            "maml, adapted, 3 steps": (20.0,),
            "other, single-shot": (19.0,),
            "other, adapted, 3 steps": (3.0,),
            "other, adapted, 10 steps": (2.0,),
        }
    )
    cell = study["tabulating"].tabulate(entries, {"a column": found})["a column"]["other"]
    assert cell.best == stage_of("other, single-shot")
    assert cell.ours_minus["pu_psnr", "all"].mean == pytest.approx(1)


@pytest.fixture
def toy(cache_dir, tmp_path):
    """The study at toy size, as a file."""
    small = OmegaConf.create(OmegaConf.to_container(STUDY))
    cache = f"paths.cache_dir={cache_dir}"
    network = ["backbone=unet", "backbone.widths=[4,8]"]
    small.trained = {
        "ours": {"label": "ours", "overrides": [*network, "algo=maml", "algo.inner.steps=1", "response=local"]},
        "supervised_unet": {"label": "supervised", "overrides": [*network, "algo=supervised", "response=none"]},
    }
    small.budget = ["experiment=smoke", "task.crop_px=16", "logger=csv", cache, *QUIET]
    small.steps, small.fine_tune_lrs = 1, [0.1]
    small.classical = {"LDR input": "LDR input", "landis2002": "Landis 2002"}
    small.merges = {"debevec_malik1997": "Debevec and Malik 1997"}
    own = ["num_tasks=1", "steps=[0,1]", "fine_tune_lrs=[0.1]", "task.crop_px=32", "samples=0", "num_resamples=10"]
    small.judging = [
        *(item for item in STUDY.judging if item.split("=")[0] not in {i.split("=")[0] for i in own}),
        *own,
    ]
    small.judging += [cache, *QUIET]
    small.columns = {"a scene": {"overrides": ["task=scene", "labels=merge", "camera=pointwise"], "with_merges": True}}
    OmegaConf.save(small, tmp_path / "toy.yaml")
    return tmp_path / "toy.yaml"


def test_what_is_complete_is_not_done_again(study, toy, tmp_path, monkeypatch, capsys):
    ran = []

    def run_here(overrides, folder, *, log):
        ran.append(folder.name)
        with monkeypatch.context() as patch:
            patch.setattr(sys, "argv", ["evaluate", *overrides, f"hydra.run.dir='{folder}'"])
            evaluate.main()
        return 1.0

    fit = study["trainings"]._fit
    monkeypatch.setattr(
        study["trainings"], "_fit", lambda overrides, folder: ran.append(folder.name) or fit(overrides, folder)
    )
    monkeypatch.setattr(study["columns"], "run_module", run_here)
    arguments = ["--config", str(toy), "--out", str(tmp_path / "out"), "--tables", str(tmp_path / "tables")]
    study["compare"].main(arguments)
    assert ran == ["ours", "supervised_unet", "a_scene"]
    found = json.loads((tmp_path / "tables" / "results.json").read_text(), parse_constant=pytest.fail)
    assert found["columns"]["a scene"].keys() == {
        "ours",
        "supervised",
        "LDR input",
        "Landis 2002",
        "Debevec and Malik 1997",
    }
    assert found["columns"]["a scene"]["supervised"]["ours_minus_it"]["pu_psnr/all"][0] is not None
    assert (tmp_path / "tables" / "comparison.png").stat().st_size > 10_000
    table = (tmp_path / "tables" / "table.md").read_text()
    assert "| ours | " in table
    assert table in capsys.readouterr().out
    study["compare"].main(arguments)
    assert len(ran) == 3
    changed = OmegaConf.load(toy)
    changed.budget.append("seed=1")
    OmegaConf.save(changed, toy)
    with pytest.raises(
        ValueError, match=r"was trained with .* comparison\.yaml asks for .*seed=1.*choose another --out"
    ):
        study["compare"].main(arguments)


def test_a_command_runs_in_a_process_of_its_own_and_leaves_its_log(study, tmp_path):
    log = tmp_path / "new" / "a.log"
    assert study["columns"].run_module(["a=1"], tmp_path, log=log, module="this") > 0
    assert "Namespaces" in log.read_text()
    with pytest.raises(subprocess.CalledProcessError):
        study["columns"].run_module([], tmp_path, log=log, module="no_such_module")
    assert "no_such_module" in log.read_text()


def test_a_run_that_was_cut_goes_on_from_its_checkpoint(study, tmp_path, monkeypatch):
    folder = tmp_path / "one"
    (folder / "checkpoints").mkdir(parents=True)
    (folder / "checkpoints" / "last.ckpt").touch()
    calls = []
    learner = type("Learner", (), {"model": torch.nn.Linear(2, 1)})
    monkeypatch.setattr(study["trainings"], "load_learner", lambda path: (learner, None))
    monkeypatch.setattr(study["trainings"], "_fit", lambda overrides, _: calls.append(overrides) or 1.0)
    systems = OmegaConf.create({"one": {"overrides": ["a=1"]}})
    trained = study["trainings"].train_missing(systems, budget=["b=2"], folder=tmp_path)
    assert calls == [["a=1", "b=2", f"ckpt='{folder}/checkpoints/last.ckpt'"]]
    assert trained["one"].num_parameters == 3
    assert json.loads((folder / "training.json").read_text())["resumed"] is True


class Knowing:
    """Adapted it knows the answer; without support it returns the picture."""

    def __init__(self, tasks):
        self.answers = {task.support.ldr.sum().item(): task.query.exposure for task in tasks}

    def single_shot(self):
        return lambda ldr: ldr

    def adapt(self, support):
        return lambda ldr: self.answers[support.ldr.sum().item()] + 0.0


def test_metahdrs_protocol_counts_no_lost_highlight_and_pairs_both_stages(study, cache_dir, monkeypatch):
    monkeypatch.setenv("LDR2HDR_CACHE", str(cache_dir))
    protocol = study["metahdr_protocol"]
    tasks = list(protocol.draw_tasks(3, crop_px=32))
    assert all((len(task.support), len(task.query)) == (2, 1) for task in tasks)
    assert max(task.query.exposure.max() for task in tasks) > 1
    single, adapted = protocol.judge("known", Knowing(tasks), tasks)
    assert adapted.psnr.mean == pytest.approx(100)
    assert adapted.ssim.mean == pytest.approx(1)
    picture = protocol.judge_input(tasks)
    assert single[1:3] == picture[1:3]
    assert adapted.psnr_gain.mean == pytest.approx(100 - picture.psnr.mean)
    first = tasks[0].query
    expected = -10 * (first.ldr - first.exposure.clamp(0, 1)).square().mean().log10()
    assert protocol._metrics(first.ldr, tasks[0])[0].item() == pytest.approx(expected.item(), rel=1e-5)
    text = protocol.as_markdown([picture, single, adapted])
    assert "| known, adapted | 100.0 [100.0, 100.0] | 1.000 [1.000, 1.000] | +" in text
    assert text.splitlines()[2].endswith("| - | - |")


def test_entries_have_their_stages_with_support(study):
    trained = {str(name): study["trainings"].Trained(Path(), 1, 1.0) for name in STUDY.trained}
    ours, tuned = Stage("maml", "adapted", 3), Stage("supervised", "fine-tuned", 3, 0.1)
    others = [Stage(name, "adapted", steps) for name in ("maml_unet", "supervised_unet") for steps in (0, 3)]
    listed = study["columns"].list_entries(STUDY, trained, [ours, *others, tuned])
    entries = {entry.label: entry for entry in listed}
    assert next(iter(entries.values())).after == (ours,)
    assert entries["MAML, U-Net"].after == (Stage("maml_unet", "adapted", 3),)
    assert entries["supervised, U-Net"].after == (Stage("supervised_unet", "adapted", 3), tuned)
    assert entries["Mertens 2007"].kind == "merge"
