import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pystac
import pytest
import rasterio
from affine import Affine
from odc.geo.geobox import GeoBox, GeoboxTiles

from stook.models.errors import InputError, StookError, TileError, UnreachableError
from stook.transforms.backoff import BackOff
from stook.transforms.imagery import reading as imagery
from stook.transforms.imagery.catalog import search
from stook.transforms.imagery.plausibility import check_plausible
from stook.transforms.imagery.reading import passes, strips
from stook.transforms.imagery.season import Period
from stook.transforms.imagery.sources import Source
from stook.transforms.simulation.catalogue import write_cog
from tests.transforms.archive import (
    CLOUD,
    EVERYWHERE,
    HASTY,
    PLACE,
    VEGETATION,
    YEAR_2019,
    Archive,
    failing_first,
    lonlat,
    noon,
    served,
)

JUNE = Period.of_month(2019, 6)
NOISE = np.random.default_rng(1).integers(100, 3000, (60, 60))


def read(
    source: Source,
    scenes: list[imagery.Pass],
    band: str,
    geobox: GeoBox,
    resampling: imagery.Resampling = "nearest",
    backoff: BackOff | None = None,
) -> np.ndarray:
    with ThreadPoolExecutor(4) as pool:
        [stack] = imagery.read([imagery.Wanted(source, scenes, band, geobox)], pool, resampling, backoff)
    return stack


def june(source: Source) -> list[imagery.Pass]:
    return passes(search(source, EVERYWHERE, *YEAR_2019, HASTY), source.sensor, JUNE)


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    archive = Archive(tmp_path / "archive", "scaled-1e-4")
    archive.add("S2_first", noon(1), {"blue": NOISE, "scl": VEGETATION})
    return archive


def test_counts_become_reflectance_and_zero_no_data(archive: Archive):
    counts = NOISE.copy()
    counts[:5] = 0
    archive.add("S2_edge", noon(2), {"blue": counts})
    source = archive.save()
    values = read(source, june(source), "blue", PLACE)
    assert values.dtype == np.float32 and values.shape == (2, 60, 60)
    np.testing.assert_allclose(values[0], NOISE * 1e-4, rtol=1e-6)
    assert np.isnan(values[1, :5]).all() and np.isfinite(values[1, 5:]).all()


def test_no_pass_is_an_empty_stack(archive: Archive):
    assert read(archive.save(), [], "scl", PLACE).shape == (0, 60, 60)


@pytest.mark.parametrize("resampling", ["nearest", "bilinear"])
@pytest.mark.parametrize("zone", [31, 32])
def test_a_pass_that_does_not_reach_the_tile_is_a_layer_without_data(tmp_path: Path, resampling: str, zone: int):
    archive = Archive(tmp_path / "archive", "scaled-1e-4")
    away = GeoBox((60, 60), Affine(10, 0, 560_000, 0, -10, 5_600_000), f"EPSG:326{zone}")
    archive.add("S2_away", noon(1), {"blue": NOISE, "scl": VEGETATION}, away)
    source = archive.save()
    assert np.isnan(read(source, june(source), "blue", PLACE, resampling)).all()
    assert not read(source, june(source), "scl", PLACE, resampling).any()


def test_bilinear_weighs_only_what_has_data(tmp_path: Path):
    archive = Archive(tmp_path / "archive", "scaled-1e-4")
    counts = np.tile(np.arange(60) * 100 + 100, (60, 1))
    counts[:, 30:] = 0
    archive.add("S2", noon(1), {"blue": counts}, PLACE.translate_pix(-0.25, 0))
    source = archive.save()
    row = read(source, june(source), "blue", PLACE, "bilinear")[0, 30]
    np.testing.assert_allclose(row[:29], (np.arange(29) + 1.25) * 0.01, rtol=1e-5)
    np.testing.assert_allclose(row[29], 0.30, rtol=1e-5)
    assert np.isnan(row[30:]).all()


