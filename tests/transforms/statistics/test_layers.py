"""Users' polygons and rasters cross-tabulate with the maps, and their values add up to every place."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import rasterio
import shapely
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from stook.models.errors import InputError
from stook.transforms.editions.edition import Edition
from stook.transforms.ground.areas import TileCoverage
from stook.transforms.ground.geodesy import area_m2, latlon_at
from stook.transforms.ground.grid import Grid, Tile, Zone
from stook.transforms.statistics.crossing import split
from stook.transforms.statistics.layers import MOST_VALUES, NONE, RasterLayer, read_layer
from stook.transforms.statistics.map_table import statistics_from_maps
from stook.transforms.statistics.table import statistics
from tests.transforms.editions.test_edition import make_plan
from tests.transforms.hand_made import THRESHOLDS, write_edition
from tests.transforms.statistics.conftest import PLAN, REGION, TILES

SUMMED = ["cells", "cells_mapped", "cells_of_class"]
# "wet" is in two polygons, one of them over the meridian; some ground is in none.
ZONES = gpd.GeoDataFrame(
    {"zone": ["wet", "dry", "wet"], "count": [1, 2, 3]},
    geometry=[
        shapely.Polygon([(35.99, 9.0), (35.9973, 9.0), (35.9991, 9.01), (35.99, 9.01)]),
        shapely.Polygon([(35.9973, 9.0), (36.0009, 9.0), (36.0009, 9.0061), (35.9983, 9.00555)]),
        shapely.Polygon([(35.9995, 9.0062), (36.002, 9.0062), (36.002, 9.0079), (35.9995, 9.0079)]),
    ],
    crs=4326,
)


@pytest.fixture(scope="module")
def zones(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("zones") / "zones.gpkg"
    ZONES.to_file(path)
    return path


def raster(path: Path, values: Any, **profile: Any) -> Path:
    """Values in degrees from 35.994° E, 9.009° N south- and eastwards, a pixel 0.0011 degrees wide."""
    layers = np.asarray(values)
    layers = layers if layers.ndim == 3 else layers[np.newaxis]
    settings = {
        "driver": "GTiff",
        "count": len(layers),
        "height": layers.shape[1],
        "width": layers.shape[2],
        "dtype": layers.dtype,
        "crs": "EPSG:4326",
        "transform": Affine(0.0011, 0, 35.994, 0, -0.0011, 9.009),
    }
    with rasterio.open(path, "w", **{**settings, **profile}) as file:
        file.write(layers)
    return path


@pytest.fixture(scope="module")
def mask(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Classes -3, 0 and 12, a column of nodata, and ground beyond it in the south and east."""
    values = np.random.default_rng(1).choice(np.array([-3, 0, 12], np.int16), (7, 8))
    values[:, 3] = -99
    return raster(tmp_path_factory.mktemp("mask") / "mask.tif", values, nodata=-99)


def assert_adds_up(crossed: pd.DataFrame, whole: pd.DataFrame) -> None:
    """Every exact number of every product and place, and nothing else, is what the values add up to."""
    keys = ["product", "level", "id"]
    exact = [column for column in whole if column.endswith("_dm2")]
    found = crossed.groupby(keys)[[*exact, *SUMMED]].sum()
    expected = whole.set_index(keys)[[*exact, *SUMMED]].fillna(0)
    pd.testing.assert_frame_equal(found, expected.sort_index(), check_dtype=False, check_exact=True)
    assert (crossed[exact] >= 0).all(axis=None)
    assert not crossed.duplicated([*keys, "value"]).any()


@pytest.mark.parametrize("kind", ["zones", "mask"])
def test_values_of_a_layer_add_up_to_every_place(kind: str, edition: Edition, zones: Path, mask: Path) -> None:
    by = {"zones": f"{zones}:zone", "mask": str(mask)}[kind]
    crossed = statistics_from_maps(edition, THRESHOLDS, by)
    assert_adds_up(crossed, statistics(edition, THRESHOLDS))
    assert (crossed["layer"] == {"zones": "zones.gpkg:zone", "mask": "mask.tif"}[kind]).all()
    expected = {"zones": ["dry", "wet", NONE], "mask": ["-3", "0", "12", NONE]}[kind]
    whole = crossed[(crossed["level"] == "region") & (crossed["product"] == "cropland")]
    assert whole["value"].tolist() == expected and (whole["area_dm2"] > 0).all()


