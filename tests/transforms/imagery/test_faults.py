"""What archives do to us, and how it ends: waited for if it passes, told as what it is if it stays."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from affine import Affine
from odc.geo.geobox import GeoBox

from stook.models.errors import InputError, StookError, TileError, UnreachableError
from stook.transforms.backoff import BackOff
from stook.transforms.imagery import reading as imagery
from stook.transforms.imagery.catalog import search
from stook.transforms.imagery.reading import passes
from stook.transforms.imagery.season import Period
from stook.transforms.imagery.sources import Source
from tests.transforms.archive import EVERYWHERE, YEAR_2019, Archive, noon
from tests.transforms.imagery.faulty_server import Fault, FaultyServer, faulty, in_seconds, serve_api

QUICK = BackOff(attempts=3, first_wait_s=0.01, longest_wait_s=0.02, timeout_s=0.4)
WIDE = GeoBox((400, 400), Affine(10, 0, 500_000, 0, -10, 5_600_000), "EPSG:32631")
NOISE = np.random.default_rng(1).integers(100, 9000, WIDE.shape)  # does not compress: blocks lie beyond the header
JUNE = Period.of_month(2019, 6)
BASELINE = {"s2:processing_baseline": "05.00"}


@dataclass(frozen=True)
class Place:
    """An archive, its server, and how it is read.

    Attributes:
        server: Serves it.
        source: Of the static catalogue, over HTTP.
        api: The same as a STAC API.
    """

    server: FaultyServer
    source: Source
    api: Source

    def found(self, api: bool = False, backoff: BackOff = QUICK) -> list[str]:
        """Identifiers of the scenes."""
        return [item.id for item in search(self.api if api else self.source, EVERYWHERE, *YEAR_2019, backoff)]

    def pixels(self, backoff: BackOff = QUICK) -> np.ndarray:
        """The blue band of the only scene of June."""
        scenes = passes(search(self.source, EVERYWHERE, *YEAR_2019, backoff), "sentinel2", JUNE)
        with ThreadPoolExecutor(2) as pool:
            [stack] = imagery.read([imagery.Wanted(self.source, scenes, "blue", WIDE)], pool, backoff=backoff)
        return stack[0]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An archive of a scene in June and two in July."""
    archive = Archive(tmp_path_factory.mktemp("archive"), "scaled-1e-4")
    archive.add("june", noon(5), {"blue": NOISE}, WIDE, **BASELINE)
    for day in (5, 15):
        archive.add(f"july-{day}", noon(day, month=7), {"scl": 4}, **BASELINE)
    archive.save()
    return archive.writer.folder


@pytest.fixture
def place(folder: Path) -> Iterator[Place]:
    local = Source("sentinel2", str(folder / "catalog.json"), "scenes", "scaled-1e-4")
    with faulty(folder) as server:
        source = replace(local, catalog=f"{server.url}/catalog.json")
        items = list(search(source, EVERYWHERE, *YEAR_2019, QUICK))
        api = replace(local, catalog=serve_api(server, "scenes", items))
        server.requests.clear()
        yield Place(server, source, api)


def told(action: Callable[[], Any]) -> StookError:
    with pytest.raises(StookError) as caught:
        action()
    assert "\n" not in str(caught.value)
    return caught.value


DOCUMENTS = {
    "catalogue": ("/catalog.json", False),
    "collection": ("/collection.json", False),
    "item": ("july-5.json", False),
    "landing page": ("/api", True),
    "search": ("/api/search", True),
    "second page": ("/api/page/1", True),
}
PASSING = {
    "429": Fault("status", status=429, headers={"Retry-After": "0"}),
    "500": Fault("status", status=500),
    "503": Fault("status", status=503),
    "reset": Fault("reset"),
    "broken off": Fault("broken off"),
    "slow": Fault("slow", seconds=0.7),
}


@pytest.mark.parametrize("fault", PASSING)
@pytest.mark.parametrize("where", DOCUMENTS)
def test_what_passes_is_waited_for_in_every_document(place: Place, where: str, fault: str) -> None:
    path, api = DOCUMENTS[where]
    place.server.faults.append(replace(PASSING[fault], where=path, times=2 if fault != "slow" else 1))
    assert place.found(api) == ["june", "july-5", "july-15"]


@pytest.mark.parametrize("fault", PASSING)
@pytest.mark.parametrize("where", ["catalogue", "item", "second page"])
def test_what_stays_is_unreachable_and_nothing_is_found(place: Place, where: str, fault: str) -> None:
    path, api = DOCUMENTS[where]
    place.server.faults.append(replace(PASSING[fault], where=path))
    error = told(lambda: place.found(api))
    assert isinstance(error, UnreachableError) and place.server.url in str(error)
    assert len(place.server.asked(path)) >= QUICK.attempts


@pytest.mark.parametrize("status", [404, 410])
@pytest.mark.parametrize("where", DOCUMENTS)
def test_a_document_that_is_gone_is_the_catalogues_fault(place: Place, where: str, status: int) -> None:
    path, api = DOCUMENTS[where]
    place.server.faults.append(Fault("status", where=path, status=status))
    error = told(lambda: place.found(api))
    assert isinstance(error, InputError) and f"HTTP {status}" in str(error)
    assert len(place.server.asked(path)) == 1 or where == "landing page"


@pytest.mark.parametrize("kind", ["short", "page"])
@pytest.mark.parametrize("where", DOCUMENTS)
def test_half_a_document_is_never_taken_for_a_whole_one(place: Place, where: str, kind: Any) -> None:
    path, api = DOCUMENTS[where]
    place.server.faults.append(Fault(kind, where=path))
    assert isinstance(told(lambda: place.found(api)), InputError)


