"""Labels per cell and day, from rasters, points, polygons and tables."""

from collections.abc import Sequence
from datetime import date
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import rasterio
import shapely
from affine import Affine

from stook.models.errors import InputError
from stook.transforms.ground.geodesy import to_lonlat
from stook.transforms.labelled.label_files import read_cell_labels
from stook.transforms.labelled.labels import Classes

CLASSES = Classes((1,), (0,))
EPSG = 32637
LEFT, TOP = 500_000, 1_500_000
DAY = date(2023, 11, 14)


def raster(folder: Path, values: np.ndarray, pixel_m: float) -> Path:
    path = folder / "piles.tif"
    transform = Affine(pixel_m, 0, LEFT, 0, -pixel_m, TOP)
    height, width = values.shape
    profile = {"driver": "GTiff", "height": height, "width": width, "count": 1, "dtype": "uint8", "nodata": 255}
    with rasterio.open(path, "w", **profile, crs=f"EPSG:{EPSG}", transform=transform) as file:
        file.write(values.astype(np.uint8), 1)
    return path


def points(rows: Sequence[tuple[float, float, int, str]]) -> pd.DataFrame:
    """Metres east and south of the corner, class and day."""
    east, south, kind, day = zip(*rows, strict=True)
    lon, lat = to_lonlat(f"EPSG:{EPSG}").transform(LEFT + np.array(east), TOP - np.array(south))
    return pd.DataFrame({"lon": lon, "lat": lat, "kind": kind, "seen": day})


def test_a_raster_of_cells_of_one_day_keeps_its_cells(tmp_path: Path) -> None:
    labels = read_cell_labels(raster(tmp_path, np.array([[1, 0, 255], [0, 0, 0]]), 250), CLASSES, DAY, 250, None)
    table = labels.table
    assert labels.pixel_m == 250 and len(table) == 5
    assert set(table["day"]) == {DAY} and set(table["zone"]) == {str(EPSG)}
    one = table[table["label"]].iloc[0]
    assert (one["column"], one["row"]) == (LEFT // 250, TOP // 250 - 1)
    lon, lat = to_lonlat(f"EPSG:{EPSG}").transform(LEFT + 125, TOP - 125)
    assert (one["lon"], one["lat"]) == pytest.approx((lon, lat))


def test_finer_label_pixels_must_agree_within_a_cell(tmp_path: Path) -> None:
    values = np.zeros((2, 4))
    values[:, :2] = 1
    values[0, 3] = 1
    table = read_cell_labels(raster(tmp_path, values, 125), CLASSES, DAY, 250, None).table
    assert table[["column", "label"]].to_numpy().tolist() == [[LEFT // 250, True]]


def test_a_cell_has_a_label_for_each_day_and_points_that_disagree_leave_it_without(tmp_path: Path) -> None:
    rows = [(10, 10, 1, "2023-11-14"), (20, 20, 1, "2023-11-14"), (10, 10, 0, "2023-12-03"),
            (260, 10, 1, "2023-11-14"), (270, 10, 0, "2023-11-14"), (260, 10, 0, "2023-12-03")]  # fmt: skip
    path = tmp_path / "points.csv"
    points(rows).to_csv(path, index=False)
    table = read_cell_labels(path, CLASSES, "seen", 250, "kind").table
    columns = table["column"] - LEFT // 250
    found = list(zip(columns, table["day"].astype(str), table["label"], strict=True))
    assert found == [(0, "2023-11-14", True), (0, "2023-12-03", False), (1, "2023-12-03", False)]
    assert table["parcel"].tolist() == [0, 0, 1]


def test_points_and_polygons_of_vector_files_label_cells(tmp_path: Path) -> None:
    table = points([(10, 10, 1, "2023-11-14"), (600, 600, 0, "2023-11-15")])
    places = gpd.GeoDataFrame(table, geometry=gpd.points_from_xy(table["lon"], table["lat"]), crs=4326)
    places.to_file(tmp_path / "points.gpkg")
    found = read_cell_labels(tmp_path / "points.gpkg", CLASSES, "seen", 250, "kind").table
    assert sorted(map(str, found["day"])) == ["2023-11-14", "2023-11-15"]
    boxes = [shapely.box(LEFT - 5, TOP - 505, LEFT + 255, TOP + 5), shapely.box(LEFT + 500, TOP - 740, LEFT + 745, TOP)]
    squares = gpd.GeoDataFrame({"kind": [1, 0], "seen": ["2023-11-14"] * 2}, geometry=boxes, crs=EPSG)
    squares.to_file(tmp_path / "squares.gpkg")
    found = read_cell_labels(tmp_path / "squares.gpkg", CLASSES, "seen", 250, "kind").table
    assert found["label"].tolist() == [True, True]  # the other polygon holds no cell whole
    assert found["row"].tolist() == [TOP // 250 - 2, TOP // 250 - 1]


@pytest.mark.parametrize(
    ("day", "reason"),
    [
        ("seen", "seen is '14 November'; allowed are days such as 2023-11-14"),
        ("day", "has no field day; there are lon, lat, kind, seen"),
    ],
)
def test_a_day_that_is_none_is_refused(day: str, reason: str, tmp_path: Path) -> None:
    points([(10, 10, 1, "14 November")]).to_csv(tmp_path / "points.csv", index=False)
    with pytest.raises(InputError, match=reason):
        read_cell_labels(tmp_path / "points.csv", CLASSES, day, 250, "kind")


def test_a_raster_has_one_day(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="date is 'seen'; a raster shows one day, such as 2023-11-14"):
        read_cell_labels(raster(tmp_path, np.ones((1, 1)), 250), CLASSES, "seen", 250, None)


def test_a_file_without_any_class_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds none of the classes 1, 0"):
        read_cell_labels(raster(tmp_path, np.full((1, 1), 7), 250), CLASSES, DAY, 250, None)
