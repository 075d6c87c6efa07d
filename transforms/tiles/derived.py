"""Products that are made from finished maps: what they read, and what they are."""

from collections.abc import Sequence

import numpy as np

from stook.transforms.editions.farmed import farmed
from stook.transforms.editions.plan import DerivedPlan, SmoothingRule
from stook.transforms.ground.cells import cells_any
from stook.transforms.ground.grid import Tile
from stook.transforms.tiles import smoothing
from stook.transforms.values import NO_IMAGERY, NODATA, TOO_FEW_OBSERVATIONS


def reach_px(product: DerivedPlan) -> int:
    """How far beyond a tile its inputs are read, in pixels of the grid; whole cells of the product."""
    return smoothing.reach_cells(product.rule) * product.cell_px if isinstance(product.rule, SmoothingRule) else 0


def tiles_within(tile: Tile, distance_px: int, tile_px: int) -> set[Tile]:
    """The other tiles of the zone's grid of which some pixel lies so near to a tile, along the axes."""
    rings = -(-distance_px // tile_px)
    steps = range(-rings, rings + 1)
    return {Tile(tile.zone, tile.ix + x, tile.iy + y) for x in steps for y in steps if (x, y) != (0, 0)}


def derive(product: DerivedPlan, maps: Sequence[np.ndarray]) -> np.ndarray:
    """The product, uint8 [cell row, cell column], 255 where there is none, as far as the maps go.

    Args:
        product: As planned.
        maps: Its inputs in order, uint8 [y, x] in pixels of the grid, 255 where nothing is mapped.
    """
    if isinstance(product.rule, SmoothingRule):
        [percent] = maps
        return smoothing.smoothed(percent[:: product.cell_px, :: product.cell_px], product.rule)
    cropland, piles = maps
    return farmed(cropland, piles[:: product.cell_px, :: product.cell_px], product.rule)


def derived_classes(product: DerivedPlan, image: np.ndarray, inputs: Sequence[np.ndarray]) -> np.ndarray:
    """The product, or why there is none: the values to count areas over, uint8 [cell row, cell column].

    Where some of the cell was imaged but too seldom, that is why; else there is no imagery.

    Args:
        product: As planned.
        image: The product of a tile.
        inputs: The same of its inputs in the tile, uint8 [y, x] in pixels of the grid.
    """
    seldom = np.any([classes == TOO_FEW_OBSERVATIONS for classes in inputs], axis=0)
    unmapped = np.where(cells_any(seldom, product.cell_px), TOO_FEW_OBSERVATIONS, NO_IMAGERY)
    return np.where(image == NODATA, unmapped, image).astype(np.uint8)
