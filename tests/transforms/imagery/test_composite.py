from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from odc.geo.geobox import GeoBox
from scipy.ndimage import maximum_filter

from stook.models.errors import InputError, TileError
from stook.transforms.imagery import reading as imagery
from stook.transforms.imagery.catalog import search
from stook.transforms.imagery.composite import Composite, CompositeSettings, composite
from stook.transforms.imagery.inputs import Inputs
from stook.transforms.imagery.season import Period, Window
from stook.transforms.imagery.sources import Source
from tests.transforms.archive import CLOUD, EVERYWHERE, HASTY, PLACE, VEGETATION, Archive, lonlat, noon

MONTHS = (Period.of_month(2019, 5), Period.of_month(2019, 6), Period.of_month(2019, 7))
MAY, JUNE, JULY = 0, 1, 2


def composed(sources: Mapping[str, Source], bands: tuple[str, ...], geobox: GeoBox = PLACE, **settings) -> Composite:
    wanted = CompositeSettings(bands, **{"periods": MONTHS, **settings})
    start, end = wanted.periods[0].start, wanted.periods[-1].end
    items = {name: search(source, EVERYWHERE, start, end) for name, source in sources.items()}
    return composite(items, sources, geobox, wanted, HASTY)


@pytest.fixture
def optical(tmp_path: Path) -> Archive:
    return Archive(tmp_path / "optical", "scaled-1e-4")


@pytest.fixture
def radar(tmp_path: Path) -> Archive:
    return Archive(tmp_path / "radar", "linear-power")


def scene(counts: object, classes: object = VEGETATION) -> dict[str, object]:
    return {"blue": counts, "nir": counts, "scl": classes}


def test_a_month_is_the_median_of_its_clear_pixels(optical: Archive):
    half_cloudy = np.where(np.arange(60) < 30, CLOUD, VEGETATION)
    for day, counts, classes in [
        (1, 1000, VEGETATION),
        (6, 1200, VEGETATION),
        (11, 9000, half_cloudy),
        (16, 1100, CLOUD),
    ]:
        optical.add(f"S2_{day}", noon(day), scene(counts, classes))
    season = composed({"sentinel2": optical.save()}, ("nir", "blue"))
    assert season.values.shape == (3, 2, 60, 60) and season.values.dtype == np.float32
    assert season.bands == ("nir", "blue") and season.periods == MONTHS
    np.testing.assert_allclose(season.values[JUNE, :, :, :30], 0.11, rtol=1e-6)
    np.testing.assert_allclose(season.values[JUNE, :, :, 30:], 0.12, rtol=1e-6)
    assert np.isnan(season.values[[MAY, JULY]]).all(), "months without data are not invented"
    assert season.clear_observations.dtype == np.uint8
    assert (season.clear_observations[:, :30] == 2).all() and (season.clear_observations[:, 30:] == 3).all()
    assert season.observed.all()


@pytest.mark.parametrize("masked", [0, 1, 3, 8, 9, 10, 11])
def test_pixels_that_are_not_clear_ground_are_missing(optical: Archive, masked: int):
    optical.add("S2", noon(1), scene(1000, masked))
    season = composed({"sentinel2": optical.save()}, ("blue",))
    assert np.isnan(season.values).all() and not season.clear_observations.any()
    assert season.observed.all() == (masked != 0), "a cloudy pixel is observed, one without data is not"


def test_an_observation_has_data_in_every_band_and_a_class_that_is_clear(optical: Archive):
    counts = np.full(PLACE.shape, 1000)
    counts[:, :20] = 0
    optical.add("S2_1", noon(1), scene(counts) | {"nir": 0})
    optical.add("S2_2", noon(6), scene(counts))
    season = composed({"sentinel2": optical.save()}, ("blue", "nir"))
    assert (season.clear_observations[:, 20:] == 1).all(), "a pass without near infrared is none"
    assert not season.clear_observations[:, :20].any() and not season.observed[:, :20].any()
    assert season.observed[:, 20:].all()


