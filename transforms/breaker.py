"""A circuit breaker per host: an archive that is down is asked patiently once, not once for every asset of every tile.

The state is a process's, shared by its threads. A host is called down when one request has used up all its attempts and
nothing of the host was answered meanwhile, so that a single broken link or a short refusal does not count. From then on
requests fail at once, and those that wait for their next attempt are woken; after a pause one is let through to see.

A host that refuses now and then is asked at a slower pace, by all threads together, until it no longer does; when it
says how long it wants to be left alone, nobody asks before.
"""

import threading
import time
from collections.abc import Callable
from functools import lru_cache
from typing import TypeVar
from urllib.parse import urlsplit

from stook.models.errors import StookError, UnreachableError
from stook.transforms.backoff import BackOff, PassingError

T = TypeVar("T")

FIRST_GAP_S, LONGEST_GAP_S = 0.02, 2.0  # between requests to a host that has refused one
SLOWER, FASTER = 2.0, 0.95  # what a refusal, and an answer, makes of the gap
SETTLING_S = 1.0  # refusals within it are of one moment


class Breaker:
    """What is known of one host.

    Args:
        host: For messages.
        clock: Seconds, ever growing.
    """

    def __init__(self, host: str, clock: Callable[[], float] = time.monotonic):
        self.host = host
        self.clock = clock
        self._changed = threading.Condition()
        self._answered_at = -float("inf")
        self._down_until: float | None = None
        self._probing = False
        self._reason = ""
        self._gap_s = 0.0
        self._next_at = self._slowed_at = -float("inf")

    @property
    def is_down(self) -> bool:
        """Whether requests fail at once, but for the one that is let through to see."""
        return self._down_until is not None

    def require(self) -> None:
        """Let a request through.

        Raises:
            UnreachableError: If the host is down and it is too early to ask again, or somebody is asking already.
        """
        with self._changed:
            if self._down_until is None:
                return
            if self._probing or self.clock() < self._down_until:
                raise UnreachableError(f"{self.host} is down, it is not asked again for now: {self._reason}")
            self._probing = True

    def turn_s(self) -> float:
        """Seconds to wait before the next request, whose turn it then is."""
        with self._changed:
            now = self.clock()
            turn = max(now, self._next_at)
            self._next_at = turn + self._gap_s
            return turn - now

    def refused(self, retry_after_s: float | None) -> None:
        """Note that the host refused a request but may answer the next: all are asked more slowly."""
        with self._changed:
            if self.clock() >= self._slowed_at + SETTLING_S:
                self._gap_s = min(max(self._gap_s * SLOWER, FIRST_GAP_S), LONGEST_GAP_S)
                self._slowed_at = self.clock()
            self._next_at = max(self._next_at, self.clock() + (retry_after_s or 0.0))

    def answered(self) -> None:
        """Note that the host works."""
        with self._changed:
            self._answered_at = self.clock()
            self._down_until, self._probing = None, False
            self._gap_s = self._gap_s * FASTER if self._gap_s > FIRST_GAP_S / 4 else 0.0

    def failed(self, reason: str, since: float, pause_s: float, last: bool) -> None:
        """Note that an attempt failed.

        Args:
            reason: Why, for messages.
            since: When the request's first attempt began.
            pause_s: For how long a host that is down is left alone.
            last: Whether the request is given up.
        """
        with self._changed:
            if self._probing or (last and self._answered_at < since):
                self._down_until, self._probing, self._reason = self.clock() + pause_s, False, reason
                self._changed.notify_all()

    def sleep(self, seconds: float) -> None:
        """Wait for the next attempt, or until the host is found to be down."""
        with self._changed:
            if seconds > 0 and self._down_until is None:
                self._changed.wait_for(lambda: self._down_until is not None, timeout=seconds)


@lru_cache(maxsize=256)
def breaker_of(host: str) -> Breaker:
    """The breaker of a host, one per process."""
    return Breaker(host)


def host_of(href: str) -> str:
    """Scheme, host and port of a link; of an object store, its bucket."""
    parts = urlsplit(href)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}" if parts.netloc else "this machine"


def patiently(href: str, backoff: BackOff, action: Callable[[int], T]) -> T:
    """What ``action`` returns, tried again while the host of ``href`` refuses.

    Args:
        href: What is asked for.
        backoff: How patiently; a host that is down is left alone for its longest wait.
        action: Given the number of the attempt, from 1; raises PassingError to be tried again.

    Raises:
        UnreachableError: If the host is down, or refuses after the last attempt.
    """
    breaker = breaker_of(host_of(href))
    try:
        return _tried(breaker, backoff, action)
    except PassingError as error:  # whoever asked for this on the way to something else must not start again
        raise UnreachableError(str(error)) from error


def _tried(breaker: Breaker, backoff: BackOff, action: Callable[[int], T]) -> T:
    since = breaker.clock()
    for attempt in backoff.retrying(breaker.sleep):
        with attempt:
            number = attempt.retry_state.attempt_number
            breaker.sleep(breaker.turn_s())
            breaker.require()
            try:
                result = action(number)
            except UnreachableError as error:
                final = not isinstance(error, PassingError)
                if isinstance(error, PassingError):
                    breaker.refused(backoff.asked_s(error))
                breaker.failed(str(error), since, backoff.longest_wait_s, last=number >= backoff.attempts and not final)
                raise
            except StookError:
                breaker.answered()  # what came was useless, but it came
                raise
            except BaseException:
                breaker.failed("a request was broken off", since, backoff.longest_wait_s, last=False)
                raise
            breaker.answered()
            return result
    raise RuntimeError("retrying ended without a result")  # unreachable: the last failure is raised
