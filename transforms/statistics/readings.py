"""What the values of a product mean: which are mapped, which the class, why others are not, and how they came about."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from stook.transforms.editions.farmed import FARMED_CODES, LEGEND, NOT_FARMED_CODES
from stook.transforms.editions.plan import M2_PER_HA, DerivedPlan, FarmedRule, Plan, ProductPlan, SmoothingRule
from stook.transforms.editions.products import counted
from stook.transforms.ground.areas import SQUARE_M
from stook.transforms.values import FAILED, NO_IMAGERY, TOO_FEW_OBSERVATIONS

PERCENT = frozenset(range(101))
NO_ESTIMATE = "not a design-based estimate"
WHOLE_CELLS = "areas of whole cells, not of fields"
METHOD = f"pixel count at a threshold; {NO_ESTIMATE}"
COVERAGE_METHOD = (
    "sum of the cells' mean shares; the interval takes errors within a square of "
    f"{SQUARE_M / 1000:g} km as wholly correlated and those of different squares as independent; {NO_ESTIMATE}"
)


@dataclass(frozen=True)
class Reading:
    """What the values of a product's class image stand for; ``mapped`` and ``seldom`` share none.

    Attributes:
        method: How the figures come about, in words.
        of_class: Values of the class; none for a share of each cell.
        threshold: Percent from which a value is of the class; None where there is none.
        mapped: Values that say something.
        seldom: Values of what was seen, but not enough to say anything.
        calibrated: Whether percents may be summed to hectares.
    """

    method: str
    of_class: frozenset[int] = frozenset()
    threshold: int | None = None
    mapped: frozenset[int] = PERCENT
    seldom: frozenset[int] = frozenset({TOO_FEW_OBSERVATIONS})
    calibrated: bool = False

    @property
    def not_mapped(self) -> dict[str, frozenset[int]]:
        """Cause -> the values that it has."""
        return {
            "no_imagery": frozenset({NO_IMAGERY}),
            "too_few_observations": self.seldom,
            "failed": frozenset({FAILED}),
        }


def reading_of(
    plan: Plan, product: ProductPlan | DerivedPlan, thresholds: Mapping[str, int], calibrated: bool
) -> Reading:
    """How a product is read.

    Args:
        plan: Of the edition.
        product: One of its products.
        thresholds: Product of a model -> percent from which a value of its map is of the class.
        calibrated: Whether its percents may be summed to hectares.
    """
    if isinstance(product, DerivedPlan):
        cell_m = plan.cells(product).resolution_m
        if isinstance(product.rule, SmoothingRule):
            return smoothed_reading(product.rule, cell_m)
        return farmed_reading(product.rule, cell_m)
    if product.quantiles:
        return Reading(COVERAGE_METHOD, calibrated=calibrated)
    threshold, cell_m = thresholds[product.product], plan.cells(product).resolution_m
    method = f"count of cells of {cell_m:g} m at a threshold; {WHOLE_CELLS}; {NO_ESTIMATE}"
    of_class = frozenset(range(threshold, 101))
    return Reading(method if counted(product.product) else METHOD, of_class, threshold, calibrated=calibrated)


def smoothed_reading(rule: SmoothingRule, cell_m: float) -> Reading:
    """How smoothed cropland is read: its threshold is the one at which it was smoothed."""
    side, least_ha = rule.majority_cells, minimum_mapping_unit_ha(rule, cell_m)
    how = f"majority of {side} x {side} cells of {cell_m:g} m, then patches of {least_ha:g} ha or more"
    of_class = frozenset(range(rule.threshold, 101))
    return Reading(f"pixel count at a threshold, smoothed ({how}); {NO_ESTIMATE}", of_class, rule.threshold)


def farmed_reading(rule: FarmedRule, cell_m: float) -> Reading:
    """How farmed cells are read: where neither map decides, what was seen is not enough."""
    method = (
        f"count of cells of {cell_m:g} m in which piles were seen ({rule.piles_threshold} % or more) or at least "
        f"{rule.least_cropland_percent} % of the mapped pixels are cropland ({rule.cropland_threshold} % or more); "
        f"{WHOLE_CELLS}; {NO_ESTIMATE}"
    )
    mapped = FARMED_CODES | NOT_FARMED_CODES
    seldom = frozenset(LEGEND) - mapped | {TOO_FEW_OBSERVATIONS}
    return Reading(method, FARMED_CODES, mapped=mapped, seldom=seldom)


def explained(product: DerivedPlan, plan: Plan) -> dict[str, Any]:
    """How a product was made from other maps, as attributes of its own."""
    made_from: dict[str, Any] = {"made_from": list(product.inputs)}
    rule = product.rule
    if isinstance(rule, SmoothingRule):
        return made_from | {
            "threshold_percent": rule.threshold,
            "majority_window_cells": rule.majority_cells,
            "minimum_mapping_unit_cells": rule.minimum_cells,
            "minimum_mapping_unit_ha": minimum_mapping_unit_ha(rule, plan.cells(product).resolution_m),
        }
    return made_from | {
        "cropland_threshold_percent": rule.cropland_threshold,
        "least_cropland_percent": rule.least_cropland_percent,
        "piles_threshold_percent": rule.piles_threshold,
    }


def minimum_mapping_unit_ha(rule: SmoothingRule, cell_m: float) -> float:
    """The smallest patch that stays, in hectares of cells of which one is so wide."""
    return rule.minimum_cells * cell_m**2 / M2_PER_HA
