"""``stook statistics``: the table of a published edition, at the configuration's threshold or another."""

import pandas as pd
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from stook.models.errors import InputError
from stook.pipelines.configuration import MapConfiguration
from stook.pipelines.season import published_edition, thresholds_of
from stook.transforms.editions.edition import Edition
from stook.transforms.ground.region import Region
from stook.transforms.reporting.geometry import GEOMETRY_SUFFIXES, grounds, with_ground, write_with_ground
from stook.transforms.statistics.map_table import statistics_from_maps
from stook.transforms.statistics.readings import COVERAGE_METHOD
from stook.transforms.statistics.table import statistics, write_table
from stook.transforms.store import Address

SUFFIXES = (".csv", ".parquet", *GEOMETRY_SUFFIXES)

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
    to: Address | None,
    from_maps: bool = False,
    by: str | None = None,
) -> pd.DataFrame:
    """The table of the published edition; also written to ``to`` if given.

    Args:
        config: Of the season.
        year: Harvest year.
        threshold: Percent, not the configuration's.
        to: File to write as well.
        from_maps: Whether the maps are summed, not the ledger; both give the same.
        by: A layer to cross-tabulate the maps with, see ``stook.transforms.statistics.layers.read_layer``.

    Raises:
        InputError: If nothing is published, ``to`` cannot be written, or ``by`` is no layer.
    """
    if to is not None:
        require_writable(to, by)
    edition = published_edition(config, year)
    thresholds = {product: threshold or value for product, value in thresholds_of(config).items()}
    table = statistics_from_maps(edition, thresholds, by) if from_maps or by else statistics(edition, thresholds)
    if to is not None:
        write_to(table, to, edition)
    return table


def require_writable(to: Address, by: str | None) -> None:
    """Raise InputError for a file that is none of the kinds that ``write_to`` writes, or cannot hold the table."""
    if to.suffix not in SUFFIXES:
        raise InputError(f"--to {to}: write {' or '.join(SUFFIXES)}")
    if by is not None and to.suffix in GEOMETRY_SUFFIXES:
        raise InputError(f"--to {to}: places have ground, their parts by --by {by} have none; write .csv or .parquet")


def write_to(table: pd.DataFrame, to: Address, edition: Edition) -> None:
    """Write the table as what its suffix says, with the ground of the edition's places where that holds any.

    Raises:
        InputError: If it cannot be written.
    """
    try:
        if to.suffix in GEOMETRY_SUFFIXES:
            write_with_ground(with_ground(table, grounds(Region.read(edition.units), edition.plan.name)), to)
        else:
            write_table(table, to)
    except OSError as error:
        raise InputError(f"--to {to}: cannot be written ({error.strerror or error})") from error


def print_table(table: pd.DataFrame) -> None:
    """Print the table, hectares to one decimal."""
    for (product, season, threshold), part in table.groupby(["product", "season", "threshold_percent"], dropna=False):
        columns = columns_of(part)
        at = "" if part["threshold_percent"].isna().all() else f", at {threshold} % or more"
        by = f", by {part['layer'].iloc[0]}" if "layer" in part else ""
        shown = Table(title=escape(f"{product}, {season}{at}{by}"), title_justify="left", box=None)
        shown.add_column("level")
        shown.add_column("unit")
        if "layer" in part:
            shown.add_column("value")
        for heading in columns.values():
            shown.add_column(heading, justify="right")
        for _, row in part.iterrows():
            figures = (f"{row[column]:,.1f}" if column.endswith("_ha") else f"{row[column]:,}" for column in columns)
            named = (row["level"], row["name"], *([row["value"]] if "layer" in part else []))
            shown.add_row(*map(escape, named), *figures)
        Console(width=132).print(shown)
        print(f"Method: {part['method'].iloc[0]}.")
    if table["provisional"].any():
        print("PROVISIONAL: the season was not over when it was mapped.")


def columns_of(part: pd.DataFrame) -> dict[str, str]:
    """The columns to print of one product, and their headings."""
    if (part["method"] == COVERAGE_METHOD).all():
        return COVERED
    return SHOWN if part["cells"].isna().all() else COUNTED
