"""Speed, overlap and memory of the map, with encoders that cost nothing or a stated time.

Every run is a process of its own, so that its peak memory is its own:

    python -m tests.evidence.bench CONFIG ENCODER_S_PER_MPX

Run small, all but the first are in this process, whose libraries are loaded already.
"""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

import numpy as np
import pystac
import torch
import yaml
from affine import Affine
from odc.geo.geobox import GeoBox
from odc.geo.geom import box
from scipy.ndimage import zoom
from shapely.geometry import mapping

from stook.models.encoder import Chips, Encoder
from stook.pipelines.configuration import MapConfiguration
from stook.pipelines.map import run_map
from stook.pipelines.progress import JsonReporter
from stook.pipelines.sections import load
from stook.transforms.imagery.sources import BACKSCATTER_BANDS, REFLECTANCE_BANDS, SCENE_CLASSIFICATION
from stook.transforms.simulation.catalogue import GLOBAL_EXTENT, write_cog
from stook.transforms.tiles.tile_job import TileJob
from tests.evidence.distant_archive import LATENCY_S, serving
from tests.evidence.figure import Experiment, Figure
from tests.pipelines.small_season import write_random_bundle


class Square(NamedTuple):
    """Tiles along x and along y."""

    columns: int
    rows: int

    @property
    def tiles(self) -> int:
        """How many they are."""
        return self.columns * self.rows


YEAR = 2023
MARGIN_PX, PIXEL_M = 48, 10  # of the scene beside the first tile
EPSG, LEFT, TOP = 32637, 500_000, 1_500_000  # corner of the first tile
INSET_M = 15  # of the region's edges, which are geodesics and bulge, so that they do not touch the next tile
VERSIONS = 2  # different pixels of one band; more would only fill the disk

ONE_TILE = Square(1, 1)
OVERLAP_WORKERS = 2
TEN_METRE_BANDS = ("blue", "green", "red", "nir")


@dataclass(frozen=True)
class Dates:
    """How often each sensor looked in the year."""

    optical: int
    radar: int


@dataclass(frozen=True)
class Size:
    """What is read.

    Attributes:
        dates: Of a year at one place: both of a pair of satellites, the cloudiest left out.
        many: The same with three times as many optical ones.
        few: For the runs in which tiles are counted, not dates.
        tile_px: Side of a tile.
        scene_px: Side of the scene, in 512 px blocks, which tiles straddle as they do in real granules.
        tiles: Of the run of many tiles.
        overlap_tiles: Of the runs that are read from afar.
        encoder_s_per_mpx: What the stand-in encoder takes in these.
        apart: Whether every run is a process of its own.
    """

    dates: Dates = Dates(50, 30)
    many: Dates = Dates(150, 30)
    few: Dates = Dates(12, 6)
    tile_px: int = 1000
    scene_px: int = 4096
    tiles: Square = Square(4, 4)
    overlap_tiles: Square = Square(3, 2)
    encoder_s_per_mpx: float = 20.0
    apart: bool = True


FULL = Size()
SMALL = Size(Dates(4, 3), Dates(8, 3), Dates(2, 1), 100, 512, Square(2, 2), Square(2, 1), 50.0, apart=False)


@dataclass(frozen=True)
class MapRun:
    """What one run of ``stook map`` in a process of its own came to.

    Attributes:
        seconds: From the configuration to the published edition, without the start of Python.
        tile_seconds: Of each tile job, as it ended.
        peak_mib: Greatest resident memory of the process.
    """

    seconds: float
    tile_seconds: list[float]
    peak_mib: float


def run(scratch: Path, size: Size = FULL) -> Iterator[Figure]:
    """Measure; see the names of the figures."""
    place = BenchPlace(scratch, size)
    local = place.archive("local", size.dates)

    fifty = map_in_process(place.config("fifty", local, ONE_TILE, "memory"))
    mpx = size.tile_px**2 / 1e6
    note = (
        f"s; one tile of {mpx:g} Mpx, {size.dates.optical} Sentinel-2 and {size.dates.radar} Sentinel-1 dates on a "
        f"local disk"
    )
    yield Figure("bench.seconds_per_mpx_outside_encoder", sum(fifty.tile_seconds) / mpx, note)
    yield Figure("bench.peak_mib.50_dates", fifty.peak_mib, "MiB of the process; one tile in flight")
    mapped = map_in_process if size.apart else run_here
    many = place.archive("many", size.many)
    peak = mapped(place.config("many", many, ONE_TILE, "memory")).peak_mib
    yield Figure("bench.peak_mib.150_dates", peak, "MiB of the process; one tile in flight")

    few = place.archive("few", size.few)
    for name, square, mode, workers in (
        ("1_tile", ONE_TILE, "memory", 1),
        ("16_tiles", size.tiles, "memory", 1),
        ("16_tiles_2_workers", size.tiles, "threads", 2),
    ):
        peak = mapped(place.config(name, few, square, mode, workers)).peak_mib
        note = f"MiB of the process; {workers} in flight, {size.few.optical} + {size.few.radar} dates"
        yield Figure(f"bench.peak_mib.{name}", peak, note)

    yield from overlap(place, size)


