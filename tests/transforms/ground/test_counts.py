"""Every cell counts once, for one unit, in one zone."""

from collections import Counter

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import Transformer
from shapely import box

from stook.transforms.ground.areas import TileCoverage, UnitCoverage
from stook.transforms.ground.counts import cell_counts, cell_owners, in_zone
from stook.transforms.ground.geodesy import area_m2
from stook.transforms.ground.grid import Grid, Tile, Zone
from stook.transforms.ground.region import Region
from tests.transforms.ground.test_areas import polygons, region

GRID = Grid(50, 200)
CELL_M = 250
INLAND = Tile(Zone(37), 50, 145)
SMALL = Grid(2500, 4)  # tiles of 10 km with 4 by 4 pixels


def values_of(tile: Tile, cells: int) -> np.ndarray:
    """Values 0…4 that depend on where a cell lies in its zone, not on the tile: uint8 [row, column]."""
    row, column = np.indices((cells, cells))
    north = tile.iy * cells + cells - 1 - row
    return (((tile.ix * cells + column) * 7 + north * 3) % 5).astype(np.uint8)


def counts_of(whole: Region, grid: Grid) -> dict[str, Counter[int]]:
    """Counts of all tiles of a region, by unit."""
    sums: dict[str, Counter[int]] = {unit.id: Counter() for unit in whole.units}
    for tile in whole.tiles(grid):
        cells = values_of(tile, round(grid.tile_m / CELL_M))
        for unit, counts in cell_counts(TileCoverage.of(whole, grid, tile), cells).items():
            sums[unit].update(counts)
    return sums


def small(*fractions: list[list[float]] | None) -> TileCoverage:
    """A tile of 4 by 4 pixels with units of given shares."""
    everything = slice(0, 4)
    units = [
        UnitCoverage(name, everything, everything, None if share is None else np.array(share, float))
        for name, share in zip("abc", fractions, strict=False)
    ]
    return TileCoverage(SMALL, INLAND, tuple(units))


def test_a_cell_is_the_units_that_has_most_of_it() -> None:
    west = np.zeros((4, 4))
    west[:, :2] = 1
    west[0, 2:] = 0.4  # 0.8 of the four pixels of the north-eastern cell
    east = 1 - west
    cells = np.array([[1, 2], [3, 4]], np.uint8)
    assert cell_counts(small(west.tolist(), east.tolist()), cells) == {"a": {1: 1, 3: 1}, "b": {2: 1, 4: 1}}


def test_of_equals_the_first_has_the_cell_whatever_the_rounding() -> None:
    half = np.full((4, 4), 0.5)
    less = half - 1e-7
    cells = np.zeros((2, 2), np.uint8)
    assert cell_counts(small(half.tolist(), half.tolist()), cells) == {"a": {0: 4}}
    assert cell_counts(small(less.tolist(), half.tolist()), cells) == {"a": {0: 4}}


def test_a_cell_with_little_ground_counts_and_one_without_does_not() -> None:
    share = np.zeros((4, 4))
    share[3, 0] = 1e-4
    owners = cell_owners(small(share.tolist()), 2)
    assert owners.tolist() == [[-1, -1], [0, -1]]
    assert cell_counts(small(share.tolist()), np.full((2, 2), 255, np.uint8)) == {"a": {255: 1}}


def test_a_unit_that_fills_the_tile_has_every_cell() -> None:
    cells = np.arange(16, dtype=np.uint8).reshape(4, 4) % 3
    assert cell_counts(small(None), cells) == {"a": {0: 6, 1: 5, 2: 5}}


def test_units_without_a_cell_are_left_out() -> None:
    sliver = np.zeros((4, 4))
    sliver[0, 0] = 0.1
    assert cell_counts(small(sliver.tolist(), (1 - sliver).tolist()), np.zeros((2, 2), np.uint8)) == {"b": {0: 4}}


@pytest.mark.parametrize("cells", [np.zeros((2, 2)), np.zeros((2, 4), np.uint8), np.zeros((3, 3), np.uint8)], ids=str)
def test_cells_that_do_not_fit_the_tile_are_refused(cells: np.ndarray) -> None:
    with pytest.raises(ValueError, match="cells of tile 32637_50_145 are"):
        cell_counts(small(None), cells)


