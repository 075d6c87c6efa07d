"""How many points a sample needs, and how many of them each stratum gets.

Cochran 1977, chapter 5; Olofsson et al. 2014, section 5.1. W_h is a stratum's share of the area, S_h the standard
deviation that is expected within it, n_h the number of its points; n all of them.
"""

import numpy as np

from stook.models.errors import InputError
from stook.transforms.choices import Allocation

MOST_POINTS = 1_000_000


def weights_of(kind: Allocation, shares: np.ndarray, spreads: np.ndarray) -> np.ndarray:
    """What the points of strata are proportional to, float64 [stratum]: W_h, 1, or W_h S_h."""
    if kind == "neyman":
        return shares * spreads
    return shares if kind == "proportional" else np.ones(len(shares))


def allocated(weights: np.ndarray, points: int, fewest: int) -> np.ndarray:
    """Points of each stratum, int64 [stratum]: as the weights say, none below ``fewest``, exactly ``points`` in all.

    Strata to which the weights give fewer than ``fewest`` get that many, the others share the rest by their weights
    (and again, if that leaves one of these with too few); parts of points go to the largest remainders, of equal ones
    to the first.

    Args:
        weights: Above 0.
        points: In all.
        fewest: In each stratum.

    Raises:
        InputError: If there are fewer points than ``fewest`` in each stratum need.
    """
    if points < fewest * len(weights):
        raise InputError(
            f"sample.points: {points}, but {len(weights)} strata with at least {fewest} points each "
            f"(sample.fewest_points) need {fewest * len(weights)}"
        )
    rare = np.zeros(len(weights), bool)
    while True:
        left = points - fewest * int(rare.sum())
        quotas = np.where(rare, fewest, left * weights / max(weights[~rare].sum(), np.finfo(float).tiny))
        below = ~rare & (quotas < fewest)
        if not below.any():
            break
        rare |= below
    counts = np.floor(quotas).astype(np.int64)
    missing = points - int(counts.sum())
    remainders = np.where(rare, -1, quotas - counts)
    counts[np.argsort(-remainders, kind="stable")[:missing]] += 1
    return counts


def expected_error(shares: np.ndarray, spreads: np.ndarray, counts: np.ndarray) -> float:
    """Standard error of a share of all ground that is expected: √(Σ W_h² S_h² / n_h)."""
    return float(np.sqrt(np.sum((shares * spreads) ** 2 / counts)))


def size_for(kind: Allocation, shares: np.ndarray, spreads: np.ndarray, target: float, fewest: int) -> int:
    """The number of points from which the expected standard error of a share of all ground is ``target`` or less.

    With Neyman's allocation (Σ W_h S_h / target)² points, Olofsson et al. 2014, equation 13; with another one as many
    more as it needs. Whole points and ``fewest`` in each stratum move that a little: points are added until the error
    that is expected of the sample as it will be drawn is small enough.

    Raises:
        InputError: If more than a million are needed.
    """
    weights = weights_of(kind, shares, spreads)
    fractions = weights / weights.sum()
    least = float(np.sum((shares * spreads) ** 2 / fractions)) / target**2
    size = max(int(np.ceil(min(least, 2 * MOST_POINTS))), fewest * len(shares))
    while size <= MOST_POINTS and expected_error(shares, spreads, allocated(weights, size, fewest)) > target:
        size += 1 + size // 1000
    if size > MOST_POINTS:
        raise InputError(
            f"sample.standard_error_percent: {100 * target:g} would need more than {MOST_POINTS:,} points; ask for less"
        )
    return size
