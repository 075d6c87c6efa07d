"""Something that is wrong with a season, and what a run says, ends with and leaves behind."""

import json
import re
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stook.transforms.editions.season_folder import SeasonFolder
from stook.transforms.store.swapping import LOCK
from tests.pipelines.small_season import SmallSeason

ROOT = Path(__file__).resolve().parents[2]
NOTHING, OPEN, PUBLISHED = "nothing", "an open edition", "a published edition"
SECRET = "SECRET"  # what tokens of the tests have in them  # noqa: S105


class UnavailableError(Exception):
    """This machine cannot produce the case; says why."""


@dataclass(frozen=True)
class Observation:
    """What one run did.

    Attributes:
        status: Exit status.
        lines: Standard error, without empty lines and progress bars.
        left: ``NOTHING``, ``OPEN`` or ``PUBLISHED``.
        tiles: How many tiles have a record, of how many; empty where nothing is left.
        scraps: Files that belong to nothing.
        seconds: How long it took.
    """

    status: int
    lines: list[str]
    left: str
    tiles: str
    scraps: list[str]
    seconds: float


@dataclass(frozen=True)
class Case:
    """Something that is wrong.

    Attributes:
        name: Identifies the case.
        wrong: What is wrong, for the table.
        spoil: Makes it so; returns the command's words, ``stook map`` if None.
        status: Expected exit status.
        says: Regular expression that the last line matches; for status 0 and 3, some line.
        left: What is expected to be left behind.
    """

    name: str
    wrong: str
    spoil: Callable[[SmallSeason, ExitStack], list[str] | None]
    status: int
    says: str
    left: str = NOTHING

    def complaints(self, seen: Observation) -> list[str]:
        """What is not as expected; empty if all is."""
        told = seen.lines if self.status in (0, 3) else seen.lines[-1:]
        wrong = {
            f"exit status {seen.status}, not {self.status}": seen.status != self.status,
            f"nothing says {self.says!r}": not any(re.search(self.says, line) for line in told),
            "a traceback": any("Traceback" in line or "internal error" in line for line in seen.lines),
            f"{seen.left} is left, not {self.left}": seen.left != self.left,
            f"scraps: {seen.scraps}": bool(seen.scraps),
            "a token is told": any(SECRET in line for line in seen.lines),
        }
        return [text for text, holds in wrong.items() if holds]

    def command(self, season: SmallSeason, stack: ExitStack) -> list[str]:
        """Spoil the season; returns the words after ``stook``."""
        return self.spoil(season, stack) or ["map", str(season.config), "--year", str(season.year)]


def look(season: SmallSeason, status: int, text: str, seconds: float) -> Observation:
    """What a run printed on standard error and left behind."""
    lines = [line.rstrip() for line in text.splitlines() if line.strip() and not line.startswith("tiles ")]
    folder = SeasonFolder(str(season.output.parents[1]), "simulated", season.output.name)
    editions = folder.editions()
    left = NOTHING if not editions else OPEN if folder.current() is None else PUBLISHED
    tiles = ""
    if editions:
        records = len(list(editions[-1].ledger.folder.glob("*.json")))
        tiles = f"{records} of {len(editions[-1].manifest['tiles'])} tiles recorded"
    strange = scraps(season.output) + [path.name for path in season.output.glob("*/lease.json")]
    return Observation(status, lines, left, tiles, strange, seconds)


def scraps(output: Path) -> list[str]:
    """Files and folders of a season that a writer left behind half-done."""
    return sorted(
        path.name
        for path in output.rglob("*")
        if (path.name.startswith(".") and path.name != LOCK) or path.suffix == ".partial"
    )


def run_command(words: list[str]) -> tuple[int, str]:
    """Run ``stook`` as a process of its own; returns exit status and standard error."""
    done = subprocess.run(
        [sys.executable, "-m", "stook.pipelines.cli", *words], capture_output=True, text=True, cwd=ROOT, check=False
    )
    return done.returncode, done.stderr


def observe(case: Case, season: SmallSeason, run: Callable[[list[str]], tuple[int, str]] = run_command) -> Observation:
    """Spoil the season, run the command, look at what it left."""
    with ExitStack() as stack:
        words = case.command(season, stack)
        start = time.monotonic()
        status, text = run(words)
        return look(season, status, text, time.monotonic() - start)


def edit_items(season: SmallSeason, sensor: str, change: Callable[[dict[str, Any]], None]) -> None:
    """Change the STAC items of a sensor."""
    for path in season.items():
        if path.name.startswith(sensor):
            item = json.loads(path.read_text())
            change(item)
            path.write_text(json.dumps(item))
