"""Estimates as they are kept: what a sample and its answers gave, kept beside the season's editions and never changed.

``<season>/estimates/<edition>/<name>/`` holds ``estimates.parquet`` and ``.csv``, ``disagreements.csv`` and
``summary.json``, which is written last and makes the folder whole.
"""

import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from stook.models.errors import InputError
from stook.transforms.editions.plan import digest
from stook.transforms.statistics.table import write_table
from stook.transforms.store import Address, appearing, read_bytes, read_whole, whole_folders, write_json, writing

VERSION = 2  # raised whenever the same answers would give other figures

ESTIMATES = "estimates"  # folder of a season
SUMMARY = "summary.json"
TABLE = "estimates.parquet"
DISAGREEMENTS = "disagreements.csv"

MOST_NAMED = 3  # places in a reason

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
    "published": "the value rounded to its standard error, or to its interval where that is wider; each by itself",
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

    folder: Address

    @property
    def table(self) -> pd.DataFrame:
        """Rows of ``COLUMNS``; raises InputError where the set is not there any more."""
        return pd.read_parquet(io.BytesIO(self._there(read_bytes(self.folder / TABLE))))

    @property
    def summary(self) -> Mapping[str, Any]:
        """What they rest on.

        ``made`` (UTC, ISO 8601), ``sample`` (its design), ``edition``, ``since``, ``answers`` (file -> SHA-256),
        ``rule`` in words, ``interpreters``, ``kappa`` (of two interpreters, else None), ``agreement`` (of each pair),
        ``points``, ``unanswered``, ``disagreeing``, ``unresolved``, ``notes``. Of a change ``answers`` has the files of
        both seasons; ``interpreters`` to ``notes`` are of the later one, and under ``before`` of the earlier.
        """
        summary: Mapping[str, Any] = self._there(read_whole(self.folder, SUMMARY))
        return summary

    def _there(self, content: Any) -> Any:
        if content is None:
            raise InputError(f"{self.folder}: these estimates are not there any more, or not all of them")
        return content

    @classmethod
    def write(
        cls,
        season: Address,
        name: str,
        table: pd.DataFrame,
        disagreements: pd.DataFrame,
        summary: Mapping[str, Any],
    ) -> "Estimates":
        """Keep a set of estimates, whole or not at all; of one of the same name only the time it was asked for changes.

        So the set that was asked for last is the newest. What a killed process left is removed.

        Args:
            season: Folder of the season.
            name: See ``name_of``.
            table: Rows of ``COLUMNS``.
            disagreements: A row per point on which interpreters disagree.
            summary: See ``summary``.

        Raises:
            UnreachableError: If the store takes no files.
        """
        kept = cls(season / ESTIMATES / summary["edition"] / name)
        with writing(season / ESTIMATES):
            if read_whole(kept.folder, SUMMARY) is not None:
                write_json(kept.folder / SUMMARY, dict(summary))
                return kept
            with appearing(kept.folder, SUMMARY) as made:
                for path in (made / TABLE, made / "estimates.csv"):
                    write_table(table, path)
                write_table(disagreements, made / DISAGREEMENTS)
                write_json(made / SUMMARY, dict(summary))
        return kept

    @classmethod
    def of(cls, season: Address, edition: str) -> "list[Estimates]":
        """All sets of an edition that are whole, by name.

        Args:
            season: Folder of the season.
            edition: Its id.
        """
        home = season / ESTIMATES / edition
        return [cls(home / name) for name in whole_folders(home, SUMMARY)]

    @classmethod
    def newest(
        cls, season: Address, edition: str, product: str | None = None, change: bool = False
    ) -> "Estimates | None":
        """The set that was made last for an edition, or None.

        Args:
            season: Folder of the season.
            edition: Its id.
            product: Of the map; any if None.
            change: Whether sets of change between two seasons are wanted, or those of one season.
        """
        found = [(one.summary, one) for one in cls.of(season, edition)]
        wanted = [
            (summary["made"], one.folder.name, one)
            for summary, one in found
            if (summary["since"] is not None) == change and (product is None or summary["sample"]["product"] == product)
        ]
        return max(wanted, key=lambda one: one[:2])[2] if wanted else None


def reasons_in(table: pd.DataFrame, column: str) -> list[tuple[str, str]]:
    """Each reason of a column once, with the figures that it is of in words: [(figures, reason)].

    Args:
        table: Rows of ``COLUMNS``.
        column: ``method``, ``why`` or ``warning``.
    """
    told = []
    for reason, rows in table[table[column] != ""].groupby(column, sort=False):
        classes = rows.groupby("figure", sort=False)["class"].unique().to_dict()
        kinds = [_figure(str(figure), [name for name in names if name]) for figure, names in classes.items()]
        places = list(dict.fromkeys(rows["name"]))
        where = f"; {', '.join(places)}" if len(places) <= MOST_NAMED else f"; {len(places)} places"
        told.append((", ".join(kinds) + where, str(reason)))
    return told


def _figure(figure: str, classes: list[str]) -> str:
    words = figure.replace("_", " ").replace("users", "user's").replace("producers", "producer's")
    return f"{words} of {' and '.join(classes)}" if classes else words


def name_of(sample: str, rests_on: Any, change: bool = False) -> str:
    """Name of a set of estimates: the same sample, answers and settings give the same.

    Args:
        sample: Its id.
        rests_on: Plain data: hashes of the answers and the settings that decide the figures.
        change: Whether it is of change between two seasons.
    """
    return f"{sample}-{digest([VERSION, rests_on])[:8]}{'-change' if change else ''}"
