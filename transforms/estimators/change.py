"""Change of a class between two years, both seen at the same points."""

from dataclasses import dataclass

import numpy as np

from stook.transforms.estimators.design import Design
from stook.transforms.estimators.interval import Estimate, Interval, difference, proportion

GROSS = "indicator estimator of points that changed (Stehman 2014)"
NET = "indicator estimator of both years at the same points, with their covariance (Stehman 2014)"
YEAR = "indicator estimator (Stehman 2014)"


@dataclass(frozen=True)
class Change:
    """Areas in the unit of the strata.

    Attributes:
        before: Of the class in the first year.
        after: In the second.
        gain: Ground that became of the class.
        loss: Ground that ceased to be.
        net: After less before, which is gain less loss; its error is smaller than that of two samples would be.
    """

    before: Estimate
    after: Estimate
    gain: Estimate
    loss: Estimate
    net: Estimate


def changed(design: Design, before: np.ndarray, after: np.ndarray, interval: Interval = "chosen") -> Change:
    """Gain, loss and net change of a class, from one sample with references in both years.

    Args:
        design: Of the sample, whatever year its strata are of.
        before: bool [point], whether of the class in the first year.
        after: bool [point], in the second.
        interval: See ``interval.proportion``.

    Raises:
        InputError: If a year is missing at some points.
    """
    for name, values in (("class of the first year", before), ("class of the second year", after)):
        design.check(name, values)
    before, after = before.astype(bool), after.astype(bool)
    gain, loss = after & ~before, before & ~after
    return Change(
        before=proportion(design, before, YEAR, interval).times(design.area),
        after=proportion(design, after, YEAR, interval).times(design.area),
        gain=proportion(design, gain, GROSS, interval).times(design.area),
        loss=proportion(design, loss, GROSS, interval).times(design.area),
        net=difference(design, gain, loss, NET, interval).times(design.area),
    )
