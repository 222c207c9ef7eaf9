from typing import NamedTuple

import pytest
import torch
from torch import Tensor

from ldr2hdr.tasks import Shots, Task, TaskBatch, collate, named_tensors, with_tensors


def make_shots(*shape):
    generator = torch.Generator().manual_seed(sum(shape))
    return Shots(torch.rand(shape, generator=generator), torch.rand(shape, generator=generator) * 4)


def make_task(camera="a", size=5):
    return Task(
        support=make_shots(2, 3, 4, size),
        query=make_shots(1, 3, 4, size),
        support_places=("park", "hall"),
        query_places=("street",),
        camera=camera,
    )


@pytest.mark.parametrize(
    ("ldr", "exposure"),
    [
        ((2, 3, 4, 5), (2, 3, 4, 6)),  # shapes that differ
        ((3, 4, 5), (3, 4, 5)),  # one picture without a shot axis
        ((2, 1, 4, 5), (2, 1, 4, 5)),  # not colour
    ],
)
def test_shots_that_are_not_pairs_of_pictures_are_refused(ldr, exposure):
    # jaxtyping's own check, when on, comes first and is of another type
    with pytest.raises(Exception, match=r"shots must pair pictures|Type-check error"):
        Shots(torch.zeros(ldr), torch.zeros(exposure))


def test_length_counts_shots_under_any_leading_axes():
    assert len(make_shots(2, 3, 4, 5)) == 2
    assert len(make_shots(7, 2, 3, 4, 5)) == 2


def test_collate_stacks_and_shots_take_apart():
    tasks = [make_task("a"), make_task("b")]
    batch = collate(tasks)
    assert len(batch) == 2
    assert batch.cameras == ("a", "b")
    assert batch.query_places == (("street",), ("street",))
    assert batch.support.ldr.shape == (2, 2, 3, 4, 5)
    support, query = batch.shots(1)
    torch.testing.assert_close(support.exposure, tasks[1].support.exposure, rtol=0, atol=0)
    torch.testing.assert_close(query.ldr, tasks[1].query.ldr, rtol=0, atol=0)


def test_a_batch_of_nothing_or_of_two_sizes_is_refused():
    with pytest.raises(ValueError, match="at least one task"):
        collate([])
    with pytest.raises(RuntimeError, match="equal size"):
        collate([make_task(size=5), make_task(size=6)])


@pytest.mark.parametrize(
    ("support", "query", "places", "cameras"),
    [
        ((2, 3, 4, 5), (2, 1, 3, 4, 5), 2, 2),  # support without a task axis
        ((2, 2, 3, 4, 5), (1, 3, 4, 5), 2, 2),  # query without a task axis
        ((2, 2, 3, 4, 5), (3, 1, 3, 4, 5), 2, 2),  # another number of tasks
        ((2, 2, 3, 4, 5), (2, 1, 3, 4, 5), 1, 2),  # places missing
        ((2, 2, 3, 4, 5), (2, 1, 3, 4, 5), 2, 1),  # cameras missing
    ],
)
def test_a_batch_whose_parts_disagree_is_refused(support, query, places, cameras):
    with pytest.raises(ValueError, match="one name per task"):
        TaskBatch(make_shots(*support), make_shots(*query), (("x",),) * places, ("c",) * cameras)


def test_to_moves_every_tensor_and_keeps_the_names():
    batch = collate([make_task()])
    moved = batch.to("meta")
    tensors = (moved.support.ldr, moved.support.exposure, moved.query.ldr, moved.query.exposure)
    assert all(tensor.device.type == "meta" for tensor in tensors)
    assert moved.cameras == batch.cameras
    assert moved.query_places == batch.query_places
    assert batch.support.ldr.device.type == "cpu"


class Pair(NamedTuple):
    first: object
    second: object


def test_names_follow_the_fields() -> None:
    one, two = torch.ones(2), torch.zeros(3)
    named = named_tensors(Pair(one, Pair(two, None)))
    assert {name: tensor.tolist() for name, tensor in named.items()} == {"first": [1, 1], "second.first": [0, 0, 0]}
    pictures = torch.zeros(1, 3, 2, 2)
    assert set(named_tensors(Pair(one, Shots(pictures, pictures)))) == {"first", "second.ldr", "second.exposure"}
    assert named_tensors(None) == {}
    assert list(named_tensors(one)) == ["value"]


def test_a_field_called_value_adds_nothing_to_the_name() -> None:
    """So that the statistics of a stage, once a tensor, are named in old profiles as they are now."""
    value = NamedTuple("Single", [("value", Tensor)])(torch.ones(1))
    assert list(named_tensors(value)) == ["value"]
    assert list(named_tensors(Pair(value, None))) == ["first"]
    again = with_tensors(Pair(value, None), {"first": torch.zeros(1)})
    assert again.first.value == 0


def test_nothing_but_tensors_is_stored() -> None:
    with pytest.raises(TypeError, match="expected tensors and NamedTuples of them, got dict"):
        named_tensors(Pair(torch.ones(1), {"a": torch.ones(1)}))
