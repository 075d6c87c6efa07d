"""The design of a stratified random sample: simple random within strata, drawn without replacement."""

from collections import Counter
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from stook.models.errors import InputError

FEWEST_POINTS = 2  # a variance needs two


@dataclass(frozen=True)
class Stratum:
    """Ground of which points are drawn with equal probability. Ground without a map is a stratum of its own.

    Attributes:
        name: Told in messages and warnings.
        area: In any unit, the same for all strata.
        size: Sampling units (pixels) that it holds; None where they are countless, as for points of the plane, so that
            drawing some leaves as many.
    """

    name: str
    area: float
    size: int | None = None


@dataclass(frozen=True)
class Design:
    """Strata, and the stratum in which each sampled point was drawn.

    Raises InputError, naming the stratum, if it has no area, too few points or more than it holds, if two share a name,
    or if a point is of no stratum.

    Attributes:
        strata: All ground that the estimates are of.
        stratum: int [point], index in ``strata``.
    """

    strata: tuple[Stratum, ...]
    stratum: np.ndarray

    def __post_init__(self) -> None:
        self._check_strata()
        self._check_points()

    @cached_property
    def area(self) -> float:
        """Area of all strata."""
        return float(sum(stratum.area for stratum in self.strata))

    @cached_property
    def shares(self) -> np.ndarray:
        """W_h, float64 [stratum]: each stratum's share of the area."""
        return np.array([stratum.area for stratum in self.strata]) / self.area

    @cached_property
    def counts(self) -> np.ndarray:
        """n_h, int [stratum]: points drawn in each."""
        return np.bincount(self.stratum, minlength=len(self.strata))

    @cached_property
    def unsampled(self) -> np.ndarray:
        """1 - n_h / N_h, float64 [stratum], the finite population correction: 1 where units are countless."""
        return 1 - self.counts / np.array([stratum.size or np.inf for stratum in self.strata])

    @cached_property
    def spread(self) -> np.ndarray:
        """W_h² (1 - n_h / N_h) / n_h, float64 [stratum]: what a variance within the stratum adds to that of a mean."""
        return self.shares**2 * self.unsampled / self.counts

    def means(self, values: np.ndarray) -> np.ndarray:
        """Mean in each stratum of values [point], float64 [stratum]."""
        return np.bincount(self.stratum, weights=values, minlength=len(self.strata)) / self.counts

    def covariances(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """Sample covariance in each stratum of two values [point], float64 [stratum]."""
        apart = [values - self.means(values)[self.stratum] for values in (first, second)]
        products = np.bincount(self.stratum, weights=apart[0] * apart[1], minlength=len(self.strata))
        return products / (self.counts - 1)

    def mean(self, values: np.ndarray) -> float:
        """Stratified estimate of the mean over all ground of values [point]: Cochran 1977, equation 5.1."""
        return float(self.shares @ self.means(values))

    def covariance(self, first: np.ndarray, second: np.ndarray) -> float:
        """Estimated covariance of the stratified means of two values [point]: Cochran 1977, equation 5.10."""
        return float(self.spread @ self.covariances(first, second))

    def standard_error(self, values: np.ndarray) -> float:
        """Estimated standard error of the stratified mean of values [point]."""
        return float(np.sqrt(self.covariance(values, values)))

    def check(self, name: str, values: np.ndarray) -> None:
        """Raise InputError unless values are one per point and finite."""
        if values.shape != self.stratum.shape:
            raise InputError(f"{name}: {len(values)} values for {len(self.stratum)} points; one each is needed")
        if not np.isfinite(values).all():
            raise InputError(f"{name}: {int((~np.isfinite(values)).sum())} points have no value")

    def _check_strata(self) -> None:
        if not self.strata:
            raise InputError("strata: there are none")
        for stratum in self.strata:
            if not (np.isfinite(stratum.area) and stratum.area > 0):
                raise InputError(f"stratum {stratum.name!r}: area {stratum.area:g}; it has to be above 0")
        name, times = Counter(stratum.name for stratum in self.strata).most_common(1)[0]
        if times > 1:
            raise InputError(f"stratum {name!r}: the name is that of {times} strata; names have to differ")

    def _check_points(self) -> None:
        if not np.issubdtype(self.stratum.dtype, np.integer) or self.stratum.ndim != 1:
            raise InputError("sample: the stratum of each point has to be a whole number")
        unknown = np.flatnonzero((self.stratum < 0) | (self.stratum >= len(self.strata)))
        if len(unknown):
            raise InputError(
                f"sample: point {unknown[0]} is of stratum {self.stratum[unknown[0]]}, as are {len(unknown)} points of "
                f"strata that do not exist; allowed are 0 to {len(self.strata) - 1}"
            )
        for stratum, count in zip(self.strata, self.counts, strict=True):
            if count < FEWEST_POINTS:
                raise InputError(
                    f"stratum {stratum.name!r}: sample of {count}; at least {FEWEST_POINTS} points are needed to know "
                    f"an error: draw more there or merge it with another stratum"
                )
            if stratum.size is not None and count > stratum.size:
                raise InputError(f"stratum {stratum.name!r}: sample of {count}, but it holds {stratum.size} units")