def test_coarser_bands_are_repeated_not_smoothed(archive: Archive):
    coarse = NOISE[:30, :30]
    archive.writer.add_scene(
        "scenes", "S2_20m", noon(3), {"blue": NOISE.astype("uint16"), "swir16": coarse.astype("uint16")}, PLACE, 0
    )
    source = archive.save()
    values = read(source, june(source)[1:], "swir16", PLACE)[0]
    np.testing.assert_allclose(values, np.kron(coarse, np.ones((2, 2))) * 1e-4, rtol=1e-6)


@pytest.mark.parametrize("resampling", ["nearest", "bilinear"])
def test_a_pixel_is_the_same_in_whatever_tile_it_is_read(tmp_path: Path, resampling: str):
    """The scene lies in the neighbouring zone, where GDAL's own warper would approximate per tile."""
    archive = Archive(tmp_path / "archive", "scaled-1e-4")
    tile = GeoBox((64, 64), Affine(10, 0, 699_960, 0, -10, 5_600_000), "EPSG:32631")
    neighbour = GeoBox.from_bbox(tile.pad(20).extent.to_crs("EPSG:32632").boundingbox, resolution=10)
    archive.add("S2_32U", noon(1), {"blue": np.random.default_rng(2).integers(1, 3000, neighbour.shape)}, neighbour)
    source = archive.save()
    whole = read(source, june(source), "blue", tile, resampling)[0]
    assert np.isfinite(whole).all()
    quarters = GeoboxTiles(tile, (32, 32))
    for index in np.ndindex(2, 2):
        part = read(source, june(source), "blue", quarters[index], resampling)[0]
        np.testing.assert_array_equal(part, whole[quarters.roi[index]])


def test_centres_on_pixel_edges_fall_alike_in_every_tile(tmp_path: Path):
    archive = Archive(tmp_path / "archive", "scaled-1e-4")
    archive.add("shifted", noon(1), {"blue": NOISE}, PLACE.translate_pix(0.5, 0.5))
    source = archive.save()
    whole = read(source, june(source), "blue", PLACE)[0]
    part = read(source, june(source), "blue", PLACE[17:43, 9:51])[0]
    np.testing.assert_array_equal(part, whole[17:43, 9:51])


def test_one_solar_day_is_one_layer_where_the_first_valid_pixel_wins(tmp_path: Path):
    """Two granules of one pass, delivered in different zones, overlap; the earlier one has a gap."""
    archive = Archive(tmp_path / "archive", "scaled-1e-4")
    gap = np.full(PLACE.shape, 1000)
    gap[:, 30:] = 0
    wide = GeoBox.from_bbox(PLACE.pad(10).extent.to_crs("EPSG:32632").boundingbox, resolution=10)
    archive.add("S2_32UKS", noon(1, second=9), {"blue": 2000, "scl": CLOUD}, wide)
    archive.add("S2_31UFS", noon(1), {"blue": gap, "scl": np.where(gap, VEGETATION, 0)})
    archive.add("S2_31UFS_later", noon(6), {"blue": 3000, "scl": VEGETATION})
    source = archive.save()
    scenes = june(source)
    assert [[item.id for item in items] for items in scenes] == [["S2_31UFS", "S2_32UKS"], ["S2_31UFS_later"]]
    blue, classes = read(source, scenes, "blue", PLACE), read(source, scenes, "scl", PLACE)
    np.testing.assert_allclose(blue[0], np.where(gap, 0.1, 0.2), rtol=1e-6)
    np.testing.assert_array_equal(classes[0], np.where(gap, VEGETATION, CLOUD))


def test_solar_days_follow_longitude_and_radar_passes_the_half_day():
    def item(item_id: str, hour: int, longitude: float) -> pystac.Item:
        return pystac.Item(item_id, None, [longitude, 0, longitude + 1, 1], noon(5, hour=hour), {})

    fiji = [item("before midnight UTC", 23, 160), item("after midnight UTC", 0, 160)]
    assert len(passes(fiji, "sentinel2", JUNE)) == 2  # the same UTC date, but 23 hours apart
    twice = [item("morning", 6, 0), item("evening", 18, 0)]
    assert len(passes(twice, "sentinel2", JUNE)) == 1 and len(passes(twice, "sentinel1", JUNE)) == 2
    assert passes(twice, "sentinel1", Period.of_month(2019, 7)) == []


