import hashlib
import importlib
import pkgutil
from datetime import date, timedelta

import numpy as np
import pystac
import pytest
import rasterio
from pyproj import Transformer

from stook.transforms import simulation
from stook.transforms.simulation import SIMULATOR_VERSION, atmosphere, phenology
from stook.transforms.simulation.atmosphere import SceneClass
from stook.transforms.simulation.districts import districts, write_units
from stook.transforms.simulation.landscape import Cover, Landscape, Place
from stook.transforms.simulation.noise import fractal_noise, key_of, normal, uniform
from stook.transforms.simulation.phenology import OPTICAL_BANDS, Material, Weather
from stook.transforms.simulation.scenes import Revisit, View, block_mean, optical_scene, radar_scene, write_archive
from stook.transforms.simulation.truth import OUTSIDE, cover_share, labels, write_truth
from stook.transforms.simulation.zones import grid_code, scene_grid, zone_parts

PLACE = Place(width_m=1600, height_m=1800, seed=3)
YEAR = 2023
WEATHER = Weather.of(PLACE, YEAR)


@pytest.fixture(scope="module")
def landscape():
    return Landscape.simulate(PLACE)


@pytest.fixture(scope="module")
def view(landscape):
    return View.of(landscape, 32636)


@pytest.fixture(scope="module")
def monthly_ndvi(landscape):
    """Month 1…12 -> cloud-free NDVI of the ground."""
    curves = {}
    for month in range(1, 13):
        shares = phenology.materials(landscape.ground, date(YEAR, month, 15), WEATHER)
        spectrum = dict(zip(OPTICAL_BANDS, phenology.reflectance(shares, 0.3), strict=True))
        curves[month] = (spectrum["nir"] - spectrum["red"]) / (spectrum["nir"] + spectrum["red"])
    return curves


def sky_of(view, day):
    whole = atmosphere.simulate_sky(PLACE, day, WEATHER.rain(day.timetuple().tm_yday))
    return whole, whole.at(view.x, view.y, atmosphere.sky_grid(PLACE))


def median_by_month(curves, where):
    return {month: float(np.median(ndvi[where])) for month, ndvi in curves.items()}


class TestVersion:
    def test_it_is_counted_up_when_a_constant_of_the_simulator_changes(self):
        # If this fails: count SIMULATOR_VERSION up, and put the new version and digest here.
        recorded = (2, "a362652ca5d7e938")
        text = set()
        for name in (module.name for module in pkgutil.iter_modules(simulation.__path__)):
            for key, value in vars(importlib.import_module(f"{simulation.__name__}.{name}")).items():
                plain = value.tolist() if isinstance(value, np.ndarray | np.generic) else value
                if key.isupper() and not isinstance(plain, str | pystac.Extent | pystac.TemporalExtent):
                    text.add(f"{key} = {plain!r}")
        digest = hashlib.sha256("\n".join(sorted(text)).encode()).hexdigest()[:16]
        assert (SIMULATOR_VERSION, digest) == recorded


class TestChance:
    def test_noise_has_zero_mean_and_unit_deviation(self):
        field = fractal_noise(np.random.default_rng(1), (90, 120), 30, 3)
        assert field.shape == (90, 120)
        assert field.dtype == np.float32
        assert field.mean() == pytest.approx(0, abs=1e-4)
        assert field.std() == pytest.approx(1, abs=1e-3)

    def test_keys_give_uniform_and_normal_numbers_that_depend_on_the_salt(self):
        keys = key_of(7, np.arange(20_000))
        assert len(np.unique(keys)) == keys.size
        assert uniform(keys, 1).mean() == pytest.approx(0.5, abs=0.01)
        assert uniform(keys, 1).min() > 0
        assert uniform(keys, 1).max() < 1
        assert normal(keys, 1).std() == pytest.approx(1, abs=0.02)
        assert abs(np.corrcoef(uniform(keys, 1), uniform(keys, 2))[0, 1]) < 0.03


