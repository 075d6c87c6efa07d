from datetime import date

import numpy as np
import pystac
import pytest
import rasterio
import shapely
from odc.geo.geom import Geometry
from pyproj import Transformer
from rasterio.warp import Resampling, reproject

from stook.transforms.simulation.campaign import STRIPS, WHOLE, Campaign
from stook.transforms.simulation.catalogue import CatalogueWriter
from stook.transforms.simulation.closeup import BRIGHTEST, GAMMA, positions
from stook.transforms.simulation.country import PLATEAU
from stook.transforms.simulation.ground import Cover, Crop, Place
from stook.transforms.simulation.heaps import HeapKind, Heaps
from stook.transforms.simulation.landscape import Landscape
from stook.transforms.simulation.phenology import Weather, harvest_day, materials, reflectance
from stook.transforms.simulation.pictures import write_pictures
from stook.transforms.simulation.scenes import View, block_mean
from stook.transforms.simulation.stamps import stamp
from stook.transforms.simulation.truth import OUTSIDE, PILE_CELL_M, cover_share, write_truth
from stook.transforms.simulation.zones import scene_grid, zone_parts

PLACE = Place(width_m=1600, height_m=1500, seed=3)
YEAR = 2023
WEATHER = Weather.of(PLACE, YEAR)
CAMPAIGN = Campaign()


@pytest.fixture(scope="module")
def landscape():
    return Landscape.simulate(PLACE)


@pytest.fixture(scope="module")
def heaps(landscape):
    return Heaps.of(landscape, WEATHER)


@pytest.fixture(scope="module")
def pictures(landscape, tmp_path_factory):
    """Those of the usual campaign."""
    return pictured(landscape, tmp_path_factory.mktemp("pictures"), CAMPAIGN)


def pictured(landscape, folder, campaign):
    """Item id -> item, picture, transform and profile of every picture of a campaign."""
    writer = CatalogueWriter(folder, "simulated")
    write_pictures(writer, landscape, campaign, YEAR)
    found = {}
    for item in pystac.Catalog.from_file(writer.save()).get_items(recursive=True):
        with rasterio.open(item.assets["rgb"].get_absolute_href()) as file:
            found[item.id] = item, file.read(), file.transform, file.profile
    return found


def where(landscape, heaps):
    """Rows and columns of the ground at heaps."""
    columns, rows = ~landscape.geobox.transform @ (heaps.x, heaps.y)
    return rows.astype(int), columns.astype(int)


class TestHeaps:
    def test_sheaves_stand_on_cereal_parcels_only_and_after_their_harvest(self, landscape, heaps):
        at = where(landscape, heaps.sheaves)
        ground = landscape.ground
        assert len(heaps.sheaves.x) > 50
        assert (ground.cover[at] == Cover.CROPLAND).all()
        assert np.isin(ground.crop[at], (Crop.MAIZE, Crop.TEFF)).all()
        np.testing.assert_array_equal(landscape.parcels.number[at], heaps.sheaves.parcel)
        assert (heaps.sheaves.first_day >= harvest_day(ground, WEATHER)[at]).all()
        assert (ground.vigour[at] > 0.3).all()

    def test_they_are_2_to_5_m_wide_stand_some_weeks_and_do_not_touch(self, heaps):
        sheaves = heaps.sheaves
        assert sheaves.radius_m.min() >= 1.0 and sheaves.radius_m.max() <= 2.5
        days = sheaves.last_day - sheaves.first_day
        assert days.min() >= 16 and days.max() <= 60
        points = shapely.points(sheaves.x, sheaves.y)
        near = shapely.STRtree(points).query(points, predicate="dwithin", distance=4.9)
        assert (near[0] == near[1]).all()

    def test_not_every_field_has_them_and_most_neighbours_of_one_that_has_do_too(self, landscape, heaps):
        parcels = len(np.unique(landscape.parcels.number)) - 1
        assert 0.05 < len(np.unique(heaps.sheaves.parcel)) / parcels < 0.4

    def test_before_the_harvest_there_are_none_and_after_the_campaign_most_are_gone(self, heaps):
        assert heaps.standing(250).sheaves.x.size == 0
        most = max(heaps.standing(strip.season_day).sheaves.x.size for strip in STRIPS)
        assert heaps.standing(STRIPS[-1].season_day + 30).sheaves.x.size < 0.3 * most

    def test_what_looks_like_them_stands_all_the_time_and_off_the_parcels_or_in_other_colours(self, heaps):
        others = heaps[heaps.kind != HeapKind.SHEAVES]
        assert set(others.kind) == {HeapKind.HAYSTACK, HeapKind.TERMITES, HeapKind.SPOIL, HeapKind.FLOOR}
        assert others.standing(1).x.size == others.standing(365).x.size == others.x.size

    def test_they_come_with_the_season(self):
        place = Place(width_m=900, height_m=900, seed=3, country=PLATEAU)
        assert Campaign().date(STRIPS[0], place, YEAR) == date(YEAR, 9, 15)
        assert Weather.of(place, YEAR).season_day(date(YEAR, 9, 15)) == STRIPS[0].season_day

    def test_they_are_the_same_for_the_same_place_and_year(self, landscape, heaps):
        np.testing.assert_array_equal(Heaps.of(landscape, WEATHER).x, heaps.x)
        other = Heaps.of(landscape, Weather.of(PLACE, YEAR + 1)).sheaves
        assert not np.array_equal(other.first_day, heaps.sheaves.first_day)