@pytest.mark.parametrize("part", ["header", "block"])
@pytest.mark.parametrize("fault", PASSING)
def test_pixels_are_the_same_once_the_fault_has_passed(place: Place, fault: str, part: Any) -> None:
    times = 1 if fault == "slow" else 2
    place.server.faults.append(replace(PASSING[fault], where="blue.tif", part=part, times=times))
    np.testing.assert_allclose(place.pixels(), NOISE * 1e-4, rtol=1e-6)


@pytest.mark.parametrize("part", ["header", "block"])
@pytest.mark.parametrize("fault", [pytest.param(name, marks=[pytest.mark.slow] * (name == "slow")) for name in PASSING])
def test_pixels_are_never_made_up_while_the_fault_stays(place: Place, fault: str, part: Any) -> None:
    place.server.faults.append(replace(PASSING[fault], where="blue.tif", part=part))
    # Of the header, the half that comes is enough to find the blocks; of a block, the whole file can be had instead.
    if part == "block" or fault in ("reset", "broken off"):
        np.testing.assert_allclose(place.pixels(), NOISE * 1e-4, rtol=1e-6)
        return
    error = told(place.pixels)
    assert isinstance(error, UnreachableError) and "june: " in str(error) and "blue.tif" in str(error)


def test_ranges_that_come_short_are_fetched_with_the_whole_file(place: Place) -> None:
    place.server.faults.append(Fault("short", where="blue.tif", part="block"))
    np.testing.assert_allclose(place.pixels(), NOISE * 1e-4, rtol=1e-6)


def test_an_asset_that_comes_short_fails_its_tile(place: Place) -> None:
    place.server.faults.append(Fault("short", where="blue.tif", part="header"))
    error = told(place.pixels)
    assert isinstance(error, TileError) and "june: corrupt asset blue" in str(error)


def test_a_connection_that_always_breaks_is_not_the_files_fault(place: Place) -> None:
    place.server.faults.append(Fault("broken off", where="blue.tif", after=1))
    error = told(place.pixels)
    assert isinstance(error, UnreachableError) and "blue.tif" in str(error)


def test_a_web_page_instead_of_an_asset_is_an_archive_that_is_down(place: Place) -> None:
    place.server.faults.append(Fault("page", where="blue.tif"))
    error = told(place.pixels)
    assert isinstance(error, UnreachableError) and "a web page instead of the file" in str(error)


@pytest.mark.parametrize("status", [404, 410])
def test_an_asset_that_is_gone_fails_its_tile_without_being_asked_again(place: Place, status: int) -> None:
    place.server.faults.append(Fault("status", where="blue.tif", status=status))
    error = told(place.pixels)
    assert isinstance(error, TileError) and "june: missing asset blue" in str(error)
    assert len(place.server.asked("blue.tif")) <= 3


@pytest.mark.parametrize("path", ["/catalog.json", "blue.tif"])
@pytest.mark.parametrize("after", ["seconds", pytest.param("date", marks=pytest.mark.slow)])
def test_a_server_that_says_when_to_come_back_is_not_asked_before(place: Place, path: str, after: str) -> None:
    text = "1" if after == "seconds" else in_seconds(2.5)  # dates have whole seconds
    place.server.faults.append(Fault("status", path, times=3, status=429, headers={"Retry-After": text}))
    start = time.monotonic()
    assert place.pixels(replace(QUICK, attempts=5, longest_wait_s=3)).shape == WIDE.shape
    assert time.monotonic() - start > 1


def test_a_server_that_asks_for_an_hour_is_not_waited_for_that_long(place: Place) -> None:
    place.server.faults.append(Fault("status", "/catalog.json", status=429, headers={"Retry-After": "3600"}))
    start = time.monotonic()
    assert isinstance(told(place.found), UnreachableError)
    assert time.monotonic() - start < 2


@pytest.mark.slow
def test_an_archive_that_is_down_is_not_asked_patiently_for_every_asset(place: Place) -> None:
    """Forty layers of eight threads: what is down costs one patience, not forty; those that wait are woken."""
    scenes = passes(search(place.source, EVERYWHERE, *YEAR_2019, QUICK), "sentinel2", JUNE)
    place.server.faults.append(Fault("status", "blue.tif", status=503))
    backoff = BackOff(attempts=3, first_wait_s=0.3, longest_wait_s=30, timeout_s=1)
    start = time.monotonic()
    for _ in range(5):
        with ThreadPoolExecutor(8) as pool, pytest.raises(UnreachableError, match=r"blue\.tif"):
            list(imagery.read([imagery.Wanted(place.source, scenes * 8, "blue", WIDE)], pool, backoff=backoff))
    assert time.monotonic() - start < 15
    # At most three attempts of each of the eight threads, each a few requests of GDAL and our look; not of forty.
    assert len(place.server.asked("blue.tif")) <= 8 * 3 * 6
    with pytest.raises(UnreachableError, match="is down"):
        search(place.source, EVERYWHERE, *YEAR_2019, backoff)


def test_a_document_that_drips_in_is_not_waited_for_without_end(place: Place) -> None:
    place.server.faults.append(Fault("drip", "/catalog.json", seconds=0.1))
    backoff = replace(QUICK, attempts=1, timeout_s=0.2)
    start = time.monotonic()
    error = told(lambda: place.found(backoff=backoff))
    assert isinstance(error, UnreachableError) and "too slow" in str(error)
    assert time.monotonic() - start < 10


def test_an_empty_file_fails_its_tile(place: Place) -> None:
    place.server.faults.append(Fault("status", "blue.tif", status=416))
    error = told(place.pixels)
    assert isinstance(error, TileError) and "june: corrupt asset blue" in str(error)
