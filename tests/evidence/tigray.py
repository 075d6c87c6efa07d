"""Two interpreters at 200 real points of Tigray in two years; an addition to a sample, so that no hectares follow."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from stook.transforms.estimators.agreement import Agreement, agreement
from tests.conftest import SHARED
from tests.evidence.figure import Experiment, Figure

POINTS = SHARED / "data/labels/Tigray_change_reference_2020_2021.csv"
CLASSES = ("Non-crop", "Crop")
YEARS = (2020, 2021)


def answers(year: int) -> tuple[np.ndarray, np.ndarray]:
    """Classes by the first and by the second interpreter, int [point] each."""
    table = pd.read_csv(POINTS)
    columns = [table[f"label_{year}_interpreter{number}"] for number in (1, 2)]
    first, second = (pd.Categorical(column, CLASSES).codes.astype(int) for column in columns)
    return first, second


def agreed(year: int) -> Agreement:
    """Of the two interpreters in a year."""
    return agreement(*answers(year), CLASSES)


def run(scratch: Path) -> Iterator[Figure]:
    """Kappa of each year, then the points on which they disagree in either."""
    found = {year: agreed(year) for year in YEARS}
    for year, one in found.items():
        kappa = one.kappa
        note = f"[{kappa.low:.3f}, {kappa.high:.3f}], standard error {kappa.standard_error:.3f}; {kappa.warning}"
        yield Figure(f"tigray.kappa_{year}", kappa.value, f"{note}; real points")
    either = np.unique(np.concatenate([one.disagreeing for one in found.values()]))
    note = "of 200, in either year; hectares are refused: inclusion probabilities are unknown"
    yield Figure("tigray.disagreeing_points", len(either), note)


EXPERIMENT = Experiment("tigray", run, needs_shared=True)
