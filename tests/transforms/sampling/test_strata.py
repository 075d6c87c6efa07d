"""Strata of a made-up map: what is in which, and that together they are the region."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from pyproj import Transformer
from rasterio.transform import from_origin

from stook.models.errors import InputError
from stook.transforms.editions.edition import Edition
from stook.transforms.ground.areas import TileCoverage
from stook.transforms.ground.grid import Tile
from stook.transforms.sampling import strata as strata_module
from stook.transforms.sampling.codes import OUTSIDE, CodeRaster
from stook.transforms.sampling.strata import NOT_MAPPED, DividedMap, Division, MeasuredStratum, measured_strata
from stook.transforms.statistics.sums import WHOLE_REGION, ledger_sums
from stook.transforms.tiles.map_reader import MapReader
from stook.transforms.values import FAILED
from tests.transforms.sampling.conftest import FAILED_TILE, GRID, REGION

THRESHOLDS = {"cropland": 60}
HA = 1_000_000


def divided(edition: Edition, earlier: Edition | None = None, product: str = "cropland", **how: Any) -> DividedMap:
    before = None if earlier is None else MapReader(earlier)
    return DividedMap(MapReader(edition), product, THRESHOLDS, Division(**how), before)


def named(edition: Edition, earlier: Edition | None = None, **how: Any) -> dict[str, MeasuredStratum]:
    return {stratum.name: stratum for stratum in measured_strata(divided(edition, earlier, **how))}


def region_dm2() -> int:
    return sum(sum(TileCoverage.of(REGION, GRID, tile).totals.values()) for tile in REGION.tiles(GRID))


def write_raster(path: Path, codes: np.ndarray, bounds: tuple[float, float] = (35.9, 9.13), **profile: Any) -> str:
    """Codes in degrees, pixels of 0.01 degrees from the north-western corner on."""
    like = {"driver": "GTiff", "crs": "EPSG:4326", "transform": from_origin(*bounds, 0.01, 0.01), "dtype": codes.dtype}
    height, width = codes.shape
    with rasterio.open(path, "w", height=height, width=width, count=1, **(like | profile)) as target:
        target.write(codes, 1)
    return str(path)


def test_classes_are_those_of_the_threshold_and_the_ledger(edition: Edition) -> None:
    found = named(edition)
    assert list(found) == ["other", "cropland", "not mapped"]
    histogram = ledger_sums(edition, REGION).histograms["cropland"][WHOLE_REGION, "place"]
    tiles = 4 * len(REGION.tiles(GRID))  # each area is rounded in each tile and unit, by value in the ledger
    for name, values in {"other": range(60), "cropland": range(60, 101), "not mapped": range(101, 256)}.items():
        assert found[name].area_dm2 == pytest.approx(sum(histogram.get(value, 0) for value in values), abs=tiles)


@pytest.mark.parametrize("within", ["region", "parent 1", "parent 2", "unit"])
@pytest.mark.parametrize("how", [{}, {"by": "bands", "bands": (20, 50, 80)}], ids=["classes", "bands"])
@pytest.mark.parametrize("crossed", [False, True])
def test_strata_are_the_region_to_the_last_square_decimetre(
    edition: Edition, earlier: Edition, how: dict[str, Any], within: str, crossed: bool
) -> None:
    found = named(edition, earlier if crossed else None, within=within, **how)
    assert sum(stratum.area_dm2 for stratum in found.values()) == region_dm2()
    assert min(stratum.area_dm2 for stratum in found.values()) > 0


def test_ground_without_a_map_is_one_stratum_in_each_area_whatever_the_cause(edition: Edition) -> None:
    found = named(edition, by="bands", bands=(50,), within="parent 1")
    assert list(found) == [
        f"{place}: {name}"
        for place in ("main", "no parent 1")
        for name in ("cropland 0-49 %", "cropland 50-100 %", "not mapped")
    ]
    failed = REGION.tiles(GRID)[FAILED_TILE]
    here = {piece.unit: piece.area_dm2 for piece in found["main: not mapped"].pieces if piece.tile == failed}
    assert here == {unit: area for unit, area in TileCoverage.of(REGION, GRID, failed).totals.items() if unit != "far"}


def test_units_hold_what_the_ledger_says_of_them(edition: Edition) -> None:
    found = named(edition, within="unit")
    for unit in REGION.units:
        histogram = ledger_sums(edition, REGION).histograms["cropland"]["unit", unit.id]
        here = [stratum.area_dm2 for name, stratum in found.items() if name.startswith(f"{unit.id}: ")]
        assert sum(here) == sum(histogram.values())


def test_bands_begin_at_their_percent_and_the_last_holds_one_hundred(edition: Edition) -> None:
    map_ = divided(edition, by="bands", bands=(1, 50, 99))
    tile = REGION.tiles(GRID)[0]
    here = map_.tile(tile)
    values = here.values
    expected = np.select([values > 100, values < 1, values < 50, values < 99], [NOT_MAPPED, 0, 1, 2], 3)
    np.testing.assert_array_equal(here.kinds, expected)
    assert [map_.name(kind) for kind in (0, 1, 2, 3)] == [
        "cropland 0 %", "cropland 1-49 %", "cropland 50-98 %", "cropland 99-100 %",
    ]  # fmt: skip


def test_an_earlier_map_crosses_the_classes_and_its_gaps_are_not_mapped(edition: Edition, earlier: Edition) -> None:
    found = named(edition, earlier)
    assert list(found) == [
        "other → other", "cropland → other", "other → cropland", "cropland → cropland", "not mapped",
    ]  # fmt: skip
    map_ = divided(edition, earlier)
    for tile in REGION.tiles(GRID)[::3]:
        here = map_.tile(tile)
        assert here.before is not None
        gap = (here.values > 100) | (here.before > 100)
        np.testing.assert_array_equal(here.kinds == NOT_MAPPED, gap)
        lost = (here.values < 60) & (here.before >= 60) & (here.before <= 100)
        names = np.array([map_.name(kind) for kind in here.kinds.flat])
        np.testing.assert_array_equal(names == "cropland → other", lost.flat)


def test_codes_of_a_raster_are_those_under_the_middles_of_cells(edition: Edition, tmp_path: Path) -> None:
    codes = np.arange(16 * 14, dtype=np.int16).reshape(14, 16) % 5 - 2
    raster = write_raster(tmp_path / "zones.tif", codes, nodata=2)
    map_ = divided(edition, by="raster", raster=raster)
    for tile in REGION.tiles(GRID)[:4]:
        here = map_.tile(tile)
        lon, lat = middles(tile)
        at = np.stack([(9.13 - lat) / 0.01, (lon - 35.9) / 0.01])
        row, column = np.floor(at).astype(int)
        clear_of_edges = (np.abs(at - np.rint(at)) > 1e-4).all(axis=0)  # by centimetres
        inside = (row >= 0) & (row < 14) & (column >= 0) & (column < 16)
        code = np.where(inside, codes[np.clip(row, 0, 13), np.clip(column, 0, 15)], 2).astype(np.int64)
        expected = np.where(here.values > 100, NOT_MAPPED, np.where(code == 2, OUTSIDE, code))
        assert clear_of_edges.mean() > 0.99
        np.testing.assert_array_equal(here.kinds[clear_of_edges], expected[clear_of_edges])
    found = {stratum.name: stratum for stratum in measured_strata(map_)}
    assert list(found) == ["code -2", "code -1", "code 0", "code 1", "outside the raster", "not mapped"]
    assert sum(stratum.area_dm2 for stratum in found.values()) == region_dm2()


def middles(tile: Tile) -> tuple[np.ndarray, np.ndarray]:
    """Longitude and latitude of the middles of a tile's pixels."""
    left, _, _, top = GRID.bounds(tile).bbox
    places = (np.arange(GRID.tile_px) + 0.5) * GRID.resolution_m
    x, y = np.meshgrid(left + places, top - places)
    return Transformer.from_crs(tile.zone.epsg, 4326, always_xy=True).transform(x, y)


