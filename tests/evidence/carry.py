"""Experiment ``carry``: what a refresh costs when nothing, one product, or a twentieth of the ground has changed.

Two simulated places lie so far apart that new scenes of one touch no tile of the other: footprints count with two
kilometres around them. Units fill their tiles. All runs are in this process, after one that warmed it up, from the
configuration to the published edition; the start of Python and its libraries is a cost of its own, which is told.
"""

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import geopandas as gpd
import shapely
import yaml
from pyproj import Transformer

from stook.models.bundle import load_bundle
from stook.pipelines.configuration import MapConfiguration
from stook.pipelines.demo.place import DEMO_PRODUCTS, YEAR, imagery_section
from stook.pipelines.map import MapResult, run_map
from stook.pipelines.progress import SilentReporter
from stook.pipelines.sections import load
from stook.transforms.editions.edition import Edition
from stook.transforms.ground.grid import Grid, Tile, Zone
from stook.transforms.simulation.campaign import WHOLE, Campaign
from stook.transforms.simulation.ground import Place
from stook.transforms.simulation.landscape import Landscape
from stook.transforms.simulation.scenes import OPTICAL_COLLECTION, Revisit, write_archive
from tests.evidence.figure import Experiment, Figure

ROOT = Path(__file__).resolve().parents[2]
GRID = Grid(resolution_m=10.0, tile_px=100)
LONGITUDE, LATITUDE, REMOTE_LATITUDE = 37.5, 8.0, 8.4
TILES = ((8, 10), (2, 2))  # columns and rows of both; some 0.8 s of a refresh are the same for any region
MARGIN_M, EDGE_M = 150.0, 1.0  # of scenes around the units, and of units within their tiles
REVISIT = Revisit(optical_days=30, radar_days=60)
NAMES = ("cropland", "building_coverage", "harvest_piles")
CHANGED = "building_coverage"
NEW = {"updated": "2030-01-01T00:00:00Z"}


@dataclass(frozen=True)
class Run:
    """A run of ``stook map``, measured in this process.

    Attributes:
        result: What it came to.
        opening_s: Seconds until the edition was open: configuration, models, search of the archives.
        tiles_s: Seconds of the tiles.
        whole_s: Seconds from the configuration to the published edition.
        cpu_s: Seconds of processors meanwhile, on a machine that others use too the steadier figure.
    """

    result: MapResult
    opening_s: float
    tiles_s: float
    whole_s: float
    cpu_s: float

    def __str__(self) -> str:
        parts = f"opening {self.opening_s:.1f}, tiles {self.tiles_s:.1f}"
        return f"{self.whole_s:.1f} s ({parts}; CPU {self.cpu_s:.1f})"


class Clock(SilentReporter):
    """A reporter that notes when the edition was open and how long its tiles took."""

    def __init__(self) -> None:
        self.start = time.perf_counter()
        self.opened = self.tiles = 0.0

    def say(self, event: str, text: str, **details: Any) -> None:
        """Note when an edition is open."""
        if event in ("edition_opened", "edition_continued"):
            self.opened = time.perf_counter() - self.start

    @contextmanager
    def following(
        self, edition: Edition, names: Sequence[str], due: Iterable[str], after: Sequence[str] = ()
    ) -> Iterator[None]:
        """Note how long the block takes."""
        start = time.perf_counter()
        yield
        self.tiles = time.perf_counter() - start


def run(scratch: Path, of_tiles: Sequence[tuple[int, int]] = TILES) -> Iterator[Figure]:
    """The shares of a full run, of a main and a remote place of so many columns and rows of tiles."""
    config = write_region(scratch, of_tiles)
    measured(variant(config, "warm", {"region": {"file": "remote.geojson"}}))
    full = measured(config)
    tiles = len(full.result.edition.manifest["tiles"])
    yield Figure("carry.tiles", tiles, f"of three products; a full run takes {full}; simulated")
    unchanged = measured(config, refresh=True)
    require(unchanged, computed=0, carried=tiles)
    note = f"target ≤ 0.01; {unchanged}; whole run in one process, without the start of Python"
    yield Figure("carry.unchanged_share", unchanged.whole_s / full.whole_s, note)
    note = "the same of CPU time, which the machine's other work does not change"
    yield Figure("carry.unchanged_cpu_share", unchanged.cpu_s / full.cpu_s, note)
    note = "target ≤ 0.01; of the tiles' work alone, without search, statistics and publication"
    yield Figure("carry.unchanged_tiles_share", unchanged.tiles_s / full.tiles_s, note)
    command_s = as_command(config)
    note = f"the same refresh as a command of its own: {command_s:.1f} s with the start of Python and its libraries"
    yield Figure("carry.unchanged_command_share", command_s / full.whole_s, note)
    touch(scratch / "archive-1")
    some = measured(config, refresh=True)
    share = some.result.computed / tiles
    note = f"target ≤ 0.1; new scenes of {some.result.computed} of {tiles} tiles ({share:.1%}); {some}"
    yield Figure("carry.changed_5_percent_share", some.whole_s / full.whole_s, note)
    another_bundle(scratch / CHANGED)
    one = measured(config)
    alone = measured(variant(config, "alone", {"products": {CHANGED: settings(config)["products"][CHANGED]}}))
    note = f"another bundle for {CHANGED}: {one}; target about 1"
    yield Figure("carry.one_product_share_of_its_own", one.whole_s / alone.whole_s, f"{note}; it alone {alone}")
    yield Figure("carry.one_product_share", one.whole_s / full.whole_s, f"of a full run of three; {note}")


