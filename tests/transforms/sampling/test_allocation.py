"""Sizes and allocations against the worked example of Olofsson et al. 2014, and as properties."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from stook.models.errors import InputError
from stook.transforms.choices import Allocation
from stook.transforms.sampling.allocation import allocated, expected_error, size_for, weights_of

# Section 5.1.1 of the paper: mapped shares and the user's accuracies that are expected.
SHARES = np.array([0.020, 0.015, 0.320, 0.645])
SPREADS = np.sqrt(np.array([0.70, 0.60, 0.90, 0.95]) * (1 - np.array([0.70, 0.60, 0.90, 0.95])))
PUBLISHED = 641
KINDS: list[Allocation] = ["proportional", "equal", "neyman"]

weights = st.lists(st.floats(1e-9, 1e3), min_size=1, max_size=12).map(np.array)


def test_the_worked_example_needs_as_many_points_as_the_paper_says() -> None:
    assert size_for("neyman", SHARES, SPREADS, 0.01, fewest=2) == PUBLISHED


def test_the_worked_example_in_proportion() -> None:
    counts = allocated(weights_of("proportional", SHARES, SPREADS), PUBLISHED, 2)
    np.testing.assert_array_equal(counts, [13, 10, 205, 413])  # as the paper has them


def test_the_worked_example_in_equal_parts() -> None:
    np.testing.assert_array_equal(allocated(weights_of("equal", SHARES, SPREADS), PUBLISHED, 2), [161, 160, 160, 160])


@given(weights, st.integers(0, 5_000), st.integers(2, 60))
def test_points_add_up_to_the_budget_and_no_stratum_has_too_few(given_: np.ndarray, more: int, fewest: int) -> None:
    points = fewest * len(given_) + more
    counts = allocated(given_, points, fewest)
    assert counts.sum() == points
    assert counts.min() >= fewest
    free = counts > fewest
    if free.any():  # those above the floor share what the others leave, to the next whole point
        left = points - counts[~free].sum()
        assert (np.abs(counts[free] - left * given_[free] / given_[free].sum()) < 1 + free.sum()).all()


@given(weights, st.integers(0, 500), st.integers(2, 60))
def test_greater_weights_never_get_fewer_points(given_: np.ndarray, more: int, fewest: int) -> None:
    order = np.argsort(given_)
    assert (np.diff(allocated(given_, fewest * len(given_) + more, fewest)[order]) >= -1).all()


@given(st.lists(st.integers(1, 50), min_size=1, max_size=9).map(np.array), st.integers(1, 9))
def test_quotas_that_are_whole_are_kept(quotas: np.ndarray, times: int) -> None:
    assume(times * quotas.min() >= 2)
    np.testing.assert_array_equal(allocated(quotas / 7.0, int(times * quotas.sum()), 2), times * quotas)


def test_a_rare_stratum_gets_the_floor_and_the_others_pay_for_it() -> None:
    np.testing.assert_array_equal(allocated(np.array([0.001, 0.5, 0.499]), 1001, 50), [50, 476, 475])


def test_a_floor_that_makes_another_stratum_too_small_is_paid_by_the_rest() -> None:
    np.testing.assert_array_equal(allocated(np.array([0.01, 0.33, 0.66]), 150, 49), [49, 49, 52])


def test_a_budget_that_is_too_small_is_refused_with_what_is_needed() -> None:
    with pytest.raises(InputError, match=r"sample\.points: 149, but 3 strata with at least 50 points each .* need 150"):
        allocated(np.ones(3), 149, 50)


@pytest.mark.parametrize("kind", KINDS)
@given(st.lists(st.tuples(st.floats(1e-6, 1), st.floats(0.05, 0.5)), min_size=1, max_size=8), st.floats(0.005, 0.1))
def test_the_size_reaches_the_standard_error_that_was_asked_for(
    kind: Allocation, strata: list[tuple[float, float]], target: float
) -> None:
    shares, spreads = np.array(strata).T
    shares = shares / shares.sum()
    size = size_for(kind, shares, spreads, target, fewest=10)
    counts = allocated(weights_of(kind, shares, spreads), size, 10)
    assert expected_error(shares, spreads, counts) <= target


@pytest.mark.parametrize("kind", KINDS)
def test_the_size_is_not_larger_than_it_has_to_be(kind: Allocation) -> None:
    size = size_for(kind, SHARES, SPREADS, 0.005, fewest=2)
    fewer = allocated(weights_of(kind, SHARES, SPREADS), round(size * 0.99), 2)
    assert expected_error(SHARES, SPREADS, fewer) > 0.005


def test_no_other_allocation_expects_a_smaller_error_than_neyman() -> None:
    errors = {
        kind: expected_error(SHARES, SPREADS, allocated(weights_of(kind, SHARES, SPREADS), 2_000, 2)) for kind in KINDS
    }
    assert errors["neyman"] < errors["proportional"] < errors["equal"]


def test_the_expected_error_is_what_drawing_gives() -> None:
    rng = np.random.default_rng(3)
    truth, counts = np.array([0.7, 0.4, 0.1, 0.05]), np.array([40, 30, 200, 300])
    estimates = (rng.binomial(counts, truth, (20_000, 4)) / counts) @ SHARES
    expected = expected_error(SHARES, np.sqrt(truth * (1 - truth)), counts)
    assert estimates.std() == pytest.approx(expected, rel=0.03)


def test_a_standard_error_that_needs_too_many_points_is_refused() -> None:
    with pytest.raises(InputError, match=r"standard_error_percent: 0\.01 would need more than 1,000,000 points"):
        size_for("neyman", np.ones(1), np.array([0.5]), 0.0001, 2)
