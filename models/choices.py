"""What a configuration may choose of models: plain values, so that it is checked before torch is loaded."""

from collections.abc import Sequence
from math import isclose
from typing import Literal

from stook.models.errors import InputError

Precision = Literal["float32", "bfloat16"]
"""Of an encoder's matrix products."""

Balance = Literal["none", "weights"]
"""What training does about a rare class."""

MIRROR_VARIABLE = "STOOK_WEIGHTS_MIRROR"
"""Environment variable: a weights folder, or its address, that is asked instead of the authors' site."""

DEFAULT_QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


def require_quantiles(quantiles: Sequence[float]) -> None:
    """Raise InputError unless the quantiles rise within 0…1, are symmetric, and hold the median."""
    rising = all(low < high for low, high in zip((0.0, *quantiles), (*quantiles, 1.0), strict=True))
    mirrored = zip(quantiles, reversed(quantiles), strict=True)
    symmetric = all(isclose(low + high, 1.0, rel_tol=1e-5) for low, high in mirrored)
    if not rising or not symmetric or 0.5 not in quantiles:
        raise InputError(
            f"quantiles: {', '.join(map(str, quantiles))}; allowed are rising ones between 0 and 1, symmetric about "
            "0.5 and with it, e.g. 0.05, 0.25, 0.5, 0.75, 0.95"
        )
