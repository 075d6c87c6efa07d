"""Smoothing of cropland: the majority around each cell, then a minimum mapping unit; the same whatever the tile size.

Both steps look only so far. With r the radius of the window, n the least cells of a patch and distances along the
axes, the result at a cell needs what lies within r + 2 (n - 1) of it:

- The majority at a cell needs r.
- Whether a patch has n cells shows within n - 1 of any one of its cells. If the part of it that hangs together there
  has n or more, so has the patch. If it has fewer, none of its cells is farther than n - 2, for a path that steps over
  edges to one at n - 1 has n cells; so all their neighbours were seen, and the part is the whole patch.
- A cell of a patch with fewer than n cells is at most n - 1 from the neighbouring patches that decide on it, and
  these show their size within n - 1 of where they touch.
- Every decision is taken from the image of majorities, none from another decision, so nothing reaches farther.

An array's edge may cut a patch and leave fewer than n cells of it; these touch the edge, and so are too far from the
tile to decide anything in it.
"""

import numpy as np
from scipy import ndimage

from stook.transforms.editions.plan import SmoothingRule
from stook.transforms.values import NODATA

CROPLAND = 100  # what a cell of the class is written as; 0 for the other, so that both read as percent


def reach_cells(rule: SmoothingRule) -> int:
    """How many cells beyond a tile one must read for each of its cells to be exact; the module's docstring says why."""
    return rule.majority_cells // 2 + 2 * (rule.minimum_cells - 1)


def smoothed(percent: np.ndarray, rule: SmoothingRule) -> np.ndarray:
    """Classes of cropland without specks: uint8 [row, column], 100 cropland, 0 other, 255 where nothing is mapped.

    What is not mapped stays so, has no vote, and bounds patches: a patch is as large as what is mapped of it. Beyond
    the array nothing is mapped, so cells within ``reach_cells`` of an edge are exact only where the map ends there too.

    Args:
        percent: uint8 [row, column], 0…100, 255 where nothing is mapped.
        rule: How.
    """
    mapped = percent != NODATA
    cropland = majority(mapped & (percent >= rule.threshold), mapped, rule.majority_cells)
    cropland ^= specks(cropland, mapped, rule.minimum_cells)
    return np.where(mapped, np.where(cropland, CROPLAND, 0), NODATA).astype(np.uint8)


def majority(cropland: np.ndarray, mapped: np.ndarray, side: int) -> np.ndarray:
    """Whether most mapped cells of the window around a cell are cropland; a tie leaves the cell what it is.

    Args:
        cropland: bool [row, column], true only where mapped.
        mapped: bool [row, column].
        side: Of the window, odd.

    Returns:
        bool [row, column], true only where mapped.
    """
    lead = 2 * _window_sums(cropland, side) - _window_sums(mapped, side)
    return mapped & ((lead > 0) | (cropland & (lead == 0)))


def specks(cropland: np.ndarray, mapped: np.ndarray, minimum_cells: int) -> np.ndarray:
    """Which cells take the other class, for their patch is too small: bool [row, column].

    Patches hang together by edges. A patch of either class with fewer than ``minimum_cells`` cells gives way to a patch
    beside it that has as many. So whatever changes becomes part of a patch that is large enough, and small patches in
    the midst of each other do not just swap their classes: where no neighbour is large enough, a patch stays. (GDAL's
    sieve filter follows such neighbours on to theirs, as far as the chain goes; no tile could know where it ends.)

    Args:
        cropland: bool [row, column], true only where mapped.
        mapped: bool [row, column].
        minimum_cells: Least size of a patch.
    """
    patches, count = ndimage.label(cropland)
    others, _ = ndimage.label(mapped & ~cropland)
    patches = np.where(others, others + count, patches)
    lasts = np.bincount(patches.ravel()) >= minimum_cells
    lasts[0] = False  # what is not mapped is no patch
    lasting = lasts[patches]
    gives_way = np.zeros_like(lasts)
    gives_way[patches[mapped & ~lasting & ndimage.binary_dilation(lasting)]] = True
    return gives_way[patches]


def _window_sums(flags: np.ndarray, side: int) -> np.ndarray:
    """How many of the cells of the window around each cell are true, none beyond the array: int32 [row, column]."""
    north_west = np.pad(flags, (side // 2 + 1, side // 2)).cumsum(axis=0, dtype=np.int32).cumsum(axis=1, dtype=np.int32)
    columns = north_west[:, side:] - north_west[:, :-side]
    return columns[side:] - columns[:-side]
