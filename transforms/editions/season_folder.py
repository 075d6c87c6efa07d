"""The folder of a season: its editions, which of them readers are pointed at, and the lease of the run at work."""

import json
import platform
import re
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

from stook.models.errors import InputError
from stook.transforms.editions import signals
from stook.transforms.editions.edition import MANIFEST, Edition
from stook.transforms.editions.lease import Lease, now
from stook.transforms.editions.ledger import RemovedError
from stook.transforms.editions.plan import Plan
from stook.transforms.editions.signals import Signals
from stook.transforms.store import (
    SCRAP,
    Address,
    ChangedError,
    address_of,
    files_in,
    folders_in,
    json_bytes,
    read_json,
    read_versioned,
    remove,
    remove_folder,
    require_writable,
    scraps_below,
    swap,
    sweep,
    write_json,
    writing,
)

POINTER = "current.json"
NAME = re.compile(r"\d{8}T\d{6}Z-")
UNPUBLISHED: dict[str, Any] = {"edition": None, "previous": []}
EMBEDDINGS = "embeddings"  # folder, in a season's, of the editions that hold feature vectors
EditionKind = Literal["maps", "embeddings"]
RECORDED_PACKAGES = ("stook", "apache-beam", "torch", "rasterio", "pyproj", "zarr", "numpy")


def season_folders(output: Address | str, name: str, season: str) -> dict[int, "SeasonFolder"]:
    """Harvest year -> the folder of that season, of those that have one, by year.

    Args:
        output: Folder of all results.
        name: Of the region.
        season: Its name without the year, e.g. ``main``.
    """
    region = address_of(output) / name
    found = (re.fullmatch(rf"{re.escape(season)}-(\d{{4}})", folder) for folder in folders_in(region))
    return {int(match[1]): SeasonFolder.at(region / match[0]) for match in found if match}