@pytest.mark.parametrize(("fill", "declared"), [(255, 255), (7, 7), (100, None)])
def test_a_class_that_is_nodata_or_no_class_is_not_clear(optical: Archive, fill: int, declared: int | None):
    classes = np.full(PLACE.shape, VEGETATION)
    classes[:30] = fill
    optical.add("S2", noon(1), scene(1000, classes))
    source = optical.save()
    with rasterio.open(optical.file("S2", "scl"), "r+", IGNORE_COG_LAYOUT_BREAK="YES") as file:
        file.nodata = declared
    season = composed({"sentinel2": source}, ("blue",))
    assert not season.observed[:30].any() and not season.clear_observations[:30].any()
    assert np.isnan(season.values[:, :, :30]).all()
    assert (season.clear_observations[30:] == 1).all()


def test_a_solar_day_counts_once_however_many_granules_show_it(optical: Archive):
    optical.add("S2_31UFS", noon(1), scene(1000), **{"grid:code": "MGRS-31UFS"})
    optical.add("S2_31UFT", noon(1, second=14), scene(1000), **{"grid:code": "MGRS-31UFT"})
    optical.add("S2_next", noon(4), scene(1000))
    assert (composed({"sentinel2": optical.save()}, ("blue",)).clear_observations == 2).all()


def test_clouds_grow_by_the_dilation_also_from_beyond_the_tile_but_saturation_does_not(optical: Archive):
    classes = np.full(PLACE.shape, VEGETATION)
    classes[20, 20], classes[9, 40], classes[45, 45] = CLOUD, CLOUD, 1
    optical.add("S2", noon(1), scene(1000, classes))
    inner = PLACE[10:50, 10:50]
    sources = {"sentinel2": optical.save()}
    grown = np.isnan(composed(sources, ("blue",), inner, cloud_dilation_px=3).values[JUNE, 0])
    expected = maximum_filter(classes == CLOUD, size=7) | (classes == 1)
    np.testing.assert_array_equal(grown, expected[10:50, 10:50])
    assert np.isnan(composed(sources, ("blue",), inner).values[JUNE, 0]).sum() == 2


def test_backscatter_is_averaged_as_power_from_linear_and_from_decibel_archives(radar: Archive, tmp_path: Path):
    decibel = Archive(tmp_path / "decibel", "decibel")
    for hour, power in [(6, 0.01), (18, 0.19)]:  # two passes of one day
        noise = np.full(PLACE.shape, power)
        noise[0, 0] = 0
        radar.add(f"S1_{hour}", noon(1, hour=hour), {"vv": noise, "vh": power})
        decibel.add(f"S1_{hour}", noon(1, hour=hour), {"vv": 10 * np.log10(power), "vh": 10 * np.log10(power)})
    for source in (radar.save(), decibel.save()):
        season = composed({"sentinel1": source}, ("vv", "vh"))
        np.testing.assert_allclose(season.values[JUNE, 1], -10, atol=1e-4)
        np.testing.assert_allclose(season.values[JUNE, 0, 1:], -10, atol=1e-4)
        assert season.observed.all() and not season.clear_observations.any()
    assert np.isnan(composed({"sentinel1": radar.save()}, ("vv",)).values[JUNE, 0, 0, 0])


def test_radar_alone_does_not_make_a_pixel_observed_where_there_is_optical(optical: Archive, radar: Archive):
    optical.add("S2", noon(1), scene(1000, np.where(np.arange(60) < 30, VEGETATION, 0)))
    radar.add("S1", noon(1), {"vv": 0.1, "vh": 0.1})
    season = composed({"sentinel2": optical.save(), "sentinel1": radar.save()}, ("vv", "blue"))
    np.testing.assert_array_equal(season.observed, np.broadcast_to(np.arange(60) < 30, (60, 60)))
    np.testing.assert_allclose(season.values[JUNE, 0], -10, atol=1e-4)