class TestStamps:
    def test_a_disc_has_its_area_and_the_brightness_of_its_sunny_side(self):
        cover, light = stamp((40, 50), np.array([20.3]), np.array([17.8]), np.array([4.0]), 1.0, (0.2, 0.0))
        assert cover.sum() == pytest.approx(np.pi * 16, rel=0.02)
        assert light[17, 23] > 1.1 > 0.9 > light[17, 17]

    def test_discs_over_the_edge_are_cut(self):
        cover, _ = stamp((10, 10), np.array([0.0, 30.0]), np.array([5.0, 5.0]), np.array([3.0, 3.0]))
        assert cover[5, 0] == 1
        assert cover[:, 5:].sum() == 0


class TestPictures:
    def test_there_is_one_for_each_pass_and_zone(self, pictures):
        assert {item.datetime.date() for item, *_ in pictures.values()} == {
            CAMPAIGN.date(strip, PLACE, YEAR) for strip in STRIPS
        }
        assert {item.properties["proj:code"] for item, *_ in pictures.values()} == {"EPSG:32636", "EPSG:32637"}

    def test_they_are_rgb_bytes_of_metre_resolution_with_zero_outside_the_footprint(self, pictures):
        for item, picture, transform, profile in pictures.values():
            assert picture.shape[0] == 3 and picture.dtype == np.uint8
            assert profile["nodata"] == 0 and transform.a == CAMPAIGN.resolution_m
            footprint = Geometry(shapely.geometry.shape(item.geometry), "EPSG:4326").to_crs(
                item.properties["proj:code"]
            )
            seen = (picture > 0).all(0)
            np.testing.assert_array_equal(seen, (picture > 0).any(0))
            assert seen.sum() * transform.a**2 == pytest.approx(footprint.area, rel=0.01)
            assert not seen.all()

    def test_together_they_show_about_half_of_the_place(self):
        union = shapely.union_all([CAMPAIGN.footprint(strip, PLACE).geom for strip in STRIPS])
        assert 0.45 < union.area / (PLACE.width_m * PLACE.height_m) < 0.65
        for strip in WHOLE:
            assert Campaign(WHOLE).footprint(strip, PLACE).area == pytest.approx(PLACE.rectangle().area)

    def test_they_agree_with_sentinel_2_in_brightness_and_position(self, landscape, pictures):
        for item, picture, transform, _ in pictures.values():
            red, surface, _ = beside_sentinel_2(landscape, item, picture, transform)
            shifts = [(down, across) for down in range(-2, 3) for across in range(-2, 3)]
            likeness = {shift: correlation(red, np.roll(surface, shift, (0, 1))) for shift in shifts}
            assert max(likeness, key=likeness.__getitem__) == (0, 0)
            assert likeness[0, 0] > 0.75

    def test_covers_are_as_bright_as_sentinel_2_sees_them(self, landscape, pictures):
        item, picture, transform, _ = next(iter(pictures.values()))
        red, surface, grid = beside_sentinel_2(landscape, item, picture, transform)
        medians = []
        for cover in (Cover.CROPLAND, Cover.GRASS, Cover.TREES):
            pure = np.isfinite(red) & (cover_share(landscape, grid, cover) == 1)
            medians.append((np.median(red[pure]), np.median(surface[pure])))
        ours, theirs = np.array(medians).T
        assert list(np.argsort(ours)) == list(np.argsort(theirs))
        np.testing.assert_allclose(ours, theirs, rtol=0.3)

    def test_both_zones_show_the_same_ground(self, landscape, pictures):
        west, east = (
            next(
                found for name, found in sorted(pictures.items()) if found[0].properties["proj:code"] == f"EPSG:{epsg}"
            )
            for epsg in (32636, 32637)
        )
        rows, columns = (index.ravel()[::5] for index in np.indices(west[1].shape[1:]))
        to_east = Transformer.from_crs(32636, 32637, always_xy=True)
        there = ~east[2] @ to_east.transform(*(west[2] @ (columns + 0.5, rows + 0.5)))
        column, row = np.floor(there).astype(int)
        within = (column >= 0) & (row >= 0) & (column < east[1].shape[2]) & (row < east[1].shape[1])
        one = west[1][0][rows[within], columns[within]].astype(float)
        other = east[1][0][row[within], column[within]].astype(float)
        both = (one > 0) & (other > 0)
        assert both.sum() > 1000
        assert np.corrcoef(one[both], other[both])[0, 1] > 0.75
        assert one[both].mean() == pytest.approx(other[both].mean(), rel=0.02)

    def test_heaps_are_bright_where_they_stand(self, landscape, heaps, tmp_path):
        brighter = []
        for item, picture, transform, _ in pictured(landscape, tmp_path, Campaign(WHOLE)).values():
            epsg = int(item.properties["proj:code"].removeprefix("EPSG:"))
            standing = heaps.standing(WEATHER.season_day(item.datetime.date())).sheaves
            x, y = Transformer.from_crs(PLACE.frame, epsg, always_xy=True).transform(standing.x, standing.y)
            columns, rows = np.floor(~transform @ (x, y)).astype(int)
            for column, row in zip(columns, rows, strict=True):
                around = picture[0, max(row - 6, 0) : row + 7, max(column - 6, 0) : column + 7]
                if around.shape == (13, 13) and (around > 0).all():
                    brighter.append(around[6, 6] > np.median(around) + 8)
        assert len(brighter) > 30
        assert np.mean(brighter) > 0.85

    def test_positions_are_those_of_exact_transformation(self, landscape):
        for epsg in zone_parts(PLACE):
            grid = scene_grid(PLACE, epsg)
            for fast, exact in zip(positions(landscape, grid), landscape.locate(grid), strict=True):
                np.testing.assert_allclose(fast, exact, atol=0.01)