class SeasonFolder:
    """All editions of one region and season.

    Args:
        output: Folder of all results.
        name: Of the region.
        season: E.g. ``main-2019``.
    """

    def __init__(self, output: Address | str, name: str, season: str):
        self.output = address_of(output)
        self.folder = self.output / name / season

    @classmethod
    def at(cls, folder: Address) -> "SeasonFolder":
        """The editions in a folder; ``output`` is two levels up."""
        return cls(folder.parent.parent, folder.parent.name, folder.name)

    @property
    def embeddings(self) -> "SeasonFolder":
        """The editions of the same season that hold feature vectors."""
        if self.kind == "embeddings":
            return self
        return SeasonFolder(self.output, self.folder.parent.name, f"{self.folder.name}/{EMBEDDINGS}")

    @property
    def region(self) -> Address:
        """The folder of all seasons of the region."""
        return self.folder.parent.parent if self.kind == "embeddings" else self.folder.parent

    @property
    def kind(self) -> EditionKind:
        """What its editions hold: maps, or feature vectors."""
        return "embeddings" if self.folder.name == EMBEDDINGS else "maps"

    @property
    def season(self) -> str:
        """The season that its editions are of, whatever they hold."""
        return self.folder.parent.name if self.kind == "embeddings" else self.folder.name

    @property
    def title(self) -> str:
        """Season, and what its editions hold if that is no maps, in words."""
        return f"{self.season} embeddings" if self.kind == "embeddings" else self.season

    def require_writable(self) -> None:
        """Raise InputError where no edition could be opened; leaves nothing behind."""
        require_writable(self.output)

    def editions(self) -> list[Edition]:
        """Every edition, oldest first."""
        return [edition for edition in map(Edition, self._folders()) if edition.exists]

    def current(self) -> Edition | None:
        """The published edition, or None, also once somebody has deleted it."""
        pointer = read_json(self.folder / POINTER)
        if pointer is None or pointer["edition"] is None:
            return None
        edition = Edition(self.folder / pointer["edition"])
        return edition if edition.exists else None

    def current_of(self, key: str) -> Edition | None:
        """The published edition if it was made from a plan, else None."""
        current = self.current()
        return current if current is not None and current.manifest["key"] == key else None

    def status(self, edition: Edition) -> str:
        """``published``, ``superseded`` or ``open``."""
        pointer = read_json(self.folder / POINTER) or UNPUBLISHED
        if edition.id == pointer["edition"]:
            return "published"
        return "superseded" if edition.id in (*pointer["previous"], *pointer.get("removed", [])) else "open"

    def find(self, key: str) -> Edition | None:
        """The edition of a plan that a run goes on with, or finds done; None if there is none.

        If one of the plan is published, that is the one, unless a successor of it is open. Open ones that were begun
        before another edition was published, or from one that was taken back, are given up: no run publishes them by
        itself. If none of the plan is published, it is the open one that was begun last.
        """
        opened = self._open_of(key)
        return opened[-1] if opened else self.current_of(key)

    def begun_refresh(self, key: str, no_reuse: bool) -> Edition | None:
        """The newest successor that an earlier run has opened for a refresh of the same kind and not finished, or None.

        Args:
            key: Of the plan.
            no_reuse: Whether the refresh takes over nothing.
        """
        current = self.current()
        for edition in reversed(self._open_of(key)):
            opened = edition.manifest
            asked = opened.get("refreshes", False) and opened.get("carries", True) == (not no_reuse)
            if asked and opened["predecessor"] == (current.id if current else None):
                return edition
        return None

    def _open_of(self, key: str) -> list[Edition]:
        """The open editions of a plan that a run may go on with, oldest first; see ``find``."""
        pointer = read_json(self.folder / POINTER) or UNPUBLISHED
        shut = {pointer["edition"], *pointer["previous"], *pointer.get("removed", [])}
        newest = max(pointer.get("newest", ""), *pointer["previous"], "")
        published = self.current_of(key)
        found = []
        for edition in self.editions():
            with suppress(RemovedError):
                manifest = edition.manifest
                if manifest["key"] != key or edition.id in shut:
                    continue
                if published is None or (manifest["predecessor"] == published.id and edition.id > newest):
                    found.append(edition)
        return found

    @contextmanager
    def lease(self) -> Iterator[Lease]:
        """Be the only run that opens and fills editions of the season, for the length of the block.

        A lease that has expired, or whose holder is a process of this machine that no longer lives, is taken over, and
        what the dead left half-written is removed.

        Raises:
            InputError: If another run holds it; says who and since when.
            UnreachableError: If the store takes no lease.
        """
        with writing(self.folder):
            lease = Lease.take(self.folder)
        with lease.kept():
            with writing(self.folder):
                signals.forget(self.folder)
                self._sweep()
            yield lease

    def signals(self, lease: Lease) -> Signals:
        """What a run that holds the lease listens to."""
        return Signals(self.folder, lease.run)

    def _sweep(self) -> None:
        """Remove what killed runs and removals left; only with the lease, which its writers hold."""
        for folder in self._folders():
            if not (edition := Edition(folder)).exists:
                remove_folder(folder)
            elif self.status(edition) == "open":
                sweep(scraps_below(folder))
        if isinstance(self.folder, Path):
            sweep(self.folder / name for name in files_in(self.folder, SCRAP))

    def _folders(self) -> list[Address]:
        """Folders that are named like editions, oldest first."""
        return [self.folder / name for name in folders_in(self.folder) if NAME.match(name)]

    @contextmanager
    def opening(self, plan: Plan) -> Iterator[tuple[Edition, dict[str, Any]]]:
        """Open an edition: yields its folder to be filled and its manifest to be added to; the caller has the lease.

        The edition is there when the block ends, with its manifest; an exception leaves nothing behind.
        """
        name = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{uuid.uuid4().hex[:6]}"
        predecessor = self.current()
        manifest: dict[str, Any] = {
            "edition": name,
            "key": plan.key,
            "plan": plan.as_json(),
            "predecessor": predecessor.id if predecessor else None,
            "opened": now(),
            "versions": {package: version(package) for package in RECORDED_PACKAGES}
            | {"python": platform.python_version()},
        }
        edition = Edition(self.folder / name)
        with writing(self.folder):
            try:
                if isinstance(edition.folder, Path):  # a bucket has no folders
                    edition.folder.mkdir(parents=True)
                yield edition, manifest
                write_json(edition.folder / MANIFEST, manifest)
            except BaseException:
                remove_folder(edition.folder)
                raise

    def publish(self, edition: Edition) -> None:
        """Point readers at ``edition``, in one step.

        Raises:
            InputError: If somebody has deleted it, or has begun to.
        """

        def published(pointer: dict[str, Any]) -> dict[str, Any]:
            if edition.id in pointer.get("removed", []) or not edition.exists:
                raise InputError(f"{edition.folder}: there is no such edition any more")
            previous = [name for name in (*pointer["previous"], pointer["edition"]) if name and name != edition.id]
            newest = max(edition.id, pointer.get("newest", ""), *previous, "")  # also once it is removed
            return pointer | {"edition": edition.id, "previous": previous, "newest": newest}

        self._move_pointer(published)

    def remove(self, edition: Edition) -> None:
        """Delete an edition that no reader is pointed at; from the first step on nobody can publish it any more.

        Who was killed in the middle begins again: what is left is told as superseded, or is swept by the next run.

        Raises:
            InputError: If it is published, or a run holds the season and may be filling it.
        """

        def without(pointer: dict[str, Any]) -> dict[str, Any]:
            if pointer["edition"] == edition.id:
                raise InputError(f"{edition.folder}: is published; publish another one first")
            before = [name for name in pointer.get("removed", []) if Edition(self.folder / name).exists]
            previous = [name for name in pointer["previous"] if name != edition.id]
            return pointer | {"previous": previous, "removed": sorted({*before, edition.id})}

        # Nobody may fill an open one while it goes.
        with self.lease() if self.status(edition) == "open" else nullcontext(), writing(self.folder):
            self._move_pointer(without)
            remove(edition.folder / MANIFEST)
            remove_folder(edition.folder)

    def _move_pointer(self, change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
        """Replace the pointer by what ``change`` makes of it, again where somebody else was faster."""
        path = self.folder / POINTER
        while True:
            found, before = read_versioned(path)
            moves = 0 if found is None else json.loads(found).get("moves", 0)
            pointer = change(UNPUBLISHED if found is None else json.loads(found)) | {"moves": moves + 1}
            try:
                swap(path, json_bytes(pointer), before)
            except ChangedError:
                continue
            return
