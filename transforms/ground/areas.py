"""Areas of map values per unit, as exact integers: ellipsoidal pixel areas times the fraction that is the unit's."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import shapely
from exactextract import exact_extract
from exactextract.raster import NumPyRasterSource
from shapely.geometry.base import BaseGeometry

from stook.transforms.ground.geodesy import areal_scale
from stook.transforms.ground.grid import Grid, Tile
from stook.transforms.ground.region import Part, Region

AREA_NODES = 5  # per axis of a tile: the quartic through them is within 1e-13 of a scale that hardly bends in 10 km
VALUES = 256
DM2_PER_M2 = 100

# In such a square, counted from the zone's origin, errors of a covered share are taken as wholly correlated, between
# squares as independent. A choice, not measured: the ground that villages share, and the side of the usual tile; it is
# a length of its own, so that the interval of a region does not depend on how the region is cut into tiles.
SQUARE_M = 10_000
SQUARES = Grid(SQUARE_M, 1)

# Unit id → layer → value 0…255 → area, dm². Values without area are left out.
AreaTable = dict[str, dict[str, dict[int, int]]]


@dataclass(frozen=True)
class PixelAreas:
    """Ellipsoidal (WGS84) areas of the pixels of a tile, kept as the few numbers they are interpolated from.

    The area of pixel (y, x) is ``along_y[y] @ nodes @ along_x[x]``, so that the tile's total needs no pixel.

    Attributes:
        nodes: float64 [node, node], m² a pixel at a node has.
        along_y: float64 [y, node], weights of the nodes in each row, north up.
        along_x: float64 [x, node], weights of the nodes in each column.
    """

    nodes: np.ndarray
    along_y: np.ndarray
    along_x: np.ndarray

    @classmethod
    def of(cls, grid: Grid, tile: Tile) -> "PixelAreas":
        """The pixel areas of a tile, m²; relative error below 1e-9."""
        places = np.linspace(0, 1, AREA_NODES)
        left, bottom, right, top = grid.bounds(tile).bbox
        x, y = np.meshgrid(left + places * (right - left), top + places * (bottom - top))
        centres = (np.arange(grid.tile_px) + 0.5) / grid.tile_px
        weights = np.linalg.solve(np.vander(places).T, np.vander(centres, AREA_NODES).T).T
        return cls(grid.resolution_m**2 / areal_scale(tile.zone, x, y), weights, weights)

    def window(self, rows: slice, columns: slice) -> np.ndarray:
        """float64 [y, x], m²: the areas of some of the pixels."""
        return self.along_y[rows] @ self.nodes @ self.along_x[columns].T

    @property
    def total(self) -> float:
        """Area of the whole tile, m²: the sum of its pixels."""
        return float(self.along_y.sum(axis=0) @ self.nodes @ self.along_x.sum(axis=0))


@dataclass(frozen=True)
class UnitCoverage:
    """How much of a tile's pixels is a unit's.

    Attributes:
        unit_id: Whose.
        rows: The rows of the tile in which the unit has ground.
        columns: The columns of the tile in which it has.
        fraction: float64 [row, column], 0…1, the share of each of these pixels; None where the tile is all the unit's.
    """

    unit_id: str
    rows: slice
    columns: slice
    fraction: np.ndarray | None

    @classmethod
    def of(cls, part: Part, grid: Grid, tile: Tile) -> "UnitCoverage":
        """The coverage of the tile's pixels by the part of a unit that lies in the tile."""
        if part.whole:
            return cls(part.unit.id, slice(0, grid.tile_px), slice(0, grid.tile_px), None)
        left, _, _, top = grid.bounds(tile).bbox
        pixels = shapely.transform(part.geometry, lambda xy: (xy - (left, top)) * (1, -1) / grid.resolution_m)
        west, north, east, south = pixels.bounds
        rows, columns = _span(north, south, grid.tile_px), _span(west, east, grid.tile_px)
        return cls(part.unit.id, rows, columns, _fractions(pixels, rows, columns))


