"""Arguments and options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

Config = Annotated[Path, typer.Argument(metavar="CONFIG", help="Configuration file, YAML; see 'stook configuration'.")]
Year = Annotated[int, typer.Option(help="Harvest year of the season.", min=2015, max=2100)]
Provisional = Annotated[bool, typer.Option(help="Work on a season whose window is not over.")]
Refresh = Annotated[bool, typer.Option(help="Search the archives anew and open a successor edition.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="JSON lines on standard output, for schedulers; no progress bar.")]
