"""What every column of every published file means: the one place for it, and the dictionary that is made from it."""

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from stook.transforms.sampling import estimates

DICTIONARY = ("file", "column", "type", "unit", "meaning", "source")
TYPES = {"bool": "yes or no", "integer": "whole number", "number": "decimal number", "text": "text"}


@dataclass(frozen=True)
class Column:
    """What a column holds.

    Attributes:
        meaning: In words.
        source: What it was taken or computed from.
        unit: Of its values; empty for text and codes.
    """

    meaning: str
    source: str
    unit: str = ""


LEDGER = "sum over the tiles of the edition's ledger"
UNITS = "units of the region, as frozen with the edition"
MANIFEST = "manifest of the edition"
SAMPLE = "reference sample and its answers"
CONFIGURATION = "configuration"
GIVEN = "derived from the other columns"

PLACE = {
    "level": Column("unit, parent 1 (the nearest), parent 2, …, or region", UNITS),
    "id": Column("of the place; with level, its key", UNITS),
    "name": Column("of the place; the id where it has no name", UNITS),
}
SUMMED = {
    "total": "all ground of the place; mapped and the three of not_mapped add up to it",
    "mapped": "ground with any answer of the map",
    "area": "ground of the class on the map, or under roofs; counted from pixels, not estimated",
    "not_mapped_no_imagery": "ground of which no scene has data",
    "not_mapped_too_few_observations": "ground with too few clear observations to say anything",
    "not_mapped_failed": "ground of tiles that could not be mapped",
}
AREAS = PLACE | {
    "product": Column("name of the map", CONFIGURATION),
    "season": Column("name and harvest year of the season", CONFIGURATION),
    "provisional": Column("whether the season was not over when it was mapped", MANIFEST),
    "threshold_percent": Column("probability from which a cell counts as the class", CONFIGURATION, "percent"),
    **{f"{name}_ha": Column(f"{meaning}; unrounded", LEDGER, "ha") for name, meaning in SUMMED.items()},
    "expected_ha": Column("sum of probabilities; only of a calibrated model", LEDGER, "ha"),
    "standard_error_ha": Column("of area_ha, as the model's quantiles tell it; building coverage only", LEDGER, "ha"),
    "low_ha": Column("lower end of the model's interval of area_ha; building coverage only", LEDGER, "ha"),
    "high_ha": Column("upper end of the model's interval of area_ha; building coverage only", LEDGER, "ha"),
    **{
        f"{name}_dm2": Column(f"{meaning}; exact, adds up to parents and region without a rest", LEDGER, "dm²")
        for name, meaning in SUMMED.items()
    },
    "cells": Column("cells that have most of their ground in the place", LEDGER, "cells"),
    "cells_mapped": Column("of these, with any answer", LEDGER, "cells"),
    "cells_of_class": Column("of these, of the class", LEDGER, "cells"),
    "share_of_cells": Column("cells_of_class of cells_mapped", LEDGER, "share"),
    "method": Column("how the figure came about", MANIFEST),
    "edition": Column("result that the figure is of; another edition is a revision", MANIFEST),
    "boundary_vintage": Column("of the boundaries, or the hash of the units", CONFIGURATION),
}
UNIT_COLUMN = "as column unit says"
ESTIMATES = {
    name: Column(
        meaning, SAMPLE, UNIT_COLUMN if name in ("value", "standard_error", "low", "high", "published") else ""
    )
    for name, meaning in estimates.COLUMNS.items()
} | {
    "map_value": Column(estimates.COLUMNS["map_value"], LEDGER, UNIT_COLUMN),
    "points": Column(estimates.COLUMNS["points"], SAMPLE, "points"),
    "boundary_vintage": AREAS["boundary_vintage"],
    **PLACE,
}
REVISIONS = PLACE | {
    "product": AREAS["product"],
    "figure": Column("map area: from the map's pixels; otherwise the estimate's figure", MANIFEST),
    "class": Column("the class, empty where the figure is of none", SAMPLE),
    "unit": Column("ha or share", GIVEN),
    "edition_before": Column("the earlier edition", MANIFEST),
    "edition_after": Column("the later edition", MANIFEST),
    "before": Column("figure of the earlier edition, unrounded", "both editions", UNIT_COLUMN),
    "after": Column("figure of the later edition, unrounded", "both editions", UNIT_COLUMN),
    "difference": Column("after less before", GIVEN, UNIT_COLUMN),
    "difference_percent": Column("difference in percent of before", GIVEN, "percent"),
    "standard_error_before": Column("of before, where it has one", "both editions", UNIT_COLUMN),
    "standard_error_after": Column("of after, where it has one", "both editions", UNIT_COLUMN),
    "mapped_before_ha": Column("ground mapped in the earlier edition", LEDGER, "ha"),
    "mapped_after_ha": Column("ground mapped in the later edition", LEDGER, "ha"),
    "why": Column("what differs between the editions that can change the figure; empty where it is the same", MANIFEST),
}
SERIES = PLACE | {
    "product": AREAS["product"],
    "season": AREAS["season"],
    "year": Column("harvest year", CONFIGURATION),
    "edition": AREAS["edition"],
    "provisional": AREAS["provisional"],
    "threshold_percent": AREAS["threshold_percent"],
    "total_ha": AREAS["total_ha"],
    "mapped_ha": AREAS["mapped_ha"],
    "mapped_share": Column("mapped_ha of total_ha", GIVEN, "share"),
    "map_area_ha": AREAS["area_ha"],
    "estimate_ha": Column("estimate from the reference sample, unrounded; empty where there is none", SAMPLE, "ha"),
    "standard_error_ha": Column("of estimate_ha", SAMPLE, "ha"),
    "low_ha": Column("lower end of the 95 % interval of estimate_ha", SAMPLE, "ha"),
    "high_ha": Column("upper end of the 95 % interval of estimate_ha", SAMPLE, "ha"),
    "published_ha": Column("estimate_ha rounded to its standard error", SAMPLE, "ha"),
    "estimator": Column("how the year's figure came about: the estimate's where there is one, else the map's", SAMPLE),
    "sample": Column("id of the sample", SAMPLE),
    "compared_with": Column("the published year before, that the differences are to", GIVEN),
    "difference_ha": Column("year's figure less that of compared_with; empty where the estimators differ", GIVEN, "ha"),
    "difference_percent": Column("the same in percent of the earlier figure", GIVEN, "percent"),
    "difference_standard_error_ha": Column(
        "of difference_ha, of estimates from two samples; of one sample 'stook change' tells it", GIVEN, "ha"
    ),
    "comparable": Column("whether nothing is known that keeps the two years from being compared", GIVEN),
    "why_not": Column("what keeps them from being compared", GIVEN),
}
SCENES = "scenes that the edition was opened with, whose footprint touches the place"
MAPS = "published map of observations, weighted by area, without failed tiles"
COMPARABILITY = PLACE | {
    "product": AREAS["product"],
    "season": AREAS["season"],
    "year": SERIES["year"],
    "edition": AREAS["edition"],
    "provisional": AREAS["provisional"],
    "threshold_percent": AREAS["threshold_percent"],
    "mapped_share": SERIES["mapped_share"],
    "failed_share": Column("ground of tiles that could not be mapped, of all ground", LEDGER, "share"),
    "observations_mean": Column("clear observations of the ground; of pictures, dates; empty of derived maps", MAPS),
    "observations_p10": Column("the same of the tenth of the ground that was seen least: its 10th percentile", MAPS),
    "scenes": Column("how many scenes of the archives", SCENES),
    "scenes_per_month": Column("archive and month -> scenes, months of the window without any included", SCENES),
    "baselines": Column("archive and processing baseline -> share of its scenes", SCENES),
    "model": Column("hash of the bundle, or of the bundles behind a derived map", MANIFEST),
    "processing": Column("version of the computation", MANIFEST),
    "compared_with": SERIES["compared_with"],
    "comparable": SERIES["comparable"],
    "why_not": SERIES["why_not"],
}
OBSERVATIONS = {
    "STRUCTURE": Column("kind of structure that the data follow", "SDMX-CSV 2.0"),
    "STRUCTURE_ID": Column("the data structure definition in structure.xml", "SDMX-CSV 2.0"),
    "ACTION": Column("I: for information", "SDMX-CSV 2.0"),
    "REF_AREA": Column("the place, a code of CL_AREA", UNITS),
    "TIME_PERIOD": Column("harvest year", CONFIGURATION),
    "SEASON": Column("name of the season", CONFIGURATION),
    "PRODUCT": Column("the map, a code of CL_PRODUCT", CONFIGURATION),
    "MEASURE": Column("what is measured, a code of CL_MEASURE", GIVEN),
    "CLASS": Column("class of ground, a code of CL_CLASS; _Z where there is none", SAMPLE),
    "UNIT_MEASURE": Column("unit of the value, a code of CL_UNIT_MEASURE", GIVEN),
    "ESTIMATOR": Column("pixel count, sum of the model's shares, or design-based; a code of CL_ESTIMATOR", GIVEN),
    "BASE_PERIOD": Column("the earlier season of a change; _Z where there is none", SAMPLE),
    "OBS_VALUE": Column("the value, unrounded; NaN where there is none", "areas and estimates", "as UNIT_MEASURE says"),
    "OBS_STATUS": Column("state of the value, a code of SDMX:CL_OBS_STATUS", GIVEN),
    "STANDARD_ERROR": Column("of the value", "areas and estimates", "as UNIT_MEASURE says"),
    "LOW": Column("lower end of the interval", "areas and estimates", "as UNIT_MEASURE says"),
    "HIGH": Column("upper end of the interval", "areas and estimates", "as UNIT_MEASURE says"),
    "INTERVAL_PERCENT": Column("share of cases in which the interval is meant to hold the truth", MANIFEST, "percent"),
    "PUBLISHED_VALUE": Column("the value rounded to its standard error", SAMPLE, "as UNIT_MEASURE says"),
    "THRESHOLD_PERCENT": AREAS["threshold_percent"],
    "POINTS": ESTIMATES["points"],
    "SAMPLE": Column("id of the sample", SAMPLE),
    "BOUNDARY_VINTAGE": AREAS["boundary_vintage"],
    "REVISION": AREAS["edition"],
    "METHOD": AREAS["method"],
    "COMMENT_OBS": Column("what a reader has to know first: a warning, or why there is no value", GIVEN),
}
MEANINGS: dict[str, Mapping[str, Column]] = {"areas": AREAS, "estimates": ESTIMATES, "sdmx/data": OBSERVATIONS}
OWN = {
    "file": Column("file of the report, without its suffix where several hold the same columns", "this report"),
    "column": Column("name of the column", "this report"),
    "type": Column("kind of value", "this report"),
    "unit": Column("unit of its values; empty for text and codes", "this report"),
    "meaning": Column("in words", "this report"),
    "source": Column("what it was taken or computed from", "this report"),
}
GROUND = Column("ground of the place, multipolygon in degrees (EPSG:4326); .gpkg and .geoparquet only", UNITS)


def dictionary(tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Every column of every file with its type, unit, meaning and source.

    Args:
        tables: File without its suffix -> its table: ``areas``, ``estimates``, ``sdmx/data``.

    Raises:
        KeyError: If a column's meaning is told nowhere; a fault of ours.
    """
    rows = [
        (file, name, kind(table[name]), column.unit, column.meaning, column.source)
        for file, table in tables.items()
        for name, column in ((name, MEANINGS[file][name]) for name in table.columns)
    ]
    rows += [
        (file, "geometry", "geometry", "degrees", GROUND.meaning, GROUND.source)
        for file in tables
        if file in ("areas", "estimates")
    ]
    rows += [("dictionary", name, "text", "", column.meaning, column.source) for name, column in OWN.items()]
    return pd.DataFrame(rows, columns=list(DICTIONARY))


def kind(values: pd.Series) -> str:
    """What a column holds: text, yes or no, whole or decimal numbers."""
    if pd.api.types.is_bool_dtype(values):
        return TYPES["bool"]
    if pd.api.types.is_integer_dtype(values):
        return TYPES["integer"]
    return TYPES["number"] if pd.api.types.is_numeric_dtype(values) else TYPES["text"]