def test_items_of_one_day_keep_their_own_offset(tmp_path: Path):
    archive = Archive(tmp_path / "archive", "planetary-computer")
    left, right = np.full(PLACE.shape, 1500), np.full(PLACE.shape, 2500)
    left[:, 30:] = 0
    archive.add("old", noon(1), {"blue": left}, **{"s2:processing_baseline": "03.01", "s2:mgrs_tile": "31UES"})
    archive.add(
        "new", noon(1, second=1), {"blue": right}, **{"s2:processing_baseline": "05.00", "s2:mgrs_tile": "31UFS"}
    )
    source = archive.save()
    np.testing.assert_allclose(read(source, june(source), "blue", PLACE)[0], 0.15, rtol=1e-6)


def test_decibel_becomes_power_and_what_is_no_power_is_no_data(tmp_path: Path):
    decibel, linear = Archive(tmp_path / "dB", "decibel"), Archive(tmp_path / "linear", "linear-power")
    fills = np.full(PLACE.shape, -10.0)
    fills[0, :5] = [0, 9999, np.inf, np.nan, -np.inf]
    decibel.add("a", noon(1), {"vv": fills})
    noise = np.full(PLACE.shape, 0.1)
    noise[0, :5] = [0, -0.1, np.inf, np.nan, -np.inf]
    linear.add("a", noon(1), {"vv": noise})
    for source in (decibel.save(), linear.save()):
        power = read(source, june(source), "vv", PLACE)[0]
        assert np.isnan(power[0, :5]).all(), source.profile
        np.testing.assert_allclose(np.delete(power.ravel(), range(5)), 0.1, rtol=1e-5)


