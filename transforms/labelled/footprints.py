"""Footprints of buildings as labels: the exact fraction of each cell that they cover."""

from pathlib import Path

import numpy as np
import pandas as pd
import shapely
from shapely.geometry.base import BaseGeometry

from stook.models.errors import InputError
from stook.transforms.ground.geodesy import project, to_lonlat
from stook.transforms.ground.grid import Zone
from stook.transforms.ground.polygons import polygons_of, read_vector, squares, whole_pixels, zones_of
from stook.transforms.labelled.labels import LabelledPixels


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
    surveyed, footprints = read_ground(area), read_ground(file)
    parts = [part for zone in zones_of(surveyed) if len(part := _cells(zone, surveyed, footprints, cell_m))]
    if not parts:
        raise InputError(f"{area}: no cell of {cell_m:g} m lies wholly within the area")
    table = pd.concat(parts, ignore_index=True)
    return LabelledPixels(table.assign(parcel=np.arange(len(table))), cell_m)


def read_ground(file: Path) -> BaseGeometry:
    """The ground under the polygons of a file, in degrees, counted once; raises InputError if there are none."""
    return shapely.union_all(polygons_of(read_vector(file, "polygons"), file).geometry.to_numpy())


def covered_shares(boxes: np.ndarray, footprints: BaseGeometry) -> np.ndarray:
    """The exact share float64 [box], 0…1, of each box (shapely polygons [box]) that footprints cover, in one CRS."""
    covered = np.zeros(len(boxes))
    polygons = shapely.get_parts(footprints)
    polygon, box = shapely.STRtree(boxes).query(polygons, predicate="intersects")
    np.add.at(covered, box, shapely.area(shapely.intersection(polygons[polygon], boxes[box])))
    return np.clip(covered / shapely.area(boxes), 0, 1)


def _cells(zone: Zone, surveyed: BaseGeometry, footprints: BaseGeometry, cell_m: float) -> pd.DataFrame:
    """The labelled cells of a zone."""
    columns, rows = whole_pixels(surveyed, zone, cell_m)
    boxes = squares(columns, rows, cell_m)
    covered = covered_shares(boxes, project(footprints & zone.polygon, zone)).astype(np.float32)
    lon, lat = to_lonlat(f"EPSG:{zone.epsg}").transform((columns + 0.5) * cell_m, (rows + 0.5) * cell_m)
    return pd.DataFrame({"zone": zone.name, "column": columns, "row": rows, "label": covered, "lon": lon, "lat": lat})
