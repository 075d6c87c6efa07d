"""Cells: the pixels of a product, squares of the grid's pixels, and the strips in which a tile's are worked on."""

from collections.abc import Iterator

import numpy as np

STRIP_VALUES = 2**23  # numbers in the vectors of one strip: 32 MiB as float32


def strip_rows(cells: int, width: int) -> int:
    """Rows of cells in a strip of a tile of ``cells`` by ``cells``: a divisor, so that strips never straddle tiles."""
    most = min(cells, max(1, STRIP_VALUES // (cells * width)))
    return max(rows for rows in range(1, most + 1) if cells % rows == 0)


def strips(cells: int, width: int) -> Iterator[slice]:
    """The strips of a tile, north to south.

    Heads see one strip at a time, whether its vectors come from the encoder or from a store, so both give equal bytes.
    """
    rows = strip_rows(cells, width)
    for start in range(0, cells, rows):
        yield slice(start, start + rows)


def cells_all(pixels: np.ndarray, cell_px: int) -> np.ndarray:
    """Whether all pixels of a cell are true: bool [y, x] -> bool [cell row, cell column]."""
    return np.all(_in_cells(pixels, cell_px), axis=(1, 3))


def cells_any(pixels: np.ndarray, cell_px: int) -> np.ndarray:
    """Whether any pixel of a cell is true: bool [y, x] -> bool [cell row, cell column]."""
    return np.any(_in_cells(pixels, cell_px), axis=(1, 3))


def cells_fewest(pixels: np.ndarray, cell_px: int) -> np.ndarray:
    """Smallest value of the pixels of a cell: [y, x] -> [cell row, cell column]."""
    return _in_cells(pixels, cell_px).min(axis=(1, 3))


def _in_cells(pixels: np.ndarray, cell_px: int) -> np.ndarray:
    """[y, x] -> [cell row, y in cell, cell column, x in cell]."""
    height, width = pixels.shape
    return pixels.reshape(height // cell_px, cell_px, width // cell_px, cell_px)
