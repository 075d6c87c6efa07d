"""A folder of a bucket that appears whole, though objects are written one by one.

The file that is written last tells readers that all others are there. Until then it holds a claim: who is writing, and
which files of the folder may be of one who was killed. Only over the claim is the last file written, so of several
writers the one that claimed last finishes and the others know. A writer claims first, then looks which generation each
object has, then writes over those alone: an upload of an earlier writer that is still under way can come before it,
never after. So nothing waits for a writer that was killed, and two together never leave a mixture.
"""

import json
import time
import uuid
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from upath.implementations.cloud import GCSPath

from transforms.store import cloud
from transforms.store.failures import ChangedError
from transforms.store.files import json_bytes, names_below, parsed

WRITING, FILES = "writing", "files"  # fields of a claim; reports list their files under the same name
PATIENCE_S = 20.0  # without a sign of the writer that took over; then it counts as killed
LOOK_S = 0.2


def is_claim(content: Any) -> bool:
    """Whether what a last file says, as JSON, is that somebody is writing the folder."""
    return isinstance(content, dict) and WRITING in content


def upload_whole(scratch: Path, folder: GCSPath, last: str, over: bool = False) -> None:
    """Make the files of a folder of this machine those of a folder in a bucket, ``last`` last.

    If another writer finishes meanwhile, its files stay.

    Args:
        scratch: Files and folders; has ``last``, which is JSON.
        folder: Where they go.
        last: Name of the file that tells readers that all are there.
        over: Whether what is there whole is replaced, whose ``last`` lists its files; else it stays. Files that are
            listed and not in ``scratch`` go.
    """
    found, uploaded = cloud.read(folder / last), dict[str, int]()
    lists_files = over
    while found is None or over or _is_claimed(found):
        try:
            _upload(scratch, folder, last, found, uploaded)
            return
        except ChangedError:
            found, over = _outcome(folder / last), False
    if lists_files:  # of ours, what an overtaken upload left beside the other writer's
        for name in uploaded.keys() - set(_listed(json.loads(found[0]))):
            cloud.delete(folder / name, uploaded[name])


def _upload(
    scratch: Path, folder: GCSPath, last: str, found: tuple[bytes, int] | None, uploaded: dict[str, int]
) -> None:
    """Claim the folder and write it.

    Args:
        scratch: See ``upload_whole``.
        folder: Likewise.
        last: Likewise.
        found: What is in the last file, and its generation.
        uploaded: Is given the name and generation of every file that was uploaded.

    Raises:
        ChangedError: As soon as it turns out that somebody else has claimed it.
    """
    content, generation = (None, cloud.ABSENT) if found is None else (parsed(found[0], folder / last), found[1])
    names = sorted(names_below(scratch) - {last})
    ours = {*names, *_listed(content)} - {last}
    claim = _Claim(folder / last, {WRITING: uuid.uuid4().hex, FILES: sorted(ours)}, generation)
    there = cloud.generations_below(folder)
    claim.require()  # after the look: what a later writer has put there is not written over
    for name in names:
        uploaded[name] = claim.put(scratch / name, folder / name, there.get(name, cloud.ABSENT))
    for name in sorted(ours & set(there) - set(names)):
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

    def put(self, file: Path, where: GCSPath, generation: int) -> int:
        """Upload a file over a generation, or over what an earlier writer has put there since; returns the new one."""
        while True:
            try:
                return cloud.upload(file, where, generation)
            except ChangedError:
                generation = cloud.generation(where)
                self.require()

    def remove(self, where: GCSPath, generation: int) -> None:
        """Remove an object of a generation, or what an earlier writer has put there since."""
        while generation != cloud.ABSENT:
            cloud.delete(where, generation)
            generation = cloud.generation(where)
            self.require()

    def finish(self, content: bytes) -> None:
        """Write the last file."""
        cloud.put(self._path, content, self._generation)


def _outcome(path: GCSPath) -> tuple[bytes, int] | None:
    """What the last file says once the writer that took over has finished, or has not for ``PATIENCE_S``."""
    found, end = cloud.read(path), time.monotonic() + PATIENCE_S
    while found is not None and _is_claimed(found) and time.monotonic() < end:
        time.sleep(LOOK_S)
        now = cloud.read(path)
        if now is None or now[1] != found[1]:
            found, end = now, time.monotonic() + PATIENCE_S
    return found


def _is_claimed(found: tuple[bytes, int]) -> bool:
    return is_claim(json.loads(found[0]))


def _listed(content: Any) -> Iterable[str]:
    """The files that a claim or a list of contents names."""
    return content.get(FILES, ()) if isinstance(content, dict) else ()
