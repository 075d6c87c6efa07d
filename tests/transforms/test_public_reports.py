"""Files, archives and places as public issue reports tell them: each is read right, or refused in one line.

The repository and number of a report stand in each test's docstring. What was found before stands in the tests of the
readers themselves.
"""

import json
import sqlite3
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pystac
import pytest
import rasterio
from affine import Affine
from rasterio.enums import ColorInterp
from shapely.geometry import MultiPoint, Point, box, mapping

from stook.models.errors import InputError, TileError
from stook.transforms.ground.grid import Grid, Zone
from stook.transforms.ground.region import Region, read_region
from stook.transforms.ground.unit import Unit
from stook.transforms.imagery import reading
from stook.transforms.imagery.catalog import acquisition, search
from stook.transforms.imagery.pictures import PictureSettings, cell_pictures
from stook.transforms.imagery.reading import passes
from stook.transforms.imagery.season import Period
from stook.transforms.imagery.sources import Source, acquired
from stook.transforms.labelled.label_files import read_labels
from stook.transforms.labelled.labels import Classes
from stook.transforms.sampling.answer_files import Form, read_answers
from stook.transforms.statistics.layers import RasterLayer, read_layer
from tests.transforms.archive import EVERYWHERE, HASTY, PLACE, VEGETATION, YEAR_2019, Archive, lonlat, noon
from tests.transforms.imagery.faulty_server import FaultyServer, faulty, serve_api

JUNE = Period.of_month(2019, 6)
COUNTS = np.random.default_rng(7).integers(100, 3000, (60, 60))
CLASSES, ONES_AND_TWOS = Classes(("crop",), ("other",)), Classes((1,), (2,))
TWO = [box(39.0, 13.0, 39.2, 13.2), box(39.2, 13.0, 39.4, 13.2)]
SITE = rasterio.CRS.from_wkt('LOCAL_CS["site",UNIT["metre",1]]')
NULLS = dict.fromkeys(("title", "type", "method", "headers", "body", "merge"))


# Items


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    archive = Archive(tmp_path / "archive", "scaled-1e-4")
    archive.add("one", noon(1), {"blue": COUNTS, "scl": VEGETATION})
    return archive


def edited(archive: Archive, change: Callable[[dict[str, Any]], object], item_id: str = "one") -> Source:
    """The source, with an item's document changed."""
    source, path = archive.save(), archive.writer.folder / f"scenes/{item_id}/{item_id}.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    return source


def blue(source: Source) -> np.ndarray:
    """The first layer of what the archive has of the place."""
    scenes = passes(search(source, lonlat(PLACE), *YEAR_2019, HASTY), source.sensor, JUNE)
    assert scenes, "the item is not found"
    with ThreadPoolExecutor(1) as pool:
        [stack] = reading.read([reading.Wanted(source, scenes, "blue", PLACE)], pool, backoff=HASTY)
    return stack[0]


def is_read(source: Source) -> bool:
    """Whether the counts become the reflectance that they stand for."""
    return np.allclose(blue(source), COUNTS * 1e-4)


def refusal(action: Callable[[], object], error: type[Exception] = InputError) -> str:
    with pytest.raises(error) as caught:
        action()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_code_of_none(archive: Archive) -> None:
    """pystac writes "EPSG:None" where an item has ``proj:epsg`` null: odc-stac 195."""
    assert is_read(edited(archive, lambda item: item["properties"].update({"proj:code": "EPSG:None"})))


@pytest.mark.parametrize("code", ["urn:ogc:def:crs:EPSG::32631", 32631, rasterio.CRS.from_epsg(32631).to_wkt(), None])
def test_a_code_in_other_words(archive: Archive, code: Any) -> None:
    """Coordinate systems stand in items as codes, as WKT, or not at all: rio-stac 40; the file's own is read."""
    assert is_read(edited(archive, lambda item: item["properties"].update({"proj:code": code})))


@pytest.mark.parametrize("code", ["EPSG:32632", "urn:ogc:def:crs:EPSG::32632", 32632, "OGC:CRS84"])
def test_a_code_of_another_system(archive: Archive, code: Any) -> None:
    """The item tells another coordinate system than the file: stackstac 152."""
    source = edited(archive, lambda item: item["properties"].update({"proj:code": code}))
    told = refusal(lambda: blue(source), TileError)
    assert "one: unusable asset blue" in told and f"EPSG:32631, but the item says {code}" in told


