"""Held-out errors against the leave-one-out formula of least squares, and shares where the answer is known."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from networks import batch, reconstructor, shots
from test_engines import make
from torch import Tensor, nn

from ldr2hdr.inference import tiling
from ldr2hdr.inference.tiling import reconstruct_bands
from ldr2hdr.meta.alpaca import BayesianHead
from ldr2hdr.meta.held_out import held_out_errors, leave_out, shares_of
from ldr2hdr.radiometry import LOG_OFFSET
from ldr2hdr.response.local import LocalRidgeResponse
from ldr2hdr.response.ridge import InverseGammaResponse, RidgeResponse
from ldr2hdr.tasks import Shots

KINDS = [shots(1), shots(1, count=1), shots(2, count=3)]
FLOOR = 1e-4


def rows(pictures: Tensor) -> Tensor:
    """A one, and two functions of the level, for least squares of log light."""
    return torch.stack([torch.ones_like(pictures), pictures, pictures**2], dim=-1).flatten(0, -2)


def log_light(exposure: Tensor) -> Tensor:
    return torch.log(exposure + LOG_OFFSET)


def least_squares(kept: Shots, ldr: Tensor) -> list[Tensor]:
    weights = torch.linalg.lstsq(rows(kept.ldr), log_light(kept.exposure).flatten()[:, None]).solution
    fitted = (rows(ldr) @ weights).view(ldr.shape)
    return [fitted.exp() - LOG_OFFSET, (fitted + 0.3).exp() - LOG_OFFSET]


@pytest.mark.parametrize("support", [shots(1, count=2), shots(1, count=5)])
def test_errors_are_those_of_the_leave_one_out_formula(support: Shots) -> None:
    """Cook: what a fit misses of rows that it has not seen is (I - H)^-1 times what it misses of them when it has."""
    noise = 0.2 * torch.randn(support.ldr.shape, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    support = Shots(support.ldr, 0.4 * support.exposure * noise.exp())
    design, target = rows(support.ldr).numpy(), log_light(support.exposure).flatten().numpy()
    hat = design @ np.linalg.pinv(design)
    missed = (target - hat @ target).reshape(len(support), -1)
    size = missed.shape[1]
    unseen = []
    for number, residual in enumerate(missed):
        own = slice(number * size, (number + 1) * size)
        unseen.append(np.linalg.solve(np.eye(size) - hat[own, own], residual))
    expected = [np.mean(np.square(unseen)), np.mean(np.square(np.array(unseen) - 0.3))]
    np.testing.assert_allclose(held_out_errors(least_squares, support), np.add(expected, FLOOR), rtol=1e-8)


def test_each_picture_is_left_out_once_and_of_a_single_one_each_half() -> None:
    support = shots(1, count=3)
    parts = list(leave_out(support))
    assert [part.judged.ldr.equal(support.ldr[number : number + 1]) for number, part in enumerate(parts)] == [True] * 3
    assert all(len(part.kept) == 2 for part in parts)
    assert parts[1].kept.exposure.equal(support.exposure[[0, 2]])
    single = shots(1, count=1, crop_px=7)
    for part in leave_out(single):
        seen = torch.cat([part.kept.ldr, part.judged.ldr[..., part.columns]], dim=3)
        assert seen.sort(dim=3).values.equal(single.ldr.sort(dim=3).values)


def test_what_explains_all_counts_alone_and_noise_counts_nothing() -> None:
    support = Shots(shots(1, count=3).ldr, 0.5 * shots(1, count=3).ldr ** 1.7)

    def fits(kept: Shots, ldr: Tensor) -> list[Tensor]:
        noise = torch.randn(ldr.shape, generator=torch.Generator().manual_seed(3), dtype=ldr.dtype)
        return [0.5 * ldr**1.7, 0.5 * ldr**1.7 * noise.exp()]

    shares = shares_of(held_out_errors(fits, support))
    assert shares[0] > 0.999
    assert shares.sum().item() == pytest.approx(1, abs=1e-12)


def test_fits_that_are_the_same_count_the_same_and_lamps_do_not_speak() -> None:
    support = shots(1)
    lamp = Shots(support.ldr, torch.where(support.ldr > 0.9, 1e6, support.exposure))
    shares = shares_of(held_out_errors(lambda _, ldr: [ldr, ldr], lamp))
    torch.testing.assert_close(shares, torch.full((2,), 0.5, dtype=torch.float64))
    assert held_out_errors(lambda _, ldr: [ldr], lamp).item() < 1.5**2 + FLOOR


class Curve(nn.Module):
    """Closed form that knows the camera of `networks.shots(1)`, or a factor of it."""

    def __init__(self, factor: float = 1.0) -> None:
        super().__init__()
        self.factor = factor

    def sufficient_statistics(self, support: Shots) -> None:
        return None

    def forward(self, ldr: Tensor, statistics: None) -> Tensor:
        return self.factor * (1.3 * ldr**2 + 0.01)


def head(beside: nn.Module | None, *, backbone: str = "unet", norm: str = "pixel") -> BayesianHead:
    """A regression whose prior is not that of a correction of nothing."""
    torch.manual_seed(2)
    settings = {"num_priors": 2, "prior_deviation": 0.2, "drift_deviation": 0.07, "pixels": 30.0, "trust": 0.1}
    return BayesianHead(reconstructor(backbone, "ridge", norm=norm), beside=beside, **settings).double().eval()


@torch.no_grad()
@pytest.mark.parametrize("count", [1, 2, 4])
def test_what_tells_all_is_answered_and_what_is_far_off_is_not(count: int) -> None:
    support, query = shots(1, count=count), shots(1, count=4)
    logs = [
        log_light(model(query.ldr, model.sufficient_statistics(support)).as_subclass(Tensor))
        for model in (head(None), head(Curve()), head(Curve(0.1)))
    ]
    learned, right = ((one - log_light(query.exposure)).square().mean().sqrt() for one in logs[:2])
    assert right < 0.15 * learned
    assert (logs[2] - logs[0]).abs().max() < 0.01


@torch.no_grad()
@pytest.mark.parametrize("support", KINDS)
def test_the_answer_is_the_average_and_its_variance_that_of_the_mixture(support: Shots) -> None:
    """Written out with what each fits to what is kept."""
    beside = LocalRidgeResponse().double()
    model, alone, query = head(beside), head(None), shots(3).ldr

    def fits(kept: Shots, ldr: Tensor) -> list[Tensor]:
        one = alone(ldr, alone.sufficient_statistics(kept)).as_subclass(Tensor)
        return [one, beside(ldr, beside.sufficient_statistics(kept))]

    errors = held_out_errors(fits, support).tolist()
    share = (1 / errors[0]) / (1 / errors[0] + 1 / errors[1])
    first, second = (log_light(one) for one in fits(support, query))
    statistics = model.sufficient_statistics(support)
    found = model.predict(query, statistics)
    expected = share * first + (1 - share) * second
    torch.testing.assert_close(log_light(model(query, statistics).as_subclass(Tensor)), expected)
    variances = (alone.predict(query, statistics).variance, errors[1])
    means = (first - expected, second - expected)
    variance = sum(w * (v + m**2) for w, v, m in zip((share, 1 - share), variances, means, strict=True))
    torch.testing.assert_close(found.variance, variance)


@torch.no_grad()
@pytest.mark.parametrize("support", KINDS)
def test_folding_keeps_the_average(support: Shots) -> None:
    model, query = head(LocalRidgeResponse()), shots(3).ldr
    statistics = model.sufficient_statistics(support)
    folded = model.fold(statistics)
    expected = model(query, statistics).as_subclass(Tensor)
    torch.testing.assert_close(folded.network(query, folded.statistics), expected, rtol=1e-9, atol=1e-12)
    bound = folded.network.bind(folded.statistics)
    prepared = bound.prepare([query], (8, 8))
    whole = (slice(0, 8), slice(0, 8))
    torch.testing.assert_close(bound.reconstruct(query, prepared=prepared, window=whole), expected)
    assert bound.float()(query.float()).dtype == torch.float32


@torch.no_grad()
@pytest.mark.parametrize("backbone", ["unet", "resnet"])
@pytest.mark.parametrize("beside", [LocalRidgeResponse, RidgeResponse])
def test_a_picture_is_cut_where_the_backbone_allows_it(beside: Callable[[], nn.Module], backbone: str) -> None:
    """Failed: averaged with a closed form, no network worked on tiles, and large photographs were refused."""
    model, picture = head(beside(), backbone=backbone), shots(3, 1, crop_px=70).ldr[..., :50]
    folded = model.fold(model.sufficient_statistics(shots(1)))
    bound = folded.network.bind(folded.statistics)
    assert bound.locality == bound.backbone.backbone.locality()
    bands = list(reconstruct_bands(bound, lambda *window: picture[0][:, *window], size=(70, 50), tile_px=16))
    assert len(bands) > 3
    torch.testing.assert_close(torch.cat(bands, dim=1)[None], bound(picture), rtol=1e-9, atol=1e-12)


@torch.no_grad()
def test_a_network_of_the_whole_picture_is_refused_by_its_own_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """Failed: the message named what averages, which has no norm to change."""
    model, picture = head(LocalRidgeResponse(), norm="group"), shots(3, 1).ldr[0]
    folded = model.fold(model.sufficient_statistics(shots(1)))
    monkeypatch.setattr(tiling, "_WHOLE_PX", 63)
    with pytest.raises(ValueError, match=r"UNet cannot work on tiles.*norm=pixel does not"):
        next(reconstruct_bands(folded.network.bind(folded.statistics), lambda *window: picture, size=(8, 8)))


@torch.no_grad()
def test_in_mixed_precision_closed_forms_run_in_full() -> None:
    """Failed: a table of 32 bits cannot be interpolated at positions of 16."""
    model, query = head(LocalRidgeResponse()).float(), shots(3).ldr.float()
    statistics = model.sufficient_statistics(Shots(*(part.float() for part in (shots(1).ldr, shots(1).exposure))))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        folded = model.fold(statistics)
        found = folded.network(query, folded.statistics)
    expected = model(query, statistics).as_subclass(Tensor)
    torch.testing.assert_close(found, expected, rtol=0.01, atol=1e-3)


def test_the_closed_form_is_no_part_of_the_state_and_moves_with_it() -> None:
    model = head(LocalRidgeResponse())
    assert model.state_dict().keys() == head(None).state_dict().keys()
    assert model.beside.curve_prior.dtype == torch.float64
    assert not any(parameter.requires_grad for parameter in model.beside.parameters())


def test_a_closed_form_that_is_handed_over_stays_as_it_was() -> None:
    """Failed: one that a network shares was frozen there too."""
    response = RidgeResponse()
    trained = [parameter for parameter in response.parameters() if parameter.requires_grad]
    head(response)
    assert trained
    assert all(parameter.requires_grad and parameter.dtype == torch.float32 for parameter in trained)


def test_without_support_nothing_is_averaged() -> None:
    query = shots(3).ldr
    assert head(InverseGammaResponse())(query).as_subclass(Tensor).equal(head(None)(query).as_subclass(Tensor))


def test_a_batch_outside_training_has_the_numbers_of_its_tasks() -> None:
    one_by_one, stacked = (make("alpaca", engine=engine).eval().outer_step(batch(3)) for engine in ("fast", "stacked"))
    torch.testing.assert_close(stacked.losses_after, one_by_one.losses_after, rtol=1e-9, atol=0)
    alone = make("alpaca").train().outer_step(batch(3))
    assert not torch.allclose(alone.losses_after, one_by_one.losses_after, rtol=1e-3)


def test_training_knows_the_regression_alone() -> None:
    query, support = shots(3).ldr, shots(1)
    models = [head(beside).train() for beside in (LocalRidgeResponse(), None)]
    found, expected = (model(query, model.sufficient_statistics(support)).as_subclass(Tensor) for model in models)
    assert found.equal(expected)
