"""Editions: opened with frozen inputs, filled by one run at a time, published by moving a pointer."""

import os
import platform
import re
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from models.errors import InputError
from transforms.editions.lease import Lease, holder, now, told
from transforms.editions.ledger import Ledger
from transforms.editions.plan import Plan
from transforms.encoding.encodings import Quantisation
from transforms.store import SCRAP, exclusive, read_json, sweep, write_json, writing

POINTER = "current.json"
LOCK = ".lock"  # held for moments: while an edition is opened, a lease taken, the pointer moved
OPENING = ".opening-"
MANIFEST = "edition.json"
EMBEDDINGS = "embeddings"  # folder, in a season's, of the editions that hold feature vectors
RECORDED_PACKAGES = ("stook", "apache-beam", "torch", "rasterio", "pyproj", "zarr", "numpy")


@dataclass(frozen=True)
class Edition:
    """One result for a region and season.

    Attributes:
        folder: ``<output>/<name>/<season>/<edition>``.
    """

    folder: Path

    @property
    def id(self) -> str:
        """Name of the edition: UTC time of opening and a random part; sorts by time."""
        return self.folder.name

    @property
    def inputs(self) -> Path:
        """The frozen list of scenes."""
        return self.folder / "inputs.parquet"

    @property
    def units(self) -> Path:
        """The frozen units of the region."""
        return self.folder / "units.parquet"

    @property
    def maps(self) -> Path:
        """The map store."""
        return self.folder / "maps.zarr"

    @property
    def ledger(self) -> Ledger:
        """What happened to each tile."""
        return Ledger(self.folder / "ledger")

    @property
    def manifest(self) -> dict[str, Any]:
        """Content of ``edition.json``."""
        return read_json(self.folder / MANIFEST)

    @property
    def plan(self) -> Plan:
        """What the edition is made of, with what was found out when it was opened."""
        manifest = self.manifest
        plan = Plan.from_json(manifest["plan"])
        found = manifest.get("quantisation")
        return plan if found is None else plan.quantised(Quantisation(tuple(found["offset"]), tuple(found["spread"])))

    @property
    def embeddings(self) -> "Edition | None":
        """The published feature vectors of the same season, or None, also once they were deleted to free the disk."""
        return SeasonFolder.at(self.folder.parent / EMBEDDINGS).current()

    @property
    def halt(self) -> Path:
        """Present while a run stops because an archive or the store does not answer; holds the reason."""
        return self.folder / "halted.json"

    @property
    def cancelled(self) -> Path:
        """Present once somebody has asked the run that fills the edition to stop; holds who and when."""
        return self.folder / "cancelled.json"


def season_folders(output: Path, name: str, season: str) -> dict[int, "SeasonFolder"]:
    """Harvest year -> the folder of that season, of those that have one, by year.

    Args:
        output: Folder of all results.
        name: Of the region.
        season: Its name without the year, e.g. ``main``.
    """
    region = output / name
    found = ((re.fullmatch(rf"{re.escape(season)}-(\d{{4}})", path.name), path) for path in region.glob(f"{season}-*"))
    return dict(sorted((int(match[1]), SeasonFolder.at(path)) for match, path in found if match))


