"""Areas and cells per unit, parent and region, from the sums of the ledger's exact integers."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import ndtri

from stook.transforms.editions.edition import Edition
from stook.transforms.editions.farmed import FARMED_CODES, LEGEND, NOT_FARMED_CODES
from stook.transforms.editions.plan import DerivedPlan, ProductPlan
from stook.transforms.editions.products import counted
from stook.transforms.ground.region import Region
from stook.transforms.statistics.readings import Reading, reading_of
from stook.transforms.statistics.sums import WHOLE_REGION, Histogram, Place, Sums, ledger_sums, level_order
from stook.transforms.store import Address, replacing

DM2_PER_HA = 1_000_000
ESTIMATES = ("expected_ha", "standard_error_ha", "low_ha", "high_ha")  # columns that not every product has
CELLS = ("cells", "cells_mapped", "cells_of_class")  # the same
CELLS_SHARE = "share_of_cells"  # of those that are mapped
FARMED_CELLS = "farmed_cells"


def statistics(edition: Edition, thresholds: Mapping[str, int]) -> pd.DataFrame:
    """The table of an edition.

    Args:
        edition: Every tile must have its record.
        thresholds: Product of a model -> percent from which a pixel counts as the class.

    Returns:
        A row per product and unit, then per parent, then for the region. Areas come as exact integers in dm²
        (``…_dm2``), which add up to parents and region without any difference, and as hectares; numbers of cells do
        so too.

    Raises:
        InputError: If a tile has no record yet.
    """
    region = Region.read(edition.units)
    return area_table(edition, region, ledger_sums(edition, region), thresholds)


def area_table(edition: Edition, region: Region, sums: Sums, thresholds: Mapping[str, int]) -> pd.DataFrame:
    """See ``statistics``."""
    manifest, plan = edition.manifest, edition.plan
    rows = []
    for product in plan.all_products:
        name = product.product
        reading = reading_of(plan, product, thresholds, manifest["calibrated"][name])
        rows += [
            told
            | {"product": name, "season": str(plan.season), "provisional": plan.provisional}
            | {"threshold_percent": reading.threshold}
            | figures_of(product, sums, place, reading)
            | {"method": reading.method}
            for place, told in named(sums.histograms[name], region)
        ]
    types = dict.fromkeys(ESTIMATES, float) | dict.fromkeys(("threshold_percent", *CELLS), "Int64")
    return pd.DataFrame(rows).astype(types | {CELLS_SHARE: float})


def named(found: Iterable[Place], region: Region) -> list[tuple[Place, dict[str, str]]]:
    """Places in the order of the table, each with the columns that name it."""
    names = {unit.id: unit.name for unit in region.units}
    return [
        (place, {"level": place[0], "id": place[1], "name": names[place[1]] if place[0] == "unit" else place[1]})
        for place in sorted(found, key=level_order)
    ]


def figures_of(product: ProductPlan | DerivedPlan, sums: Sums, place: Place, reading: Reading) -> dict[str, Any]:
    """Columns of a product's areas and cells in a place."""
    name = product.product
    histogram = sums.histograms[name][place]
    if product.quantiles:
        squares = sums.squares[name][place] if reading.calibrated else None
        areas = coverage_of(histogram, sums.covered[name][place], squares, product.quantiles, reading)
    else:
        areas = areas_of(histogram, reading)
    return areas | (
        cells_of(sums.cells[name][place], reading) if counted(name) else dict.fromkeys((*CELLS, CELLS_SHARE))
    )


def areas_of(histogram: Histogram, reading: Reading) -> dict[str, Any]:
    """Columns of areas of a class, from one histogram of its values."""
    # Summed probabilities mean hectares only if 30 % means three in ten.
    expected = sum(value * area for value, area in histogram.items() if value in reading.mapped) / 100
    return columns_of(histogram, total(histogram, reading.of_class), reading) | {
        "expected_ha": expected / DM2_PER_HA if reading.calibrated else None
    }


def coverage_of(
    histogram: Histogram, covered: int, squares: float | None, quantiles: tuple[float, ...], reading: Reading
) -> dict[str, Any]:
    """Columns of areas of a covered share.

    Args:
        histogram: Median -> dm².
        covered: Mean share times area, dm².
        squares: See ``Sums``; None where the intervals do not hold.
        quantiles: Whose outermost are the interval's ends.
        reading: Of the histogram.
    """
    columns = columns_of(histogram, covered, reading)
    if squares is None:
        return columns
    # An interval that is so wide, of a normal distribution, has this standard deviation; its ends are so far away.
    reach = float(ndtri(quantiles[-1]))
    error = np.sqrt(squares) / (2 * reach) / DM2_PER_HA
    area, mapped = columns["area_ha"], columns["mapped_ha"]
    return columns | {
        "standard_error_ha": error,
        "low_ha": max(0.0, area - reach * error),
        "high_ha": min(mapped, area + reach * error),
    }


