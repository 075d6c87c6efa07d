"""Reliability: what was predicted beside what turned out."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stook.models.errors import InputError
from stook.models.reliability import calibration_error, reliability, table


@given(st.lists(st.tuples(st.booleans(), st.floats(0, 1)), min_size=1, max_size=50), st.integers(1, 20))
def test_every_pixel_is_in_the_bin_of_its_probability(pixels: list[tuple[bool, float]], bins: int) -> None:
    labels, probability = (np.array(column) for column in zip(*pixels, strict=True))
    found = reliability(labels, probability, bins)
    assert sum(one.count for one in found) == len(labels)
    assert all(one.low - 1e-12 <= one.predicted <= one.high + 1e-12 and one.count for one in found)
    assert sum(one.observed * one.count for one in found) == pytest.approx(labels.sum())


def test_probabilities_that_mean_what_they_say_lie_on_the_diagonal() -> None:
    random = np.random.default_rng(0)
    probability = random.random(100_000)
    labels = random.random(100_000) < probability
    assert calibration_error(reliability(labels, probability)) < 0.01
    assert calibration_error(reliability(labels, np.sqrt(probability))) > 0.1


def test_the_table_names_bins_means_and_counts_and_draws_them() -> None:
    lines = table(reliability(np.array([True, False, True, True]), np.array([0.05, 0.05, 1.0, 0.96])))
    assert lines[2:] == [
        "| 0% to 10% | 5.0% | 50.0% | 2 | `█┃████████··········` |",
        "| 90% to 100% | 98.0% | 100.0% | 2 | `███████████████████┃` |",
    ]


def test_nothing_at_all_has_no_bins() -> None:
    assert reliability(np.zeros(0, bool), np.zeros(0)) == []


@pytest.mark.parametrize(
    ("probability", "bins", "reason"),
    [
        ([0.5, np.nan], 10, "not a number from 0 to 1"),
        ([0.5], 10, "as many"),
        ([0.1, 0.2], 0, "allowed are 1 and more"),
    ],
)
def test_what_is_no_probability_is_refused(probability: list[float], bins: int, reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        reliability(np.array([True, False]), np.array(probability), bins)