class SeasonFolder:
    """All editions of one region and season.

    Args:
        output: Folder of all results.
        name: Of the region.
        season: E.g. ``main-2019``.
    """

    def __init__(self, output: Path, name: str, season: str):
        self.output = output
        self.folder = output / name / season

    @classmethod
    def at(cls, folder: Path) -> "SeasonFolder":
        """The editions in a folder; ``output`` is two levels up."""
        return cls(folder.parents[1], folder.parent.name, folder.name)

    def require_writable(self) -> None:
        """Raise InputError where no edition could be opened; leaves nothing behind."""
        home = next(path for path in (self.folder, *self.folder.parents) if path.exists())
        if not home.is_dir():
            raise InputError(f"output: {self.output}: {home} is a file; output is a folder, it need not exist yet")
        if not os.access(home, os.W_OK | os.X_OK):
            raise InputError(f"output: {self.output}: no permission to write in {home}, or it is read-only")

    def editions(self) -> list[Edition]:
        """Every edition, oldest first."""
        manifests = sorted(self.folder.glob(f"*/{MANIFEST}"))
        return [Edition(path.parent) for path in manifests if not path.parent.name.startswith(OPENING)]

    def current(self) -> Edition | None:
        """The published edition, or None, also once somebody has deleted it."""
        pointer = read_json(self.folder / POINTER)
        there = pointer and (self.folder / pointer["edition"] / MANIFEST).exists()
        return Edition(self.folder / pointer["edition"]) if there else None

    def status(self, edition: Edition) -> str:
        """``published``, ``superseded`` or ``open``."""
        pointer = read_json(self.folder / POINTER) or {"edition": None, "previous": []}
        if edition.id == pointer["edition"]:
            return "published"
        return "superseded" if edition.id in pointer["previous"] else "open"

    def find(self, key: str) -> Edition | None:
        """The newest edition made from the same plan that was not superseded, or None."""
        same = [e for e in self.editions() if e.manifest["key"] == key and self.status(e) != "superseded"]
        return same[-1] if same else None

    @contextmanager
    def opening(self, plan: Plan) -> Iterator[tuple[Edition, dict[str, Any]]]:
        """Open an edition: yields its hidden folder to be filled and its manifest to be added to.

        The edition appears whole when the block ends; an exception leaves nothing behind.
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
        hidden = self.folder / f"{OPENING}{name}"
        with writing(self.folder), exclusive(self.folder / LOCK):
            self._sweep()
            try:
                hidden.mkdir()
                yield Edition(hidden), manifest
                write_json(hidden / MANIFEST, manifest)
                hidden.rename(self.folder / name)
            finally:
                shutil.rmtree(hidden, ignore_errors=True)

    def _sweep(self) -> None:
        """Remove what killed runs left beside the editions; only under the lock, which its writers hold."""
        for abandoned in self.folder.glob(f"{OPENING}*"):
            shutil.rmtree(abandoned, ignore_errors=True)
        sweep(self.folder.glob(SCRAP))

    def publish(self, edition: Edition) -> None:
        """Point readers at ``edition``, in one step."""
        with exclusive(self.folder / LOCK):
            pointer = read_json(self.folder / POINTER) or {"edition": None, "previous": []}
            if pointer["edition"] != edition.id:
                previous = [e for e in (*pointer["previous"], pointer["edition"]) if e and e != edition.id]
                write_json(self.folder / POINTER, {"edition": edition.id, "previous": previous})

    @contextmanager
    def lease(self, edition: Edition) -> Iterator[None]:
        """Be the only run that fills ``edition``, for the length of the block.

        A lease that has expired, or whose holder is a process of this machine that no longer lives, is taken over, and
        what the dead left half-written is removed.

        Raises:
            InputError: If another run holds it; says who and since when.
            UnreachableError: If the disk takes no lease.
        """
        with writing(self.folder), exclusive(self.folder / LOCK):
            lease = Lease.take(edition.folder)
            edition.cancelled.unlink(missing_ok=True)  # asked of a run that is no more
            self._sweep()
        sweep(edition.folder.rglob(SCRAP))
        with lease.kept():
            yield

    def remove(self, edition: Edition) -> None:
        """Delete an edition that no reader is pointed at and no run holds, all at once for whoever looks.

        Raises:
            InputError: If it is published, or a run is at work on it.
        """
        with writing(self.folder), exclusive(self.folder / LOCK):
            if self.status(edition) == "published":
                raise InputError(f"{edition.folder}: is published; publish another one first")
            if held := holder(edition.folder):
                raise InputError(f"{edition.folder}: {told(held)}; stop it first, with 'stook cancel'")
            hidden = self.folder / f"{OPENING}{edition.id}"
            edition.folder.rename(hidden)
            pointer = read_json(self.folder / POINTER)
            if pointer and edition.id in pointer["previous"]:
                left = [name for name in pointer["previous"] if name != edition.id]
                write_json(self.folder / POINTER, pointer | {"previous": left})
            shutil.rmtree(hidden)
