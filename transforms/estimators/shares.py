"""The mean of a share, e.g. of ground under roofs, from a map of it and a sample of reference shares."""

import numpy as np
from scipy.stats import t as student

from models.errors import InputError
from transforms.estimators.design import Design
from transforms.estimators.interval import LEVEL, Estimate

DIFFERENCE = "difference estimator: mean of the map plus stratified mean of reference less map (Cochran 1977, 7.9)"
REGRESSION = "combined regression estimator, one slope for all strata (Cochran 1977, 7.10)"
FEW = 10  # points that differ from the map: with fewer in a stratum, its part of the error is hardly known


def difference(design: Design, map_mean: float, mapped: np.ndarray, reference: np.ndarray) -> Estimate:
    """Mean share by the difference estimator, which has no bias whatever the map's errors.

    Args:
        design: Of the sample.
        map_mean: Area-weighted mean of the map's share over all ground of the strata; 0 where there is no map.
        mapped: float [point], the map's share, 0…1; 0 where there is no map.
        reference: float [point], share on the ground, 0…1.

    Returns:
        The mean share, 0…1; ``times(design.area)`` for an area. The interval is Student's, with the degrees of freedom
        of Satterthwaite (Cochran 1977, equation 5.16).

    Raises:
        InputError: If a share is missing or not 0…1.
    """
    _check(design, map_mean, mapped, reference)
    apart = reference - mapped
    return _estimated(design, map_mean + design.mean(apart), apart, DIFFERENCE)


def regression(design: Design, map_mean: float, mapped: np.ndarray, reference: np.ndarray) -> Estimate:
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
    value = design.mean(reference) + slope * (map_mean - design.mean(mapped))
    return _estimated(design, value, reference - slope * mapped, REGRESSION)


def _estimated(design: Design, value: float, residuals: np.ndarray, estimator: str) -> Estimate:
    """An estimate whose error is that of the stratified mean of residuals [point]."""
    parts = design.spread * design.covariances(residuals, residuals)
    error = float(np.sqrt(parts.sum()))
    squares = float(np.sum(parts**2 / (design.counts - 1)))
    freedom = float(parts.sum()) ** 2 / squares if squares > 0 else np.inf
    reach = float(student.ppf((1 + LEVEL) / 2, freedom)) * error if error > 0 else 0.0
    low, high = (float(np.clip(end, 0, 1)) for end in (value - reach, value + reach))
    words = f"{estimator}; Student's interval with {freedom:.0f} degrees of freedom" if error > 0 else estimator
    return Estimate(value, error, low, high, words, _warning(design, value, residuals))


def _warning(design: Design, value: float, residuals: np.ndarray) -> str:
    told = [] if 0 <= value <= 1 else ["the estimate is no possible share: there are too few points"]
    usual = design.means(residuals)[design.stratum]
    # Rounding must not make a difference of what is the same.
    apart = np.abs(residuals - np.round(usual, 12)) > 1e-9
    differing = np.bincount(design.stratum, weights=apart, minlength=len(design.strata)).astype(int)
    for index in np.flatnonzero((differing < FEW) & (design.unsampled > 0)):
        told.append(
            f"{differing[index]} of {design.counts[index]} points in {design.strata[index].name!r} tell how the map "
            f"errs there: the interval may be too short"
        )
    return "; ".join(told)


def _check(design: Design, map_mean: float, mapped: np.ndarray, reference: np.ndarray) -> None:
    for name, values in (("map share", mapped), ("reference share", reference), ("mean map share", map_mean)):
        shares = np.asarray(values, dtype=float)
        if shares.ndim:
            design.check(name, shares)
        if not ((shares >= 0) & (shares <= 1)).all():
            raise InputError(f"{name}: {shares.min():g} to {shares.max():g}; allowed are shares from 0 to 1")
