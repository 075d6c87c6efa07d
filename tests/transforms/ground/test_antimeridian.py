"""Ground on the 180th meridian has the area it has elsewhere, in whatever form it is written."""

import json
from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import Geod
from shapely.geometry import mapping
from shapely.geometry.base import BaseGeometry

from stook.models.errors import InputError
from stook.transforms.ground.antimeridian import lonlat_box, within_one_turn
from stook.transforms.ground.areas import TileCoverage
from stook.transforms.ground.geodesy import lonlat_bounds, widened
from stook.transforms.ground.grid import Grid, Zone
from stook.transforms.ground.region import Region, read_region
from stook.transforms.tiles.calibration import clipped

WGS84 = Geod(ellps="WGS84")
ISLAND = shapely.box(179.9970, -16.8000, 180.0020, -16.7970)  # of both sides, written on beyond 180
HECTARES = abs(WGS84.geometry_area_perimeter(ISLAND)[0]) / 1e4
HALVES = shapely.MultiPolygon(
    [shapely.box(179.9970, -16.8000, 180, -16.7970), shapely.box(-180, -16.8000, -179.9980, -16.7970)]
)


def jumping(geometry: BaseGeometry) -> BaseGeometry:
    """The same with every longitude within -180…180, so that edges across the meridian jump."""
    return shapely.transform(geometry, wrap)


def wrap(lonlat: np.ndarray) -> np.ndarray:
    return np.column_stack([(lonlat[:, 0] + 180) % 360 - 180, lonlat[:, 1]])


FORMS = {
    "on beyond 180": ISLAND,
    "jumping to -180": jumping(ISLAND),
    "below -180": shapely.transform(ISLAND, lambda lonlat: lonlat - (360, 0)),
    "cut at 180": HALVES,
}


def region_of(path: Path, geometry: BaseGeometry, crs: int = 4326) -> Region:
    """A region of one unit, as it is read from a file."""
    table = gpd.GeoDataFrame({"unit_id": ["island"]}, geometry=[geometry], crs=crs)
    table.to_file(path, driver="GPKG")
    return read_region(path, "unit_id")


def mapped_ha(region: Region, grid: Grid) -> float:
    """The area of a region as maps count it, pixel by pixel."""
    tiles = (TileCoverage.of(region, grid, tile) for tile in region.tiles(grid))
    return sum(sum(tile.totals.values()) for tile in tiles) / 1e6


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("tile_px", [100, 1000])
def test_an_island_has_its_area_in_every_form(tmp_path: Path, form: str, tile_px: int) -> None:
    region = region_of(tmp_path / "units.gpkg", FORMS[form])
    assert [zone.name for zone in region.zones] == ["32701", "32760"]
    assert mapped_ha(region, Grid(tile_px=tile_px)) == pytest.approx(HECTARES, rel=1e-6)
    west, south, east, north = region.bounds
    assert (west, east) == pytest.approx((179.9970, -179.9980))
    assert (south, north) == pytest.approx((-16.8000, -16.7970))
    assert len(region.tiles(Grid())) <= 4


def test_a_projected_file_is_read_right(tmp_path: Path) -> None:
    projected = gpd.GeoSeries([ISLAND], crs=4326).to_crs(32760).iloc[0]
    region = region_of(tmp_path / "units.gpkg", projected, 32760)
    area = abs(WGS84.geometry_area_perimeter(gpd.GeoSeries([projected], crs=32760).to_crs(4326).iloc[0])[0]) / 1e4
    assert mapped_ha(region, Grid()) == pytest.approx(area, rel=1e-5)


def geod_m2(geometry: shapely.Geometry) -> float:
    """Area of polygons in degrees with straight edges, of vertices a hundred metres apart, m²."""
    dense = shapely.orient_polygons(shapely.segmentize(geometry, 0.001))
    return float(WGS84.geometry_area_perimeter(dense)[0])


