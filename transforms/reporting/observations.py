"""Areas and estimates as observations: one value a row, with what identifies it and what is told of it."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from stook.transforms.editions.edition import Edition
from stook.transforms.sampling.classes import CLASSES
from stook.transforms.statistics.sums import Place

NOT_APPLICABLE = "_Z"
HECTARES, NUMBER, SHARE = "HA", "NUMBER", "SHARE"
PIXELS, MODEL, DESIGN = "PIXEL_COUNT", "MODEL_SUM", "DESIGN_BASED"
# Of the codelist CL_OBS_STATUS of the SDMX community, version 2.
NORMAL, ESTIMATED, PROVISIONAL, MISSING, CANNOT_EXIST = "A", "E", "P", "O", "M"
NOT_FOR_PUBLICATION = "Counted from the map, biased by its errors; not for publication as an official figure."
DESIGN_PERCENT = 95.0
ALLOWED = re.compile(r"[A-Za-z0-9_-]")

DIMENSIONS = (
    "REF_AREA",
    "TIME_PERIOD",
    "SEASON",
    "PRODUCT",
    "MEASURE",
    "CLASS",
    "UNIT_MEASURE",
    "ESTIMATOR",
    "BASE_PERIOD",
)
NUMERIC_ATTRIBUTES = ("STANDARD_ERROR", "LOW", "HIGH", "INTERVAL_PERCENT", "PUBLISHED_VALUE", "THRESHOLD_PERCENT")
TEXT_ATTRIBUTES = ("SAMPLE", "BOUNDARY_VINTAGE", "REVISION", "METHOD", "COMMENT_OBS")


@dataclass(frozen=True)
class Measured:
    """A column of the table of areas as a measure.

    Attributes:
        unit: Of its values.
        name: For people.
        of_class: Whether it is of the product's class; else of all ground or cells.
        estimator: How it comes about.
        status: Of a value that is neither provisional nor absent.
    """

    unit: str
    name: str
    of_class: bool = False
    estimator: str = PIXELS
    status: str = NORMAL


MEASURES = {
    "total_ha": Measured(HECTARES, "All ground"),
    "mapped_ha": Measured(HECTARES, "Ground that is mapped"),
    "area_ha": Measured(HECTARES, "Area of the class", True, status=ESTIMATED),
    "not_mapped_no_imagery_ha": Measured(HECTARES, "Ground not mapped: no imagery"),
    "not_mapped_too_few_observations_ha": Measured(HECTARES, "Ground not mapped: too few clear observations"),
    "not_mapped_failed_ha": Measured(HECTARES, "Ground not mapped: failed"),
    "expected_ha": Measured(HECTARES, "Sum of probabilities", True, MODEL, ESTIMATED),
    "cells": Measured(NUMBER, "Cells"),
    "cells_mapped": Measured(NUMBER, "Cells that are mapped"),
    "cells_of_class": Measured(NUMBER, "Cells of the class", True, status=ESTIMATED),
    "share_of_cells": Measured(SHARE, "Cells of the class, of those mapped", True, status=ESTIMATED),
}
FIGURES = {  # of the estimates, as people call them
    "area": "Area of the class",
    "covered_area": "Area under roofs",
    "overall_accuracy": "Overall accuracy of the map",
    "users_accuracy": "User's accuracy of the class",
    "producers_accuracy": "Producer's accuracy of the class",
    "gain": "Gain of the class since the base period",
    "loss": "Loss of the class since the base period",
    "net_change": "Gain less loss since the base period",
    "area_before": "Area of the class in the base period",
    "area_after": "Area of the class in the period",
}


@dataclass(frozen=True)
class Observations:
    """Observations and the codes that they use.

    Attributes:
        table: A row per value: ``DIMENSIONS``, OBS_VALUE, OBS_STATUS, the attributes.
        codes: Dimension -> code -> name for people.
    """

    table: pd.DataFrame
    codes: Mapping[str, Mapping[str, str]]


def observations(edition: Edition, areas: pd.DataFrame, estimates: pd.DataFrame | None) -> Observations:
    """Every figure of the two tables.

    Args:
        edition: That they are of.
        areas: See ``stook.transforms.reporting.tables``.
        estimates: The same; None where there are none.

    Raises:
        ValueError: If two figures have the same dimensions; a fault of ours.
    """
    both = [areas] if estimates is None else [areas, estimates]
    names: dict[Place, str] = {
        (level, place_id): name
        for table in both
        for level, place_id, name in zip(table["level"], table["id"], table["name"], strict=True)
    }
    places = area_codes(names)
    season = edition.plan.season
    fixed = {"TIME_PERIOD": str(season.year), "SEASON": season.name, "REVISION": edition.id}
    rows = [fixed | row for row in _of_areas(edition, areas, places)]
    if estimates is not None:
        rows += [fixed | row for row in _of_estimates(estimates, places, edition.plan.provisional)]
    columns = [*DIMENSIONS, "OBS_VALUE", "OBS_STATUS", *NUMERIC_ATTRIBUTES, "POINTS", *TEXT_ATTRIBUTES]
    table = pd.DataFrame(rows, columns=columns).astype(
        dict.fromkeys(("OBS_VALUE", *NUMERIC_ATTRIBUTES), float) | {"POINTS": "Int64"}
    )
    table[list(TEXT_ATTRIBUTES)] = table[list(TEXT_ATTRIBUTES)].fillna("")
    if table.duplicated(list(DIMENSIONS)).any():
        twice = table[table.duplicated(list(DIMENSIONS))].iloc[0][list(DIMENSIONS)].to_dict()
        raise ValueError(f"two figures with the same dimensions: {twice}")
    return Observations(table, _codes(table, names, places, estimates))


def area_codes(places: Iterable[Place]) -> dict[Place, str]:
    """The code of each place: its id, and with ``@level`` where another level has the same id.

    Characters that a code may not have are written as ``$`` and their number in Unicode, so codes differ as ids do.
    """
    found = list(places)
    levels = Counter(place_id for _, place_id in found)
    return {
        (level, place_id): code_of(place_id) + (f"@{code_of(level)}" if levels[place_id] > 1 else "")
        for level, place_id in found
    }


def code_of(text: str) -> str:
    """A text as a code of SDMX: letters, digits, hyphen, underscore, and others by number."""
    return "".join(sign if ALLOWED.match(sign) else f"${ord(sign):04X}" for sign in text)


def _of_areas(edition: Edition, areas: pd.DataFrame, places: Mapping[Place, str]) -> Iterable[dict[str, Any]]:
    quantiles = {product.product: product.quantiles for product in edition.plan.products}
    for row in areas.to_dict("records"):
        shared = bool(quantiles.get(row["product"]))
        for column, measured in MEASURES.items():
            value = row[column]
            absent = bool(pd.isna(value))
            if absent and not (column == "share_of_cells" and row["cells_mapped"] == 0):
                continue  # not a measure of this product
            estimator = MODEL if shared and measured.of_class else measured.estimator
            told = {
                "REF_AREA": places[row["level"], row["id"]],
                "PRODUCT": row["product"],
                "MEASURE": column.removesuffix("_ha").upper(),
                "CLASS": _class_of(row["product"]) if measured.of_class else NOT_APPLICABLE,
                "UNIT_MEASURE": measured.unit,
                "ESTIMATOR": estimator,
                "BASE_PERIOD": NOT_APPLICABLE,
                "OBS_VALUE": None if absent else float(value),
                "OBS_STATUS": _status(measured.status, row["provisional"], CANNOT_EXIST if absent else None),
                "BOUNDARY_VINTAGE": row["boundary_vintage"],
                "METHOD": _one_line(row["method"]),
            }
            if measured.of_class:
                told |= {"THRESHOLD_PERCENT": row["threshold_percent"], "COMMENT_OBS": NOT_FOR_PUBLICATION}
            if column == "area_ha" and not pd.isna(row["low_ha"]):
                ends = quantiles[row["product"]]
                told |= {
                    "STANDARD_ERROR": row["standard_error_ha"],
                    "LOW": row["low_ha"],
                    "HIGH": row["high_ha"],
                    "INTERVAL_PERCENT": round(100 * (ends[-1] - ends[0]), 6),
                }
            yield told


def _of_estimates(estimates: pd.DataFrame, places: Mapping[Place, str], provisional: bool) -> Iterable[dict[str, Any]]:
    for row in estimates.to_dict("records"):
        absent = bool(pd.isna(row["value"]))
        yield {
            "REF_AREA": places[row["level"], row["id"]],
            "PRODUCT": row["product"],
            "MEASURE": code_of(row["figure"].upper()),
            "CLASS": _class_code(row["class"]),
            "UNIT_MEASURE": {"ha": HECTARES, "share": SHARE}[row["unit"]],
            "ESTIMATOR": DESIGN,
            "BASE_PERIOD": row["since"] or NOT_APPLICABLE,
            "OBS_VALUE": row["value"],
            "OBS_STATUS": _status(ESTIMATED, provisional, MISSING if absent else None),
            "STANDARD_ERROR": row["standard_error"],
            "LOW": row["low"],
            "HIGH": row["high"],
            "INTERVAL_PERCENT": None if pd.isna(row["low"]) else DESIGN_PERCENT,
            "PUBLISHED_VALUE": row["published"],
            "POINTS": row["points"],
            "SAMPLE": row["sample"],
            "BOUNDARY_VINTAGE": row["boundary_vintage"],
            "METHOD": _one_line(row["method"]),
            "COMMENT_OBS": _one_line(row["refused"] or row["warning"]),
        }


def _codes(
    table: pd.DataFrame, names: Mapping[Place, str], places: Mapping[Place, str], estimates: pd.DataFrame | None
) -> dict[str, dict[str, str]]:
    """Dimension -> code -> name, of the codes that are used."""
    words = {
        "MEASURE": {column.removesuffix("_ha").upper(): measured.name for column, measured in MEASURES.items()}
        | {code_of(figure.upper()): name for figure, name in FIGURES.items()},
        "CLASS": {NOT_APPLICABLE: "Not applicable"}
        | {_class_of(product): pair[1] for product, pair in CLASSES.items()}
        | ({} if estimates is None else {_class_code(name): name for name in estimates["class"] if name}),
        "UNIT_MEASURE": {HECTARES: "Hectares", NUMBER: "Number", SHARE: "Share, from 0 to 1"},
        "ESTIMATOR": {
            PIXELS: "Counted from the map's pixels",
            MODEL: "Sum of what the model says of each cell",
            DESIGN: "Estimated from a probability sample of reference points",
        },
    }
    used = {
        dimension: {code: words.get(dimension, {}).get(code, code) for code in sorted(set(table[dimension]))}
        for dimension in ("SEASON", "PRODUCT", "MEASURE", "CLASS", "UNIT_MEASURE", "ESTIMATOR")
    }
    return {"REF_AREA": {places[place]: name for place, name in names.items()}} | used


def _class_of(product: str) -> str:
    """The code of the class that a map's figures are of."""
    return _class_code(CLASSES[product][1]) if product in CLASSES else NOT_APPLICABLE


def _class_code(name: str) -> str:
    return code_of(name.upper().replace(" ", "_")) if name else NOT_APPLICABLE


def _status(ordinary: str, provisional: bool, absent: str | None) -> str:
    """One status a value: that there is none comes first, then that it is provisional."""
    return absent or (PROVISIONAL if provisional else ordinary)


def _one_line(text: str) -> str:
    """Readers of SDMX-CSV that split at every end of a line find none within a field."""
    return " ".join(text.split())
