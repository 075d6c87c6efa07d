"""``stook report``: the published edition's figures in the files that an office publishes."""

from pathlib import Path

from models.errors import InputError
from pipelines.configuration import MapConfiguration
from pipelines.season import published_edition, thresholds_of
from transforms.reporting.report import REPORTS, write_report


def run_report(config: MapConfiguration, year: int, to: Path | None) -> list[Path]:
    """Write the report of the published edition.

    Args:
        config: The configuration.
        year: Harvest year.
        to: The folder; ``reports/<edition>`` in the season's folder if absent.

    Returns:
        Its files.

    Raises:
        InputError: If nothing is published, or ``to`` holds something else than a report or cannot be written.
    """
    edition = published_edition(config, year)
    folder = to or edition.folder.parent / REPORTS / edition.id
    try:
        return write_report(edition, thresholds_of(config), config.region.vintage, folder)
    except OSError as error:
        raise InputError(f"{folder}: cannot be written ({error.strerror or error})") from error
