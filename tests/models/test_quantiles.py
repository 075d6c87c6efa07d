"""Quantiles rise, are learnt together, and intervals cover what they promise."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from stook.models.choices import DEFAULT_QUANTILES
from stook.models.errors import InputError
from stook.models.quantiles import Conformal, QuantileHead, coverage, pinball, quantile_loss, r2


def test_quantiles_cannot_cross_whatever_the_weights() -> None:
    torch.manual_seed(0)
    head = QuantileHead(8).eval()
    for parameter in head.parameters():
        torch.nn.init.normal_(parameter, std=20.0)
    predicted = head(torch.randn(500, 8) * 10)
    assert (predicted[:, :-1].diff(dim=1) >= 0).all()


@pytest.mark.parametrize("quantiles", [(0.5, 0.25, 0.75), (0.1, 0.5, 0.8), (0.05, 0.95), (0.0, 0.5, 1.0)])
def test_quantiles_that_make_no_intervals_are_refused(quantiles: tuple[float, ...]) -> None:
    with pytest.raises(InputError, match="allowed are rising ones"):
        QuantileHead(8, quantiles)


def test_the_pinball_loss_is_least_at_the_quantile() -> None:
    target = torch.arange(1000.0)
    losses = [float(pinball(torch.full((1000, 1), float(value)), target, (0.9,))) for value in range(0, 1000, 10)]
    assert 10 * int(np.argmin(losses)) == pytest.approx(900, abs=10)


def test_all_nodes_are_learnt_together() -> None:
    torch.manual_seed(0)
    random = np.random.default_rng(0)
    x = torch.as_tensor(random.uniform(0, 1, (1500, 1)), dtype=torch.float32)
    y = x[:, 0] * torch.as_tensor(random.uniform(0, 1, 1500), dtype=torch.float32)  # quantile q of y at x is q x
    head = QuantileHead(1, dropout=0.0)
    optimizer = torch.optim.Adam(head.parameters(), 1e-2)
    for _ in range(400):
        optimizer.zero_grad()
        quantile_loss(head(x), y, head.quantiles).backward()
        optimizer.step()
    found = head.eval()(torch.tensor([[0.8]]))[0].detach().numpy()
    assert np.allclose(found[:-1], 0.8 * np.array(DEFAULT_QUANTILES), atol=0.06)
    assert found[-1] == pytest.approx(0.4, abs=0.03), "the mean of what lies evenly between 0 and x"


@pytest.mark.slow
def test_the_mean_knows_what_is_beyond_every_quantile() -> None:
    torch.manual_seed(0)
    x, y = torch.ones(400, 1), (torch.arange(400) % 40 == 0).float()  # one in forty: every quantile is 0
    head = QuantileHead(1, dropout=0.0)
    optimizer = torch.optim.Adam(head.parameters(), 1e-2)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, total_iters=800)
    for _ in range(800):
        optimizer.zero_grad()
        quantile_loss(head(x), y, head.quantiles).backward()
        optimizer.step()
        schedule.step()
    found = head.eval()(x[:1])[0].detach().numpy()
    assert np.abs(found[:-1]).max() < 0.05
    assert found[-1] == pytest.approx(1 / 40, abs=0.002)


def test_the_mean_does_not_teach_the_encoder() -> None:
    head, features = QuantileHead(4), torch.randn(10, 4, requires_grad=True)
    head(features)[:, -1].sum().backward()
    assert features.grad is None or not features.grad.any()


def test_intervals_that_are_too_narrow_are_widened_to_what_they_promise() -> None:
    random = np.random.default_rng(0)
    target = random.normal(0.5, 0.1, 4000)
    predicted = np.tile([0.48, 0.49, 0.5, 0.51, 0.52], (4000, 1))
    fitted = Conformal.fit(predicted[:2000], target[:2000], DEFAULT_QUANTILES)
    moved = fitted.apply(torch.as_tensor(predicted)).numpy()
    assert coverage(predicted, target) < 0.2
    assert coverage(moved[2000:], target[2000:]) == pytest.approx(0.9, abs=0.02)
    inner = moved[2000:, [1, 3]]
    assert coverage(inner, target[2000:]) == pytest.approx(0.5, abs=0.04)
    assert fitted.shifts[2] == 0


@given(st.lists(st.floats(-0.3, 0.3), min_size=2, max_size=2), st.integers(0, 10_000))
def test_shifted_quantiles_still_rise_and_are_fractions(by: list[float], seed: int) -> None:
    random = np.random.default_rng(seed)
    predicted = torch.as_tensor(np.sort(random.normal(0.4, 0.5, (50, 5)), axis=1))
    moved = Conformal(DEFAULT_QUANTILES, (-by[0], -by[1], 0.0, by[1], by[0])).apply(predicted)
    assert (moved.diff(dim=1) >= 0).all()
    assert moved.min() >= 0 and moved.max() <= 1
    assert torch.allclose(moved[:, 2], predicted[:, 2].clamp(0, 1))


def test_r2_is_one_for_the_truth_and_nothing_for_the_mean() -> None:
    target = np.array([0.1, 0.5, 0.9])
    assert r2(target, target) == 1
    assert r2(np.full(3, 0.5), target) == 0