def test_a_tile_without_any_item_is_empty_and_not_observed(optical: Archive):
    optical.add("S2", noon(1), scene(1000))
    source = optical.save()
    season = composite({}, {"sentinel2": source}, PLACE, CompositeSettings(("blue",), MONTHS, cloud_dilation_px=2))
    assert np.isnan(season.values).all() and not season.observed.any() and not season.clear_observations.any()


def test_an_absent_band_is_masked_only_if_listed(optical: Archive):
    optical.add("S2", noon(1), scene(1000))
    sources = {"sentinel2": optical.save()}
    season = composed(sources, ("blue", "swir16", "vv"), absent_bands=frozenset({"swir16", "vv"}))
    assert np.isnan(season.values[:, 1:]).all() and np.isfinite(season.values[JUNE, 0]).all()
    with pytest.raises(TileError, match="S2: missing asset swir16"):
        composed(sources, ("blue", "swir16"))
    with pytest.raises(InputError, match="band 'vv' needs imagery.sentinel1"):
        composed(sources, ("blue", "vv"))


def test_a_scene_that_is_too_dark_fails_the_tile_by_name_and_a_bright_one_does_not(tmp_path: Path, monkeypatch):
    monkeypatch.setattr("planetary_computer.sign", lambda href: href)
    optical = Archive(tmp_path / "optical", "planetary-computer")
    optical.add("S2_good", noon(1), scene(1500), **{"s2:processing_baseline": "05.00"})
    optical.add("S2_bright", noon(2), scene(9000), **{"s2:processing_baseline": "05.00"})
    source = optical.save()
    assert composed({"sentinel2": source}, ("blue",)).observed.all()
    optical.add("S2_wrong", noon(3), scene(500), **{"s2:processing_baseline": "05.00"})
    with pytest.raises(TileError, match="S2_wrong: blue with profile planetary-computer: .* reflectance -0.050"):
        composed({"sentinel2": optical.save()}, ("blue",))


def test_strips_and_tiles_change_no_pixel(optical: Archive, monkeypatch: pytest.MonkeyPatch):
    """Four dates with scattered cloud, read whole, in strips of 25 rows, and as four tiles."""
    rng = np.random.default_rng(5)
    for day in range(1, 5):
        optical.add(
            f"S2_{day}",
            noon(day),
            scene(rng.integers(1, 3000, (60, 60)), rng.choice([VEGETATION, CLOUD], (60, 60), p=[0.9, 0.1])),
        )
    sources = {"sentinel2": optical.save()}
    whole = composed(sources, ("blue", "nir"), cloud_dilation_px=2)
    monkeypatch.setattr(imagery, "STACK_BYTES", 4 * 60 * 4 * 25)
    np.testing.assert_array_equal(composed(sources, ("blue", "nir"), cloud_dilation_px=2).values, whole.values)
    for rows, columns in [(slice(0, 30), slice(0, 30)), (slice(30, 60), slice(20, 60))]:
        part = composed(sources, ("blue", "nir"), PLACE[rows, columns], cloud_dilation_px=2)
        np.testing.assert_array_equal(part.values, whole.values[:, :, rows, columns])
        np.testing.assert_array_equal(part.clear_observations, whole.clear_observations[rows, columns])


