"""The grid: UTM zones, the square tiles that are counted from their origins, and the pixels of a tile.

>>> tile = Grid().tile_at(Zone.at(39.5, 13.5), 554_128.0, 1_492_437.0)
>>> tile.name, Grid().bounds(tile).bbox
('32637_55_149', (550000.0, 1490000.0, 560000.0, 1500000.0))
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from stook.models.errors import InputError

if TYPE_CHECKING:
    import shapely
    from odc.geo import CRS
    from odc.geo.geobox import GeoBox
    from odc.geo.geom import BoundingBox

FALSE_NORTHING_M = 10_000_000  # of the southern zones: a tile size that divides it puts the equator on a tile edge
MOST_TILE_M = 10_000  # of the tiles in which pictures of cells are read, as maps are
SOUTHERNMOST, NORTHERNMOST = -80.0, 84.0  # latitudes at which UTM ends


@dataclass(frozen=True, order=True)
class Zone:
    """A UTM zone and hemisphere.

    Zones are the plain strips of six degrees: the exceptions that UTM makes for south-west Norway and Svalbard are not
    followed, so that ground belongs to the zone its longitude and latitude say, everywhere by the same rule.

    Attributes:
        number: 1…60, counted eastwards from 180° W.
        south: Whether it is the southern half, with its own CRS (EPSG:327xx, the equator at northing 10,000,000 m).

    Raises:
        ValueError: for a number outside 1…60.
    """

    number: int
    south: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.number <= 60:
            raise ValueError(f"UTM zone {self.number} does not exist: 1 to 60 do")

    @classmethod
    def parse(cls, name: str) -> Zone:
        """The zone that ``name`` wrote, such as ``"32637"``; raises ValueError for anything else."""
        match = re.fullmatch(r"32([67])(\d\d)", name)
        if match is None:
            raise ValueError(f"{name!r} is not a UTM zone such as '32637' or '32737'")
        return cls(int(match[2]), south=match[1] == "7")

    @classmethod
    def at(cls, lon: float, lat: float) -> Zone:
        """The zone of a place in degrees; its western edge belongs to a zone, the equator to the north."""
        return cls(min(int((lon + 180) // 6) + 1, 60), south=lat < 0)

    @property
    def epsg(self) -> int:
        """EPSG code of the zone's CRS: 326xx north, 327xx south of the equator."""
        return (32700 if self.south else 32600) + self.number

    @property
    def name(self) -> str:
        """The EPSG code as text, the zone's name in paths and tile names."""
        return str(self.epsg)

    @property
    def central_meridian(self) -> float:
        """Longitude of the middle of the strip, degrees."""
        return 6.0 * self.number - 183.0

    @property
    def polygon(self) -> shapely.Polygon:
        """The ground of the zone, in degrees: its six-degree strip from the equator to 84° N or 80° S."""
        import shapely

        west = self.central_meridian - 3.0
        south, north = (SOUTHERNMOST, 0.0) if self.south else (0.0, NORTHERNMOST)
        return shapely.box(west, south, west + 6.0, north)


@dataclass(frozen=True, order=True)
class Tile:
    """A square of a zone's grid; ``ix`` and ``iy`` count tiles from easting 0 and northing 0, ``iy`` northwards."""

    zone: Zone
    ix: int
    iy: int

    @property
    def name(self) -> str:
        """Such as ``"32637_12_345"``: zone, ix, iy."""
        return f"{self.zone.name}_{self.ix}_{self.iy}"

    @classmethod
    def parse(cls, name: str) -> Tile:
        """The tile that ``name`` wrote; raises ValueError for anything else."""
        match = re.fullmatch(r"(\d{5})_(-?\d+)_(-?\d+)", name)
        if match is None:
            raise ValueError(f"{name!r} is not a tile such as '32637_12_345'")
        return cls(Zone.parse(match[1]), int(match[2]), int(match[3]))


