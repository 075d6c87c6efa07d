"""``stook report``: the published edition's figures in the files that an office publishes."""

from stook.models.errors import InputError
from stook.pipelines.configuration import MapConfiguration
from stook.pipelines.season import published_edition, season_folder, thresholds_of
from stook.transforms.editions.edition import Edition
from stook.transforms.reporting.report import REPORTS, write_report
from stook.transforms.sampling.estimates import Estimates
from stook.transforms.sampling.sample import DESIGN, SAMPLES, SampleDesign, read_design
from stook.transforms.store import Address, ChangedError, is_cloud, names_below, require_writable, whole_folders


def run_report(config: MapConfiguration, year: int, to: Address | None) -> list[Address]:
    """Write the report of the published edition.

    Args:
        config: The configuration.
        year: Harvest year.
        to: The folder; ``reports/<edition>`` in the season's folder if absent.

    Returns:
        Its files; those of another process, which is told, where that wrote the report meanwhile.

    Raises:
        InputError: If nothing is published, or ``to`` holds something else than a report or cannot be written.
    """
    edition = published_edition(config, year)
    season = season_folder(config, year).folder
    folder = to or season / REPORTS / edition.id
    if is_cloud(folder):
        require_writable(folder)
    tell_sources(edition, season)
    try:
        return write_report(edition, thresholds_of(config), config.region.vintage, folder)
    except ChangedError as error:
        print(error)
        return [folder / name for name in sorted(names_below(folder))]
    except OSError as error:
        raise InputError(f"{folder}: cannot be written ({error.strerror or error})") from error


def tell_sources(edition: Edition, season: Address) -> None:
    """Print which estimates the report holds, and which samples of the season were not judged for this edition."""
    unjudged = []
    for product in (planned.product for planned in edition.plan.all_products):
        found = Estimates.newest(season, edition.id, product)
        if found is None:
            unjudged.append(product)
        else:
            answers = ", ".join(found.summary["answers"])
            print(f"{product}: estimates of sample {found.summary['sample']['id']}, answers {answers} ({found.folder})")
    designs = _readable_designs(season) if unjudged else {}
    for product in unjudged:
        others = [name for name, design in designs.items() if design.product == product]
        if others:
            print(
                f"{product}: no estimates for this edition, although there are samples ({', '.join(others)}): "
                "'stook estimate --sample' makes them"
            )


def _readable_designs(season: Address) -> dict[str, SampleDesign]:
    """Name -> design of every sample of a season; tells those that cannot be read, which no report rests on."""
    home, designs = season / SAMPLES, {}
    for name in whole_folders(home, DESIGN):
        try:
            designs[name] = read_design(home / name)
        except InputError as error:
            print(f"{error}; passed over")
    return designs
