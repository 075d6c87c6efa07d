"""``stook revisions``: what changed between two editions of a season, by how much, and why."""

import pandas as pd
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from stook.models.errors import InputError
from stook.pipelines.configuration import MapConfiguration
from stook.pipelines.figures.notes import Notes, require_suffix, write_figures
from stook.pipelines.season import season_folder
from stook.transforms.editions.edition import Edition
from stook.transforms.editions.season_folder import POINTER, SeasonFolder
from stook.transforms.reporting.made import Made
from stook.transforms.reporting.revisions import Revisions, revisions
from stook.transforms.store import Address, read_json

MOST_NAMED = 10


def run_revisions(config: MapConfiguration, year: int, since: str | None, to: Address | None) -> Revisions:
    """Hold the published edition against an earlier one; print the table, and write it if asked.

    Args:
        config: The configuration; only where its editions are is read.
        year: Harvest year.
        since: Id of the earlier edition; the one published before if absent.
        to: ``.csv`` or ``.parquet``.

    Raises:
        InputError: If there is no such edition, or it was never finished, or ``to`` cannot be written.
    """
    require_suffix(to)
    folder = season_folder(config, year)
    after = folder.current()
    if after is None:
        raise InputError(f"{folder.folder}: no edition of this season is published; make it with 'stook map'")
    found = revisions(Made(earlier(folder, after, since)), Made(after))
    print_revisions(found, str(after.plan.season))
    if to is not None:
        write_figures(found.table, to)
    return found


def earlier(folder: SeasonFolder, after: Edition, since: str | None) -> Edition:
    """The edition that is compared with; raises InputError if there is none of that name, or none before."""
    others = {edition.id: edition for edition in folder.editions() if edition.id != after.id}
    if since is None:
        previous = [name for name in read_json(folder.folder / POINTER)["previous"] if name in others]
        if not previous:
            raise InputError(f"{folder.folder}: {after.id} is the only edition of this season that was ever published")
        return others[previous[-1]]
    if since not in others:
        raise InputError(
            f"--since {since}: not an earlier edition of {folder.folder}; there are {', '.join(others) or 'no others'}"
        )
    return others[since]


def print_revisions(found: Revisions, season: str) -> None:
    """Print a table per product, reasons below it by number."""
    for product, part in found.table.groupby("product", sort=False):
        ids = part["edition_before"].iloc[0], part["edition_after"].iloc[0]
        shown = Table(title=f"{product}, {season}: {ids[0]} → {ids[1]}", title_justify="left", box=None)
        for heading in ("level", "unit", "figure"):
            shown.add_column(heading)
        for heading in ("before", "after", "difference", "%", "why"):
            shown.add_column(heading, justify="right")
        notes = Notes()
        for row in part.to_dict("records"):
            figures = (row["before"], row["after"], row["difference"], row["difference_percent"])
            what = " ".join(word for word in (row["figure"], row["class"], f"({row['unit']})") if word)
            decimals = 3 if row["unit"] == "share" else 1
            shown.add_row(
                row["level"],
                escape(row["name"]),
                escape(what),
                *(told(value, decimals) for value in figures),
                notes.mark(row["why"]),
            )
        Console(width=132).print(shown)
        notes.print()
    for rows, which in ((found.gone, "earlier"), (found.new, "later")):
        if rows:
            named = ", ".join(" ".join(row) for row in rows[:MOST_NAMED])
            print(f"Only in the {which} edition: {named}{' and more' if len(rows) > MOST_NAMED else ''}.")
    for products, which in zip(found.estimated, ("earlier", "later"), strict=True):
        if products:
            print(f"Estimated from a sample for the {which} edition only: {', '.join(products)}.")


def told(value: float, decimals: int) -> str:
    """A number for people; a dash where there is none."""
    return "–" if pd.isna(value) else f"{value:,.{decimals}f}"