class TestLandscape:
    def test_same_seed_same_ground_and_another_seed_another_ground(self, landscape):
        again, other = Landscape.simulate(PLACE), Landscape.simulate(Place(width_m=1600, height_m=1800, seed=4))
        np.testing.assert_array_equal(again.ground.cover, landscape.ground.cover)
        np.testing.assert_array_equal(again.ground.sowing_day, landscape.ground.sowing_day)
        assert (other.ground.cover != landscape.ground.cover).mean() > 0.2

    def test_cover_is_a_farmed_savanna(self, landscape):
        share = {cover: float((landscape.ground.cover == cover).mean()) for cover in Cover}
        assert sum(share.values()) == pytest.approx(1)
        assert 0.3 < share[Cover.CROPLAND] < 0.7
        assert 0.15 < share[Cover.GRASS] < 0.55
        assert 0.02 < share[Cover.TREES] < 0.25
        assert 0.003 < share[Cover.BUILT] < 0.06
        assert 0.001 < share[Cover.WATER] < 0.03

    def test_both_zones_see_the_same_ground(self, landscape):
        west, east = (scene_grid(PLACE, epsg) for epsg in (32636, 32637))
        seen_west, seen_east = labels(landscape, west), labels(landscape, east)
        columns, rows = np.meshgrid(np.arange(west.shape.x), np.arange(west.shape.y))
        x, y = west.transform @ (columns + 0.5, rows + 0.5)
        columns, rows = ~east.transform @ np.array(Transformer.from_crs(32636, 32637).transform(x, y))
        both = (columns >= 0) & (columns < east.shape.x) & (rows >= 0) & (rows < east.shape.y)
        assert both.mean() > 0.1
        here, there = seen_west[both], seen_east[rows[both].astype(int), columns[both].astype(int)]
        pure = (here > 0) & (there > 0)
        assert (here == there)[pure].mean() > 0.97  # their pixels are up to 7 m apart

    def test_ground_beyond_the_simulation_has_no_cover(self, landscape):
        ground = landscape.ground.take(np.array([-1, 0]), np.array([0, 0]))
        assert ground.cover[0] == 0
        assert ground.cover[1] != 0


class TestZones:
    def test_parts_share_the_place_without_overlap(self):
        west, east = zone_parts(PLACE).values()
        assert west.boundingbox.right == pytest.approx(36.0)
        assert east.boundingbox.left == pytest.approx(36.0)

    def test_a_place_on_the_equator_has_northern_and_southern_zones(self):
        assert set(zone_parts(Place(longitude=36.0, latitude=0.0))) == {32636, 32637, 32736, 32737}

    def test_a_place_within_one_zone_has_one_part(self):
        assert set(zone_parts(Place(longitude=38.2, latitude=-3.0))) == {32737}

    def test_scene_grids_overlap_and_lie_on_the_20_m_lattice(self):
        for epsg in zone_parts(PLACE):
            grid = scene_grid(PLACE, epsg)
            assert grid.transform.c % 20 == 0 and grid.transform.f % 20 == 0
            assert grid.shape.x % 2 == 0 and grid.shape.y % 2 == 0
        assert scene_grid(PLACE, 32636).extent.to_crs("EPSG:4326").boundingbox.right > 36.002

    def test_grid_codes_are_those_of_mgrs(self):
        assert [grid_code(scene_grid(PLACE, epsg), epsg) for epsg in (32636, 32637)] == ["36PZQ", "37PAK"]


