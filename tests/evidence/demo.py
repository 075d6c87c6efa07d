"""The demonstration, as ``make demo`` runs it."""

from collections.abc import Iterator
from pathlib import Path

from stook.pipelines.demo.run import DEMO_PLACE, run_demo
from stook.transforms.simulation.ground import Place
from stook.transforms.simulation.scenes import Revisit
from tests.evidence.figure import Experiment, Figure
from tests.pipelines.small_season import SMALL_DEMO

NOTES = {
    "demo.auc": "map against truth, every pixel of the simulated districts",
    "demo.buildings_r2": "median share under roofs against truth, every mapped cell of 100 m",
    "demo.buildings_interval_coverage": "share of these cells within the outermost quantiles, which promise 0.90",
    "demo.piles_accuracy": "cells of 250 m that some date pictures wholly, at 50 %",
    "demo.piles_average_precision": "of the same cells",
    "demo.cropland_estimate_ha": "of 400 points, stratified estimator; interpreters simulated too",
    "demo.cropland_margin_ha": "half of its 95 % interval",
    "demo.cropland_truth_ha": "of every pixel",
    "demo.seconds": "simulation, three maps, comparison, sample, estimates, report, export, picture; target < 180",
}


def run(scratch: Path, place: Place = DEMO_PLACE, revisit: Revisit | None = None) -> Iterator[Figure]:
    """Accuracy and time of the demonstration."""
    for name, value in run_demo(scratch / "demo", place, revisit).items():
        yield Figure(name, value, NOTES[name])


EXPERIMENT = Experiment("demo", run, small=SMALL_DEMO)