def overlap(place: "BenchPlace", size: Size) -> Iterator[Figure]:
    """How much longer reading and encoding take together than the longer of both alone."""
    tiles, mapped = size.overlap_tiles, map_in_process if size.apart else run_here
    with serving(place.files) as url:
        distant = place.archive("distant", size.dates, url)
        alone = place.config("reading", distant, tiles, "threads", OVERLAP_WORKERS)
        reading = mapped(alone).seconds
        both = place.config("together", distant, tiles, "threads", OVERLAP_WORKERS)
        together = mapped(both, size.encoder_s_per_mpx).seconds
    encoding = size.encoder_s_per_mpx * tiles.tiles * size.tile_px**2 / 1e6
    yield Figure(
        "bench.overlap_ratio",
        together / max(reading, encoding),
        f"target 1.3; {tiles.tiles} tiles, {OVERLAP_WORKERS} in flight: {together:.0f} s together, "
        f"{reading:.0f} s reading alone, {encoding:.0f} s encoding alone; the stand-in encoder sleeps "
        f"{size.encoder_s_per_mpx:g} s per Mpx, as an accelerator that needs no CPU; the archive answers every request "
        f"after {LATENCY_S * 1000:g} ms",
    )


EXPERIMENT = Experiment("bench", run, small={"size": SMALL})


