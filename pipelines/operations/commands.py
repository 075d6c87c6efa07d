"""The commands of ``stook`` with which an operator looks after editions."""

from pathlib import Path
from typing import Annotated

import typer

from stook.pipelines.configuration import MapConfiguration
from stook.pipelines.options import Config, Embeddings, NoReuse, Provisional, Quiet, Refresh, Year
from stook.pipelines.sections import load


def status(
    config: Config,
    year: Annotated[int | None, typer.Option(help="Harvest year of one season; default: all.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="A JSON line per edition.")] = False,
) -> None:
    """Tell what is open, published and failed, why, and who is at work."""
    from stook.pipelines.operations.status import print_states, run_status

    print_states(run_status(load(config, MapConfiguration), year), as_json)


def plan(
    config: Config,
    year: Year,
    embeddings: Embeddings = False,
    provisional: Provisional = False,
    refresh: Refresh = False,
    no_reuse: NoReuse = False,
    as_json: Annotated[bool, typer.Option("--json", help="As one JSON object; keep it for --compare.")] = False,
    machine: Annotated[
        str | None, typer.Option(help="One of machines in the configuration; default: this one.")
    ] = None,
    max_tiles: Annotated[int, typer.Option(help="Tiles to look at; of more, so many are chosen by lot.", min=1)] = 1000,
    compare: Annotated[Path | None, typer.Option(help="A kept plan: show what came of it, side by side.")] = None,
) -> None:
    """Tell what 'stook map', or 'stook embed', would do, read, take and cost, without doing it."""
    from stook.pipelines.kind import kind_of
    from stook.pipelines.planning.comparison import compare_with_run
    from stook.pipelines.planning.plan import run_plan
    from stook.pipelines.planning.printing import print_comparison, print_forecast

    loaded = load(config, MapConfiguration)
    kind = kind_of(loaded, embeddings)
    if compare is not None:
        print_comparison(compare_with_run(loaded, year, compare, kind), as_json)
    else:
        print_forecast(run_plan(loaded, year, provisional, refresh, max_tiles, machine, no_reuse, kind), as_json)


def publish(
    config: Config,
    year: Year,
    edition: Annotated[str | None, typer.Option(help="Its name; an older one rolls back. Default: the newest.")] = None,
    embeddings: Embeddings = False,
) -> None:
    """Point readers at an edition; naming an older one takes a publication back."""
    from stook.pipelines.kind import kind_of
    from stook.pipelines.operations.editions import run_publish

    loaded = load(config, MapConfiguration)
    print(f"published {run_publish(loaded, year, edition, kind_of(loaded, embeddings)).folder}")


def cancel(
    config: Config,
    year: Year,
    discard: Annotated[bool, typer.Option(help="Delete the open edition too; otherwise it can be continued.")] = False,
    timeout: Annotated[float, typer.Option(help="Seconds to wait for the run to stop.", min=0)] = 600.0,
    embeddings: Embeddings = False,
) -> None:
    """Stop the run that fills a season's open edition, on whatever machine it is."""
    from stook.pipelines.kind import kind_of
    from stook.pipelines.operations.editions import run_cancel

    loaded = load(config, MapConfiguration)
    edition = run_cancel(loaded, year, discard, timeout, kind_of(loaded, embeddings))
    what = "it had not opened an edition" if edition is None else str(edition.folder)
    print(f"stopped{' and deleted' if discard and edition else ''}: {what}")


def remove(
    config: Config,
    year: Year,
    keep: Annotated[int, typer.Option(help="How many superseded editions stay.", min=0)] = 1,
    open_too: Annotated[bool, typer.Option("--open", help="Open ones older than the published one too.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Delete; otherwise only tell what would go.")] = False,
    embeddings: Embeddings = False,
) -> None:
    """Delete editions that readers no longer see; without --yes nothing is deleted."""
    from stook.pipelines.kind import kind_of
    from stook.pipelines.operations.editions import run_remove
    from stook.transforms.store import bytes_below

    loaded = load(config, MapConfiguration)
    kind = kind_of(loaded, embeddings)
    for edition in run_remove(loaded, year, keep, open_too, yes=False, kind=kind):
        size = bytes_below(edition.folder) / 2**20
        print(f"{'deleting' if yes else 'would delete'} {edition.folder} ({size:.1f} MiB)")
    if yes:
        run_remove(loaded, year, keep, open_too, yes=True, kind=kind)


def backfill(
    config: Config,
    years: Annotated[str, typer.Option(help="Harvest years: 2017:2024, or 2017,2019, or one.")],
    newest_first: Annotated[bool, typer.Option("--newest-first", help="Begin with the last season.")] = False,
    refresh: Annotated[
        bool, typer.Option("--refresh", help="Map published seasons again of which the archives have other scenes.")
    ] = False,
    skip_unusable: Annotated[
        bool, typer.Option("--skip-unusable", help="Leave out seasons that cannot be mapped; else they refuse all.")
    ] = False,
    provisional: Provisional = False,
    quiet: Quiet = False,
) -> None:
    """Map several seasons that were planned together, and tell whether they can be compared."""
    from stook.pipelines.operations.backfill import Options, run_backfill, years_of

    options = Options(newest_first, refresh, provisional, skip_unusable)
    result = run_backfill(load(config, MapConfiguration), years_of(years), options, quiet)
    raise typer.Exit(result.exit_status)


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    for command in (status, plan, publish, cancel, remove, backfill):
        app.command()(command)
