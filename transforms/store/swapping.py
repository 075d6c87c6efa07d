"""Compare and swap: a file is replaced only if nobody has changed it since it was read."""

import hashlib

from filelock import FileLock
from upath.implementations.cloud import GCSPath

from stook.transforms.store import cloud
from stook.transforms.store.addresses import Address
from stook.transforms.store.failures import ChangedError
from stook.transforms.store.files import read_bytes, write_bytes

LOCK = ".lock"  # held for moments, in the folder of what is swapped

Version = int | str | None
"""Stands for the content of a file at one time: an object's generation, a file's hash, None where there is none."""


def read_versioned(path: Address) -> tuple[bytes | None, Version]:
    """The content of a file, None where there is none, and what stands for it in ``swap``."""
    if isinstance(path, GCSPath):
        return cloud.read(path) or (None, None)
    content = read_bytes(path)
    return content, _hash(content)


def swap(path: Address, content: bytes, version: Version) -> Version:
    """Replace the content of a file that is still as it was read; returns the new version.

    Raises:
        ChangedError: If it is not; nothing is written.
    """
    if isinstance(path, GCSPath):
        return cloud.put(path, content, cloud.ABSENT if version is None else int(version))
    with FileLock(path.parent / LOCK):
        if _hash(read_bytes(path)) != version:
            raise ChangedError(f"{path}: was changed by somebody else")
        write_bytes(path, content)
    return _hash(content)


def _hash(content: bytes | None) -> str | None:
    return None if content is None else hashlib.sha256(content).hexdigest()
