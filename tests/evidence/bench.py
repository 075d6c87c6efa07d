"""Speed, overlap and memory of the map, with encoders that cost nothing or a stated time.

Every run is a process of its own, so that its peak memory is its own; so is the HTTP archive, so that it does not
compete for the interpreter of the run it serves:

    python -m tests.evidence.bench map CONFIG ENCODER_S_PER_MPX
    python -m tests.evidence.bench serve FOLDER LATENCY_S
"""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

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
from stook.transforms.imagery.sources import BACKSCATTER_BANDS, REFLECTANCE_BANDS, SCENE_CLASSIFICATION
from stook.transforms.simulation.catalogue import GLOBAL_EXTENT, write_cog
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
OPTICAL_DATES, RADAR_DATES = 50, 30  # of a year at one place: both of a pair of satellites, the cloudiest left out
MANY_OPTICAL_DATES = 150
FEW_OPTICAL_DATES, FEW_RADAR_DATES = 12, 6  # for the runs in which tiles are counted, not dates
TILE_PX, TILE_M = 1000, 10_000
SCENE_PX, MARGIN_PX = 4096, 48  # 512 px blocks, which tiles straddle as they do in real granules
EPSG, LEFT, TOP = 32637, 500_000, 1_500_000  # corner of the first tile
INSET_M = 15  # of the region's edges, which are geodesics and bulge, so that they do not touch the next tile
VERSIONS = 2  # different pixels of one band; more would only fill the disk

ONE_TILE, MANY_TILES, OVERLAP_TILES = Square(1, 1), Square(4, 4), Square(3, 2)
OVERLAP_WORKERS = 2
ENCODER_S_PER_MPX = 20.0
LATENCY_S = 0.05
TEN_METRE_BANDS = ("blue", "green", "red", "nir")


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


def run(scratch: Path) -> Iterator[Figure]:
    """Measure; see the names of the figures."""
    place = BenchPlace(scratch)
    local = place.archive("local")

    fifty = map_in_process(place.config("fifty", local, ONE_TILE, "memory"))
    note = f"s; one tile of 1 Mpx, {OPTICAL_DATES} Sentinel-2 and {RADAR_DATES} Sentinel-1 dates on a local disk"
    yield Figure("bench.seconds_per_mpx_outside_encoder", sum(fifty.tile_seconds) * 1e6 / TILE_PX**2, note)
    yield Figure(f"bench.peak_mib.{OPTICAL_DATES}_dates", fifty.peak_mib, "MiB of the process; one tile in flight")
    many = place.archive("many", optical_dates=MANY_OPTICAL_DATES)
    peak = map_in_process(place.config("many", many, ONE_TILE, "memory")).peak_mib
    yield Figure(f"bench.peak_mib.{MANY_OPTICAL_DATES}_dates", peak, "MiB of the process; one tile in flight")

    few = place.archive("few", FEW_OPTICAL_DATES, FEW_RADAR_DATES)
    for name, square, mode, workers in (
        ("1_tile", ONE_TILE, "memory", 1),
        ("16_tiles", MANY_TILES, "memory", 1),
        ("16_tiles_2_workers", MANY_TILES, "threads", 2),
    ):
        peak = map_in_process(place.config(name, few, square, mode, workers)).peak_mib
        note = f"MiB of the process; {workers} in flight, {FEW_OPTICAL_DATES} + {FEW_RADAR_DATES} dates"
        yield Figure(f"bench.peak_mib.{name}", peak, note)

    yield from overlap(place)


def overlap(place: "BenchPlace") -> Iterator[Figure]:
    """How much longer reading and encoding take together than the longer of both alone."""
    with serving(place.files) as url:
        distant = place.archive("distant", url=url)
        alone = place.config("reading", distant, OVERLAP_TILES, "threads", OVERLAP_WORKERS)
        reading = map_in_process(alone).seconds
        both = place.config("together", distant, OVERLAP_TILES, "threads", OVERLAP_WORKERS)
        together = map_in_process(both, ENCODER_S_PER_MPX).seconds
    encoding = ENCODER_S_PER_MPX * OVERLAP_TILES.tiles * TILE_PX**2 / 1e6
    yield Figure(
        "bench.overlap_ratio",
        together / max(reading, encoding),
        f"target 1.3; {OVERLAP_TILES.tiles} tiles, {OVERLAP_WORKERS} in flight: {together:.0f} s together, "
        f"{reading:.0f} s reading alone, {encoding:.0f} s encoding alone; the stand-in encoder sleeps "
        f"{ENCODER_S_PER_MPX:g} s per Mpx, as an accelerator that needs no CPU; the archive answers every request "
        f"after {LATENCY_S * 1000:g} ms",
    )


EXPERIMENT = Experiment("bench", run)


