"""How long one waits: longer each time, as long as the server asks, never longer than configured."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from stook.transforms.backoff import BackOff, PassingError, retry_after_s


def waits(backoff: BackOff, asked: float | None) -> list[float]:
    """The waits between the attempts of something that never succeeds."""
    slept: list[float] = []
    with pytest.raises(PassingError):
        for attempt in backoff.retrying(slept.append):
            with attempt:
                raise PassingError("HTTP 429", asked)
    return slept


def test_without_a_word_of_the_server_waits_grow_up_to_the_longest() -> None:
    slept = waits(BackOff(attempts=8, first_wait_s=1, longest_wait_s=10), None)
    assert len(slept) == 7 and all(1 <= wait <= 10 for wait in slept)
    assert slept[0] <= 2


@pytest.mark.parametrize(("asked", "least", "most"), [(7, 7, 9), (0, 0, 0.1), (3600, 60, 62)])
def test_a_server_that_says_when_to_come_back_is_obeyed_within_bounds(asked: float, least: float, most: float) -> None:
    slept = waits(BackOff(attempts=3), asked)
    assert len(slept) == 2 and all(least <= wait <= most for wait in slept)
    assert asked == 0 or slept[0] != slept[1], "not all at the same moment"


def test_retry_after_is_read_as_seconds_or_as_a_date() -> None:
    def after(text: str) -> float | None:
        return retry_after_s({"Retry-After": text})

    assert after("120") == 120
    date = datetime.now(UTC) + timedelta(seconds=90)
    assert after(format_datetime(date, usegmt=True)) == pytest.approx(90, abs=3)
    assert after("Sun, 06 Nov 1994 08:49:37 GMT") == 0
    assert after("soon") is None and after("-5") is None and retry_after_s({}) is None


def test_gdal_repeats_a_range_once_at_most() -> None:
    assert BackOff().gdal_options()["GDAL_HTTP_MAX_RETRY"] == "1"
    assert BackOff(attempts=1).gdal_options()["GDAL_HTTP_MAX_RETRY"] == "0"
