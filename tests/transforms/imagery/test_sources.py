import pickle
from datetime import UTC, datetime

import pystac
import pytest

from stook.models.errors import InputError, TileError
from stook.transforms.imagery.sources import PROFILES, SENSOR_BANDS, Source, baseline_rank


def item(asset: str = "B02", fields: dict | None = None, **properties: object) -> pystac.Item:
    item = pystac.Item("S2", None, None, datetime(2023, 5, 1, tzinfo=UTC), properties)
    item.add_asset(asset, pystac.Asset("https://archive/B02.tif", extra_fields=fields or {}))
    return item


def test_every_profile_knows_an_asset_of_every_band_of_its_sensor():
    for profile in PROFILES.values():
        bands = SENSOR_BANDS[profile.sensor]
        assert tuple(profile.assets) in ((bands, bands[:3]) if profile.sensor == "rgb" else (bands,))


def test_copernicus_assets_are_named_by_native_resolution():
    assets = PROFILES["copernicus"].assets
    assert [assets[band] for band in ("blue", "nir", "nir08", "swir16", "scl")] == [
        "B02_10m", "B08_10m", "B8A_20m", "B11_20m", "SCL_20m",
    ]  # fmt: skip


@pytest.mark.parametrize(("version", "offset"), [("02.14", 0.0), ("03.01", 0.0), ("04.00", -0.1), ("05.11", -0.1)])
def test_planetary_computer_subtracts_a_thousand_counts_from_baseline_4_on(version: str, offset: float):
    profile = PROFILES["planetary-computer"]
    assert profile.offset(item(**{"s2:processing_baseline": version}), "blue") == offset


def test_planetary_computer_without_baseline_is_an_error_of_the_item():
    with pytest.raises(TileError, match="S2: no s2:processing_baseline"):
        PROFILES["planetary-computer"].offset(item(), "blue")


@pytest.mark.parametrize(
    "fields",
    [
        {"raster:offset": -0.1},
        {"raster:bands": [{"scale": 1e-4, "offset": -0.1}]},
        {"bands": [{"raster:offset": -0.1}]},
    ],
)
def test_copernicus_offset_is_the_one_in_the_metadata(fields: dict):
    assert PROFILES["copernicus"].offset(item("B02_10m", fields), "blue") == -0.1


def test_copernicus_without_an_offset_is_refused_from_baseline_4_on():
    with pytest.raises(TileError, match="no raster:offset"):
        PROFILES["copernicus"].offset(item("B02_10m", **{"processing:version": "05.09"}), "blue")
    assert PROFILES["copernicus"].offset(item("B02_10m", **{"processing:version": "02.14"}), "blue") == 0


def test_earth_search_ignores_the_offset_that_its_items_list():
    listed = item("blue", {"raster:bands": [{"offset": -0.1}]}, **{"s2:processing_baseline": "05.00"})
    assert PROFILES["earth-search"].offset(listed, "blue") == 0


@pytest.mark.parametrize("collection", ["sentinel-2-c1-l2a", "SENTINEL-2-C1-L2A", "s2_c1"])
def test_earth_search_collection_1_needs_its_own_profile(collection: str):
    with pytest.raises(InputError, match=f"imagery.sentinel2.profile: 'earth-search' .*{collection}.*earth-search-c1"):
        Source("sentinel2", "https://archive", collection, "earth-search")
    assert Source("sentinel2", "https://archive", "sentinel-2-l2a", "earth-search")
    source = Source("sentinel2", "https://archive", collection, "earth-search-c1")
    listed = item("blue", {"raster:bands": [{"scale": 1e-4, "offset": -0.1}]}, **{"s2:processing_baseline": "05.11"})
    assert source.archive.offset(listed, "blue") == -0.1
    with pytest.raises(TileError, match="no raster:offset for blue"):
        source.archive.offset(item("blue", **{"s2:processing_baseline": "05.11"}), "blue")


def test_unknown_profile_lists_those_of_the_sensor():
    with pytest.raises(InputError, match="imagery.sentinel1.profile: 'earth-search'; allowed: planetary-computer-rtc,"):
        Source("sentinel1", "catalog.json", "sentinel-1-rtc", "earth-search")


@pytest.mark.parametrize("collection", ["sentinel-1-grd", "SENTINEL-1-GRD", "sentinel-1-grd-cog"])
def test_raw_grd_collection_is_refused_with_what_to_use_instead(collection: str):
    with pytest.raises(InputError, match=f"{collection}' is raw GRD; use .*sentinel-1-rtc"):
        Source("sentinel1", "https://archive", collection, "linear-power")


def test_grd_item_is_refused_unless_it_is_on_a_map_grid():
    source = Source("sentinel1", "https://archive", "mixed", "linear-power")
    with pytest.raises(InputError, match="item S2 of mixed is raw GRD"):
        source.refuse_raw(item("vv", **{"sar:product_type": "GRD"}))
    source.refuse_raw(
        item("vv", {"proj:transform": [10, 0, 0, 0, -10, 0]}, **{"sar:product_type": "GRD", "proj:code": "EPSG:32631"})
    )


def test_baselines_are_ordered_as_numbers_and_sources_travel_to_workers():
    assert baseline_rank(item(**{"s2:processing_baseline": "10.00"})) > baseline_rank(
        item(**{"s2:processing_baseline": "9.9"})
    )
    source = Source("sentinel2", "catalog.json", "sentinel-2-l2a", "scaled-1e-4")
    assert pickle.loads(pickle.dumps(source)) == source and hash(source)