@dataclass(frozen=True)
class Grid:
    """Pixel and tile size. Grids of one ``tile_m`` share their tiles: 1000 px of 10 m, 40 px of 250 m.

    Attributes:
        resolution_m: Side of a pixel, metres of the zone's CRS.
        tile_px: Pixels along a side of a tile.

    Raises:
        InputError: unless the side of a tile divides 10,000,000 m.
    """

    resolution_m: float = 10.0
    tile_px: int = 1000

    def __post_init__(self) -> None:
        if self.resolution_m <= 0 or self.tile_px < 1:
            raise InputError(
                f"grid of {self.tile_px} px of {self.resolution_m:g} m: both numbers must be greater than zero"
            )
        if FALSE_NORTHING_M % self.tile_m:
            raise InputError(
                f"grid of {self.tile_px} px of {self.resolution_m:g} m: tiles of {self.tile_m:g} m do not divide"
                " 10,000,000 m, so the equator would cut them; 1,000, 8,000, 10,000 and 20,000 m, for example, do"
            )

    @property
    def tile_m(self) -> float:
        """Side of a tile, metres."""
        return self.resolution_m * self.tile_px

    def tile_at(self, zone: Zone, x: float, y: float) -> Tile:
        """The tile that holds easting ``x`` and northing ``y``; western and southern edges belong to a tile."""
        return Tile(zone, int(x // self.tile_m), int(y // self.tile_m))

    def bounds(self, tile: Tile) -> BoundingBox:
        """Left, bottom, right and top of the tile, metres of the zone's CRS."""
        from odc.geo.geom import BoundingBox

        side = self.tile_m
        return BoundingBox(tile.ix * side, tile.iy * side, (tile.ix + 1) * side, (tile.iy + 1) * side, _crs(tile.zone))

    def geobox(self, tile: Tile, halo_px: int = 0) -> GeoBox:
        """The pixels of the tile, north up (row 0 is northernmost), with ``halo_px`` more on each of the four sides."""
        pixels = TileRange(tile.zone, tile.ix, tile.iy, tile.ix + 1, tile.iy + 1).geobox(self)
        return pixels.pad(halo_px) if halo_px else pixels


@dataclass(frozen=True)
class TileRange:
    """The rectangle of tiles ``ix0 ≤ ix < ix1``, ``iy0 ≤ iy < iy1`` of a zone: the extent of an array of the map."""

    zone: Zone
    ix0: int
    iy0: int
    ix1: int
    iy1: int

    @classmethod
    def of(cls, tiles: Iterable[Tile]) -> TileRange:
        """The smallest range with all the tiles in it; raises ValueError unless they are of exactly one zone."""
        tiles = list(tiles)
        zones = {tile.zone for tile in tiles}
        if len(zones) != 1:
            raise ValueError(f"a range of tiles has one zone, not {len(zones)}")
        columns, rows = {tile.ix for tile in tiles}, {tile.iy for tile in tiles}
        return cls(zones.pop(), min(columns), min(rows), max(columns) + 1, max(rows) + 1)

    def __contains__(self, tile: Tile) -> bool:
        return tile.zone == self.zone and self.ix0 <= tile.ix < self.ix1 and self.iy0 <= tile.iy < self.iy1

    @property
    def shape(self) -> tuple[int, int]:
        """Tiles along y and along x."""
        return self.iy1 - self.iy0, self.ix1 - self.ix0

    def geobox(self, grid: Grid) -> GeoBox:
        """The pixels of the whole array, north up."""
        from odc.geo.geobox import GeoBox
        from odc.geo.geom import BoundingBox

        rows, columns = self.shape
        return GeoBox.from_bbox(
            BoundingBox(self.ix0 * grid.tile_m, self.iy0 * grid.tile_m, self.ix1 * grid.tile_m, self.iy1 * grid.tile_m),
            crs=_crs(self.zone),
            shape=(rows * grid.tile_px, columns * grid.tile_px),
        )

    def slices(self, grid: Grid, tile: Tile) -> tuple[slice, slice]:
        """The rows and columns of the tile in the array, whose row 0 is northernmost.

        Raises:
            ValueError: for a tile outside the range.
        """
        if tile not in self:
            raise ValueError(f"tile {tile.name} is not in {self}")
        row, column = (self.iy1 - 1 - tile.iy) * grid.tile_px, (tile.ix - self.ix0) * grid.tile_px
        return slice(row, row + grid.tile_px), slice(column, column + grid.tile_px)


def picture_grid(cell_m: float) -> Grid:
    """Tiles of up to 10 km for cells; raises InputError if maps cannot have cells of that size."""
    pixel_m = Grid().resolution_m
    for count in range(int(MOST_TILE_M // cell_m), 0, -1):
        if cell_m % pixel_m == 0 and FALSE_NORTHING_M % (cell_m * count) == 0:
            return Grid(cell_m, count)
    raise InputError(
        f"training.cell_m: {cell_m:g}; allowed are multiples of {pixel_m:g} m that tiles are made of: 50, 100, 250, …"
    )


@lru_cache(maxsize=120)
def _crs(zone: Zone) -> CRS:
    from odc.geo import CRS

    return CRS(f"EPSG:{zone.epsg}")
