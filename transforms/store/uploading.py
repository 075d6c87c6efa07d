"""A folder of a bucket that appears whole, though objects are written one by one.

The file that is written last tells readers that all others are there. Until then it holds a claim: who is writing, and
which files of the folder may be of one who was killed. Only over the claim is the last file written, so of several
writers the one that claimed last finishes and the others know. A writer claims first, then looks which generation each
object has, then writes over those alone: an upload of an earlier writer that is still under way can come before it,
never after. So nothing waits for a writer that was killed, and two together never leave a mixture.

Who was overtaken stops before its next file, waits for the other, and removes those of its own that the other does not
list. It takes over again where no object changes for a while, which is longer each time: one large file gives no sign
until it is there, so at last the while is longer than that takes and one of them finishes.

What is left: a file that is under way while its writer is killed, or loses the store, and that arrives after the next
writer has looked for such for the last time. It stays, and no list names it.
"""

import time
import uuid
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from upath.implementations.cloud import GCSPath

from stook.transforms.store import cloud
from stook.transforms.store.failures import ChangedError
from stook.transforms.store.files import json_bytes, names_below, parsed

WRITING, FILES = "writing", "files"  # fields of a claim; reports list their files under the same name
PATIENCE_S = 20.0  # without a sign of the writer that took over; then it counts as killed
LOOK_S = 0.2

Found = tuple[Any, int] | None  # what the last file says, and its generation


def is_claim(content: Any) -> bool:
    """Whether what a last file says, as JSON, is that somebody is writing the folder."""
    return isinstance(content, dict) and WRITING in content


def upload_whole(scratch: Path, folder: GCSPath, last: str, over: bool = False) -> bool:
    """Make the files of a folder of this machine those of a folder in a bucket, ``last`` last.

    If another writer finishes meanwhile, its files stay.

    Args:
        scratch: Files and folders; has ``last``, which is JSON.
        folder: Where they go.
        last: Name of the file that tells readers that all are there.
        over: Whether what is there whole is replaced, whose ``last`` lists its files; else it stays. Files that are
            listed and not in ``scratch`` go.

    Returns:
        Whether they went there; False if another's stay.
    """
    found, tried, patience = _read(folder / last), set[str](), PATIENCE_S
    lists_files = over
    while True:
        if found is None or over or is_claim(found[0]):
            try:
                _upload(scratch, folder, last, found, tried)
                return True
            except ChangedError:
                pass
        elif not lists_files or _tidied(folder, last, found, tried):
            return False
        found, over = _outcome(folder, last, patience), False
        patience *= 2


def _upload(scratch: Path, folder: GCSPath, last: str, found: Found, tried: set[str]) -> None:
    """Claim the folder and write it.

    Args:
        scratch: See ``upload_whole``.
        folder: Likewise.
        last: Likewise.
        found: What is in the last file.
        tried: Is given the name of every file whose upload is begun; it may arrive though no answer says so.

    Raises:
        ChangedError: As soon as it turns out that somebody else has claimed it.
    """
    content, generation = found or (None, cloud.ABSENT)
    names = names_below(scratch) - {last}
    ours = {*names, *_listed(content)} - {last}
    claim = _Claim(folder / last, {WRITING: uuid.uuid4().hex, FILES: sorted(ours)}, generation)
    there = cloud.generations_below(folder)
    for name in sorted(names):
        claim.require()  # after the look: what a later writer has put there is not written over
        tried.add(name)
        claim.put(scratch / name, folder / name, there.get(name, cloud.ABSENT))
    there = cloud.generations_below(folder)  # again, for what an overtaken writer had under way
    for name in sorted(ours & there.keys() - names):
        claim.remove(folder / name, there[name])
    claim.finish((scratch / last).read_bytes())


class _Claim:
    """A claim that was written to a folder's last file.

    Args:
        path: The last file.
        content: Of the claim.
        generation: That it takes the place of.
    """

    def __init__(self, path: GCSPath, content: dict[str, Any], generation: int):
        self._path = path
        self._generation = cloud.put(path, json_bytes(content), generation)

    def require(self) -> None:
        """Raise ChangedError unless the claim still stands."""
        if cloud.generation(self._path) != self._generation:
            raise ChangedError(f"{self._path}: another process writes this folder")

    def put(self, file: Path, where: GCSPath, generation: int) -> None:
        """Upload a file over a generation, or over what an earlier writer has put there since."""
        while True:
            try:
                cloud.upload(file, where, generation)
                return
            except ChangedError:
                generation = cloud.generation(where)
                self.require()

    def remove(self, where: GCSPath, generation: int) -> None:
        """Remove an object of a generation, or what an earlier writer has put there since."""
        while generation != cloud.ABSENT:
            self.require()
            cloud.delete(where, generation)
            generation = cloud.generation(where)

    def finish(self, content: bytes) -> None:
        """Write the last file."""
        self.require()  # ``put`` takes another's file of the same content for ours
        cloud.put(self._path, content, self._generation)


def _outcome(folder: GCSPath, last: str, patience: float) -> Found:
    """What the last file says once the writer that took over has finished, or has shown no sign for ``patience``."""
    seen, end = cloud.generations_below(folder), time.monotonic() + patience
    while True:
        found = _read(folder / last)
        if found is None or not is_claim(found[0]) or time.monotonic() >= end:
            return found
        time.sleep(LOOK_S)
        now = cloud.generations_below(folder)
        if now != seen:
            seen, end = now, time.monotonic() + patience


def _tidied(folder: GCSPath, last: str, found: tuple[Any, int], tried: set[str]) -> bool:
    """Remove what an overtaken upload left beside another's files; returns False if these are being replaced."""
    strays = tried - set(_listed(found[0]))
    if not strays:
        return True
    there = cloud.generations_below(folder)
    if cloud.generation(folder / last) != found[1]:
        return False  # what was seen may be of somebody who has claimed since
    for name in sorted(strays & there.keys()):
        cloud.delete(folder / name, there[name])
    return True


def _read(path: GCSPath) -> Found:
    found = cloud.read(path)
    return None if found is None else (parsed(found[0], path), found[1])


def _listed(content: Any) -> Iterable[str]:
    """The files that a claim or a list of contents names."""
    return content.get(FILES, ()) if isinstance(content, dict) else ()
