"""A folder that is replaced as a whole, like a file."""

import ctypes
import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from upath.implementations.cloud import GCSPath

from stook.models.errors import InputError
from stook.transforms.store import Address, ChangedError, names_below, read_json, upload_whole, write_json

CONTENTS = "report.json"  # lists every other file of the folder, and says that the folder is ours to replace
HIDDEN = ".report-"
_AT_FDCWD, _EXCHANGE = -100, 2  # of renameat2(2)


@contextmanager
def replacing_folder(target: Address) -> Iterator[Path]:
    """Give a folder of this machine that takes the place of ``target`` when the block ends without an exception.

    On a disk readers see the old folder or the new one. Where the system cannot exchange two folders in one step (only
    Linux can), there is none for a moment. In a bucket files are replaced one by one; meanwhile the list of contents
    says that somebody is writing, and it has the word again when all are there.

    Raises:
        InputError: If ``target`` holds anything that was not written here, which would be lost.
        ChangedError: If another process replaced it meanwhile, in a bucket, and what is there is its folder.
    """
    require_ours(target)
    if isinstance(target, GCSPath):
        with tempfile.TemporaryDirectory(prefix="stook-") as folder:
            yield Path(folder)
            require_ours(target)
            if not upload_whole(Path(folder), target, CONTENTS, over=True):
                raise ChangedError(f"{target}: another process wrote this report meanwhile; what is there is theirs")
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    scratch = target.parent / f"{HIDDEN}{uuid.uuid4().hex}"
    try:
        scratch.mkdir()
        yield scratch
        if target.exists():
            require_ours(target)
            _exchange(scratch, target)
        else:
            scratch.rename(target)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def write_contents(folder: Path, told: dict[str, object]) -> None:
    """Write the list of a folder's files, beside what else is told of it."""
    write_json(folder / CONTENTS, told | {"files": sorted(names_below(folder))})


def require_ours(target: Address) -> None:
    """Raise InputError unless ``target`` is absent, empty, or holds a report, or a part of one, and nothing else."""
    if isinstance(target, Path) and target.exists() and not target.is_dir():
        raise InputError(f"--to {target}: is a file; name a folder")
    contents, found = _listed_and_there(target)
    if not found:
        return
    if contents is None:
        raise InputError(f"--to {target}: is not empty and not a report, which alone is replaced; name another")
    listed = contents.get("files") if isinstance(contents, dict) else None
    if not isinstance(listed, list) or not all(isinstance(name, str) for name in listed):
        raise InputError(f"--to {target}: its {CONTENTS} is not of a report, which alone is replaced; name another")
    foreign = sorted(found - set(listed) - {CONTENTS})
    if foreign:
        raise InputError(
            f"--to {target}: holds {foreign[0]}, which is not of the report and would be lost; move it elsewhere"
        )


def _listed_and_there(target: Address) -> tuple[Any, set[str]]:
    """What the list of contents says and the files that are there, both of one time."""
    while True:
        contents, found = read_json(target / CONTENTS), names_below(target)
        if read_json(target / CONTENTS) == contents:  # else another report took its place meanwhile
            return contents, found


def _exchange(one: Path, other: Path) -> None:
    """Swap two folders: in one step where the system can, else by moving one out of the way."""
    try:
        swapped = ctypes.CDLL(None, use_errno=True).renameat2(
            _AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _EXCHANGE
        )
    except (AttributeError, OSError, TypeError):  # no such call in this system's library; Windows has no one library
        swapped = -1
    if swapped != 0:
        aside = one.with_name(f"{one.name}-replaced")
        other.rename(aside)
        one.rename(other)
        aside.rename(one)
