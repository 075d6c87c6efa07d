"""The area of a class in a part of the ground, e.g. a district, for which the sample was not drawn."""

from dataclasses import replace

import numpy as np

from stook.models.errors import InputError
from stook.transforms.estimators.design import FEWEST_POINTS, Design
from stook.transforms.estimators.interval import Estimate, Interval, difference

DOMAIN = (
    "difference estimator of a place: what the map says of it, plus what the map leaves out there, less what it has "
    "wrongly there, both by indicators (Särndal et al. 1992, 10.5; Stehman 2014)"
)


def domain_area(
    design: Design,
    mapped: np.ndarray,
    member: np.ndarray,
    inside: np.ndarray,
    name: str,
    mapped_area: float,
    held: np.ndarray,
    fewest: int = FEWEST_POINTS,
    interval: Interval = "chosen",
) -> Estimate:
    """Area of a class in a domain, of which the map is known everywhere.

    Without bias whatever the map's errors; how many points fell inside by chance moves only what is estimated, the
    errors. Domains that make up the whole add up to its estimate exactly.

    Args:
        design: Of the whole sample; points outside the domain count too, as they tell how many fell inside by chance.
        mapped: bool [point], whether of the class on the map; not where there is no map.
        member: bool [point], whether of the class on the ground.
        inside: bool [point], whether in the domain.
        name: Of the domain.
        mapped_area: Of the class on the map of the domain, exact, in the unit of the strata.
        held: float [stratum], 0…1, how much of each stratum lies in the domain, known without error.
        fewest: Points that a domain must have.
        interval: See ``interval.proportion``.

    Raises:
        InputError: If fewer points lie in the domain; the caller offers the next larger unit.
    """
    for kind, values in (("class of the map", mapped), ("class", member), ("domain", inside)):
        design.check(kind, values)
    mapped, member, inside = (values.astype(bool) for values in (mapped, member, inside))
    count, needed = int(inside.sum()), max(fewest, FEWEST_POINTS)
    if count < needed:
        raise InputError(
            f"unit {name!r}: {count} of the sample's points lie in it, at least {needed} are needed for an estimate; "
            f"use a larger unit or draw more points there"
        )
    # A map is known of all ground: where a stratum has none of the class on it, none of it can be wrong.
    missing, excess = held * (design.means(~mapped) > 0), held * (design.means(mapped) > 0)
    area = design.area * float(design.shares @ held)
    error = difference(
        design, inside & member & ~mapped, inside & mapped & ~member, DOMAIN, interval, (missing, excess)
    ).times(design.area)
    low, high = (float(np.clip(mapped_area + end, 0, area)) for end in (error.low, error.high))
    wrong = int((inside & (member != mapped)).sum())
    told = f"few points tell how the map errs there: it is wrong at {wrong} of {count}" if error.warning else ""
    return replace(error, value=mapped_area + error.value, low=low, high=high, warning=told)
