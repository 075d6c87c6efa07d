"""Polygons hold pixels whole, or they do not hold them."""

from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from stook.models.errors import InputError
from stook.transforms.ground.geodesy import to_lonlat
from stook.transforms.ground.grid import Zone
from stook.transforms.ground.polygons import polygons_of, read_vector, squares, whole_pixels, zones_of

ZONE = Zone(37)
LEFT, BOTTOM = 500_000, 1_000_000
METRES = st.floats(-60, 60, allow_nan=False)


def in_degrees(polygon: shapely.Polygon) -> shapely.Polygon:
    """A polygon in metres from the corner of the tests."""
    to_degrees = to_lonlat(f"EPSG:{ZONE.epsg}")
    return shapely.transform(
        polygon, lambda xy: np.column_stack(to_degrees.transform(LEFT + xy[:, 0], BOTTOM + xy[:, 1]))
    )


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(METRES, METRES), min_size=3, max_size=8), st.sampled_from([5.0, 10.0, 20.0]))
def test_exactly_the_pixels_within_are_found(corners: list[tuple[float, float]], pixel_m: float) -> None:
    polygon = shapely.MultiPoint(corners).convex_hull.buffer(1)
    columns, rows = whole_pixels(in_degrees(polygon), ZONE, pixel_m)
    found = squares(columns, rows, pixel_m)
    there = shapely.transform(polygon, lambda xy: xy + (LEFT, BOTTOM))
    assert len({*zip(columns.tolist(), rows.tolist(), strict=True)}) == len(columns)
    assert shapely.within(found, there.buffer(0.01)).all()
    across = np.arange(-70 // pixel_m, 70 // pixel_m + 1)
    every = squares(
        *(axis.ravel() for axis in np.meshgrid(LEFT / pixel_m + across, BOTTOM / pixel_m + across)), pixel_m
    )
    assert shapely.within(every, there.buffer(-0.01)).sum() <= len(found)


def test_a_polygon_on_the_grid_holds_the_pixels_on_its_edge() -> None:
    columns, rows = whole_pixels(in_degrees(shapely.box(0, 0, 30, 20)), ZONE, 10)
    assert (len(columns), columns.min(), rows.max()) == (6, LEFT // 10, BOTTOM // 10 + 1)


def test_ground_of_another_zone_has_no_pixels_here() -> None:
    columns, rows = whole_pixels(in_degrees(shapely.box(0, 0, 30, 20)), Zone(36), 10)
    assert len(columns) == len(rows) == 0


def test_a_geometry_touches_the_zones_of_its_corners_and_both_hemispheres() -> None:
    assert zones_of(shapely.box(35.9, 1, 36.1, 2)) == [Zone(36), Zone(37)]
    assert zones_of(shapely.box(37, -1, 38, 1)) == [Zone(37), Zone(37, south=True)]


def test_features_without_a_geometry_or_an_area_are_left_out(tmp_path: Path) -> None:
    bow = shapely.Polygon([(39, 9), (39.001, 9.001), (39.001, 9), (39, 9.001)])
    shapes = [None, shapely.Polygon(), shapely.Point(39, 9), bow]
    gpd.GeoDataFrame({"kind": [1, 2, 3, 4]}, geometry=shapes, crs=4326).to_file(tmp_path / "mixed.geojson")
    vectors = read_vector(tmp_path / "mixed.geojson", "polygons")
    assert vectors["kind"].tolist() == [3, 4]
    polygons = polygons_of(vectors, tmp_path / "mixed.geojson")
    assert polygons["kind"].tolist() == [4] and polygons.geometry.is_valid.all()


def test_a_table_without_geometry_is_refused(tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_text("kind\n1\n")
    with pytest.raises(InputError, match="table.csv: a table without geometries"):
        read_vector(tmp_path / "table.csv", "polygons")
