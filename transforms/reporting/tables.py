"""The two tables of a report: areas from the map, and what the newest samples gave."""

from collections.abc import Mapping

import pandas as pd

from stook.transforms.editions.edition import Edition
from stook.transforms.sampling.estimates import COLUMNS, Estimates
from stook.transforms.statistics.table import statistics

NUMBERS = ("value", "standard_error", "low", "high", "published", "map_value")
TEXTS = tuple(name for name in COLUMNS if name not in (*NUMBERS, "points"))


def areas_table(edition: Edition, thresholds: Mapping[str, int], vintage: str) -> pd.DataFrame:
    """The table of areas with what tells one publication from another.

    Args:
        edition: Every tile must have its record.
        thresholds: Product of a model -> percent from which a pixel counts as the class.
        vintage: Of the boundaries.
    """
    return statistics(edition, thresholds).assign(edition=edition.id, boundary_vintage=vintage)


def newest_of_each(edition: Edition) -> list[Estimates]:
    """The newest estimates of an edition: for each product, and each season that change is told since, one set."""
    newest: dict[tuple[str, str], Estimates] = {}
    sets = Estimates.of(edition.folder.parent, edition.id)
    for found in sorted(sets, key=lambda one: (one.summary["made"], one.folder.name)):
        newest[key_of(found)] = found
    return [newest[key] for key in sorted(newest)]


def key_of(found: Estimates) -> tuple[str, str]:
    """Product of a set of estimates, and the season that it tells change since, empty if none."""
    since = (since for since in found.table["since"] if since and not pd.isna(since))
    return found.summary["sample"]["product"], next(since, "")


def normalised(table: pd.DataFrame) -> pd.DataFrame:
    """A table of estimates with numbers as numbers and what is empty as empty text."""
    table = table[list(COLUMNS)].astype(dict.fromkeys(NUMBERS, float) | {"points": "Int64"})
    texts = {name: table[name].astype(object).where(table[name].notna(), "").astype(str) for name in TEXTS}
    return table.assign(**texts)


def estimates_table(edition: Edition, vintage: str) -> pd.DataFrame | None:
    """The rows of ``newest_of_each``; None where there are none."""
    tables = [normalised(found.table) for found in newest_of_each(edition)]
    return pd.concat(tables, ignore_index=True).assign(boundary_vintage=vintage) if tables else None


def vintage_of(edition: Edition, told: str | None) -> str:
    """What boundaries an edition's figures are of: as the office calls them, else by the hash of the units."""
    return told or f"units {edition.plan.units_hash}"
