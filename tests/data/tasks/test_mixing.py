"""Mixtures of data sets of tasks: shares, order, and every refusal."""

import itertools

import pytest
import torch
from torch.utils.data import Dataset

from ldr2hdr.data.tasks.mixing import MixedTasks
from ldr2hdr.tasks import Shots, Task


class Numbered(Dataset):
    """Task ``i`` of data set ``name`` is by the camera ``name`` of the place ``i``."""

    def __init__(self, name):
        self.name = name

    def __getitem__(self, index):
        shots = Shots(torch.ones(1, 3, 1, 1), torch.ones(1, 3, 1, 1))
        return Task(shots, shots, (str(index),), (str(index),), self.name)


def mix(**weights):
    return MixedTasks({name: Numbered(name) for name in weights}, {k: float(w) for k, w in weights.items()})


def name_and_number(task):
    return task.camera, int(task.support_places[0])


@pytest.mark.parametrize("weights", [{"a": 1}, {"a": 1, "b": 3}, {"a": 0.2, "b": 0.35, "c": 0.45}, {"a": 1, "b": 998}])
def test_shares_are_the_weights_at_any_time(weights):
    tasks = mix(**weights)
    total = sum(weights.values())
    counts = dict.fromkeys(weights, 0)
    for index in range(2500):
        counts[tasks[index].camera] += 1
        assert all(abs(counts[key] - weight / total * (index + 1)) < 2 for key, weight in weights.items())


def test_each_data_set_gives_its_tasks_in_order_and_leaves_none_out():
    tasks = mix(a=1, b=2.5, c=0.3)
    given = {
        name: [index for _, index in group] for name, group in _by_name(name_and_number(tasks[i]) for i in range(3210))
    }
    assert all(indices == list(range(len(indices))) for indices in given.values())


def _by_name(items):
    return itertools.groupby(sorted(items), key=lambda item: item[0])


def test_a_task_is_a_function_of_the_index_alone():
    tasks = mix(a=1, b=2)
    backwards = [name_and_number(tasks[index]) for index in reversed(range(50))]
    assert backwards[::-1] == [name_and_number(mix(a=1, b=2)[index]) for index in range(50)]


def test_without_weights_all_take_turns():
    tasks = MixedTasks({"a": Numbered("a"), "b": Numbered("b")})
    assert [name_and_number(tasks[index]) for index in range(4)] == [("a", 0), ("b", 0), ("a", 1), ("b", 1)]


@pytest.mark.parametrize(
    ("names", "weights", "message"),
    [
        ("", None, "dataset must name at least one data set"),
        ("ab", {"a": 1.0}, "dataset.weights must be a positive number for each data set, a, b, got"),
        ("a", {"a": 1.0, "b": 1.0}, "for each data set, a, got"),
        ("ab", {"a": 1.0, "b": 0.0}, "leave a data set out by not naming it"),
        ("ab", {"a": 1.0, "b": 1e-5}, "must be at least a 1000th of their sum"),
    ],
)
def test_what_is_no_mixture_is_refused(names, weights, message):
    with pytest.raises(ValueError, match=message):
        MixedTasks({name: Numbered(name) for name in names}, weights)
