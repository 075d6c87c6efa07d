"""The ``stook`` command: its groups in the order of the work, and how failures end it."""

import errno
import logging
import os
import signal
import sys
import traceback
from collections.abc import Callable
from io import TextIOWrapper
from typing import Annotated, Any

import typer

import stook
from stook.models.errors import InputError, StookError, UnreachableError, without_secrets
from stook.pipelines.commands import figures, mapping, models, operate

STOPPED = 130  # what typer makes of Ctrl-C
# What a disk can refuse: a place that cannot be written is the user's to change, a full or failing one is down.
STATUS_OF_DISK = dict.fromkeys(
    (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG), InputError.exit_status
) | dict.fromkeys((errno.ENOSPC, errno.EDQUOT, errno.EIO), UnreachableError.exit_status)
GROUPS: dict[str, dict[str, Callable[..., Any]]] = {
    "Map": {
        "demo": mapping.demo,
        "configuration": mapping.configuration,
        "plan": mapping.plan,
        "map": mapping.map_season,
        "backfill": mapping.backfill,
        "embed": mapping.embed,
    },
    "Publish and operate": {
        "status": operate.status,
        "retry": operate.retry,
        "publish": operate.publish,
        "export": operate.export,
        "cancel": operate.cancel,
        "remove": operate.remove,
    },
    "Figures": {
        "statistics": figures.statistics,
        "sample": figures.sample,
        "agreement": figures.agreement,
        "estimate": figures.estimate,
        "change": figures.change,
        "report": figures.report,
        "revisions": figures.revisions,
        "series": figures.series,
    },
    "Models": {"train": models.train},
}

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False)
for group, commands in GROUPS.items():
    for name, function in commands.items():
        app.command(name, rich_help_panel=group)(function)
app.add_typer(models.app, name="models", rich_help_panel="Models")


def print_version(wanted: bool) -> None:
    """Print the version and end, if asked."""
    if wanted:
        print(f"stook {stook.__version__}")
        raise typer.Exit


@app.callback()
def common(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", is_eager=True, callback=print_version)
    ] = False,
) -> None:
    """Map cropland, harvest piles and building coverage of large regions, with areas per district."""


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
            complain("stook: stopped. Progress is saved; rerun to resume")
            os._exit(STOPPED)  # tiles in flight cannot be interrupted, and need not be: they have no record yet
        raise
    except Exception as fault:  # noqa: BLE001  the last line of defence: a fault of ours is told as one
        if isinstance(fault, OSError) and fault.filename and fault.errno in STATUS_OF_DISK:
            complain(f"stook: {fault.filename}: {os.strerror(fault.errno)}")
            sys.exit(STATUS_OF_DISK[fault.errno])
        from stook.transforms.store import CLOUD_FAILURES, reason_of

        if isinstance(fault, CLOUD_FAILURES):
            complain(f"stook: Cloud Storage does not answer: {without_secrets(reason_of(fault))}. Progress is saved")
            sys.exit(UnreachableError.exit_status)
        complain(without_secrets(traceback.format_exc()).rstrip())
        complain(f"stook: internal error: {without_secrets(repr(fault))}; please report it with the lines above")
        sys.exit(1)


def complain(text: str) -> None:
    """Print to standard error."""
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
