"""Areas per unit, parent and region, summed from the ledger's exact integers."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import norm

from models.errors import InputError
from transforms.editions import Edition
from transforms.products import FAILED, NO_IMAGERY, TOO_FEW_OBSERVATIONS
from transforms.region import Region
from transforms.store import replacing
from transforms.unit import Unit

DM2_PER_HA = 1_000_000
WHOLE_REGION = "region"
METHOD = "pixel count at a threshold; not a design-based estimate"
COVERAGE_METHOD = (
    "sum of the cells' mean shares; the interval takes errors within a tile as wholly correlated and those of "
    "different tiles as independent; not a design-based estimate"
)
NOT_MAPPED = {
    "no_imagery": NO_IMAGERY,
    "too_few_observations": TOO_FEW_OBSERVATIONS,
    "failed": FAILED,
}
ESTIMATES = ("expected_ha", "standard_error_ha", "low_ha", "high_ha")  # columns that not every product has
Histogram = dict[int, int]
Place = tuple[str, str]


def statistics(edition: Edition, thresholds: Mapping[str, int]) -> pd.DataFrame:
    """The table of an edition.

    Args:
        edition: Every tile must have its record.
        thresholds: Product -> percent from which a pixel counts as the class.

    Returns:
        A row per product and unit, then per parent, then for the region. Areas come as exact integers in dm²
        (``…_dm2``), which add up to parents and region without any difference, and as hectares.

    Raises:
        InputError: If a tile has no record yet.
    """
    manifest, plan, region = edition.manifest, edition.plan, Region.read(edition.units)
    names = {unit.id: unit.name for unit in region.units}
    sums = ledger_sums(edition, region)
    rows = []
    for product in plan.products:
        calibrated = manifest["calibrated"][product.product]
        for place in sorted(sums.histograms[product.product], key=level_order):
            level, place_id = place
            histogram = sums.histograms[product.product][place]
            if product.quantiles:
                covered, squares = sums.covered[product.product][place], sums.squares[product.product][place]
                figures = coverage_of(histogram, covered, squares if calibrated else None, product.quantiles)
            else:
                figures = areas_of(histogram, thresholds[product.product], calibrated)
            rows.append(
                {
                    "level": level,
                    "id": place_id,
                    "name": names.get(place_id, place_id) if level == "unit" else place_id,
                    "product": product.product,
                    "season": str(plan.season),
                    "provisional": plan.provisional,
                    "threshold_percent": None if product.quantiles else thresholds[product.product],
                    **figures,
                    "method": COVERAGE_METHOD if product.quantiles else METHOD,
                }
            )
    return pd.DataFrame(rows).astype(dict.fromkeys(ESTIMATES, float) | {"threshold_percent": "Int64"})


def places(unit: Unit) -> list[Place]:
    """Level and id of the rows that count a unit, but for the region's: its own and those of the parents it has."""
    parents = [(f"parent {n}", parent) for n, parent in enumerate(unit.parents, 1) if parent is not None]
    return [("unit", unit.id), *parents]


@dataclass(frozen=True)
class Sums:
    """What the records of an edition add up to, by product and place (level and id).

    Attributes:
        histograms: Class value -> dm².
        covered: Of products that are shares, mean share times area, dm².
        squares: Of the same, the sum over tiles of (interval width times area)², dm⁴.
    """

    histograms: dict[str, dict[Place, Histogram]]
    covered: dict[str, dict[Place, int]]
    squares: dict[str, dict[Place, float]]


