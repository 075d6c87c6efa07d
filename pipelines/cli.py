"""The ``stook`` command: one function per operation, and how failures end it."""

import json
import logging
import os
import signal
import sys
import traceback
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from pydantic import BaseModel
from rich.console import Console

from stook.models.errors import InputError, StookError, UnreachableError, without_secrets
from stook.pipelines.configuration import MapConfiguration
from stook.pipelines.explain import describe
from stook.pipelines.figures import commands as figures
from stook.pipelines.models import app as models_app
from stook.pipelines.operations import commands as operations
from stook.pipelines.options import Config, Embeddings, NoReuse, Provisional, Quiet, Refresh, Year
from stook.pipelines.progress import Reporter, complain, reporter
from stook.pipelines.sections import load
from stook.pipelines.training_configuration import TrainConfiguration
from stook.transforms.store import CLOUD_FAILURES, reason_of

if TYPE_CHECKING:
    from stook.pipelines.map import MapResult

STOPPED = 130  # what typer makes of Ctrl-C

app = typer.Typer(
    help="Cropland, harvest-pile and building-coverage maps of large regions, with areas per district.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.add_typer(models_app, name="models")
figures.add_to(app)
operations.add_to(app)


@app.command("map")
def map_command(
    config: Config,
    year: Year,
    provisional: Provisional = False,
    refresh: Refresh = False,
    no_reuse: NoReuse = False,
    quiet: Quiet = False,
) -> None:
    """Map a season: open its edition or continue it, run its tiles, publish it."""
    from stook.pipelines.map import run_map

    report = reporter(quiet)
    _finish(run_map(load(config, MapConfiguration), year, report, provisional, refresh, no_reuse), report)


@app.command()
def retry(config: Config, year: Year, embeddings: Embeddings = False, quiet: Quiet = False) -> None:
    """Do the failed tiles of a season's newest edition again, and publish."""
    from stook.pipelines.kind import kind_of
    from stook.pipelines.map import run_retry

    loaded, report = load(config, MapConfiguration), reporter(quiet)
    _finish(run_retry(loaded, year, report, kind_of(loaded, embeddings)), report)


@app.command()
def embed(
    config: Config,
    year: Year,
    provisional: Provisional = False,
    refresh: Refresh = False,
    no_reuse: NoReuse = False,
    quiet: Quiet = False,
) -> None:
    """Store the feature vectors of a season, so that further heads need no encoding."""
    from stook.pipelines.map import run_embed

    report = reporter(quiet)
    _finish(run_embed(load(config, MapConfiguration), year, report, provisional, refresh, no_reuse), report)


def _finish(result: "MapResult", report: Reporter) -> None:
    """Say what failed and what came of it, and end with the exit status."""
    from stook.pipelines.map import tell

    tell(result, report)
    raise typer.Exit(result.exit_status)


@app.command()
def export(
    config: Config,
    year: Year,
    to: Annotated[
        str | None, typer.Option(help="Folder, here or at gs://; default: exports/ in the season's folder.")
    ] = None,
) -> None:
    """Write the published maps as cloud-optimised GeoTIFFs, with a VRT over the zones."""
    from stook.pipelines.season import published_edition, season_folder
    from stook.transforms.reporting.export import export as export_edition
    from stook.transforms.store import address_of, is_cloud, require_writable

    loaded = load(config, MapConfiguration)
    edition = published_edition(loaded, year)
    folder = address_of(to) if to else season_folder(loaded, year).folder / "exports" / edition.id
    if is_cloud(folder):
        require_writable(folder)
    try:
        paths = export_edition(edition, folder)
    except OSError as error:
        raise InputError(f"--to {folder}: cannot be written ({error.strerror or error})") from error
    for path in paths:
        print(path)


@app.command()
def train(config: Config, quiet: Quiet = False) -> None:
    """Train a head on a frozen encoder, or both together, and write their bundle."""
    from stook.pipelines.fine_tune import run_fine_tuning
    from stook.pipelines.train import run_training

    loaded, report = load(config, TrainConfiguration), reporter(quiet)
    result = run_fine_tuning(loaded, report) if loaded.training.on_chips else run_training(loaded, report)
    for place, measured in result.held_out.items():
        print(f"{place}: {measured}")


@app.command()
def demo(
    folder: Annotated[Path, typer.Option(help="Where to write the simulated archive and the results.")] = Path("demo"),
) -> None:
    """Map a simulated landscape and compare with its known truth; needs no data and no network."""
    from stook.pipelines.demo.run import run_demo

    run_demo(folder)


@app.command()
def configuration(
    what: Annotated[str, typer.Argument(help="map or train")] = "map",
    as_json: Annotated[bool, typer.Option("--json", help="As JSON schema.")] = False,
) -> None:
    """Describe every field of a configuration file."""
    schemas: dict[str, type[BaseModel]] = {"map": MapConfiguration, "train": TrainConfiguration}
    if what not in schemas:
        raise InputError(f"{what!r} is not a kind of configuration; allowed are {', '.join(schemas)}")
    print(json.dumps(schemas[what].model_json_schema(), indent=2) if as_json else describe(schemas[what]))


def main() -> None:
    """Run the command; every failure ends in one line and its exit status."""
    # Libraries warn on import, of optional parts that nobody asked for; what matters to the user is in our own words.
    logging.basicConfig(level=logging.ERROR)
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # of Windows a pipe knows few letters, and no ≤
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # how schedulers stop a run: as Ctrl-C does
    try:
        app(standalone_mode=True)
    except StookError as error:
        complain(f"stook: {' '.join(str(error).split())}")
        sys.exit(error.exit_status)
    except SystemExit as end:
        if end.code == STOPPED:
            complain("stook: stopped; run the same command again to continue")
            os._exit(STOPPED)  # tiles in flight cannot be interrupted, and need not be: they have no record yet
        raise
    except CLOUD_FAILURES as failure:
        complain(f"stook: a bucket does not answer: {without_secrets(reason_of(failure))}; what is done is kept")
        sys.exit(UnreachableError.exit_status)
    except Exception as fault:  # noqa: BLE001  the last line of defence: a fault of ours is told as one
        Console(stderr=True).print(without_secrets(traceback.format_exc()), markup=False, highlight=False)
        complain(f"stook: a fault in Stook: {without_secrets(repr(fault))}; please report it with the lines above")
        sys.exit(1)


if __name__ == "__main__":
    main()
