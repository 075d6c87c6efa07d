"""Commands with which an operator looks after runs and editions."""

from typing import Annotated

import typer

from stook.models.errors import InputError
from stook.pipelines.commands.mapping import finish
from stook.pipelines.commands.options import AsJson, Config, Embeddings, Quiet, Year, address, map_configuration


def status(
    config: Config,
    year: Annotated[int | None, typer.Option(help="Harvest year of one season.", show_default="all seasons")] = None,
    as_json: AsJson = False,
) -> None:
    """Show open, published and failed editions, the causes of failure, and running jobs."""
    loaded = map_configuration(config)
    from stook.pipelines.operations.status import print_states, run_status

    print_states(run_status(loaded, year), as_json)


def retry(config: Config, year: Year, embeddings: Embeddings = False, quiet: Quiet = False) -> None:
    """Retry the failed tiles of a season's newest edition, and publish it."""
    loaded = map_configuration(config)
    from stook.pipelines.kind import kind_of
    from stook.pipelines.map import run_retry
    from stook.pipelines.progress import reporter

    report = reporter(quiet)
    finish(run_retry(loaded, year, report, kind_of(loaded, embeddings)), report)


def publish(
    config: Config,
    year: Year,
    edition: Annotated[
        str | None, typer.Option(help="Name of the edition; an older one rolls back.", show_default="the newest")
    ] = None,
    embeddings: Embeddings = False,
) -> None:
    """Publish an edition, or roll back to an older one."""
    loaded = map_configuration(config)
    from stook.pipelines.kind import kind_of
    from stook.pipelines.operations.editions import run_publish

    print(f"published {run_publish(loaded, year, edition, kind_of(loaded, embeddings)).folder}")


def export(
    config: Config,
    year: Year,
    to: Annotated[
        str | None,
        typer.Option(help="Folder, or gs://bucket/prefix.", show_default="exports/ in the season's folder"),
    ] = None,
) -> None:
    """Export the published maps as cloud-optimised GeoTIFFs (COGs), with a VRT over the zones."""
    loaded = map_configuration(config)
    from stook.pipelines.season import published_edition, season_folder
    from stook.transforms.reporting.export import export as export_edition
    from stook.transforms.store import is_cloud, require_writable

    edition = published_edition(loaded, year)
    folder = address(to) if to else season_folder(loaded, year).folder / "exports" / edition.id
    if is_cloud(folder):
        require_writable(folder)
    try:
        paths = export_edition(edition, folder)
    except OSError as error:
        raise InputError(f"--to {folder}: cannot be written ({error.strerror or error})") from error
    for path in paths:
        print(path)


def cancel(
    config: Config,
    year: Year,
    discard: Annotated[bool, typer.Option("--discard", help="Also delete the open edition.")] = False,
    timeout: Annotated[float, typer.Option(help="Seconds to wait for the run to stop.", min=0)] = 600.0,
    embeddings: Embeddings = False,
) -> None:
    """Stop the running job of a season, on whatever machine it runs."""
    loaded = map_configuration(config)
    from stook.pipelines.kind import kind_of
    from stook.pipelines.operations.editions import run_cancel

    edition = run_cancel(loaded, year, discard, timeout, kind_of(loaded, embeddings))
    what = "it had not opened an edition" if edition is None else str(edition.folder)
    print(f"stopped{' and deleted' if discard and edition else ''}: {what}")


def remove(
    config: Config,
    year: Year,
    keep: Annotated[int, typer.Option(help="Number of superseded editions to keep.", min=0)] = 1,
    open_too: Annotated[
        bool, typer.Option("--open", help="Also remove open editions older than the published one.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Delete them. Without it, only list them.")] = False,
    embeddings: Embeddings = False,
) -> None:
    """List the editions that readers no longer use, or delete them with --yes."""
    loaded = map_configuration(config)
    from stook.pipelines.kind import kind_of
    from stook.pipelines.operations.editions import run_remove
    from stook.transforms.store import bytes_below

    kind = kind_of(loaded, embeddings)
    for edition in run_remove(loaded, year, keep, open_too, yes=False, kind=kind):
        size = bytes_below(edition.folder) / 2**20
        print(f"{'deleting' if yes else 'would delete'} {edition.folder} ({size:.1f} MiB)")
    if yes:
        run_remove(loaded, year, keep, open_too, yes=True, kind=kind)
