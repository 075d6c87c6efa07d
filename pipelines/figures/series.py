"""``stook series``: one table over all published seasons, and what makes them comparable or not."""

import pandas as pd
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from stook.models.errors import InputError
from stook.pipelines.configuration import MapConfiguration
from stook.pipelines.figures.notes import Notes, require_suffix, write_figures
from stook.pipelines.figures.revisions import told
from stook.transforms.reporting.series import Series, series
from stook.transforms.store import Address


def run_series(config: MapConfiguration, to: Address | None) -> Series:
    """Print the table over all published seasons of the configuration's name, and write it if asked.

    Args:
        config: The configuration; only where its editions are is read.
        to: ``.csv`` or ``.parquet``.

    Raises:
        InputError: If no season is published, or ``to`` cannot be written.
    """
    require_suffix(to)
    found = series(config.output, config.name, config.season.name)
    if found.table.empty:
        raise InputError(
            f"{config.output}/{config.name}: no season {config.season.name}-YYYY is published; make one with "
            "'stook map'"
        )
    print_series(found)
    if to is not None:
        write_figures(found.table, to)
    return found


def print_series(found: Series) -> None:
    """Print a table per product, what keeps years from being compared below it by number."""
    for product, part in found.table.groupby("product", sort=False):
        shown = Table(title=str(product), title_justify="left", box=None)
        for heading in ("level", "unit"):
            shown.add_column(heading)
        for heading in ("year", "mapped %", "map ha", "estimate ha", "from", "to", "difference", "%", "comparable"):
            shown.add_column(heading, justify="right")
        notes = Notes()
        for row in part.to_dict("records"):
            figures = [row[name] for name in ("map_area_ha", "estimate_ha", "low_ha", "high_ha", "difference_ha")]
            comparable = "–" if pd.isna(row["comparable"]) else f"{'yes' if row['comparable'] else 'no'} "
            shown.add_row(
                row["level"],
                escape(row["name"]),
                str(row["year"]),
                told(100 * row["mapped_share"], 1),
                *(told(value, 1) for value in [*figures, row["difference_percent"]]),
                comparable + notes.mark(row["why_not"]),
            )
        Console(width=132).print(shown)
        notes.print()
    if found.table["estimate_ha"].isna().any():
        print("Where there is no estimate there are pixel counts, which are biased and not for publication.")
    if found.unpublished:
        print(f"Not published: {', '.join(found.unpublished)}.")
    if found.missing:
        print(f"No edition: {', '.join(map(str, found.missing))}.")