@pytest.mark.parametrize("links", [None, [None, {"rel": "self", "href": "https://example.com/one"}]])
def test_links_that_are_null(archive: Archive, links: Any) -> None:
    """An API answers null for links, or among them: stac-fastapi 167."""
    assert is_read(edited(archive, lambda item: item.update(links=links)))


@pytest.mark.parametrize("field", ["raster:bands", "bands"])
def test_fields_of_assets_that_are_null(tmp_path: Path, field: str) -> None:
    """Every field that an item does not have comes as null: stac-fastapi-elasticsearch-opensearch 166."""
    archive = Archive(tmp_path / "archive", "earth-search-c1")
    archive.add("one", noon(1), {"blue": COUNTS}, **{"s2:processing_baseline": "05.09"})
    stated = {field: None, "raster:offset": -0.1}
    source = edited(archive, lambda item: item["assets"]["blue"].update(stated))
    assert np.allclose(blue(source), COUNTS * 1e-4 - 0.1, atol=1e-6)
    source = edited(archive, lambda item: item["assets"]["blue"].update({"raster:offset": None}))
    assert "one: no raster:offset for blue" in refusal(lambda: blue(source), TileError)


def test_nodata_written_as_nan(archive: Archive) -> None:
    """A bare NaN, which is no JSON, is the nodata of float bands: datacube-explorer 1168."""
    source = edited(archive, lambda item: item["assets"]["blue"].update({"raster:bands": [{"nodata": float("nan")}]}))
    assert "NaN" in (archive.writer.folder / "scenes/one/one.json").read_text()
    assert is_read(source)


@pytest.mark.parametrize("corner", [float("nan"), float("inf"), None])
def test_a_box_without_numbers(archive: Archive, corner: float | None) -> None:
    """A box that could not be computed is written all the same: stac-browser 669; the geometry tells the place."""
    source = edited(archive, lambda item: item.update(bbox=[*item["bbox"][:3], corner]))
    assert is_read(source)
    source = edited(archive, lambda item: item.update(bbox=[*item["bbox"][:3], corner], geometry=None))
    assert "neither bbox nor geometry" in refusal(lambda: search(source, EVERYWHERE, *YEAR_2019))


def test_a_box_in_metres(archive: Archive) -> None:
    """Box and geometry in the coordinates of the file, not in degrees: pystac 184."""
    source = edited(archive, lambda item: item.update(bbox=[500_000, 5_599_400, 500_600, 5_600_000]))
    told = refusal(lambda: search(source, lonlat(PLACE), *YEAR_2019))
    assert "item one" in told and "bbox and geometry have to be in degrees" in told


def test_a_box_with_the_north_first(archive: Archive) -> None:
    """West, north, east, south: pystac 268."""
    source = edited(archive, lambda item: item.update(bbox=[item["bbox"][place] for place in (0, 3, 2, 1)]))
    west, south, east, north = lonlat(PLACE)
    middle = (west + east) / 2, (south + north) / 2
    assert len(search(source, (*middle, *(degree + 1e-5 for degree in middle)), *YEAR_2019)) == 1


def test_times_with_an_offset_are_one_instant() -> None:
    """Local times with their offset from UTC: stac-spec 1095."""
    times = ("2019-06-30T23:30:00Z", "2019-07-01T02:30:00+03:00", "2019-06-30T18:30:00-05:00")
    items = [
        pystac.Item("a", None, [36, 9, 37, 10], datetime.fromisoformat(time.replace("Z", "+00:00")), {})
        for time in times
    ]
    assert {acquired(item).isoformat() for item in items} == {"2019-06-30T23:30:00+00:00"}
    assert len({acquisition(item) for item in items}) == 1
    assert [len(found) for found in passes(items, "sentinel2", JUNE)] == [3], "of one solar day"


@pytest.mark.parametrize("time", ["2019-06-01T10:30:00.123456789Z", "2019-06-01T10:30:00Z", "2019-06-01t10:30:00.5z"])
def test_times_with_and_without_fractions(archive: Archive, time: str) -> None:
    """Seconds with fractions of any length beside whole ones: stackstac 235."""
    source = edited(archive, lambda item: item["properties"].update(datetime=time))
    [item] = search(source, EVERYWHERE, *YEAR_2019)
    assert acquired(item).replace(microsecond=0) == datetime(2019, 6, 1, 10, 30, tzinfo=UTC)


# Links