def test_a_raster_is_crossed_with_the_class_before(edition: Edition, earlier: Edition, tmp_path: Path) -> None:
    raster = write_raster(tmp_path / "zones.tif", np.full((20, 40), 7, np.uint8))
    found = named(edition, earlier, by="raster", raster=raster)
    assert list(found) == ["code 7, other before", "code 7, cropland before", "not mapped"]
    assert sum(stratum.area_dm2 for stratum in found.values()) == region_dm2()


def test_building_coverage_has_bands_of_its_median(built: Edition) -> None:
    map_ = divided(built, product="building_coverage")
    assert [stratum.name for stratum in measured_strata(map_)] == ["not covered", "covered", "not mapped"]
    here = map_.tile(REGION.tiles(GRID)[0])
    np.testing.assert_array_equal(here.kinds == 1, (here.values >= 1) & (here.values <= 100))
    bands = measured_strata(divided(built, product="building_coverage", by="bands", bands=(1, 21)))
    assert [stratum.name for stratum in bands] == ["covered 0 %", "covered 1-20 %", "covered 21-100 %", "not mapped"]
    assert [stratum.spread for stratum in bands] == pytest.approx([0.05, 0.1, 0.395, 0.5])


def test_spreads_follow_from_the_accuracy_or_the_middle_of_the_band(edition: Edition, earlier: Edition) -> None:
    right = {stratum.name: stratum.spread for stratum in measured_strata(divided(edition, accuracy=0.9))}
    assert right == pytest.approx({"other": 0.3, "cropland": 0.3, "not mapped": 0.5})
    bands = measured_strata(divided(edition, by="bands", bands=(20, 60)))
    assert [stratum.spread for stratum in bands] == pytest.approx([0.3, np.sqrt(0.4 * 0.6), 0.4, 0.5])
    crossed = named(edition, earlier, by="bands", bands=(20, 60))
    assert crossed["cropland → cropland 0-19 %"].spread == pytest.approx(0.3)


