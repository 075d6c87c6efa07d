"""Arguments and options that several commands share, and how their values are read."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from stook.pipelines.configuration import MapConfiguration
    from stook.transforms.store import Address

Config = Annotated[
    str, typer.Argument(metavar="CONFIG", help="Configuration file (YAML), a path or gs://; see 'stook configuration'.")
]
Year = Annotated[int, typer.Option(help="Harvest year of the season.", min=2015, max=2100)]
Provisional = Annotated[bool, typer.Option("--provisional", help="Allow a season whose window is not over.")]
Refresh = Annotated[
    bool, typer.Option("--refresh", help="Search the archives again and open a new edition; reuse unchanged tiles.")
]
NoReuse = Annotated[
    bool,
    typer.Option(
        "--no-reuse", help="Like --refresh, but reuse nothing: for archives that replace files without a new version."
    ),
]
EngineOption = Annotated[
    list[str] | None,
    typer.Option("--engine-option", metavar="NAME=VALUE", help="An option of run.engine; repeatable."),
]
Embeddings = Annotated[
    bool, typer.Option("--embeddings", help="Work on the stored feature vectors ('stook embed') instead of the maps.")
]
Quiet = Annotated[bool, typer.Option("--quiet", help="JSON lines on standard output instead of a progress bar.")]
AsJson = Annotated[bool, typer.Option("--json", help="JSON on standard output.")]


def map_configuration(path: str, engine_options: Sequence[str] | None = None) -> "MapConfiguration":
    """Read and check a configuration file; raises InputError with one line of what is wrong.

    Args:
        path: Of the file.
        engine_options: NAME=VALUE; replace what run.engine says.
    """
    from stook.pipelines.configuration import MapConfiguration
    from stook.pipelines.engine_options import parsed
    from stook.pipelines.sections import checked, load

    config = load(path, MapConfiguration)
    if not engine_options:
        return config
    content = config.model_dump(exclude_unset=True)
    engine = (config.run.engine or {}) | parsed(engine_options)
    return checked(content | {"run": content.get("run", {}) | {"engine": engine}}, MapConfiguration, where=f"{path}: ")


def address(path: str) -> "Address":
    """A path of this machine, or gs://…, as an address."""
    from stook.transforms.store import address_of

    return address_of(path)
