"""Documents fetched from archives: patiently, through the host's circuit breaker, and never more than a bound."""

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

import requests
import urllib3

from stook.models.errors import InputError, StookError, UnreachableError
from stook.transforms.backoff import REFUSALS, BackOff, PassingError, retry_after_s
from stook.transforms.breaker import patiently
from stook.transforms.imagery import objects
from stook.transforms.imagery.links import HTTP, REMOTE, local_path, scheme_of
from stook.transforms.secrecy import keep_secrets
from stook.transforms.store import STORE_FAILURES, address_of, read_bytes, reason_of

MOST_BYTES = 64 * 2**20  # of one document: a page of items is a megabyte, a collection of 500,000 links about this
CHUNK_BYTES = 2**18
PROBED_BYTES = 16
MOST_WORDS_BYTES = 2**14
SLOWEST = 10  # timeouts that a document may take in all: a server may drip a byte a minute


class StatusError(StookError):
    """A server answered, but not with what was asked for.

    Attributes:
        status: Of HTTP.
    """

    def __init__(self, status: int, words: str = ""):
        super().__init__(f"HTTP {status}" + (f" ({words})" if words else ""))
        self.status = status


@dataclass(frozen=True)
class Probe:
    """What a link answers to a request of its first bytes.

    Attributes:
        status: Of HTTP; the kind of error in words where there was no answer.
        size: Of the whole file in bytes, where the server says so.
        retry_after_s: When it wants to be asked again, where it says so.
        is_page: Whether it is a page for people, as servers under maintenance show it.
        head: Its first bytes.
    """

    status: int | str
    size: int | None = None
    retry_after_s: float | None = None
    is_page: bool = False
    head: bytes = b""


class Fetcher:
    """Reads documents from folders, HTTP servers and object stores.

    Args:
        backoff: How patiently.
        allowed: Called with every address that a server sends us on to; raises if it may not be followed.
        headers_for: Headers that an address is asked with.
    """

    def __init__(
        self,
        backoff: BackOff,
        allowed: Callable[[str], object] = str,
        headers_for: Callable[[str], Mapping[str, str]] = lambda url: {},
    ):
        self.backoff = backoff
        self.allowed = allowed
        self.headers_for = headers_for
        keep_secrets()
        self.session = _Session(headers_for)
        self.session.hooks["response"].append(self._follow)

    def read(self, href: str) -> bytes:
        """The document at a path or address.

        Raises:
            FileNotFoundError: There is no such file.
            OSError: It cannot be read.
            StatusError: The server answers with a status that asking again does not change.
            InputError: It is larger than ``MOST_BYTES``.
            UnreachableError: The archive does not answer, or refuses, after retries.
        """
        scheme = scheme_of(href)
        if scheme in HTTP:
            return self.request(href)
        if scheme == "gs":
            return patiently(href, self.backoff, lambda _: _object(href))
        if scheme in REMOTE:
            raise InputError(f"{href}: catalogues are read from folders, gs, {' and '.join(HTTP)}")
        return read_file(Path(local_path(href)))

    def request(self, url: str, method: str = "GET", headers: Mapping[str, str] | None = None, **parts: Any) -> bytes:
        """The answer of a server; see ``read``.

        Args:
            url: http or https.
            method: Of HTTP.
            headers: Of the request.
            parts: ``json`` or ``params``, as of requests.
        """
        return patiently(url, self.backoff, lambda _: self.once(url, method, headers, **parts))

    def parts(self, href: str) -> Iterator[bytes]:
        """The content of a file of imagery, of any size, part by part; asked once.

        Raises:
            PassingError: The server does not answer, or breaks off.
        """
        scheme = scheme_of(href)
        if scheme not in HTTP:
            yield from _parts_of_object(href, self.backoff.timeout_s) if scheme in REMOTE else _parts_of_file(href)
            return
        try:
            with self.session.get(
                href, headers=self.headers_for(href), stream=True, timeout=self.backoff.timeout_s
            ) as answer:
                if not answer.ok:
                    raise PassingError(
                        f"{href}: unreachable (HTTP {answer.status_code})", retry_after_s(answer.headers)
                    )
                yield from answer.iter_content(CHUNK_BYTES)
        except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
            raise PassingError(f"{href}: unreachable ({deepest_cause(error)})") from error

    def landing(self, url: str) -> str:
        """Where redirects of ``url`` lead in the end; ``url`` itself where that cannot be found out."""
        try:
            with self.session.get(
                url,
                headers={**self.headers_for(url), "Range": "bytes=0-0"},
                stream=True,
                timeout=self.backoff.timeout_s,
            ) as got:
                return got.url
        except (requests.RequestException, urllib3.exceptions.HTTPError):
            return url

    def probe(self, url: str) -> Probe:
        """What ``url`` answers to a request of its first bytes, asked once; of object stores, what the store says."""
        scheme = scheme_of(url)
        if scheme not in HTTP:
            return Probe(_status_in_bucket(url) if scheme == "gs" else objects.status_of(url, self.backoff.timeout_s))
        try:
            with self.session.get(
                url,
                headers={**self.headers_for(url), "Range": f"bytes=0-{PROBED_BYTES - 1}"},
                stream=True,
                timeout=self.backoff.timeout_s,
            ) as got:
                whole = got.headers.get("Content-Range", "").rpartition("/")[2]
                if got.status_code == 200:
                    whole = got.headers.get("Content-Length", "")
                size = int(whole) if whole.isdecimal() else None
                page = got.headers.get("Content-Type", "").startswith("text/html")
                head = got.raw.read(PROBED_BYTES)
                return Probe(got.status_code, None if page else size, retry_after_s(got.headers), page, head)
        except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
            return Probe(type(error).__name__)

    def once(self, url: str, method: str = "GET", headers: Mapping[str, str] | None = None, **parts: Any) -> bytes:
        """The same, asked once.

        Raises:
            PassingError: The server does not answer now.
        """
        timeout_s = self.backoff.timeout_s
        try:
            with self.session.request(
                method,
                url,
                headers={**self.headers_for(url), **(headers or {})},
                stream=True,
                timeout=timeout_s,
                **parts,
            ) as answer:
                status = answer.status_code
                if status in REFUSALS:
                    why = f"{url}: unreachable (HTTP {status})"
                    raise PassingError(why, retry_after_s(answer.headers), status)
                if status in (401, 403):
                    raise UnreachableError(f"{url}: unreachable ({StatusError(status, words_of(answer))})")
                if not answer.ok:
                    raise StatusError(status, words_of(answer))
                return _body(url, answer, time.monotonic() + SLOWEST * timeout_s)
        except requests.exceptions.InvalidURL as error:
            raise InputError(f"{url}: not an address ({error})") from error
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            silent = isinstance(error, requests.ReadTimeout)
            why = f"{url}: unreachable ({deepest_cause(error)})"
            raise PassingError(why, status=408 if silent else None) from error

    def _follow(self, answer: requests.Response, **_: Any) -> None:
        if answer.is_redirect:
            target = urljoin(answer.url, answer.headers["Location"])
            self.allowed(target)
            if answer.request.method == "POST" and answer.status_code in (301, 302, 303):  # which would lose the search
                raise InputError(f"{answer.url}: is elsewhere now, at {target}; give that address")