def ledger_sums(edition: Edition, region: Region) -> Sums:
    """Add up all tiles, one record in memory at a time.

    Raises:
        InputError: If a tile has no record yet.
    """
    plan = edition.plan
    around = {unit.id: (*places(unit), (WHOLE_REGION, plan.name)) for unit in region.units}
    shares = [product.product for product in plan.products if product.quantiles]
    histograms: dict[str, dict[Place, Histogram]] = {
        product.product: {place: defaultdict(int) for unit in around.values() for place in unit}
        for product in plan.products
    }
    covered: dict[str, dict[Place, int]] = {product: defaultdict(int) for product in shares}
    squares: dict[str, dict[Place, float]] = {product: defaultdict(float) for product in shares}
    tiles, found = len(edition.manifest["tiles"]), 0
    for record in edition.ledger.records():
        found += 1
        for product, made in record.products.items():
            for unit, histogram in made.areas.items():
                for place in around[unit]:
                    for value, area in histogram.items():
                        histograms[product][place][value] += area
            widths: dict[Place, int] = defaultdict(int)
            for unit, sums in made.covered.items():
                for place in around[unit]:
                    covered[product][place] += sums.mean_dm2
                    widths[place] += sums.width_dm2
            for place, width in widths.items():
                squares[product][place] += width**2
    if found < tiles:
        raise InputError(f"{edition.folder}: {tiles - found} of {tiles} tiles are not mapped yet")
    return Sums(histograms, covered, squares)


def level_order(place: Place) -> tuple[int, str, str]:
    """Units first, then nearer before farther parents, the region last; by id within a level."""
    level, place_id = place
    return (0 if level == "unit" else 2 if level == WHOLE_REGION else 1, level, place_id)


def areas_of(histogram: Histogram, threshold: int, calibrated: bool) -> dict[str, Any]:
    """Columns of areas of a class, from one histogram of its values."""
    area = sum(area for value, area in histogram.items() if threshold <= value <= 100)
    # Summed probabilities mean hectares only if 30 % means three in ten.
    expected = sum(value * area for value, area in histogram.items() if value <= 100) / 100 if calibrated else None
    return columns_of(histogram, area) | {"expected_ha": None if expected is None else expected / DM2_PER_HA}


def coverage_of(
    histogram: Histogram, covered: int, squares: float | None, quantiles: tuple[float, ...]
) -> dict[str, Any]:
    """Columns of areas of a covered share.

    Args:
        histogram: Median -> dm².
        covered: Mean share times area, dm².
        squares: See ``Sums``; None where the intervals do not hold.
        quantiles: Whose outermost are the interval's ends.
    """
    columns = columns_of(histogram, covered)
    if squares is None:
        return columns
    # An interval that is so wide, of a normal distribution, has this standard deviation; its ends are so far away.
    reach = float(norm.ppf(quantiles[-1]))
    error = np.sqrt(squares) / (2 * reach) / DM2_PER_HA
    area, mapped = columns["area_ha"], columns["mapped_ha"]
    return columns | {
        "standard_error_ha": error,
        "low_ha": max(0.0, area - reach * error),
        "high_ha": min(mapped, area + reach * error),
    }


def columns_of(histogram: Histogram, area: int) -> dict[str, Any]:
    """Columns that every product has, in hectares and as exact integers in dm²."""
    dm2 = {
        "total": sum(histogram.values()),
        "mapped": sum(area for value, area in histogram.items() if value <= 100),
        "area": area,
        **{f"not_mapped_{cause}": histogram.get(value, 0) for cause, value in NOT_MAPPED.items()},
    }
    return (
        {f"{name}_ha": area / DM2_PER_HA for name, area in dm2.items()}
        | dict.fromkeys(ESTIMATES)
        | {f"{name}_dm2": area for name, area in dm2.items()}
    )


def failed_share(table: pd.DataFrame) -> float:
    """Share of the region's area that failed, the worst of all products."""
    whole = table[table["level"] == WHOLE_REGION]
    return float((whole["not_mapped_failed_dm2"] / whole["total_dm2"]).max())


def write_statistics(edition: Edition, thresholds: Mapping[str, int]) -> pd.DataFrame:
    """Write ``statistics.csv`` and ``statistics.parquet`` of an edition; returns the table."""
    table = statistics(edition, thresholds)
    for suffix in ("csv", "parquet"):
        write_table(table, edition.folder / f"statistics.{suffix}")
    return table


def write_table(table: pd.DataFrame, path: Path) -> None:
    """Write a table as CSV or Parquet, by suffix; the file appears whole."""
    with replacing(path) as scratch:
        if path.suffix == ".parquet":
            table.to_parquet(scratch, index=False)
        else:
            table.to_csv(scratch, index=False, float_format="%.6f")
