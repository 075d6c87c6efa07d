"""Harvest piles at simulated places that were never trained on."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from stook.pipelines.demo.truth import compare_piles
from stook.transforms.simulation.scenes import Revisit
from tests.evidence.elsewhere import PLACES, SIDE_M, TOLD, mapped
from tests.evidence.figure import Experiment, Figure
from tests.pipelines.small_season import RARELY


def run(scratch: Path, side_m: float = SIDE_M, revisit: Revisit | None = None) -> Iterator[Figure]:
    """Accuracy and average precision over the cells that are wholly pictured, and how many have piles."""
    for name, whole in PLACES.items():
        place = replace(whole, width_m=side_m, height_m=side_m)
        written, edition = mapped(scratch / name, place, "harvest_piles", revisit)
        found = compare_piles(edition, written.truth)
        suffix = "" if name == "seen" else f".{name}"
        note = f"{TOLD[name]}; {found.cells} cells, {sum(found.truth_cells.values())} with piles"
        yield Figure(f"piles.accuracy{suffix}", found.accuracy, note)
        yield Figure(f"piles.average_precision{suffix}", found.average_precision, note)


EXPERIMENT = Experiment("piles", run, small={"side_m": 1000.0, "revisit": RARELY})
