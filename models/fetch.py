"""Downloading published weights: in pieces that survive a cut connection, checked before the file gets its name.

While a file is under way it is called ``<file>.part``; beside it, ``<file>.part.source`` holds where it comes from and
what the server called that version, so that a part is never continued with another file.
"""

import os
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import requests
import tenacity
import urllib3
from filelock import FileLock

from stook.models.checkpoints import Checkpoint
from stook.models.errors import InputError, UnreachableError
from stook.models.weights import file_sha256, place, require_sha256

PIECE_BYTES = 1 << 20
PASSING = (429, 500, 502, 503, 504)  # the server's state, not the request's fault: worth asking again
WHOLE, PARTIAL, UNSATISFIABLE = 200, 206, 416

Progress = Callable[[int, int | None], None]  # bytes that are there, and of how many if the server says


@dataclass(frozen=True)
class Patience:
    """How often and how long something is tried: exponential back-off with jitter, or what the server asks for."""

    attempts: int = 5
    first_wait_s: float = 2.0
    longest_wait_s: float = 60.0
    timeout_s: float = 60.0

    def retrying(self) -> tenacity.Retrying:
        """Attempts that are repeated after ``_PassingError`` only."""
        back_off = tenacity.wait_random_exponential(self.first_wait_s, self.longest_wait_s, min=self.first_wait_s)

        def wait(state: tenacity.RetryCallState) -> float:
            error = state.outcome.exception() if state.outcome else None
            asked = error.wait_s if isinstance(error, _PassingError) else 0.0
            return max(back_off(state), min(asked, self.longest_wait_s))

        return tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(_PassingError),
            wait=wait,
            stop=tenacity.stop_after_attempt(self.attempts),
            reraise=True,
        )


@dataclass(frozen=True)
class Consent:
    """What the user has said yes to.

    Attributes:
        licence: A licence that is not free, or not known.
        unverified: A file whose hash nobody has recorded.
    """

    licence: bool = False
    unverified: bool = False


@dataclass(frozen=True)
class Fetched:
    """A checkpoint's file in its place.

    Attributes:
        path: Where it is.
        sha256: What it hashes to.
        was_there: Whether nothing had to be downloaded.
    """

    path: Path
    sha256: str
    was_there: bool


class _PassingError(Exception):
    """A failure that another attempt may not meet."""

    def __init__(self, reason: str, wait_s: float = 0.0):
        super().__init__(reason)
        self.wait_s = wait_s


class _RefusedError(Exception):
    """A source that will not give the file, however often it is asked."""


def fetch(
    checkpoint: Checkpoint,
    folder: Path,
    consent: Consent = Consent(),  # noqa: B008  immutable
    mirror: str | None = None,
    progress: Progress = lambda done, total: None,
    patience: Patience = Patience(),  # noqa: B008  immutable
) -> Fetched:
    """Put the published file into a folder of weights, unless it is there.

    Args:
        checkpoint: What to fetch.
        folder: Of weights.
        consent: What the user has said yes to.
        mirror: A folder of weights, or the address of one, that is asked instead of the authors.
        progress: Called with the bytes that are there, and their total if it is known.
        patience: With servers.

    Raises:
        InputError: If consent is lacking, the file has another hash than the recorded one, the mirror folder lacks it,
            or the folder cannot be written.
        UnreachableError: If no source gives the file; what has arrived is kept, and the next call continues.
    """
    _require_consent(checkpoint, consent)
    path = place(checkpoint, folder)
    try:
        with FileLock(path.with_name(f".{path.name}.lock")):  # of two who fetch the same file, the second waits
            if path.is_file():
                if checkpoint.sha256 is not None:
                    require_sha256(path, checkpoint.sha256)
                return Fetched(path, checkpoint.sha256 or file_sha256(path), was_there=True)
            part = path.with_name(f"{path.name}.part")
            _obtain(checkpoint, part, folder, mirror, progress, patience)
            sha256 = file_sha256(part)
            if checkpoint.sha256 not in (None, sha256):
                _discard(part)
                raise InputError(
                    f"{checkpoint.name}: sha256 of what arrived is {sha256}, expected {checkpoint.sha256}; "
                    "it is damaged or another file, and was not kept"
                )
            with part.open("r+b") as file:  # Windows syncs only what may be written
                os.fsync(file.fileno())
            part.replace(path)
            _discard(part)
            return Fetched(path, sha256, was_there=False)
    except (PermissionError, NotADirectoryError, FileExistsError) as error:
        raise InputError(f"{path}: cannot be written ({error.strerror})") from error
    except OSError as error:
        raise UnreachableError(
            f"{path}: cannot be written ({error.strerror or error}); what is there is kept"
        ) from error


def offline_line(checkpoint: Checkpoint, folder: Path) -> str:
    """What to do by hand on a machine without network."""
    where = " or ".join(checkpoint.sources) or f"the file from {checkpoint.page}"
    return f"on another machine download {where}, and put it here as {place(checkpoint, folder)}"


