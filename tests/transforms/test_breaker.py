"""A host that is down is asked patiently once, and a single broken link does not make it so."""

import threading
import time

import pytest

from stook.models.errors import TileError, UnreachableError
from stook.transforms.backoff import BackOff, PassingError
from stook.transforms.breaker import Breaker, breaker_of, host_of, patiently

QUICK = BackOff(attempts=3, first_wait_s=0.01, longest_wait_s=0.02)


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def breaker(clock: Clock) -> Breaker:
    return Breaker("https://archive", clock)


def give_up(breaker: Breaker, since: float, pause_s: float = 60) -> None:
    breaker.failed("HTTP 503", since, pause_s, last=True)


def test_failures_that_are_tried_again_leave_it_closed(breaker: Breaker, clock: Clock) -> None:
    for _ in range(100):
        breaker.failed("HTTP 503", clock.now, 60, last=False)
    breaker.require()
    assert not breaker.is_down


def test_a_request_given_up_opens_it_for_all(breaker: Breaker, clock: Clock) -> None:
    give_up(breaker, clock.now)
    with pytest.raises(UnreachableError, match="https://archive is down, it is not asked again for now: HTTP 503"):
        breaker.require()


def test_an_answer_in_between_shows_that_only_the_link_is_broken(breaker: Breaker, clock: Clock) -> None:
    since = clock.now
    clock.now += 5
    breaker.answered()
    give_up(breaker, since)
    breaker.require()
    assert not breaker.is_down


def test_after_the_pause_one_is_let_through_and_its_failure_closes_the_way(breaker: Breaker, clock: Clock) -> None:
    give_up(breaker, clock.now)
    clock.now += 61
    breaker.require()
    with pytest.raises(UnreachableError):
        breaker.require()
    breaker.failed("HTTP 503", clock.now, 60, last=False)
    clock.now += 59
    with pytest.raises(UnreachableError):
        breaker.require()


def test_an_answer_to_the_one_opens_the_way_for_all(breaker: Breaker, clock: Clock) -> None:
    give_up(breaker, clock.now)
    clock.now += 61
    breaker.require()
    breaker.answered()
    assert not breaker.is_down
    for _ in range(2):
        breaker.require()


def test_those_that_wait_are_woken_when_it_opens(clock: Clock) -> None:
    breaker = Breaker("https://archive")
    waited: list[float] = []

    def wait() -> None:
        start = time.monotonic()
        breaker.sleep(30)
        waited.append(time.monotonic() - start)

    threads = [threading.Thread(target=wait) for _ in range(4)]
    for thread in threads:
        thread.start()
    time.sleep(0.05)
    give_up(breaker, breaker.clock())
    for thread in threads:
        thread.join(5)
    assert len(waited) == 4 and max(waited) < 5


def test_a_thousand_requests_of_a_host_that_is_down_cost_one_patience() -> None:
    calls = []

    def refuse(attempt: int) -> None:
        calls.append(attempt)
        raise PassingError("HTTP 503")

    # waits of the first attempts stay short, the pause is long
    for _ in range(1000):
        with pytest.raises(UnreachableError):
            patiently("https://down.example/x", BackOff(3, 0.001, 30.0, 1.0), refuse)
    assert calls == [1, 2, 3]


def test_what_is_missing_is_an_answer() -> None:
    def missing(attempt: int) -> None:
        raise TileError("missing")

    for _ in range(5):
        with pytest.raises(TileError):
            patiently("https://up.example/x", QUICK, missing)
    assert not breaker_of("https://up.example").is_down


def test_a_refusal_that_waiting_does_not_change_is_not_tried_again_and_does_not_open_it() -> None:
    calls = []

    def refuse(attempt: int) -> None:
        calls.append(attempt)
        raise UnreachableError("HTTP 403")

    with pytest.raises(UnreachableError, match="HTTP 403"):
        patiently("https://private.example/x", QUICK, refuse)
    assert calls == [1] and not breaker_of("https://private.example").is_down


def test_hosts_are_told_apart_by_scheme_port_and_bucket() -> None:
    assert host_of("https://user:word@a.example:8080/x?y=1") == "https://a.example:8080"
    assert host_of("gs://bucket/x") == "gs://bucket"
    assert host_of("/data/x.tif") == "this machine"


def test_a_host_that_refuses_is_asked_more_slowly_until_it_answers(breaker: Breaker, clock: Clock) -> None:
    assert breaker.turn_s() == breaker.turn_s() == 0
    breaker.refused(None)
    breaker.refused(None)  # of the same moment
    breaker.turn_s()
    assert breaker.turn_s() == pytest.approx(0.02)
    clock.now += 2
    breaker.refused(None)
    breaker.turn_s()
    assert breaker.turn_s() == pytest.approx(0.04)
    for _ in range(100):
        breaker.answered()
    clock.now += 2
    assert breaker.turn_s() == breaker.turn_s() == 0


def test_nobody_asks_before_the_time_that_a_host_names(breaker: Breaker, clock: Clock) -> None:
    breaker.refused(5.0)
    assert breaker.turn_s() == pytest.approx(5.0)
    assert breaker.turn_s() == pytest.approx(5.02)
