"""The region: the units to map, their ground in each zone, and the tiles that touch it.

A unit's edges are straight between longitudes and latitudes, for areas as for overlaps, so that units that share an
edge share it whatever their vertices. (Geodesics enclose 2e-6 less of Tigray; the two readings lie metres apart.)
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from threading import RLock
from typing import Any

import geopandas as gpd
import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

from stook.transforms.ground.antimeridian import lonlat_box
from stook.transforms.ground.geodesy import project, with_straight_edges
from stook.transforms.ground.grid import Grid, Tile, Zone
from stook.transforms.ground.unit import Unit, polygonal, read_units
from stook.transforms.store import Address, fetched, replacing

BLOCK_M = 80_000.0  # units are clipped to blocks once and to tiles from there: a tile costs the same in any country
LEAST_AREA_M2 = 0.01  # 1 dm², the unit in which areas are counted; less is the rounding of coordinates


@dataclass(frozen=True)
class Part:
    """The ground of a unit that lies in a zone and, of that, in a tile.

    Attributes:
        unit: Whose ground it is.
        geometry: Polygon or multipolygon, metres of the zone's CRS.
        whole: Whether it fills the tile.
    """

    unit: Unit
    geometry: BaseGeometry
    whole: bool = False


@dataclass(frozen=True)
class Region:
    """The units of a region. What it derives from them is kept, but neither compared nor pickled.

    Memory: the units' vertices, three times over (as given, per zone, per block), whatever the number of tiles. Threads
    may share a region: prepared geometries, which GEOS completes when first asked, are asked by one at a time.
    """

    units: tuple[Unit, ...]
    _kept: dict[Any, Any] = field(default_factory=dict, init=False, repr=False, compare=False)
    _lock: Any = field(default_factory=RLock, init=False, repr=False, compare=False)

    def __getstate__(self) -> tuple[Unit, ...]:
        return self.units

    def __setstate__(self, units: tuple[Unit, ...]) -> None:
        object.__setattr__(self, "units", units)
        object.__setattr__(self, "_kept", {})
        object.__setattr__(self, "_lock", RLock())

    @property
    def hash(self) -> str:
        """SHA-256 of the units' ids, parents and geometries, in whatever order the units and their rings come."""
        digest = hashlib.sha256()
        for unit in sorted(self.units, key=lambda unit: unit.id):
            digest.update(repr((unit.id, unit.parents)).encode())
            digest.update(shapely.to_wkb(shapely.normalize(unit.geometry), byte_order=1))
        return digest.hexdigest()

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """West, south, east and north, degrees; west > east across the 180th meridian."""
        return lonlat_box([unit.geometry for unit in self.units])

    @property
    def zones(self) -> tuple[Zone, ...]:
        """The zones with ground of the region, sorted."""
        west, south, east, north = self.bounds
        first, last = Zone.at(west, 0).number, Zone.at(east, 0).number
        numbers = sorted({(first + step - 1) % 60 + 1 for step in range((last - first) % 60 + 1)})
        hemispheres = [half for half, present in ((False, north > 0), (True, south < 0)) if present]
        return tuple(zone for zone in (Zone(*key) for key in product(numbers, hemispheres)) if self.parts(zone))

    def parts(self, zone: Zone) -> tuple[Part, ...]:
        """The ground of each unit in the zone, projected to its CRS."""
        return self._keep(("parts", zone), lambda: tuple(self._project(zone)))

    def pieces(self, grid: Grid, tile: Tile) -> tuple[Part, ...]:
        """The ground of each unit in the tile, units that miss the tile or its zone left out."""
        size = _block_tiles(grid)
        block = self._block(grid, tile.zone, tile.ix // size, tile.iy // size)
        with self._lock:
            clipped = [(part.unit, *_clip(part.geometry, _boxes(grid, [tile]))) for part in block]
        return tuple(Part(unit, pieces[0], bool(whole[0])) for unit, pieces, whole in clipped if pieces[0])

    def tiles(self, grid: Grid) -> list[Tile]:
        """The tiles with at least 1 dm² of the region's ground in their zone, sorted."""
        touched: set[Tile] = set()
        size = _block_tiles(grid)
        for zone in self.zones:
            bounds = shapely.total_bounds([part.geometry for part in self.parts(zone)])
            west, south, east, north = (bounds // (size * grid.tile_m)).astype(int)
            for bx, by in product(range(west, east + 1), range(south, north + 1)):
                for part in self._block(grid, zone, bx, by):
                    tiles = _tiles_around(grid, zone, part.geometry)
                    pieces, _ = _clip(part.geometry, _boxes(grid, tiles))
                    touched.update(tile for tile, piece in zip(tiles, pieces, strict=True) if piece)
        return sorted(touched)

    def write(self, path: Address) -> None:
        """Write the units as GeoParquet, to be read by ``Region.read``; the file appears whole."""
        columns = {
            "unit_id": [unit.id for unit in self.units],
            "name": [unit.name for unit in self.units],
            "parents": [json.dumps(unit.parents) for unit in self.units],
        }
        table = gpd.GeoDataFrame(columns, geometry=[unit.geometry for unit in self.units], crs="EPSG:4326")
        with replacing(path) as scratch:
            table.to_parquet(scratch, index=False)

    @classmethod
    def read(cls, path: Address) -> "Region":
        """The region that ``write`` wrote."""
        table = gpd.read_parquet(fetched(path))
        rows = zip(table["unit_id"], table["name"], table["parents"], table.geometry, strict=True)
        return cls(tuple(Unit(*row[:2], tuple(json.loads(row[2])), row[3]) for row in rows))

    def _keep(self, key: Any, make: Callable[[], Any]) -> Any:
        """The value of ``key``, made once."""
        with self._lock:
            if key not in self._kept:
                self._kept[key] = make()
            return self._kept[key]

    def _project(self, zone: Zone) -> Iterator[Part]:
        strip = zone.polygon
        shapely.prepare(strip)
        for unit in self.units:
            if strip.intersects(unit.geometry):
                inside = unit.geometry if strip.contains(unit.geometry) else strip.intersection(unit.geometry)
                projected = project(with_straight_edges(polygonal(inside)), zone)
                projected = projected if projected.is_valid else polygonal(shapely.make_valid(projected))
                if projected.area >= LEAST_AREA_M2:
                    yield Part(unit, projected)

    def _block(self, grid: Grid, zone: Zone, bx: int, by: int) -> tuple[Part, ...]:
        """The ground of each unit in a block of tiles, prepared for being asked about tiles."""
        side = _block_tiles(grid) * grid.tile_m
        box = shapely.box(bx * side, by * side, (bx + 1) * side, (by + 1) * side)

        def make() -> tuple[Part, ...]:
            parts = self.parts(zone)
            tree = self._keep(("tree", zone), lambda: shapely.STRtree([part.geometry for part in parts]))
            near = [parts[index] for index in sorted(tree.query(box, predicate="intersects"))]
            clipped = [Part(part.unit, polygonal(part.geometry.intersection(box))) for part in near]
            block = tuple(part for part in clipped if part.geometry.area >= LEAST_AREA_M2)
            shapely.prepare([part.geometry for part in block])
            return block

        return self._keep(("block", zone, side, bx, by), make)


def read_region(
    path: str | Path,
    id_field: str,
    parent_field: str | Sequence[str] | None = None,
    name_field: str | None = None,
    layer: str | None = None,
) -> Region:
    """The region that a vector file describes; ``unit.read_units`` says which files and which refusals.

    ``parent_field`` may be several fields, from the nearest parent to the farthest.
    """
    fields = (parent_field,) if isinstance(parent_field, str) else tuple(parent_field or ())
    return Region(read_units(path, id_field, fields, name_field, layer))


def _block_tiles(grid: Grid) -> int:
    """Tiles along a side of a block."""
    return max(1, int(BLOCK_M // grid.tile_m))


def _tiles_around(grid: Grid, zone: Zone, geometry: BaseGeometry) -> list[Tile]:
    """The tiles that the box around a geometry touches."""
    left, bottom, right, top = (int(edge // grid.tile_m) for edge in geometry.bounds)
    return [Tile(zone, ix, iy) for ix, iy in product(range(left, right + 1), range(bottom, top + 1))]


def _boxes(grid: Grid, tiles: Sequence[Tile]) -> np.ndarray:
    """The squares of the tiles, metres of their zone's CRS: object [tile]; a block of small ones is made at once."""
    columns, rows = (np.array(indices) for indices in ([tile.ix for tile in tiles], [tile.iy for tile in tiles]))
    side = grid.tile_m
    return shapely.box(columns * side, rows * side, (columns + 1) * side, (rows + 1) * side)


def _clip(geometry: BaseGeometry, boxes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What of a prepared geometry lies in each box.

    Returns:
        The polygonal part inside, the box itself if it is covered, None below 1 dm²: object [box]; and whether the box
        is covered: bool [box].
    """
    whole = shapely.contains(geometry, boxes)
    pieces = boxes.copy()
    pieces[~whole] = None
    for index in np.flatnonzero(shapely.intersects(geometry, boxes) & ~whole):
        piece = polygonal(shapely.intersection(geometry, boxes[index]))
        pieces[index] = piece if piece.area >= LEAST_AREA_M2 else None
    return pieces, whole
