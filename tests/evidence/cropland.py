"""Cropland at simulated places that were never trained on."""

from collections.abc import Iterator
from pathlib import Path

from stook.pipelines.demo.truth import compare_cropland
from tests.evidence.elsewhere import PLACES, TOLD, mapped
from tests.evidence.figure import Experiment, Figure


def run(scratch: Path) -> Iterator[Figure]:
    """F1 at 50 percent and area under the ROC curve, over every mapped pixel."""
    for name, place in PLACES.items():
        written, edition = mapped(scratch / name, place, "cropland")
        found = compare_cropland(edition, written.truth)
        suffix = "" if name == "seen" else f".{name}"
        yield Figure(f"cropland.f1{suffix}", found.f1, TOLD[name])
        yield Figure(f"cropland.auc{suffix}", found.auc, TOLD[name])


EXPERIMENT = Experiment("cropland", run)
