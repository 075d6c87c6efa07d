"""Commands that make maps: from a first look to many seasons."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stook.models.errors import InputError
from stook.pipelines.commands.options import (
    AsJson,
    Config,
    Embeddings,
    EngineOption,
    NoReuse,
    Provisional,
    Quiet,
    Refresh,
    Year,
    map_configuration,
)

if TYPE_CHECKING:
    from stook.pipelines.map import MapResult
    from stook.pipelines.progress import Reporter


def demo(
    folder: Annotated[Path, typer.Option(help="Folder for the simulated archive and the results.")] = Path("demo"),
) -> None:
    """Map a simulated landscape and compare it with the truth. Needs no data and no network."""
    from stook.pipelines.demo.run import run_demo

    run_demo(folder)


def configuration(
    kind: Annotated[str, typer.Argument(metavar="[map|train]", help="Kind of configuration file.")] = "map",
    as_json: Annotated[bool, typer.Option("--json", help="As JSON schema.")] = False,
) -> None:
    """List every field of a configuration file, with its default and meaning."""
    from pydantic import BaseModel

    from stook.pipelines.configuration import MapConfiguration
    from stook.pipelines.explain import describe
    from stook.pipelines.training_configuration import TrainConfiguration

    schemas: dict[str, type[BaseModel]] = {"map": MapConfiguration, "train": TrainConfiguration}
    if kind not in schemas:
        raise InputError(f"{kind!r} is not a kind of configuration; allowed are {', '.join(schemas)}")
    print(json.dumps(schemas[kind].model_json_schema(), indent=2) if as_json else describe(schemas[kind]))


def plan(
    config: Config,
    year: Year,
    embeddings: Embeddings = False,
    provisional: Provisional = False,
    refresh: Refresh = False,
    no_reuse: NoReuse = False,
    as_json: AsJson = False,
    machine: Annotated[
        str | None, typer.Option(help="One of 'machines' in the configuration.", show_default="this machine")
    ] = None,
    max_tiles: Annotated[
        int, typer.Option(help="Sample at most this many tiles and extrapolate to the region.", min=1)
    ] = 1000,
    compare: Annotated[
        Path | None, typer.Option(metavar="PLAN.json", help="Compare a saved plan (--json) with the actual run.")
    ] = None,
) -> None:
    """Estimate data volume, time and cost of 'map' (or 'embed') without running it."""
    loaded = map_configuration(config)
    from stook.pipelines.kind import kind_of
    from stook.pipelines.planning.comparison import compare_with_run
    from stook.pipelines.planning.plan import run_plan
    from stook.pipelines.planning.printing import print_comparison, print_forecast

    kind = kind_of(loaded, embeddings)
    if compare is not None:
        print_comparison(compare_with_run(loaded, year, compare, kind), as_json)
    else:
        print_forecast(run_plan(loaded, year, provisional, refresh, max_tiles, machine, no_reuse, kind), as_json)


def map_season(
    config: Config,
    year: Year,
    provisional: Provisional = False,
    refresh: Refresh = False,
    no_reuse: NoReuse = False,
    engine_option: EngineOption = None,
    quiet: Quiet = False,
) -> None:
    """Map a season and publish it. Progress is saved; rerun to resume."""
    loaded = map_configuration(config, engine_option)
    from stook.pipelines.map import run_map
    from stook.pipelines.progress import reporter

    report = reporter(quiet)
    finish(run_map(loaded, year, report, provisional, refresh, no_reuse), report)


def embed(
    config: Config,
    year: Year,
    provisional: Provisional = False,
    refresh: Refresh = False,
    no_reuse: NoReuse = False,
    engine_option: EngineOption = None,
    quiet: Quiet = False,
) -> None:
    """Store the feature vectors of a season, so that another head needs no encoding."""
    loaded = map_configuration(config, engine_option)
    from stook.pipelines.map import run_embed
    from stook.pipelines.progress import reporter

    report = reporter(quiet)
    finish(run_embed(loaded, year, report, provisional, refresh, no_reuse), report)


def backfill(
    config: Config,
    years: Annotated[str, typer.Option(help="Harvest years: 2017:2024, or 2017,2019, or one.")],
    newest_first: Annotated[bool, typer.Option("--newest-first", help="Start with the latest season.")] = False,
    refresh: Annotated[
        bool, typer.Option("--refresh", help="Remap published seasons whose scenes changed in the archives.")
    ] = False,
    skip_unusable: Annotated[
        bool, typer.Option("--skip-unusable", help="Skip seasons that cannot be mapped, instead of refusing all.")
    ] = False,
    provisional: Provisional = False,
    quiet: Quiet = False,
) -> None:
    """Map several seasons, checked together first, and report which of them can be compared."""
    loaded = map_configuration(config)
    from stook.pipelines.operations.backfill import Options, run_backfill, years_of

    options = Options(newest_first, refresh, provisional, skip_unusable)
    raise typer.Exit(run_backfill(loaded, years_of(years), options, quiet).exit_status)


def finish(result: "MapResult", report: "Reporter") -> None:
    """Report failed tiles and the outcome, and end with the exit status."""
    from stook.pipelines.map import tell

    tell(result, report)
    raise typer.Exit(result.exit_status)
