"""Labels become labelled pixels of the UTM grid, whatever they came as."""

from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
from affine import Affine
from shapely.geometry import Point

from models.errors import InputError
from transforms.grid import Grid, Zone
from transforms.labels import Classes, connected_equal, read_labels
from transforms.simulation.catalogue import write_cog

CLASSES = Classes((11,), (13, 60))
ORIGIN = (500_000.0, 1_000_000.0)


def write_raster(path: Path, values: list[list[int]], epsg: int = 32637, pixel_m: float = 10.0) -> Path:
    transform = Affine(pixel_m, 0, ORIGIN[0], 0, -pixel_m, ORIGIN[1])
    write_cog(path, np.array(values, np.uint8), transform, f"EPSG:{epsg}", 0)
    return path


def test_a_raster_on_the_grid_labels_exactly_its_pixels(tmp_path: Path) -> None:
    labels = read_labels(write_raster(tmp_path / "lc.tif", [[11, 13, 99], [0, 60, 11]]), CLASSES)
    found = {(row.column, row.row): row.label for row in labels.table.itertuples()}
    assert found == {
        (50_000, 99_999): True,
        (50_001, 99_999): False,
        (50_001, 99_998): False,
        (50_002, 99_998): True,
    }
    assert set(labels.table["zone"]) == {"32637"}


def test_pixels_of_a_finer_raster_must_agree_to_label_one_of_ours(tmp_path: Path) -> None:
    fine = [[11, 11, 11, 13], [11, 11, 13, 13]]
    labels = read_labels(write_raster(tmp_path / "fine.tif", fine, pixel_m=5.0), Classes((11,), (13,))).table
    assert len(labels) == 1 and labels["label"].all()


def test_points_in_any_form_label_the_same_pixels(tmp_path: Path) -> None:
    lon, lat, kind = [39.00002, 39.01, 39.02], [9.0, 9.0, 9.0], ["crop", "other", "unknown"]
    pd.DataFrame({"lon": lon, "lat": lat, "kind": kind}).to_csv(tmp_path / "points.csv", index=False)
    points = gpd.GeoDataFrame({"kind": kind}, geometry=[Point(xy) for xy in zip(lon, lat, strict=True)], crs=4326)
    points.to_crs(32637).to_file(tmp_path / "points.gpkg")
    classes = Classes(("crop",), ("other",))
    tables = [read_labels(tmp_path / name, classes, "kind").table for name in ("points.csv", "points.gpkg")]
    assert tables[0][["zone", "column", "row", "label"]].equals(tables[1][["zone", "column", "row", "label"]])
    assert len(tables[0]) == 2


def test_points_south_of_the_equator_and_across_a_meridian_lie_in_their_own_zones(tmp_path: Path) -> None:
    pd.DataFrame({"lon": [35.9999, 36.0001], "lat": [-0.001, 0.001], "kind": [1, 0]}).to_csv(tmp_path / "p.csv")
    labels = read_labels(tmp_path / "p.csv", Classes((1,), (0,)), "kind")
    assert sorted(labels.table["zone"]) == ["32637", "32736"]


def test_rows_within_a_tile_count_from_the_north(tmp_path: Path) -> None:
    labels = read_labels(write_raster(tmp_path / "lc.tif", [[11], [13]]), CLASSES)
    [(tile, index, rows, columns)] = labels.by_tile(Grid(tile_px=100))
    assert (tile.zone, tile.ix, tile.iy) == (Zone(37, False), 500, 999)
    assert labels.table["label"].iloc[index].tolist() == [False, True]
    assert (rows.tolist(), columns.tolist()) == ([1, 0], [0, 0])


def test_parcels_are_connected_patches_of_equal_value() -> None:
    values = np.array([[1, 1, 2], [2, 1, 2], [2, 2, 1]])
    parcels = connected_equal(values, values > 0)
    assert len(np.unique(parcels)) == 4
    assert parcels[0, 0] == parcels[1, 1] != parcels[2, 2]


def test_blocks_are_squares_of_the_ground(tmp_path: Path) -> None:
    labels = read_labels(write_raster(tmp_path / "lc.tif", [[11, 13] * 20] * 20), CLASSES)
    blocks = labels.blocks(100)
    assert len(np.unique(blocks)) == 8
    assert (pd.Series(blocks).value_counts() == 100).all()


def test_thinning_keeps_order_and_is_repeatable(tmp_path: Path) -> None:
    labels = read_labels(write_raster(tmp_path / "lc.tif", [[11, 13] * 20] * 20), CLASSES)
    thin = labels.thinned(100, seed=1)
    assert len(thin) == 100
    assert thin.table.equals(labels.thinned(100, seed=1).table)
    assert thin.table[["column", "row"]].apply(tuple, axis=1).is_monotonic_increasing


@pytest.mark.parametrize(
    ("name", "content", "field", "told"),
    [
        ("points.csv", "lon,lat,kind\n39,9,crop\n", None, "give the field of the class"),
        ("points.csv", "x,y,kind\n39,9,crop\n", "kind", "has no field lon, lat; there are x, y, kind"),
        ("points.csv", "lon,lat,kind\n39,9,crop\n", "kind", "holds none of the negative classes 13, 60"),
        ("lc.tif", "not a raster", None, "cannot be read as a raster"),
        ("points.gpkg", "not a vector file", "kind", "cannot be read as points"),
    ],
)
def test_unusable_labels_are_refused(tmp_path: Path, name: str, content: str, field: str | None, told: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(InputError, match=told):
        read_labels(tmp_path / name, Classes(("crop",), (13, 60)), field)


def test_parcels_on_another_grid_are_refused(tmp_path: Path) -> None:
    labels = write_raster(tmp_path / "lc.tif", [[11, 13]])
    parcels = write_raster(tmp_path / "parcels.tif", [[1, 2, 3]])
    with pytest.raises(InputError, match="parcels must be on the grid"):
        read_labels(labels, CLASSES, parcels=parcels)


@pytest.mark.shared
@pytest.mark.parametrize(
    ("site", "pixels", "cropland", "parcels"), [("west", 2343, 1401, 22), ("east", 3725, 2338, 19)]
)
def test_the_flemish_sites_have_their_pixels_and_parcels(
    shared: Path, site: str, pixels: int, cropland: int, parcels: int
) -> None:
    folder = shared / "data/flanders/labels"
    labels = read_labels(folder / f"{site}_LC.tif", CLASSES, parcels=folder / f"{site}_CT.tif").table
    assert (len(labels), labels["label"].sum(), labels["parcel"].nunique()) == (pixels, cropland, parcels)


def test_nodata_is_unlabelled_even_where_its_value_is_a_class(tmp_path: Path) -> None:
    labels = read_labels(write_raster(tmp_path / "mask.tif", [[1, 0, 2]]), Classes((1,), (0, 2)))
    assert labels.table["label"].tolist() == [True, False]


def test_the_same_ground_has_the_same_block_in_every_file(tmp_path: Path) -> None:
    one = read_labels(write_raster(tmp_path / "2018.tif", [[11, 13]]), CLASSES)
    other = read_labels(write_raster(tmp_path / "2019.tif", [[13, 11], [11, 13]]), CLASSES)
    assert set(one.blocks(500)) <= set(other.blocks(500))


def test_points_without_a_place_are_refused(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text("lon,lat,kind\n39,9,1\n,9,0\n")
    with pytest.raises(InputError, match="1 points lie nowhere, the first at lon nan, lat 9"):
        read_labels(tmp_path / "p.csv", Classes((1,), (0,)), "kind")
