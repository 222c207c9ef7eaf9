"""The systems of an evaluation: who is judged, who is compared, and what is refused."""

from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
from rich.console import Console

from ldr2hdr.build import CONF_DIR, build_learner, build_source, build_suite
from ldr2hdr.evaluation.judging import _aggregate, _check_settings, _score, _tables
from ldr2hdr.evaluation.stages import Stage
from ldr2hdr.evaluation.systems import _algorithm, build_systems
from ldr2hdr.io import write_image

pytestmark = pytest.mark.slow


@pytest.fixture
def make_checkpoint(compose_train, tiny, tmp_path):
    """A checkpoint of a fresh network."""

    def make(name, *overrides):
        cfg = compose_train(tmp_path, *tiny, *overrides)
        torch.manual_seed(0)
        state = {f"learner.{key}": value for key, value in build_learner(cfg).state_dict().items()}
        torch.save({"config": OmegaConf.to_yaml(cfg, resolve=True), "state_dict": state}, tmp_path / name)
        return tmp_path / name

    return make


@pytest.fixture
def evaluation(cache_dir):
    """The configuration of an evaluation of one task of one camera family."""

    def compose_one(*overrides):
        with initialize_config_dir(CONF_DIR, version_base="1.3"):
            small = ("camera=pointwise", "panel=null", "num_tasks=1", "task.crop_px=16", "num_resamples=10")
            paths = ("paths.output_dir=unused", f"paths.cache_dir={cache_dir}")
            return compose("evaluate", overrides=[*small, *paths, *overrides])

    return compose_one


def test_the_strongest_fine_tuned_system_is_the_opponent(make_checkpoint, evaluation):
    maml = make_checkpoint("maml.ckpt", "response=ridge")
    supervised = make_checkpoint("supervised.ckpt", "algo=supervised", "response=none")
    cfg = evaluation(f"ckpt={maml}", f"supervised_ckpt={supervised}", "steps=[0,1,2]", "fine_tune_lrs=[0.01,0.1]")
    systems = build_systems(cfg)
    main = Stage("maml", "adapted", 1)
    tuned = [Stage("supervised", "fine-tuned", steps, rate) for rate in (0.01, 0.1) for steps in (1, 2)]
    assert systems.fine_tuned == [(main, stage) for stage in tuned]
    scores = _score(cfg, build_source(cfg), systems.judged, build_suite(cfg), Console(quiet=True))
    summaries, differences = _aggregate(cfg, systems, scores)
    for ranges in cfg.ranges:
        means, compared = (
            {
                key(row): row.interval.mean
                for row in rows
                if (row.ranges, row.metric, row.region) == (ranges, "pu_psnr", "all")
            }
            for rows, key in ((summaries, lambda row: row.stage), (differences, lambda row: row.opponent))
        )
        opponents = {
            Stage("maml", "single-shot"),
            Stage("response fit"),
            Stage("untrained", "adapted", 0),
            Stage("maml", "adapted", 0),
            max(tuned, key=lambda stage: means[stage]),
        }
        assert {row.stage for row in differences} == {main}
        assert compared.keys() == opponents
        for opponent in opponents:
            assert compared[opponent] == pytest.approx(means[main] - means[opponent], abs=1e-4)


def test_a_supervised_checkpoint_must_be_one(make_checkpoint, evaluation):
    maml = make_checkpoint("maml.ckpt")
    with pytest.raises(ValueError, match=r"supervised_ckpt=.* algo=supervised, got maml"):
        build_systems(evaluation(f"ckpt={maml}", f"supervised_ckpt={maml}"))


@pytest.mark.parametrize(
    ("name", "overrides"),
    [
        *((name, [f"algo={name}"]) for name in sorted(path.stem for path in Path(CONF_DIR, "algo").glob("*.yaml"))),
        ("fomaml", ["algo=maml", "algo.first_order=true"]),
        ("maml", ["algo=maml", "algo.inner.steps=2", "algo.inner.adapts=[backbone.*]"]),
        ("r2d2", ["algo=r2d2", "algo.ridge_weight=0.5"]),
    ],
)
def test_a_checkpoint_stands_in_tables_under_the_name_of_its_algorithm(compose_train, tiny, tmp_path, name, overrides):
    assert _algorithm(compose_train(tmp_path, *tiny, *overrides)) == name


