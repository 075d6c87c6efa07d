"""Galileo against the answers of the reference implementation."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from models.galileo import Galileo, GalileoSize
from tests.conftest import SHARED
from tests.evidence.figure import Experiment, Figure
from tests.models.test_galileo import CASES, difference, published_nano


def run(scratch: Path) -> Iterator[Figure]:
    """Greatest difference over four golden cases, means over chips and over patches."""
    galileo, _ = Galileo.of_published(published_nano(SHARED), GalileoSize())
    with np.load(SHARED / "golden/galileo_nano.npz") as golden:
        greatest = max(difference(galileo, golden, case) for case in CASES)
    yield Figure("galileo.golden.max_abs_diff", greatest, "nano, patches of 1, 2, 4 and 8 px, float32, target ≤ 1e-5")


EXPERIMENT = Experiment("galileo", run, needs_shared=True)
