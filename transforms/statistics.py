"""Areas per unit, parent and region, summed from the ledger's exact integers."""

from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from models.errors import InputError
from transforms.editions import Edition
from transforms.products import FAILED, NO_IMAGERY, TOO_FEW_OBSERVATIONS
from transforms.region import Region
from transforms.store import replacing
from transforms.unit import Unit

DM2_PER_HA = 1_000_000
WHOLE_REGION = "region"
METHOD = "pixel count at a threshold; not a design-based estimate"
NOT_MAPPED = {
    "no_imagery": NO_IMAGERY,
    "too_few_observations": TOO_FEW_OBSERVATIONS,
    "failed": FAILED,
}
Histogram = dict[int, int]


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
    histograms = unit_histograms(edition, set(manifest["tiles"]))
    rows = []
    for product in plan.products:
        sums: dict[tuple[str, str], Histogram] = defaultdict(lambda: defaultdict(int))
        for unit in region.units:
            for place in (*places(unit), (WHOLE_REGION, plan.name)):
                for value, area in histograms[unit.id][product.product].items():
                    sums[place][value] += area
        names = {unit.id: unit.name for unit in region.units}
        for (level, place_id), histogram in sorted(sums.items(), key=lambda entry: level_order(entry[0])):
            rows.append(
                {
                    "level": level,
                    "id": place_id,
                    "name": names.get(place_id, place_id) if level == "unit" else place_id,
                    "product": product.product,
                    "season": str(plan.season),
                    "provisional": plan.provisional,
                    "threshold_percent": thresholds[product.product],
                    **areas_of(histogram, thresholds[product.product], manifest["calibrated"][product.product]),
                    "method": METHOD,
                }
            )
    return pd.DataFrame(rows).astype({"expected_ha": float})


def places(unit: Unit) -> list[tuple[str, str]]:
    """Level and id of the rows that count a unit, but for the region's: its own and those of the parents it has."""
    parents = [(f"parent {n}", parent) for n, parent in enumerate(unit.parents, 1) if parent is not None]
    return [("unit", unit.id), *parents]


def unit_histograms(edition: Edition, tiles: set[str]) -> dict[str, dict[str, Histogram]]:
    """Unit -> product -> class value -> dm², over all tiles; one record in memory at a time."""
    sums: dict[str, dict[str, Histogram]] = defaultdict(lambda: defaultdict(lambda: defaultdict(int)))
    found = 0
    for record in edition.ledger.records():
        found += 1
        for unit, products in record.areas.items():
            for product, histogram in products.items():
                for value, area in histogram.items():
                    sums[unit][product][value] += area
    if found < len(tiles):
        raise InputError(f"{edition.folder}: {len(tiles) - found} of {len(tiles)} tiles are not mapped yet")
    return sums


def level_order(place: tuple[str, str]) -> tuple[int, str, str]:
    """Units first, then nearer before farther parents, the region last; by id within a level."""
    level, place_id = place
    return (0 if level == "unit" else 2 if level == WHOLE_REGION else 1, level, place_id)


def areas_of(histogram: Histogram, threshold: int, calibrated: bool) -> dict[str, Any]:
    """Columns of areas of one histogram of class values."""
    dm2 = {
        "total": sum(histogram.values()),
        "mapped": sum(area for value, area in histogram.items() if value <= 100),
        "area": sum(area for value, area in histogram.items() if threshold <= value <= 100),
        **{f"not_mapped_{cause}": histogram.get(value, 0) for cause, value in NOT_MAPPED.items()},
    }
    # Summed probabilities mean hectares only if 30 % means three in ten.
    expected = sum(value * area for value, area in histogram.items() if value <= 100) / 100 if calibrated else None
    return {
        **{f"{name}_ha": area / DM2_PER_HA for name, area in dm2.items()},
        "expected_ha": None if expected is None else expected / DM2_PER_HA,
        **{f"{name}_dm2": area for name, area in dm2.items()},
    }


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
