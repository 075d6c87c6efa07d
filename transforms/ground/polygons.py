"""Vector files as labels need them: in degrees, their polygons valid; and the pixels that polygons hold whole."""

from pathlib import Path

import geopandas as gpd
import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

from stook.models.errors import InputError
from stook.transforms.ground.antimeridian import within_one_turn
from stook.transforms.ground.geodesy import project, with_straight_edges
from stook.transforms.ground.grid import Zone
from stook.transforms.ground.vector import UNREADABLE, in_lonlat, read_table
from stook.transforms.store import Address

LONLAT = "EPSG:4326"
TOLERANCE_M = 0.001  # an edge that was drawn on the grid still is after a way through degrees
PIXELS_AT_ONCE = 200_000  # some 100 MB of squares, however large the polygon


def read_vector(file: Path, kind: str) -> gpd.GeoDataFrame:
    """The features of a vector file that have a geometry, in degrees, numbered from 0.

    Args:
        file: In any CRS.
        kind: What it should hold, in words: ``polygons``.

    Raises:
        InputError: If the file cannot be read, has no CRS or is empty.
    """
    table = read_features(file, kind)
    there = table[~without_geometry(table)].reset_index(drop=True)
    if not len(there):
        raise InputError(f"{file}: holds no {kind}")
    return there


def without_geometry(table: gpd.GeoDataFrame) -> np.ndarray:
    """Which features have none, or an empty one: bool [feature]."""
    return np.asarray(table.geometry.isna() | table.geometry.is_empty)


def read_features(file: Address, kind: str, copy: Path | None = None) -> gpd.GeoDataFrame:
    """All features of a vector file, those without a geometry too; see ``read_vector``.

    Args:
        file: The file, as it is named to users.
        kind: What it should hold, in words.
        copy: On this machine, of a file that is not.
    """
    table = read_table(str(file), copy=copy)
    if not len(table):
        raise InputError(f"{file}: holds no {kind}")
    return table.set_geometry(in_lonlat(str(file), table.geometry))


def polygons_of(table: gpd.GeoDataFrame, file: Path) -> gpd.GeoDataFrame:
    """The features of ``read_vector`` that have an area, made valid.

    Raises:
        InputError: If there are none, or one lies nowhere on the Earth.
    """
    nowhere = ~(np.abs(shapely.bounds(table.geometry.to_numpy())) <= (360, 90, 360, 90)).all(axis=1)
    if nowhere.any():
        raise InputError(
            f"{file}: {nowhere.sum()} polygons lie nowhere; allowed are lon -180…180 or 0…360, lat -90…90; is the CRS "
            "right?"
        )
    repaired = []
    for number, geometry in enumerate(table.geometry, 1):
        try:
            repaired.append(shapely.make_valid(within_one_turn(geometry) if geometry.area else geometry))
        except UNREADABLE as error:
            raise InputError(f"{file}: polygon {number}: {error}") from error
    valid = table.set_geometry(repaired, crs=table.crs)
    found = valid[shapely.area(valid.geometry.to_numpy()) > 0]
    if not len(found):
        raise InputError(f"{file}: holds no polygons")
    return found


def zones_of(geometry: BaseGeometry) -> list[Zone]:
    """The UTM zones that a geometry in degrees touches."""
    west, south, east, north = geometry.bounds
    numbers = range(Zone.at(west, 0).number, Zone.at(east, 0).number + 1)
    halves = [half for half, there in ((False, north > 0), (True, south < 0)) if there]
    return [Zone(number, half) for number in numbers for half in halves]


def whole_pixels(ground: BaseGeometry, zone: Zone, pixel_m: float) -> tuple[np.ndarray, np.ndarray]:
    """The pixels of a zone's grid that lie wholly within ground.

    Args:
        ground: Polygons in degrees; what lies in other zones is left out.
        zone: The zone.
        pixel_m: Side of a pixel; they are counted from easting and northing 0.

    Returns:
        Columns and rows int64 [pixel], the rows northwards.
    """
    within = project(with_straight_edges(ground & zone.polygon), zone)
    found = [np.empty((2, 0), np.int64)]
    if not within.is_empty:
        shapely.prepare(within)
        west, south, east, north = (edge / pixel_m for edge in within.bounds)
        across = np.arange(np.floor(west), np.ceil(east), dtype=np.int64)
        at_once = max(1, PIXELS_AT_ONCE // len(across))
        for bottom in range(int(np.floor(south)), int(np.ceil(north)), at_once):
            strip = np.arange(bottom, min(bottom + at_once, int(np.ceil(north))))
            columns, rows = (axis.ravel() for axis in np.meshgrid(across, strip))
            whole = np.asarray(shapely.contains(within, squares(columns, rows, pixel_m, TOLERANCE_M)))
            found.append(np.stack([columns[whole], rows[whole]]))
    return tuple(np.concatenate(found, axis=1))


def squares(columns: np.ndarray, rows: np.ndarray, pixel_m: float, within_m: float = 0.0) -> np.ndarray:
    """The pixels as polygons [pixel] in metres of their zone, each edge moved inwards by ``within_m``."""
    left, bottom = columns * pixel_m, rows * pixel_m
    side = pixel_m - within_m
    return shapely.box(left + within_m, bottom + within_m, left + side, bottom + side)
