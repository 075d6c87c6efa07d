"""Layers of the user's that maps are cross-tabulated with: polygons with a field, or a raster of whole numbers."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import geopandas as gpd
import numpy as np
import rasterio
import shapely
from affine import Affine
from odc.geo.geobox import GeoBox
from rasterio.enums import MaskFlags, Resampling
from rasterio.errors import RasterioError
from rasterio.vrt import WarpedVRT
from rasterio.warp import transform_bounds
from shapely.geometry.base import BaseGeometry

from stook.models.errors import InputError
from stook.transforms.ground.areas import TileCoverage, UnitCoverage
from stook.transforms.ground.geodesy import latlon_at
from stook.transforms.ground.grid import Grid, Tile
from stook.transforms.ground.region import LEAST_AREA_M2, Part, Region
from stook.transforms.ground.unit import Unit, in_degrees, polygonal, refuse_overlaps
from stook.transforms.ground.vector import in_lonlat, read_table, require_place, texts
from stook.transforms.imagery.footprint import around, intersects

NONE = "(none)"  # ground of no polygon, beyond the raster, or its nodata
MOST_VALUES = 256  # of a raster: more are measurements, not classes, and would make a row each in every place
MOST_EXACT = 2.0**53  # what GDAL warps goes through floats
MOST_FIELDS = 2  # that a user names after a file: layer and field
SLIVER_M = 0.001  # width of what is no ground of its own
EXACTLY_PX = 1e-6  # of the raster's pixels, to which middles are placed; GDAL takes no 0

Piece = tuple[str, UnitCoverage]


class GroundLayer(Protocol):
    """Says what value each bit of ground has; all of it has one, ``NONE`` if no other."""

    @property
    def name(self) -> str:
        """As tables call it."""
        ...

    def pieces(self, ground: TileCoverage) -> Iterator[Iterable[Piece]]:
        """For each unit of a tile, in order, its ground by value; the pieces make up all of it and share nothing.

        The pieces of a unit are to be taken before the next unit's, one at a time: each may be as large as the tile.
        """
        ...


def read_layer(text: str, region: Region) -> GroundLayer:
    """The layer that a user names.

    Args:
        text: ``zones.gpkg:zone``, a file of polygons and the field with their value, ``FILE:LAYER:FIELD`` where the
            file has several layers; or a raster, ``mask.tif``.
        region: Of the maps.

    Raises:
        InputError: If there is no such file or field, or it is no layer of classes.
    """
    for fields in range(MOST_FIELDS + 1):
        path, *names = text.rsplit(":", fields)
        if Path(path).exists():  # a colon may also be of its name, or of a drive of Windows
            break
    else:
        raise InputError(f"--by {text}: no such file")
    if not names:
        return RasterLayer.read(Path(path), region)
    *layer, field = names
    return PolygonLayer.read(Path(path), field, region, *layer)


@dataclass(frozen=True)
class PolygonLayer:
    """Polygons with values, cut with the units exactly, in the geometry that units have.

    Attributes:
        name: File and field.
        region: The units.
        zones: All ground of each value, as units of its own, whose ids are the values.
    """

    name: str
    region: Region
    zones: Region

    @classmethod
    def read(cls, path: Path, field: str, region: Region, layer: str | None = None) -> "PolygonLayer":
        """The polygons of a file, those of one value together; rows far from the region are left out.

        Raises:
            InputError: If the file cannot be read, lacks the field, has polygons without a value or that overlap.
        """
        table = read_table(path, [field], layer)
        values = texts(path, field, table[field])
        named = [value for value in values if value is not None and value != NONE]
        if len(named) < len(values):
            row = next(row for row, value in enumerate(values, 1) if value is None or value == NONE)
            raise InputError(f"{path}: field {field!r}: row {row} has no value; every polygon needs one")
        near = _near(path, table, region)
        if not near.any():
            raise InputError(f"{path}: none of the {len(table)} polygons lies in the region")
        kept = np.array(named)[near].tolist()
        geometries = in_degrees(path, kept, table.geometry[near], "polygon")
        refuse_overlaps(path, field, kept, geometries, "polygon")
        together: dict[str, list[BaseGeometry]] = {}
        for value, geometry in zip(kept, geometries, strict=True):
            together.setdefault(value, []).append(geometry)
        units = (Unit(value, value, (), polygonal(shapely.union_all(parts))) for value, parts in together.items())
        return cls(f"{path.name}:{field}", region, Region(tuple(units)))

    def pieces(self, ground: TileCoverage) -> Iterator[Iterable[Piece]]:
        """See ``GroundLayer``; what neighbours overlap by, below what is refused, is the first one's."""
        zones = self.zones.pieces(ground.grid, ground.tile)
        for part in self.region.pieces(ground.grid, ground.tile):
            yield [
                (value, UnitCoverage.of(Part(part.unit, geometry, whole), ground.grid, ground.tile))
                for value, geometry, whole in _divided(part, zones)
            ]


def _near(path: Path, table: gpd.GeoDataFrame, region: Region) -> np.ndarray:
    """Which rows may have ground of the region, by their bounds: bool [row]; all where that cannot be told."""
    if table.crs is None:
        return np.ones(len(table), bool)
    west, south, east, north = in_lonlat(path, table.geometry).bounds.to_numpy().reshape(-1, 4).T
    left, bottom, right, top = region.bounds
    if (
        left > right or (np.maximum(-west, east) > 180).any()
    ):  # what crosses the 180th meridian is told by none of these
        return np.ones(len(table), bool)
    return (west < right) & (east > left) & (south < top) & (north > bottom)