def test_holes_go_with_their_ground() -> None:
    ring = shapely.box(179, -17, 181, -16)
    hole = shapely.box(179.9, -16.6, 180.1, -16.4)
    whole = shapely.Polygon(ring.exterior.coords, [hole.exterior.coords])
    for form in (whole, jumping(whole)):
        cut = within_one_turn(form)
        assert cut.is_valid and abs(cut.bounds[0]) <= 180 and cut.bounds[2] <= 180
        assert geod_m2(cut) == pytest.approx(geod_m2(whole), rel=1e-6)


@settings(deadline=None, max_examples=40)
@given(st.floats(-2, 2), st.floats(-70, 70), st.floats(0.01, 3), st.floats(0.01, 3), st.sampled_from([-360, 0, 360]))
def test_area_never_changes(west: float, south: float, width: float, height: float, turn: int) -> None:
    box = shapely.box(180 + west, south, 180 + west + width, south + height)
    cut = within_one_turn(wrapped_by(box, turn))
    assert geod_m2(cut) == pytest.approx(geod_m2(box), rel=1e-6)
    assert cut.bounds[0] >= -180 and cut.bounds[2] <= 180


def wrapped_by(geometry: BaseGeometry, turn: int) -> BaseGeometry:
    """Written in another turn of the Earth; of turn 360, with jumps."""
    return jumping(geometry) if turn == 360 else shapely.transform(geometry, lambda lonlat: lonlat + (turn, 0))


def test_ordinary_polygons_are_left_as_they_are() -> None:
    square = shapely.box(36, 9, 37, 10)
    assert within_one_turn(square) is square


@pytest.mark.parametrize(
    ("geometry", "why"),
    [
        (shapely.box(-60, 0, 70, 10), "could go either way"),
        (shapely.Polygon([(x, -75) for x in range(-180, 181, 30)]), "encloses a pole|has an area|encloses nothing"),
    ],
)
def test_what_could_be_misread_is_refused_by_name(tmp_path: Path, geometry: BaseGeometry, why: str) -> None:
    file = tmp_path / "units.geojson"
    feature = {"type": "Feature", "properties": {"unit_id": "wide"}, "geometry": mapping(geometry)}
    file.write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}), encoding="utf-8")
    with pytest.raises(InputError, match=f"unit 'wide'.*({why})"):
        read_region(file, "unit_id")


def test_a_region_is_clipped_to_a_box_across_the_meridian(tmp_path: Path) -> None:
    region, grid = region_of(tmp_path / "units.gpkg", ISLAND), Grid()
    parts = [clipped(region, grid.geobox(tile, 1000)) for tile in region.tiles(grid)]
    assert all(mapped_ha(part, grid) == pytest.approx(HECTARES, rel=1e-6) for part in parts)


@pytest.mark.parametrize("south", [False, True])
@pytest.mark.parametrize(("number", "lon"), [(60, 179.999), (1, -179.999)])
def test_the_box_of_a_tile_across_the_meridian_is_small(number: int, lon: float, south: bool) -> None:
    grid, zone = Grid(tile_px=100), Zone(number, south=south)
    [place] = gpd.GeoSeries.from_xy([lon], [-17.0 if south else 17.0], crs=4326).to_crs(zone.epsg)
    west, low, east, high = lonlat_bounds(grid.geobox(grid.tile_at(zone, place.x, place.y)))
    assert (east - west) % 360 < 0.02 and high - low < 0.02


def test_boxes_around_ground_on_both_sides_are_small() -> None:
    assert lonlat_box([HALVES]) == pytest.approx((179.9970, -16.8, -179.9980, -16.797))
    assert lonlat_box([shapely.box(-10, 0, 10, 5), shapely.box(30, 1, 40, 2)]) == (-10, 0, 40, 5)
    assert lonlat_box([shapely.box(170, 0, 171, 5), shapely.box(-171, 1, -170, 2)]) == (170, 0, -170, 5)
    west, _, east, _ = widened((179.9970, -16.8, -179.9980, -16.797), 1000)
    assert west > 179.98 and -179.99 < east < -179.98
    assert widened((-180, -10, 180, 10), 1000)[::2] == (-180, 180)
    assert widened((179.9, -10, 179.999, 10), 1000)[2] < -179.9
