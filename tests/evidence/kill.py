"""Experiment ``kill``: a run killed at any moment, and the same command run again to the end.

``python -m tests.evidence.kill POINT map CONFIG --year Y`` is ``stook map`` that kills itself at a named point. The
points are put in from outside, the product knows nothing of them.
"""

import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import zarr
import zarr.storage._local as zarr_files

from tests.evidence.figure import Experiment, Figure
from tests.pipelines.small_season import SmallSeason, write_small_season
from transforms.editions import map_store
from transforms.editions.edition import Edition, SeasonFolder
from transforms.editions.ledger import Ledger
from transforms.store import swapping
from transforms.store.swapping import LOCK

ROOT = Path(__file__).resolve().parents[2]
RANDOM_KILLS = 10
SEED = 20
SHARD_OF_DEATH = 5  # two shards a tile: in the middle of a tile, after some others have their records
RECORD_OF_DEATH = 3


def die() -> None:
    """Kill -9 this process."""
    os.kill(os.getpid(), signal.SIGKILL)


def before(home: Any, name: str, fatal: Callable[..., bool], last_act: Callable[..., None] = lambda *_: None) -> None:
    """Make the call of ``home.name`` for which ``fatal`` is true end the process instead."""
    original = getattr(home, name)

    def replacement(*arguments: Any, **keywords: Any) -> Any:
        if fatal(*arguments):
            last_act(*arguments)
            die()
        return original(*arguments, **keywords)

    setattr(home, name, replacement)


def after(home: Any, name: str) -> None:
    """End the process as soon as the first call of ``home.name`` has returned."""
    original = getattr(home, name)

    def replacement(*arguments: Any, **keywords: Any) -> None:
        original(*arguments, **keywords)
        die()

    setattr(home, name, replacement)


def nth_shard() -> Callable[..., bool]:
    """Whether Zarr is about to write the shard of death."""
    number = count(1)
    return lambda path, *_: "cropland/c/" in path.as_posix() and next(number) == SHARD_OF_DEATH


def nth_record() -> Callable[..., bool]:
    """Whether the record of death is about to be committed."""
    number = count(1)
    return lambda *_: next(number) == RECORD_OF_DEATH


