"""``stook statistics``: the table of a published edition, at the configuration's threshold or another."""

from pathlib import Path

import pandas as pd
from rich.console import Console
from rich.table import Table

from models.errors import InputError
from pipelines.configuration import MapConfiguration
from pipelines.map import thresholds_of
from pipelines.season import published_edition
from transforms.statistics.readings import COVERAGE_METHOD
from transforms.statistics.table import statistics, write_table

SHOWN = {
    "area_ha": "class ha",
    "mapped_ha": "mapped ha",
    "not_mapped_no_imagery_ha": "no imagery ha",
    "not_mapped_too_few_observations_ha": "too few obs. ha",
    "not_mapped_failed_ha": "failed ha",
    "total_ha": "total ha",
}
COVERED = {"area_ha": "covered ha", "low_ha": "from", "high_ha": "to"} | {
    column: heading for column, heading in SHOWN.items() if column != "area_ha"
}
COUNTED = SHOWN | {"cells_of_class": "class cells", "cells_mapped": "mapped cells", "cells": "cells"}


def run_statistics(
    config: MapConfiguration,
    year: int,
    threshold: int | None,
    to: Path | None,
    from_maps: bool = False,
    by: str | None = None,
) -> pd.DataFrame:
    """The table of the published edition; also written to ``to`` if given.

    Raises:
        InputError: If nothing is published, or ``to`` is neither .csv nor .parquet.
    """
    if to is not None and to.suffix not in (".csv", ".parquet"):
        raise InputError(f"--to {to}: write .csv or .parquet")
    edition = published_edition(config, year)
    thresholds = {product: threshold or value for product, value in thresholds_of(config).items()}
    table = statistics(edition, thresholds)
    if to is not None:
        try:
            write_table(table, to)
        except OSError as error:
            raise InputError(f"--to {to}: cannot be written ({error.strerror or error})") from error
    return table


def print_table(table: pd.DataFrame) -> None:
    """Print the table, hectares to one decimal."""
    for (product, season, threshold), part in table.groupby(["product", "season", "threshold_percent"], dropna=False):
        columns = columns_of(part)
        at = "" if part["threshold_percent"].isna().all() else f", at {threshold} % or more"
        shown = Table(title=f"{product}, {season}{at}", title_justify="left", box=None)
        shown.add_column("level")
        shown.add_column("unit")
        for heading in columns.values():
            shown.add_column(heading, justify="right")
        for _, row in part.iterrows():
            figures = (f"{row[column]:,.1f}" if column.endswith("_ha") else f"{row[column]:,}" for column in columns)
            shown.add_row(row["level"], row["name"], *figures)
        Console(width=132).print(shown)
        print(f"Method: {part['method'].iloc[0]}.")
    if table["provisional"].any():
        print("PROVISIONAL: the season was not over when it was mapped.")


def columns_of(part: pd.DataFrame) -> dict[str, str]:
    """The columns to print of one product, and their headings."""
    if (part["method"] == COVERAGE_METHOD).all():
        return COVERED
    return SHOWN if part["cells"].isna().all() else COUNTED