def test_links_written_on_windows(archive: Archive) -> None:
    r"""A static catalogue whose links are ``.\one\one.json``: pystac 91."""
    source = edited(archive, lambda item: item["assets"]["blue"].update(href=".\\blue.tif"))
    for path in (archive.writer.folder / "catalog.json", archive.writer.folder / "scenes/collection.json"):
        content = json.loads(path.read_text())
        for link in content["links"]:
            link["href"] = link["href"].replace("/", "\\")
        path.write_text(json.dumps(content))
    assert is_read(source)


def test_links_written_on_windows_lead_no_further(archive: Archive) -> None:
    """The same: pystac 619; what lies outside the catalogue's folder stays there."""
    source = edited(archive, lambda item: item["assets"]["blue"].update(href="..\\..\\..\\outside.tif"))
    assert "outside the catalogue's folder" in refusal(lambda: search(source, EVERYWHERE, *YEAR_2019))


def test_links_to_files_of_this_machine(archive: Archive) -> None:
    """``file:///…`` as link of an asset: GDAL 8135."""
    path = archive.file("one", "blue").resolve()
    assert is_read(edited(archive, lambda item: item["assets"]["blue"].update(href=path.as_uri())))


@pytest.mark.parametrize("href", ["./band 02 & 3.tif", "./band%2002%20%26%203.tif"])
def test_links_with_blanks(archive: Archive, href: str) -> None:
    """A file with blanks in its name, its link encoded or not: DroneDB 442."""
    source = edited(archive, lambda item: item["assets"]["blue"].update(href=href))
    file = archive.file("one", "blue")
    file.rename(file.with_name("band 02 & 3.tif"))
    with faulty(archive.writer.folder) as server:
        assert is_read(replace(source, catalog=f"{server.url}/catalog.json"))


# Answers of an API


@pytest.fixture
def server(archive: Archive) -> Iterator[FaultyServer]:
    for day in (2, 3):
        archive.add(f"day-{day}", noon(day), {"blue": 5})
    archive.save()
    with faulty(archive.writer.folder) as running:
        yield running


def api(
    server: FaultyServer, archive: Archive, change: Callable[[dict[str, Any]], object], where: str = "/api/"
) -> Source:
    """The source behind an API of a page for each item, with its documents below an address changed."""
    source = archive.save()
    root = serve_api(server, "scenes", list(search(source, EVERYWHERE, *YEAR_2019)))

    def changed(page: Callable[[str], Any]) -> Callable[[str], Any]:
        def answer(query: str) -> Any:
            content = page(query)
            made = change(content)
            return made if isinstance(made, bytes) else content

        return answer

    for path in [path for path in server.pages if path.startswith(where)]:
        server.pages[path] = changed(server.pages[path])
    return replace(source, catalog=root)


def ids(source: Source) -> list[str]:
    return [item.id for item in search(source, EVERYWHERE, *YEAR_2019, HASTY)]


def links(content: dict[str, Any], relation: str) -> list[dict[str, Any]]:
    return [link for link in content.get("links", []) if link["rel"] == relation]


def test_next_pages_by_a_path(server: FaultyServer, archive: Archive) -> None:
    """Links to the next page are paths without a host: cmr-stac 44."""

    def shorten(page: dict[str, Any]) -> None:
        for link in links(page, "next"):
            link["href"] = link["href"].removeprefix(server.url)

    assert ids(api(server, archive, shorten)) == ["one", "day-2", "day-3"]


def test_next_pages_with_fields_of_null(server: FaultyServer, archive: Archive) -> None:
    """A link to the next page has all fields that links may have, most of them null: cogeo-mosaic 121."""

    def fill(page: dict[str, Any]) -> None:
        for link in links(page, "next"):
            link.update(NULLS)

    assert ids(api(server, archive, fill)) == ["one", "day-2", "day-3"]


@pytest.mark.parametrize("method", ["get", "post"])
def test_methods_in_small_letters(server: FaultyServer, archive: Archive, method: str) -> None:
    """``get`` or ``GET``: stac-spec 631; the search is where the link says, whatever the letters."""

    def change(content: dict[str, Any]) -> None:
        for link in links(content, "search"):
            link.update(method=method, href=f"{server.url}/api/find")
        for link in links(content, "next"):
            link.update(method=method)

    source = api(server, archive, change, "/api")
    server.pages["/api/find"] = server.pages.pop("/api/search")
    assert ids(source) == ["one", "day-2", "day-3"]


def test_a_search_that_only_gets(server: FaultyServer, archive: Archive) -> None:
    """The only search link has no method, so that nothing may be posted: pystac-client 900."""

    def change(content: dict[str, Any]) -> None:
        for link in links(content, "search"):
            link["method"] = None

    assert ids(api(server, archive, change, "/api")) == ["one", "day-2", "day-3"]
    assert all("bbox=" in request for request in server.asked("/api/search"))


