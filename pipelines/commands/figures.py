"""Commands that turn a published edition into figures."""

from typing import Annotated

import typer

from stook.pipelines.commands.options import Config, Year, address, map_configuration

Answers = Annotated[
    list[str], typer.Argument(metavar="ANSWERS...", help="Interpreters' files (.csv or vector), paths or gs://.")
]
SampleOption = Annotated[
    str | None,
    typer.Option("--sample", help="Folder of the sample, a path or gs://.", show_default="the season's newest"),
]
TableOption = Annotated[
    str | None, typer.Option("--to", metavar="FILE", help="Also write the table: .csv or .parquet, a path or gs://.")
]


def statistics(
    config: Config,
    year: Year,
    threshold: Annotated[
        int | None,
        typer.Option(min=1, max=100, help="Probability in percent.", show_default="as configured"),
    ] = None,
    to: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Also write the table: .csv, .parquet, .gpkg or .geoparquet."),
    ] = None,
    from_maps: Annotated[
        bool, typer.Option("--from-maps", help="Sum the published maps again instead of the ledger.")
    ] = False,
    by: Annotated[
        str | None,
        typer.Option(
            metavar="LAYER",
            help="Cross-tabulate with a layer: polygons and their field, 'zones.gpkg:zone', or an integer raster, "
            "'mask.tif'.",
        ),
    ] = None,
) -> None:
    """Print hectares per unit, parent and region."""
    loaded = map_configuration(config)
    from stook.pipelines.figures.statistics import print_table, run_statistics

    print_table(run_statistics(loaded, year, threshold, address(to) if to else None, from_maps, by))


def sample(
    config: Config,
    year: Year,
    since: Annotated[
        int | None,
        typer.Option(metavar="YEAR", help="Sample change since this harvest year.", show_default="no change"),
    ] = None,
) -> None:
    """Draw reference points from the published map, for interpreters."""
    loaded = map_configuration(config)
    from stook.pipelines.figures.sample import run_sample

    run_sample(loaded, year, since)


def agreement(
    answers: Answers,
    column: Annotated[list[str], typer.Option(help="Column with answers; repeat it for several interpreters.")],
    id_column: Annotated[str, typer.Option("--id", help="Column with the point's number.")] = "PLOTID",
) -> None:
    """Measure how far interpreters agree. Needs no map and no configuration."""
    from stook.pipelines.figures.agreement import run_agreement

    run_agreement([address(each) for each in answers], column, id_column)


def estimate(
    config: Config,
    year: Year,
    answers: Answers,
    sample: SampleOption = None,
    without_design: Annotated[
        bool,
        typer.Option("--without-design", help="Points of another origin: accuracy at the points only, no hectares."),
    ] = False,
) -> None:
    """Estimate areas and accuracies, with confidence intervals, from interpreters' answers."""
    loaded = map_configuration(config)
    from stook.pipelines.figures.estimate import run_estimate

    folder = address(sample) if sample else None
    run_estimate(loaded, year, [address(each) for each in answers], folder, without_design)


def change(
    config: Config,
    year: Year,
    since: Annotated[int, typer.Option(metavar="YEAR", help="Harvest year of the earlier season.")],
    before: Annotated[list[str], typer.Option(metavar="FILE", help="Answers for the earlier season; repeatable.")],
    after: Annotated[list[str], typer.Option(metavar="FILE", help="Answers for this season; repeatable.")],
    sample: SampleOption = None,
) -> None:
    """Estimate gain and loss between two seasons, from one sample interpreted for both."""
    loaded = map_configuration(config)
    from stook.pipelines.figures.change import run_change

    judged = [address(each) for each in before], [address(each) for each in after]
    run_change(loaded, year, since, *judged, address(sample) if sample else None)


def report(
    config: Config,
    year: Year,
    to: Annotated[
        str | None, typer.Option(help="Folder, or gs://bucket/prefix.", show_default="reports/ in the season's folder")
    ] = None,
) -> None:
    """Write the figures for publication: tables, geometry, SDMX, data dictionary, methods note."""
    loaded = map_configuration(config)
    from stook.pipelines.figures.report import run_report

    for path in run_report(loaded, year, address(to) if to else None):
        print(path)


def revisions(
    config: Config,
    year: Year,
    since: Annotated[
        str | None, typer.Option(metavar="EDITION", help="Earlier edition.", show_default="the previously published")
    ] = None,
    to: TableOption = None,
) -> None:
    """Compare the figures of two editions of a season: by how much they changed, and why."""
    loaded = map_configuration(config)
    from stook.pipelines.figures.revisions import run_revisions

    run_revisions(loaded, year, since, address(to) if to else None)


def series(config: Config, to: TableOption = None) -> None:
    """Tabulate all published seasons, and whether they can be compared."""
    loaded = map_configuration(config)
    from stook.pipelines.figures.series import run_series

    run_series(loaded, address(to) if to else None)