class TestPhenology:
    @pytest.mark.parametrize("day", [date(YEAR, 1, 1), date(YEAR, 6, 20), date(YEAR, 9, 5), date(YEAR, 12, 31)])
    def test_shares_of_materials_are_a_mixture(self, landscape, day):
        shares = phenology.materials(landscape.ground, day, WEATHER)
        assert shares.min() > -1e-5
        np.testing.assert_allclose(shares.sum(0), 1, atol=1e-5)

    def test_crops_peak_in_the_rains_and_fall_after_harvest(self, landscape, monthly_ndvi):
        crop = median_by_month(monthly_ndvi, landscape.ground.cover == Cover.CROPLAND)
        assert max(crop, key=crop.__getitem__) in (8, 9)
        assert max(crop.values()) > 0.6
        assert crop[11] < 0.4 and crop[3] < 0.3

    def test_a_shifted_season_is_the_same_season_on_other_dates(self, landscape):
        late = Weather(WEATHER.onset_day, WEATHER.end_day, shift_days=60)
        early = Weather(WEATHER.onset_day, WEATHER.end_day, shift_days=-60)
        first = phenology.materials(landscape.ground, date(YEAR, 7, 1), early)
        np.testing.assert_array_equal(first, phenology.materials(landscape.ground, date(YEAR, 10, 29), late))

    def test_grass_is_greener_than_crops_out_of_season(self, landscape, monthly_ndvi):
        crop, grass = (
            median_by_month(monthly_ndvi, landscape.ground.cover == cover) for cover in (Cover.CROPLAND, Cover.GRASS)
        )
        assert all(grass[month] > crop[month] for month in (1, 6, 7, 11, 12))

    def test_crops_and_grass_overlap_in_every_single_month(self, landscape, monthly_ndvi):
        for ndvi in monthly_ndvi.values():
            crop, grass = (ndvi[landscape.ground.cover == cover] for cover in (Cover.CROPLAND, Cover.GRASS))
            low, high = np.percentile(grass, [5, 95])
            assert ((crop > low) & (crop < high)).mean() > 0.1

    def test_trees_stay_green_and_water_stays_dark(self, landscape, monthly_ndvi):
        assert min(median_by_month(monthly_ndvi, landscape.ground.cover == Cover.TREES).values()) > 0.4
        assert max(median_by_month(monthly_ndvi, landscape.ground.cover == Cover.WATER).values()) < 0.2

    def test_walls_scatter_most_and_moist_soil_more_than_dry(self):
        each = np.eye(len(Material), dtype=np.float32)[..., None]
        dry, moist = phenology.backscatter(each, 0.0)[..., 0], phenology.backscatter(each, 1.0)[..., 0]
        walls = phenology.backscatter(each, 0.0, np.ones(each.shape[1:], np.float32))[..., 0] - dry
        assert (walls > 4 * dry).all()
        assert (moist[:, Material.PALE_SOIL] > 2 * dry[:, Material.PALE_SOIL]).all()
        assert (moist[:, Material.CANOPY] == dry[:, Material.CANOPY]).all()


class TestScenes:
    def test_block_mean_averages_squares(self):
        np.testing.assert_array_equal(block_mean(np.arange(16.0).reshape(4, 4)), [[2.5, 4.5], [10.5, 12.5]])

    def test_scene_classification_mostly_knows_the_clouds(self, landscape, view):
        right = wrong = 0.0
        for step in range(0, 360, 20):
            day = date(YEAR, 1, 3) + timedelta(step)
            whole, sky = sky_of(view, day)
            called = np.isin(optical_scene(landscape, view, day, WEATHER, whole)["scl"], (SceneClass(8), SceneClass(9)))
            cloudy = block_mean(sky.opacity) > 0.3
            right, wrong = right + (called == cloudy).sum(), wrong + (called != cloudy).sum()
        assert 0.005 < wrong / (right + wrong) < 0.08

    def test_clouds_cover_a_third_to_a_half_of_the_year_and_most_of_the_rains(self):
        days = [date(YEAR, 1, 3) + timedelta(step) for step in range(0, 360, 3)]
        skies = [atmosphere.simulate_sky(PLACE, day, WEATHER.rain(day.timetuple().tm_yday)) for day in days]
        cover = np.array([(sky.opacity > 0.3).mean() for sky in skies])
        rainy = np.array([6 < day.month < 10 for day in days])
        assert 0.28 < cover.mean() < 0.5
        assert cover[rainy].mean() > cover[~rainy].mean() + 0.1

    def test_clear_reflectance_is_that_of_the_surface(self, landscape, view):
        days = [date(YEAR, 1, 1) + timedelta(step) for step in range(40)]
        day = min(days, key=lambda day: sky_of(view, day)[1].opacity.max())
        bands = optical_scene(landscape, view, day, WEATHER, sky_of(view, day)[0])
        crop = labels(landscape, view.grid) == Cover.CROPLAND
        red, nir = (np.median(bands[key][crop]) / 1e4 for key in ("red", "nir"))
        assert 0.08 < red < 0.25
        assert red < nir < 0.4

    def test_radar_speckle_has_the_stated_looks(self, landscape, view):
        day = date(YEAR, 1, 5)
        vv = radar_scene(landscape, view, day, WEATHER)["vv"]
        shares = block_mean(view.materials(day, WEATHER))
        mean = phenology.backscatter(shares, 0.03, view.walls, view.roughness)[0]
        ratio = vv / mean
        assert vv.dtype == np.float32
        assert ratio.mean() ** 2 / ratio.var() == pytest.approx(7, rel=0.15)

    def test_scenes_repeat_themselves(self, landscape, view):
        day = date(YEAR, 8, 1)
        first, second = (optical_scene(landscape, view, day, WEATHER, sky_of(view, day)[0]) for _ in range(2))
        for key in first:
            np.testing.assert_array_equal(first[key], second[key])

    def test_archive_opens_and_is_laid_out_as_real_ones_are(self, tmp_path):
        landscape = Landscape.simulate(Place(width_m=600, height_m=600))
        path = write_archive(landscape, tmp_path / "archive", YEAR, Revisit(optical_days=120, radar_days=180))
        catalog = pystac.Catalog.from_file(path)
        assert "imulated" in catalog.description
        assert f"simulator {SIMULATOR_VERSION}" in catalog.description
        items = {collection.id: list(collection.get_items()) for collection in catalog.get_children()}
        assert {name: len(found) for name, found in items.items()} == {"sentinel-2-l2a": 8, "sentinel-1-rtc": 6}
        optical = items["sentinel-2-l2a"][0]
        assert set(optical.assets) == {*OPTICAL_BANDS, "scl"}
        assert optical.properties["s2:processing_baseline"] == "05.00"
        assert optical.properties["grid:code"] == "MGRS-36PZQ"
        for key, resolution in (("red", 10), ("swir16", 20), ("scl", 20)):
            with rasterio.open(optical.assets[key].get_absolute_href()) as file:
                assert file.res == (resolution, resolution)
                assert file.nodata == 0
                assert file.crs.to_epsg() == 32636
        with rasterio.open(items["sentinel-1-rtc"][0].assets["vh"].get_absolute_href()) as file:
            assert file.dtypes == ("float32",)
            assert np.nanmin(file.read(1)) > 0


