"""The comparison of all systems: its configuration, its table, and one small run that is not done twice."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from hydra import compose, initialize_config_dir
from load_scripts import load_scripts
from omegaconf import OmegaConf

from ldr2hdr.build import CONF_DIR, build_learner
from ldr2hdr.evaluation import results
from ldr2hdr.evaluation.scoring import Score
from ldr2hdr.evaluation.stages import read_stage
from ldr2hdr.tasks import Shots

pytestmark = pytest.mark.slow

FOLDER = Path(__file__).parents[2] / "experiments" / "comparison"
# and those of other folders that they import, which other experiments have as well
NAMES = ("compare", "trainings", "columns", "contenders", "tabulating", "charting", "metahdr_protocol")
BESIDE = ("pooling", "learned_heads", "scoring", "stacks", "systems")
STUDY = OmegaConf.load(FOLDER / "comparison.yaml")
# What decides how many pixels are seen in how many steps
BUDGET = {
    key: value
    for key, value in (item.split("=", 1) for item in STUDY.budget)
    if key.startswith("task.") or key in ("data.tasks_per_batch", "trainer.max_steps")
}
# not "disabled", which would disable the loggers of all tests after these
QUIET = ["hydra/job_logging=none", "hydra/hydra_logging=none"]


@pytest.fixture(scope="module")
def study():
    return load_scripts(FOLDER, [*NAMES, *BESIDE])


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


def scores(by_stage, *, metric="pu_psnr"):
    """Scores by name of a stage, one picture per place."""
    return [
        Score(stage_of(name), "phone", "unseen", "camera", f"place {index}", 0, metric, "all", value)
        for name, values in by_stage.items()
        for index, value in enumerate(values)
    ]


@pytest.fixture
def contenders(study):
    make = study["contenders"].Contender
    return [make(name, name, kind, {}) for name, kind in (("ours", "ours"), ("other", "trained"), ("merge", "merge"))]


def test_ours_is_compared_with_the_best_stage_of_each(study, contenders):
    found = scores(
        {
            "ours, single-shot": (30.0, 32.0),  # better than adapted: ours has no choice
            "ours, adapted, 0 steps": (20.0, 24.0),
            "other, single-shot": (10.0, 11.0),
            "other, adapted, 3 steps": (19.0, 20.0),
            "other lr 0.1, fine-tuned, 3 steps": (18.0, 24.0),
        }
    )
    column = study["tabulating"].tabulate(contenders, [found], study["columns"].VirtualColumn.gauge)
    cells = column.cells
    assert cells.keys() == {"ours", "other"}  # the merge was not judged here
    assert cells["ours"].best == stage_of("ours, adapted, 0 steps")
    assert cells["ours"].ours_minus == {}
    assert cells["other"].best == stage_of("other lr 0.1, fine-tuned, 3 steps")
    assert cells["other"].after.summary.interval.mean == pytest.approx(21)
    assert cells["other"].ours_minus["pu_psnr", "all"].summary.interval[:3] == pytest.approx((1, 0, 2))
    text = study["tabulating"].as_markdown({"a column": column}, contenders)
    assert "| other | 21.0 (+1.0 [0.0, 2.0] ?) |" in text
    assert "| **ours** | **22.0** |" in text
    assert "| ours |  |  | 31.0 -> 22.0 [20.0, 24.0] |" in text
    assert "| merge |  |  | - |" in text


def test_a_system_that_support_makes_worse_counts_without_it(study, contenders):
    values = {"ours, single-shot": 20.0, "ours, adapted, 0 steps": 20.0, "other, single-shot": 19.0}
    found = scores({name: (value,) for name, value in {**values, "other, adapted, 3 steps": 3.0}.items()})
    cell = study["tabulating"].tabulate(contenders, [found], study["columns"].VirtualColumn.gauge).cells["other"]
    assert cell.best == stage_of("other, single-shot")
    assert cell.ours_minus["pu_psnr", "all"].summary.interval.mean == pytest.approx(1)


def test_less_is_better_on_real_photographs(study, contenders):
    values = {"ours, single-shot": 0.5, "ours, adapted, 0 steps": 0.3, "other, single-shot": 0.2}
    found = scores({name: (value,) for name, value in {**values, "other, adapted, 3 steps": 0.4}.items()}, metric="ok")
    gauge = study["columns"].PhotographColumn.gauge
    cell = study["tabulating"].tabulate(contenders, [found], gauge).cells["other"]
    assert cell.best == stage_of("other, single-shot")
    assert cell.ours_minus["ok", "all"].summary.interval.mean == pytest.approx(0.1)


def test_seeds_that_disagree_are_undecided(study, contenders):
    seeds = [
        scores({"ours, single-shot": (1.0, 1.0), "ours, adapted, 0 steps": ours, "other, single-shot": (20.0, 20.0)})
        for ours in ((26.0, 26.0), (19.0, 19.0))
    ]
    column = study["tabulating"].tabulate(contenders, seeds, study["columns"].VirtualColumn.gauge)
    text = study["tabulating"].as_compact({"a column": column}, contenders)
    assert "| **ours** | **22.5**, 19.0 to 26.0 |" in text
    assert "| other | 20.0 (+2.5 [2.5, 2.5] ?) |" in text


@pytest.fixture
def toy(cache_dir, tmp_path):
    """The study at toy size, as a file."""
    small = OmegaConf.create(OmegaConf.to_container(STUDY))
    cache = f"paths.cache_dir={cache_dir}"
    network = ["backbone=unet", "backbone.widths=[4,8]"]
    small.seeds = [0, 1]
    small.trained = {
        "ours": {"label": "ours", "overrides": [*network, "algo=maml", "algo.inner.steps=1", "response=local"]},
        "supervised_unet": {"label": "supervised", "overrides": [*network, "algo=supervised", "response=none"]},
    }
    small.budget = ["experiment=smoke", "task.crop_px=16", "logger=csv", cache, *QUIET]
    small.steps, small.fine_tune_lrs = 1, [0.1]
    del small.closed.prior
    small.classical = {"ldr_input": "LDR input"}
    small.merge = {"debevec_malik1997": "Debevec and Malik 1997"}
    small.judging = ["num_tasks=2", "task.crop_px=32", "seed=2", cache]
    small.columns = {
        "a scene": ["task=scene", "labels=merge", "camera=pointwise"],
        "a camera": ["task=camera", "labels=truth", "camera=pointwise"],
    }
    OmegaConf.save(small, tmp_path / "toy.yaml")
    return tmp_path / "toy.yaml"


@pytest.fixture
def brackets(tmp_path):
    """Two brackets by one camera, of a scene of half the pixels in the dark."""
    root = tmp_path / "brackets"
    rows = ["stack,camera,frames,grade,source,licence"]
    for name, seed in (("one", 0), ("two", 1)):
        light = np.exp2(np.random.default_rng(seed).uniform(-7, 2, (24, 48, 1))) * np.ones(3)
        light = cv2.resize(light, (96, 48))
        (root / name).mkdir(parents=True)
        lines = ["file,exposure_time_s"]
        for time in (0.25, 1.0, 4.0):
            frame = (255 * (light * time).clip(0, 1) ** (1 / 2.2)).round().astype(np.uint8)
            cv2.imwrite(str(root / name / f"{time}.png"), frame)
            lines.append(f"{time}.png,{time}")
        (root / name / "exposures.csv").write_text("\n".join(lines) + "\n")
        rows.append(f"{name},camera,3,A,somebody,none")
    (root / "index.csv").write_text("\n".join(rows) + "\n")
    return root


def test_what_is_complete_is_not_done_again(study, toy, brackets, tmp_path, monkeypatch, capsys):
    ran = []
    fit = study["trainings"]._fit
    monkeypatch.setattr(
        study["trainings"], "_fit", lambda overrides, folder: ran.append(folder.name) or fit(overrides, folder)
    )
    monkeypatch.setattr(
        study["contenders"], "write_scores", lambda *a: ran.append("judged") or results.write_scores(*a)
    )
    arguments = ["--config", str(toy), "--out", str(tmp_path / "out"), "--tables", str(tmp_path / "tables")]
    arguments += ["--brackets", str(brackets)]
    study["compare"].main(arguments)
    assert ran[:4] == ["ours", "supervised_unet"] * 2
    # two networks by two seeds and three others in each column, a merge in one, and two references in the real one
    assert ran[4:] == ["judged"] * (3 * 7 + 1 + 2)
    found = json.loads((tmp_path / "tables" / "results.json").read_text(), parse_constant=pytest.fail)
    columns = found["columns"]
    always = {"ours", "supervised", "ours before training", "local response", "LDR input"}
    assert columns["a scene"].keys() == always | {"Debevec and Malik 1997"}
    assert columns["a camera"].keys() == always
    assert columns["real"].keys() == always | {"OpenCV's response fit", "the model that ships"}
    mean, _, _, *by_seed = columns["a scene"]["supervised"]["ours_minus_it"]["pu_psnr/all"]
    assert sum(by_seed) / 2 == pytest.approx(mean, abs=1e-3)
    assert by_seed[0] != by_seed[1]
    assert len(found["systems"]["ours"]["trained_at"]) == 2
    assert (tmp_path / "tables" / "comparison.png").stat().st_size > 10_000
    table = (tmp_path / "tables" / "table.md").read_text()
    assert "| **ours** | " in table
    assert table in capsys.readouterr().out
    count = len(ran)
    study["compare"].main(arguments)
    assert len(ran) == count
    changed = OmegaConf.load(toy)
    changed.budget.append("task.shots=1")
    OmegaConf.save(changed, toy)
    with pytest.raises(
        ValueError, match=r"was trained with .* comparison\.yaml asks for .*shots=1.*choose another --out"
    ):
        study["compare"].main(arguments)


def test_a_run_that_was_cut_goes_on_from_its_checkpoint(study, tmp_path, monkeypatch):
    folder = tmp_path / "one"
    (folder / "checkpoints").mkdir(parents=True)
    (folder / "checkpoints" / "last.ckpt").touch()
    (folder / "manifest.json").write_text('{"commit": "abc"}')
    calls = []
    learner = type("Learner", (), {"model": torch.nn.Linear(2, 1)})
    monkeypatch.setattr(study["trainings"], "load_learner", lambda path: (learner, None))
    monkeypatch.setattr(study["trainings"], "_fit", lambda overrides, _: calls.append(overrides) or 1.0)
    systems = OmegaConf.create({"one": {"overrides": ["a=1"]}})
    trained = study["trainings"].train_missing(systems, budget=["b=2"], folder=tmp_path)
    assert calls == [["a=1", "b=2", f"ckpt='{folder}/checkpoints/last.ckpt'"]]
    assert trained["one"][1:] == (3, 1.0, "abc")
    assert json.loads((folder / "training.json").read_text())["resumed"] is True


def test_opencv_learns_the_times_from_the_labels(study):
    light = torch.exp2(torch.linspace(-7, 1, 64 * 64)).view(1, 1, 64, 64).expand(1, 3, 64, 64)
    exposure = torch.cat([light / 4, light, 4 * light])
    ldr = (255 * exposure.clamp(0, 1) ** (1 / 2.2)).round() / 255
    predicted = study["contenders"].OpenCVFit().adapt(Shots(ldr, exposure))(ldr[1:2])
    well = (ldr[1:2] > 0.1) & (ldr[1:2] < 0.9)
    away = (predicted / light).log2()[well]
    assert (away - away.median()).abs().max() < 0.2


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
