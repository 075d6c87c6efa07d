from functools import reduce
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import Transformer
from shapely import Polygon, box

from stook.transforms.ground.areas import TileCoverage, owned_mask, pixel_areas, tile_areas, tile_totals
from stook.transforms.ground.geodesy import WGS84, area_m2
from stook.transforms.ground.grid import Grid, Tile, Zone
from stook.transforms.ground.region import Region, read_region
from stook.transforms.ground.unit import Unit
from tests.transforms.conservation import relative_error, squares, worst_unit_error

GRID = Grid(100, 100)  # tiles of 10 km, as the 10 m grid's; coverage is exact at any pixel size
BOUNDARIES = "data/boundaries/ne10m_adm1_ETH_TGO_RWA_KEN.geojson"


def region(*polygons: shapely.Geometry) -> Region:
    return Region(tuple(Unit(str(index), str(index), (), polygon) for index, polygon in enumerate(polygons)))


def geodesic_area_of_square(zone: Zone, left: float, bottom: float, side: float) -> float:
    """Area on the ellipsoid of a square of the projection, its edges followed in steps of a 500th."""
    steps = np.linspace(0, side, 501)[:-1]
    x = np.concatenate([left + steps, np.full(500, left + side), left + side - steps, np.full(500, left)])
    y = np.concatenate([np.full(500, bottom), bottom + steps, np.full(500, bottom + side), bottom + side - steps])
    lonlat = Transformer.from_crs(zone.epsg, 4326, always_xy=True).transform(x, y)
    return WGS84.polygon_area_perimeter(*lonlat)[0]


TILES = [
    Tile(Zone(37), 50, 0),
    Tile(Zone(37), 16, 120),
    Tile(Zone(37), 83, 1),
    Tile(Zone(37, south=True), 16, 999),
    Tile(Zone(31), 25, 600),
    Tile(Zone(33), 43, 930),
    Tile(Zone(20, south=True), 60, 120),
]


@pytest.mark.parametrize("tile", TILES, ids=lambda tile: tile.name)
def test_the_pixels_of_a_tile_add_up_to_its_area_on_the_ellipsoid(tile: Tile):
    left, bottom, _, _ = GRID.bounds(tile).bbox
    truth = geodesic_area_of_square(tile.zone, left, bottom, GRID.tile_m)
    assert pixel_areas(GRID, tile).sum() == pytest.approx(truth, rel=1e-9)


@pytest.mark.parametrize("tile", TILES, ids=lambda tile: tile.name)
@pytest.mark.parametrize(("row", "column"), [(0, 0), (0, 9), (9, 0), (4, 6)])
def test_every_pixel_has_its_own_area_with_row_0_in_the_north(tile: Tile, row: int, column: int):
    grid = Grid(1000, 10)
    left, _, _, top = grid.bounds(tile).bbox
    truth = geodesic_area_of_square(tile.zone, left + column * 1000, top - (row + 1) * 1000, 1000)
    assert pixel_areas(grid, tile)[row, column] == pytest.approx(truth, rel=2e-8)  # its middle stands for the pixel


def test_the_total_of_a_tile_needs_no_pixel():
    areas = TileCoverage.of(region(box(39, 13, 39.5, 13.5)), Grid(), Tile(Zone(37), 51, 145)).pixel_areas
    assert areas.total == pytest.approx(areas.window(slice(None), slice(None)).sum(), rel=1e-13)


@st.composite
def polygons(draw: st.DrawFn) -> Polygon:
    """Stars around 39.05° E 13.05° N, from 1 km to 40 km wide, some with a hole."""
    count = draw(st.integers(5, 12))
    angles = np.linspace(0, 2 * np.pi, count, endpoint=False) + draw(st.floats(0, 1))
    radii = draw(st.lists(st.floats(0.005, 0.2), min_size=count, max_size=count))
    star = Polygon(np.column_stack([39.05 + radii * np.cos(angles), 13.05 + radii * np.sin(angles)]))
    return star.difference(shapely.Point(39.05, 13.05).buffer(0.0005)) if draw(st.booleans()) else star


@settings(max_examples=20, deadline=None)
@given(polygons())
def test_a_polygon_keeps_its_area_whatever_the_tiles(star: Polygon):
    for grid in (GRID, Grid(50, 40)):
        assert relative_error(region(star), grid) < 1e-6


@settings(max_examples=20, deadline=None)
@given(polygons(), st.integers(0, 2**32 - 1))
def test_areas_by_value_add_up_to_the_total_exactly_for_every_layer(star: Polygon, seed: int):
    whole = region(star, box(38.8, 12.8, 39.3, 13.3).difference(star))
    rng = np.random.default_rng(seed)
    layers = {
        "fine": rng.integers(0, 256, (100, 100), np.uint8),
        "coarse": rng.choice(np.array([0, 7, 255], np.uint8), (20, 20)),
        "one": np.full((100, 100), 255, np.uint8),
    }
    for tile in whole.tiles(GRID)[::5]:
        totals = tile_totals(whole, GRID, tile)
        table = tile_areas(whole, GRID, tile, layers)
        assert set(table) == set(totals)
        for unit_id, by_layer in table.items():
            for areas in by_layer.values():
                assert sum(areas.values()) == totals[unit_id] and min(areas.values()) > 0


def test_the_area_of_a_value_is_that_of_its_pixels():
    whole, tile = region(box(38, 12, 40, 14)), Tile(Zone(37), 50, 145)
    layer = np.zeros((100, 100), np.uint8)
    layer[:30, 60:] = 42
    areas = tile_areas(whole, GRID, tile, {"crop": layer})["0"]["crop"]
    assert set(areas) == {0, 42}
    assert areas[42] == pytest.approx(pixel_areas(GRID, tile)[:30, 60:].sum() * 100, abs=1)