def test_pages_with_a_byte_order_mark(server: FaultyServer, archive: Archive) -> None:
    """JSON that begins with a byte order mark: httpx 1724."""
    source = api(server, archive, lambda page: b"\xef\xbb\xbf" + json.dumps(page).encode())
    assert ids(source) == ["one", "day-2", "day-3"]


# Rasters of imagery


def rewritten(path: Path, change: Callable[[rasterio.io.DatasetWriter], object], **profile: Any) -> None:
    """Write a file anew as a plain GeoTIFF, and change it."""
    with rasterio.open(path) as file:
        values, known = file.read(), file.profile
    wanted = {name: known[name] for name in ("height", "width", "count", "dtype", "crs", "transform", "nodata")}
    with rasterio.open(path, "w", **{"driver": "GTiff", **wanted, **profile}) as file:
        file.write(values)
        change(file)


def test_scale_and_offset_in_the_file(archive: Archive) -> None:
    """The file's own scale and offset are tags, which nobody applies unasked: rasterio 2219."""

    def tag(file: rasterio.io.DatasetWriter) -> None:
        file.scales, file.offsets = [1e-4], [-0.1]

    source = archive.save()
    rewritten(archive.file("one", "blue"), tag)
    assert is_read(source)


def test_a_mask_within_the_file(archive: Archive) -> None:
    """No nodata value, but a mask of the whole file: GeoLibre 1275; what it leaves out was not observed."""
    seen = np.full((60, 60), 255, np.uint8)
    seen[:20] = 0
    source = archive.save()
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True):
        rewritten(archive.file("one", "blue"), lambda file: file.write_mask(seen), nodata=None)
    values = blue(source)
    assert np.isnan(values[:20]).all()
    np.testing.assert_allclose(values[20:], COUNTS[20:] * 1e-4, rtol=1e-6)


def picture(path: Path, bands: int, **changes: Any) -> pystac.Item:
    """A picture of 800 m, of grey 100 in each band, and its item."""
    crs, place = "EPSG:32637", Affine(2, 0, 499_900, 0, -2, 1_500_100)
    profile = {"driver": "GTiff", "height": 400, "width": 400, "count": bands, "dtype": "uint8", "crs": crs}
    with rasterio.open(path, "w", **profile, transform=place, photometric="RGB", **changes) as file:
        file.write(np.full((bands, 400, 400), 100, np.uint8))
        bounds = rasterio.warp.transform_bounds(crs, "EPSG:4326", *file.bounds)
    item = pystac.Item("a", mapping(box(*bounds)), list(bounds), datetime(2023, 11, 3, 8, tzinfo=UTC), {})
    item.add_asset({3: "visual", 4: "rgbn"}[bands], pystac.Asset(str(path)))
    return item


def chips(item: pystac.Item, profile: str, bands: tuple[str, ...]) -> list[np.ndarray]:
    """Of every cell of a tile of ten by ten that is wholly pictured."""
    settings = PictureSettings(bands, chip_px=20, resolution_m=5.0, period=Period.of_month(2023, 11))
    cells, source = Grid(resolution_m=50, tile_px=10), Source("rgb", "/catalog.json", "pictures", profile)
    tile = cells.tile_at(Zone(37, False), 500_010, 1_499_990)
    rows = cell_pictures([item], source, cells, tile, np.ones((10, 10), bool), settings)
    return [chip for row in rows for chip in row.chips.values]


@pytest.mark.filterwarnings("ignore::rasterio.errors.NodataShadowWarning")
@pytest.mark.parametrize("nodata", [None, 0])
def test_near_infrared_that_the_file_calls_alpha(tmp_path: Path, nodata: int | None) -> None:
    """The fourth band of aerial pictures is near infrared, and dark over water: PlanetaryComputer 82."""
    item = picture(tmp_path / "a.tif", 4, nodata=nodata)
    with rasterio.open(tmp_path / "a.tif", "r+") as file:
        file.colorinterp = [ColorInterp.red, ColorInterp.green, ColorInterp.blue, ColorInterp.alpha]
        water = file.read()
        water[3, 150:250, 150:250] = 0
        file.write(water)
    found = chips(item, "rgbn-8bit", ("red", "nir"))
    assert len(found) == 100
    assert {round(float(chip[0, 0].min() * 255)) for chip in found} == {100}
    assert 0 < sum(not chip[0, 1].any() for chip in found) < 100


