"""The commands of ``stook`` with which an operator looks after editions."""

from typing import Annotated

import typer

from pipelines.configuration import MapConfiguration
from pipelines.options import Config, Year
from pipelines.sections import load


def status(
    config: Config,
    year: Annotated[int | None, typer.Option(help="Harvest year of one season; default: all.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="A JSON line per edition.")] = False,
) -> None:
    """Tell what is open, published and failed, why, and who is at work."""
    from pipelines.operations.status import print_states, run_status

    print_states(run_status(load(config, MapConfiguration), year), as_json)


def publish(
    config: Config,
    year: Year,
    edition: Annotated[str | None, typer.Option(help="Its name; an older one rolls back. Default: the newest.")] = None,
) -> None:
    """Point readers at an edition; naming an older one takes a publication back."""
    from pipelines.operations.editions import run_publish

    print(f"published {run_publish(load(config, MapConfiguration), year, edition).folder}")


def cancel(
    config: Config,
    year: Year,
    discard: Annotated[bool, typer.Option(help="Delete the open edition too; otherwise it can be continued.")] = False,
    patience: Annotated[float, typer.Option(help="Seconds to wait for the run to stop.", min=0)] = 600.0,
) -> None:
    """Stop the run that fills a season's open edition, on whatever machine it is."""
    from pipelines.operations.editions import run_cancel

    edition = run_cancel(load(config, MapConfiguration), year, discard, patience)
    print(f"stopped{' and deleted' if discard else ''}: {edition.folder}")


def remove(
    config: Config,
    year: Year,
    keep: Annotated[int, typer.Option(help="How many superseded editions stay.", min=0)] = 1,
    open_too: Annotated[bool, typer.Option("--open", help="Open ones older than the published one too.")] = False,
    really: Annotated[bool, typer.Option("--really", help="Delete; otherwise only tell what would go.")] = False,
) -> None:
    """Delete editions that readers no longer see; without --really nothing is deleted."""
    from pipelines.operations.editions import run_remove
    from transforms.store import bytes_below

    loaded = load(config, MapConfiguration)
    for edition in run_remove(loaded, year, keep, open_too, really=False):
        size = bytes_below(edition.folder) / 2**20
        print(f"{'deleting' if really else 'would delete'} {edition.folder} ({size:.1f} MiB)")
    if really:
        run_remove(loaded, year, keep, open_too, really=True)


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    for command in (status, publish, cancel, remove):
        app.command()(command)