class TestTruth:
    @pytest.fixture(scope="class")
    def files(self, landscape, tmp_path_factory):
        return write_truth(landscape, tmp_path_factory.mktemp("truth"), YEAR, CAMPAIGN)

    def test_a_cell_is_1_where_a_heap_stood_before_the_camera(self, heaps, files):
        for epsg, names in files.items():
            with rasterio.open(names["piles"]) as file:
                truth, transform = file.read(1), file.transform
            assert transform.a == PILE_CELL_M and transform.c % PILE_CELL_M == 0
            expected = np.full(truth.shape, OUTSIDE)
            for strip in STRIPS:
                standing = heaps.standing(strip.season_day).sheaves
                x, y = Transformer.from_crs(PLACE.frame, epsg, always_xy=True).transform(standing.x, standing.y)
                outline = CAMPAIGN.part(strip, PLACE, epsg)
                for row, column in np.ndindex(truth.shape):
                    west, north = transform @ (column, row)
                    cell = shapely.box(west, north - PILE_CELL_M, west + PILE_CELL_M, north)
                    if truth[row, column] != OUTSIDE and outline is not None and outline.geom.covers(cell):
                        here = (x // PILE_CELL_M == west // PILE_CELL_M) & (
                            np.ceil(y / PILE_CELL_M) * PILE_CELL_M == north
                        )
                        before = expected[row, column]
                        expected[row, column] = max(before if before != OUTSIDE else 0, int(here.any()))
            np.testing.assert_array_equal(truth, expected)

    def test_the_passes_together_are_the_truth(self, files):
        for names in files.values():
            layers = []
            for name in sorted(names):
                if name.startswith("piles"):
                    with rasterio.open(names[name]) as file:
                        layers.append(file.read(1))
            whole, *passes = layers
            assert len(passes) == len(STRIPS)
            known = np.max(passes, 0) != OUTSIDE
            np.testing.assert_array_equal(whole[known], np.max(passes, 0)[known])
            np.testing.assert_array_equal(whole != OUTSIDE, np.any(np.array(passes) != OUTSIDE, 0))

    def test_without_passes_there_are_none(self, landscape, tmp_path):
        assert set(write_truth(landscape, tmp_path)[32636]) == {"cropland", "labels", "buildings"}


def beside_sentinel_2(landscape, item, picture, transform):
    """Red reflectance of a picture in 10 m pixels, NaN beyond it; that of Sentinel-2 without clouds; their grid."""
    view = View.of(landscape, int(item.properties["proj:code"].removeprefix("EPSG:")))
    surface = reflectance(block_mean(materials(view.ground, item.datetime.date(), WEATHER), 2), 0.03)[2]
    fine = np.where(picture[0] > 0, BRIGHTEST * (picture[0] / 255.0) ** (1 / GAMMA), np.nan)
    red = np.full(surface.shape, np.nan, np.float32)
    reproject(
        fine.astype(np.float32),
        red,
        src_transform=transform,
        src_crs=str(view.grid.crs),
        src_nodata=np.nan,
        dst_transform=view.grid.transform,
        dst_crs=str(view.grid.crs),
        resampling=Resampling.average,
    )
    return red, surface, view.grid


def correlation(one, other):
    known = np.isfinite(one)
    return np.corrcoef(one[known], other[known])[0, 1]
