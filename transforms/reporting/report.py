"""A report: a folder with the figures of an edition as an office publishes them."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from stook.transforms.editions.edition import Edition
from stook.transforms.ground.region import Region
from stook.transforms.reporting.columns import dictionary
from stook.transforms.reporting.folder import replacing_folder, write_contents
from stook.transforms.reporting.geometry import GEOMETRY_SUFFIXES, grounds, with_ground, write_with_ground
from stook.transforms.reporting.methods import methods_note
from stook.transforms.reporting.observations import observations
from stook.transforms.reporting.sdmx import DATA_FILE, write_observations
from stook.transforms.reporting.tables import areas_table, estimates_table, vintage_of
from stook.transforms.store import Address, names_below

REPORTS = "reports"  # folder of a season


def write_report(
    edition: Edition, thresholds: Mapping[str, int], told_vintage: str | None, to: Address
) -> list[Address]:
    """Write the report of an edition; the folder appears whole, in place of a report that was there.

    Args:
        edition: Every tile must have its record.
        thresholds: Product of a model -> percent from which a pixel counts as the class.
        told_vintage: What the office calls its boundaries; None to tell them by their hash.
        to: The folder.

    Returns:
        Its files.

    Raises:
        InputError: If a tile has no record yet, or ``to`` holds something else than a report.
    """
    vintage = vintage_of(edition, told_vintage)
    areas, estimates = areas_table(edition, thresholds, vintage), estimates_table(edition, vintage)
    tables = {"areas": areas} | ({} if estimates is None else {"estimates": estimates})
    found = grounds(Region.read(edition.units), edition.plan.name)
    with replacing_folder(to) as folder:
        for name, table in tables.items():
            write_unrounded(table, folder / f"{name}.csv")
            table.to_parquet(folder / f"{name}.parquet", index=False)
            ground = with_ground(table, found)
            for suffix in GEOMETRY_SUFFIXES:
                write_with_ground(ground, folder / f"{name}{suffix}")
        data = write_observations(observations(edition, areas, estimates), folder)
        words = dictionary(tables | {DATA_FILE.removesuffix(".csv"): data})
        words.to_csv(folder / "dictionary.csv", index=False, lineterminator="\n")
        note = methods_note(edition, areas, estimates, vintage)
        (folder / "methods.md").write_bytes(note.encode())
        write_contents(folder, {"edition": edition.id, "season": str(edition.plan.season), "vintage": vintage})
        written = names_below(folder)
    return [to / name for name in sorted(written)]


def write_unrounded(table: pd.DataFrame, path: Path) -> None:
    """Write a table as CSV with as many digits as it takes to read the same numbers back."""
    table.to_csv(path, index=False, lineterminator="\n")