def test_pictures_with_a_mask_within_the_file(tmp_path: Path) -> None:
    """Coverage that an alpha or mask band alone tells: raster2dggs 105."""
    item = picture(tmp_path / "a.tif", 3)
    seen = np.full((400, 400), 255, np.uint8)
    seen[:, 200:] = 0
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(tmp_path / "a.tif", "r+") as file:
        file.write_mask(seen)
    assert len(chips(item, "visual-8bit", ("red", "green", "blue"))) == 50


# Rasters of labels and layers


def raster(path: Path, west: float = 39.0, crs: Any = "EPSG:4326", **changes: Any) -> Path:
    """Ones and twos: four pixels of a thousandth of a degree, from 9.002° N southwards."""
    values, place = np.array([[1, 2], [2, 1]], np.uint8), Affine(0.001, 0, west, 0, -0.001, 9.002)
    shape = {"driver": "GTiff", "count": 1, "height": 2, "width": 2}
    with rasterio.open(path, "w", **shape, dtype="uint8", crs=crs, transform=place, **changes) as file:
        file.write(values, 1)
    return path


def nodata_as(path: Path, text: bytes) -> Path:
    """The raster with other words for its nodata, which libraries refuse to write."""
    raster(path, nodata=255)
    content = path.read_bytes()
    assert content.count(b"255\0") == 1
    path.write_bytes(content.replace(b"255\0", text + b"\0"))
    return path


def places(file: Path, field: str | None = None, classes: Classes = ONES_AND_TWOS) -> list[tuple[float, ...]]:
    """Longitude, latitude and label of what is labelled."""
    table = read_labels(file, classes, field).table.sort_values(["lon", "lat"])
    return [tuple(row) for row in table[["lon", "lat", "label"]].round(3).itertuples(index=False)]


def layer_pixels(layer: Any, west: float) -> dict[int, int]:
    """How many pixels of 10 m of a place have each value."""
    assert isinstance(layer, RasterLayer)
    grid, sums = Grid(resolution_m=10, tile_px=50), {1: 0, 2: 0}
    for tile in around(west).tiles(grid):
        values, known = layer.on(grid, tile)
        for value in sums:
            sums[value] += int((known & (values == value)).sum())
    return sums


def around(west: float) -> Region:
    return Region((Unit("a", "a", (), box(west, 9.0, west + 0.002, 9.002)),))


def test_pixels_that_are_points(tmp_path: Path) -> None:
    """``AREA_OR_POINT=Point`` moves nothing, for GDAL has moved it already: raster2dggs 69."""
    expected = places(raster(tmp_path / "areas.tif"))
    with rasterio.open(raster(tmp_path / "points.tif"), "r+") as file:
        file.update_tags(AREA_OR_POINT="Point")
    assert places(tmp_path / "points.tif") == expected
    assert layer_pixels(read_layer(str(tmp_path / "points.tif"), around(39)), 39) == layer_pixels(
        read_layer(str(tmp_path / "areas.tif"), around(39)), 39
    )


@pytest.mark.parametrize("text", [b"-99", b"nan", b"1e9"])
def test_nodata_that_the_data_type_cannot_hold(tmp_path: Path, text: bytes) -> None:
    """A nodata of -9999 or NaN in a file of bytes: rasterio 289, geotile 68; no pixel is without data then."""
    path = nodata_as(tmp_path / "a.tif", text)
    assert len(places(path)) == 4
    assert layer_pixels(read_layer(str(path), around(39)), 39) == {1: 242, 2: 242}


def test_labels_from_0_to_360(tmp_path: Path) -> None:
    """Longitudes that count from 0 to 360: GDAL 14879."""
    assert places(raster(tmp_path / "a.tif", 250)) == places(raster(tmp_path / "b.tif", -110))


@pytest.mark.parametrize("west", [-110.0, 39.0])
def test_a_layer_from_0_to_360(tmp_path: Path, west: float) -> None:
    """The same of a layer of the whole Earth: rasterio 1861, GDAL 14879."""
    whole = np.tile(np.repeat(np.array([[1, 2]], np.uint8), 180), (180, 1))  # 1 east of Greenwich, 2 west of it
    shape = {"driver": "GTiff", "count": 1, "height": 180, "width": 360, "dtype": "uint8", "crs": "EPSG:4326"}
    with rasterio.open(tmp_path / "a.tif", "w", **shape, transform=Affine(1, 0, 0, 0, -1, 90)) as file:
        file.write(whole, 1)
    found = layer_pixels(read_layer(str(tmp_path / "a.tif"), around(west)), west)
    assert found[1 if west < 0 else 2] == 0
    assert found[2 if west < 0 else 1] > 2000
    near = layer_pixels(read_layer(str(raster(tmp_path / "b.tif", west % 360)), around(west)), west)
    assert near == layer_pixels(read_layer(str(raster(tmp_path / "c.tif", west)), around(west)), west)
    assert near[1] > 200


