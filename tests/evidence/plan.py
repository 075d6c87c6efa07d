"""What ``stook plan`` tells before a first run beside what the run comes to: the demonstration, and Flanders."""

import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from stook.pipelines.configuration import MapConfiguration
from stook.pipelines.demo.place import DEMO_PRODUCTS, YEAR, write_place
from stook.pipelines.demo.run import DEMO_PLACE, TILE_PX
from stook.pipelines.planning.comparison import compare_with_run
from stook.pipelines.planning.plan import SeasonForecast, run_plan
from stook.pipelines.progress import JsonReporter
from stook.pipelines.sections import load
from stook.pipelines.train import run_training
from stook.pipelines.training_configuration import TrainConfiguration
from stook.transforms.simulation.ground import Place
from stook.transforms.simulation.scenes import Revisit
from tests.conftest import SHARED
from tests.evidence.figure import Experiment, Figure
from tests.evidence.measured_run import measured_map
from tests.evidence.sites import EXAMPLES, SHORT, WHOLE, Change, relocated
from tests.pipelines.small_season import SMALL_DEMO

MIB = 2**20
MOST_TILES = 1000


@dataclass(frozen=True)
class Planned:
    """A plan, and how long the run took that followed it.

    Attributes:
        place: Short name.
        forecast: The plan.
        errors: Figure -> planned minus actual, percent of actual.
        seconds: Of the run, from the configuration to the published edition.
        load: Of the machine when the run began; above the number of processors others were at work too.
    """

    place: str
    forecast: SeasonForecast
    errors: dict[str, float]
    seconds: float
    load: float


def run(
    scratch: Path, place: Place = DEMO_PLACE, revisit: Revisit | None = None, season: Change = WHOLE
) -> Iterator[Figure]:
    """Errors of bytes, files, pixels and time, and what planning costs."""
    written = write_place(scratch / "demo", place, TILE_PX, DEMO_PRODUCTS, revisit)
    yield from figures(planned("demo", written.config, YEAR))
    if SHARED.is_dir():
        folder = scratch / "flanders"
        training = {"bundle": "bundle", "held_out": []} | season
        settings = load(relocated(EXAMPLES / "train-west.yaml", folder, training=training), TrainConfiguration)
        run_training(settings, JsonReporter())
        product = {"bundle": str(folder / "bundle")} | season
        yield from figures(planned("flanders", relocated(EXAMPLES / "map-east.yaml", folder, product=product), 2019))


def planned(place: str, config: Path, year: int) -> Planned:
    """Plan a season, then map it."""
    configuration = load(config, MapConfiguration)
    forecast = run_plan(configuration, year, provisional=False, refresh=False, most=MOST_TILES, machine=None)
    kept = config.with_name("plan.json")
    kept.write_text(json.dumps(asdict(forecast)))
    load_before = os.getloadavg()[0]
    seconds = measured_map(config, year).seconds
    compared = compare_with_run(configuration, year, kept)
    errors = {each.figure: each.error_percent for each in compared.figures if each.error_percent is not None}
    return Planned(place, forecast, errors, seconds, load_before)


def figures(found: Planned) -> Iterator[Figure]:
    """The figures of a place."""
    forecast, place = found.forecast, found.place
    size, error = forecast.bytes_read.value / MIB, forecast.bytes_read.error / MIB
    note = f"planned {size:.1f} ± {error:.1f} MiB, from the headers of {forecast.bytes_known['opened']} files"
    yield Figure(f"plan.bytes_error_percent.{place}", found.errors["bytes_read"], note)
    yield Figure(f"plan.files_error_percent.{place}", found.errors["assets"], f"of {forecast.assets.value:.0f} opened")
    note = f"at most {forecast.pixels.value:.0f} were planned"
    yield Figure(f"plan.pixels_error_percent.{place}", found.errors["pixels"], note)
    if forecast.seconds is not None:
        note = (
            f"planned {forecast.seconds:.1f} s, came to {found.seconds:.1f} s; rates of {forecast.rates}; "
            f"load of the machine before {found.load:.1f}"
        )
        error = 100 * (forecast.seconds - found.seconds) / found.seconds
        yield Figure(f"plan.time_error_percent.{place}", error, note)
    note = f"planning took {forecast.planned_in_s:.1f} s, {forecast.tiles} tiles"
    yield Figure(f"plan.time_share.{place}", forecast.planned_in_s / found.seconds, note)


EXPERIMENT = Experiment("plan", run, small=SMALL_DEMO | {"season": SHORT})
