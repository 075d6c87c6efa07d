"""Small files of an edition: written whole or not at all, created once, listed and removed.

Everything that decides something (pointer, lease, ledger, edition) goes through here; pixels go through Zarr.
"""

import fcntl
import json
import os
import shutil
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from models.errors import InputError, UnreachableError

SCRAP = "*.partial"  # what a writer that was killed leaves behind: ours in ``replacing``, Zarr's beside a shard


def write_json(path: Path, data: Any) -> None:
    """Replace ``path`` by ``data`` as JSON, in one step: readers see the old file or the new one."""
    write_bytes(path, (json.dumps(data, indent=1, ensure_ascii=False) + "\n").encode())


def write_bytes(path: Path, content: bytes) -> None:
    """Replace ``path`` by ``content`` in one step, on disk before it is visible."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as scratch:
        scratch.write_bytes(content)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a scratch path beside ``path`` that takes its place when the block ends without an exception."""
    scratch = path.parent / f".{path.name}-{uuid.uuid4().hex}.partial"
    try:
        yield scratch
        with scratch.open("rb") as file:
            os.fsync(file.fileno())
        scratch.replace(path)
    finally:
        scratch.unlink(missing_ok=True)


def link(source: Path, target: Path) -> None:
    """Make ``target`` the very file that ``source`` is, or a copy where links cannot be; absent if that is absent."""
    target.unlink(missing_ok=True)
    if not source.exists():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        target.hardlink_to(source)
    except OSError:  # another disk, a file system without links, or too many of them
        with replacing(target) as scratch:
            shutil.copyfile(source, scratch)


def read_json(path: Path) -> Any:
    """The content of ``path``, or None where there is no such file."""
    try:
        return json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise InputError(f"{path}: not valid JSON ({error})") from error


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Tell a disk that is full, read-only or gone as what it is.

    Raises:
        UnreachableError: If the block meets an OSError; names ``folder`` and the reason.
    """
    try:
        yield
    except OSError as error:
        reason = error.strerror or error
        raise UnreachableError(f"output: cannot write {folder}: {reason}; what is done is kept") from error


def sweep(files: Iterable[Path]) -> None:
    """Remove scratch files of writers that were killed; the caller knows that none of them is still at work."""
    for file in files:
        file.unlink(missing_ok=True)


@contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Hold the lock file ``path`` against every other process of this machine for the length of the block."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
