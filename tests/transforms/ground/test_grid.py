import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from odc.geo.geobox import GeoBox
from pyproj import Transformer

from stook.models.errors import InputError
from stook.transforms.ground.grid import Grid, Tile, TileRange, Zone

zones = st.builds(Zone, st.integers(1, 60), st.booleans())
indices = st.integers(-5, 1100)
tiles = st.builds(Tile, zones, indices, indices)
grids = st.sampled_from([Grid(), Grid(250, 40), Grid(100, 100), Grid(10, 100), Grid(0.5, 2000), Grid(20, 1000)])


@given(zones)
def test_a_zone_is_read_back_from_its_name(zone: Zone):
    assert Zone.parse(zone.name) == zone


@given(tiles)
def test_a_tile_is_read_back_from_its_name(tile: Tile):
    assert Tile.parse(tile.name) == tile


@pytest.mark.parametrize("name", ["37", "32837", "32661", "32600", "32637_1", "utm37n"])
def test_what_is_not_a_zone_is_refused(name: str):
    with pytest.raises(ValueError, match=r"not a UTM zone|does not exist"):
        Zone.parse(name)


@pytest.mark.parametrize("name", ["32637", "32637_1", "32637_1_2_3", "32637_a_b", "32661_1_2", ""])
def test_what_is_not_a_tile_is_refused(name: str):
    with pytest.raises(ValueError, match=r"not a tile|does not exist"):
        Tile.parse(name)


@given(st.floats(-180, 180).map(lambda lon: round(lon, 9)), st.floats(-80, 84))
def test_every_place_lies_in_the_polygon_of_its_zone(lon: float, lat: float):
    west, south, east, north = Zone.at(lon, lat).polygon.bounds
    assert west <= lon <= east and south <= lat <= north


@pytest.mark.parametrize(
    ("lon", "lat", "name"),
    [
        (39.5, 13.5, "32637"),
        (36.0, 1.0, "32637"),
        (35.999, 1.0, "32636"),
        (39.0, 0.0, "32637"),
        (39.0, -0.001, "32737"),
        (-180.0, 1.0, "32601"),
        (180.0, 1.0, "32660"),
        (5.5, 60.0, "32631"),  # Bergen: UTM's exception says 32
    ],
)
def test_the_zone_of_a_place_follows_from_its_longitude_and_latitude_alone(lon: float, lat: float, name: str):
    assert Zone.at(lon, lat).name == name


@given(grids, zones, st.floats(1e5, 9e5), st.floats(0, 1e7))
def test_a_place_lies_in_the_tile_found_for_it(grid: Grid, zone: Zone, x: float, y: float):
    left, bottom, right, top = grid.bounds(grid.tile_at(zone, x, y)).bbox
    assert left <= x < right and bottom <= y < top


@given(grids, tiles)
def test_the_middle_of_a_tile_finds_the_tile(grid: Grid, tile: Tile):
    box = grid.bounds(tile)
    assert grid.tile_at(tile.zone, (box.left + box.right) / 2, (box.bottom + box.top) / 2) == tile
    assert grid.tile_at(tile.zone, box.left, box.bottom) == tile


@given(tiles, st.integers(0, 300))
def test_the_pixels_of_a_tile_are_north_up_and_a_halo_surrounds_them(tile: Tile, halo_px: int):
    grid = Grid()
    box, inner, outer = grid.bounds(tile), grid.geobox(tile), grid.geobox(tile, halo_px)
    assert inner.shape == (1000, 1000) and outer.shape == (1000 + 2 * halo_px, 1000 + 2 * halo_px)
    assert inner.crs is not None and inner.crs.epsg == tile.zone.epsg
    assert (inner.transform.c, inner.transform.f) == (box.left, box.top)
    assert (outer.transform.c, outer.transform.f) == (box.left - 10 * halo_px, box.top + 10 * halo_px)
    assert (inner.transform.a, inner.transform.e) == (10, -10) == (outer.transform.a, outer.transform.e)


@given(zones, st.lists(st.tuples(st.integers(10, 90), st.integers(0, 999)), min_size=1, max_size=8), grids)
def test_a_tile_has_the_same_pixels_in_the_array_of_its_range(zone: Zone, places: list, grid: Grid):
    members = [Tile(zone, ix, iy) for ix, iy in places]
    extent = TileRange.of(members)
    array = extent.geobox(grid)
    assert array.shape == (extent.shape[0] * grid.tile_px, extent.shape[1] * grid.tile_px)
    for tile in members:
        cut = array[extent.slices(grid, tile)]
        own = grid.geobox(tile)
        assert isinstance(cut, GeoBox) and (cut.shape, cut.crs) == (own.shape, own.crs)
        assert np.allclose(cut.transform, own.transform, rtol=0, atol=1e-6)


def test_a_range_is_as_small_as_its_tiles_allow():
    zone = Zone(37)
    extent = TileRange.of([Tile(zone, 12, 340), Tile(zone, 14, 345)])
    assert extent == TileRange(zone, 12, 340, 15, 346)
    assert extent.shape == (6, 3)
    assert extent.slices(Grid(), Tile(zone, 12, 345)) == (slice(0, 1000), slice(0, 1000))


def test_a_range_refuses_tiles_of_two_zones_and_places_outside():
    with pytest.raises(ValueError, match="one zone, not 2"):
        TileRange.of([Tile(Zone(36), 1, 1), Tile(Zone(37), 1, 1)])
    with pytest.raises(ValueError, match="one zone, not 0"):
        TileRange.of([])
    with pytest.raises(ValueError, match="32637_13_340 is not in"):
        TileRange.of([Tile(Zone(37), 12, 340)]).slices(Grid(), Tile(Zone(37), 13, 340))


def test_the_equator_is_a_tile_edge_of_both_hemispheres():
    for south in (False, True):
        zone = Zone(37, south)
        y = Transformer.from_crs(4326, zone.epsg, always_xy=True).transform(39.0, 0.0)[1]
        assert y % Grid().tile_m == 0


@pytest.mark.parametrize(("resolution_m", "tile_px"), [(10, 300), (10, 1024), (30, 1000), (1 / 3, 1000)])
def test_tiles_that_the_equator_would_cut_are_refused(resolution_m: float, tile_px: int):
    with pytest.raises(InputError, match="do not divide 10,000,000 m"):
        Grid(resolution_m, tile_px)


@pytest.mark.parametrize(("resolution_m", "tile_px"), [(0, 1000), (-10, 1000), (10, 0)])
def test_a_grid_without_pixels_is_refused(resolution_m: float, tile_px: int):
    with pytest.raises(InputError, match="greater than zero"):
        Grid(resolution_m, tile_px)
