"""Smoothing of cropland: the majority around each pixel, then a minimum mapping unit; the same whatever the tile size.

Both steps look only so far. With r the radius of the window, n the least pixels of a patch and distances along the
axes, the result at a pixel needs what lies within r + 2 (n - 1) of it:

- The majority at a pixel needs r.
- Whether a patch has n pixels shows within n - 1 of any one of its pixels. If the part of it that hangs together there
  has n or more, so has the patch. If it has fewer, none of its pixels is farther than n - 2, for a path that steps over
  edges to one at n - 1 has n pixels; so all their neighbours were seen, and the part is the whole patch.
- A pixel of a patch with fewer than n pixels is at most n - 1 from the neighbouring patches that decide on it, and
  these show their size within n - 1 of where they touch.
- Every decision is taken from the image of majorities, none from another decision, so nothing reaches farther.

An array's edge may cut a patch and leave fewer than n pixels of it; these touch the edge, and so are too far from the
tile to decide anything in it.
"""

import numpy as np
from scipy import ndimage

from transforms.plan import Smoothing
from transforms.values import NODATA

CROPLAND = 100  # what a pixel of the class is written as; 0 for the other, so that both read as percent


def reach_px(smoothing: Smoothing) -> int:
    """How far beyond a tile one must read for every pixel of the tile to be exact; the module's docstring says why."""
    return smoothing.majority_px // 2 + 2 * (smoothing.minimum_px - 1)


def smoothed(percent: np.ndarray, smoothing: Smoothing) -> np.ndarray:
    """Classes of cropland without specks: uint8 [y, x], 100 cropland, 0 other, 255 where nothing is mapped.

    What is not mapped stays so, has no vote, and bounds patches: a patch is as large as what is mapped of it. Beyond
    the array nothing is mapped, so pixels within ``reach_px`` of an edge are exact only where the map ends there too.

    Args:
        percent: uint8 [y, x], 0…100, 255 where nothing is mapped.
        smoothing: How.
    """
    mapped = percent != NODATA
    cropland = majority(mapped & (percent >= smoothing.threshold), mapped, smoothing.majority_px)
    cropland ^= specks(cropland, mapped, smoothing.minimum_px)
    return np.where(mapped, np.where(cropland, CROPLAND, 0), NODATA).astype(np.uint8)


def majority(cropland: np.ndarray, mapped: np.ndarray, side_px: int) -> np.ndarray:
    """Whether most mapped pixels of the window around a pixel are cropland; a tie leaves the pixel what it is.

    Args:
        cropland: bool [y, x], true only where mapped.
        mapped: bool [y, x].
        side_px: Of the window, odd.

    Returns:
        bool [y, x], true only where mapped.
    """
    lead = 2 * _window_sums(cropland, side_px) - _window_sums(mapped, side_px)
    return mapped & ((lead > 0) | (cropland & (lead == 0)))


def specks(cropland: np.ndarray, mapped: np.ndarray, minimum_px: int) -> np.ndarray:
    """Which pixels take the other class, for their patch is too small: bool [y, x].

    Patches hang together by edges. A patch of either class with fewer than ``minimum_px`` pixels gives way to a patch
    beside it that has as many. So whatever changes becomes part of a patch that is large enough, and small patches in
    the midst of each other do not just swap their classes: where no neighbour is large enough, a patch stays. (GDAL's
    sieve filter follows such neighbours on to theirs, as far as the chain goes; no tile could know where it ends.)

    Args:
        cropland: bool [y, x], true only where mapped.
        mapped: bool [y, x].
        minimum_px: Least size of a patch.
    """
    patches, count = ndimage.label(cropland)
    others, _ = ndimage.label(mapped & ~cropland)
    patches = np.where(others, others + count, patches)
    lasts = np.bincount(patches.ravel()) >= minimum_px
    lasts[0] = False  # what is not mapped is no patch
    lasting = lasts[patches]
    gives_way = np.zeros_like(lasts)
    gives_way[patches[mapped & ~lasting & ndimage.binary_dilation(lasting)]] = True
    return gives_way[patches]


def _window_sums(flags: np.ndarray, side: int) -> np.ndarray:
    """How many of the pixels of the window around each pixel are true, none beyond the array: int32 [y, x]."""
    north_west = np.pad(flags, (side // 2 + 1, side // 2)).cumsum(axis=0, dtype=np.int32).cumsum(axis=1, dtype=np.int32)
    columns = north_west[:, side:] - north_west[:, :-side]
    return columns[side:] - columns[:-side]
