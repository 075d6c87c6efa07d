"""Whether the published seasons of a region can be compared, place by place, from what each of them was seen by.

To what ``series`` knows (models, settings, baselines, units, thresholds, mapped ground) comes how often the ground was
seen. Four rules, all by place and between neighbouring published seasons:

* fewer than half as many clear observations of the ground, on average, in one of the two;
* the same in the tenth of the ground that was seen least, where it is ``LEAST_FEWER`` observations or more;
* a month of the window in which an archive of composites has no scene in one of the two, and has in the other;
* nothing is mapped.

A parent or region of whose ground too much is of units that are not comparable is not comparable either.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property
from typing import Any

import pandas as pd
from shapely.geometry.base import BaseGeometry

from stook.transforms.editions.plan import ProductPlan
from stook.transforms.editions.season_folder import season_folders
from stook.transforms.ground.antimeridian import lonlat_box
from stook.transforms.ground.region import Region
from stook.transforms.imagery.footprint import BoundingBox
from stook.transforms.imagery.inputs import Inputs
from stook.transforms.imagery.season import first_of
from stook.transforms.imagery.sources import COMPOSITE_SENSORS
from stook.transforms.reporting.columns import COMPARABILITY
from stook.transforms.reporting.made import Made
from stook.transforms.reporting.series import Series, as_row, judge_by_units, series
from stook.transforms.statistics.observed import Observed, kept_observed, least_seen, mean_of
from stook.transforms.statistics.sums import WHOLE_REGION, Place, places

FEWER = 0.5  # of the other season's observations: below it the two are not said to be seen alike
LEAST_FEWER = 2  # between one observation and two there is no telling
LEAST_SHARE = 0.1
Month = tuple[int, int]
"""Calendar month relative to the harvest year: year, month 1…12."""


@dataclass(frozen=True)
class Seen:
    """What a model saw of a place in a season.

    Attributes:
        mean: Clear observations, by area; None where all of it failed.
        least: The same of the tenth of the ground that was seen least.
        months: Archive -> month -> scenes, every month of the window.
        baselines: Archive -> processing baseline -> scenes.
    """

    mean: float | None
    least: int | None
    months: dict[str, dict[Month, int]]
    baselines: dict[str, Counter[str]]

    @property
    def scenes(self) -> int:
        """How many scenes."""
        return sum(sum(counts.values()) for counts in self.months.values())

    def without(self, sensor: str) -> frozenset[Month]:
        """The months in which an archive has no scene."""
        return frozenset(month for month, count in self.months.get(sensor, {}).items() if not count)


@dataclass(frozen=True)
class Pair:
    """Two neighbouring published seasons of a product.

    Attributes:
        product: Name of the map.
        before: The earlier season.
        after: The later one.
        why_not: What keeps them from being compared as a whole; empty where nothing is known.
        places: How many places below the region there are.
        not_comparable: In how many of them something keeps the two from being compared.
    """

    product: str
    before: str
    after: str
    why_not: str
    places: int
    not_comparable: int

    def __str__(self) -> str:
        how = f"not comparable: {self.why_not}" if self.why_not else "comparable"
        some = f"; {self.not_comparable} of {self.places} places are not" if self.not_comparable else ""
        return f"{self.product}, {self.before} and {self.after}: {how}{some if not self.why_not else ''}"


@dataclass(frozen=True)
class Viewed:
    """A published season with what it was seen by.

    Attributes:
        made: The edition.
    """

    made: Made
    _seen: dict[Any, Seen] = field(default_factory=dict, init=False, repr=False, compare=False)

    @cached_property
    def observed(self) -> Observed:
        """See ``stook.transforms.statistics.observed``."""
        return kept_observed(self.made.edition)

    @cached_property
    def inputs(self) -> Inputs:
        """Where and when the frozen scenes are."""
        return Inputs.read(self.made.edition.inputs).in_memory()

    @cached_property
    def region(self) -> Region:
        """The frozen units."""
        return Region.read(self.made.edition.units)

    @cached_property
    def bounds(self) -> dict[Place, BoundingBox]:
        """Place -> the box around it, degrees."""
        grounds: dict[Place, list[BaseGeometry]] = defaultdict(list)
        for unit in self.region.units:
            for place in (*places(unit), (WHOLE_REGION, self.made.plan.name)):
                grounds[place].append(unit.geometry)
        return {place: lonlat_box(ground) for place, ground in grounds.items()}

    @cached_property
    def failed(self) -> dict[tuple[str, str, str], float]:
        """Product, level and id -> share of the ground that failed."""
        table = self.made.areas
        keys = zip(table["product"], table["level"], table["id"], strict=True)
        return dict(zip(keys, table["not_mapped_failed_ha"] / table["total_ha"], strict=True))

    def seen(self, product: ProductPlan, place: Place) -> Seen:
        """What a product of a model saw of a place."""
        key = product.product, place
        if key not in self._seen:
            self._seen[key] = self._look(product, place)
        return self._seen[key]

    def _look(self, product: ProductPlan, place: Place) -> Seen:
        areas, plan = self.observed[product.product].get(place, {}), self.made.plan
        periods = product.encoding.periods
        start, end = min(period.first for period in periods), max(period.after for period in periods)
        sensors = [sensor for sensor in product.encoding.sensors if sensor in plan.sources]
        window = list(_months(start, end, plan.season.year))
        months = {sensor: dict.fromkeys(window, 0) for sensor in sensors}
        baselines: dict[str, Counter[str]] = {sensor: Counter() for sensor in sensors}
        first, last = min(period.start for period in periods), max(period.end for period in periods)
        for sensor, time, baseline in self.inputs.dates(self.bounds[place], sensors, first, last):
            months[sensor][time.year - plan.season.year, time.month] += 1
            baselines[sensor][baseline] += 1
        return Seen(mean_of(areas), least_seen(areas, LEAST_SHARE), months, baselines)


def comparability(output: str, name: str, season: str) -> Series:
    """The comparability of a region's published seasons of one name.

    Memory: the sums of every season; maps are read tile by tile, and only once for an edition.

    Args:
        output: Folder of all results.
        name: Of the region.
        season: Its name without the year, e.g. ``main``.

    Returns:
        As ``series``, with the columns of ``stook.transforms.reporting.columns.COMPARABILITY``.

    Raises:
        InputError: As ``series``.
        OSError: If what was counted cannot be kept beside an edition.
    """
    found = series(output, name, season)
    editions = {
        edition.id: edition
        for folder in season_folders(output, name, season).values()
        for edition in folder.editions()
        if edition.id in set(found.table["edition"])
    }
    years = {
        year: Viewed(Made(editions[edition]))
        for year, edition in found.table[["year", "edition"]].drop_duplicates().itertuples(index=False)
    }
    rows = [_row(as_row(row), years) for row in found.table.to_dict("records")]
    judge_by_units(rows, {year: viewed.region for year, viewed in years.items()})
    types = {"compared_with": "Int64", "comparable": "boolean", "threshold_percent": "Int64"}
    table = pd.DataFrame(rows, columns=list(COMPARABILITY)).astype(types)
    return Series(table, found.unpublished, found.missing)


def pairs(table: pd.DataFrame) -> list[Pair]:
    """The neighbouring published seasons of a table of ``comparability``, by product and year."""
    compared = table[table["compared_with"].notna()]
    seasons = dict(zip(table["year"], table["season"], strict=True))
    told = []
    for (product, year), part in compared.groupby(["product", "year"], sort=True):
        whole, others = part[part["level"] == WHOLE_REGION], part[part["level"] != WHOLE_REGION]
        before = seasons[int(part["compared_with"].iloc[0])]
        why = "; ".join(whole["why_not"])
        told.append(Pair(str(product), before, seasons[year], why, len(others), int((~others["comparable"]).sum())))
    return told


def _row(row: dict[str, Any], years: dict[int, Viewed]) -> dict[str, Any]:
    """A row of ``series`` with what the place was seen by, and what of that keeps it from being compared."""
    now, place = years[row["year"]], (row["level"], row["id"])
    models = list(now.made.made_by_models(row["product"]))
    seen = [now.seen(product, place) for product in models]
    own = seen[0] if [product.product for product in models] == [row["product"]] else None
    told = row | {
        "failed_share": now.failed[row["product"], *place],
        "observations_mean": own.mean if own else None,
        "observations_p10": own.least if own else None,
        "scenes": own.scenes if own else None,
        "scenes_per_month": _months_told(own, row["year"]) if own else "",
        "baselines": _baselines_told(own) if own else "",
        "model": "; ".join(product.model_hash for product in models),
        "processing": now.made.plan.processing,
    }
    before = None if pd.isna(row["compared_with"]) else years[int(row["compared_with"])]
    if before is None or place not in before.bounds:
        return told
    why = [row["why_not"]] if row["why_not"] else []
    if not row["mapped_share"]:
        why.append(f"{row['season']} has no ground mapped")
    old = {product.product: product for product in before.made.made_by_models(row["product"])}
    for product, view in zip(models, seen, strict=True):
        if product.product in old:
            of = "" if own else f" of {product.product}"
            why += observation_reasons(before.seen(old[product.product], place), view, of)
    return told | {"comparable": not why, "why_not": "; ".join(dict.fromkeys(why))}


def observation_reasons(before: Seen, now: Seen, of: str = "") -> Iterator[str]:
    """What of the observations keeps two seasons of a place from being compared; see the module for the rules.

    Args:
        before: The earlier season.
        now: The later one.
        of: Ends the name of what was observed, for a map that is made from several.
    """
    if _far_fewer(before.mean, now.mean):
        yield f"clear observations{of}: {before.mean:.1f} on average, now {now.mean:.1f}"
    if _far_fewer(before.least, now.least, LEAST_FEWER):
        yield f"clear observations{of} where least was seen: {before.least}, now {now.least}"
    for sensor in COMPOSITE_SENSORS:
        if sensor in before.months and sensor in now.months and before.without(sensor) != now.without(sensor):
            told = (_spans_told(view.without(sensor)) for view in (before, now))
            yield "months without a scene of {}: {}, now {}".format(sensor, *told)


def _far_fewer(one: float | None, other: float | None, at_least: float = 0) -> bool:
    """Whether one is less than half of the other, and by so much; not where one is not known."""
    if one is None or other is None:
        return False
    return min(one, other) < FEWER * max(one, other) and abs(one - other) >= at_least


def _months(start: date, after: date, harvest_year: int) -> Iterator[Month]:
    """Every calendar month of [start, after), relative to the harvest year."""
    day = first_of(start.year, start.month)
    while day < after:
        yield day.year - harvest_year, day.month
        day = first_of(day.year, day.month + 1)


def _spans_told(months: Collection[Month]) -> str:
    """Months in words, those that follow each other as a span."""
    spans: list[list[Month]] = []
    for year, number in sorted(months):
        follows = spans and spans[-1][-1] == ((year, number - 1) if number > 1 else (year - 1, 12))
        if follows:
            spans[-1].append((year, number))
        else:
            spans.append([(year, number)])
    ends = (" to ".join(dict.fromkeys(_month_told(month) for month in (span[0], span[-1]))) for span in spans)
    return ", ".join(ends) or "none"


def _month_told(month: Month) -> str:
    """A month in words that hold for every harvest year: ``01``, or ``11 of year -1``."""
    year, number = month
    return f"{number:02d}" + (f" of year {year:+d}" if year else "")


def _months_told(seen: Seen, harvest_year: int) -> str:
    return "; ".join(
        f"{sensor}: "
        + ", ".join(f"{harvest_year + year}-{month:02d} {count}" for (year, month), count in counts.items())
        for sensor, counts in seen.months.items()
    )


def _baselines_told(seen: Seen) -> str:
    """Of archives that name baselines."""
    return "; ".join(
        f"{sensor}: "
        + ", ".join(f"{baseline or 'none'} {count / counts.total():.0%}" for baseline, count in sorted(counts.items()))
        for sensor, counts in seen.baselines.items()
        if any(counts)
    )
