"""Exact overlaps of polygons with the pixels of a grid."""

from dataclasses import dataclass

import numpy as np
import shapely
from odc.geo.geobox import GeoBox
from pyproj import Transformer


@dataclass(frozen=True)
class Overlaps:
    """Every pair of a polygon and a pixel that share ground.

    Attributes:
        polygon: int [pair], index of the polygon.
        pixel: int [pair], flat index of the pixel.
        share: float64 [pair], share of the pixel under the polygon.
        shape: Rows and columns of the grid.
    """

    polygon: np.ndarray
    pixel: np.ndarray
    share: np.ndarray
    shape: tuple[int, int]

    @classmethod
    def of(cls, polygons: np.ndarray, grid: GeoBox) -> "Overlaps":
        """Overlaps of shapely ``polygons`` in the projection of ``grid``, whose rows run north to south."""
        height, width = grid.shape.y, grid.shape.x
        west, south, east, north = shapely.bounds(polygons).reshape(-1, 4).T
        left, top = ~grid.transform @ (west, north)
        right, bottom = ~grid.transform @ (east, south)
        first = np.floor([top, left]).astype(int).clip(0)
        last = np.minimum(np.ceil([bottom, right]).astype(int), [[height], [width]])
        rows, columns = (last - first).clip(0)
        polygon = np.repeat(np.arange(len(polygons)), rows * columns)
        within = np.arange(polygon.size) - np.repeat(np.cumsum(rows * columns) - rows * columns, rows * columns)
        row = first[0][polygon] + within // columns[polygon].clip(1)
        column = first[1][polygon] + within % columns[polygon].clip(1)
        cells = squares(grid, column, row)
        share = shapely.area(shapely.intersection(polygons[polygon], cells)) / shapely.area(cells)
        real = share > 0
        return cls(polygon[real], (row * width + column)[real], share[real], (height, width))

    def total(self, weights: np.ndarray | None = None) -> np.ndarray:
        """Sum over the polygons of the share of each pixel, times ``weights`` [polygon]; float32 [y, x]."""
        shares = self.share if weights is None else self.share * weights[self.polygon]
        sums = np.bincount(self.pixel, shares, self.shape[0] * self.shape[1])
        return sums.reshape(self.shape).astype(np.float32)

    def largest(self, values: np.ndarray) -> np.ndarray:
        """The value of whichever polygon has most of each pixel, 0 where none has any; [y, x]."""
        found = np.zeros(self.shape[0] * self.shape[1], values.dtype)
        order = np.argsort(self.share, kind="stable")
        found[self.pixel[order]] = values[self.polygon[order]]
        return found.reshape(self.shape)


def squares(grid: GeoBox, column: np.ndarray, row: np.ndarray) -> np.ndarray:
    """The pixels of ``grid`` at some columns and rows as shapely polygons, of the same shape."""
    step = grid.transform.a
    west, north = grid.transform.c + column * step, grid.transform.f - row * step
    return shapely.box(west, north - step, west + step, north)


def reproject(polygons: np.ndarray, source: str, target: str) -> np.ndarray:
    """Shapely ``polygons`` with every vertex moved from one projection to another."""
    transformer = Transformer.from_crs(source, target, always_xy=True)
    return shapely.transform(polygons, lambda points: np.column_stack(transformer.transform(*points.T)))
