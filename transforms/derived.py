"""Products that are made from finished maps: what they read, what they are, and what readers must know of them."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from transforms import smoothing
from transforms.cells import cells_any
from transforms.farmed import farmed
from transforms.plan import DerivedPlan, Plan, Smoothing
from transforms.values import NO_IMAGERY, NODATA, TOO_FEW_OBSERVATIONS

M2_PER_HA = 10_000


def reach_px(product: DerivedPlan) -> int:
    """How far beyond a tile its inputs are read, in pixels of the grid."""
    return smoothing.reach_px(product.rule) if isinstance(product.rule, Smoothing) else 0


def derive(product: DerivedPlan, maps: Sequence[np.ndarray]) -> np.ndarray:
    """The product, uint8 [cell row, cell column], 255 where there is none, as far as the maps go.

    Args:
        product: As planned.
        maps: Its inputs in order, uint8 [y, x] in pixels of the grid, 255 where nothing is mapped.
    """
    if isinstance(product.rule, Smoothing):
        [percent] = maps
        return smoothing.smoothed(percent, product.rule)
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


def explained(product: DerivedPlan, plan: Plan) -> dict[str, Any]:
    """How the product was made, as attributes of its map."""
    made_from: dict[str, Any] = {"made_from": list(product.inputs)}
    rule = product.rule
    if isinstance(rule, Smoothing):
        return made_from | {
            "threshold_percent": rule.threshold,
            "majority_window_px": rule.majority_px,
            "minimum_mapping_unit_px": rule.minimum_px,
            "minimum_mapping_unit_ha": minimum_mapping_unit_ha(rule, plan),
        }
    return made_from | {
        "cropland_threshold_percent": rule.cropland_threshold,
        "least_cropland_percent": rule.least_cropland_percent,
        "piles_threshold_percent": rule.piles_threshold,
    }


def minimum_mapping_unit_ha(rule: Smoothing, plan: Plan) -> float:
    """The smallest patch that stays, in hectares of the grid."""
    return rule.minimum_px * plan.grid.resolution_m**2 / M2_PER_HA
