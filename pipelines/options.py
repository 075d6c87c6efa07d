"""Arguments and options that several commands share."""

from typing import Annotated

import typer

Config = Annotated[
    str, typer.Argument(metavar="CONFIG", help="Configuration file, YAML, here or at gs://; see 'stook configuration'.")
]
Year = Annotated[int, typer.Option(help="Harvest year of the season.", min=2015, max=2100)]
Provisional = Annotated[bool, typer.Option(help="Work on a season whose window is not over.")]
Refresh = Annotated[bool, typer.Option(help="Search the archives anew and open a successor edition.")]
NoReuse = Annotated[
    bool,
    typer.Option(help="As --refresh, and take over nothing: for an archive that replaces files without telling."),
]
Embeddings = Annotated[
    bool, typer.Option("--embeddings", help="Of the editions of feature vectors ('stook embed'), not of the maps.")
]
Quiet = Annotated[bool, typer.Option("--quiet", help="JSON lines on standard output, for schedulers; no progress bar.")]