@settings(max_examples=15, deadline=None)
@given(polygons())
def test_counts_of_units_add_up_to_those_of_their_ground_undivided(star: shapely.Polygon) -> None:
    west = star.intersection(box(38, 12, 39.047, 14))
    parts = region(west, star.difference(box(38, 12, 39.047, 14)))
    if not all(part.geometry.geom_type in ("Polygon", "MultiPolygon") for part in parts.units):
        return
    undivided = counts_of(region(shapely.union(*(part.geometry for part in parts.units))), GRID)["0"]
    divided = counts_of(parts, GRID)
    assert divided["0"] + divided["1"] == undivided


@settings(max_examples=4, deadline=None)
@given(polygons())
def test_counts_do_not_depend_on_the_tile_size(star: shapely.Polygon) -> None:
    whole = region(star, box(38.8, 12.8, 39.3, 13.3).difference(star))
    assert counts_of(whole, GRID) == counts_of(whole, Grid(50, 100))


def test_a_cell_counts_for_the_unit_with_most_ground_in_it_as_geometry_says() -> None:
    rng = np.random.default_rng(3)
    star = box(39.0, 13.0, 39.06, 13.05).difference(shapely.Point(39.03, 13.02).buffer(0.013))
    whole = region(star, shapely.Point(39.03, 13.02).buffer(0.013), box(39.06, 13.0, 39.09, 13.05))
    for tile in whole.tiles(GRID):
        values = rng.integers(0, 4, (40, 40), np.uint8)
        left, _, _, top = GRID.bounds(tile).bbox
        column, row = np.meshgrid(np.arange(40), np.arange(40))
        squares = shapely.box(left + column * 250, top - (row + 1) * 250, left + (column + 1) * 250, top - row * 250)
        shares = np.array(
            [shapely.area(shapely.intersection(part.geometry, squares)) for part in whole.parts(tile.zone)]
        )
        owners = np.where(shares.max(axis=0) > 1e-3, shares.argmax(axis=0), -1)
        expected = {
            str(unit): dict(sorted(Counter(values[owners == unit].tolist()).items()))
            for unit in range(3)
            if (owners == unit).any()
        }
        assert cell_counts(TileCoverage.of(whole, GRID, tile), values) == expected


@pytest.mark.parametrize("latitude", [9.1, 0.0], ids=["meridian", "meridian and equator"])
def test_cells_count_in_the_zone_of_their_middle_about_as_many_as_the_ground_has_room_for(latitude: float) -> None:
    ground = shapely.Point(36, latitude).buffer(0.15)  # edges along rows of cells would take in or leave out whole rows
    whole, inside = region(ground), 0
    for tile in whole.tiles(GRID):
        owned = cell_owners(TileCoverage.of(whole, GRID, tile), 40) >= 0
        left, _, _, top = GRID.bounds(tile).bbox
        x, y = np.meshgrid(left + (np.arange(40) + 0.5) * CELL_M, top - (np.arange(40) + 0.5) * CELL_M)
        lon, lat = Transformer.from_crs(tile.zone.epsg, 4326, always_xy=True).transform(x, y)
        own = np.vectorize(lambda lon, lat, zone=tile.zone: Zone.at(lon, lat) == zone)(lon, lat)
        within = shapely.contains_xy(ground, lon, lat)
        assert not owned[~own].any() and owned[own & within].all()
        inside += int((own & within).sum())
    # A square metre of ground takes up 1.0019 at the edge of a zone; a column of 134 cells is 1 % of them.
    assert inside == pytest.approx(area_m2(ground) * 1.0019 / CELL_M**2, rel=0.005)


def test_a_strip_along_a_meridian_has_the_cells_of_either_side_only() -> None:
    strip = region(box(35.9995, 9.0, 36.0, 9.2), box(36.0, 9.0, 36.0005, 9.2))  # each 55 m wide
    sums = counts_of(strip, GRID)
    total = sum(sum(counts.values()) for counts in sums.values())
    assert 22_100 / CELL_M * 0.9 < total < 22_100 / CELL_M * 1.6


@given(st.floats(-180, 180), st.floats(-80, 84))
def test_places_lie_in_the_zone_that_the_grid_says_and_in_no_other(lon: float, lat: float) -> None:
    place = np.array([[lat, lon]])
    zones = [Zone(number, south) for number in range(1, 61) for south in (False, True)]
    assert [zone for zone in zones if in_zone(zone, place).all()] == [Zone.at(lon, lat)]
