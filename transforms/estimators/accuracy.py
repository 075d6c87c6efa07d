"""Areas of classes, and how right a map is: overall, user's and producer's accuracy."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from stook.models.errors import InputError
from stook.transforms.estimators.design import Design
from stook.transforms.estimators.error_matrix import NOT_MAPPED, ErrorMatrix
from stook.transforms.estimators.interval import Estimate, Interval, proportion, ratio

INDICATOR = "indicator estimator, strata are not the map's classes (Stehman 2014)"


@dataclass(frozen=True)
class Assessment:
    """What a sample says of a map. Areas are of all ground, accuracies of the ground that is mapped.

    Attributes:
        classes: Names.
        matrix: float64 [map class, reference class], shares of the area; of what is mapped.
        areas: Class -> area, in the unit of the strata; they add up to all of it.
        overall: Share of the mapped area that is right.
        users: Class -> share of its mapped area that is of it.
        producers: Class -> share of its area, where mapped, that the map has as such.
    """

    classes: tuple[str, ...]
    matrix: np.ndarray
    areas: dict[str, Estimate]
    overall: Estimate
    users: dict[str, Estimate]
    producers: dict[str, Estimate]

    def table(self) -> pd.DataFrame:
        """A row per figure: figure, class, and the fields of ``Estimate``."""
        kinds = {"area": self.areas, "users_accuracy": self.users, "producers_accuracy": self.producers}
        rows = [("overall_accuracy", "", self.overall)]
        rows += [(kind, name, found) for kind, figures in kinds.items() for name, found in figures.items()]
        return pd.DataFrame([{"figure": kind, "class": name} | vars(found) for kind, name, found in rows])


def assessed(
    design: Design,
    mapped: np.ndarray,
    reference: np.ndarray,
    classes: Sequence[str],
    interval: Interval = "chosen",
) -> Assessment:
    """Areas and accuracies by the estimator that the design asks for.

    Args:
        design: Of the sample.
        mapped: int [point], class of the map, or ``NOT_MAPPED``; may differ from the stratum.
        reference: int [point], class on the ground.
        classes: Their names, in the order of the numbers.
        interval: See ``interval.proportion``.

    Raises:
        InputError: If a number is of no class.
    """
    alike = strata_are_classes(design, mapped, classes)
    return (stratified if alike else indicator)(design, mapped, reference, classes, interval)


def strata_are_classes(design: Design, mapped: np.ndarray, classes: Sequence[str]) -> bool:
    """Whether stratum i is map class i, any further strata being ground without a map."""
    extra = design.stratum >= len(classes)
    return len(design.strata) >= len(classes) and bool((mapped == np.where(extra, NOT_MAPPED, design.stratum)).all())


def stratified(
    design: Design,
    mapped: np.ndarray,
    reference: np.ndarray,
    classes: Sequence[str],
    interval: Interval = "chosen",
) -> Assessment:
    """Areas and accuracies where stratum i is map class i, see ``ErrorMatrix``; arguments as of ``assessed``.

    Raises:
        InputError: If strata are not the map's classes, or a number is of no class.
    """
    _check(design, mapped, reference, classes)
    if not strata_are_classes(design, mapped, classes):
        raise InputError("sample: a point's stratum is not its class of the map; use the indicator estimators")
    matrix, numbered = ErrorMatrix(design, mapped, reference, len(classes), interval), list(enumerate(classes))
    return Assessment(
        classes=tuple(classes),
        matrix=matrix.shares[: len(classes)],
        areas={name: matrix.area(k).times(design.area) for k, name in numbered},
        overall=matrix.overall(),
        users={name: matrix.users(k) for k, name in numbered},
        producers={name: matrix.producers(k) for k, name in numbered},
    )


def indicator(
    design: Design,
    mapped: np.ndarray,
    reference: np.ndarray,
    classes: Sequence[str],
    interval: Interval = "chosen",
) -> Assessment:
    """Areas and accuracies where strata are not the map's classes, e.g. a sample that was drawn for another map.

    Stehman 2014: means of indicators (equations 12, 14, 16, variance 25), ratios of two for user's and producer's
    accuracy (18 to 23, variance 28). Arguments and errors as of ``assessed``.
    """
    _check(design, mapped, reference, classes)
    somewhere, right = mapped != NOT_MAPPED, mapped == reference
    has_map, numbered = design.means(somewhere) > 0, list(enumerate(classes))
    matrix = [[design.mean((mapped == i) & (reference == j)) for j, _ in numbered] for i, _ in numbered]
    users, producers = {}, {}
    for k, name in numbered:
        # A map is known of all ground, so a stratum without a point of its class has none worth doubting.
        said, here = mapped == k, (reference == k) & somewhere
        users[name] = ratio(design, right, said, INDICATOR, interval, possible=design.means(said) > 0)
        producers[name] = ratio(design, right, here, INDICATOR, interval, possible=has_map)
    return Assessment(
        classes=tuple(classes),
        matrix=np.array(matrix),
        areas={n: proportion(design, reference == k, INDICATOR, interval).times(design.area) for k, n in numbered},
        overall=ratio(design, right, somewhere, INDICATOR, interval, possible=has_map),
        users=users,
        producers=producers,
    )


def _check(design: Design, mapped: np.ndarray, reference: np.ndarray, classes: Sequence[str]) -> None:
    for name, values, lowest in (("map class", mapped, NOT_MAPPED), ("reference class", reference, 0)):
        design.check(name, values)
        if not np.issubdtype(values.dtype, np.integer):
            raise InputError(f"{name}: has to be a whole number, the class's place among {', '.join(classes)}")
        odd = np.flatnonzero((values < lowest) | (values >= len(classes)))
        if len(odd):
            raise InputError(f"{name}: point {odd[0]} has {values[odd[0]]}; allowed are {lowest} to {len(classes) - 1}")
