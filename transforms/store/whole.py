"""A folder that appears whole: readers find all of its files or none, on a disk and in a bucket.

One of its files, named ``last``, is JSON and tells readers that the others are there.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock
from upath.implementations.cloud import GCSPath

from stook.models.errors import InputError
from stook.transforms.store.addresses import Address
from stook.transforms.store.files import folders_in, read_json
from stook.transforms.store.uploading import is_claim, upload_whole

HIDDEN, LOCK = ".writing", ".lock"  # beside the folders


def read_whole(folder: Address, last: str) -> Any:
    """What the last file of a folder says, or None where there is no such folder or it is not whole yet."""
    content = read_json(folder / last)
    return None if is_claim(content) else content


def whole_folders(home: Address, last: str) -> list[str]:
    """Names of the folders right in ``home`` that are whole, sorted.

    Those whose last file is no JSON are among them, for whoever reads it to refuse.
    """
    names = (name for name in folders_in(home) if not name.startswith("."))
    return [name for name in names if _is_whole(home / name, last)]


def _is_whole(folder: Address, last: str) -> bool:
    try:
        return read_whole(folder, last) is not None
    except InputError:
        return True


@contextmanager
def appearing(folder: Address, last: str) -> Iterator[Path]:
    """Give a folder of this machine whose files are those of ``folder`` once the block ends without an exception.

    If ``folder`` is there by then, it stays as it is. What a writer that was killed left is removed or written over.

    Args:
        folder: On a disk it appears in one step; in a bucket see ``stook.transforms.store.uploading``.
        last: Name of the file that the block writes, as JSON, and by which readers know that the folder is whole.

    Raises:
        InputError: If a folder of a machine is there and not whole, as after a copy that was broken off.
    """
    if isinstance(folder, GCSPath):
        with tempfile.TemporaryDirectory(prefix="stook-") as scratch:
            yield Path(scratch)
            upload_whole(Path(scratch), folder, last)
        return
    hidden = folder.parent / HIDDEN
    with FileLock(folder.parent / LOCK):
        shutil.rmtree(hidden, ignore_errors=True)
        try:
            hidden.mkdir()
            yield hidden
            if not folder.exists():
                _sync(hidden)
                hidden.rename(folder)
            elif read_whole(folder, last) is None:
                raise InputError(
                    f"{folder}: is there, but not whole: {last} is missing, or says that it is being written; remove "
                    "the folder and try again"
                )
        finally:
            shutil.rmtree(hidden, ignore_errors=True)


def _sync(folder: Path) -> None:
    """Wait until a folder's files are on disk."""
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("r+b") as file:  # see ``replacing``
                os.fsync(file.fileno())