def test_ground_of_polygons_is_cut_exactly(edition: Edition, zones: Path) -> None:
    crossed = statistics_from_maps(edition, THRESHOLDS, f"{zones}:zone")
    for unit in REGION.units:
        for value in ("wet", "dry"):
            here = shapely.union_all(ZONES[ZONES["zone"] == value].geometry.to_numpy()) & unit.geometry
            rows = crossed[(crossed["id"] == unit.id) & (crossed["value"] == value)]
            if here.area == 0:
                assert rows.empty
            else:  # the meridian cuts an edge here and there, each cut a rounding
                assert rows["total_dm2"].to_numpy() / 100 == pytest.approx(area_m2(here), rel=1e-5, abs=0.05)


def test_ground_of_a_raster_is_what_lies_under_the_middles_of_pixels(edition: Edition, mask: Path) -> None:
    crossed = statistics_from_maps(edition, THRESHOLDS, str(mask)).query("level == 'region' and product == 'cropland'")
    with rasterio.open(mask) as file:
        values, to_pixel = file.read(1), ~file.transform
    expected: dict[str, float] = {}
    for tile in TILES:
        ground = TileCoverage.of(REGION, PLAN.grid, tile)
        row, column = np.indices((50, 50)) + 0.5
        latlon = latlon_at(PLAN.grid.geobox(tile), row, column)
        x, y = to_pixel * (latlon[..., 1], latlon[..., 0])
        inside = (x >= 0) & (x < 8) & (y >= 0) & (y < 7)
        found = values[np.where(inside, y, 0).astype(int), np.where(inside, x, 0).astype(int)]
        labels = np.where(inside & (found != -99), found, 999)
        for unit in ground.units:
            areas = ground.pixel_areas.window(unit.rows, unit.columns) * (1 if unit.fraction is None else unit.fraction)
            for label in np.unique(labels):
                name = NONE if label == 999 else str(label)
                here = labels[unit.rows, unit.columns] == label
                expected[name] = expected.get(name, 0) + 100 * float(areas[here].sum())
    totals = dict(zip(crossed["value"], crossed["total_dm2"], strict=True))
    assert totals == pytest.approx(expected, rel=1e-6)


def test_a_counted_cell_has_the_value_with_most_of_its_ground(edition: Edition, tmp_path: Path) -> None:
    # 829,600 m is an edge of cells of 50 m; a border 20 m to the east of it leaves each cell to the east all the same.
    tables = []
    for border in (829_600, 829_620):
        halves = [shapely.box(828_000, 995_000, border, 998_000), shapely.box(border, 995_000, 831_000, 998_000)]
        path = tmp_path / f"{border}.gpkg"
        gpd.GeoDataFrame({"side": ["west", "east"]}, geometry=halves, crs=32636).to_file(path)
        table = statistics_from_maps(edition, THRESHOLDS, f"{path}:side")
        tables.append(table[(table["id"] == "A") & (table["product"] == "harvest_piles")])
    on_edges, beside = tables
    assert on_edges["value"].tolist() == beside["value"].tolist() == ["east", "west"]
    assert on_edges["cells"].tolist() == beside["cells"].tolist() and (beside["cells"] > 0).all()
    assert beside["total_dm2"].to_numpy() - on_edges["total_dm2"].to_numpy() == pytest.approx(
        np.array([-1, 1]) * 100 * 20 * 790, rel=0.05
    )


def test_tiles_of_another_size_give_the_same_ground(tmp_path: Path, zones: Path) -> None:
    totals = []
    for tile_px in (50, 100):
        plan = replace(make_plan(), grid=Grid(tile_px=tile_px))
        edition = write_edition(tmp_path / str(tile_px), plan, REGION, lambda *_: None)
        crossed = statistics_from_maps(edition, THRESHOLDS, f"{zones}:zone")
        totals.append(crossed[crossed["product"] == "cropland"].set_index(["level", "id", "value"])["total_dm2"])
    assert (totals[0] - totals[1]).abs().max() <= 4  # each tile rounds


