"""Inputs and answers of reference implementations, from ``../shared/golden``."""

from collections.abc import Mapping

import numpy as np
import torch

from stook.models.presto import DYNAMIC_WORLD_MISSING

PLACES = ("a", "b")
CASES = {"full": "full", "s2only_dwmissing": "s2only", "gap_dwmissing": "gap"}


def reference_inputs(golden: Mapping[str, np.ndarray], place: str, case: str) -> dict[str, torch.Tensor]:
    """Arguments of ``Presto.forward`` for one of the six golden cases."""
    world = torch.tensor(golden[f"{place}_dynamic_world"])
    return {
        "x": torch.tensor(golden[f"{place}_normalised"]),
        "mask": torch.tensor(golden[f"{place}_mask_{CASES[case]}"]).bool(),
        "months": torch.tensor(golden[f"{place}_start_month"]),
        "latlon": torch.tensor(golden[f"{place}_latlon"]),
        "dynamic_world": world if case == "full" else torch.full_like(world, DYNAMIC_WORLD_MISSING),
    }


def reference_embedding(golden: Mapping[str, np.ndarray], place: str, case: str) -> np.ndarray:
    """What the reference implementation answers, float32 [pixel, 128]."""
    return golden[f"{place}_embedding_{case}"]
