"""Experiment ``ledger``: what a season of 300,000 tiles costs beside its tiles.

An edition by hand, on this machine's disk: the plan of cropland, a region of one unit of many, records with areas of a
handful of units each; no imagery, no shards. Measured is what the driver of a run does, each step in the order of a run
and all in one process of its own: opening (manifest, empty maps), a record per tile (simulated, told apart), finding
what is left when all but some are done, compaction, statistics, publication and ``stook status``. Seconds are of the
steps without making the records; memory is the process's greatest.

``python -c "from tests.evidence.ledger import main; main(20_000)"`` does it for fewer tiles.
"""

import json
import math
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import shapely

from stook.transforms.editions import map_store
from stook.transforms.editions.edition import Edition
from stook.transforms.editions.ledger import RECORD, ProductRecord, TileRecord
from stook.transforms.editions.season_folder import SeasonFolder
from stook.transforms.editions.state import state_of
from stook.transforms.ground.grid import Tile, Zone
from stook.transforms.ground.region import Region
from stook.transforms.ground.unit import Unit
from stook.transforms.statistics.table import failed_share, write_statistics
from stook.transforms.store import json_bytes
from stook.transforms.tiles.due import due_tiles
from tests.evidence.figure import Experiment, Figure
from tests.transforms.editions.test_edition import make_plan

TILES = 300_000
LEFT = 100  # tiles that a continued run still has to do
UNITS, UNITS_OF_A_TILE = 1000, 4
MIB = 1024  # of the KiB in which the system tells memory


