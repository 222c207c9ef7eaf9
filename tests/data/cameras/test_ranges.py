import pytest
import torch

from ldr2hdr.data.cameras.ranges import Range, parse_interval, parse_range


def draws(range_, ranges, count=400):
    generator = torch.Generator().manual_seed(3)
    return torch.tensor([range_.draw(generator, ranges=ranges) for _ in range(count)], dtype=torch.float64)


def test_unseen_draws_use_every_interval_and_nothing_else():
    values = draws(parse_range({"seen": [1.8, 2.6], "unseen": [[1.3, 1.7], [2.7, 3.4]]}, "k"), "unseen")
    below, above = (values >= 1.3) & (values <= 1.7), (values >= 2.7) & (values <= 3.4)
    assert bool((below | above).all())
    assert 0.4 < below.double().mean().item() < 0.6


def test_uniform_loguniform_and_integer_have_their_medians():
    assert draws(parse_range({"seen": [1.0, 4.0]}, "k"), "seen").median().item() == pytest.approx(2.5, abs=0.2)
    loguniform = parse_range({"law": "loguniform", "seen": [1.0, 4.0]}, "k")
    assert draws(loguniform, "seen").median().item() == pytest.approx(2.0, abs=0.2)
    integer = draws(parse_range({"law": "integer", "seen": [3, 5]}, "k"), "seen")
    counts = [(integer == level).sum().item() / 400 for level in (3, 4, 5)]
    assert counts == pytest.approx([1 / 3] * 3, abs=0.08)


def test_normal_is_its_bulk_when_seen_and_its_tails_when_unseen():
    parsed = parse_range({"law": "normal", "mean": 0.9, "std": 0.1, "clip": [0.2, 2.5]}, "k")
    seen, unseen = draws(parsed, "seen", 2000), draws(parsed, "unseen")
    assert seen.mean().item() == pytest.approx(0.9, abs=0.01)
    # the standard deviation of a unit normal truncated at 2.5 is 0.9546
    assert seen.std().item() == pytest.approx(0.09546, abs=0.004)
    assert bool(((seen - 0.9).abs() <= 0.25 + 1e-9).all())
    assert bool(((unseen - 0.9).abs() >= 0.275 - 1e-9).all())


def test_clip_cuts_a_normal_law():
    parsed = parse_range({"law": "normal", "mean": 0.1, "std": 0.1, "clip": [0.0, 5.0]}, "k")
    assert parsed.seen[0] == 0.0
    assert [low > 0.1 for low, _ in parsed.unseen] == [True]


def test_number_is_a_constant_and_no_unseen_set_falls_back_to_seen():
    assert draws(parse_range(0.3, "k"), "unseen", 5).unique().tolist() == [0.3]


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"seen": [2.0, 1.0]}, r"stage\.key\.seen must be \[low, high\]"),
        ({"seen": [1.0]}, r"stage\.key\.seen must be"),
        ({"seen": [1.0, float("inf")]}, r"stage\.key needs finite intervals"),
        ({"seen": [1.0, 2.0], "unseen": [[1.9, 3.0]]}, r"stage\.key\.unseen must be outside"),
        ({"seen": [1.0, 2.0], "unseen": 3.0}, r"stage\.key\.unseen must be a list"),
        ({"seen": [1.0, 2.0], "unssen": [[3.0, 4.0]]}, r"stage\.key must have the keys .*unssen"),
        ({"seen": [0.0, 2.0], "law": "loguniform"}, r"stage\.key is loguniform"),
        ({"seen": [0.0, 2.0], "law": "cauchy"}, r"stage\.key\.law must be one of"),
        ({"law": "normal", "mean": 1.0}, r"stage\.key must have the keys"),
        ({"law": "normal", "mean": 1.0, "std": 0.0}, r"stage\.key"),
    ],
)
def test_bad_ranges_name_the_key(spec, message):
    with pytest.raises(ValueError, match=message):
        parse_range(spec, "stage.key")


def test_needed_unseen_set_is_demanded_by_name():
    with pytest.raises(ValueError, match=r"gains\.red needs unseen intervals"):
        parse_range({"seen": [0.7, 1.4]}, "gains.red", needs_unseen=True)


def test_a_number_is_kept_constant_where_an_unseen_set_is_needed():
    held = parse_range(2.2, "gamma.exponent", needs_unseen=True)
    assert draws(held, "seen", 5).unique().tolist() == draws(held, "unseen", 5).unique().tolist() == [2.2]


def test_range_checks_std_and_interval_checks_numbers():
    with pytest.raises(ValueError, match="std must be positive"):
        Range("k", seen=(0.0, 1.0), law="normal", std=0.0)
    with pytest.raises(ValueError, match="must be"):
        parse_interval("ab", "k")
