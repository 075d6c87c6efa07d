"""A kept plan beside what came of it."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from stook.models.errors import InputError
from stook.pipelines.configuration import MapConfiguration
from stook.pipelines.kind import MAPS, Kind
from stook.transforms.editions.edition import Edition
from stook.transforms.editions.run_summary import RunSummary
from stook.transforms.tiles.past import seconds_of

COUNTED = ("scene_reads", "assets", "bytes_read", "chips", "pixels")
NAMES = {"scene_reads": "scenes"}  # what the ledger calls it


@dataclass(frozen=True)
class Compared:
    """A figure of a plan and what it came to.

    Attributes:
        figure: Its name in the plan.
        planned: As planned; None where the plan did not know.
        actual: As recorded; None where nothing was recorded.
    """

    figure: str
    planned: float | None
    actual: float | None

    @property
    def error_percent(self) -> float | None:
        """By how much the plan is off, of what it came to."""
        if self.planned is None or not self.actual:
            return None
        return 100 * (self.planned - self.actual) / self.actual


@dataclass(frozen=True)
class Comparison:
    """A plan and an edition.

    Attributes:
        edition: That was made of the plan.
        figures: Side by side.
        notes: What else to know.
    """

    edition: str
    figures: tuple[Compared, ...]
    notes: tuple[str, ...]


def compare_with_run(config: MapConfiguration, year: int, file: Path, kind: Kind = MAPS) -> Comparison:
    """Hold a plan that was kept against the edition that was made since.

    Args:
        config: The configuration.
        year: Harvest year.
        file: What ``stook plan --json`` printed.
        kind: Whether it is of maps or of feature vectors.

    Raises:
        InputError: If the file is no plan, or of another season or kind, or no edition was worked on since.
    """
    planned = read_plan(file)
    folder = kind.folder(config, year)
    if (planned["name"], planned["season"]) != (config.name, folder.season):
        raise InputError(f"--compare {file}: is of {planned['name']} {planned['season']}, not of {folder.folder}")
    if (of := planned.get("kind", MAPS.name)) != kind.name:
        raise InputError(f"--compare {file}: is of {of}, not of {kind.name}; --embeddings tells which are meant")
    made = [edition for edition in folder.editions() if edition.manifest["key"] == planned["key"]]
    meant = [edition for edition in made if edition.id == planned["continues"] or since(edition, planned["made"])]
    if not meant:
        raise InputError(f"{folder.folder}: no edition was made as planned in {file}; run '{kind.makes}' first")
    return compared(meant[0], planned)


def read_plan(file: Path) -> dict[str, Any]:
    """A plan that was kept; raises InputError if the file is none."""
    try:
        content = json.loads(file.read_bytes())
    except (OSError, ValueError) as error:
        raise InputError(f"--compare {file}: is not what 'stook plan --json' prints ({error})") from error
    if not isinstance(content, dict) or not {"key", "season", "made", "compute", *COUNTED} <= content.keys():
        raise InputError(f"--compare {file}: is not what 'stook plan --json' prints")
    return content


def since(edition: Edition, moment: str) -> bool:
    """Whether an edition was opened after a moment."""
    return datetime.fromisoformat(edition.manifest["opened"]) >= datetime.fromisoformat(moment)


def compared(edition: Edition, planned: dict[str, Any]) -> Comparison:
    """The figures of a plan beside those of the tiles that were worked on since."""
    made = datetime.fromisoformat(planned["made"])
    sums: dict[str, float] = {}
    computed = failed = uncounted = 0
    for record in edition.ledger.records():
        own = [product for product in record.products.values() if product.carried is None]
        if not own or datetime.fromisoformat(record.finished) < made:
            continue
        computed += 1
        failed += record.failed
        uncounted += bool(record.amounts.get("unsized"))
        for name, count in record.amounts.items():
            sums[name] = sums.get(name, 0) + count
    known = {name: planned[name]["value"] for name in COUNTED}
    counts = [Compared(name, known[name], sums.get(NAMES.get(name, name))) for name in COUNTED]
    notes = [f"{failed} tiles failed, of which something may not have been read"] if failed else []
    notes += [f"bytes of some files of {uncounted} tiles are unknown and not counted"] if uncounted else []
    if planned.get("machine", "").split(" ")[0] != "this":
        notes.append(f"time was planned for {planned.get('machine')}")
    seconds = worked(edition.runs, made)
    figures = (
        Compared("tiles computed", planned["compute"]["value"], computed),
        *counts,
        Compared("seconds", planned["seconds"], seconds),
    )
    return Comparison(edition.id, figures, tuple(notes))


def worked(runs: Iterable[RunSummary], made: datetime) -> float | None:
    """Seconds of the runs that were started after a moment, or None where there are none."""
    spans = [seconds_of(run) for run in runs if datetime.fromisoformat(run.started) >= made]
    return sum(spans) if spans else None
