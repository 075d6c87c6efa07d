"""Cropland at simulated places that were never trained on."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from stook.pipelines.demo.truth import compare_cropland
from stook.transforms.simulation.scenes import Revisit
from tests.evidence.elsewhere import PLACES, SIDE_M, TOLD, mapped
from tests.evidence.figure import Experiment, Figure
from tests.pipelines.small_season import RARELY


def run(scratch: Path, side_m: float = SIDE_M, revisit: Revisit | None = None) -> Iterator[Figure]:
    """F1 at 50 percent and area under the ROC curve, over every mapped pixel."""
    for name, whole in PLACES.items():
        place = replace(whole, width_m=side_m, height_m=side_m)
        written, edition = mapped(scratch / name, place, "cropland", revisit)
        found = compare_cropland(edition, written.truth)
        suffix = "" if name == "seen" else f".{name}"
        yield Figure(f"cropland.f1{suffix}", found.f1, TOLD[name])
        yield Figure(f"cropland.auc{suffix}", found.auc, TOLD[name])


EXPERIMENT = Experiment("cropland", run, small={"side_m": 1000.0, "revisit": RARELY})