def _divided(part: Part, zones: tuple[Part, ...]) -> list[tuple[str, BaseGeometry, bool]]:
    """The ground of a unit by value, and whether it fills the tile; at least one piece.

    Slivers are how edges that two files share differ by rounding.
    """
    found: list[tuple[str, BaseGeometry, bool]] = []
    rest = part.geometry
    for zone in zones:
        if zone.whole:
            found.append((zone.unit.id, rest, part.whole and not found))
            rest = shapely.MultiPolygon()
        else:
            found.append((zone.unit.id, polygonal(rest.intersection(zone.geometry)), False))
            rest = polygonal(rest.difference(zone.geometry))
    found.append((NONE, rest, part.whole and not zones))
    large = [piece for piece in found if piece[1].area >= max(LEAST_AREA_M2, SLIVER_M * piece[1].length / 2)]
    return large or [max(found, key=lambda piece: piece[1].area)]


@dataclass(frozen=True)
class RasterLayer:
    """A raster of whole numbers in any CRS; a pixel of the maps has the value at its middle.

    Attributes:
        path: Of the file.
    """

    path: Path

    @classmethod
    def read(cls, path: Path, region: Region) -> "RasterLayer":
        """The raster of a file, of which no value is read yet.

        Raises:
            InputError: If it cannot be read as a raster, has no CRS, several bands, a mask band or fractions, or lies
                elsewhere.
        """
        try:
            with rasterio.open(path) as source:
                bands, dtype, crs, bounds = source.count, source.dtypes[0], source.crs, source.bounds
                masked = MaskFlags.per_dataset in source.mask_flag_enums[0]
        except RasterioError as error:
            raise InputError(
                f"{path}: not a raster that can be read; of a file of polygons name the field too, e.g. {path}:zone"
            ) from error
        if bands != 1:
            raise InputError(f"{path}: {bands} bands; a layer has one")
        if not np.issubdtype(np.dtype(dtype), np.integer):
            raise InputError(f"{path}: values are {dtype}; a layer is of whole numbers, one for each class")
        if crs is None:
            raise InputError(f"{path}: no coordinate reference system; save the file with the one it is in")
        if masked:
            raise InputError(f"{path}: a mask band, which is not read; save the file with a nodata value instead")
        require_place(path, crs.to_wkt())
        (left, right), (bottom, top) = sorted((bounds.left, bounds.right)), sorted((bounds.bottom, bounds.top))
        box = transform_bounds(crs, "EPSG:4326", left, bottom, right, top)  # a raster may be stored south-up
        if not intersects(around(*box), region.bounds):
            raise InputError(f"{path}: no part of it lies in the region")
        return cls(path)

    @property
    def name(self) -> str:
        """Of the file."""
        return self.path.name

    def pieces(self, ground: TileCoverage) -> Iterator[Iterable[Piece]]:
        """See ``GroundLayer``."""
        values, known = self.on(ground.grid, ground.tile)
        for unit in ground.units:
            inside = np.ones_like(known) if unit.fraction is None else unit.fraction > 0
            window = unit.rows, unit.columns
            yield self._by_value(unit, values[window], known[window], inside)

    def _by_value(
        self, unit: UnitCoverage, values: np.ndarray, known: np.ndarray, inside: np.ndarray
    ) -> Iterator[Piece]:
        there = np.unique(values[known & inside])
        if len(there) > MOST_VALUES:
            raise InputError(f"{self.path}: more than {MOST_VALUES} values in a tile; a layer is of classes")
        masks = [(str(value), known & (values == value)) for value in there]
        if not (known & inside).any() or (inside & ~known).any():
            masks.append((NONE, ~known))
        for value, mask in masks:
            yield value, replace(unit, fraction=mask * (1.0 if unit.fraction is None else unit.fraction))

    def on(self, grid: Grid, tile: Tile) -> tuple[np.ndarray, np.ndarray]:
        """The values at the pixels of a tile, and whether there is one: whole numbers and bool [y, x].

        Raises:
            InputError: If the file cannot be read.
        """
        pixels = grid.geobox(tile)
        try:
            with (
                rasterio.open(self.path) as source,
                WarpedVRT(
                    source,
                    crs=f"EPSG:{tile.zone.epsg}",
                    transform=pixels.transform,
                    width=grid.tile_px,
                    height=grid.tile_px,
                    src_transform=_turned(source, pixels),
                    resampling=Resampling.nearest,
                    add_alpha=True,  # or ground beyond a raster without nodata would read as 0
                    tolerance=EXACTLY_PX,
                ) as view,
            ):
                values, known = view.read(1), view.read(2) > 0
        except RasterioError as error:
            raise InputError(f"{self.path}: cannot be read ({error})") from error
        if values.dtype.itemsize == 8 and (np.abs(values[known].astype(float)) >= MOST_EXACT).any():
            raise InputError(
                f"{self.path}: values of 2^53 and more are not told apart; save classes as smaller numbers"
            )
        return values, known


def _turned(source: rasterio.DatasetReader, pixels: GeoBox) -> Affine | None:
    """Where a raster in degrees lies that has to be turned round the Earth to a tile: some count from 0 to 360.

    None where it may stay as it is.
    """
    if not source.crs.is_geographic:
        return None
    height, width = pixels.shape
    longitude = float(latlon_at(pixels, np.array([height / 2]), np.array([width / 2]))[0, 1])
    turns = round(((source.bounds.left + source.bounds.right) / 2 - longitude) / 360)
    return Affine.translation(-360 * turns, 0) @ source.transform if turns else None