def test_more_observations_than_fit_the_count_are_capped(optical: Archive, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("stook.transforms.imagery.composite.MOST_OBSERVATIONS", 2)
    for day in (1, 2, 3):
        optical.add(f"S2_{day}", noon(day), scene(1000))
    assert (composed({"sentinel2": optical.save()}, ("blue",)).clear_observations == 2).all()


EAST = GeoBox((64, 64), Affine(10, 0, 574_680, 0, -10, 5_622_440), "EPSG:32631")
BANDS = ("vv", "vh", "blue", "red", "nir")


@pytest.fixture
def flanders(shared: Path) -> dict[str, Source]:
    catalog = str(shared / "data/flanders/catalog.json")
    return {
        "sentinel2": Source("sentinel2", catalog, "sentinel-2-l2a", "scaled-1e-4"),
        "sentinel1": Source("sentinel1", catalog, "sentinel-1-sigma0", "linear-power"),
    }


@pytest.mark.shared
def test_the_real_season_of_a_flemish_site_looks_like_farmland(flanders: dict[str, Source], tmp_path: Path):
    periods = Window(11, -1, 12).periods(2019)
    found = {name: search(source, lonlat(EAST), periods[0].start, periods[-1].end) for name, source in flanders.items()}
    Inputs.freeze(found, flanders).write(tmp_path / "inputs.parquet")
    items = Inputs.read(tmp_path / "inputs.parquet").near(lonlat(EAST))
    season = composite(items, flanders, EAST, CompositeSettings(BANDS, periods))
    vv, vh, blue, red, nir = np.moveaxis(season.values, 1, 0)
    assert season.observed.all() and 20 < season.clear_observations.mean() < 53
    assert np.isfinite(vv).all() and -16 < np.median(vv) < -6 and np.median(vh - vv) < -5
    ndvi = np.nanmedian((nir - red) / (nir + red), axis=(1, 2))
    assert ndvi[5] > 0.8 > 0.7 > ndvi[9], "spring green is denser than after the harvest"
    for band in (blue, red):
        assert np.nanpercentile(band, 1) > 0 and np.nanpercentile(band, 99) < 0.3
    june = composite(items, flanders, EAST[16:48, 8:40], CompositeSettings(BANDS, periods[7:8]))
    np.testing.assert_array_equal(june.values[0], season.values[7, :, 16:48, 8:40])


@pytest.mark.shared
def test_number_of_readers_changes_nothing(flanders: dict[str, Source]):
    june = CompositeSettings(("vv", "nir"), (Period.of_month(2019, 6),))
    items = {
        name: search(source, lonlat(EAST), june.periods[0].start, june.periods[0].end)
        for name, source in flanders.items()
    }
    one, eight = (composite(items, flanders, EAST, replace(june, readers=readers)) for readers in (1, 8))
    np.testing.assert_array_equal(one.values, eight.values)


def test_pictures_of_the_same_months_leave_the_composite_as_it_is(optical: Archive, tmp_path: Path) -> None:
    optical.add("S2", noon(1), {"red": 1000, "scl": VEGETATION})
    sentinel = optical.save()
    pictures = Archive(tmp_path / "pictures", "rgb-8bit")
    pictures.add("HR", noon(2), {"red": 200})
    both = {"sentinel2": sentinel, "rgb": pictures.save()}
    alone, beside = composed({"sentinel2": sentinel}, ("red",)), composed(both, ("red",))
    np.testing.assert_array_equal(alone.values, beside.values)
    np.testing.assert_array_equal(alone.clear_observations, beside.clear_observations)


def test_an_untold_fill_value_is_no_observation_and_fails_no_tile(tmp_path: Path) -> None:
    """A fill of 1 at the edge of a scene, under classes that are clear and an offset of -0.1."""
    archive = Archive(tmp_path / "archive", "planetary-computer")
    ground = np.random.default_rng(2).integers(1500, 2500, (60, 60))
    edge = ground.copy()
    edge[:, :20] = 1
    for name, day, counts in (("whole", 1, ground), ("edge", 11, edge)):
        archive.add(name, noon(day), scene(counts), **{"s2:processing_baseline": "05.10"})
    made = composed({"sentinel2": archive.save()}, ("nir", "blue"))
    np.testing.assert_array_equal(made.clear_observations[:, :20], 1)
    np.testing.assert_array_equal(made.clear_observations[:, 20:], 2)
    np.testing.assert_allclose(made.values[JUNE, 0], ground * 1e-4 - 0.1, atol=1e-6)
