"""Addresses of results: a path of this machine, or ``gs://bucket/prefix``, both with the methods of ``pathlib``."""

import atexit
import os
from functools import cache
from pathlib import Path
from typing import Any

from fsspec.asyn import AsyncFileSystem
from upath.implementations.cloud import GCSPath
from zarr.abc.store import Store
from zarr.core.sync import sync
from zarr.storage import FsspecStore, LocalStore

from stook.models.errors import InputError
from stook.transforms.choices import refused

# Buckets are asked for their kind otherwise, with a second client and a warning for each process that may not ask.
os.environ.setdefault("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")

Address = Path | GCSPath
"""A file, an object, or what holds several."""

CLOUD = "gs://"
CLOSING_S = 1.0
EMULATOR = "STORAGE_EMULATOR_HOST"  # Google's own name: clients of Cloud Storage go there, without credentials


def address_of(address: str | Address) -> Address:
    """The place that an address names: ``gs://…`` in Google Cloud Storage, or a path of this machine.

    Raises:
        InputError: If it is of another scheme, or no path at all.
    """
    if isinstance(address, GCSPath):
        return address
    if why := refused(str(address)):
        raise InputError(why)
    if isinstance(address, Path) or not address.startswith(CLOUD):
        return Path(address)
    options: dict[str, Any] = {"use_listings_cache": False}
    if emulator := os.environ.get(EMULATOR):
        # gcsfs would find it by itself, but keeps one client for equal options, whatever emulator it was made for.
        options |= {"token": "anon", "endpoint_url": emulator}  # its word for no credentials
    return GCSPath(address, **options)


def is_cloud(where: Address) -> bool:
    """Whether a place is in Google Cloud Storage."""
    return isinstance(where, GCSPath)


def zarr_store(where: Address, read_only: bool = False) -> Store:
    """The Zarr store at a place."""
    if isinstance(where, Path):
        return LocalStore(where, read_only=read_only)
    store = FsspecStore.from_url(str(where), dict(where.storage_options), read_only=read_only)
    _closed_at_exit(store.fs)
    return store


@cache
def _closed_at_exit(system: AsyncFileSystem) -> None:
    """See that the connections of Zarr's client are closed where they were opened.

    The client does so itself, from another event loop, and tells the user's terminal that this cannot be.
    """
    atexit.register(_close, system)


def _close(system: AsyncFileSystem) -> None:
    session = getattr(system, "_session", None)
    if session is not None and not session.closed:
        sync(session.close(), timeout=CLOSING_S)
