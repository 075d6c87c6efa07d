"""Files and objects: written whole or not at all, read, listed, linked and removed."""

import atexit
import hashlib
import json
import os
import shutil
import sys
import tempfile
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import tenacity
from google.api_core.exceptions import Forbidden
from upath.implementations.cloud import GCSPath

from stook.models.errors import InputError
from stook.transforms.store import cloud
from stook.transforms.store.addresses import Address

SCRAP = ".partial"  # how what a writer that was killed leaves behind ends: ours in ``replacing``, Zarr's beside a shard
# How Windows says that somebody reads a file at this moment, which is then not replaced; other systems replace it.
IN_USE: tuple[type[OSError], ...] = (PermissionError,) if sys.platform == "win32" else ()
IN_USE_FOR_S = 5.0


def write_json(path: Address, data: Any) -> None:
    """Replace ``path`` by ``data`` as JSON, in one step: readers see the old file or the new one."""
    write_bytes(path, json_bytes(data))


def json_bytes(data: Any) -> bytes:
    """Plain data as JSON, for people to read too."""
    return (json.dumps(data, indent=1, ensure_ascii=False) + "\n").encode()


def write_bytes(path: Address, content: bytes) -> None:
    """Replace ``path`` by ``content`` in one step, on disk before it is visible."""
    if isinstance(path, GCSPath):
        cloud.put(path, content)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as scratch:
        scratch.write_bytes(content)


@contextmanager
def replacing(path: Address) -> Iterator[Path]:
    """Give a scratch file of this machine that takes the place of ``path`` when the block ends without an exception."""
    if isinstance(path, GCSPath):
        with tempfile.TemporaryDirectory(prefix="stook-") as folder:
            scratch = Path(folder) / path.name
            yield scratch
            cloud.upload(scratch, path)
        return
    scratch = _scratch_of(path)
    try:
        yield scratch
        with scratch.open("r+b") as file:  # Windows syncs only what may be written
            os.fsync(file.fileno())
        _replace(path, scratch)
    finally:
        scratch.unlink(missing_ok=True)


def _scratch_of(path: Path) -> Path:
    """A new name beside a file, of what is to take its place; see ``SCRAP``."""
    return path.parent / f".{path.name}-{uuid.uuid4().hex}{SCRAP}"


def _replace(path: Path, scratch: Path) -> None:
    """Give a file the place of another, in one step; tried again while that is IN_USE."""
    tenacity.Retrying(
        retry=tenacity.retry_if_exception_type(IN_USE),
        stop=tenacity.stop_after_delay(IN_USE_FOR_S),
        wait=tenacity.wait_fixed(0.02),
        reraise=True,
    )(scratch.replace, path)


def link(source: Address, target: Address) -> None:
    """Make ``target`` the very file that ``source`` is, or a copy where links cannot be; absent if that is absent.

    In Google Cloud Storage the server copies.
    """
    if isinstance(source, GCSPath) and isinstance(target, GCSPath):
        if not cloud.copy(source, target):
            cloud.delete(target)
        return
    if isinstance(source, GCSPath) or isinstance(target, GCSPath):
        raise ValueError(f"{source} and {target}: are not in the same store")
    if not source.exists():
        target.unlink(missing_ok=True)
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    scratch = _scratch_of(target)
    try:
        scratch.hardlink_to(source)  # which is on disk already
        _replace(target, scratch)
    except OSError:  # another disk, a file system without links, or too many of them
        with replacing(target) as copy:
            shutil.copyfile(source, copy)
    finally:
        scratch.unlink(missing_ok=True)


def read_bytes(path: Address) -> bytes | None:
    """The content of ``path``, or None where there is no such file."""
    if isinstance(path, GCSPath):
        found = cloud.read(path)
        return None if found is None else found[0]
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def exists(path: Address) -> bool:
    """Whether there is such a file; its content is not read."""
    return cloud.exists(path) if isinstance(path, GCSPath) else path.is_file()


def read_json(path: Address) -> Any:
    """The content of ``path``, or None where there is no such file."""
    return parsed(read_bytes(path), path)


def parsed(content: bytes | None, path: Address) -> Any:
    """What JSON that was read from ``path`` says; None for None."""
    try:
        return None if content is None else json.loads(content)
    except ValueError as error:
        raise InputError(f"{path}: not valid JSON ({error})") from error


