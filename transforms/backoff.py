"""Patience with archives: what is tried again, how often, and how long one waits."""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import tenacity

from stook.models.errors import UnreachableError

REFUSALS = (408, 425, 429, 500, 502, 503, 504)  # the server's state, not the request's fault: worth asking again


class PassingError(UnreachableError):
    """An archive that did not answer, but may if it is asked again.

    Attributes:
        retry_after_s: After how many seconds it wants to be asked again, where it says so.
        status: Of HTTP, 408 where it was silent for too long; None where there is none.
    """

    def __init__(self, message: str, retry_after_s: float | None = None, status: int | None = None):
        super().__init__(message)
        self.retry_after_s = retry_after_s
        self.status = status


@dataclass(frozen=True)
class BackOff:
    """Exponential back-off with jitter; a server that says when to come back is obeyed.

    Attributes:
        attempts: How often something is tried before it is called unreachable.
        first_wait_s: Wait after the first failure; it doubles from there.
        longest_wait_s: Upper limit of one wait, also of what a server asks for.
        timeout_s: After how long a silent server counts as a failure.
    """

    attempts: int = 5
    first_wait_s: float = 2.0
    longest_wait_s: float = 60.0
    timeout_s: float = 60.0

    def retrying(self, sleep: Callable[[float], None]) -> tenacity.Retrying:
        """Attempts that are repeated after ``PassingError`` only; the last one's error is raised as it is."""
        return tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(PassingError),
            wait=self._wait,
            stop=tenacity.stop_after_attempt(self.attempts),
            sleep=sleep,
            reraise=True,
        )

    def asked_s(self, error: PassingError) -> float | None:
        """How long a server asks to be left alone, as far as it is obeyed."""
        return None if error.retry_after_s is None else min(error.retry_after_s, self.longest_wait_s)

    def _wait(self, state: tenacity.RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        asked = self.asked_s(error) if isinstance(error, PassingError) else None
        if asked is not None:  # and a little more, for others were told the same
            return asked + random.uniform(0, min(self.first_wait_s, max(asked, 0.1)))
        growing = tenacity.wait_random_exponential(self.first_wait_s, self.longest_wait_s, min=self.first_wait_s)
        return growing(state)

    def gdal_options(self) -> dict[str, str]:
        """The same inside GDAL, for a single range request.

        GDAL ignores Retry-After and cannot be told that a host is down, so it repeats a request only once, which saves
        a whole window where one range was lost; all further patience is ours.
        """
        return {
            "GDAL_HTTP_MAX_RETRY": str(min(1, self.attempts - 1)),
            "GDAL_HTTP_RETRY_DELAY": str(self.first_wait_s),
            "GDAL_HTTP_TIMEOUT": str(self.timeout_s),
            "GDAL_HTTP_CONNECTTIMEOUT": str(self.timeout_s),
        }


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """The seconds that a server asks to be left alone, from ``Retry-After`` as seconds or as a date (RFC 9110)."""
    text = headers.get("Retry-After", "").strip()
    if text.isdecimal():
        return float(text)
    try:
        date = parsedate_to_datetime(text)
    except ValueError:
        return None
    until = date if date.tzinfo else date.replace(tzinfo=UTC)
    return max(0.0, (until - datetime.now(UTC)).total_seconds())