def measured(config: Path, refresh: bool = False) -> Run:
    """Map, in this process; raises RuntimeError where something failed."""
    clock, cpu = Clock(), time.process_time()
    result = run_map(load(config, MapConfiguration), YEAR, clock, refresh=refresh)
    if result.failed or not result.published:
        raise RuntimeError(f"{config}: {result.failed or 'not published'}")
    whole = time.perf_counter() - clock.start
    return Run(result, clock.opened, clock.tiles, whole, time.process_time() - cpu)


def as_command(config: Path) -> float:
    """Seconds of a refresh by a command of its own."""
    start = time.perf_counter()
    words = [
        sys.executable,
        "-m",
        "stook.pipelines.cli",
        "map",
        str(config),
        "--year",
        str(YEAR),
        "--refresh",
        "--quiet",
    ]
    subprocess.run(words, stdout=subprocess.DEVNULL, check=True, cwd=ROOT)
    return time.perf_counter() - start


def require(made: Run, computed: int, carried: int) -> None:
    """Raise RuntimeError unless a run computed and carried so many tiles."""
    found = made.result.computed, made.result.carried
    if found != (computed, carried):
        raise RuntimeError(f"computed and carried {found}, not {(computed, carried)}")


def write_region(folder: Path, of_tiles: Sequence[tuple[int, int]]) -> Path:
    """Simulate two places and cut units out of them that fill tiles; returns the configuration of both."""
    outlines = []
    for number, (latitude, (columns, rows)) in enumerate(zip((LATITUDE, REMOTE_LATITUDE), of_tiles, strict=True)):
        tile, zone = first_tile(latitude), Zone.at(LONGITUDE, latitude)
        left, bottom, _, _ = GRID.bounds(tile).bbox
        width, height = columns * GRID.tile_m, rows * GRID.tile_m
        middle = Transformer.from_crs(zone.epsg, 4326, always_xy=True).transform(left + width / 2, bottom + height / 2)
        place = Place(*middle, width + 2 * MARGIN_M, height + 2 * MARGIN_M, seed=number)
        write_archive(Landscape.simulate(place), folder / f"archive-{number}", YEAR, REVISIT, Campaign(WHOLE))
        square = shapely.box(left + EDGE_M, bottom + EDGE_M, left + width - EDGE_M, bottom + height - EDGE_M)
        outlines.append(gpd.GeoSeries([square], crs=zone.epsg).to_crs(4326).iloc[0])
    units = gpd.GeoDataFrame({"unit_id": ["main", "remote"]}, geometry=outlines, crs=4326)
    units.to_file(folder / "units.geojson", driver="GeoJSON")
    units.tail(1).to_file(folder / "remote.geojson", driver="GeoJSON")
    links = [{"rel": "child", "href": f"./archive-{number}/catalog.json"} for number in range(len(outlines))]
    told = {"id": "places", "description": "Simulated scenes of two places. Nothing here is real imagery."}
    catalogue = {"type": "Catalog", "stac_version": "1.0.0", **told, "links": links}
    (folder / "catalog.json").write_text(json.dumps(catalogue))
    products = {}
    for name in NAMES:
        shutil.copytree(DEMO_PRODUCTS[name]["bundle"], folder / name)
        products[name] = {"bundle": name, "window": DEMO_PRODUCTS[name]["window"]}
    content = {
        "name": "places",
        "region": {"file": "units.geojson", "id": "unit_id"},
        "imagery": imagery_section(Path("catalog.json"), pictures=True),
        "season": {"name": "main"},
        "products": products,
        "grid": {"tile_px": GRID.tile_px},
        "output": "out",
    }
    config = folder / "places.yaml"
    config.write_text(yaml.safe_dump(content, sort_keys=False))
    return config


def first_tile(latitude: float) -> Tile:
    """The tile at a latitude."""
    zone = Zone.at(LONGITUDE, latitude)
    return GRID.tile_at(zone, *Transformer.from_crs(4326, zone.epsg, always_xy=True).transform(LONGITUDE, latitude))


def settings(config: Path) -> dict[str, Any]:
    """What a configuration file says."""
    content: dict[str, Any] = yaml.safe_load(config.read_text())
    return content


def variant(config: Path, name: str, changes: Mapping[str, Mapping[str, Any]]) -> Path:
    """A configuration beside another, with other sections and an output of its own; ``products`` are replaced."""
    content = settings(config)
    for section, fields in changes.items():
        content[section] = dict(fields) if section == "products" else content[section] | fields
    content["output"] = f"out-{name}"
    other = config.with_name(f"{name}.yaml")
    other.write_text(yaml.safe_dump(content, sort_keys=False))
    return other


def touch(archive: Path) -> None:
    """Say of every Sentinel-2 scene of an archive that it was processed anew."""
    for path in (archive / OPTICAL_COLLECTION).glob("*/*.json"):
        item = json.loads(path.read_text())
        item["properties"] |= NEW
        path.write_text(json.dumps(item))


def another_bundle(folder: Path) -> None:
    """Give a bundle another card, which makes it another bundle; what it computes stays the same."""
    bundle = load_bundle(folder)
    bundle.provenance = replace(bundle.provenance, card=f"{bundle.provenance.card}\nThe same again.\n")
    bundle.save(folder)


EXPERIMENT = Experiment("carry", run, small={"of_tiles": ((2, 1), (1, 1))})
