"""One table over all published seasons: each year's figures, and what keeps years from being compared."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from math import hypot
from typing import Any

import pandas as pd

from stook.transforms.editions.season_folder import season_folders
from stook.transforms.ground.region import Region
from stook.transforms.reporting.columns import SERIES
from stook.transforms.reporting.made import Made
from stook.transforms.reporting.reasons import method_reasons
from stook.transforms.sampling.classes import CLASSES
from stook.transforms.statistics.sums import WHOLE_REGION, Place, level_order, places

MAPPED_POINTS = 2.0  # percent points: a class of 40 % that is missing there alone would change by less than one
AREAS = ("area", "covered_area")  # figures of the estimates that are a class's area
PIXELS = "pixel count"
Key = tuple[str, str, str]


@dataclass(frozen=True)
class Series:
    """All seasons of a name.

    Attributes:
        table: A row per product, place and published season, see ``stook.transforms.reporting.columns.SERIES``.
        unpublished: Seasons that are open: mapped in part, or not published for what failed.
        missing: Years between the first and the last published one without any edition.
    """

    table: pd.DataFrame
    unpublished: tuple[str, ...]
    missing: tuple[int, ...]


@dataclass(frozen=True)
class Year:
    """A place's figures of one season.

    Attributes:
        made: The edition.
        row: Of its published table.
        estimate: The row of its estimates that is the class's area, None where there is none.
        sample: Id of the sample that it is from, empty where there is none.
    """

    made: Made
    row: Mapping[str, Any]
    estimate: Mapping[str, Any] | None = None
    sample: str = ""
    kind: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "kind", PIXELS if self.estimate is None else "estimate from a sample")

    @property
    def figure(self) -> float:
        """The year's area: the estimate where there is one, else the map's."""
        return float(self.row["area_ha"] if self.estimate is None else self.estimate["value"])

    @property
    def mapped_share(self) -> float:
        """Share of the ground that is mapped."""
        return float(self.row["mapped_ha"] / self.row["total_ha"])


def series(output: str, name: str, season: str) -> Series:
    """The series of a region's seasons of one name.

    Args:
        output: Folder of all results.
        name: Of the region.
        season: Its name without the year, e.g. ``main``.

    Raises:
        InputError: If a published edition was written by another version of Stook in a form this one does not read.
    """
    published: dict[int, Made] = {}
    unpublished = []
    for year, folder in season_folders(output, name, season).items():
        current = folder.current()
        if current is not None:
            published[year] = Made(current)
        elif folder.editions():
            unpublished.append(f"{season}-{year}")
    years = sorted(published)
    rows: list[dict[str, Any]] = []
    places: dict[int, dict[Key, Year]] = {year: _years(published[year]) for year in years}
    methods = {(a, b): _reasons(published[a], published[b]) for a, b in pairwise(years)}
    previous = dict(zip(years[1:], years[:-1], strict=True))
    for year in years:
        before = previous.get(year)
        for key, now in places[year].items():
            told = _figures(now, year)
            if before is not None:
                told |= {"compared_with": before} | _compared(
                    places[before].get(key), now, methods[before, year].get(key[0], [])
                )
            rows.append(told)
    judge_by_units(rows, {year: Region.read(published[year].edition.units) for year in years})
    types = {"compared_with": "Int64", "comparable": "boolean", "threshold_percent": "Int64"}
    rows.sort(key=lambda row: (row["product"], level_order((row["level"], row["id"])), row["year"]))
    table = pd.DataFrame(rows, columns=list(SERIES)).astype(types)
    table[["why_not", "sample"]] = table[["why_not", "sample"]].fillna("")
    gaps = sorted(set(range(years[0], years[-1] + 1)) - set(years)) if years else []
    opened = {int(one.rpartition("-")[2]) for one in unpublished}
    return Series(table, tuple(unpublished), tuple(year for year in gaps if year not in opened))


def judge_by_units(rows: Sequence[dict[str, Any]], regions: Mapping[int, Region]) -> None:
    """Call parents and regions not comparable where too much of their ground is of units that are not.

    Their own figures may agree although two years are of different ground: one half mapped then, the other now.

    Args:
        rows: With the columns product, level, id, year, total_ha, comparable and why_not; changed in place.
        regions: Year -> its units.
    """
    units: dict[tuple[str, int, Place], list[dict[str, Any]]] = {}
    around = {
        (year, unit.id): (*places(unit)[1:], (WHOLE_REGION, "")) for year in regions for unit in regions[year].units
    }
    for row in rows:
        if row["level"] == "unit":
            for place in around.get((row["year"], row["id"]), ()):
                units.setdefault((row["product"], row["year"], place), []).append(row)
    for row in rows:
        if row["level"] == "unit" or row.get("comparable") is not True:
            continue
        place = (WHOLE_REGION, "") if row["level"] == WHOLE_REGION else (row["level"], row["id"])
        own = units.get((row["product"], row["year"], place), [])
        other = [unit for unit in own if unit.get("comparable") is False]
        share = 100 * sum(unit["total_ha"] for unit in other) / row["total_ha"]
        if share > MAPPED_POINTS:
            why = f"units: {len(other)} of {len(own)}, with {share:.1f} % of the ground, are not comparable"
            row |= {"comparable": False, "why_not": why}


def _years(made: Made) -> dict[Key, Year]:
    """Product, level and id -> the figures."""
    estimates: dict[Key, Mapping[str, Any]] = {}
    if made.estimates is not None:
        table = made.estimates
        areas = table[table["figure"].isin(AREAS) & (table["since"] == "") & table["value"].notna()]
        for row in areas.to_dict("records"):
            wanted = CLASSES.get(row["product"], ("", ""))[1]
            if row["class"] in (wanted, "") or row["product"] not in CLASSES:
                estimates[row["product"], row["level"], row["id"]] = as_row(row)
    return {
        key: Year(made, as_row(row), estimates.get(key), estimates[key]["sample"] if key in estimates else "")
        for row in made.areas.to_dict("records")
        for key in [(row["product"], row["level"], row["id"])]
    }


def as_row(row: Mapping[Hashable, Any]) -> dict[str, Any]:
    """A row with names of columns as text, as all of ours are."""
    return {str(name): value for name, value in row.items()}


def _figures(now: Year, year: int) -> dict[str, Any]:
    """A row without what it is compared with."""
    row, estimate = now.row, now.estimate
    told = {name: row[name] for name in ("product", "level", "id", "name", "season", "provisional")}
    told |= {name: row[name] for name in ("threshold_percent", "total_ha", "mapped_ha")}
    told |= {
        "year": year,
        "edition": now.made.edition.id,
        "mapped_share": now.mapped_share,
        "map_area_ha": row["area_ha"],
        "estimator": row["method"] if estimate is None else estimate["method"],
        "sample": now.sample,
    }
    if estimate is not None:
        columns = {"estimate_ha": "value", "low_ha": "low", "high_ha": "high", "published_ha": "published"}
        told |= {name: estimate[column] for name, column in columns.items()}
        told["standard_error_ha"] = estimate["standard_error"]
    return told


def _reasons(before: Made, after: Made) -> dict[str, list[str]]:
    """Product -> what keeps two seasons from being compared, whatever the place."""
    products = [product.product for product in after.plan.all_products if before.product(product.product)]
    return {product: method_reasons(before, after, product) for product in products}


def _compared(before: Year | None, now: Year, methods: list[str]) -> dict[str, Any]:
    """Difference to the year before, and what keeps the two from being compared."""
    if before is None:
        return {"comparable": False, "why_not": "the year before has no such product or place"}
    why = [*methods, *_place_reasons(before, now)]
    told: dict[str, Any] = {"comparable": not why, "why_not": "; ".join(why)}
    if before.kind != now.kind:
        return told  # the difference would be one of estimators
    difference = now.figure - before.figure
    told |= {"difference_ha": difference}
    if before.figure:
        told["difference_percent"] = 100 * difference / before.figure
    if before.estimate is not None and now.estimate is not None and before.sample != now.sample:
        told["difference_standard_error_ha"] = hypot(before.estimate["standard_error"], now.estimate["standard_error"])
    return told


def _place_reasons(before: Year, now: Year) -> list[str]:
    """What keeps two years of a place from being compared."""
    why = []
    if before.kind != now.kind:
        why.append(f"estimator: {before.kind}, now {now.kind}")
    if before.estimate is not None and now.estimate is not None:
        estimators = [str(estimate["method"]).partition(";")[0] for estimate in (before.estimate, now.estimate)]
        if estimators[0] != estimators[1]:  # how the interval is made may differ
            why.append(f"estimator: {estimators[0]}, now {estimators[1]}")
    was, threshold = before.row["threshold_percent"], now.row["threshold_percent"]
    if was != threshold and not (pd.isna(was) and pd.isna(threshold)):
        why.append(f"threshold: {was} %, now {threshold} %")
    points = 100 * (now.mapped_share - before.mapped_share)
    if abs(points) > MAPPED_POINTS:
        why.append(f"mapped: {100 * before.mapped_share:.1f} % of the ground, now {100 * now.mapped_share:.1f} %")
    for year in (before, now):
        if year.row["provisional"]:
            why.append(f"{year.row['season']} is provisional")
    return why
