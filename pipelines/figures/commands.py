"""The commands of ``stook`` that turn a published edition into figures."""

from collections.abc import Sequence
from typing import Annotated

import typer

from stook.pipelines.configuration import MapConfiguration
from stook.pipelines.options import Config, Year
from stook.pipelines.sections import load
from stook.transforms.store import Address, address_of

Answers = Annotated[
    list[str], typer.Argument(metavar="ANSWERS...", help="Interpreters' files, .csv or vector files, here or at gs://.")
]
SampleOption = Annotated[
    str | None,
    typer.Option("--sample", help="Folder of the sample, here or at gs://; default: the newest of the season's."),
]
TableOption = Annotated[
    str | None, typer.Option("--to", help="Also write the table here, or at gs://: .csv or .parquet.")
]


def statistics(
    config: Config,
    year: Year,
    threshold: Annotated[int | None, typer.Option(min=1, max=100, help="Percent, not the configuration's.")] = None,
    to: Annotated[
        str | None, typer.Option(help="Also write the table, here or at gs://: .csv, .parquet, .gpkg or .geoparquet.")
    ] = None,
    from_maps: Annotated[
        bool, typer.Option("--from-maps", help="Sum the published maps anew, not the ledger.")
    ] = False,
    by: Annotated[
        str | None,
        typer.Option(
            help="Cross-tabulate the maps with a layer of yours: FILE of polygons and field, 'zones.gpkg:zone', "
            "or a raster of whole numbers, 'mask.tif'."
        ),
    ] = None,
) -> None:
    """Print hectares per unit, parent and region of the published edition."""
    from stook.pipelines.figures.statistics import print_table, run_statistics

    print_table(run_statistics(load(config, MapConfiguration), year, threshold, _address(to), from_maps, by))


def sample(
    config: Config,
    year: Year,
    since: Annotated[int | None, typer.Option(help="Harvest year of an earlier map, to sample what changed.")] = None,
) -> None:
    """Draw reference points from the published map, for interpreters."""
    from stook.pipelines.figures.sample import run_sample

    run_sample(load(config, MapConfiguration), year, since)


def estimate(
    config: Config,
    year: Year,
    answers: Answers,
    sample: SampleOption = None,
    without_design: Annotated[
        bool, typer.Option(help="The points are of no sample of ours: accuracy at the points, no hectares.")
    ] = False,
) -> None:
    """Estimate areas and accuracies, with intervals, from the answers of interpreters."""
    from stook.pipelines.figures.estimate import run_estimate

    run_estimate(load(config, MapConfiguration), year, _addresses(answers), _address(sample), without_design)


def change(
    config: Config,
    year: Year,
    since: Annotated[int, typer.Option(help="Harvest year of the earlier season.")],
    before: Annotated[list[str], typer.Option(help="Answers for the earlier season; may be given several times.")],
    after: Annotated[list[str], typer.Option(help="Answers for the season; may be given several times.")],
    sample: SampleOption = None,
) -> None:
    """Estimate gain and loss of a class between two seasons, from one sample that was answered for both."""
    from stook.pipelines.figures.change import run_change

    judged = _addresses(before), _addresses(after)
    run_change(load(config, MapConfiguration), year, since, *judged, _address(sample))


def agreement(
    answers: Answers,
    column: Annotated[list[str], typer.Option(help="Column with answers; several columns are several interpreters.")],
    id_column: Annotated[str, typer.Option("--id", help="Column with the point's number.")] = "PLOTID",
) -> None:
    """Tell how far interpreters agree at points of any origin; needs no map and no configuration."""
    from stook.pipelines.figures.agreement import run_agreement

    run_agreement(_addresses(answers), column, id_column)


def report(
    config: Config,
    year: Year,
    to: Annotated[
        str | None, typer.Option(help="Folder, here or at gs://; default: reports/ in the season's folder.")
    ] = None,
) -> None:
    """Write the figures as an office publishes them: tables, geometry, SDMX, dictionary, methods note."""
    from stook.pipelines.figures.report import run_report

    for path in run_report(load(config, MapConfiguration), year, _address(to)):
        print(path)


def revisions(
    config: Config,
    year: Year,
    since: Annotated[str | None, typer.Option(help="Earlier edition; default: the one published before.")] = None,
    to: TableOption = None,
) -> None:
    """Tell what changed between two editions of a season, by how much, and why."""
    from stook.pipelines.figures.revisions import run_revisions

    run_revisions(load(config, MapConfiguration), year, since, _address(to))


def series(
    config: Config,
    to: TableOption = None,
) -> None:
    """One table over all published seasons, and what makes them comparable or not."""
    from stook.pipelines.figures.series import run_series

    run_series(load(config, MapConfiguration), _address(to))


def add_to(app: typer.Typer) -> None:
    """Register the commands, in the order in which they are used."""
    for command in (statistics, sample, agreement, estimate, change, report, revisions, series):
        app.command()(command)


def _address(named: str | None) -> Address | None:
    return None if named is None else address_of(named)


def _addresses(named: Sequence[str]) -> list[Address]:
    return [address_of(each) for each in named]
