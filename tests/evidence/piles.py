"""Harvest piles at simulated places that were never trained on."""

from collections.abc import Iterator
from pathlib import Path

from stook.pipelines.demo.truth import compare_piles
from tests.evidence.elsewhere import PLACES, TOLD, mapped
from tests.evidence.figure import Experiment, Figure


def run(scratch: Path) -> Iterator[Figure]:
    """Accuracy and average precision over the cells that are wholly pictured, and how many have piles."""
    for name, place in PLACES.items():
        written, edition = mapped(scratch / name, place, "harvest_piles")
        found = compare_piles(edition, written.truth)
        suffix = "" if name == "seen" else f".{name}"
        note = f"{TOLD[name]}; {found.cells} cells, {sum(found.truth_cells.values())} with piles"
        yield Figure(f"piles.accuracy{suffix}", found.accuracy, note)
        yield Figure(f"piles.average_precision{suffix}", found.average_precision, note)


EXPERIMENT = Experiment("piles", run)
