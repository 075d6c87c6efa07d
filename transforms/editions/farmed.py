"""Farmed cells: where cropland is mapped or harvest piles were seen, and on which of the two that rests."""

import numpy as np

from stook.transforms.editions.plan import FarmedRule
from stook.transforms.values import NODATA

NO_CROPLAND, CROPLAND, CROPLAND_NOT_MAPPED = 0, 1, 2
NO_PILES, PILES, NO_PICTURE = 0, 1, 2
PILES_FACTOR = 3

LEGEND = {
    0: "not farmed: no cropland, no piles",
    1: "farmed: cropland, no piles",
    2: "not known: cropland not mapped, no piles",
    3: "farmed: piles alone",
    4: "farmed: cropland and piles",
    5: "farmed: piles, cropland not mapped",
    6: "not farmed: no cropland, no picture",
    7: "farmed: cropland, no picture",
}
FARMED_CODES = frozenset({1, 3, 4, 5, 7})
NOT_FARMED_CODES = frozenset({0, 6})
# Green where cropland says so, orange where piles alone do; paler where only one of the two was asked.
COLOURS = {
    0: (246, 243, 236),
    1: (120, 165, 85),
    2: (205, 205, 210),
    3: (225, 120, 30),
    4: (40, 110, 45),
    5: (240, 180, 110),
    6: (228, 224, 212),
    7: (185, 210, 150),
}


def farmed(cropland: np.ndarray, piles: np.ndarray, rule: FarmedRule) -> np.ndarray:
    """What is known of each cell: uint8 [row, column], a code of ``LEGEND``, 255 where neither map says anything.

    Piles are proof of farming; their absence, in an image of a field already cleared, is none of the contrary. So
    either map makes a cell farmed, only cropland can make it not farmed, and the code keeps what both said.

    The mapped pixels of a cell speak for the cell, however few they are. At the region's border they are all that
    the region has of it, and clouds leave no other witness; who wants more of them asks for fewer observations.

    Args:
        cropland: uint8 [y, x], 0…100, 255 where nothing is mapped: percent, or the classes of ``smoothing``.
        piles: uint8 [row, column], percent, 255 where there is no picture; its cells are whole numbers of pixels.
        rule: What counts as cropland and as piles.

    Raises:
        ValueError: If the pixels do not fill the cells.
    """
    rows, columns = piles.shape
    if cropland.shape[0] % rows or cropland.shape[1] % columns:
        raise ValueError(f"pixels {cropland.shape} are not whole numbers of cells {piles.shape}")
    pixels = cropland.reshape(rows, cropland.shape[0] // rows, columns, cropland.shape[1] // columns)
    mapped = np.count_nonzero(pixels != NODATA, axis=(1, 3))
    of_class = np.count_nonzero((pixels != NODATA) & (pixels >= rule.cropland_threshold), axis=(1, 3))
    enough = 100 * of_class >= rule.least_cropland_percent * mapped
    seen = np.where(piles == NODATA, NO_PICTURE, np.where(piles >= rule.piles_threshold, PILES, NO_PILES))
    share = np.where(mapped == 0, CROPLAND_NOT_MAPPED, np.where(enough, CROPLAND, NO_CROPLAND))
    known = (mapped > 0) | (piles != NODATA)
    return np.where(known, share + PILES_FACTOR * seen, NODATA).astype(np.uint8)
