"""The area of a class in a part of the ground, e.g. a district, for which the sample was not drawn."""

import numpy as np

from models.errors import InputError
from transforms.estimators.design import FEWEST_POINTS, Design
from transforms.estimators.interval import Estimate, Interval, proportion, ratio

INDICATOR = "indicator estimator of class and domain (Stehman 2014; Cochran 1977, 5A.14)"
RATIO = "share of the domain times its known area, combined ratio estimator (Särndal et al. 1992, 5.8)"


def domain_area(
    design: Design,
    member: np.ndarray,
    inside: np.ndarray,
    name: str,
    area: float | None = None,
    fewest: int = FEWEST_POINTS,
    interval: Interval = "chosen",
) -> Estimate:
    """Area of a class in a domain.

    Args:
        design: Of the whole sample; points outside the domain count too, as they tell how many fell inside by chance.
        member: bool [point], whether of the class.
        inside: bool [point], whether in the domain.
        name: Of the domain.
        area: Of the domain, where it is known without error, in the unit of the strata: the estimate no longer depends
            on how many points fell inside. Without it domains add up to the whole exactly, but are less precise.
        fewest: Points that a domain must have.
        interval: See ``interval.proportion``.

    Raises:
        InputError: If fewer points lie in the domain; the caller offers the next larger unit.
    """
    design.check("class", member)
    design.check("domain", inside)
    member, inside = member.astype(bool), inside.astype(bool)
    count, needed = int(inside.sum()), max(fewest, FEWEST_POINTS)
    if count < needed:
        raise InputError(
            f"unit {name!r}: {count} of the sample's points lie in it, at least {needed} are needed for an estimate; "
            f"use a larger unit or draw more points there"
        )
    # Where no point fell inside, so little of the domain lies that it is left out of doubt.
    possible = design.means(inside) > 0
    if area is None:
        return proportion(design, member & inside, INDICATOR, interval, possible).times(design.area)
    return ratio(design, member, inside, RATIO, interval, possible).times(area)