def test_a_coarse_layer_gives_what_its_pixels_give():
    whole, tile = region(box(39, 13, 39.03, 13.04)), Tile(Zone(37), 50, 143)
    cells = np.random.default_rng(0).integers(0, 5, (10, 10), np.uint8)
    table = tile_areas(whole, GRID, tile, {"cells": cells, "pixels": np.kron(cells, np.ones((10, 10), np.uint8))})
    assert table["0"]["cells"] == table["0"]["pixels"]


@pytest.mark.parametrize(
    "layer", [np.zeros((100, 100)), np.zeros((100, 50), np.uint8), np.zeros((30, 30), np.uint8)], ids=str
)
def test_a_layer_that_does_not_fit_the_tile_is_refused(layer: np.ndarray):
    with pytest.raises(ValueError, match=r"layer 'crop' of tile 32637_50_143 is"):
        tile_areas(region(box(39, 13, 39.03, 13.04)), GRID, Tile(Zone(37), 50, 143), {"crop": layer})


def test_border_pixels_are_shared_by_their_exact_fractions():
    cut = 39.05
    whole, tile = region(box(38, 12, cut, 14), box(cut, 12, 40, 14)), Tile(Zone(37), 50, 145)
    west, east = (unit.fraction for unit in TileCoverage.of(whole, GRID, tile).units)
    assert west is not None and east is not None
    both = np.zeros((2, 100, 100))
    for index, unit in enumerate(TileCoverage.of(whole, GRID, tile).units):
        both[index, unit.rows, unit.columns] = unit.fraction
    assert np.allclose(both.sum(axis=0), 1, atol=1e-6)
    assert ((both > 0) & (both < 1)).any(axis=(0, 2)).all()  # the border crosses every row


def test_owned_pixels_are_those_with_any_ground_of_the_region_in_the_zone():
    meridian = region(box(35.9, 9.0, 36.1, 9.2))
    for tile in meridian.tiles(GRID):
        mask, box_ = owned_mask(meridian, GRID, tile), GRID.bounds(tile)
        ground = reduce(shapely.union, [part.geometry for part in meridian.parts(tile.zone)])
        x, y = np.meshgrid(box_.left + np.arange(100) * 100, box_.top - np.arange(1, 101) * 100)
        pixels = shapely.box(x, y, x + 100, y + 100)
        assert np.array_equal(mask, shapely.area(shapely.intersection(ground, pixels)) > 1e-3)
    inside = GRID.tile_at(Zone(37), *Transformer.from_crs(4326, 32637, always_xy=True).transform(36.6, 9.6))
    assert owned_mask(region(box(36, 9, 37.5, 10.5)), GRID, inside).all()
    assert not owned_mask(region(box(40, 9, 41, 10)), GRID, inside).any()


def test_ground_at_a_meridian_is_counted_once_though_tiles_overlap_there():
    whole = region(box(35.9, 9.0, 36.1, 9.2))
    west, east = whole.zones
    sums = {zone: sum(sum(tile_totals(whole, GRID, t).values()) for t in whole.tiles(GRID) if t.zone == zone)
            for zone in (west, east)}  # fmt: skip
    assert sums[west] == pytest.approx(sums[east], rel=1e-6)
    assert sum(sums.values()) / 100 == pytest.approx(area_m2(whole.units[0].geometry), rel=1e-7)


@pytest.mark.parametrize("square", squares(), ids=lambda square: square.units[0].id)
def test_small_squares_over_the_seams_keep_their_area(square: Region):
    assert len(square.zones) == (4 if "and" in square.units[0].name else 2)
    assert relative_error(square, Grid()) < 1e-6


def test_sums_of_units_do_not_depend_on_how_a_region_is_divided():
    edges = np.linspace(35.7, 36.3, 4)
    districts = region(*(box(west, -0.2, east, 0.2) for west, east in pairwise(edges)))
    assert worst_unit_error(districts, GRID) < 1e-8


def test_islands_and_holes_keep_their_area():
    lake = box(39.1, 13.1, 39.2, 13.2)
    land = box(39, 13, 39.3, 13.3).difference(lake).union(lake.centroid.buffer(0.01))
    assert worst_unit_error(region(land, lake.difference(lake.centroid.buffer(0.01))), GRID) < 1e-7


@pytest.mark.shared
@pytest.mark.parametrize(
    "name", ["Tigray", *(pytest.param(country, marks=pytest.mark.slow) for country in ("Ethiopia", "Kenya"))]
)
def test_real_units_keep_their_area(shared: Path, name: str):
    read = read_region(shared / BOUNDARIES, "adm1_code", "admin", "name_en")
    chosen = Region(tuple(unit for unit in read.units if name in (unit.name, *unit.parents)))
    assert worst_unit_error(chosen, GRID) < 1e-8


@pytest.mark.shared
def test_pixel_size_does_not_change_what_a_border_tile_holds(shared: Path):
    read = read_region(shared / BOUNDARIES, "adm1_code", "admin", "name_en")
    rwanda = Region(tuple(unit for unit in read.units if "Rwanda" in unit.parents))
    border = [tile for tile in rwanda.tiles(GRID) if len(rwanda.pieces(GRID, tile)) > 1][:3]
    assert border
    for tile in border:
        fine, coarse = tile_totals(rwanda, Grid(), tile), tile_totals(rwanda, GRID, tile)
        assert fine == pytest.approx(coarse, rel=1e-6, abs=2)
