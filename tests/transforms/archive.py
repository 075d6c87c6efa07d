"""Small archives for the tests of imagery: scenes written by ``CatalogueWriter``, and a server that misbehaves."""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
from affine import Affine
from odc.geo.geobox import GeoBox

from stook.transforms.backoff import BackOff
from stook.transforms.imagery.sources import PROFILES, Source
from stook.transforms.simulation.catalogue import CatalogueWriter

HASTY = BackOff(attempts=3, first_wait_s=0.01, longest_wait_s=0.02, timeout_s=5)
PLACE = GeoBox((60, 60), Affine(10, 0, 500_000, 0, -10, 5_600_000), "EPSG:32631")
EVERYWHERE = (-180.0, -90.0, 180.0, 90.0)
YEAR_2019 = (datetime(2019, 1, 1, tzinfo=UTC), datetime(2020, 1, 1, tzinfo=UTC))
VEGETATION, WATER, CLOUD = 4, 6, 9


def lonlat(geobox: GeoBox) -> tuple[float, float, float, float]:
    return tuple(geobox.extent.to_crs("EPSG:4326").boundingbox.bbox)


def noon(day: int, month: int = 6, hour: int = 10, second: int = 0) -> datetime:
    return datetime(2019, month, day, hour, 30, second, tzinfo=UTC)


class Archive:
    """An archive under construction, of one sensor and profile."""

    def __init__(self, folder: Path, profile: str, collection: str = "scenes"):
        self.writer = CatalogueWriter(folder, "simulated for tests")
        self.profile = PROFILES[profile]
        self.collection = collection

    def add(
        self, item_id: str, time: datetime, bands: Mapping[str, Any], geobox: GeoBox = PLACE, **fields: Any
    ) -> None:
        """Bands by canonical name, each an array or one value for all pixels; 8 bit for scene classes."""
        arrays = {}
        for band, value in bands.items():
            kind = "uint8" if band == "scl" else "uint16" if self.profile.sensor == "sentinel2" else "float32"
            arrays[self.profile.assets[band]] = np.broadcast_to(np.asarray(value, kind), geobox.shape).copy()
        nodata = 0 if self.profile.sensor == "sentinel2" else np.nan
        self.writer.add_scene(self.collection, item_id, time, arrays, geobox, nodata, fields)

    def save(self) -> Source:
        return Source(self.profile.sensor, str(self.writer.save()), self.collection, self.profile.name)

    def file(self, item_id: str, band: str) -> Path:
        return self.writer.folder / self.collection / item_id / f"{self.profile.assets[band]}.tif"


class _Handler(SimpleHTTPRequestHandler):
    """Serves a folder, with ranges, unless ``verdict`` names another status."""

    def __init__(self, *arguments: Any, verdict: Callable[[str], int], **keywords: Any):
        self.verdict = verdict
        super().__init__(*arguments, **keywords)

    def do_GET(self) -> None:
        self.answer(body=True)

    def do_HEAD(self) -> None:
        self.answer(body=False)

    def answer(self, body: bool) -> None:
        status, path = self.verdict(self.path), Path(self.translate_path(self.path))
        if status != 200 or not path.is_file():
            self.send_response(status if status != 200 else 404)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        content, start, end = path.read_bytes(), 0, None
        wanted = self.headers.get("Range")
        if wanted:
            first, last = wanted.removeprefix("bytes=").split("-")
            start, end = int(first), int(last) + 1 if last else None
        part = content[start:end]
        self.send_response(206 if wanted else 200)
        if wanted:
            self.send_header("Content-Range", f"bytes {start}-{start + len(part) - 1}/{len(content)}")
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(len(part)))
        self.end_headers()
        if body:
            self.wfile.write(part)

    def log_message(self, *arguments: Any) -> None:
        pass


@contextmanager
def served(folder: Path, verdict: Callable[[str], int] = lambda path: 200) -> Iterator[str]:
    """A URL under which ``folder`` is served; ``verdict`` gives the status of each request's path."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, directory=str(folder), verdict=verdict)) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()


def failing_first(times: int, status: int, of: str = "") -> Callable[[str], int]:
    """A verdict: the first ``times`` requests whose path contains ``of`` get ``status``."""
    left = [times]

    def verdict(path: str) -> int:
        if of in path and left[0] > 0:
            left[0] -= 1
            return status
        return 200

    return verdict
