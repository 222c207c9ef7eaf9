"""One real run to all loggers, read back from what each of them wrote."""

import base64
import csv
import hashlib
import json
from types import SimpleNamespace

import imageio.v3 as iio
import numpy as np
import pytest
import torch

from ldr2hdr.build import build_training
from ldr2hdr.metrics.hdr import evaluate_pictures
from loggers.wandb_file import read_records

pytestmark = pytest.mark.slow

SERIES = [f"{where}/task{number}" for where in ("val", "val_unseen") for number in (0, 1)]
CURVES = [
    f"{where}/{metric}@{steps}"
    for where in ("val", "val_unseen")
    for metric in ("pu_psnr", "log2_rmse")
    for steps in ("single", 0, 1)
]


@pytest.fixture(scope="module")
def run(compose_train, tiny, tmp_path_factory):
    """Two epochs of two steps; panels are due after the first, and when training ends."""
    pytest.importorskip("wandb")
    folder = tmp_path_factory.mktemp("run")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("WANDB_CONFIG_DIR", "WANDB_CACHE_DIR", "WANDB_DATA_DIR"):
            patch.setenv(name, str(folder / "home"))
        patch.setenv("WANDB_SILENT", "true")
        overrides = ("trainer.max_steps=4", "logger=[local,wandb]", "~callbacks.progress")
        training = build_training(compose_train(folder, *tiny, *overrides))
        training.trainer.fit(training.module, training.datamodule)
    return SimpleNamespace(folder=folder, training=training)


@pytest.fixture(scope="module")
def pictures(run):
    """The panels that need no program, by series and step."""
    return {
        (name, step): iio.imread(run.folder / "panels" / f"{name.replace('/', '_')}_step_{step:06d}.png")
        for name in SERIES
        for step in (2, 4)
    }


@pytest.fixture(scope="module")
def logged(run):
    """The curves in the CSV file, by name: the values in their order."""
    with (run.folder / "csv" / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    return {name: [float(row[name]) for row in rows if row[name]] for name in CURVES}


@pytest.fixture(scope="module")
def table(run):
    """The scores of each scene, as text."""
    with (run.folder / "task_scores.csv").open(newline="") as file:
        return list(csv.reader(file))


@pytest.fixture(scope="module")
def offline_run(run):
    """The folder of the W&B run, and its records by kind."""
    (path,) = (run.folder / "wandb").glob("offline-run-*/run-*.wandb")
    records = {}
    for record in read_records(path):
        kind = record.WhichOneof("record_type")
        records.setdefault(kind, []).append(getattr(record, kind))
    return SimpleNamespace(folder=path.parent, **records)


@pytest.fixture(scope="module")
def history(offline_run):
    """Its rows."""
    return [
        {"/".join(item.nested_key): json.loads(item.value_json) for item in row.item} for row in offline_run.history
    ]


def test_the_pictures_are_those_of_the_tasks(run, pictures):
    assert len(list((run.folder / "panels").iterdir())) == len(pictures)
    for tasks, name in zip(run.training.datamodule.val_tasks, ("val", "val_unseen"), strict=True):
        for number in (0, 1):
            photo = (tasks[number].query.ldr[0] * 255).round().byte().permute(1, 2, 0).numpy()
            tile = pictures[f"{name}/task{number}", 4][22 : 22 + 192, 4 : 4 + 192]
            # each of 16 x 16 pixels is a box of 12 x 12
            np.testing.assert_array_equal(tile[6::12, 6::12], photo)


def test_the_scores_of_each_scene_are_those_of_the_learner(run, table):
    columns, *rows = table
    assert columns[:5] == ["set", "task", "camera", "place", "picture"]
    assert len(rows) == 2 * 2 * 2
    learner = run.training.module.learner.eval()
    for row in (dict(zip(columns, row, strict=True)) for row in rows):
        tasks = run.training.datamodule.val_tasks[("val", "val_unseen").index(row["set"])]
        task, picture = tasks[int(row["task"])], int(row["picture"])
        assert (row["camera"], row["place"]) == (task.camera, task.query_places[picture])
        predictors = {"single": learner.single_shot()} | {num: learner.adapt(task.support, steps=num) for num in (0, 1)}
        for key, predictor in predictors.items():
            with torch.no_grad():
                scores = evaluate_pictures(predictor(task.query.ldr), task.query)
            for metric, region in (("pu_psnr", "all"), ("log2_rmse", "well_exposed")):
                expected = scores[metric, region][picture].item()
                assert float(row[f"{metric}@{key}"]) == pytest.approx(expected, rel=1e-5)


def test_tensorboard_shows_the_curves_and_the_same_pictures(run, pictures, logged):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(run.folder / "tensorboard"), size_guidance={"images": 0})
    events.Reload()
    assert set(events.Tags()["images"]) == {f"panels/{name}" for name in SERIES}
    for name in SERIES:
        shown = events.Images(f"panels/{name}")
        assert [event.step for event in shown] == [2, 4]
        for event in shown:
            np.testing.assert_array_equal(iio.imread(event.encoded_image_string), pictures[name, event.step])
    for name in CURVES:
        points = events.Scalars(name)
        assert [point.step for point in points] == [1, 3]
        assert [point.value for point in points] == pytest.approx(logged[name], rel=1e-6)