def fetched(path: Address) -> Path:
    """A file of this machine with the content of ``path``, which never changes: itself, or a copy for this process.

    Raises:
        FileNotFoundError: If there is none.
    """
    if not isinstance(path, GCSPath):
        return path
    copy = _copies() / f"{hashlib.sha256(str(path).encode()).hexdigest()[:16]}-{path.name}"
    if not copy.exists():
        with replacing(copy) as scratch:
            cloud.download(path, scratch)
    return copy


@contextmanager
def as_file(path: Address) -> Iterator[Path]:
    """Give a file of this machine with what is at ``path`` now: itself, or a copy for the length of the block.

    Raises:
        FileNotFoundError: If there is nothing in Google Cloud Storage; on a disk whoever opens it finds out.
    """
    if not isinstance(path, GCSPath):
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="stook-") as folder:
        copy = Path(folder) / path.name
        cloud.download(path, copy)
        yield copy


@cache
def _copies() -> Path:
    """Folder of this process for copies of what is in the cloud, removed when it ends."""
    folder = Path(tempfile.mkdtemp(prefix="stook-fetched-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def files_in(folder: Address, suffix: str) -> dict[str, str]:
    """Names of the files right in a folder that end so, sorted -> a mark that changes when one is written anew.

    In Google Cloud Storage it is the generation. On a disk the time alone would not do, for its clock ticks: a file
    that takes the place of another has an inode of its own, for both are there at the time, and another length tells
    too. So a mark comes back only where a file is replaced twice within a tick, at equal length, and its inode is used
    again.
    """
    if isinstance(folder, GCSPath):
        blobs = (blob for blob in cloud.files_in(folder) if blob.name.endswith(suffix))
        return {blob.name.rpartition("/")[2]: str(blob.generation) for blob in blobs}
    try:
        entries = [entry for entry in os.scandir(folder) if entry.name.endswith(suffix) and entry.is_file()]
    except FileNotFoundError:
        return {}
    found = {}
    for entry in sorted(entries, key=lambda each: each.name):
        try:
            seen = entry.stat()
        except FileNotFoundError:
            continue
        found[entry.name] = f"{seen.st_mtime_ns}-{seen.st_ino}-{seen.st_size}"
    return found


def folders_in(folder: Address) -> list[str]:
    """Names of the folders right in a folder, sorted."""
    if isinstance(folder, GCSPath):
        return cloud.folders_in(folder)
    try:
        return sorted(entry.name for entry in os.scandir(folder) if entry.is_dir())
    except FileNotFoundError:
        return []


def names_below(folder: Address) -> set[str]:
    """Names of all files in a folder and in the folders in it, relative to it."""
    if isinstance(folder, GCSPath):
        return set(cloud.generations_below(folder))
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()}


def bytes_below(folder: Address) -> int:
    """Size of everything in a folder."""
    if isinstance(folder, GCSPath):
        return sum(int(blob.size) for blob in cloud.below(folder))
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def scraps_below(folder: Address) -> Iterator[Address]:
    """What killed writers left anywhere in a folder; nothing in Google Cloud Storage, where objects appear whole."""
    if not isinstance(folder, GCSPath):
        yield from folder.rglob(f"*{SCRAP}")


def remove(path: Address) -> None:
    """Remove a file if it is there."""
    if isinstance(path, GCSPath):
        cloud.delete(path)
    else:
        path.unlink(missing_ok=True)


def remove_folder(folder: Address) -> None:
    """Remove a folder and all that is in it, if it is there."""
    if isinstance(folder, GCSPath):
        cloud.delete_below(folder)
    else:
        shutil.rmtree(folder, ignore_errors=True)


def sweep(files: Iterable[Address]) -> None:
    """Remove scratch files of writers that were killed; the caller knows that none of them is still at work."""
    for file in files:
        remove(file)


def require_writable(folder: Address) -> None:
    """Raise InputError where nothing could be written below ``folder``; leaves nothing behind."""
    if isinstance(folder, GCSPath):
        try:
            found = cloud.bucket_exists(folder)
        except Forbidden as error:
            raise InputError(
                f"output: {folder}: no permission to list its objects; the account needs the role Storage Object User"
            ) from error
        if not found:
            raise InputError(f"output: {folder}: there is no such bucket")
        return
    home = next(path for path in (folder, *folder.parents) if path.exists())
    if not home.is_dir():
        raise InputError(f"output: {folder}: {home} is a file; output is a folder, it need not exist yet")
    if not os.access(home, os.W_OK | os.X_OK):
        raise InputError(f"output: {folder}: no permission to write in {home}, or it is read-only")
