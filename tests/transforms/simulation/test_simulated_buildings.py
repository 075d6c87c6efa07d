import geopandas as gpd
import numpy as np
import pytest
import rasterio
import shapely
from odc.geo.geobox import GeoBox

from stook.transforms.simulation.country import PLATEAU, Roof
from stook.transforms.simulation.coverage import Overlaps, reproject
from stook.transforms.simulation.ground import Cover, Place
from stook.transforms.simulation.landscape import Landscape
from stook.transforms.simulation.scenes import View, block_mean
from stook.transforms.simulation.settlements import UNALIGNED, Houses, crowding
from stook.transforms.simulation.truth import BUILDING_CELL_M, building_share, cell_grid, write_footprints, write_truth
from stook.transforms.simulation.zones import zone_parts

PLACE = Place(width_m=1800, height_m=1600, seed=5)


@pytest.fixture(scope="module")
def landscape():
    return Landscape.simulate(PLACE)


@pytest.fixture(scope="module")
def shares(landscape):
    """Share of all 100 m cells under roofs."""
    half = PLACE.width_m / 2, PLACE.height_m / 2
    grid = GeoBox.from_bbox((-half[0], -half[1], *half), crs=PLACE.frame, resolution=100)
    return building_share(landscape, grid)


def test_overlaps_of_a_square_are_the_shares_that_geometry_says():
    grid = GeoBox.from_bbox((0, 0, 30, 20), crs="EPSG:32636", resolution=10)
    polygons = np.array([shapely.box(5, 5, 25, 15), shapely.box(-5, 18, 4, 25), shapely.box(100, 100, 110, 110)])
    overlaps = Overlaps.of(polygons, grid)
    np.testing.assert_allclose(overlaps.total(), [[0.25 + 0.08, 0.5, 0.25], [0.25, 0.5, 0.25]], rtol=1e-6)
    np.testing.assert_allclose(overlaps.total(np.array([2.0, 0, 0])), [[0.5, 1, 0.5], [0.5, 1, 0.5]], rtol=1e-6)
    assert overlaps.largest(np.array([7, 9, 3], np.uint8)).tolist() == [[7, 7, 7], [7, 7, 7]]


def test_no_two_houses_overlap(landscape):
    polygons = landscape.houses.polygons
    one, other = shapely.STRtree(polygons).query(polygons, predicate="intersects")
    assert (one == other).all()
    assert shapely.is_valid(polygons).all()


def test_most_cells_have_no_roof_and_the_others_spread_to_more_than_half(shares):
    assert (shares == 0).mean() > 0.5
    assert 0.45 < shares.max() < 0.75
    assert all(((shares > low) & (shares <= low + 0.1)).sum() >= 2 for low in (0, 0.1, 0.2, 0.3))


def test_the_ground_has_exactly_the_roofs_of_the_polygons(landscape):
    area = landscape.ground.roof.sum(dtype=float) * landscape.geobox.resolution.x**2
    assert area == pytest.approx(shapely.area(landscape.houses.polygons).sum(), rel=1e-5)
    assert landscape.ground.roof.max() <= 1 + 1e-6
    np.testing.assert_array_equal(landscape.ground.cover == Cover.BUILT, landscape.ground.roof >= 0.5)


def test_truth_is_the_covered_fraction_of_the_written_footprints(landscape, tmp_path):
    footprints = gpd.read_file(write_footprints(landscape, tmp_path / "buildings.geojson"))
    assert len(footprints) == len(landscape.houses.x)
    assert set(footprints["roof"]) <= {roof.name.lower() for roof in Roof}
    for epsg, files in write_truth(landscape, tmp_path).items():
        with rasterio.open(files["buildings"]) as file:
            truth, transform = file.read(1), file.transform
        assert transform.c % BUILDING_CELL_M == 0 and transform.f % BUILDING_CELL_M == 0
        polygons = footprints.to_crs(epsg).geometry
        rows, columns = np.nonzero(truth > 0)
        assert len(rows) > 20
        for row, column in zip(rows[::7], columns[::7], strict=True):
            x, y = transform @ (column, row)
            cell = shapely.box(x, y - BUILDING_CELL_M, x + BUILDING_CELL_M, y)
            share = polygons.intersection(cell).area.sum() / cell.area
            assert truth[row, column] == pytest.approx(share, abs=1e-5)
        assert np.isnan(truth).any()


def test_both_zones_count_the_same_roofs(landscape):
    area_m2 = {epsg: building_share(landscape, cell_grid(PLACE, epsg, 100)).sum() * 1e4 for epsg in zone_parts(PLACE)}
    in_both = 0.0
    for epsg in area_m2:
        polygons = reproject(landscape.houses.polygons, PLACE.frame, f"EPSG:{epsg}")
        inside = shapely.intersection(polygons, cell_grid(PLACE, epsg, 100).extent.geom)
        in_both += shapely.area(inside).sum()
    assert sum(area_m2.values()) == pytest.approx(in_both, rel=1e-5)


def test_scenes_show_as_much_roof_as_there_is(landscape):
    for epsg in zone_parts(PLACE):
        view = View.of(landscape, epsg)
        seen = block_mean(view.ground.roof, 2)
        there = building_share(landscape, view.grid)
        assert seen.mean() == pytest.approx(there.mean(), rel=0.03)
        assert np.corrcoef(seen.ravel(), there.ravel())[0, 1] > 0.9


def test_double_bounce_depends_on_direction_crowding_and_the_house(landscape):
    houses = landscape.houses
    flat = houses[~houses.hut]
    facing = np.abs((flat.turn - np.radians(90 - 283) + np.pi / 4) % (np.pi / 2) - np.pi / 4)
    aligned, askew = flat.walls[facing < np.radians(8)], flat.walls[facing > np.radians(30)]
    assert np.median(aligned) > 3 * np.median(askew)
    assert np.median(askew) > 0.5 * UNALIGNED
    assert flat.walls.std() / flat.walls.mean() > 0.4
    roof = np.zeros((41, 41), np.float32)
    roof[:, 20:] = 0.6
    assert crowding(roof, 5.0)[20, 40] < 0.6 < 0.95 < crowding(roof, 5.0)[20, 0]


def test_another_country_has_other_roofs_fields_and_settlements():
    place = Place(width_m=1800, height_m=1600, seed=5, country=PLATEAU)
    other, first = Landscape.simulate(place), Landscape.simulate(PLACE)
    assert (other.houses.roof == Roof.TILE).mean() > 0.25 > (first.houses.roof == Roof.TILE).mean()
    assert other.houses.hut.mean() < first.houses.hut.mean()
    assert other.parcels.number.max() < 0.6 * first.parcels.number.max()
    assert other.ground.red.mean() > first.ground.red.mean() + 0.2


def test_houses_are_the_same_for_the_same_place(landscape):
    again = Landscape.simulate(PLACE).houses
    assert shapely.equals(again.polygons, landscape.houses.polygons).all()
    np.testing.assert_array_equal(again.walls, landscape.houses.walls)
    assert isinstance(again[:3], Houses)
