"""What the local stage looks at."""

import pytest
import torch

from ldr2hdr.response.features import (
    NUM_LOCAL,
    NUM_WHITE,
    extract_features,
    hats,
    level_to_tone,
    local_mean,
    split_folds,
    surroundings_of,
    tone_to_level,
)


@pytest.mark.parametrize(("height", "width"), [(32, 32), (7, 19), (1, 1), (2, 50)])
def test_every_feature_has_the_picture_s_shape_and_is_bounded(
    height: int, width: int, generator: torch.Generator
) -> None:
    ldr = torch.rand(2, 3, height, width, generator=generator).round(decimals=1)
    features = extract_features(ldr)
    assert (len(features.local), len(features.white)) == (NUM_LOCAL, NUM_WHITE)
    for feature in (features.tone, features.whiteness, *features.local, *features.white):
        assert feature.shape == ldr.shape
        assert feature.abs().max() <= 1


def test_tone_and_level_are_inverse() -> None:
    levels = torch.linspace(0, 1, 256, dtype=torch.float64)
    torch.testing.assert_close(tone_to_level(level_to_tone(levels)), levels, atol=1e-12, rtol=0)


def test_hats_interpolate_linearly(generator: torch.Generator) -> None:
    tone = torch.rand(1, 3, 8, 8, generator=generator, dtype=torch.float64)
    weights = hats(tone * 6, 7)
    torch.testing.assert_close(weights.sum(dim=-1), torch.ones_like(tone))
    torch.testing.assert_close(weights @ torch.arange(7).double() / 6, tone, atol=1e-12, rtol=0)


def test_local_mean_of_one_cell_is_the_mean_and_of_many_the_picture(generator: torch.Generator) -> None:
    field = torch.rand(2, 3, 6, 10, generator=generator, dtype=torch.float64)
    mean = field.mean(dim=(2, 3), keepdim=True).expand_as(field)
    torch.testing.assert_close(local_mean(field, 1), mean)
    torch.testing.assert_close(local_mean(field, 16), field)


@pytest.mark.parametrize(("height", "width"), [(1, 1), (2, 50), (33, 7), (64, 48), (101, 97)])
def test_a_part_has_the_features_that_it_has_in_the_whole(height: int, width: int, generator: torch.Generator) -> None:
    ldr = torch.rand(2, 3, height, width, generator=generator, dtype=torch.float64).mul(1.2).clamp(max=1)
    whole = extract_features(ldr)
    for rows_per_strip in (1, 5, 200):
        surroundings = surroundings_of(ldr.split(rows_per_strip, dim=2), (height, width))
        top, left = (int(torch.randint(side, (), generator=generator)) for side in (height, width))
        window = (slice(top, top + 40), slice(left, left + 40))
        part = extract_features(ldr[:, :, *window], surroundings, window=window)
        for name, one, other in zip(whole._fields, part, whole, strict=True):
            for feature, expected in zip(one, other, strict=True) if isinstance(one, tuple) else [(one, other)]:
                torch.testing.assert_close(feature, expected[:, :, *window], atol=1e-12, rtol=0, msg=name)


def test_features_do_not_depend_on_resolution() -> None:
    coarse = torch.linspace(0, 0.9, 3 * 48 * 48).view(1, 3, 48, 48)
    fine = coarse.repeat_interleave(4, dim=2).repeat_interleave(4, dim=3)
    small, large = extract_features(coarse), extract_features(fine)
    for one, other in zip(small.local + small.white, large.local + large.white, strict=True):
        torch.testing.assert_close(other[..., 2::4, 2::4], one, atol=0.05, rtol=0)


def test_what_shows_white_beside_is_told_apart() -> None:
    ldr = torch.tensor([1.0, 1.0, 0.5]).view(1, 3, 1, 1)
    *_, green_white, green_tone, blue_white, blue_tone, all_white = (
        f[0, 0].item() for f in extract_features(ldr).white
    )
    assert (green_white, green_tone, blue_white, all_white) == (1, 0, 0, 0)
    assert blue_tone == pytest.approx(level_to_tone(torch.tensor(0.5)).item() - 1)


@pytest.mark.parametrize(("count", "sizes"), [(3, [20, 20, 20]), (1, [8, 12])])
def test_folds_are_pictures_or_halves(count: int, sizes: list[int]) -> None:
    pixels = torch.arange(count * 4 * 5).view(count, 1, 4, 5).expand(-1, 3, -1, -1)
    parts = [pixels[fold.pictures, 0, :, fold.columns].flatten() for fold in split_folds(pixels.float())]
    assert [len(part) for part in parts] == sizes
    assert torch.cat(parts).sort().values.tolist() == list(range(count * 4 * 5))


def test_only_bright_and_equal_channels_look_like_clipped_white() -> None:
    pixels = torch.tensor([[1.0, 1.0, 1.0], [0.8, 0.8, 0.8], [0.8, 0.8, 0.7], [0.2, 0.2, 0.2]])
    likeness = extract_features(pixels.view(4, 3, 1, 1)).local[-1][:, 0, 0, 0]
    assert likeness[0] == 1
    assert likeness[0] > likeness[1] > likeness[2] == likeness[3] == 0
