"""Labels become labelled pixels of the UTM grid, whatever they came as."""

from datetime import date
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
from affine import Affine
from shapely.geometry import LineString, Point, box
from shapely.geometry.base import BaseGeometry

from stook.models.errors import InputError
from stook.transforms.ground.grid import Grid, Zone
from stook.transforms.labelled.label_files import connected_equal, read_cell_labels, read_labels
from stook.transforms.labelled.labels import Classes
from stook.transforms.simulation.catalogue import write_cog

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


@pytest.mark.parametrize(
    ("words", "positive", "negative", "expected"),
    [
        (["Maize", "None", "Bare", "NA"], ("Maize",), ("None", "Bare", "NA"), [True, False, False, False]),
        (["01", "20", "1", "2"], ("01",), ("20",), [True, False]),
        (["true", "false"], ("true",), ("false",), [True, False]),
        (["7", "7.0", "07", "8"], (7,), (8,), [True, True, True, False]),
        (["", "crop", "other"], ("crop",), ("other",), [True, False]),
    ],
)
@pytest.mark.parametrize("suffix", ["csv", "geojson"])
def test_words_of_classes_are_as_the_file_has_them(
    tmp_path: Path, words: list[str], positive: tuple, negative: tuple, expected: list[bool], suffix: str
) -> None:
    table = pd.DataFrame({"lon": 39 + 0.001 * np.arange(len(words)), "lat": 9.0, "kind": words})
    path = tmp_path / f"points.{suffix}"
    if suffix == "csv":
        table.to_csv(path, index=False)
    else:
        gpd.GeoDataFrame(table[["kind"]], geometry=gpd.points_from_xy(table.lon, table.lat), crs=4326).to_file(path)
    labels = read_labels(path, Classes(positive, negative), "kind").table.sort_values("lon")
    assert labels["label"].tolist() == expected


def test_truth_values_of_a_file_are_the_words_true_and_false(tmp_path: Path) -> None:
    points = gpd.points_from_xy([39, 39.001], [9, 9])
    gpd.GeoDataFrame({"kind": [True, False]}, geometry=points, crs=4326).to_file(tmp_path / "points.gpkg")
    labels = read_labels(tmp_path / "points.gpkg", Classes(("true",), ("false",)), "kind").table.sort_values("lon")
    assert labels["label"].tolist() == [True, False]


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
        ("points.gpkg", "not a vector file", "kind", "not a vector file that can be read"),
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
    with pytest.raises(InputError, match="1 points lie nowhere, the first at lon '', lat '9'"):
        read_labels(tmp_path / "p.csv", Classes((1,), (0,)), "kind")


FIELDS = Classes(("crop",), ("grass",))


def write_polygons(
    path: Path, *found: tuple[str, BaseGeometry], epsg: int | None = 32637, to: int | None = None
) -> Path:
    """Geometries in metres from the corner of the tests, each with its class."""
    corner = ORIGIN if epsg else (0.0, 0.0)
    moved = gpd.GeoSeries([shape for _, shape in found], crs=epsg).translate(*corner)
    table = gpd.GeoDataFrame({"kind": [kind for kind, _ in found]}, geometry=moved, crs=epsg)
    (table.to_crs(to) if to else table).to_file(path)
    return path


def places(labels: pd.DataFrame) -> set[tuple[int, int, bool]]:
    """Columns and rows from the corner of the tests, with the label."""
    corner = ORIGIN[0] // 10, ORIGIN[1] // 10
    return {(row.column - corner[0], row.row - corner[1], row.label) for row in labels.itertuples()}


@pytest.mark.parametrize(("name", "to"), [("fields.gpkg", None), ("fields.geojson", 4326), ("fields.gpkg", 3857)])
def test_a_polygon_labels_the_pixels_that_it_holds_whole(tmp_path: Path, name: str, to: int | None) -> None:
    file = write_polygons(tmp_path / name, ("crop", box(0, 0, 25, 15)), ("grass", box(25, 0, 45, 15)), to=to)
    labels = read_labels(file, FIELDS, "kind").table
    assert places(labels) == {(0, 0, True), (1, 0, True), (3, 0, False)}  # the pixel on the border is mixed
    assert labels.groupby("label")["parcel"].unique().map(list).to_dict() == {True: [0], False: [1]}
    assert (labels["lon"] - 39).abs().max() < 0.001 and (labels["lat"] - 9.046).abs().max() < 0.001


def test_ground_that_polygons_disagree_about_is_unlabelled_and_agreed_ground_counts_once(tmp_path: Path) -> None:
    crop, again, grass = box(0, 0, 30, 10), box(0, 0, 10, 10), box(20, 0, 50, 10)
    file = write_polygons(tmp_path / "fields.gpkg", ("crop", crop), ("crop", again), ("grass", grass))
    labels = read_labels(file, FIELDS, "kind").table
    assert places(labels) == {(0, 0, True), (1, 0, True), (3, 0, False), (4, 0, False)}
    assert len(labels) == 4