class TestDistrictsAndTruth:
    def test_districts_share_borders_and_enclose_the_town(self, landscape):
        table = districts(landscape)
        assert len(table) == 6
        assert table["parent_id"].nunique() == 2
        assert table["unit_id"].is_unique
        assert table.is_valid.all()
        flat = table.to_crs(PLACE.frame).geometry
        assert flat.area.sum() == pytest.approx(flat.union_all().area, rel=1e-6)
        assert len(flat.union_all().interiors) == 0
        assert sum(len(polygon.interiors) for polygon in flat) == 1

    def test_districts_lie_on_both_sides_of_the_meridian(self, landscape):
        bounds = districts(landscape).bounds
        assert ((bounds["minx"] < 36) & (bounds["maxx"] > 36)).any()

    @pytest.mark.parametrize("name", ["units.geojson", "units.gpkg"])
    def test_units_are_written(self, landscape, tmp_path, name):
        assert write_units(landscape, tmp_path / name).stat().st_size > 0

    def test_truth_counts_every_pixel_of_the_districts_once(self, landscape, tmp_path):
        pixels = crop = 0
        for files in write_truth(landscape, tmp_path).values():
            with rasterio.open(files["cropland"]) as file:
                truth = file.read(1)
            pixels, crop = pixels + (truth != OUTSIDE).sum(), crop + (truth == 1).sum()
        area_m2 = districts(landscape).to_crs(PLACE.frame).area.sum()
        assert pixels * 100 == pytest.approx(area_m2, rel=0.005)  # UTM stretches by 0.1 % at its edge
        assert 0.3 < crop / pixels < 0.75

    def test_labels_are_codes_of_cover_and_nothing_where_pixels_are_mixed(self, landscape):
        grid = scene_grid(PLACE, 32637)
        codes, share = labels(landscape, grid), cover_share(landscape, grid, Cover.CROPLAND)
        assert set(np.unique(codes)) <= {0, *Cover}
        assert (share[codes == Cover.CROPLAND] == 1).all()
        assert (codes[(share > 0) & (share < 1)] == 0).all()