def test_more_dates_than_fit_are_read_in_strips(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(imagery, "STACK_BYTES", 60 * 4 * 10 * 7)
    rows = list(strips(PLACE, 10))
    assert rows[0] == slice(0, 7) and rows[-1] == slice(56, 60) and len(rows) == 9
    assert list(strips(PLACE, 0)) == [slice(0, 60)]


def failure(source: Source, band: str = "blue") -> StookError:
    with pytest.raises(StookError) as caught:
        read(source, june(source), band, PLACE, backoff=HASTY)
    assert "\n" not in str(caught.value)
    return caught.value


def test_an_asset_that_an_item_lacks_is_named(archive: Archive):
    assert str(failure(archive.save(), "nir")) == "S2_first: missing asset nir"


def test_a_file_that_is_gone_is_named(archive: Archive):
    source = archive.save()
    archive.file("S2_first", "blue").unlink()
    error = failure(source)
    assert isinstance(error, TileError)
    assert str(error) == f"S2_first: missing asset blue ({archive.file('S2_first', 'blue')})"


@pytest.mark.parametrize("kept", [0, 20, 2000])
def test_a_truncated_file_is_corrupt_and_named(archive: Archive, kept: int):
    source, path = archive.save(), archive.file("S2_first", "blue")
    path.write_bytes(path.read_bytes()[:kept])
    error = failure(source)
    assert isinstance(error, TileError) and str(error).startswith(f"S2_first: corrupt asset blue ({path}): ")


def test_a_wrong_or_missing_coordinate_system_is_named(archive: Archive):
    source, path = archive.save(), archive.file("S2_first", "blue")
    write_cog(path, NOISE.astype("uint16"), PLACE.transform, "EPSG:32632", 0)
    assert "unusable asset blue" in str(failure(source)) and "EPSG:32632, but the item says EPSG:32631" in str(
        failure(source)
    )
    with rasterio.open(
        path, "w", driver="GTiff", height=60, width=60, count=1, dtype="uint16", transform=PLACE.transform
    ) as file:
        file.write(NOISE.astype("uint16"), 1)
    assert "no coordinate reference system" in str(failure(source))


def test_pixels_that_are_no_counts_are_refused(archive: Archive):
    source = archive.save()
    write_cog(archive.file("S2_first", "blue"), NOISE.astype("float32"), PLACE.transform, "EPSG:32631", 0)
    assert "float32 pixels, where profile scaled-1e-4 has counts" in str(failure(source))


def test_raw_grd_pixels_are_refused_with_what_to_use_instead(tmp_path: Path):
    archive = Archive(tmp_path / "archive", "linear-power")
    archive.add("S1_raw", noon(1), {"vv": 0.1})
    source = archive.save()
    items = search(source, EVERYWHERE, *YEAR_2019)
    write_cog(archive.file("S1_raw", "vv"), NOISE.astype("uint16"), PLACE.transform, "EPSG:32631", 0)
    assert isinstance(failure(source, "vv"), InputError)
    with pytest.raises(InputError, match="S1_raw: .* is raw GRD amplitude; use .*rtc"):
        check_plausible(items, source, lonlat(PLACE))


@contextmanager
def over_http(source: Source, verdict=lambda path: 200) -> Iterator[Source]:
    with served(Path(source.catalog).parent, verdict) as url:
        yield replace(source, catalog=f"{url}/catalog.json")


def test_http_archives_are_read_like_files(archive: Archive):
    with over_http(archive.save()) as source:
        np.testing.assert_allclose(read(source, june(source), "blue", PLACE, backoff=HASTY)[0], NOISE * 1e-4, rtol=1e-6)


def test_a_link_that_answers_404_is_a_missing_asset(archive: Archive):
    with over_http(archive.save(), lambda path: 404 if path.endswith(".tif") else 200) as source:
        error = failure(source)
        assert isinstance(error, TileError) and "S2_first: missing asset blue (http://" in str(error)


def test_a_corrupt_file_behind_http_is_corrupt_not_unreachable(archive: Archive):
    path = archive.file("S2_first", "blue")
    path.write_bytes(path.read_bytes()[:2000])
    with over_http(archive.save()) as source:
        error = failure(source)
        assert isinstance(error, TileError) and "corrupt asset blue" in str(error)


@pytest.mark.parametrize("refusals", [1, 4, 8])
def test_a_refusal_that_passes_is_waited_for(archive: Archive, refusals: int):
    with over_http(archive.save(), failing_first(refusals, 503, of=".tif")) as source:
        assert np.isfinite(read(source, june(source), "blue", PLACE, backoff=replace(HASTY, attempts=5))).all()


@pytest.mark.parametrize("status", [503, 429, 401, 403])
def test_a_refusal_that_lasts_is_unreachable_never_no_data(archive: Archive, status: int):
    with over_http(archive.save(), lambda path: status if path.endswith(".tif") else 200) as source:
        error = failure(source)
        assert isinstance(error, UnreachableError) and f"unreachable ({status})" in str(error)


def test_a_refused_connection_is_unreachable(archive: Archive):
    source = archive.save()
    (item,) = search(source, EVERYWHERE, *YEAR_2019)
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        item.assets["blue"].href = f"http://127.0.0.1:{unused.getsockname()[1]}/blue.tif"
    with pytest.raises(UnreachableError, match="S2_first: asset blue .*ConnectionError"):
        read(source, [(item,)], "blue", PLACE, backoff=HASTY)


def test_pictures_in_the_place_of_bands_are_refused_by_name(tmp_path: Path):
    archive = Archive(tmp_path / "archive", "scaled-1e-4")
    archive.add("june", noon(1), {"blue": 800})
    source = archive.save()
    file = archive.file("june", "blue")
    with rasterio.open(file) as one:
        profile = one.profile
    for kind, bands, said in (("uint8", 1, "uint8 pixels, where"), ("uint16", 3, "3 bands, where")):
        with rasterio.open(file, "w", **{**profile, "dtype": kind, "count": bands}) as one:
            one.write(np.full((bands, profile["height"], profile["width"]), 100, kind))
        with pytest.raises(TileError, match=f"june: unusable asset blue .*{said}"):
            read(source, june(source), "blue", PLACE, backoff=HASTY)