@dataclass(frozen=True)
class TileCoverage:
    """Whose ground the pixels of a tile are; made once for a tile, used for every layer.

    Attributes:
        grid: Size of the pixels.
        tile: The tile.
        units: The units with ground in it, in the region's order.
    """

    grid: Grid
    tile: Tile
    units: tuple[UnitCoverage, ...]

    @classmethod
    def of(cls, region: Region, grid: Grid, tile: Tile) -> "TileCoverage":
        """The coverage of a tile by the units' ground in its zone, border pixels by exact fractions."""
        return cls(grid, tile, tuple(UnitCoverage.of(part, grid, tile) for part in region.pieces(grid, tile)))

    @cached_property
    def pixel_areas(self) -> PixelAreas:
        """The ellipsoidal areas of the tile's pixels."""
        return PixelAreas.of(self.grid, self.tile)

    @property
    def owned(self) -> np.ndarray:
        """Whether a pixel has any of the region's ground in the tile's zone: bool [y, x], north up."""
        mask = np.zeros((self.grid.tile_px, self.grid.tile_px), bool)
        for unit in self.units:
            mask[unit.rows, unit.columns] |= True if unit.fraction is None else unit.fraction > 0
        return mask

    @property
    def totals(self) -> dict[str, int]:
        """Area of each unit in the tile, dm²: what its areas by value add up to, in every layer."""
        return {unit.unit_id: self._total(unit) for unit in self.units}

    def areas(self, layers: Mapping[str, np.ndarray]) -> AreaTable:
        """Area of each unit by value of each layer, dm²; rounded so that a layer's add up to exactly ``totals``.

        Args:
            layers: Name → uint8 [y, x] of the tile, north up, of its pixels or of cells of several pixels a side.

        Raises:
            ValueError: for a layer of another type, or whose cells are not whole numbers of pixels.
        """
        values = {name: self._at_pixels(name, layer) for name, layer in layers.items()}
        table: AreaTable = {}
        for unit in self.units:
            areas, total = self._areas(unit), self._total(unit)
            table[unit.unit_id] = {
                name: _by_value(layer[unit.rows, unit.columns], areas, total) for name, layer in values.items()
            }
        return table

    def areas_of(self, layer: np.ndarray) -> dict[str, dict[int, int]]:
        """The same of one layer: unit → value → area, dm²."""
        return {unit: values[""] for unit, values in self.areas({"": layer}).items()}

    def covered(self, shares: np.ndarray) -> dict[str, dict[str, int]]:
        """Area under what covers a share of each cell, dm²: unit → square of ``SQUARES`` → area.

        Args:
            shares: float [y, x], 0…1, of the tile's pixels or of cells of several pixels a side; NaN counts as nothing.
        """
        side = self.grid.tile_px // shares.shape[0]
        pixels = np.nan_to_num(shares).repeat(side, axis=0).repeat(side, axis=1)
        return {
            unit.unit_id: self._by_square(unit, self._areas(unit) * pixels[unit.rows, unit.columns])
            for unit in self.units
        }

    def _by_square(self, unit: UnitCoverage, areas: np.ndarray) -> dict[str, int]:
        """Areas (m²) of a unit's pixels summed by the square that their middles lie in, dm²."""
        left, _, _, top = self.grid.bounds(self.tile).bbox
        middles = (np.arange(self.grid.tile_px) + 0.5) * self.grid.resolution_m
        xs, ys = left + middles[unit.columns], top - middles[unit.rows]
        columns, rows = _first_of_squares(xs), _first_of_squares(ys)
        sums = np.add.reduceat(np.add.reduceat(areas, rows, axis=0), columns, axis=1) * DM2_PER_M2
        return {
            SQUARES.tile_at(self.tile.zone, float(xs[column]), float(ys[row])).name: round(float(total))
            for row, totals in zip(rows, sums, strict=True)
            for column, total in zip(columns, totals, strict=True)
        }

    def _areas(self, unit: UnitCoverage) -> np.ndarray:
        """float64 [row, column], m²: the unit's ground in each pixel, computed once for all layers."""
        if unit.unit_id not in self._kept:
            areas = self.pixel_areas.window(unit.rows, unit.columns)
            self._kept[unit.unit_id] = areas if unit.fraction is None else areas * unit.fraction
        return self._kept[unit.unit_id]

    @cached_property
    def _kept(self) -> dict[str, np.ndarray]:
        return {}

    def _total(self, unit: UnitCoverage) -> int:
        total = self.pixel_areas.total if unit.fraction is None else float(self._areas(unit).sum())
        return round(total * DM2_PER_M2)

    def _at_pixels(self, name: str, layer: np.ndarray) -> np.ndarray:
        """uint8 [y, x]: the layer with its cells divided into the tile's pixels."""
        cells, pixels = layer.shape[0], self.grid.tile_px
        if layer.dtype != np.uint8 or layer.shape != (cells, cells) or pixels % cells:
            raise ValueError(
                f"layer {name!r} of tile {self.tile.name} is {layer.dtype} {layer.shape}, not uint8 whose shape divides"
                f" ({pixels}, {pixels})"
            )
        return layer.repeat(pixels // cells, axis=0).repeat(pixels // cells, axis=1)


def pixel_areas(grid: Grid, tile: Tile) -> np.ndarray:
    """float64 [y, x], m²: ellipsoidal (WGS84) area of every pixel of a tile, north up; relative error below 1e-9."""
    return PixelAreas.of(grid, tile).window(slice(None), slice(None))


def owned_mask(region: Region, grid: Grid, tile: Tile) -> np.ndarray:
    """Whether a pixel has any of the region's ground in the tile's zone: bool [y, x], north up."""
    return TileCoverage.of(region, grid, tile).owned


def tile_areas(region: Region, grid: Grid, tile: Tile, layers: Mapping[str, np.ndarray]) -> AreaTable:
    """Area of each unit by value of each layer of a tile, dm²; see ``TileCoverage.areas``."""
    return TileCoverage.of(region, grid, tile).areas(layers)


def tile_totals(region: Region, grid: Grid, tile: Tile) -> dict[str, int]:
    """Area of each unit in a tile, dm², without any layer: what a failed tile leaves unmapped."""
    return TileCoverage.of(region, grid, tile).totals


def _first_of_squares(middles: np.ndarray) -> np.ndarray:
    """The indices, rising, at which a row of middles of pixels enters another square of ``SQUARES``."""
    return np.sort(np.unique(middles // SQUARE_M, return_index=True)[1])


def _span(low: float, high: float, pixels: int) -> slice:
    """The pixels that an interval in pixel coordinates touches, at least one."""
    first = min(max(int(np.floor(low)), 0), pixels - 1)
    return slice(first, min(max(int(np.ceil(high)), first + 1), pixels))


def _fractions(pixels: BaseGeometry, rows: slice, columns: slice) -> np.ndarray:
    """float64 [row, column]: covered fraction of pixels, by a polygon in pixel coordinates with y southwards."""
    shape = rows.stop - rows.start, columns.stop - columns.start
    upright = shapely.transform(pixels, lambda xy: (xy - (columns.start, rows.stop)) * (1, -1))
    feature = {"type": "Feature", "properties": {}, "geometry": shapely.geometry.mapping(upright)}
    [result] = exact_extract(NumPyRasterSource(np.zeros(shape, np.uint8)), [feature], ["cell_id", "coverage"])
    fractions = np.zeros(shape)
    fractions.flat[result["properties"]["cell_id"]] = result["properties"]["coverage"]
    return fractions


def _by_value(values: np.ndarray, areas: np.ndarray, total: int) -> dict[int, int]:
    """Areas (m²) summed by uint8 value and rounded (dm²) so that they add up to the total."""
    sums = np.bincount(values.ravel(), weights=areas.ravel(), minlength=VALUES) * DM2_PER_M2
    running = np.minimum(np.rint(np.cumsum(sums)), total).astype(np.int64)
    running[np.flatnonzero(sums)[-1] :] = total  # adding up by value may round the last place differently
    rounded = np.diff(running, prepend=0)
    return {int(value): int(rounded[value]) for value in np.flatnonzero(rounded)}
