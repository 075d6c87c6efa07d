"""Rows of the table of estimates: a figure with its rounding, or why there is none."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from stook.transforms.estimators.interval import REACH, Estimate
from stook.transforms.sampling.estimates import COLUMNS
from stook.transforms.sampling.map_figures import KnownPlace, MapFigures
from stook.transforms.sampling.sample import Sample
from stook.transforms.statistics.sums import Place

SIGNIFICANT = 2  # figures of a standard error that mean anything (JCGM 100:2008, 7.2.6)


def estimate_row(
    place: KnownPlace, figure: str, name: str, found: Estimate, said: float, points: int, why: str
) -> dict[str, Any]:
    """The row of a figure.

    Args:
        place: Whose.
        figure: Of ``COLUMNS``.
        name: Of the class, empty where the figure is of none.
        found: The estimate.
        said: What the map's pixels say, NaN where they say nothing of it.
        points: That lie in the place.
        why: Why this estimator.
    """
    return {
        "level": place.level,
        "id": place.id,
        "name": place.name,
        "figure": figure,
        "class": name,
        "unit": "share" if figure.endswith("accuracy") else "ha",
        "value": found.value,
        "standard_error": found.standard_error,
        "low": found.low,
        "high": found.high,
        "published": published(found),
        "map_value": said,
        "points": points,
        "method": found.method,
        "why": why,
        "warning": found.warning,
        "refused": "",
    }


def refused_row(
    place: KnownPlace,
    figure: str,
    name: str,
    counts: Mapping[Place, int],
    fewest: int,
    impossible_ha: float | None = None,
) -> dict[str, Any]:
    """The row of a place that has too few points, or an estimate that cannot be, with the next larger one."""
    *parents, region = place.larger
    enough = [one for one in parents if counts[one] >= fewest]
    offered = f"the region's ({counts[region]} points)"  # it always has an estimate
    if enough:
        level, larger = enough[0]
        offered = f"that of {level} {larger!r} ({counts[enough[0]]} points)"
    nothing = Estimate(np.nan, np.nan, np.nan, np.nan, "")
    reason = f"{counts[place.key]} answered points lie in it, {fewest} are needed (sample.fewest_points_per_unit)"
    if impossible_ha is not None:
        reason = (
            f"its {counts[place.key]} answered points are too few: the estimate would be {impossible_ha:,.1f} of "
            f"{place.total_ha:,.1f} ha"
        )
    return estimate_row(place, figure, name, nothing, place.said_ha[name], counts[place.key], "") | {
        "refused": f"{reason}: use {offered}, or draw more points there"
    }


def estimates_of(
    rows: list[dict[str, Any]], sample: Sample, figures: MapFigures, told: Sequence[str], since: str = ""
) -> pd.DataFrame:
    """The rows with what they have in common, and with what has to be told of every figure."""
    drawn, edition = sample.drawn, figures.edition
    common = {
        "product": figures.product,
        "season": str(edition.plan.season),
        "since": since,
        "edition": edition.id,
        "sample": drawn.id,
    }
    whole = []
    for row in rows:
        warnings = [row["warning"], *(() if row["refused"] else told)]
        whole.append(common | row | {"warning": "; ".join(one for one in warnings if one)})
    return pd.DataFrame(whole, columns=list(COLUMNS))


def published(found: Estimate) -> float:
    """A value as it may be published, rounded to ``telling_error``."""
    return rounded_to(found.value, telling_error(found.standard_error, found.low, found.high))


def telling_error(standard_error: float, low: float, high: float) -> float:
    """The error that says how many figures mean anything: that of the interval where it is wider than the standard one.

    Where few points tell how a map errs the standard error is too small, or 0, and the interval does not rest on it.
    """
    return float(np.fmax(standard_error, (high - low) / (2 * REACH)))


def rounded_to(value: float, standard_error: float) -> float:
    """A value to the decimal place of the second significant figure of its standard error.

    JCGM 100:2008 (the Guide to the expression of uncertainty in measurement), 7.2.6. A value without error, or without
    a known one, stays as it is.
    """
    if not (np.isfinite(value) and np.isfinite(standard_error) and standard_error > 0):
        return value
    place = SIGNIFICANT - 1 - int(np.floor(np.log10(standard_error)))
    # An error of 0.996 is 1.0 at two figures, so that one place less is told.
    if round(standard_error, place) >= 10 ** (SIGNIFICANT - place):
        place -= 1
    return float(round(value, place))
