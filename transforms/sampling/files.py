"""A sample's folder: written whole or not at all, with what interpreters may know apart from what they may not.

Collect Earth Online reads plots from a CSV whose first columns are LON, LAT and PLOTID, the last in whole numbers (its
documentation, "Plot & Sample Design: CSV & SHP files"), or from polygons with a field PLOTID. The other files name the
number of a point the same.
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pyogrio
import shapely
from shapely.geometry.base import BaseGeometry

from stook.transforms.ground.antimeridian import within_one_turn
from stook.transforms.ground.geodesy import project, to_lonlat
from stook.transforms.ground.grid import Zone
from stook.transforms.ground.polygons import LONLAT, squares
from stook.transforms.sampling.sample import DESIGN, DESIGNS, KEY, SAMPLES, Sample, SampleDesign
from stook.transforms.store import Address, appearing, read_whole, write_json, writing

POINTS_CSV, POINTS_GEOJSON, POINTS_GPKG = "points.csv", "points.geojson", "points.gpkg"
INTERPRETERS_FILES = (POINTS_CSV, POINTS_GEOJSON, POINTS_GPKG)


def sample_folder(season: Address, sample: str) -> Address:
    """Where a sample of a season is, or would be."""
    return season / SAMPLES / sample


def write_sample(season: Address, sample: Sample) -> Address:
    """Write a sample and the files for its interpreters; returns its folder, which appears whole.

    If another process wrote the same sample meanwhile, that one stays. What a killed one left is removed, or written
    over in a bucket.

    Raises:
        UnreachableError: If the store does not take it.
    """
    folder = sample_folder(season, sample.drawn.id)
    if read_whole(folder, DESIGN) is not None:
        return folder
    with writing(folder.parent), appearing(folder, DESIGN) as made:
        sample.points.to_parquet(made / KEY, index=False)
        write_points(made, sample.points, sample.drawn)
        drawn = replace(sample.drawn, key_sha256=hashlib.sha256((made / KEY).read_bytes()).hexdigest())
        write_json(made / DESIGN, DESIGNS.dump_python(drawn, mode="json"))
    return folder


def write_points(folder: Path, points: pd.DataFrame, design: SampleDesign) -> None:
    """Write what interpreters get: where each point is, its number, and the cell that it lies in. Nothing else."""
    numbers = points["point"].to_numpy()
    shown = pd.DataFrame({"LON": points["lon"], "LAT": points["lat"], "PLOTID": numbers})
    shown.to_csv(folder / POINTS_CSV, index=False, float_format="%.7f", lineterminator="\n")
    at = gpd.GeoDataFrame({"PLOTID": numbers}, geometry=gpd.points_from_xy(shown["LON"], shown["LAT"]), crs=LONLAT)
    at.to_file(folder / POINTS_GEOJSON, driver="GeoJSON", COORDINATE_PRECISION=7, RFC7946="YES")
    cells = gpd.GeoDataFrame({"PLOTID": numbers}, geometry=cells_of(points, design.cell_m), crs=LONLAT)
    with _dated(design.drawn):
        at.to_file(folder / POINTS_GPKG, layer="points", driver="GPKG")
        cells.to_file(folder / POINTS_GPKG, layer="cells", driver="GPKG", mode="a")


def cells_of(points: pd.DataFrame, cell_m: float) -> np.ndarray:
    """The square of the map in which each point lies, polygons [point] in degrees.

    Args:
        points: With ``lon`` and ``lat``.
        cell_m: Side of a cell; cells are counted from the origin of the point's UTM zone.
    """
    zones = [Zone.at(lon, lat) for lon, lat in zip(points["lon"], points["lat"], strict=True)]
    found = np.empty(len(points), dtype=object)
    for zone in sorted(set(zones)):
        here = np.array([zone == other for other in zones])
        places = shapely.MultiPoint(points.loc[here, ["lon", "lat"]].to_numpy())
        column, row = np.floor(shapely.get_coordinates(project(places, zone)) / cell_m).T
        found[here] = [_in_degrees(square, zone) for square in squares(column, row, cell_m)]
    return found


def _in_degrees(square: BaseGeometry, zone: Zone) -> BaseGeometry:
    transformer = to_lonlat(f"EPSG:{zone.epsg}")
    return within_one_turn(shapely.transform(square, lambda xy: np.column_stack(transformer.transform(*xy.T))))


@contextmanager
def _dated(moment: str) -> Iterator[None]:
    """Have GDAL write a moment (UTC, ISO 8601) as the time of change, so that the same content gives the same bytes."""
    pyogrio.set_gdal_config_options({"OGR_CURRENT_DATE": f"{moment[:19]}.000Z"})
    try:
        yield
    finally:
        pyogrio.set_gdal_config_options({"OGR_CURRENT_DATE": None})
