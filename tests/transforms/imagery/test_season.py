"""Months of a season relative to its harvest year."""

from hypothesis import given
from hypothesis import strategies as st

from stook.transforms.imagery.season import Period, Season, Window


def test_a_window_that_starts_the_year_before_ends_in_the_harvest_year() -> None:
    periods = Window(start_month=11, start_year=-1, months=12).periods(2019)
    assert (periods[0], periods[-1]) == (Period.of_month(2018, 11), Period.of_month(2019, 10))


@given(st.integers(2015, 2040), st.integers(1, 12), st.integers(-1, 1), st.integers(1, 24))
def test_periods_follow_each_other_without_gap_or_overlap(year: int, month: int, offset: int, months: int) -> None:
    periods = Window(month, offset, months).periods(year)
    assert len(periods) == months
    assert all(before.end == after.start for before, after in zip(periods, periods[1:], strict=False))


def test_a_season_is_called_by_its_name_and_harvest_year() -> None:
    assert str(Season("long-rains", 2019)) == "long-rains-2019"
