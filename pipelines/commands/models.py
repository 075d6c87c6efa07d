"""Commands about models: training, and the published encoders."""

from pathlib import Path
from typing import Annotated

import typer

from stook.models.choices import MIRROR_VARIABLE
from stook.pipelines.commands.options import AsJson, Quiet

Name = Annotated[str, typer.Argument(metavar="NAME", help="As 'stook models list' prints it.")]
Folder = Annotated[
    Path | None,
    typer.Option("--weights-dir", help="Folder of weights.", show_default="$STOOK_WEIGHTS or ~/.cache/stook/weights"),
]
AllowUnverified = Annotated[
    bool, typer.Option("--allow-unverified", help="Accept a file whose hash nobody has recorded.")
]

app = typer.Typer(help="List, fetch and verify published encoders.", no_args_is_help=True)


def train(
    config: Annotated[
        str,
        typer.Argument(
            metavar="CONFIG", help="Configuration file (YAML), a path or gs://; see 'stook configuration train'."
        ),
    ],
    quiet: Quiet = False,
) -> None:
    """Train a head on an encoder, or both together, and write a bundle with its accuracy."""
    from stook.pipelines.sections import load
    from stook.pipelines.training_configuration import TrainConfiguration

    loaded = load(config, TrainConfiguration)
    from stook.pipelines.fine_tune import run_fine_tuning
    from stook.pipelines.progress import reporter
    from stook.pipelines.train import run_training

    result = (run_fine_tuning if loaded.training.on_chips else run_training)(loaded, reporter(quiet))
    for place, measured in result.held_out.items():
        print(f"{place}: {measured}")


@app.command("list")
def list_encoders(weights: Folder = None, as_json: AsJson = False) -> None:
    """List the published encoders, and whether their weights are present."""
    from stook.pipelines.models import print_list

    print_list(weights, as_json)


@app.command()
def show(name: Name, weights: Folder = None, as_json: AsJson = False) -> None:
    """Show one encoder: input bands, scaling, output, sources, licence, citation."""
    from stook.pipelines.models import print_encoder

    print_encoder(name, weights, as_json)


@app.command()
def fetch(
    name: Name,
    weights: Folder = None,
    mirror: Annotated[
        str | None,
        typer.Option(envvar=MIRROR_VARIABLE, help="Weights folder or its URL, used instead of the authors' site."),
    ] = None,
    accept_licence: Annotated[
        bool, typer.Option("--accept-licence", help="Accept a licence that is not free, or not known.")
    ] = False,
    allow_unverified: AllowUnverified = False,
) -> None:
    """Download the weights of an encoder. A download that was cut resumes."""
    from stook.pipelines.models import run_fetch

    run_fetch(name, weights, mirror, accept_licence, allow_unverified)


@app.command()
def verify(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="One encoder.", show_default="all present")
    ] = None,
    weights: Folder = None,
    allow_unverified: AllowUnverified = False,
) -> None:
    """Check hash and contents of downloaded weights. Exit status 2 if a file is wrong."""
    from stook.pipelines.models import run_verify

    raise typer.Exit(run_verify(name, weights, allow_unverified))
