"""The mean of a share, e.g. of ground under roofs, from a map of it and a sample of reference shares.

Student's interval is too short where a stratum hides a few large errors of the map: cells that the map has as empty and
that hold a hamlet. A sample without any of them shows no error at all, one with some shows too small a one. Such strata
get the bound of auditors, who know the case: accounts that nearly all are right, and a few that are badly wrong
(Stringer 1963; conservative in finite samples as far as is known, and asymptotically: Bickel 1992, Pap and van Zuijlen
1996). It puts the share of ground that may have been missed at the worst that a cell can be, so it is wide on purpose.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import betaincinv
from scipy.stats import t as student

from stook.models.errors import InputError
from stook.transforms.estimators.design import FEWEST_POINTS, Design
from stook.transforms.estimators.interval import LEVEL, NAMED, Ends, Estimate, Interval

DIFFERENCE = "difference estimator: mean of the map plus stratified mean of reference less map (Cochran 1977, 7.9)"
REGRESSION = "combined regression estimator, one slope for all strata (Cochran 1977, 7.10)"
DOMAIN = "difference estimator of a domain: its mean of the map plus the ratio estimate of reference less map there"
FEW = 10  # points that differ from the usual: with fewer in a stratum, its part of the error is hardly known
SMALL = 0.05  # an error of the map that only adds noise; few larger ones are what makes an interval too short
SAFE = "of strata where few points differ, Stringer's bound (Stringer 1963, Bickel 1992), joined by MOVER"


@dataclass(frozen=True)
class MappedRange:
    """Least and greatest share that the map has in each stratum, known from how strata were cut.

    Attributes:
        lowest: float64 [stratum], 0…1.
        highest: float64 [stratum], 0…1.
    """

    lowest: np.ndarray
    highest: np.ndarray

    @classmethod
    def unknown(cls, design: Design) -> "MappedRange":
        """Anything may be anywhere."""
        return cls(np.zeros(len(design.strata)), np.ones(len(design.strata)))


def difference(
    design: Design,
    map_mean: float,
    mapped: np.ndarray,
    reference: np.ndarray,
    interval: Interval = "chosen",
    known: MappedRange | None = None,
) -> Estimate:
    """Mean share by the difference estimator, which has no bias whatever the map's errors.

    Args:
        design: Of the sample.
        map_mean: Area-weighted mean over all ground of the strata of the very values that ``mapped`` has at the points;
            0 where there is no map. The mean of other values, e.g. of means where ``mapped`` are medians, is a bias.
        mapped: float [point], the map's share, 0…1; 0 where there is no map.
        reference: float [point], share on the ground, 0…1.
        interval: ``normal`` for Student's with the degrees of freedom of Satterthwaite (Cochran 1977, equation 5.16),
            ``exact`` for Stringer's bound in all strata, ``chosen`` for the bound in strata where few points differ.
        known: What the map may be in each stratum; it narrows the bound.

    Returns:
        The mean share, 0…1; ``times(design.area)`` for an area.

    Raises:
        InputError: If a share is missing or not 0…1.
    """
    _check(design, map_mean, mapped, reference)
    residuals = _Residuals.of(design, mapped, reference, 1.0, known)
    return residuals.estimated(map_mean + design.mean(residuals.values), DIFFERENCE, interval)


def regression(
    design: Design,
    map_mean: float,
    mapped: np.ndarray,
    reference: np.ndarray,
    interval: Interval = "chosen",
    known: MappedRange | None = None,
) -> Estimate:
    """Mean share by the combined regression estimator, for maps that are too high or too low throughout.

    Combined and not separate: a slope of each stratum is biased where strata have some dozens of points, and asks for
    the map's mean of each. Its bias vanishes as 1/n. Arguments, returns and errors as of ``difference``.

    Raises:
        InputError: Also if the map is the same at all points of every stratum.
    """
    _check(design, map_mean, mapped, reference)
    varies = design.covariance(mapped, mapped)
    if varies == 0:
        raise InputError("map share: is the same at all points of each stratum; use the difference estimator")
    slope = design.covariance(mapped, reference) / varies
    residuals = _Residuals.of(design, mapped, reference, slope, known)
    value = design.mean(reference) + slope * (map_mean - design.mean(mapped))
    return residuals.estimated(value, REGRESSION, interval)


def domain_difference(
    design: Design,
    map_mean: float,
    mapped: np.ndarray,
    reference: np.ndarray,
    inside: np.ndarray,
    name: str,
    fewest: int = FEWEST_POINTS,
    interval: Interval = "chosen",
    known: MappedRange | None = None,
    held: np.ndarray | None = None,
) -> Estimate:
    """Mean share of a part of the ground, for which the sample was not drawn.

    The map's error there is the ratio of two stratified means (Cochran 1977, 5A.14; Särndal et al. 1992, 5.8).

    Args:
        design: Of the whole sample.
        map_mean: Of the domain; see ``difference``.
        mapped: See ``difference``.
        reference: See ``difference``.
        inside: bool [point], whether in the domain.
        name: Of the domain.
        fewest: Points that it must have.
        interval: See ``difference``.
        known: See ``difference``.
        held: float [stratum], 0…1, how much of each stratum lies in the domain; not known if None.

    Returns:
        The mean share in the domain; times its known area for an area.

    Raises:
        InputError: Also if fewer points lie in the domain.
    """
    _check(design, map_mean, mapped, reference)
    count, needed = int(inside.sum()), max(fewest, FEWEST_POINTS)
    if count < needed:
        raise InputError(f"unit {name!r}: {count} of the sample's points lie in it, at least {needed} are needed")
    share = design.mean(inside.astype(float))
    whole = _Residuals.of(design, mapped, reference, 1.0, known)
    error = design.mean(whole.values * inside) / share
    there = np.ones(len(design.strata), bool) if held is None else held > 0
    residuals = _Residuals(
        design,
        inside * (whole.values - error) / share,
        np.where(there, np.minimum(whole.lowest - error, 0) / share, 0.0),
        np.where(there, np.maximum(whole.highest - error, 0) / share, 0.0),
        SMALL / share,
    )
    return residuals.estimated(map_mean + error, DOMAIN, interval)


@dataclass(frozen=True)
class _Residuals:
    """What the map lacks at the points, whose stratified mean is all that is uncertain of an estimate.

    Attributes:
        design: Of the sample.
        values: float [point].
        lowest: float [stratum], the least that one may be.
        highest: float [stratum], the greatest.
        small: By how much one may differ from the usual and count as the same.
    """

    design: Design
    values: np.ndarray
    lowest: np.ndarray
    highest: np.ndarray
    small: float = SMALL

    @classmethod
    def of(
        cls, design: Design, mapped: np.ndarray, reference: np.ndarray, slope: float, known: MappedRange | None
    ) -> "_Residuals":
        known = known or MappedRange.unknown(design)
        explained = np.sort([slope * known.lowest, slope * known.highest], axis=0)
        return cls(design, reference - slope * mapped, 0 - explained[1], 1 - explained[0])

    @property
    def differing(self) -> np.ndarray:
        """Points of each stratum whose residual is not the usual one, its median: int [stratum]."""
        strata = range(len(self.design.strata))
        usual = np.array([np.median(self.values[self.design.stratum == index]) for index in strata])
        apart = np.abs(self.values - usual[self.design.stratum]) > self.small
        return np.bincount(self.design.stratum, weights=apart, minlength=len(strata)).astype(int)

    def estimated(self, value: float, estimator: str, interval: Interval) -> Estimate:
        """An estimate whose error is that of the stratified mean of the residuals."""
        design = self.design
        parts = design.spread * design.covariances(self.values, self.values)
        error = float(np.sqrt(parts.sum()))
        uncertain = (design.unsampled > 0) & (self.highest > self.lowest)
        thin = (self.differing < FEW) & uncertain
        bounded = {"normal": np.zeros_like(thin), "exact": uncertain, "chosen": thin}[interval]
        if bounded.any():
            ends, words = self._joined(value, parts, bounded), f"Student's interval, but {SAFE}"
        elif error > 0:
            freedom = float(parts.sum()) ** 2 / float(np.sum(parts**2 / (design.counts - 1)))
            reach = _student(freedom) * error
            ends, words = (
                Ends(value - reach, value + reach),
                f"Student's interval with {freedom:.0f} degrees of freedom",
            )
        else:
            ends, words = Ends(value, value), "all of it was seen"
        ends = ends.clipped(0, 1)
        return Estimate(value, error, ends.low, ends.high, f"{estimator}; {words}", self._warning(value, thin))

    def _joined(self, value: float, parts: np.ndarray, bounded: np.ndarray) -> Ends:
        """Ends from those of each stratum: MOVER (Zou and Donner 2008), see the module ``interval``."""
        design = self.design
        down = np.array([_student(count - 1) for count in design.counts]) * np.sqrt(parts)
        up = down.copy()
        means = design.means(self.values)
        for index in np.flatnonzero(bounded):
            ends = stringer(self.values[design.stratum == index], self.lowest[index], self.highest[index])
            # Drawn without replacement from few units, a mean strays less.
            scale = design.shares[index] * np.sqrt(design.unsampled[index])
            down[index], up[index] = scale * (means[index] - ends.low), scale * (ends.high - means[index])
        return Ends(value - float(np.sqrt(np.sum(down**2))), value + float(np.sqrt(np.sum(up**2))))

    def _warning(self, value: float, thin: np.ndarray) -> str:
        told = [] if 0 <= value <= 1 else ["the estimate is no possible share: there are too few points"]
        weighty = sorted(np.flatnonzero(thin), key=lambda index: -self.design.shares[index])
        named = [
            f"{self.differing[index]} of {self.design.counts[index]} points in {self.design.strata[index].name!r}"
            for index in weighty[:NAMED]
        ]
        if named:
            told.append(
                f"few points tell how the map errs: {', '.join(named)}; the standard error is too small, the interval "
                "does not rest on it"
            )
        return "; ".join(told)


def stringer(values: np.ndarray, lowest: float, highest: float) -> Ends:
    """Stringer's bounds of the mean of a simple random sample, each of which holds at 0.975.

    The upper one takes the share of ground that zero points in n do not rule out as ``highest``, and gives the largest
    value found the further share that one point in n does not rule out, and so on (limits of Clopper and Pearson).
    For values that are 0 or 1 the bounds are those of Clopper and Pearson.

    Args:
        values: float [point].
        lowest: The least that one may be.
        highest: The greatest.
    """
    count = len(values)
    found = np.arange(count)
    limits = np.append(betaincinv(found + 1, count - found, (1 + LEVEL) / 2), 1.0)
    steps = np.diff(limits, prepend=0.0)  # of none, one, two, … points

    def upper(sample: np.ndarray, worst: float) -> float:
        return float(steps @ np.append(worst, np.sort(sample)[::-1]))

    return Ends(-upper(-values, -lowest), upper(values, highest))


def _student(freedom: float) -> float:
    return float(student.ppf((1 + LEVEL) / 2, freedom))


def _check(design: Design, map_mean: float, mapped: np.ndarray, reference: np.ndarray) -> None:
    for name, values in (("map share", mapped), ("reference share", reference), ("mean map share", map_mean)):
        shares = np.asarray(values, dtype=float)
        if shares.ndim:
            design.check(name, shares)
        if not ((shares >= 0) & (shares <= 1)).all():
            raise InputError(f"{name}: {shares.min():g} to {shares.max():g}; allowed are shares from 0 to 1")