class BenchPlace:
    """A square of tiles inside one scene, with a bundle; archives of it differ in their dates and links only.

    A few files stand for the assets of all items, each link naming its item so that nothing is cached across them.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self.files = folder / "files"
        self.files.mkdir(parents=True)
        self.bundle = folder / "bundle"
        write_random_bundle(self.bundle)
        corner = Affine(10, 0, LEFT - 10 * MARGIN_PX, 0, -10, TOP + 10 * MARGIN_PX)
        self.scene = GeoBox((SCENE_PX, SCENE_PX), corner, f"EPSG:{EPSG}")
        for version in range(VERSIONS):
            self._write_files(version)

    def _write_files(self, version: int) -> None:
        random = np.random.default_rng(version)
        fine, coarse = self._reflectance(random, SCENE_PX), self._reflectance(random, SCENE_PX // 2)
        cloudy = zoom(random.random((32, 32)), SCENE_PX // 64, order=1) > 0.6
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

    def archive(
        self, name: str, optical_dates: int = OPTICAL_DATES, radar_dates: int = RADAR_DATES, url: str | None = None
    ) -> Path:
        """Write the JSON of a catalogue whose dates are spread over the year; returns its ``catalog.json``."""
        kinds = {band: "10m" if band in TEN_METRE_BANDS else "20m" for band in REFLECTANCE_BANDS}
        catalog = pystac.Catalog(name, "simulated for measurements")
        for collection, dates, hour, bands in (
            ("optical", optical_dates, 8, kinds | {SCENE_CLASSIFICATION: "classes"}),
            ("radar", radar_dates, 3, dict.fromkeys(BACKSCATTER_BANDS, "power")),
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
            href = f"{url}/{item_id}/{band}/{file}" if url else str(self.files / file)
            item.add_asset(band, pystac.Asset(href))
        return item

    def config(self, name: str, catalog: Path, square: Square, mode: str, workers: int = 1) -> Path:
        """Write the configuration of a run; returns its path."""
        right, bottom = LEFT + square.columns * TILE_M, TOP - square.rows * TILE_M
        ground = box(LEFT + INSET_M, bottom + INSET_M, right - INSET_M, TOP - INSET_M, f"EPSG:{EPSG}").to_crs(
            "EPSG:4326"
        )
        feature = {"type": "Feature", "properties": {"unit_id": "square"}, "geometry": mapping(ground.geom)}
        units = self.folder / f"{name}.geojson"
        units.write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}))
        source = {"catalog": str(catalog)}
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
            "grid": {"tile_px": TILE_PX},
            "run": {"mode": mode, "workers": workers},
            "output": "out",
        }
        path.write_text(yaml.safe_dump(configuration))
        return path


def map_in_process(config: Path, encoder_s_per_mpx: float = 0.0) -> MapRun:
    """``stook map`` in a process of its own, with a stand-in for the encoder."""
    command = [sys.executable, "-m", __name__, "map", str(config), str(encoder_s_per_mpx)]
    finished = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)
    return MapRun(**json.loads(finished.stdout.splitlines()[-1]))


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """A URL under which a process of its own serves the files of ``folder``."""
    command = [sys.executable, "-m", __name__, "serve", str(folder), str(LATENCY_S)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            yield server.stdout.readline().strip()
        finally:
            server.terminate()


def run_here(config: Path, encoder_s_per_mpx: float) -> MapRun:
    """``stook map`` in this process, with a stand-in for the encoder."""
    from stook.pipelines.configuration import MapConfiguration
    from stook.pipelines.map import run_map
    from stook.pipelines.progress import JsonReporter
    from stook.pipelines.sections import load
    from stook.transforms.tiles.tile_job import TileJob

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

    for owner, method, replacement in ((TileJob, "run", timed), (Encoder, "embed", stand_in)):
        setattr(owner, method, replacement)
    start = time.perf_counter()
    result = run_map(load(config, MapConfiguration), YEAR, JsonReporter())
    seconds = time.perf_counter() - start
    if result.failed or not result.published:
        raise RuntimeError(f"{config}: {result.failed or 'not published'}")
    return MapRun(round(seconds, 3), tile_seconds, peak_mib())


def peak_mib() -> float:
    """Greatest resident memory of this process so far, as Linux counts it."""
    [line] = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:")]
    return int(line.split()[1]) / 1024


class DistantArchive(BaseHTTPRequestHandler):
    """Answers every request late; the last part of a path names the file, what is before it only tells items apart."""

    protocol_version = "HTTP/1.1"  # connections are kept
    disable_nagle_algorithm = True
    wbufsize = 1 << 16

    def __init__(self, *arguments: Any, files: dict[str, bytes], latency_s: float):
        self.files, self.latency_s = files, latency_s
        super().__init__(*arguments)

    def do_HEAD(self) -> None:
        """The size of a file."""
        self._answer(body=False)

    def do_GET(self) -> None:
        """A file, or the range of it that is asked for."""
        self._answer(body=True)

    def _answer(self, body: bool) -> None:
        time.sleep(self.latency_s)
        content = self.files.get(self.path.rsplit("/", 1)[-1])
        if content is None:
            self.send_response(404)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        first, last = 0, len(content) - 1
        if asked := self.headers.get("Range"):
            start, end = asked.removeprefix("bytes=").split("-")
            first, last = int(start), min(int(end or last), last)
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {first}-{last}/{len(content)}")
        else:
            self.send_response(200)
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(last + 1 - first))
        self.end_headers()
        if body:
            self.wfile.write(memoryview(content)[first : last + 1])

    def log_message(self, *arguments: Any) -> None:
        """Nothing."""


def serve(folder: Path, latency_s: float) -> None:
    """Serve until terminated; the first line of the output is the address."""
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(DistantArchive, files=files, latency_s=latency_s)) as server:
        print(f"http://127.0.0.1:{server.server_address[1]}", flush=True)
        server.serve_forever()


if __name__ == "__main__":
    what, where, number = sys.argv[1:]
    if what == "serve":
        serve(Path(where), float(number))
    else:
        print(json.dumps(run_here(Path(where), float(number)).__dict__), flush=True)
