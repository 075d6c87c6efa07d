"""The error matrix of a map whose classes are the strata of the sample, and what it says of one class or of all."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from stook.transforms.estimators.design import Design
from stook.transforms.estimators.interval import (
    Ends,
    Estimate,
    Interval,
    clopper_pearson,
    estimated,
    exact_of_mean,
    exact_of_ratio,
    few,
    unknown,
)

NOT_MAPPED = -1  # class of the map where there is none
STRATIFIED = "stratified estimator, strata are the map's classes (Olofsson et al. 2014)"


@dataclass(frozen=True)
class ErrorMatrix:
    """A sample's points by stratum and class on the ground.

    Olofsson et al. 2014: equations 4 (shares of the matrix), 5 to 7 (variances of overall, user's and producer's
    accuracy), 9 to 11 (areas); with the finite population correction where strata have sizes. Stratum i is map class i;
    strata after those of the classes are ground without a map.

    Attributes:
        design: Of the sample.
        mapped: int [point], class of the map, or ``NOT_MAPPED``.
        reference: int [point], class on the ground.
        size: Number of classes.
        interval: See ``interval.proportion``.
    """

    design: Design
    mapped: np.ndarray
    reference: np.ndarray
    size: int
    interval: Interval = "chosen"

    @cached_property
    def found(self) -> np.ndarray:
        """float64 [stratum, class]: share of a stratum's points that are of a class."""
        counts = np.zeros((len(self.design.strata), self.size))
        np.add.at(counts, (self.design.stratum, self.reference), 1)
        return counts / self.design.counts[:, None]

    @cached_property
    def shares(self) -> np.ndarray:
        """float64 [stratum, class]: share of the area, equation 4."""
        return self.design.shares[:, None] * self.found

    @cached_property
    def _variances(self) -> np.ndarray:
        """float64 [stratum, class]: of ``found``."""
        counts = self.design.counts[:, None]
        return self.design.unsampled[:, None] * self.found * (1 - self.found) / (counts - 1)

    @cached_property
    def _right(self) -> np.ndarray:
        return self.mapped == self.reference

    @cached_property
    def _somewhere(self) -> np.ndarray:
        return self.mapped != NOT_MAPPED

    @cached_property
    def _has_map(self) -> np.ndarray:
        """Bool [stratum]."""
        return np.arange(len(self.design.strata)) < self.size

    def overall(self) -> Estimate:
        """Share of the mapped area that is right, equation 5."""
        # Shares of the mapped area are of these rows alone, whose weights then add up to one.
        row = self.design.shares[: self.size] / self.design.shares[: self.size].sum()
        return self._estimated(
            row @ np.diag(self.found[: self.size]),
            np.sqrt(row**2 @ np.diag(self._variances[: self.size])),
            exact_of_ratio(self.design, self._right, self._somewhere & ~self._right, self._has_map),
            few(self.design, self._right, possible=self._has_map),
        )

    def area(self, k: int) -> Estimate:
        """Share of all ground that is of class ``k``, equations 9 and 10."""
        here = self.reference == k
        return self._estimated(
            self.shares[:, k].sum(),
            np.sqrt(self.design.shares**2 @ self._variances[:, k]),
            exact_of_mean(self.design, here),
            few(self.design, here),
        )

    def users(self, k: int) -> Estimate:
        """User's accuracy: share of what is mapped as class ``k`` that is of it, equation 6."""
        low, high = clopper_pearson(self.found[:, k], self.design)
        return self._estimated(
            self.found[k, k],
            np.sqrt(self._variances[k, k]),
            Ends(float(low[k]), float(high[k])),
            few(self.design, self.reference == k, possible=self._stratum(k)),
        )

    def producers(self, k: int) -> Estimate:
        """Producer's accuracy: share of class ``k``, where there is a map, that the map has as such, equation 7."""
        here, area = self.reference == k, float(self.shares[: self.size, k].sum())
        if area == 0:
            return unknown(STRATIFIED)
        share = float(self.shares[k, k]) / area
        # The class's own row errs by what the map has wrongly, the others by what they hide.
        errs = np.where(self._stratum(k), 1 - share, share)
        terms = self.design.shares**2 * self._variances[:, k] * errs**2
        return self._estimated(
            share,
            np.sqrt(terms[: self.size].sum()) / area,
            exact_of_ratio(self.design, here & self._right, here & self._somewhere & ~self._right, self._has_map),
            few(self.design, here & self._right, here & ~self._right, possible=self._has_map),
        )

    def _stratum(self, k: int) -> np.ndarray:
        """Bool [stratum]: which one is map class ``k``."""
        return np.arange(len(self.design.strata)) == k

    def _estimated(self, value: float, error: float, exact: Ends, warning: str) -> Estimate:
        return estimated(float(value), float(error), exact, (0, 1), warning, STRATIFIED, self.interval)