@given(
    arrays.arrays(np.int64, 5, elements=st.integers(0, 10**12)),
    arrays.arrays(np.float64, (4, 5), elements=st.floats(0, 1e12)),
)
def test_whole_numbers_are_split_without_loss_and_none_is_negative(totals: np.ndarray, weights: np.ndarray) -> None:
    numbers = split(totals, weights)
    assert (numbers.sum(axis=0) == totals).all() and (numbers >= 0).all()
    whole = weights.sum(axis=0)
    there = whole > 0
    exact = totals[there] * weights[:, there] / whole[there]
    assert (np.abs(numbers[:, there] - exact) <= 1 + 1e-3).all()
    assert (numbers[:, there][weights[:, there] == 0] == 0).all()


def test_a_raster_without_nodata_has_no_values_beyond_its_edge(tmp_path: Path) -> None:
    path = raster(tmp_path / "plain.tif", np.zeros((7, 8), np.uint8))
    values, known = RasterLayer.read(path, REGION).on(Grid(tile_px=200), Tile(Zone(36), 414, 498))
    assert known.any() and not known.all() and (values[known] == 0).all()


def write(table: gpd.GeoDataFrame, path: Path) -> Path:
    table.to_file(path)
    return path


OVERLAPPING = ZONES.set_geometry([ZONES.geometry[0], ZONES.geometry[0].buffer(0.001), ZONES.geometry[2]])


@pytest.mark.parametrize(
    ("table", "field", "told"),
    [
        (ZONES, "region", "no field 'region'; the fields are 'zone', 'count'"),
        (OVERLAPPING, "zone", "field 'zone': polygons 'wet' and 'dry' overlap by"),
        (ZONES.assign(zone=["wet", None, "dry"]), "zone", "field 'zone': row 2 has no value"),
        (ZONES.assign(zone=["wet", "dry", NONE]), "zone", "field 'zone': row 3 has no value"),
        (ZONES.translate(30).to_frame("geometry").assign(zone=1), "zone", "none of the 3 polygons lies in the region"),
        (ZONES.set_geometry(ZONES.representative_point()), "zone", "polygon 'dry' is Point; polygons are polygons"),
        (ZONES.set_crs(None, allow_override=True), "zone", "no coordinate reference system"),
    ],
)
def test_polygons_that_are_no_layer_are_refused(table: Any, field: str, told: str, tmp_path: Path) -> None:
    path = write(gpd.GeoDataFrame(table), tmp_path / "zones.gpkg")
    with pytest.raises(InputError, match=told):
        read_layer(f"{path}:{field}", REGION)


@pytest.mark.parametrize("folder", ["C:", "10:30"])
def test_a_colon_may_be_of_the_files_name_or_of_a_drive(tmp_path: Path, folder: str) -> None:
    (tmp_path / folder).mkdir()
    polygons = write(ZONES, tmp_path / folder / "zones.gpkg")
    mask = raster(tmp_path / folder / "mask.tif", np.zeros((7, 8), np.uint8))
    layer: Any = read_layer(f"{polygons}:zone", REGION)
    assert {unit.id for unit in layer.zones.units} == {"wet", "dry"}
    assert isinstance(read_layer(str(mask), REGION), RasterLayer)


def test_a_file_of_several_layers_takes_the_layer_between_file_and_field(tmp_path: Path) -> None:
    path = tmp_path / "zones.gpkg"
    for name in ("first", "second"):
        ZONES.assign(zone=name).to_file(path, layer=name)
    with pytest.raises(InputError, match="several layers; choose one of 'first', 'second'"):
        read_layer(f"{path}:zone", REGION)
    layer: Any = read_layer(f"{path}:second:zone", REGION)
    assert [unit.id for unit in layer.zones.units] == ["second"]