class BenchPlace:
    """A square of tiles inside one scene, with a bundle; archives of it differ in their dates and links only.

    A few files stand for the assets of all items, each link naming its item so that nothing is cached across them.
    """

    def __init__(self, folder: Path, size: Size):
        self.folder, self.size = folder, size
        self.files = folder / "files"
        self.files.mkdir(parents=True)
        self.bundle = folder / "bundle"
        write_random_bundle(self.bundle)
        margin_m = PIXEL_M * MARGIN_PX
        corner = Affine(PIXEL_M, 0, LEFT - margin_m, 0, -PIXEL_M, TOP + margin_m)
        self.scene = GeoBox((size.scene_px, size.scene_px), corner, f"EPSG:{EPSG}")
        for version in range(VERSIONS):
            self._write_files(version)

    def _write_files(self, version: int) -> None:
        random, side = np.random.default_rng(version), self.size.scene_px
        fine, coarse = self._reflectance(random, side), self._reflectance(random, side // 2)
        cloudy = zoom(random.random((32, 32)), side // 64, order=1) > 0.6
        layers = {
            "10m": (fine, 0),
            "20m": (coarse, 0),
            "classes": (np.where(cloudy, 9, 4).astype("uint8"), 0),
            "power": (fine.astype("float32") / 20_000, np.nan),
        }
        for name, (values, nodata) in layers.items():
            transform = self.scene.zoom_to(values.shape).transform
            write_cog(self.files / f"{name}-{version}.tif", values, transform, f"EPSG:{EPSG}", nodata)

    @staticmethod
    def _reflectance(random: np.random.Generator, side: int) -> np.ndarray:
        """Counts uint16 with fields of 64 pixels and texture; compress about as well as real ones."""
        fields = np.kron(random.integers(400, 3000, (side // 64, side // 64)), np.ones((64, 64)))
        return (fields + random.normal(0, 60, (side, side))).astype("uint16")

    def archive(self, name: str, looks: Dates, url: str | None = None) -> Path:
        """Write the JSON of a catalogue whose dates are spread over the year; returns its ``catalog.json``."""
        kinds = {band: "10m" if band in TEN_METRE_BANDS else "20m" for band in REFLECTANCE_BANDS}
        catalog = pystac.Catalog(name, "simulated for measurements")
        for collection, dates, hour, bands in (
            ("optical", looks.optical, 8, kinds | {SCENE_CLASSIFICATION: "classes"}),
            ("radar", looks.radar, 3, dict.fromkeys(BACKSCATTER_BANDS, "power")),
        ):
            child = pystac.Collection(collection, "simulated for measurements", GLOBAL_EXTENT)
            catalog.add_child(child)
            for index in range(dates):
                time = datetime(YEAR, 1, 1, hour, tzinfo=UTC) + timedelta(days=int(index * 365 / dates))
                child.add_item(self._item(f"{collection}-{index:03}", time, bands, index % VERSIONS, url))
        catalog.normalize_and_save(str(self.folder / name), pystac.CatalogType.SELF_CONTAINED)
        return self.folder / name / "catalog.json"

    def _item(self, item_id: str, time: datetime, bands: dict[str, str], version: int, url: str | None) -> pystac.Item:
        footprint = self.scene.extent.to_crs("EPSG:4326").geom
        properties = {"proj:code": f"EPSG:{EPSG}"}
        item = pystac.Item(item_id, mapping(footprint), list(footprint.bounds), time, properties)
        for band, kind in bands.items():
            file = f"{kind}-{version}.tif"
            href = f"{url}/{item_id}/{band}/{file}" if url is not None else str(self.files / file)
            item.add_asset(band, pystac.Asset(href))
        return item

    def config(self, name: str, catalog: Path, square: Square, mode: str, workers: int = 1) -> Path:
        """Write the configuration of a run; returns its path."""
        tile_m = self.size.tile_px * PIXEL_M
        right, bottom = LEFT + square.columns * tile_m, TOP - square.rows * tile_m
        ground = box(LEFT + INSET_M, bottom + INSET_M, right - INSET_M, TOP - INSET_M, f"EPSG:{EPSG}").to_crs(
            "EPSG:4326"
        )
        feature = {"type": "Feature", "properties": {"unit_id": "square"}, "geometry": mapping(ground.geom)}
        units = self.folder / f"{name}.geojson"
        units.write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}))
        source = {"catalog": str(catalog), "folders": [self.files.name]}
        path = self.folder / f"{name}.yaml"
        configuration = {
            "name": name,
            "region": {"file": units.name, "id": "unit_id"},
            "imagery": {
                "sentinel2": source | {"collection": "optical", "profile": "scaled-1e-4"},
                "sentinel1": source | {"collection": "radar", "profile": "linear-power"},
            },
            "season": {"name": "main"},
            "products": {
                "cropland": {"bundle": str(self.bundle), "window": {"start": {"month": 1}, "months": 12}},
            },
            "grid": {"tile_px": self.size.tile_px},
            "run": {"mode": mode, "workers": workers},
            "output": "out",
        }
        path.write_text(yaml.safe_dump(configuration))
        return path


def map_in_process(config: Path, encoder_s_per_mpx: float = 0.0) -> MapRun:
    """``stook map`` in a process of its own, with a stand-in for the encoder."""
    command = [sys.executable, "-m", __name__, str(config), str(encoder_s_per_mpx)]
    finished = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)
    return MapRun(**json.loads(finished.stdout.splitlines()[-1]))


def run_here(config: Path, encoder_s_per_mpx: float = 0.0) -> MapRun:
    """``stook map`` in this process, with a stand-in for the encoder."""
    tile_seconds: list[float] = []
    whole_job = TileJob.run

    def timed(job: TileJob, tile: Any) -> Any:
        start = time.perf_counter()
        summary = whole_job(job, tile)
        tile_seconds.append(round(time.perf_counter() - start, 3))
        return summary

    def stand_in(encoder: Encoder, chips: Chips) -> torch.Tensor:
        time.sleep(len(chips) / 1e6 * encoder_s_per_mpx)  # a chip of this bundle's is a pixel
        return torch.zeros((len(chips), encoder.output.width, 1, 1))

    start = time.perf_counter()
    with patch.object(TileJob, "run", timed), patch.object(Encoder, "embed", stand_in):
        result = run_map(load(config, MapConfiguration), YEAR, JsonReporter())
    seconds = time.perf_counter() - start
    if result.failed or not result.published:
        raise RuntimeError(f"{config}: {result.failed or 'not published'}")
    return MapRun(round(seconds, 3), tile_seconds, peak_mib())


def peak_mib() -> float:
    """Greatest resident memory of this process so far, as Linux counts it."""
    [line] = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:")]
    return int(line.split()[1]) / 1024


if __name__ == "__main__":
    print(json.dumps(run_here(Path(sys.argv[1]), float(sys.argv[2])).__dict__), flush=True)
