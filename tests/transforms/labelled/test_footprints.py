"""Footprints become the exact covered fraction of cells, where somebody has looked."""

from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import shapely

from stook.models.errors import InputError
from stook.transforms.ground.grid import Grid
from stook.transforms.labelled.footprints import read_footprints

EPSG = 32637
LEFT, BOTTOM = 500_000, 1_500_000


def write(path: Path, *geometries: shapely.Geometry, epsg: int = EPSG) -> Path:
    gpd.GeoSeries(geometries, crs=EPSG).to_crs(epsg).to_file(path)
    return path


def rectangle(west: float, south: float, east: float, north: float) -> shapely.Polygon:
    """A rectangle in metres from the corner of the tests, with vertices enough to survive another CRS."""
    box = shapely.box(LEFT + west, BOTTOM + south, LEFT + east, BOTTOM + north)
    return shapely.segmentize(box, 50)


@pytest.fixture
def area(tmp_path: Path) -> Path:
    return write(tmp_path / "area.gpkg", rectangle(-10, -10, 310, 210))


def test_fractions_are_exact_also_across_cells(tmp_path: Path, area: Path) -> None:
    houses = write(tmp_path / "houses.gpkg", rectangle(90, 40, 120, 60), rectangle(210, 110, 220, 120))
    cells = read_footprints(houses, area, 100)
    assert len(cells) == 6 and cells.pixel_m == 100
    found = cells.table.set_index(["column", "row"])["label"]
    expected = {(0, 0): 0.02, (1, 0): 0.04, (2, 1): 0.01}
    for (column, row), fraction in found.items():
        place = column - LEFT // 100, row - BOTTOM // 100
        assert fraction == pytest.approx(expected.get(place, 0.0), abs=1e-6)


def test_ground_under_two_footprints_counts_once(tmp_path: Path, area: Path) -> None:
    houses = write(tmp_path / "houses.gpkg", rectangle(0, 0, 50, 50), rectangle(25, 0, 75, 50))
    assert read_footprints(houses, area, 100).table["label"].max() == pytest.approx(0.375, abs=1e-6)


def test_cells_that_nobody_surveyed_whole_have_no_label(tmp_path: Path) -> None:
    area = write(tmp_path / "area.gpkg", rectangle(-10, -10, 199, 210))
    houses = write(tmp_path / "houses.gpkg", rectangle(10, 10, 20, 20))
    assert len(read_footprints(houses, area, 100)) == 2


def test_files_may_come_in_another_crs(tmp_path: Path) -> None:
    area = write(tmp_path / "area.geojson", rectangle(-10, -10, 310, 210), epsg=4326)
    houses = write(tmp_path / "houses.geojson", rectangle(90, 40, 120, 60), epsg=4326)
    assert read_footprints(houses, area, 100).table["label"].sum() == pytest.approx(0.06, abs=1e-4)


def test_ground_on_a_zone_meridian_is_labelled_once_per_zone_and_not_across(tmp_path: Path) -> None:
    strip = gpd.GeoSeries([shapely.box(35.99, 9.0, 36.01, 9.01)], crs=4326)
    strip.to_file(tmp_path / "area.geojson")
    gpd.GeoSeries([shapely.box(35.995, 9.002, 36.005, 9.004)], crs=4326).to_file(tmp_path / "houses.geojson")
    table = read_footprints(tmp_path / "houses.geojson", tmp_path / "area.geojson", 100).table
    assert set(table["zone"]) == {"32636", "32637"}
    assert (table[table["zone"] == "32636"]["lon"] < 36).all() and (table[table["zone"] == "32637"]["lon"] > 36).all()


def test_cells_are_found_in_the_tiles_of_their_grid(tmp_path: Path, area: Path) -> None:
    houses = write(tmp_path / "houses.gpkg", rectangle(90, 40, 120, 60))
    cells = read_footprints(houses, area, 100)
    [(tile, index, rows, columns)] = cells.by_tile(Grid(100, 100))
    assert (tile.ix, tile.iy) == (LEFT // 10_000, BOTTOM // 10_000)
    assert sorted(rows) == [98, 98, 98, 99, 99, 99] and sorted(set(columns)) == [0, 1, 2]
    assert np.array_equal(np.sort(index), np.arange(6))


@pytest.mark.parametrize("broken", ["houses", "area"])
def test_what_is_no_polygon_is_refused(tmp_path: Path, area: Path, broken: str) -> None:
    houses = write(tmp_path / "houses.gpkg", rectangle(0, 0, 10, 10))
    points = write(tmp_path / "points.gpkg", shapely.Point(LEFT, BOTTOM))
    with pytest.raises(InputError, match="points.gpkg: holds no polygons"):
        read_footprints(points if broken == "houses" else houses, points if broken == "area" else area, 100)


def test_an_area_smaller_than_a_cell_is_refused(tmp_path: Path) -> None:
    area = write(tmp_path / "area.gpkg", rectangle(10, 10, 60, 60))
    with pytest.raises(InputError, match="no cell of 100 m lies wholly within"):
        read_footprints(area, area, 100)


@pytest.mark.filterwarnings("ignore:'crs' was not provided")
def test_footprints_without_a_crs_or_without_any_polygon_are_refused(tmp_path: Path, area: Path) -> None:
    gpd.GeoSeries([rectangle(0, 0, 10, 10)]).to_file(tmp_path / "nowhere.gpkg")
    with pytest.raises(InputError, match="nowhere.gpkg: no coordinate reference system"):
        read_footprints(tmp_path / "nowhere.gpkg", area, 100)
    gpd.GeoSeries([], crs=EPSG).to_file(tmp_path / "empty.geojson")
    with pytest.raises(InputError, match="empty.geojson: holds no polygons"):
        read_footprints(tmp_path / "empty.geojson", area, 100)


def test_an_area_that_was_drawn_on_the_grid_holds_the_cells_on_its_edge(tmp_path: Path) -> None:
    area = write(tmp_path / "area.geojson", rectangle(0, 0, 300, 200), epsg=4326)
    houses = write(tmp_path / "houses.gpkg", rectangle(10, 10, 20, 20))
    assert len(read_footprints(houses, area, 100)) == 6