def _require_consent(checkpoint: Checkpoint, consent: Consent) -> None:
    if checkpoint.terms != "free" and not consent.licence:
        raise InputError(
            f"{checkpoint.name}: its licence is {checkpoint.terms}: {checkpoint.licence}; "
            "--accept-licence says that you have read it and keep to it"
        )
    if checkpoint.sha256 is None and not consent.unverified:
        raise InputError(
            f"{checkpoint.name}: no hash of the file is recorded, so that nobody can tell whether what arrives is what "
            "its authors published; --allow-unverified fetches it all the same"
        )


def _obtain(
    checkpoint: Checkpoint, part: Path, folder: Path, mirror: str | None, progress: Progress, patience: Patience
) -> None:
    """Make ``part`` complete, from the mirror or from the first of the authors' sources that gives it."""
    if mirror is not None and not mirror.startswith(("http://", "https://")):
        original = place(checkpoint, Path(mirror).expanduser())
        if not original.is_file():
            raise InputError(f"mirror {mirror}: {original} does not exist")
        shutil.copyfile(original, part)
        return
    sources = checkpoint.sources
    if mirror is not None:
        sources = (f"{mirror.rstrip('/')}/{checkpoint.family}/{checkpoint.file}",)
    reasons = []
    for url in sources:
        try:
            patience.retrying()(_download, url, part, progress, patience.timeout_s)
            return
        except (_PassingError, _RefusedError) as error:
            reasons.append(f"{url}: {error}")
    why = "; ".join(reasons) or "the address of the file is not known"
    kept = "; what has arrived is kept, the same command continues" if part.exists() else ""
    raise UnreachableError(f"{checkpoint.name}: {why}{kept}; {offline_line(checkpoint, folder)}")


def _download(url: str, part: Path, progress: Progress, timeout_s: float) -> None:
    """One attempt to make ``part`` complete, continuing what is there if it is of the same version."""
    label = _label_of(part)
    have = part.stat().st_size if part.exists() else 0
    source, _, version = label.read_text(encoding="utf-8").partition("\n") if label.exists() else ("", "", "")
    headers = {"Accept-Encoding": "identity"}  # so that sizes and ranges are those of the file
    if have and version and source == url:
        headers |= {"Range": f"bytes={have}-", "If-Range": version}
    try:
        with requests.get(url, headers=headers, stream=True, timeout=timeout_s) as answer:
            if answer.status_code == UNSATISFIABLE and answer.headers.get("Content-Range") == f"bytes */{have}":
                return  # it was complete, and only not yet renamed
            if answer.status_code in PASSING:
                raise _PassingError(f"HTTP {answer.status_code}", _seconds(answer.headers.get("Retry-After")))
            if answer.status_code == UNSATISFIABLE:
                _discard(part)
                raise _PassingError("what has arrived is longer than the file")
            if answer.status_code not in (WHOLE, PARTIAL):
                raise _RefusedError(f"HTTP {answer.status_code}")
            start = have if answer.status_code == PARTIAL else 0
            if start == 0:
                label.write_text(f"{url}\n{_version_of(answer)}", encoding="utf-8")
            elif _version_of(answer) != version or not answer.headers.get("Content-Range", "").startswith(
                f"bytes {have}-"
            ):
                _discard(part)
                raise _PassingError("the rest is not of the file whose beginning has arrived")
            length = answer.headers.get("Content-Length", "")
            total = start + int(length) if length.isdigit() else None
            _append(answer, part, start, total, progress)
    except ValueError as error:  # requests' errors of addresses are such
        raise _RefusedError(str(error)) from error
    except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
        raise _PassingError(_reason(error)) from error


def _append(answer: requests.Response, part: Path, start: int, total: int | None, progress: Progress) -> None:
    """Write an answer's body to ``part`` from byte ``start`` on."""
    done = start
    with part.open("ab" if start else "wb") as file:
        progress(done, total)
        # What the socket has, not a whole piece: of a piece that is cut short nothing would arrive.
        while piece := answer.raw.read1(PIECE_BYTES):
            file.write(piece)
            done += len(piece)
            progress(done, total)
    if total is not None and done != total:
        raise _PassingError(f"{done} of {total} bytes arrived")


def _version_of(answer: requests.Response) -> str:
    """What the server calls this version of the file; empty if nothing that can be relied on to continue it."""
    tag = answer.headers.get("ETag", "")
    return tag if tag and not tag.startswith("W/") else answer.headers.get("Last-Modified", "")


def _label_of(part: Path) -> Path:
    return part.with_name(f"{part.name}.source")


def _discard(part: Path) -> None:
    part.unlink(missing_ok=True)
    _label_of(part).unlink(missing_ok=True)


def _seconds(retry_after: str | None) -> float:
    """What Retry-After asks for, where it is a number of seconds."""
    return float(retry_after) if retry_after and retry_after.isdigit() else 0.0


def _reason(error: Exception) -> str:
    """A transport error in a few words: the innermost cause, or its type."""
    found = re.search(r"\[Errno -?\d+\] [\w ,]+", str(error))
    return found[0] if found else type(error).__name__