def test_rasters_in_coordinates_of_a_site(tmp_path: Path) -> None:
    """A coordinate system of a building site, which lies nowhere: rasterio 1563."""
    path = raster(tmp_path / "site.tif", crs=SITE)
    for read in (lambda: places(path), lambda: read_layer(str(path), around(39))):
        assert f"{path}: its coordinate reference system cannot be brought to longitude and latitude" in refusal(read)


# Vector files


def frame(**fields: Any) -> gpd.GeoDataFrame:
    return gpd.GeoDataFrame(fields or {"code": ["A", "B"]}, geometry=TWO, crs=4326)


def units(path: Path, field: str = "code") -> list[str]:
    """Ids of units that lie where they should."""
    found = read_region(path, field).units
    for unit, polygon in zip(found, TWO, strict=True):
        assert unit.geometry.symmetric_difference(polygon).area < 1e-3 * polygon.area
    return [unit.id for unit in found]


def geojson(path: Path, change: Callable[[dict[str, Any]], object], crs: int = 4326) -> Path:
    content = json.loads(frame().to_crs(crs).to_json())
    change(content)
    path.write_text(json.dumps(content))
    return path


def test_an_attribute_called_geometry(tmp_path: Path) -> None:
    """Polygons with text in a field of the name geometry: geopandas 2752."""
    table = frame().rename_geometry("geom")
    table["geometry"] = ["old outline", "none"]
    table.to_file(tmp_path / "units.gpkg")
    assert units(tmp_path / "units.gpkg") == ["A", "B"]
    told = refusal(lambda: units(tmp_path / "units.gpkg", "geometry"))
    assert "no field 'geometry'; the fields are 'code'" in told


def test_numbers_of_features_of_a_geopackage(tmp_path: Path) -> None:
    """The column fid, which people see in QGIS and libraries hide: geopandas 2794."""
    table = frame(fid=[17, 40], code=["A", "B"])
    table.to_file(tmp_path / "units.gpkg")
    assert units(tmp_path / "units.gpkg", "fid") == ["17", "40"]
    assert units(tmp_path / "units.gpkg") == ["A", "B"]


@pytest.mark.xfail(reason="GDAL gives numbers to features without one, so that nobody could tell them", strict=True)
def test_numbers_of_features_outside_their_properties(tmp_path: Path) -> None:
    """GeoJSON whose features have whole numbers as ``id``: GDAL 7258; words are read."""

    def give(numbers: list[Any]) -> Callable[[dict[str, Any]], object]:
        return lambda content: [feature.update(id=n) for feature, n in zip(content["features"], numbers, strict=True)]

    assert units(geojson(tmp_path / "words.geojson", give(["N", "S"])), "id") == ["N", "S"]
    assert units(geojson(tmp_path / "numbers.geojson", give([17, 40])), "id") == ["17", "40"]


def test_ids_that_are_the_index_of_a_geoparquet(tmp_path: Path) -> None:
    """Identifiers that pandas keeps apart from the columns: geoparquet 120."""
    frame(code=["A", "B"], region=["R", "R"]).set_index(["region", "code"]).to_parquet(tmp_path / "units.parquet")
    assert units(tmp_path / "units.parquet") == ["A", "B"]
    assert [unit.parents for unit in read_region(tmp_path / "units.parquet", "code", "region").units] == [("R",)] * 2


def zipped(path: Path, folder: str = "", extra: dict[str, bytes] | None = None, code_page: bool = True) -> Path:
    shape = path.with_name("parts.shp")
    frame(code=["Guémon", "Bélier"]).to_file(shape, encoding="UTF-8")
    with zipfile.ZipFile(path, "w") as archive:
        for suffix in (".shp", ".shx", ".dbf", ".prj", *([".cpg"] if code_page else [])):
            archive.write(shape.with_suffix(suffix), f"{folder}parts{suffix}")
        for name, content in (extra or {}).items():
            archive.writestr(name, content)
    return path


