"""The units of a region and the vector files they are read from."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from shapely.geometry.base import BaseGeometry

from stook.models.errors import InputError
from stook.transforms.ground.antimeridian import within_one_turn
from stook.transforms.ground.geodesy import area_m2
from stook.transforms.ground.grid import NORTHERNMOST, SOUTHERNMOST
from stook.transforms.ground.vector import UNREADABLE, in_lonlat, read_table, texts

LARGEST_REPAIR = 0.01  # of the area, by repairing rings: small loops of a digitiser's hand, not another polygon
M2_PER_HA = 10_000
LARGEST_OVERLAP = 1e-4  # of the smaller unit; neighbours digitised apart overlap by slivers far below
POLYGON, MULTIPOLYGON = 3, 6  # shapely's type ids


@dataclass(frozen=True)
class Unit:
    """An area for which figures are published.

    Attributes:
        id: Unique in the region.
        name: For people; the id where the file has no name.
        parents: Ids of the larger areas that hold it, nearest first: district → region → country. One slot per level,
            None where the unit has no parent of that level.
        geometry: Valid polygon or multipolygon, longitude and latitude in degrees (EPSG:4326).
    """

    id: str
    name: str
    parents: tuple[str | None, ...]
    geometry: BaseGeometry


def read_units(
    path: str | Path,
    id_field: str,
    parent_fields: tuple[str, ...] = (),
    name_field: str | None = None,
    layer: str | None = None,
) -> tuple[Unit, ...]:
    """The units that a vector file describes, one a row, in the file's order.

    Coordinates are brought to EPSG:4326 from any CRS, heights are dropped and invalid polygons repaired. Rows may have
    no parent or no name.

    Args:
        path: GeoPackage, GeoJSON, Shapefile or whatever else GDAL reads; GeoParquet by ``.parquet``, ``.geoparquet``.
        id_field: Field of the units' ids, text or whole numbers.
        parent_fields: Fields of the parents' ids, from the nearest parent to the farthest.
        name_field: Field of the units' names.
        layer: Layer to read; needed where a file has several.

    Raises:
        InputError: when the file cannot be read, lacks a field, a row or a CRS, has ids that are missing, repeated or
            also a parent's, has a nearer parent under several farther ones, has units that overlap, or has anything but
            polygons inside 180° W … 180° E and 80° S … 84° N.
    """
    wanted = [id_field, *parent_fields, *([name_field] if name_field else [])]
    table = read_table(path, wanted, layer)
    if table.empty:
        raise InputError(f"{path}: no rows; a region has at least one unit")
    ids = _ids(path, id_field, table[id_field])
    geometries = in_degrees(path, ids, table.geometry)
    names = texts(path, name_field, table[name_field]) if name_field else ids
    columns = [texts(path, name, table[name]) for name in parent_fields]
    for name, column in zip(parent_fields, columns, strict=True):
        for clash in sorted(set(ids) & {parent for parent in column if parent}):
            raise InputError(f"{path}: field {name!r}: {clash!r} is also the id of a unit; the ids have to differ")
    _refuse_split_parents(path, dict(zip(parent_fields, columns, strict=True)))
    refuse_overlaps(path, id_field, ids, geometries)
    parents = list(zip(*columns, strict=True)) or [()] * len(ids)
    return tuple(
        Unit(id_, name or id_, above, geometry)
        for id_, name, above, geometry in zip(ids, names, parents, geometries, strict=True)
    )


def polygonal(geometry: BaseGeometry) -> BaseGeometry:
    """The polygons of a geometry, without the points and lines that repairing or intersecting may leave beside them."""
    if shapely.get_type_id(geometry) in (POLYGON, MULTIPOLYGON):
        return geometry
    parts = shapely.get_parts(shapely.get_parts(geometry))
    return shapely.MultiPolygon(parts[shapely.get_type_id(parts) == POLYGON].tolist())


def in_degrees(
    path: str | Path, ids: Sequence[str], geometries: gpd.GeoSeries, kind: str = "unit"
) -> list[BaseGeometry]:
    """Polygons of a file in EPSG:4326, flat, valid and polygonal; ``kind`` is what they are called.

    Raises:
        InputError: For a file without a CRS, for what is no polygon with an area, or lies outside UTM.
    """
    if geometries.crs is None:
        raise InputError(f"{path}: no coordinate reference system; save the file with the one its coordinates are in")
    for id_, geometry in zip(ids, geometries, strict=True):
        if geometry is None or geometry.is_empty or shapely.get_type_id(geometry) not in (POLYGON, MULTIPOLYGON):
            found = "nothing" if geometry is None or geometry.is_empty else geometry.geom_type
            raise InputError(f"{path}: {kind} {id_!r} is {found}; {kind}s are polygons or multipolygons")
    flat = gpd.GeoSeries(shapely.force_2d(geometries.to_numpy()), crs=geometries.crs)
    for id_, geometry in zip(ids, flat, strict=True):
        if not np.isfinite(geometry.bounds).all():
            raise InputError(f"{path}: {kind} {id_!r} has a coordinate that is no number")
    repaired = []
    for id_, geometry in zip(ids, in_lonlat(path, flat), strict=True):
        west, south, east, north = geometry.bounds
        if not (west >= -360 and east <= 360 and south >= SOUTHERNMOST and north <= NORTHERNMOST):
            raise InputError(
                f"{path}: {kind} {id_!r} reaches from {west:g}, {south:g} to {east:g}, {north:g} (longitude, latitude);"
                f" allowed are -180 to 180 (or 0 to 360) and {SOUTHERNMOST:g} to {NORTHERNMOST:g}, the range of UTM"
            )
        try:
            cut = within_one_turn(geometry)
            valid = polygonal(shapely.make_valid(cut, method="structure", keep_collapsed=False))
        except UNREADABLE as error:
            raise InputError(f"{path}: {kind} {id_!r}: {error}") from error
        if valid.area == 0:
            raise InputError(f"{path}: {kind} {id_!r} encloses nothing; {kind}s are polygons with an area")
        if not shapely.is_valid(cut):
            written, mended = area_m2(cut) / M2_PER_HA, area_m2(valid) / M2_PER_HA
            if abs(mended - written) > LARGEST_REPAIR * mended:
                raise InputError(
                    f"{path}: {kind} {id_!r}: its rings cross or overlap: {written:,.2f} ha as they are written, "
                    f"{mended:,.2f} ha once they are repaired; allowed are {LARGEST_REPAIR:.0%} of difference"
                )
        repaired.append(valid)
    return repaired


def refuse_overlaps(
    path: str | Path, field: str, ids: Sequence[str], geometries: Sequence[BaseGeometry], kind: str = "unit"
) -> None:
    """Refuse polygons that share ground, which would be counted for both; ``kind`` is what they are called.

    Raises:
        InputError: Names the two that overlap most.
    """
    shapes = np.array(geometries, dtype=object)
    pairs = shapely.STRtree(shapes).query(shapes, predicate="intersects")
    one, other = pairs[:, pairs[0] < pairs[1]]
    areas = shapely.area(shapes)
    shares = shapely.area(shapely.intersection(shapes[one], shapes[other])) / np.minimum(areas[one], areas[other])
    if shares.max(initial=0.0) > LARGEST_OVERLAP:
        worst = int(shares.argmax())
        raise InputError(
            f"{path}: field {field!r}: {kind}s {ids[one[worst]]!r} and {ids[other[worst]]!r} overlap by"
            f" {shares[worst]:.3%} of the smaller one; allowed is {LARGEST_OVERLAP:.2%}, or ground is counted twice"
        )


def _ids(path: str | Path, field: str, values: pd.Series) -> list[str]:
    ids = texts(path, field, values)
    if None in ids:
        raise InputError(f"{path}: field {field!r}: row {ids.index(None) + 1} is empty; every unit needs an id")
    counts = Counter(id_ for id_ in ids if id_)
    for repeated in (id_ for id_, count in counts.items() if count > 1):
        raise InputError(
            f"{path}: field {field!r}: {repeated!r} stands in {counts[repeated]} rows; each unit is one row with its"
            " own id"
        )
    return list(counts)


def _refuse_split_parents(path: str | Path, columns: dict[str, list[str | None]]) -> None:
    """Refuse a nearer parent's id that stands under several farther parents: its figures would be theirs together."""
    for (near_field, near_ids), (far_field, far_ids) in combinations(columns.items(), 2):
        above: dict[str, str] = {}
        for near, far in zip(near_ids, far_ids, strict=True):
            if near and far and above.setdefault(near, far) != far:
                raise InputError(
                    f"{path}: field {near_field!r}: {near!r} stands under both {above[near]!r} and {far!r} of field"
                    f" {far_field!r}; a parent's id is allowed under one only"
                )
