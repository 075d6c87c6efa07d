"""Patience with archives: what is tried again, how often, and how long one waits."""

from dataclasses import dataclass

import requests
import tenacity
import urllib3

REFUSALS = (429, 500, 502, 503, 504)  # the server's state, not the request's fault: worth asking again


@dataclass(frozen=True)
class BackOff:
    """Exponential back-off with jitter.

    Attributes:
        attempts: How often something is tried before it is called unreachable.
        first_wait_s: Wait after the first failure; it doubles from there.
        longest_wait_s: Upper limit of one wait.
        timeout_s: After how long a silent server counts as a failure.
    """

    attempts: int = 5
    first_wait_s: float = 2.0
    longest_wait_s: float = 60.0
    timeout_s: float = 60.0

    def retrying(self, error: type[Exception]) -> tenacity.Retrying:
        """Attempts that are repeated after ``error`` only; the last one's error is raised as it is."""
        return tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(error),
            wait=tenacity.wait_random_exponential(self.first_wait_s, self.longest_wait_s, min=self.first_wait_s),
            stop=tenacity.stop_after_attempt(self.attempts),
            reraise=True,
        )

    def http_retry(self) -> urllib3.Retry:
        """The same for requests: transport errors, ``REFUSALS``, and Retry-After where a server gives it."""
        return urllib3.Retry(
            total=self.attempts - 1,
            backoff_factor=self.first_wait_s,
            backoff_max=self.longest_wait_s,
            status_forcelist=REFUSALS,
            allowed_methods=None,
            raise_on_status=False,
        )

    def gdal_options(self) -> dict[str, str]:
        """The same inside GDAL, which repeats single range requests."""
        return {
            "GDAL_HTTP_MAX_RETRY": str(self.attempts - 1),
            "GDAL_HTTP_RETRY_DELAY": str(self.first_wait_s),
            "GDAL_HTTP_TIMEOUT": str(self.timeout_s),
            "GDAL_HTTP_CONNECTTIMEOUT": str(self.timeout_s),
        }

    def status_of(self, url: str) -> int | str:
        """HTTP status that ``url`` answers to a request of its first bytes, or the transport error in words."""
        try:
            with requests.get(url, headers={"Range": "bytes=0-15"}, stream=True, timeout=self.timeout_s) as answer:
                return answer.status_code
        except requests.RequestException as error:
            return type(error).__name__