@pytest.mark.parametrize("name", ["units.zip", "UNITS.ZIP"])
@pytest.mark.parametrize("folder", ["", "boundaries/2023/"])
def test_a_shapefile_in_a_folder_of_a_zip(tmp_path: Path, name: str, folder: str) -> None:
    """The zip holds a folder, and the folder the shapefile: pyogrio 494."""
    assert units(zipped(tmp_path / name, folder)) == ["Guémon", "Bélier"]
    assert units(zipped(tmp_path / name, folder, code_page=False)) == ["Guémon", "Bélier"]


def test_a_zip_made_by_macos(tmp_path: Path) -> None:
    """A second set of files, __MACOSX/._units.shp, that are none: shapefile-js 73."""
    others = {f"__MACOSX/._parts{suffix}": b"\0\5\26\7" + b"\xe9" * 200 for suffix in (".shp", ".dbf", ".prj")}
    assert units(zipped(tmp_path / "units.zip", extra=others, code_page=False)) == ["Guémon", "Bélier"]


def test_geojson_with_a_byte_order_mark(tmp_path: Path) -> None:
    """GeoJSON as some products of Esri write it: geojson-rewind 17."""
    path = geojson(tmp_path / "units.geojson", lambda content: None)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert units(path) == ["A", "B"]


@pytest.mark.parametrize(
    "crs",
    [
        {"type": "name", "properties": {"name": "EPSG:3857"}},
        {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::3857"}},
        {"type": "EPSG", "properties": {"code": 3857}},
    ],
)
def test_geojson_in_metres_with_its_system(tmp_path: Path, crs: dict[str, Any]) -> None:
    """Services still give the member crs that the standard dropped: openlayers 10534."""
    assert units(geojson(tmp_path / "units.geojson", lambda content: content.update(crs=crs), 3857)) == ["A", "B"]


def test_geojson_in_metres_without_its_system(tmp_path: Path) -> None:
    """The same without crs, so that metres are taken for degrees: maphubs 134."""
    path = geojson(tmp_path / "units.geojson", lambda content: content.pop("crs", None), 3857)
    assert "unit 'A' reaches from 4.34" in (told := refusal(lambda: units(path))) and "allowed are -180 to 180" in told


@pytest.mark.filterwarnings("ignore:Non closed ring detected")
def test_rings_that_are_not_closed(tmp_path: Path) -> None:
    """A polygon whose last position is not its first: geojsonlint.com 17."""

    def open_first(content: dict[str, Any]) -> None:
        content["features"][0]["geometry"]["coordinates"][0].pop()

    told = refusal(lambda: units(geojson(tmp_path / "units.geojson", open_first)))
    assert "units.geojson: not a vector file that can be read" in told
    assert "do not form a closed linestring" in told


def test_whole_numbers_beyond_64_bits(tmp_path: Path) -> None:
    """Cells of S2 are unsigned numbers of 64 bits, of which readers made one and the same: geopandas 1732."""
    numbers = [9824657365274853000, 9868811851946736000]

    def number(content: dict[str, Any]) -> None:
        for feature, value in zip(content["features"], numbers, strict=True):
            feature["properties"]["code"] = value

    assert "units.geojson" in refusal(lambda: units(geojson(tmp_path / "units.geojson", number)))
    frame(code=np.array(numbers, np.uint64)).to_parquet(tmp_path / "units.parquet")
    assert units(tmp_path / "units.parquet") == list(map(str, numbers))


def test_a_geopackage_of_an_undefined_system(tmp_path: Path) -> None:
    """The number -1 stands for an undefined coordinate system: geopackage 681."""
    path = tmp_path / "units.gpkg"
    frame().to_file(path)
    with sqlite3.connect(path) as database:
        for table in ("gpkg_contents", "gpkg_geometry_columns"):
            database.execute(f"UPDATE {table} SET srs_id = -1")
    database.close()
    told = refusal(lambda: units(path))
    assert "Undefined Cartesian SRS cannot be brought to longitude and latitude" in told


def test_polygons_in_a_collection(tmp_path: Path) -> None:
    """MultiGeometry of KML becomes a collection of geometries: openlayers 829."""

    def collect(content: dict[str, Any]) -> None:
        feature = content["features"][1]
        feature["geometry"] = {"type": "GeometryCollection", "geometries": [feature["geometry"]]}

    told = refusal(lambda: units(geojson(tmp_path / "units.geojson", collect)))
    assert "unit 'B' is GeometryCollection; units are polygons or multipolygons" in told


# Tables and points


def table(path: Path, text: str, encoding: str = "utf-8") -> Path:
    path.write_bytes(text.encode(encoding))
    return path


POINTS = [(39.0, 9.0, True), (39.1, 9.0, False)]


@pytest.mark.parametrize("more", ["", "5"])
def test_rows_with_more_fields_than_the_heading(tmp_path: Path, more: str) -> None:
    """A comma ends each row, or a field has no heading; pandas moves all columns by one: pandas 14124, 15203."""
    path = table(tmp_path / "p.csv", f"lon,lat,kind\n39,9,1,{more}\n39.1,9,0,{more}\n")
    told = refusal(lambda: places(path, "kind", Classes((1,), (0,))))
    assert told == f"{path}: row 2 has 4 fields, the heading 3; they have to match"


def test_a_column_that_is_there_twice(tmp_path: Path) -> None:
    """Of two columns of one name pandas renames the second: pandas 19383."""
    path = table(tmp_path / "p.csv", "lon,lat,kind,kind\n39,9,crop,other\n39.1,9,other,crop\n")
    assert refusal(lambda: places(path, "kind", CLASSES)) == (
        f"{path}: column 'kind' is there twice; nobody knows which is meant"
    )


def test_a_heading_with_blanks(tmp_path: Path) -> None:
    """Blanks after the commas of the heading: GeoDa 123."""
    assert places(table(tmp_path / "p.csv", "lon, lat, kind\n39, 9, crop\n39.1, 9, other\n"), "kind", CLASSES) == POINTS


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('lon,lat,kind\n"39,5","9,1",crop\n"39,1","9,2",other\n', "the first at lon '39,5', lat '9,1'; allowed are"),
        ("lon;lat;kind\n39.5;9.1;crop\n39.1;9.2;other\n", "has no field lon, lat, kind; there are lon;lat;kind"),
        (
            "lon;lat;kind\n39,5;9,1;crop\n39,1;9,2;other\n",
            "fields, the heading 1; are they divided by commas?",
        ),
    ],
)
def test_decimal_commas_and_semicolons(tmp_path: Path, text: str, told: str) -> None:
    """A table as spreadsheets in French write it: umap 1556."""
    path = table(tmp_path / "p.csv", text)
    assert told in (said := refusal(lambda: places(path, "kind", CLASSES))) and said.startswith(f"{path}: ")


