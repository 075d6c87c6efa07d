"""Our estimators beside those of samplics, an independent implementation, where that is installed."""

import importlib
from collections.abc import Iterator

import numpy as np

from transforms.estimators.accuracy import indicator
from transforms.estimators.change import changed
from transforms.estimators.design import Design, Stratum
from transforms.estimators.domain import domain_area
from transforms.estimators.interval import Estimate
from transforms.estimators.shares import difference

CLASSES = ("other", "cropland", "terraces")
SIZES = (4000, 2500, 900, 600)
COUNTS = (60, 80, 70, 25)


def max_relative_difference(samples: int = 20) -> float:
    """Of values and standard errors, over random samples of four strata with and without finite sizes."""
    return max(
        abs(ours - theirs) / abs(theirs)
        for seed in range(samples)
        for estimate, expected in pairs(seed)
        for ours, theirs in zip((estimate.value, estimate.standard_error), expected, strict=True)
    )


def pairs(seed: int) -> Iterator[tuple[Estimate, tuple[float, float]]]:
    """Our estimate of random points, and the value and standard error that samplics gives."""
    random = np.random.default_rng(seed)
    finite = bool(seed % 2)
    strata = tuple(Stratum(f"stratum {n}", float(size), size if finite else None) for n, size in enumerate(SIZES))
    design = Design(strata, random.permutation(np.repeat(np.arange(len(SIZES)), COUNTS)))
    mapped, reference = random.integers(3, size=(2, sum(COUNTS)))
    later, inside = random.random((2, sum(COUNTS))) < 0.4
    shares, wrong_shares = random.random((2, sum(COUNTS)))
    found = indicator(design, mapped, reference, CLASSES)
    yield found.overall, surveyed(design, mapped == reference)
    for k, name in enumerate(CLASSES):
        yield found.areas[name], surveyed(design, reference == k, times=design.area)
        right = (mapped == k) & (reference == k)
        yield found.users[name], surveyed(design, right, mapped == k)
        yield found.producers[name], surveyed(design, right, reference == k)
    change = changed(design, reference == 1, later)
    yield change.net, surveyed(design, later.astype(float) - (reference == 1), times=design.area)
    yield change.gain, surveyed(design, later & (reference != 1), times=design.area)
    member = reference == 1
    yield domain_area(design, member, inside, "unit"), surveyed(design, member & inside, times=design.area)
    yield domain_area(design, member, inside, "unit", area=3000), surveyed(design, member & inside, inside, times=3000)
    value, error = surveyed(design, shares - wrong_shares)
    yield difference(design, 0.4, wrong_shares, shares), (0.4 + value, error)


def surveyed(
    design: Design, values: np.ndarray, among: np.ndarray | None = None, times: float = 1.0
) -> tuple[float, float]:
    """Mean, or ratio of two means, and its standard error by samplics' Taylor linearisation."""
    estimation = importlib.import_module("samplics.estimation")
    kinds = importlib.import_module("samplics").PopParam
    weights = (design.shares * design.area / design.counts)[design.stratum]
    taylor = estimation.TaylorEstimator(kinds.mean if among is None else kinds.ratio)
    taylor.estimate(
        y=values.astype(float),
        samp_weight=weights,
        x=None if among is None else among.astype(float),
        stratum=design.stratum,
        psu=np.arange(len(values)),
        fpc=dict(enumerate(design.unsampled.tolist())),
    )
    return times * float(taylor.point_est), times * float(taylor.stderror)