def test_tensorboard_shows_the_scores_of_each_scene(run, table):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(run.folder / "tensorboard"), size_guidance={"tensors": 0})
    events.Reload()
    (event,) = events.Tensors("task_scores/text_summary")
    heading, _, *lines = event.tensor_proto.string_val[0].decode().splitlines()
    assert [cell.strip() for cell in heading.strip("|").split("|")] == table[0]
    for line, row in zip(lines, table[1:], strict=True):
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        assert cells[:5] == row[:5]
        assert [float(cell) for cell in cells[5:]] == pytest.approx([float(cell) for cell in row[5:]], abs=5e-4)


def test_wandb_has_the_curves_over_the_outer_step(offline_run, history, logged):
    assert [(metric.glob_name, metric.step_metric) for metric in offline_run.metric if metric.glob_name] == [
        ("*", "trainer/global_step")
    ]
    for name in CURVES:
        rows = [row for row in history if name in row]
        assert [row["trainer/global_step"] for row in rows] == [1, 3]
        assert [row[name] for row in rows] == pytest.approx(logged[name], rel=1e-6)
    assert [row["trainer/global_step"] for row in history if "train/loss" in row] == [0, 1, 2, 3]


def test_wandb_has_the_configuration(run, offline_run):
    config = {item.key: json.loads(item.value_json) for part in offline_run.config for item in part.update}
    assert config["algo"]["inner"]["steps"] == 1
    assert config["backbone"]["widths"] == [4, 8]


def test_wandb_shows_the_same_pictures(offline_run, history, pictures):
    for name in SERIES:
        key = f"panels/{name}"
        shown = [row for row in history if f"{key}/filenames" in row]
        assert [row["trainer/global_step"] for row in shown] == [2, 4]
        for row in shown:
            (file,) = row[f"{key}/filenames"]
            picture = iio.imread(offline_run.folder / "files" / file)
            np.testing.assert_array_equal(picture, pictures[name, row["trainer/global_step"]])
            assert f"after {row['trainer/global_step']} outer steps" in row[f"{key}/captions"][0]


def test_wandb_has_the_scores_of_each_scene_as_an_artefact(offline_run, history, table):
    (artefact,) = [artefact for artefact in offline_run.artifact if artefact.type == "run_table"]
    (entry,) = artefact.manifest.contents
    assert entry.path == "task_scores.table.json"
    (row,) = [row for row in history if "task_scores/path" in row]
    content = json.loads((offline_run.folder / "files" / row["task_scores/path"]).read_text())
    assert content["columns"] == table[0]
    assert [["" if cell is None else str(cell) for cell in cells] for cells in content["data"]] == table[1:]


def test_wandb_has_the_checkpoints_as_versions_of_a_model(run, offline_run):
    found = [artefact for artefact in offline_run.artifact if artefact.type == "model"]
    models = {alias: artefact for artefact in found for alias in artefact.aliases if alias != "latest"}
    assert set(models) == {"best", "last"}
    assert len({model.name for model in models.values()}) == 1
    for name, model in models.items():
        path = run.folder / "checkpoints" / f"{name}.ckpt"
        (entry,) = model.manifest.contents
        assert entry.local_path == str(path)
        assert base64.b64decode(entry.digest) == hashlib.md5(path.read_bytes()).digest()
        about = json.loads(model.metadata)
        assert about["config_sha256"] == hashlib.sha256(run.training.module.run_config.encode()).hexdigest()
        assert about["outer_step"] == torch.load(path, weights_only=True)["global_step"]
    last, best = (json.loads(models[name].metadata) for name in ("last", "best"))
    assert last["metrics"].keys() >= {*CURVES}
    assert best["monitor"] == "val/pu_psnr@1"
    (keeper,) = [one for one in run.training.trainer.checkpoint_callbacks if getattr(one, "monitor", None)]
    assert best["score"] == pytest.approx(keeper.best_model_score.item())


def test_the_wandb_run_ends_with_the_training(offline_run):
    import wandb

    assert wandb.run is None
    assert offline_run.exit[0].exit_code == 0