class _Session(requests.Session):
    """Sends headers with secrets to no other host than they are meant for."""

    def __init__(self, headers_for: Callable[[str], Mapping[str, str]]):
        super().__init__()
        self.headers_for = headers_for

    def rebuild_auth(self, prepared_request: requests.PreparedRequest, response: requests.Response) -> None:
        """Called by requests where it follows a redirect."""
        super().rebuild_auth(prepared_request, response)
        meant = self.headers_for(prepared_request.url or "")
        for name in self.headers_for(response.url):
            if name not in meant:
                prepared_request.headers.pop(name, None)


def read_file(path: Path) -> bytes:
    """The bytes of an ordinary file; raises as ``Fetcher.read``."""
    if path.exists() and not path.is_file():
        raise OSError(None, "not a file", str(path))
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size > MOST_BYTES:
            raise InputError(f"{path}: {too_large(size)}")
        return file.read(MOST_BYTES)


def _parts_of_file(href: str) -> Iterator[bytes]:
    with Path(local_path(href)).open("rb") as file:
        while part := file.read(CHUNK_BYTES):
            yield part


def _parts_of_object(href: str, timeout_s: float) -> Iterator[bytes]:
    try:
        if scheme_of(href) == "gs":
            with address_of(href).open("rb") as file:
                while part := file.read(CHUNK_BYTES):
                    yield part
        else:
            yield from objects.parts_of(href, timeout_s)
    except (*STORE_FAILURES, *objects.FAILURES) as error:
        raise PassingError(f"{href}: unreachable ({objects.in_a_line(error)})") from error


def _status_in_bucket(href: str) -> int | str:
    """As ``objects.status_of``, of Cloud Storage."""
    try:
        if address_of(href).exists():
            return 200
    except STORE_FAILURES as error:
        return reason_of(error)
    try:
        bucket = f"gs://{urlsplit(href).netloc}"
        return 404 if address_of(bucket).exists() else "there is no such bucket"
    except STORE_FAILURES:  # objects may be anybody's to read, buckets hardly ever
        return 404


def _object(href: str) -> bytes:
    """An object of Google Cloud Storage, whose client has its own patience."""
    try:
        content = read_bytes(address_of(href))
    except STORE_FAILURES as error:
        raise UnreachableError(f"{href}: unreachable ({reason_of(error)})") from error
    if content is None:
        raise StatusError(404)
    if len(content) > MOST_BYTES:
        raise InputError(f"{href}: {too_large(len(content))}")
    return content


def too_large(size: int) -> str:
    """Why a document is refused."""
    return f"more than {size / 2**20:.0f} MiB, allowed are {MOST_BYTES / 2**20:.0f} in one document"


def words_of(answer: requests.Response) -> str:
    """What a server says of its refusal, in the fields that STAC, OGC, FastAPI and RFC 9457 name; "" if nothing."""
    try:
        body = json.loads(answer.raw.read(MOST_WORDS_BYTES, decode_content=True))
    except (ValueError, OSError, urllib3.exceptions.HTTPError):
        return ""
    fields = body if isinstance(body, dict) else {}
    words = next(filter(None, map(fields.get, ("description", "detail", "message", "title"))), "")
    return " ".join(str(words).split())[:200]


def deepest_cause(error: Exception) -> str:
    """The end of what urllib3 says, where the cause is: "[Errno 111] Connection refused"."""
    cause = " ".join(str(error).split()).rsplit("Caused by ", 1)[-1]
    return cause.rsplit(": ", 1)[-1].strip("\"'()")[-200:] or type(error).__name__


def _body(url: str, answer: requests.Response, deadline: float) -> bytes:
    """The decoded body, read as it comes so that neither its length nor its slowness is without a bound."""
    parts, size = [], 0
    while part := answer.raw.read1(CHUNK_BYTES, decode_content=True):
        parts.append(part)
        size += len(part)
        if size > MOST_BYTES:
            raise InputError(f"{url}: {too_large(size)}")
        if time.monotonic() > deadline:
            raise PassingError(f"{url}: unreachable (too slow, {size} bytes so far)")
    return b"".join(parts)
