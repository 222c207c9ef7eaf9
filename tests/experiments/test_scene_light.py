"""What lights the places: named as the places are, and means by it as written down."""

import csv
from pathlib import Path

import numpy as np
import pytest
from load_scripts import load_scripts

FOLDER = Path(__file__).parents[2] / "experiments" / "highlights"


@pytest.fixture
def study():
    return load_scripts(FOLDER, ("views", "scene_light"))


def rows_of(name):
    with (FOLDER / name).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_every_place_is_one_of_the_training_or_validation_places():
    known = {row["place"] for row in rows_of("places.csv") if row["split"] != "test"}
    named = [row["place"] for row in rows_of("scene_light.csv")]
    assert len(set(named)) == len(named)
    assert set(named) <= known


def test_means_are_of_views_of_which_about_as_much_clips_as_of_photographs(study, tmp_path):
    found = {
        "train": ("noon_grass", [(0.1, 0.2), (0.2, 0.4), (0.5, 9.0)]),
        "val": ("dancing_hall", [(0.1, 1.0), (0.01, 9.0), (0.3, 9.0)]),
    }
    for split, (place, views_of_it) in found.items():
        for shape, (height, width) in study["views"].SIZES.items():
            views = study["views"].Views.create(tmp_path, split, shape, number=3)
            scene = study["views"].Scene(np.zeros((3, height, width)), np.zeros((3, height, width), bool))
            for number, (share, stops) in enumerate(views_of_it):
                about = {"place": place, "glare": 0, "share": share, "excess": stops, "full": 0, "middle": 0}
                views.write(number, scene, about)
    by_light = study["scene_light"].excess_by_light(tmp_path)
    assert by_light == {"day": [pytest.approx(0.3)], "indoors": [pytest.approx(1.0)]}