def half_a_shard(path: Path, value: Any, *_: Any) -> None:
    """Leave what Zarr leaves when it dies while writing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    content = bytes(value.as_buffer_like())
    path.with_suffix(f".{'0' * 32}.partial").write_bytes(content[: len(content) // 2])


def torn_shard(path: Path, value: Any, *_: Any) -> None:
    """Leave half a shard under its own name, as a store without atomic replacement would."""
    path.parent.mkdir(parents=True, exist_ok=True)
    content = bytes(value.as_buffer_like())
    path.write_bytes(content[: len(content) // 2])


def half_a_file(path: Path, content: bytes) -> None:
    """Leave what ``transforms.store`` leaves when it dies while writing."""
    scratch = path.parent / f".{path.name}-{'0' * 32}.partial"
    scratch.write_bytes(content[: len(content) // 2])


POINTS: dict[str, Callable[[], None]] = {
    "while the edition is opened": lambda: after(map_store, "create"),
    "in the middle of a shard": lambda: before(zarr_files, "_put", nth_shard(), half_a_shard),
    "in the middle of a shard, torn": lambda: before(zarr_files, "_put", nth_shard(), torn_shard),
    "between shard and record": lambda: before(Ledger, "commit", nth_record()),
    "in the middle of a record": lambda: before(
        swapping, "write_bytes", lambda path, _: path.parent.name == "ledger", half_a_file
    ),
    "between statistics and pointer": lambda: before(SeasonFolder, "publish", lambda *_: True),
    "in the middle of the pointer": lambda: before(
        swapping, "write_bytes", lambda path, _: path.name == "current.json", half_a_file
    ),
    "after the pointer": lambda: after(SeasonFolder, "publish"),
}


@dataclass(frozen=True)
class Wreck:
    """What a killed run left.

    Attributes:
        stage: How far it had come, in words.
        begun: Tiles with an attempt marker and no record.
        recorded: Tile -> when its record was written, ns.
    """

    stage: str
    begun: frozenset[str]
    recorded: dict[str, int]

    @classmethod
    def at(cls, season: SmallSeason) -> "Wreck":
        """What there is now."""
        folder = season_folder(season)
        editions = folder.editions()
        if not editions:
            return cls("before an edition was open", frozenset(), {})
        [edition] = editions
        recorded = {path.stem: path.stat().st_mtime_ns for path in edition.ledger.folder.glob("*.json")}
        begun = {path.stem for path in edition.ledger.attempts.glob("*.json")} - set(recorded)
        if folder.current() is not None:
            stage = "after publication"
        elif len(recorded) == len(edition.manifest["tiles"]):
            stage = "with every tile recorded, before publication"
        else:
            stage = "among the tiles"
        return cls(stage, frozenset(begun), recorded)


@dataclass(frozen=True)
class Verdict:
    """How a killed run ended after it was continued.

    Attributes:
        wreck: What the killed run left.
        differing_bytes: Against the undisturbed run.
        redone: Tiles computed again of those whose work had begun.
        scraps: Files left behind that belong to nothing.
    """

    wreck: Wreck
    differing_bytes: int
    redone: int
    scraps: list[str]


def command(season: SmallSeason, point: str | None = None) -> list[str]:
    """``stook map`` of the season, that dies at a point."""
    module = ["pipelines.cli"] if point is None else ["tests.evidence.kill", point]
    return [sys.executable, "-m", *module, "map", str(season.config), "--year", str(season.year), "--quiet"]


def run(season: SmallSeason, point: str | None = None, delay_s: float | None = None) -> int:
    """Run ``stook map``, killed at ``point`` or after ``delay_s``; its exit status, negative for a signal."""
    with (season.folder / "run.log").open("a") as log:  # a pipe would be held open by workers that outlive the run
        process = subprocess.Popen(command(season, point), stdout=log, stderr=log, cwd=ROOT)
        if delay_s is not None:
            try:
                process.wait(delay_s)
            except subprocess.TimeoutExpired:
                process.kill()
        return process.wait()


def season_folder(season: SmallSeason) -> SeasonFolder:
    """The editions of the season."""
    return SeasonFolder(season.output.parents[1], "simulated", season.output.name)


def published(season: SmallSeason) -> Edition:
    """The published edition."""
    edition = season_folder(season).current()
    if edition is None:
        raise RuntimeError(f"nothing is published: {(season.folder / 'run.log').read_text()[-2000:]}")
    return edition


def finish(season: SmallSeason, undisturbed: Edition, again: Callable[[SmallSeason], int] = run) -> Verdict:
    """Run the same command to the end and compare."""
    wreck = Wreck.at(season)
    status = again(season)
    if status != 0:
        raise RuntimeError(f"the continued run ended with {status}: {(season.folder / 'run.log').read_text()[-2000:]}")
    edition = published(season)
    anew = [
        tile for tile, at in wreck.recorded.items() if (edition.ledger.folder / f"{tile}.json").stat().st_mtime_ns != at
    ]
    return Verdict(wreck, differing_bytes(undisturbed, edition), len(wreck.begun) + len(anew), scraps(season.output))


def scraps(output: Path) -> list[str]:
    """Files and folders of the season that a killed writer left behind."""
    return sorted(
        path.name
        for path in output.rglob("*")
        if (path.name.startswith(".") and path.name != LOCK) or path.suffix == ".partial"
    )


def differing_bytes(one: Edition, other: Edition) -> int:
    """Bytes in which the files of the maps, their decoded arrays and the statistics of two editions differ."""
    names = {
        path.relative_to(edition.folder)
        for edition in (one, other)
        for path in (*edition.maps.rglob("*"), *edition.folder.glob("statistics.*"))
        if path.is_file()
    }
    files = sum(difference(contents(one.folder / name), contents(other.folder / name)) for name in names)
    pairs = zip(arrays(one), arrays(other), strict=True)
    return files + sum(difference(a, b) if path == path_b else a.nbytes + b.nbytes for (path, a), (path_b, b) in pairs)


def contents(path: Path) -> np.ndarray:
    """The bytes of a file, none where there is no file."""
    return np.frombuffer(path.read_bytes() if path.is_file() else b"", np.uint8)


def arrays(edition: Edition) -> Iterator[tuple[str, np.ndarray]]:
    """Every array of the maps, decoded."""
    for path, member in sorted(zarr.open_group(edition.maps, mode="r").members(max_depth=None)):
        if isinstance(member, zarr.Array):
            yield path, np.asarray(member[:])


def difference(one: np.ndarray, other: np.ndarray) -> int:
    """Bytes that differ, and those that only one of both has."""
    a, b = (np.frombuffer(np.ascontiguousarray(array).tobytes(), np.uint8) for array in (one, other))
    common = min(a.size, b.size)
    return int(np.count_nonzero(a[:common] != b[:common])) + abs(a.size - b.size)


def experiment(scratch: Path) -> Iterator[Figure]:
    """Kill at every named point and at random moments, finish, compare."""
    pristine = write_small_season(scratch / "pristine").hurried(months=6)
    calm = pristine.copy(scratch / "undisturbed")
    start = time.monotonic()
    if run(calm) != 0:
        raise RuntimeError((calm.folder / "run.log").read_text()[-2000:])
    duration_s = time.monotonic() - start
    undisturbed = published(calm)
    verdicts = []
    for point in POINTS:
        season = pristine.copy(scratch / re.sub(r"\W+", "-", point))
        if run(season, point) != -signal.SIGKILL:
            raise RuntimeError(f"{point}: the run did not die: {(season.folder / 'run.log').read_text()[-2000:]}")
        verdicts.append(finish(season, undisturbed))
    moments = np.random.default_rng(SEED)
    for number in range(RANDOM_KILLS):
        for again in count():  # a run that was quicker than its death is not counted; another takes its place
            season = pristine.copy(scratch / f"random-{number}-{again}")
            if run(season, delay_s=moments.uniform(0, duration_s)) == -signal.SIGKILL:
                break
        verdicts.append(finish(season, undisturbed))
    stages = Counter(verdict.wreck.stage for verdict in verdicts)
    tiles = len(undisturbed.manifest["tiles"])
    told = ", ".join(f"{number} {stage}" for stage, number in stages.most_common())
    yield Figure("kill.runs", len(verdicts), f"{len(POINTS)} at named points, {RANDOM_KILLS} at random; {told}")
    differing = sum(verdict.differing_bytes for verdict in verdicts)
    yield Figure("kill.differing_bytes", differing, "shards, arrays, statistics against an undisturbed run; target 0")
    redone = max(verdict.redone for verdict in verdicts)
    in_flight = pristine.configuration.run.workers
    yield Figure(
        "kill.tiles_redone", redone, f"most of any run, of {tiles} tiles; target: at most {in_flight}, in flight"
    )
    left = sum(len(verdict.scraps) for verdict in verdicts)
    yield Figure("kill.scraps", left, "half-written files and hidden folders still there at the end; target 0")


EXPERIMENT = Experiment("kill", experiment)


def main() -> None:
    """Be ``stook``, until the point of the first argument."""
    from pipelines.cli import main as stook

    POINTS[sys.argv.pop(1)]()
    stook()


if __name__ == "__main__":
    main()
