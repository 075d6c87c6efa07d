"""Estimates with intervals: normal where enough points carry them, from exact limits of each stratum where not.

The normal interval ± 1.96 standard errors is too short for rare classes, and worst where none of the points of a large
stratum is of the class: its standard error then leaves that stratum out (Brown, Cai and DasGupta 2001). An effective
sample size taken from the same standard error (Korn and Graubard 1998) inherits the fault. So each stratum gets the
limits of Clopper and Pearson (1934), which never under-cover, and these are combined by the distances of the limits
from the estimate, as if those were standard errors (MOVER: Zou and Donner 2008; of stratified proportions: Yan and Su
2010). One stratum gives Clopper-Pearson; many points give the normal interval.
"""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from scipy.special import betaincinv

from stook.transforms.estimators.design import Design

LEVEL = 0.95
REACH = 1.96  # standard errors, rounded as in Olofsson et al. 2014 so that published margins come out to the last digit
# Share of its half width by which a normal interval may miss the ends from exact limits. At 0.1 the choice covers 0.93
# or more of one stratum of 10 to 400 points, at every share that a class may have; at 0.2 it falls to 0.914.
TRUSTED = 0.1
WARNED = 0.25  # the same, from which a reader is told that few points are of the rarer kind
NAMED = 2  # strata in a warning, those that matter most

Interval = Literal["chosen", "normal", "exact"]


@dataclass(frozen=True)
class Estimate:
    """A figure of all ground, estimated from a sample.

    Attributes:
        value: NaN where the sample says nothing of it.
        standard_error: Estimated.
        low: Lower end of the 95 % interval.
        high: Upper end.
        method: Estimator and interval in words, to be published with the figure.
        warning: What a reader has to know before relying on it; empty if nothing.
    """

    value: float
    standard_error: float
    low: float
    high: float
    method: str
    warning: str = ""

    @property
    def margin(self) -> float:
        """Half the width of a normal interval of this standard error."""
        return REACH * self.standard_error

    def times(self, factor: float) -> "Estimate":
        """The figure in another unit, e.g. a share of the area as hectares; the factor is known without error."""
        value, error, low, high = (factor * number for number in (self.value, self.standard_error, self.low, self.high))
        return replace(self, value=value, standard_error=error, low=low, high=high)

    def rest_of(self, whole: float) -> "Estimate":
        """What is left of a whole that is known without error."""
        return replace(self, value=whole - self.value, low=whole - self.high, high=whole - self.low)


@dataclass(frozen=True)
class Ends:
    """An interval before it has words."""

    low: float
    high: float

    def clipped(self, lowest: float, highest: float) -> "Ends":
        """Without what cannot be."""
        return Ends(float(np.clip(self.low, lowest, highest)), float(np.clip(self.high, lowest, highest)))


def proportion(
    design: Design,
    member: np.ndarray,
    estimator: str,
    interval: Interval = "chosen",
    possible: np.ndarray | None = None,
) -> Estimate:
    """Share of the area that is of a kind.

    Args:
        design: Of the sample.
        member: bool [point], whether it is of the kind.
        estimator: Its name and source, for ``Estimate.method``.
        interval: Chosen by ``estimated``, or one of the two for all.
        possible: float [stratum], 0…1, how much of it may be of the kind; all if None. Where it is known that there is
            none, finding none leaves no doubt.
    """
    value, error = design.mean(member), design.standard_error(member)
    exact, words = exact_of_mean(design, member, possible), few(design, member, possible=possible)
    return estimated(value, error, exact, (0, 1), words, estimator, interval)


def ratio(
    design: Design,
    member: np.ndarray,
    among: np.ndarray,
    estimator: str,
    interval: Interval = "chosen",
    possible: np.ndarray | None = None,
) -> Estimate:
    """Share of the area of one kind that is of a second kind too: the combined ratio estimator, linearised.

    Stehman 2014, equations 27 and 28; with areas a (both) and b (first only), the exact ends are those of log a - log b
    by Zou and Donner 2008, with the correlation of the two, which never is above 0.

    Args:
        design: Of the sample.
        member: bool [point], whether it is of the second kind; counts only among the first.
        among: bool [point], whether it is of the first kind.
        estimator: See ``proportion``.
        interval: See ``proportion``.
        possible: float [stratum], how much of it may be of the first kind; see ``proportion``.
    """
    both, only = member & among, among & ~member
    base = design.mean(among)
    if base == 0:
        return unknown(estimator)
    value = design.mean(both) / base
    error = design.standard_error(both - value * among) / base
    exact, words = exact_of_ratio(design, both, only, possible), few(design, both, only, possible=possible)
    return estimated(value, error, exact, (0, 1), words, estimator, interval)


def difference(
    design: Design,
    more: np.ndarray,
    less: np.ndarray,
    estimator: str,
    interval: Interval = "chosen",
    possible: tuple[np.ndarray | None, np.ndarray | None] = (None, None),
) -> Estimate:
    """Share of the area of one kind less that of another, seen at the same points, so that their errors go together.

    Args:
        design: Of the sample.
        more: bool [point].
        less: bool [point]; no point is of both kinds.
        estimator: See ``proportion``.
        interval: See ``proportion``.
        possible: float [stratum] for either kind, see ``proportion``.
    """
    change = more.astype(float) - less
    value, error = design.mean(change), design.standard_error(change)
    (up, up_ends), (down, down_ends) = (
        (design.mean(kind), exact_of_mean(design, kind, where))
        for kind, where in zip((more, less), possible, strict=True)
    )
    together = correlation(design, more, less)
    ends = Ends(
        value - joined(up - up_ends.low, down_ends.high - down, together),
        value + joined(up_ends.high - up, down - down_ends.low, together),
    )
    return estimated(value, error, ends, (-1, 1), few(design, more, less), estimator, interval)