def columns_of(histogram: Histogram, area: int, reading: Reading) -> dict[str, Any]:
    """Columns that every product has, in hectares and as exact integers in dm²."""
    dm2 = {
        "total": sum(histogram.values()),
        "mapped": total(histogram, reading.mapped),
        "area": area,
        **{f"not_mapped_{cause}": total(histogram, values) for cause, values in reading.not_mapped.items()},
    }
    return (
        {f"{name}_ha": area / DM2_PER_HA for name, area in dm2.items()}
        | dict.fromkeys(ESTIMATES)
        | {f"{name}_dm2": area for name, area in dm2.items()}
    )


def cells_of(cells: Histogram, reading: Reading) -> dict[str, Any]:
    """Columns of numbers of cells."""
    mapped, of_class = total(cells, reading.mapped), total(cells, reading.of_class)
    share = of_class / mapped if mapped else None
    numbers = (sum(cells.values()), mapped, of_class)
    return dict(zip(CELLS, numbers, strict=True)) | {CELLS_SHARE: share}


def total(histogram: Histogram, values: Iterable[int]) -> int:
    """What some values of a histogram add up to."""
    return sum(histogram.get(value, 0) for value in values)


def farmed_table(edition: Edition, region: Region, sums: Sums) -> pd.DataFrame:
    """How it is known which cells are farmed.

    Returns:
        For each unit, parent and the region a row per code of the legend, then one per cause of there being none;
        cells and dm² add up to all of the place.
    """
    plan = edition.plan
    [product] = [product for product in plan.derived if product.product == FARMED_CELLS]
    reading = reading_of(plan, product, {}, calibrated=False)
    answers = dict.fromkeys(FARMED_CODES, "farmed") | dict.fromkeys(NOT_FARMED_CODES, "not farmed")
    kinds: list[tuple[int | None, str, str, frozenset[int]]] = [
        (code, answers.get(code, "not known"), meaning, frozenset({code})) for code, meaning in LEGEND.items()
    ] + [
        (None, "not known", f"not mapped: {cause.replace('_', ' ')}", values - set(LEGEND))
        for cause, values in reading.not_mapped.items()
    ]
    rows = []
    for place, told in named(sums.histograms[FARMED_CELLS], region):
        cells, areas = sums.cells[FARMED_CELLS][place], sums.histograms[FARMED_CELLS][place]
        for code, answer, meaning, values in kinds:
            area = total(areas, values)
            rows.append(
                told
                | {"season": str(plan.season), "provisional": plan.provisional}
                | {"code": code, "answer": answer, "meaning": meaning, "cells": total(cells, values)}
                | {"area_ha": area / DM2_PER_HA, "area_dm2": area, "method": reading.method}
            )
    return pd.DataFrame(rows).astype({"code": "Int64"})


def failed_share(table: pd.DataFrame) -> float:
    """Share of the region's area that failed, the worst of all products."""
    whole = table[table["level"] == WHOLE_REGION]
    return float((whole["not_mapped_failed_dm2"] / whole["total_dm2"]).max())


def write_statistics(edition: Edition, thresholds: Mapping[str, int]) -> pd.DataFrame:
    """Write ``statistics`` of an edition, and ``farmed_cells`` if it has them, as CSV and Parquet.

    Returns:
        The table of ``statistics``.

    Raises:
        InputError: If a tile has no record yet.
    """
    region = Region.read(edition.units)
    sums = ledger_sums(edition, region)
    tables = {"statistics": area_table(edition, region, sums, thresholds)}
    if edition.plan.farmed is not None:
        tables[FARMED_CELLS] = farmed_table(edition, region, sums)
    for name, table in tables.items():
        for suffix in ("csv", "parquet"):
            write_table(table, edition.folder / f"{name}.{suffix}")
    return tables["statistics"]


def write_table(table: pd.DataFrame, path: Address) -> None:
    """Write a table as CSV or Parquet, by suffix; the file appears whole."""
    with replacing(path) as scratch:
        if path.suffix == ".parquet":
            table.to_parquet(scratch, index=False)
        else:
            table.to_csv(scratch, index=False, float_format="%.6f", lineterminator="\n")