def test_an_algorithm_that_conf_does_not_name_stands_under_its_class():
    assert _algorithm(OmegaConf.create({"algo": {"_target_": "mine.WiderLearner", "inner": {"lr": 1.0}}})) == "wider"


def test_another_split_of_the_places_of_training_is_refused(make_checkpoint, evaluation):
    maml = make_checkpoint("maml.ckpt")
    with pytest.raises(ValueError, match=r"trained on dataset\.panoramas=.*splits the same places otherwise"):
        build_systems(evaluation(f"ckpt={maml}", "+dataset.panoramas.seed=1"))


def test_what_was_trained_on_besides_the_split_is_no_reason_to_refuse(make_checkpoint, evaluation, tmp_path):
    more = tmp_path / "more"
    more.mkdir()
    write_image(more / "extra.exr", torch.ones(3, 8, 16))
    maml = make_checkpoint(
        "maml.ckpt", "+dataset.panoramas.fov_deg=[15.0,90.0]", f"dataset.panoramas.train_root={more}"
    )
    assert build_systems(evaluation(f"ckpt={maml}")).learner is not None
    with pytest.raises(ValueError, match=r"trained on all of .*more; give another dataset.root"):
        build_systems(evaluation(f"ckpt={maml}", f"dataset.root={more}"))


@pytest.mark.parametrize("override", ["steps=[]", "steps=[-1]", "num_tasks=0", "samples=-1"])
def test_settings_out_of_range_name_their_key(evaluation, override):
    with pytest.raises(ValueError, match=r"steps must name .* num_tasks be positive and samples"):
        _check_settings(evaluation("ckpt=unused", override))


def test_any_systems_and_checkpoints_stand_in_one_table(make_checkpoint, evaluation):
    maml, reptile = make_checkpoint("maml.ckpt"), make_checkpoint("reptile.ckpt", "algo=reptile")
    cfg = evaluation(f"ckpt={maml}", f"+others.moved={reptile}", "systems=[bist2017,response_fit]", "steps=[1]")
    systems = build_systems(cfg)
    scores = _score(cfg, build_source(cfg), systems.judged, build_suite(cfg), Console(quiet=True))
    always = {"LDR input", "inverse gamma 2.2", "response fit"}
    learned = {"maml, single-shot", "maml, adapted, 1 step", "moved, single-shot", "moved, adapted, 1 step"}
    assert {str(score.stage) for score in scores} == always | {"bist2017", "untrained, adapted, 0 steps"} | learned
    assert {"bist2017", "moved, adapted, 1 step"} <= {str(opponent) for _, opponent in systems.pairs}


def test_systems_are_judged_without_a_checkpoint(evaluation):
    cfg = evaluation("ckpt=null", "systems=[landis2002]", "ranges=[seen]")
    systems = build_systems(cfg)
    scores = _score(cfg, build_source(cfg), systems.judged, build_suite(cfg), Console(quiet=True))
    summaries, differences = _aggregate(cfg, systems, scores)
    assert {str(row.stage) for row in summaries} == {"LDR input", "inverse gamma 2.2", "response fit", "landis2002"}
    assert differences == []


def test_a_merge_is_judged_on_the_scene_it_saw_or_refused(evaluation):
    with pytest.raises(ValueError, match=r"systems=debevec_malik1997 .* task=scene"):
        build_systems(evaluation("ckpt=null", "systems=[debevec_malik1997]"))
    cfg = evaluation("ckpt=null", "systems=[debevec_malik1997]", "task=scene", "task.crop_px=32", "ranges=[seen]")
    scores = _score(cfg, build_source(cfg), build_systems(cfg).judged, build_suite(cfg), Console(quiet=True))
    assert "debevec_malik1997" in {str(score.stage) for score in scores}


def test_brackets_of_real_cameras_have_one_table(evaluation):
    cfg = evaluation("ckpt=null", "camera=[pointwise,phone]")
    assert len(list(_tables(cfg))) == 4
    (table,) = _tables(evaluation("ckpt=null", "camera=[pointwise,phone]", "task=bracket"))
    assert table.only is None