def tiles_of(number: int) -> list[Tile]:
    """A square of tiles; a country of 300,000 tiles of 10 km is some 5,500 km wide, so the tiles are smaller."""
    side = math.isqrt(number - 1) + 1
    return [Tile(Zone(37, False), 10_000 + index % side, 10_000 + index // side) for index in range(number)]


def record_of(tile: Tile, number: int, seal: str) -> TileRecord:
    """What a tile may have been: shares of four units in five values."""
    units = [f"unit-{(number // 300 + step) % UNITS:04d}" for step in range(UNITS_OF_A_TILE)]
    areas = {unit: {0: 10**9 + number, 20: 10**8, 50: 10**8, 80: 10**7, 251: 10**6} for unit in units}
    made = ProductRecord(f"{number:064x}", "done", areas, batch=256)
    seconds = {"read": 12.5, "encode": 30.25, "write": 0.5}
    return TileRecord(tile.name, {"cropland": made}, 1, seconds, "2026-01-01T00:00:00+00:00", seal=seal)


def steps(folder: Path, number: int) -> Iterator[tuple[str, float]]:
    """Each step and its seconds."""
    home, plan, tiles = SeasonFolder(folder, "country", "main-2019"), make_plan(), tiles_of(number)
    shapes = [shapely.box(36 + index / 1e4, 9, 36 + (index + 1) / 1e4, 9.001) for index in range(UNITS)]
    names = [f"unit-{index:04d}" for index in range(UNITS)]
    region = Region(tuple(Unit(name, name, ("all",), shape) for name, shape in zip(names, shapes, strict=True)))
    start = time.perf_counter()
    with home.opening(plan) as (hidden, manifest):
        region.write(hidden.units)
        map_store.create(hidden.maps, plan, tiles)
        manifest |= {
            "tiles": [tile.name for tile in tiles],
            "absent_bands": [],
            "calibrated": {"cropland": True},
            "licences": {"cropland": "none"},
        }
    yield "open", time.perf_counter() - start
    edition = Edition(home.folder / manifest["edition"])
    start, seal = time.perf_counter(), edition.seal
    edition.ledger.folder.mkdir()
    for index, tile in enumerate(tiles[LEFT:]):
        if index % 300 == 0:  # neighbours lie in the same units and have the same areas
            template = json_bytes(RECORD.dump_python(record_of(tile, index, seal), mode="json")), tile.name.encode()
        content = template[0].replace(template[1], tile.name.encode())
        (edition.ledger.folder / f"{tile.name}.json").write_bytes(content)  # without waiting for the disk each time
    yield "simulate", time.perf_counter() - start
    with home.lease() as lease:
        start = time.perf_counter()
        lease.say(edition=edition.id)
        due = due_tiles(edition)
        yield "plan", time.perf_counter() - start
        if due != [tile.name for tile in tiles[:LEFT]]:
            raise RuntimeError(f"{len(due)} tiles are due, not {LEFT}")
        start = time.perf_counter()
        for name in due:
            tile = Tile.parse(name)
            _, version = edition.ledger.held(tile)
            edition.ledger.begin(tile)
            edition.ledger.commit(record_of(tile, 0, seal), version)
        yield "commit", time.perf_counter() - start
        start = time.perf_counter()
        edition.ledger.compact()
        yield "compact", time.perf_counter() - start
        start = time.perf_counter()
        table = write_statistics(edition, {"cropland": 50})
        if failed_share(table):
            raise RuntimeError("nothing has failed")
        yield "statistics", time.perf_counter() - start
        start = time.perf_counter()
        lease.say()
        home.publish(edition)
        yield "publish", time.perf_counter() - start
    start = time.perf_counter()
    state = state_of(home, edition)
    if not state.complete or state.products["cropland"].done != number:
        raise RuntimeError(f"{state.products}")
    yield "status", time.perf_counter() - start
    start = time.perf_counter()
    marks = edition.ledger.marks()
    if len(marks) != number:
        raise RuntimeError(f"{len(marks)} records")
    yield "look", time.perf_counter() - start


def experiment(scratch: Path, number: int = TILES) -> Iterator[Figure]:
    """Measure in a process of its own."""
    words = [sys.executable, "-m", "tests.evidence.ledger", str(scratch), str(number)]
    done = subprocess.run(words, check=True, capture_output=True, text=True)
    told = json.loads(done.stdout.splitlines()[-1])
    seconds = {step: took for step, took in told["seconds"].items() if step != "simulate"}
    each = ", ".join(f"{step} {took:.1f}" for step, took in seconds.items())
    simulated = f"{number:,} simulated tiles, {LEFT} of them left to be done"
    name = "ledger.300k"
    yield Figure(f"{name}.seconds", sum(seconds.values()), f"{simulated}; {each}; look: one listing while it runs")
    yield Figure(f"{name}.peak_mib", told["peak_mib"], f"{told['start_mib']:.0f} of them before the first step")
    yield Figure(f"{name}.manifest_mib", told["manifest_mib"], "edition.json with the name of every tile")


EXPERIMENT = Experiment("ledger", experiment, small={"number": 1000})


def peak_mib() -> float:
    """The most memory that this process has had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / MIB


def measure(folder: Path, number: int) -> None:
    """Do the steps here; print what they cost."""
    start_mib, seconds = peak_mib(), {}
    for step, took in steps(folder, number):
        seconds[step] = took
        print(f"# {step} {took:.2f} s, {1e6 * took / number:.0f} us a tile, {peak_mib():.0f} MiB", file=sys.stderr)
    [manifest] = folder.glob("country/main-2019/*/edition.json")
    size = manifest.stat().st_size / 2**20
    print(json.dumps({"seconds": seconds, "peak_mib": peak_mib(), "start_mib": start_mib, "manifest_mib": size}))


def main(number: int = TILES) -> None:
    """Do it for so many tiles, and print what it costs."""
    with tempfile.TemporaryDirectory(prefix="stook-ledger-") as scratch:
        for figure in experiment(Path(scratch), number):
            print(f"{figure.name} {figure.value:.6g}  # {figure.note}", flush=True)


if __name__ == "__main__":
    measure(Path(sys.argv[1]), int(sys.argv[2]))
