"""Footprints of buildings as labels: the exact fraction of each cell that they cover."""

from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pyogrio.errors
import shapely
from pyproj import Transformer
from shapely.geometry.base import BaseGeometry

from models.errors import InputError
from transforms.grid import Zone
from transforms.labels import LabelledPixels

LONLAT = "EPSG:4326"


def read_footprints(file: Path, area: Path, cell_m: float) -> LabelledPixels:
    """Covered fraction of the cells of a surveyed area.

    Where footprints overlap, ground counts once. Cells that the area holds only in part have no label: beyond it nobody
    has looked, and no footprint there would mean nothing.

    Args:
        file: Vector file of footprints, polygons in any CRS.
        area: Vector file of the ground in which every building has a footprint, polygons in any CRS.
        cell_m: Side of a cell; cells are counted from easting and northing 0 of each UTM zone.

    Returns:
        A row per cell, ``label`` float32 0…1, every cell a parcel of its own.

    Raises:
        InputError: If a file cannot be read or holds no polygons, or no cell lies wholly within the area.
    """
    surveyed = shapely.union_all(_polygons(area))
    footprints = shapely.union_all(_polygons(file))
    parts = [part for zone in _zones(surveyed) if len(part := _cells(zone, surveyed, footprints, cell_m))]
    if not parts:
        raise InputError(f"{area}: no cell of {cell_m:g} m lies wholly within the area")
    table = pd.concat(parts, ignore_index=True)
    return LabelledPixels(table.assign(parcel=np.arange(len(table))), cell_m)


def _polygons(file: Path) -> np.ndarray:
    try:
        table = gpd.read_file(file)
    except (OSError, ValueError, pyogrio.errors.DataSourceError) as error:
        raise InputError(f"{file}: cannot be read as polygons ({error})") from error
    if getattr(table, "crs", None) is None:  # a table without geometry has no such thing
        raise InputError(f"{file}: has no CRS")
    geometries = shapely.make_valid(table.geometry.to_crs(LONLAT).to_numpy())
    polygons = geometries[shapely.area(geometries) > 0]
    if not len(polygons):
        raise InputError(f"{file}: holds no polygons")
    return polygons


def _zones(surveyed: BaseGeometry) -> list[Zone]:
    """The UTM zones that a geometry in degrees touches."""
    west, south, east, north = surveyed.bounds
    numbers = range(Zone.at(west, 0).number, Zone.at(east, 0).number + 1)
    halves = [half for half, there in ((False, north > 0), (True, south < 0)) if there]
    return [Zone(number, half) for number in numbers for half in halves]


def _cells(zone: Zone, surveyed: BaseGeometry, footprints: BaseGeometry, cell_m: float) -> pd.DataFrame:
    """The labelled cells of a zone."""
    to_zone = Transformer.from_crs(LONLAT, zone.epsg, always_xy=True)
    ground = _projected(surveyed & zone.polygon, to_zone)
    if ground.is_empty:
        return pd.DataFrame()
    west, south, east, north = (edge / cell_m for edge in ground.bounds)
    lattice = np.meshgrid(np.arange(np.floor(west), np.ceil(east)), np.arange(np.floor(south), np.ceil(north)))
    columns, rows = (axis.ravel().astype(np.int64) for axis in lattice)
    boxes = shapely.box(columns * cell_m, rows * cell_m, (columns + 1) * cell_m, (rows + 1) * cell_m)
    shapely.prepare(ground)
    within = shapely.contains(ground, boxes)
    columns, rows, boxes = columns[within], rows[within], boxes[within]
    covered = np.zeros(len(boxes))
    polygons = shapely.get_parts(_projected(footprints & zone.polygon, to_zone))
    polygon, box = shapely.STRtree(boxes).query(polygons, predicate="intersects")
    np.add.at(covered, box, shapely.area(shapely.intersection(polygons[polygon], boxes[box])))
    lon, lat = to_zone.transform((columns + 0.5) * cell_m, (rows + 0.5) * cell_m, direction="INVERSE")
    fraction = np.clip(covered / cell_m**2, 0, 1).astype(np.float32)
    return pd.DataFrame({"zone": zone.name, "column": columns, "row": rows, "label": fraction, "lon": lon, "lat": lat})


def _projected(geometry: BaseGeometry, to_zone: Transformer) -> BaseGeometry:
    """A geometry in degrees, in metres of a zone."""
    return shapely.transform(geometry, lambda xy: np.column_stack(to_zone.transform(xy[:, 0], xy[:, 1])))
