"""Real imagery and labels: train on one site, map the other, and the reverse."""

from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from stook.pipelines.figures.statistics import print_table, run_statistics
from tests.evidence.figure import Experiment, Figure
from tests.evidence.sites import DIRECTIONS, SHORT, WHOLE, Change, transfer

TRIAL = {"west_to_east": 0.906, "east_to_west": 0.855}


def run(scratch: Path, season: Change = WHOLE, candidates: Change = WHOLE) -> Iterator[Figure]:
    """Accuracy in both directions, with the fixed protocol and with what training chooses; the table of the units."""
    tables = []
    for direction in DIRECTIONS:
        fixed = transfer(direction, scratch / f"{direction}", season)
        trial = TRIAL[str(direction)]
        yield Figure(f"flanders.auc.{direction}", fixed.estimate.value, f"{fixed.note}; quick trial {trial}")
        tables.append(run_statistics(fixed.config, direction.year, None, None))
        share = mapped_share(tables[-1], direction.mapped)
        yield Figure(f"flanders.mapped_share.{direction}", share, "of the mapped site")
        chosen = transfer(direction, scratch / f"{direction}-chosen", season, "-chosen", candidates)
        note = f"{chosen.note}; C chosen on the training site alone"
        yield Figure(f"flanders.auc_chosen.{direction}", chosen.estimate.value, note)
    for table in tables:
        print_table(table)


def mapped_share(table: pd.DataFrame, site: str) -> float:
    """Share of the area of a site's units that has a value."""
    part = table[(table["level"] == "unit") & table["id"].str.contains(f"-{site}-")]
    return float(part["mapped_dm2"].sum() / part["total_dm2"].sum())


SMALL = {"season": SHORT, "candidates": {"strengths": [0.01, 0.1]}}
EXPERIMENT = Experiment("flanders", run, small=SMALL, needs_shared=True)
