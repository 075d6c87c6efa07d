"""What changed between two editions of one season, by how much, and why."""

from dataclasses import dataclass

import pandas as pd

from stook.transforms.reporting.columns import REVISIONS
from stook.transforms.reporting.made import Made
from stook.transforms.reporting.reasons import map_reasons, sample_reasons

MAP_AREA = "map area"
PLACE = ["product", "level", "id"]
ESTIMATE = ["product", "since", "level", "id", "figure", "class", "unit"]
UNEXPLAINED = "nothing that is kept with the editions explains it"


@dataclass(frozen=True)
class Revisions:
    """Two editions held against each other.

    Attributes:
        table: A row per figure of a place that both have, see ``stook.transforms.reporting.columns.REVISIONS``.
        gone: Product, level and id of rows that only the earlier edition has.
        new: Of rows that only the later one has.
        estimated: Products that were estimated for the earlier edition and not for the later, and the reverse.
    """

    table: pd.DataFrame
    gone: tuple[tuple[str, str, str], ...]
    new: tuple[tuple[str, str, str], ...]
    estimated: tuple[tuple[str, ...], tuple[str, ...]]


def revisions(before: Made, after: Made) -> Revisions:
    """Hold two finished editions of one season against each other.

    Raises:
        InputError: If one was never finished, or was written by another version of Stook.
    """
    areas = before.areas.merge(after.areas, on=PLACE, suffixes=("_before", "_after"))
    reasons = {product: map_reasons(before, after, product) for product in areas["product"].unique()}
    rows = [_area_row(row, reasons[row["product"]]) for row in areas.to_dict("records")]
    if before.estimates is not None and after.estimates is not None:
        both = before.estimates.merge(after.estimates, on=ESTIMATE, suffixes=("_before", "_after"))
        mapped = {tuple(row[name] for name in PLACE): row for row in areas.to_dict("records")}
        rows += [_estimate_row(row, before, after, reasons, mapped) for row in both.to_dict("records")]
    ids = {"edition_before": before.edition.id, "edition_after": after.edition.id}
    table = pd.DataFrame([row | ids for row in rows], columns=list(REVISIONS))
    found = [{tuple(row) for row in made.areas[PLACE].itertuples(index=False)} for made in (before, after)]
    sampled = [{product for product, _ in made.summaries} for made in (before, after)]
    estimated = tuple(sorted(sampled[0] - sampled[1])), tuple(sorted(sampled[1] - sampled[0]))
    return Revisions(table, tuple(sorted(found[0] - found[1])), tuple(sorted(found[1] - found[0])), estimated)


def _area_row(row: dict, reasons: list[str]) -> dict:
    """A product's area on the map in a place."""
    own = [
        *_changed("threshold", row["threshold_percent_before"], row["threshold_percent_after"], " %"),
        *_changed("ground of the place", row["total_ha_before"], row["total_ha_after"], " ha"),
        *_changed("ground that failed", row["not_mapped_failed_ha_before"], row["not_mapped_failed_ha_after"], " ha"),
    ]
    return _told(row, MAP_AREA, "ha", "area_ha", "standard_error_ha", [*reasons, *own], row)


def _estimate_row(row: dict, before: Made, after: Made, reasons: dict[str, list[str]], mapped: dict) -> dict:
    """A figure of the estimates."""
    key = row["product"], row["since"]
    why = [
        *sample_reasons(before.summaries[_key(before, key)], after.summaries[_key(after, key)]),
        *(["estimator: another method, see the estimates"] if row["method_before"] != row["method_after"] else []),
        *reasons.get(row["product"], []),
    ]
    for when in ("before", "after"):
        if row[f"refused_{when}"]:
            why.insert(0, f"no value {when}: {row[f'refused_{when}']}")
    figure = row["figure"] + (f" since {row['since']}" if row["since"] else "")
    ground = mapped.get(tuple(row[name] for name in PLACE), {})
    return _told(row, figure, row["unit"], "value", "standard_error", why, ground)


def _told(row: dict, figure: str, unit: str, value: str, error: str, why: list[str], ground: dict) -> dict:
    was, now = row[f"{value}_before"], row[f"{value}_after"]
    same = was == now or (pd.isna(was) and pd.isna(now))
    return {
        "product": row["product"],
        "level": row["level"],
        "id": row["id"],
        "name": row["name_after"],
        "figure": figure,
        "class": row.get("class", ""),
        "unit": unit,
        "before": was,
        "after": now,
        "difference": now - was,
        "difference_percent": 100 * (now - was) / was if was else float("nan"),
        "standard_error_before": row[f"{error}_before"],
        "standard_error_after": row[f"{error}_after"],
        "mapped_before_ha": ground.get("mapped_ha_before"),
        "mapped_after_ha": ground.get("mapped_ha_after"),
        "why": "" if same else "; ".join(why) or UNEXPLAINED,
    }


def _changed(words: str, was: float, now: float, unit: str) -> list[str]:
    if was == now or (pd.isna(was) and pd.isna(now)):
        return []
    return [f"{words}: {was:,g}{unit}, now {now:,g}{unit}"]


def _key(made: Made, key: tuple[str, str]) -> tuple[str, str]:
    """The set that a row is of: sets of change also have rows of one season alone."""
    return key if key in made.summaries else next(found for found in made.summaries if found[0] == key[0])
