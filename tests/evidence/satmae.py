"""SatMAE against the answers of the reference implementation."""

from collections.abc import Iterator
from pathlib import Path

from tests.conftest import SHARED
from tests.evidence.figure import Experiment, Figure
from tests.models.test_satmae import CASES, difference


def run(scratch: Path) -> Iterator[Figure]:
    """Greatest difference over the four golden files."""
    greatest = max(difference(SHARED, case) for case in CASES)
    note = "small encoders of all three variants, class token and mean, float32, target ≤ 1e-5"
    yield Figure("satmae.golden.max_abs_diff", greatest, note)


EXPERIMENT = Experiment("satmae", run, needs_shared=True)