def estimated(
    value: float,
    error: float,
    exact: Ends,
    possible: tuple[float, float],
    warning: str,
    estimator: str,
    interval: Interval,
) -> Estimate:
    """An estimate with the interval that can be trusted.

    Args:
        value: Estimated.
        error: Its standard error.
        exact: Ends from exact limits.
        possible: Least and greatest value that can be.
        warning: Said where the normal interval would be far off.
        estimator: In words.
        interval: ``chosen``: normal if both ends are within ``TRUSTED`` of its half width of the exact ones.
    """
    reach = REACH * error
    normal = Ends(value - reach, value + reach)
    missed = max(abs(normal.low - exact.low), abs(normal.high - exact.high))
    rounding = np.finfo(float).eps
    if interval == "exact" or (interval == "chosen" and missed > TRUSTED * reach + rounding):
        ends, words = exact, "interval from Clopper-Pearson limits of each stratum (MOVER, Zou and Donner 2008)"
    else:
        ends, words = normal, f"normal interval ± {REACH:.2f} standard errors"
    ends = ends.clipped(*possible)
    told = warning if missed > WARNED * reach + rounding else ""
    return Estimate(value, error, ends.low, ends.high, f"{estimator}; {words}", told)


def unknown(estimator: str) -> Estimate:
    """A share of ground of which the sample has no point."""
    return Estimate(np.nan, np.nan, 0.0, 1.0, estimator, "no point of the sample lies there, nothing is known")


def exact_of_mean(design: Design, member: np.ndarray, possible: np.ndarray | None = None) -> Ends:
    """Ends of a share of the area from the exact limits of each stratum; arguments as of ``proportion``."""
    found = design.means(member)
    low, high = clopper_pearson(found, design)
    if possible is not None:
        high = np.minimum(high, np.maximum(possible, found))
    value, weights = float(design.shares @ found), design.shares
    return Ends(
        value - float(np.sqrt(np.sum((weights * (found - low)) ** 2))),
        value + float(np.sqrt(np.sum((weights * (high - found)) ** 2))),
    )


def exact_of_ratio(design: Design, both: np.ndarray, only: np.ndarray, possible: np.ndarray | None = None) -> Ends:
    """Ends of a / (a + b), areas of points that are of both kinds and of the first only, bool [point] each."""
    a, b = design.mean(both), design.mean(only)
    a_ends, b_ends = exact_of_mean(design, both, possible), exact_of_mean(design, only, possible)
    if a == 0 or b == 0:
        # A logarithm has no limit here; as if they were opposed, -1, is the widest that the formula below can give.
        return Ends(a_ends.low / (a_ends.low + b_ends.high), a_ends.high / (a_ends.high + b_ends.low))
    together = correlation(design, both, only)
    below = joined(np.log(a / a_ends.low), np.log(b_ends.high / b), together)
    above = joined(np.log(a_ends.high / a), np.log(b / b_ends.low), together)
    return Ends(a / (a + b * float(np.exp(below))), a / (a + b * float(np.exp(-above))))


def clopper_pearson(found: np.ndarray, design: Design) -> tuple[np.ndarray, np.ndarray]:
    """Exact limits of the share found in each stratum, float64 [stratum], of the points that it had.

    A finite stratum counts as n / (1 - n / N) points, which has the variance of drawing without replacement; nothing is
    uncertain once all of it was seen.
    """
    tail = (1 - LEVEL) / 2
    left = np.where(design.unsampled > 0, design.unsampled, 1.0)
    points = design.counts / left
    hits = found * points
    misses = points - hits
    # Where there are none, any number does: the limit is then 0 or 1.
    low = np.where(hits > 0, betaincinv(np.where(hits > 0, hits, 1), misses + 1, tail), 0.0)
    high = np.where(misses > 0, betaincinv(hits + 1, np.where(misses > 0, misses, 1), 1 - tail), 1.0)
    seen = design.unsampled <= 0
    return np.where(seen, found, low), np.where(seen, found, high)


def correlation(design: Design, first: np.ndarray, second: np.ndarray) -> float:
    """Of the estimated areas of two kinds, bool [point] each, that exclude each other: -1…0."""
    errors = design.standard_error(first) * design.standard_error(second)
    return float(np.clip(design.covariance(first, second) / errors, -1, 0)) if errors > 0 else 0.0


def joined(first: float, second: float, together: float) -> float:
    """Reach of a difference of two figures of which one reaches so far down and the other so far up."""
    return float(np.sqrt(first**2 + second**2 - 2 * together * first * second))


def few(design: Design, *kinds: np.ndarray, possible: np.ndarray | None = None) -> str:
    """The strata whose points, bool [point] of each kind, make an interval lopsided: the worst, and of how many."""
    told: dict[int, str] = {}
    lopsided = np.zeros(len(design.strata))
    for kind in kinds:
        found = design.means(kind)
        low, high = clopper_pearson(found, design)
        skew = design.shares * np.abs(high + low - 2 * found) * (1 if possible is None else possible)
        for index in np.flatnonzero(skew > lopsided):
            hits, count = round(float(found[index] * design.counts[index])), int(design.counts[index])
            told[int(index)] = f"{min(hits, count - hits)} of {count} points in {design.strata[index].name!r}"
        lopsided = np.maximum(lopsided, skew)
    worst = sorted(told, key=lambda index: -lopsided[index])[:NAMED]
    return "few points are of the rarer kind" + (f": {', '.join(told[index] for index in worst)}" if worst else "")
