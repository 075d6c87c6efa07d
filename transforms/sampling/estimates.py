"""Estimates on disk: what a sample and its answers gave, kept beside the season's editions and never changed.

``<season>/estimates/<edition>/<name>/`` holds ``estimates.parquet`` and ``.csv``, ``disagreements.csv`` and
``summary.json``, which is written last and makes the folder whole.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from transforms.store import read_json

ESTIMATES = "estimates"  # folder of a season
SUMMARY = "summary.json"
TABLE = "estimates.parquet"

# Columns of the table, in order.
COLUMNS = {
    "product": "the map",
    "season": "e.g. main-2023",
    "since": "the earlier season, of changes; else empty",
    "edition": "whose map",
    "sample": "the sample's id",
    "level": "unit, parent 1, …, region",
    "id": "of the place",
    "name": "of the place",
    "figure": "area, covered_area, overall_accuracy, users_accuracy, producers_accuracy, gain, loss, net_change, "
    "area_before, area_after",
    "class": "the class, empty where the figure is of none",
    "unit": "ha or share",
    "value": "unrounded; empty where refused",
    "standard_error": "of the value",
    "low": "lower end of the 95 % interval",
    "high": "upper end of the 95 % interval",
    "published": "the value rounded to its standard error, each by itself",
    "map_value": "what the map's pixels say, for comparison; not an estimate",
    "points": "that lie in the place",
    "method": "estimator and interval in words",
    "why": "why this estimator",
    "warning": "what a reader has to know first; empty if nothing",
    "refused": "why there is no value, and which larger place has one; empty where there is one",
}


@dataclass(frozen=True)
class Estimates:
    """One set of estimates.

    Attributes:
        folder: Of it.
    """

    folder: Path

    @property
    def table(self) -> pd.DataFrame:
        """Rows of ``COLUMNS``."""
        return pd.read_parquet(self.folder / TABLE)

    @property
    def summary(self) -> Mapping[str, Any]:
        """What they rest on.

        ``made`` (UTC, ISO 8601), ``sample`` (its design), ``edition``, ``since``, ``answers`` (file -> SHA-256),
        ``rule`` in words, ``interpreters``, ``kappa`` or None, ``points``, ``unanswered``, ``disagreeing``.
        """
        summary: Mapping[str, Any] = read_json(self.folder / SUMMARY)
        return summary

    @classmethod
    def newest(cls, season: Path, edition: str, product: str | None = None) -> "Estimates | None":
        """The set that was made last for an edition, of a product if one is named, or None."""
        found = [cls(path.parent) for path in (season / ESTIMATES / edition).glob(f"*/{SUMMARY}")]
        found = [one for one in found if product is None or one.summary["sample"]["product"] == product]
        return max(found, key=lambda one: (one.summary["made"], one.folder.name), default=None)