def test_other_classes_holes_and_parts_of_polygons_are_what_they_are(tmp_path: Path) -> None:
    ring, parts = box(0, 0, 30, 30) - box(10, 10, 20, 20), box(50, 0, 60, 10) | box(80, 0, 90, 10)
    file = write_polygons(tmp_path / "fields.gpkg", ("crop", ring), ("grass", parts), ("road", box(100, 0, 200, 10)))
    labels = read_labels(file, FIELDS, "kind").table
    assert labels["label"].sum() == 8 and (1, 1, True) not in places(labels)
    assert {place for place in places(labels) if not place[2]} == {(5, 0, False), (8, 0, False)}
    assert labels.loc[~labels["label"], "parcel"].nunique() == 1


def test_polygons_and_points_label_cells_of_a_coarser_product(tmp_path: Path) -> None:
    day = date(2023, 11, 14)
    fields = write_polygons(tmp_path / "fields.gpkg", ("crop", box(0, 0, 250, 100)), ("grass", box(300, 0, 400, 100)))
    cells = read_cell_labels(fields, FIELDS, day, 100, "kind")
    assert cells.pixel_m == 100 and len(cells) == 3 and cells.table["label"].sum() == 2
    points = write_polygons(
        tmp_path / "points.gpkg", ("crop", Point(20, 20)), ("crop", Point(80, 80)), ("grass", Point(120, 1))
    )
    table = read_cell_labels(points, FIELDS, day, 100, "kind").table
    assert table[["column", "row", "label"]].to_numpy().tolist() == [[5000, 10000, True], [5001, 10000, False]]


@pytest.mark.filterwarnings("ignore:'crs' was not provided")
def test_a_polygon_across_a_meridian_is_labelled_in_both_zones_and_nowhere_twice(tmp_path: Path) -> None:
    field, other = box(35.999, 9.0, 36.001, 9.001), box(36.01, 9.0, 36.012, 9.001)
    file = write_polygons(tmp_path / "fields.gpkg", ("crop", field), ("grass", other), epsg=None)
    gpd.read_file(file).set_crs(4326).to_file(tmp_path / "fields.geojson")
    labels = read_labels(tmp_path / "fields.geojson", FIELDS, "kind").table
    crop = labels[labels["label"]]
    assert set(crop["zone"]) == {"32636", "32637"} and crop["parcel"].nunique() == 1
    assert (crop["lon"][crop["zone"] == "32636"] < 36).all() and (crop["lon"][crop["zone"] == "32637"] > 36).all()


def test_large_polygons_are_searched_strip_by_strip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = write_polygons(tmp_path / "fields.gpkg", ("crop", box(3, 3, 197, 297)), ("grass", box(200, 0, 210, 10)))
    whole = read_labels(file, FIELDS, "kind").table
    monkeypatch.setattr("stook.transforms.ground.polygons.PIXELS_AT_ONCE", 50)
    assert read_labels(file, FIELDS, "kind").table.equals(whole)
    assert whole["label"].sum() == 18 * 28


CROP, GRASS = ("crop", box(0, 0, 30, 30)), ("grass", box(50, 0, 80, 30))


@pytest.mark.parametrize(
    ("found", "field", "told"),
    [
        ([CROP, GRASS], None, "give the field of the class"),
        ([CROP, GRASS], "class", "has no field class; there are kind$"),
        ([CROP], "kind", "holds none of the negative classes grass"),
        ([("crop", LineString([(0, 0), (30, 30)])), GRASS], "kind", "holds LineString, Polygon; allowed are points or"),
        ([("crop", LineString([(0, 0), (30, 30)]))], "kind", "holds LineString; allowed are points or polygons"),
        ([("crop", Point(0, 0)), GRASS], "kind", "holds Point, Polygon; allowed are points or polygons, not both"),
        ([], "kind", "holds no points or polygons"),
        (
            [CROP, ("grass", box(51, 1, 69, 9))],
            "kind",
            "no whole pixel of 10 m lies in a polygon of the negative classes",
        ),
    ],
    ids=["no field named", "field missing", "one class", "lines too", "lines", "points too", "empty", "too small"],
)
def test_unusable_polygons_are_refused(
    tmp_path: Path, found: list[tuple[str, BaseGeometry]], field: str | None, told: str
) -> None:
    file = write_polygons(tmp_path / "fields.gpkg", *found)
    with pytest.raises(InputError, match=rf"fields\.gpkg: {told}"):
        read_labels(file, FIELDS, field)


@pytest.mark.filterwarnings("ignore:'crs' was not provided")
def test_polygons_without_a_crs_are_refused(tmp_path: Path) -> None:
    file = write_polygons(tmp_path / "fields.gpkg", CROP, GRASS, epsg=None)
    with pytest.raises(InputError, match=r"fields\.gpkg: no coordinate reference system"):
        read_labels(file, FIELDS, "kind")


def test_polygons_whose_crs_is_a_lie_are_refused(tmp_path: Path) -> None:
    file = write_polygons(tmp_path / "fields.gpkg", CROP, GRASS)
    gpd.read_file(file).set_crs(4326, allow_override=True).to_file(tmp_path / "lie.gpkg")
    with pytest.raises(InputError, match=r"lie\.gpkg: 2 polygons lie nowhere; allowed are lon -180…180"):
        read_labels(tmp_path / "lie.gpkg", FIELDS, "kind")
