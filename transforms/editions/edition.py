"""An edition: one result for a region and season, with frozen inputs, filled by one run at a time."""

import hashlib
import json
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from stook.transforms.editions.ledger import Ledger, RemovedError
from stook.transforms.editions.plan import Plan, digest
from stook.transforms.editions.run_summary import RUN_SUMMARY, RunSummary
from stook.transforms.encoding.encodings import Quantisation
from stook.transforms.store import (
    Address,
    ChangedError,
    exists,
    json_bytes,
    read_bytes,
    read_json,
    read_versioned,
    swap,
)

MANIFEST = "edition.json"  # written last: a folder without it is no edition


@dataclass(frozen=True)
class Edition:
    """One result for a region and season.

    Attributes:
        folder: ``<output>/<name>/<season>/<edition>``.
    """

    folder: Address

    @property
    def id(self) -> str:
        """Name of the edition: UTC time of opening and a random part; sorts by time."""
        return self.folder.name

    @property
    def inputs(self) -> Address:
        """The frozen list of scenes."""
        return self.folder / "inputs.parquet"

    @property
    def units(self) -> Address:
        """The frozen units of the region."""
        return self.folder / "units.parquet"

    @property
    def maps(self) -> Address:
        """The map store."""
        return self.folder / "maps.zarr"

    @property
    def ledger(self) -> Ledger:
        """What happened to each tile."""
        return Ledger(self.folder / "ledger")

    @property
    def exists(self) -> bool:
        """Whether it has been opened, and not deleted since."""
        return exists(self.folder / MANIFEST)

    @property
    def manifest(self) -> dict[str, Any]:
        """Content of ``edition.json``; raises RemovedError where there is none, or none any more."""
        manifest: dict[str, Any] | None = read_json(self.folder / MANIFEST)
        if manifest is None:
            raise RemovedError(f"{self.folder}: there is no such edition any more")
        return manifest

    @property
    def plan(self) -> Plan:
        """What the edition is made of, with what was found out when it was opened."""
        manifest = self.manifest
        plan = Plan.from_json(manifest["plan"])
        found = manifest.get("quantisation")
        return plan if found is None else plan.quantised(Quantisation(tuple(found["offset"]), tuple(found["spread"])))

    @property
    def seal(self) -> str:
        """Hash of everything that was frozen when it was opened: plan, scenes, units, absent bands, rounding."""
        manifest = self.manifest
        frozen = [hashlib.sha256(read_bytes(path) or b"").hexdigest() for path in (self.inputs, self.units)]
        return digest([manifest["plan"], manifest.get("absent_bands"), manifest.get("quantisation"), *frozen])

    @property
    def runs(self) -> list[RunSummary]:
        """The runs that worked on it and came to tell of it, oldest first."""
        return [RUN_SUMMARY.validate_python(run) for run in self.manifest.get("runs", [])]

    def add_run(self, summary: RunSummary) -> None:
        """Keep what a run came to, however many add theirs at a time; the caller knows that it is not published."""
        path = self.folder / MANIFEST
        while True:
            found, before = read_versioned(path)
            if found is None:
                return  # somebody has deleted it
            manifest = json.loads(found)
            runs = [*manifest.get("runs", []), RUN_SUMMARY.dump_python(summary, mode="json")]
            with suppress(ChangedError):
                swap(path, json_bytes(manifest | {"runs": runs}), before)
                return
