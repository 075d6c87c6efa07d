"""Presto against the answers of the reference implementation."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from stook.models.weights import load_checkpoint
from tests.conftest import SHARED
from tests.evidence.figure import Experiment, Figure
from tests.models.golden import CASES, PLACES, reference_embedding, reference_inputs


def run(scratch: Path) -> Iterator[Figure]:
    """Greatest difference of the six embeddings, one by one and with all gap patterns in one batch."""
    presto = load_checkpoint("presto", SHARED / "weights/presto/default_model.pt")
    golden = dict(np.load(SHARED / "golden/presto.npz"))
    apart, mixed = [], []
    with torch.inference_mode():
        for place in PLACES:
            inputs = [reference_inputs(golden, place, case) for case in CASES]
            expected = [reference_embedding(golden, place, case) for case in CASES]
            apart += [np.abs(presto(**given).numpy() - e).max() for given, e in zip(inputs, expected, strict=True)]
            together = {name: torch.cat([given[name] for given in inputs]) for name in inputs[0]}
            mixed.append(np.abs(presto(**together).numpy() - np.concatenate(expected)).max())
    yield Figure("presto.golden.max_abs_diff", float(max(apart)), "six embeddings, float32, target ≤ 1e-5")
    yield Figure(
        "presto.golden.mixed_gaps.max_abs_diff", float(max(mixed)), "all gap patterns in one batch, target ≤ 1e-5"
    )


EXPERIMENT = Experiment("presto", run, needs_shared=True)