def test_points_that_are_called_multipoints(tmp_path: Path) -> None:
    """Layers of single points that are MultiPoint: school-catchment-plugin 15."""
    points = gpd.GeoDataFrame(
        {"kind": ["crop", "other"]}, geometry=[MultiPoint([(39, 9)]), MultiPoint([(39.1, 9)])], crs=4326
    )
    points.to_file(tmp_path / "p.gpkg")
    assert places(tmp_path / "p.gpkg", "kind", CLASSES) == POINTS
    several = points.assign(geometry=[MultiPoint([(39, 9), (39.2, 9)]), Point(39.1, 9)])
    several.to_file(tmp_path / "q.geojson")
    assert places(tmp_path / "q.geojson", "kind", CLASSES) == [*POINTS, (39.2, 9.0, True)]


FORM = Form("PLOTID", ("class",), None, "LON", "LAT", (), {})


def test_answers_at_multipoints_with_heights(tmp_path: Path) -> None:
    """Points that a tool has made MultiPointZ: QWater 7."""
    at = [MultiPoint([(36, 9, 1800)]), MultiPoint([(36.1, 9.1, 1750)])]
    gpd.GeoDataFrame({"PLOTID": [1, 2], "class": ["crop", "other"]}, geometry=at, crs=4326).to_file(
        tmp_path / "ann.gpkg", layer="answers"
    )
    found = read_answers([tmp_path / "ann.gpkg"], FORM).table
    assert found[["point", "lon", "lat"]].to_numpy().tolist() == [["1", 36.0, 9.0], ["2", 36.1, 9.1]]


def test_answers_from_a_spreadsheet(tmp_path: Path) -> None:
    """A byte order mark before the first column, Windows' line ends, quotes around all: csvkit 662."""
    text = '\ufeff"PLOTID","class","LON","LAT"\r\n"1","crop, irrigated","36","9"\r\n"2","other","36.1","9.1"\r\n'
    found = read_answers([table(tmp_path / "ann.csv", text)], FORM).table
    assert found["point"].tolist() == ["1", "2"]
    assert found["answer"].tolist() == ["crop, irrigated", "other"]
    assert found["lon"].tolist() == [36.0, 36.1]