def test_a_raster_that_lies_elsewhere_is_refused(edition: Edition, tmp_path: Path) -> None:
    raster = write_raster(tmp_path / "far.tif", np.ones((3, 3), np.uint8), bounds=(12.0, 50.0))
    with pytest.raises(InputError, match=r"sample\.strata\.raster: .*far\.tif has no code where the region is mapped"):
        named(edition, by="raster", raster=raster)


def test_a_raster_of_too_many_codes_is_refused(
    edition: Edition, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    raster = write_raster(tmp_path / "many.tif", np.arange(800, dtype=np.int32).reshape(20, 40))
    with pytest.raises(InputError, match=r"raster: .*many\.tif has more than 200 codes in the region"):
        named(edition, by="raster", raster=raster)
    monkeypatch.setattr(strata_module, "MOST_KINDS", 10)  # in one tile already
    with pytest.raises(InputError, match=r"raster: .*many\.tif has more than 10 codes in the region"):
        named(edition, by="raster", raster=raster)


@pytest.mark.parametrize(
    ("codes", "profile", "told"),
    [
        (np.zeros((2, 2), np.float32), {}, "has 1 bands of float32; one of whole numbers is needed"),
        (np.zeros((2, 2), np.uint8), {"count": 2}, "has 2 bands of uint8; one of whole numbers is needed"),
        (np.zeros((2, 2), np.uint8), {"crs": None}, "has no coordinate reference system"),
        (np.full((2, 2), 1 << 41), {}, "has codes of 1099511627776 or more"),
    ],
    ids=["floats", "two bands", "no CRS", "large"],
)
def test_a_raster_that_has_no_codes_is_refused(
    tmp_path: Path, codes: np.ndarray, profile: dict[str, Any], told: str
) -> None:
    path = tmp_path / "bad.tif"
    like = {"driver": "GTiff", "crs": "EPSG:4326", "transform": from_origin(35, 10, 1, 1), "count": 1}
    with rasterio.open(path, "w", height=2, width=2, dtype=codes.dtype, **(like | profile)) as target:
        target.write(codes, 1)
    with pytest.raises(InputError, match=told):
        CodeRaster(str(path)).codes(GRID.geobox(REGION.tiles(GRID)[0]))


def test_a_mask_beside_the_codes_is_not_passed_over(edition: Edition, tmp_path: Path) -> None:
    raster = write_raster(tmp_path / "masked.tif", np.ones((20, 40), np.uint8))
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(raster, "r+") as file:
        file.write_mask(np.arange(800).reshape(20, 40) > 99)
    with pytest.raises(
        InputError, match=r"masked\.tif has a mask band, which is not read; save it with a nodata value"
    ):
        named(edition, by="raster", raster=raster)


def test_a_raster_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text.tif").write_text("no raster")
    with pytest.raises(InputError, match=r"text\.tif cannot be read"):
        CodeRaster(str(tmp_path / "text.tif")).codes(GRID.geobox(REGION.tiles(GRID)[0]))


def test_a_level_of_parents_that_units_do_not_have_is_refused(edition: Edition) -> None:
    with pytest.raises(InputError, match=r"strata\.within: parent 3, but region\.parent names 2 levels of parents"):
        named(edition, within="parent 3")


def test_strata_that_do_not_add_up_are_a_fault(edition: Edition, monkeypatch: pytest.MonkeyPatch) -> None:
    map_ = divided(edition)
    monkeypatch.setattr(MapReader, "tiles", tuple(REGION.tiles(GRID)[1:]))
    with pytest.raises(RuntimeError, match="strata hold .* dm², the region"):
        measured_strata(map_)


def test_failed_tiles_are_not_mapped_in_an_earlier_edition_too(edition: Edition, earlier: Edition) -> None:
    map_ = divided(earlier, edition)  # the failed one before
    here = map_.tile(REGION.tiles(GRID)[FAILED_TILE])
    assert here.before is not None and (here.before == FAILED).all() and (here.kinds == NOT_MAPPED).all()