@pytest.mark.parametrize(
    ("values", "profile", "told"),
    [
        (np.zeros((7, 8), np.float32), {}, "values are float32; a layer is of whole numbers"),
        (np.zeros((2, 7, 8), np.uint8), {}, "2 bands; a layer has one"),
        (np.zeros((7, 8), np.uint8), {"crs": None}, "no coordinate reference system"),
        (np.zeros((7, 8), np.uint8), {"transform": Affine(0.001, 0, 30, 0, -0.001, 9)}, "no part of it lies in the"),
    ],
)
def test_rasters_that_are_no_layer_are_refused(values: Any, profile: Any, told: str, tmp_path: Path) -> None:
    path = raster(tmp_path / "mask.tif", values, **profile)
    with pytest.raises(InputError, match=told):
        read_layer(str(path), REGION)


def test_a_mask_beside_the_values_is_not_passed_over(tmp_path: Path) -> None:
    path = raster(tmp_path / "mask.tif", np.ones((7, 8), np.uint8))
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(path, "r+") as file:
        file.write_mask(np.arange(56).reshape(7, 8) > 9)
    with pytest.raises(InputError, match="mask.tif: a mask band, which is not read; save the file with a nodata value"):
        read_layer(str(path), REGION)


def test_measurements_are_no_classes(edition: Edition, tmp_path: Path) -> None:
    fine = Affine(0.0001, 0, 35.994, 0, -0.0001, 9.009)
    path = raster(tmp_path / "heights.tif", np.arange(100 * 120, dtype=np.int32).reshape(100, 120), transform=fine)
    with pytest.raises(InputError, match=f"heights.tif: more than {MOST_VALUES} values in a tile"):
        statistics_from_maps(edition, THRESHOLDS, str(path))


def test_a_raster_that_is_damaged_is_told_by_name(edition: Edition, mask: Path, tmp_path: Path) -> None:
    path = tmp_path / "mask.tif"
    path.write_bytes(mask.read_bytes())
    with rasterio.open(path) as file:
        start = int(file.get_tag_item("BLOCK_OFFSET_0_0", "TIFF", bidx=1))
    path.write_bytes(path.read_bytes()[: start + 10])
    with pytest.raises(InputError, match="mask.tif: cannot be read"):
        statistics_from_maps(edition, THRESHOLDS, str(path))


def test_what_is_no_file_or_of_another_kind_is_refused(zones: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nowhere.gpkg:zone: no such file"):
        read_layer(f"{tmp_path}/nowhere.gpkg:zone", REGION)
    with pytest.raises(InputError, match="nowhere.tif: no such file"):
        read_layer(f"{tmp_path}/nowhere.tif", REGION)
    with pytest.raises(InputError, match=r"not a raster that can be read; .* the field too, e.g. .*zones.gpkg:zone"):
        read_layer(str(zones), REGION)
    (tmp_path / "notes.txt").write_text("zone\nwet\n")
    with pytest.raises(InputError, match="notes.txt: not a vector file that can be read"):
        read_layer(f"{tmp_path}/notes.txt:zone", REGION)


def test_a_raster_stored_south_up_says_what_the_same_one_north_up_says(tmp_path: Path) -> None:
    values = np.arange(60, dtype="uint8").reshape(6, 10)
    north = raster(tmp_path / "north.tif", values)
    turned = Affine(0.0011, 0, 35.994, 0, 0.0011, 9.009 - 6 * 0.0011)
    south = raster(tmp_path / "south.tif", values[::-1], transform=turned)
    where = Grid(tile_px=200), Tile(Zone(36), 414, 498)
    for one, other in zip(*(RasterLayer.read(path, REGION).on(*where) for path in (north, south)), strict=True):
        np.testing.assert_array_equal(one, other)


def test_numbers_that_would_merge_are_refused(tmp_path: Path) -> None:
    large = raster(tmp_path / "large.tif", np.full((6, 10), 2**60 + 1, "int64"))
    with pytest.raises(InputError, match=r"large.tif: values of 2\^53 and more are not told apart"):
        RasterLayer.read(large, REGION).on(Grid(tile_px=200), Tile(Zone(36), 414, 498))
