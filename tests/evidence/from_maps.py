"""Statistics made again from published maps against the ledger's, and what a large region of them costs.

The large region is measured in a process of its own, so that its peak memory is its own:

    python -m tests.evidence.from_maps EDITION TABLE
"""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import shapely
from pyproj import Transformer

from stook.pipelines.configuration import MapConfiguration
from stook.pipelines.demo.place import DEMO_PRODUCTS, YEAR, write_place
from stook.pipelines.demo.run import DEMO_PLACE
from stook.pipelines.map import run_map
from stook.pipelines.progress import JsonReporter
from stook.pipelines.season import thresholds_of
from stook.pipelines.sections import load
from stook.transforms.editions.edition import Edition
from stook.transforms.editions.plan import ProductPlan
from stook.transforms.ground.grid import Grid, Tile, Zone
from stook.transforms.ground.region import Region
from stook.transforms.ground.unit import Unit
from stook.transforms.simulation.ground import Place
from stook.transforms.simulation.scenes import Revisit
from stook.transforms.statistics.map_table import statistics_from_maps
from stook.transforms.statistics.table import statistics
from tests.conftest import SHARED
from tests.evidence.bench import peak_mib
from tests.evidence.figure import Experiment, Figure
from tests.evidence.sites import DIRECTIONS, SHORT, WHOLE, Change, transfer
from tests.pipelines.small_season import SMALL_DEMO
from tests.transforms.editions.test_edition import make_plan
from tests.transforms.hand_made import THRESHOLDS, built_of, invented, write_edition

DEMO_TILE_PX = 100
ZONE, LEFT, BOTTOM, TILES_ALONG = Zone(37), 400_000, 1_000_000, 20  # of the large region, a square of tiles
TILE_M, INSET_M = 10_000, 600  # its edges are geodesics, which bulge
UNITS, PROVINCES = 60, 5
EVERY = 10  # one in so many tiles was ever written


@dataclass(frozen=True)
class Summed:
    """What summing the maps of an edition cost, without the start of Python."""

    seconds: float
    peak_mib: float


def run(
    scratch: Path,
    place: Place = DEMO_PLACE,
    revisit: Revisit | None = None,
    season: Change = WHOLE,
    tiles_along: int = TILES_ALONG,
) -> Iterator[Figure]:
    """Values that differ, of mapped places and of a large region, and what the latter takes."""
    written = write_place(scratch / "demo", place, DEMO_TILE_PX, DEMO_PRODUCTS, revisit)
    config = load(written.config, MapConfiguration)
    edition = run_map(config, YEAR, JsonReporter()).edition
    yield from agreement("from_maps", edition, config, "the demonstration's table, simulated imagery")
    if SHARED.is_dir():
        site = transfer(DIRECTIONS[0], scratch / "flanders", season)
        yield from agreement("from_maps.flanders", site.edition, site.config, "the table of real imagery")
    yield from large(scratch, tiles_along)


def agreement(name: str, edition: Edition, config: MapConfiguration, where: str) -> Iterator[Figure]:
    """The table from the maps against that from the ledger, and its units against their parents."""
    thresholds = thresholds_of(config)
    found = compared(statistics_from_maps(edition, thresholds), statistics(edition, thresholds))
    yield Figure(f"{name}.differing_cells", found.differing, f"of {found.values} numbers in {where}; target 0")
    yield Figure(f"{name}.not_adding_up", found.not_adding_up, "sums of units that are not their parents'; target 0")


def large(scratch: Path, tiles_along: int) -> Iterator[Figure]:
    """Sums of a square of tiles of a million pixels each."""
    plan = make_plan()
    plan = replace(plan, products=(built_of(plan, 10), *plan.products))
    edition = write_edition(scratch / "large", plan, large_region(tiles_along), sparse)
    table = scratch / "large.parquet"
    command = [sys.executable, "-m", __name__, str(edition.folder), str(table)]
    finished = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)
    cost = Summed(**json.loads(finished.stdout.splitlines()[-1]))
    found = compared(pd.read_parquet(table), statistics(edition, THRESHOLDS))
    tiles = len(edition.manifest["tiles"])
    note = f"{tiles} tiles of 1 Mpx, two products, {UNITS} units, one tile in {EVERY} ever written; simulated values"
    yield Figure("from_maps.large.differing_cells", found.differing, f"of {found.values}; target 0; {note}")
    yield Figure("from_maps.peak_mib", cost.peak_mib, f"MiB of the process; target ≤ 1024; {note}")
    yield Figure("from_maps.seconds", cost.seconds, f"s; {note}")


@dataclass(frozen=True)
class Compared:
    """A table held against another of the same rows."""

    differing: int
    values: int
    not_adding_up: int


def compared(one: pd.DataFrame, other: pd.DataFrame) -> Compared:
    """How many numbers of two tables differ, and how many sums of the first one's units are not their parents'."""
    keys = ["product", "level", "id"]
    if not one[keys].equals(other[keys]) or list(one) != list(other):
        raise RuntimeError("the tables have different rows or columns")
    numbers = [name for name in other if pd.api.types.is_numeric_dtype(other[name].dtype)]
    a, b = (table[numbers].astype(float).to_numpy() for table in (one, other))
    differing = int(((a != b) & ~(np.isnan(a) & np.isnan(b))).sum())
    exact = [name for name in one if name.endswith("_dm2") or name in ("cells", "cells_mapped", "cells_of_class")]
    wrong = 0
    for _, part in one.groupby("product"):
        sums = {level: rows[exact].fillna(0).sum() for level, rows in part.groupby("level")}
        wrong += sum(int((total != sums["unit"]).sum()) for total in sums.values())
    return Compared(differing, a.size, wrong)


def large_region(tiles_along: int) -> Region:
    """Units of irregular shape that fill a square of the zone, each of one of a few provinces."""
    side = tiles_along * TILE_M - 2 * INSET_M
    rng = np.random.default_rng(11)
    points = shapely.MultiPoint(rng.random((UNITS, 2)) * side)
    square = shapely.box(0, 0, side, side)
    cells = [cell & square for cell in shapely.get_parts(shapely.voronoi_polygons(points, extend_to=square))]
    degrees = Transformer.from_crs(ZONE.epsg, 4326, always_xy=True)
    corner = np.array([LEFT + INSET_M, BOTTOM + INSET_M])
    units = []
    for index, cell in enumerate(cells):
        projected = shapely.transform(shapely.segmentize(cell, 1000), lambda xy: xy + corner)
        geometry = shapely.transform(projected, lambda xy: np.column_stack(degrees.transform(*xy.T)))
        units.append(Unit(f"U{index:02}", f"U{index:02}", (f"P{index % PROVINCES}",), geometry))
    return Region(tuple(units))


def sparse(product: ProductPlan, tile: Tile, cells: Grid) -> tuple[np.ndarray, ...] | None:
    """Values in one tile of some; the others were never written."""
    return invented(product, tile, cells) if (7 * tile.ix + tile.iy) % EVERY == 0 else None


def sum_here(edition: Path, table: Path) -> Summed:
    """Sum the maps of an edition in this process."""
    start = time.perf_counter()
    statistics_from_maps(Edition(edition), THRESHOLDS).to_parquet(table)
    return Summed(round(time.perf_counter() - start, 2), peak_mib())


EXPERIMENT = Experiment("from_maps", run, small=SMALL_DEMO | {"season": SHORT, "tiles_along": 2})

if __name__ == "__main__":
    print(json.dumps(asdict(sum_here(Path(sys.argv[1]), Path(sys.argv[2])))))
