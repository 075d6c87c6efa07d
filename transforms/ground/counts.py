"""Counts of cells per unit: every cell counts once, so the counts of districts add up to those of their region."""

import numpy as np

from stook.transforms.ground.areas import TileCoverage, UnitCoverage
from stook.transforms.ground.geodesy import latlon_at
from stook.transforms.ground.grid import Grid, Zone

# Shares of cells are compared in thousandths of a pixel: finer differences are the rounding of coordinates.
STEPS_PER_PIXEL = 1000

# Unit id → value → cells. Values without cells are left out, and so are units.
CountTable = dict[str, dict[int, int]]


def cell_counts(ground: TileCoverage, cells: np.ndarray) -> CountTable:
    """How many cells of each value are a unit's.

    A cell is the unit's that has most of its ground in the tile's zone, of equals the first in the region's order. It
    is nobody's without ground of any unit, or if its middle lies in another zone: square cells of two zones overlap at
    their meridian, so each zone counts those with their middle on its own side. Together these are, to within half a
    cell along the meridian, as many as there is ground for.

    A cell at the region's border counts with whatever little ground the region has in it. Counts say how many cells
    were looked at, not how much ground there is, which ``TileCoverage.areas`` says.

    Args:
        ground: Of the tile.
        cells: uint8 [row, column] of the tile, north up; cells are whole numbers of pixels.

    Raises:
        ValueError: for cells of another type, or that do not fit the tile.
    """
    side, pixels = cells.shape[0], ground.grid.tile_px
    if cells.dtype != np.uint8 or cells.shape != (side, side) or pixels % side:
        raise ValueError(
            f"cells of tile {ground.tile.name} are {cells.dtype} {cells.shape}, not uint8 whose shape divides "
            f"({pixels}, {pixels})"
        )
    owners = cell_owners(ground, side)
    table: CountTable = {}
    for index, unit in enumerate(ground.units):
        found = np.bincount(cells[owners == index])
        if found.size:
            table[unit.unit_id] = {int(value): int(found[value]) for value in np.flatnonzero(found)}
    return table


def cell_owners(ground: TileCoverage, cells: int) -> np.ndarray:
    """Whose each cell of a tile is: int [row, column], an index into the tile's units, -1 for nobody's.

    Args:
        ground: Of the tile.
        cells: Along a side of the tile.
    """
    cell_px = ground.grid.tile_px // cells
    owners = np.full((cells, cells), -1)
    most = np.full((cells, cells), -1)
    for index, unit in enumerate(ground.units):
        rows, columns = _around(unit.rows, cell_px), _around(unit.columns, cell_px)
        shares = cell_shares(unit, rows, columns, cell_px)
        steps = np.rint(shares * STEPS_PER_PIXEL).astype(int)
        wins = (shares > 0) & (steps > most[rows, columns])
        owners[rows, columns][wins] = index
        most[rows, columns][wins] = steps[wins]
    middles = Grid(ground.grid.resolution_m * cell_px, cells).geobox(ground.tile)
    row, column = np.indices(owners.shape)
    owners[~in_zone(ground.tile.zone, latlon_at(middles, row + 0.5, column + 0.5))] = -1
    return owners


def cell_shares(unit: UnitCoverage, rows: slice, columns: slice, cell_px: int) -> np.ndarray:
    """How much of some cells is a unit's, in pixels: float64 [row, column].

    Args:
        unit: Whose pixels, all within these cells.
        rows: Rows of cells of the tile.
        columns: Columns of cells of the tile.
        cell_px: Side of a cell.
    """
    high, wide = rows.stop - rows.start, columns.stop - columns.start
    pixels = np.zeros((high * cell_px, wide * cell_px))
    top, left = unit.rows.start - rows.start * cell_px, unit.columns.start - columns.start * cell_px
    height, width = unit.rows.stop - unit.rows.start, unit.columns.stop - unit.columns.start
    pixels[top : top + height, left : left + width] = 1 if unit.fraction is None else unit.fraction
    return pixels.reshape(high, cell_px, wide, cell_px).sum(axis=(1, 3))


def in_zone(zone: Zone, latlon: np.ndarray) -> np.ndarray:
    """Whether places lie in a zone, as ``Zone.at`` says of one: latitude and longitude [..., 2] -> bool [...]."""
    number = np.minimum((latlon[..., 1] + 180) // 6 + 1, 60)
    return (number == zone.number) & ((latlon[..., 0] < 0) == zone.south)


def _around(pixels: slice, cell_px: int) -> slice:
    """The cells that some rows or columns of pixels touch."""
    return slice(pixels.start // cell_px, -(-pixels.stop // cell_px))
