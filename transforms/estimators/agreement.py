"""How far two interpreters agree on reference points, and what such points can say without a sampling design."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from stook.models.errors import InputError
from stook.transforms.choices import Rule
from stook.transforms.estimators.design import Design
from stook.transforms.estimators.interval import REACH, Estimate

FEW_DISAGREEING = 5
NEAR = 0.1  # shares of a cell that lie within this of each other are one answer: nobody tells 40 % from 45 % by eye
KAPPA = "Cohen's kappa; large-sample standard error (Fleiss, Cohen and Everitt 1969), normal interval"

RULES: dict[Rule, str] = {
    "leave_out": "points on which the interpreters disagree are left out",
    "majority": "the class that more than half of those who answered gave holds; where none is, the point is left out",
    "first": "the first interpreter's answer holds where they disagree",
    "second": "the second interpreter's answer holds where they disagree",
    "third": "the third interpreter decides where the first two disagree",
}
NEEDED = {"second": 2, "third": 3}
ALONE = "one interpreter, whose answers hold"
MEANS = f"shares within {100 * NEAR:g} percentage points of each other agree, and their mean holds"
MEDIAN = "the median of the answers holds where they disagree"


@dataclass(frozen=True)
class Agreement:
    """Two interpreters' answers beside each other; of these points, not of any ground.

    Attributes:
        counts: int [class of the first, class of the second], points.
        observed: Share of the points on which they agree.
        expected: Share on which they would by chance, each keeping to how often they name a class.
        kappa: Agreement beyond chance, of the most that could be; NaN where both name one class alone.
        disagreeing: int, positions of the points on which they do not agree.
    """

    counts: np.ndarray
    observed: float
    expected: float
    kappa: Estimate
    disagreeing: np.ndarray


def agreement(first: np.ndarray, second: np.ndarray, classes: Sequence[str]) -> Agreement:
    """Agreement of two interpreters.

    Args:
        first: int [point], place in ``classes``.
        second: int [point].
        classes: Names.

    Raises:
        InputError: If there are no points, not as many of both, or a number is of no class.
    """
    counts = _crossed(("first interpreter", first), ("second interpreter", second), classes)
    shares = counts / counts.sum()
    rows, columns = shares.sum(axis=1), shares.sum(axis=0)
    observed, expected = float(np.trace(shares)), float(rows @ columns)
    disagreeing = np.flatnonzero(first != second)
    if expected == 1:
        nothing = "both interpreters name one class alone, so agreement beyond chance has no meaning"
        return Agreement(counts, observed, expected, Estimate(np.nan, np.nan, -1.0, 1.0, KAPPA, nothing), disagreeing)
    kappa = (observed - expected) / (1 - expected)
    # Equation 13 of Fleiss, Cohen and Everitt 1969, with the diagonal apart.
    by_both = (columns[:, None] + rows[None, :]) ** 2
    agreed = np.sum(np.diag(shares) * (1 - (rows + columns) * (1 - kappa)) ** 2)
    apart = (1 - kappa) ** 2 * (np.sum(shares * by_both) - np.sum(np.diag(shares) * np.diag(by_both)))
    rest = (kappa - expected * (1 - kappa)) ** 2
    variance = float(agreed + apart - rest) / (counts.sum() * (1 - expected) ** 2)
    error = float(np.sqrt(max(variance, 0.0)))
    low, high = (float(np.clip(kappa + step * REACH * error, -1, 1)) for step in (-1, 1))
    few = len(disagreeing) < FEW_DISAGREEING
    warning = (
        f"they disagree on {len(disagreeing)} of {len(first)} points: the interval may be too short" if few else ""
    )
    return Agreement(counts, observed, expected, Estimate(kappa, error, low, high, KAPPA, warning), disagreeing)


@dataclass(frozen=True)
class Resolved:
    """One answer for each point.

    Attributes:
        values: float64 [point], NaN where nobody answered or the rule leaves the point out.
        disagreeing: int, positions of the points that had to be resolved.
        rule: In words, to be published with what is made of them.
    """

    values: np.ndarray
    disagreeing: np.ndarray
    rule: str


def resolved(answers: np.ndarray, rule: Rule, shares: bool = False) -> Resolved:
    """The answers of several interpreters made one. Where one alone answered, that answer holds.

    Args:
        answers: float64 [interpreter, point]: place of the class, or share of the cell; NaN where there is none.
        rule: Of ``RULES``. Points that are left out are no longer a random sample, as the difficult ones are missing.
        shares: Whether answers are shares, of which near ones agree.

    Raises:
        InputError: If the rule is none, or there are fewer interpreters than it needs.
    """
    if rule not in RULES:
        raise InputError(f"rule: {rule!r}; allowed are {', '.join(RULES)}")
    if len(answers) < NEEDED.get(rule, 1):
        raise InputError(f"rule: {rule!r} needs {NEEDED[rule]} interpreters; there are {len(answers)}")
    asked = answers[:2] if rule == "third" else answers
    known = ~np.isnan(asked)
    highest = np.where(known, asked, -np.inf).max(axis=0)
    lowest = np.where(known, asked, np.inf).min(axis=0)
    several = known.any(axis=0)
    apart = np.subtract(highest, lowest, where=several, out=np.zeros(len(several)))
    # The rounding of 0.4 - 0.3 must not decide whether they are near.
    disagree = apart > (NEAR + 1e-9 if shares else 0)
    total = np.where(known, asked, 0).sum(axis=0)
    values = np.where(several, total / np.maximum(known.sum(axis=0), 1), np.nan)
    values[disagree] = _decided(answers[:, disagree], rule, shares)
    words = RULES[rule]
    if shares:
        words = f"{MEANS}; {MEDIAN if rule == 'majority' else words}"
    return Resolved(values, np.flatnonzero(disagree), ALONE if len(answers) == 1 else words)


def _decided(answers: np.ndarray, rule: Rule, shares: bool) -> np.ndarray:
    """What holds at points on which they disagree, float64 [point], NaN where nothing does."""
    if rule == "leave_out":
        return np.full(answers.shape[1], np.nan)
    if rule == "majority" and shares:
        return np.nanmedian(answers, axis=0)
    if rule == "majority":
        least = (~np.isnan(answers)).sum(axis=0) / 2
        found = np.full(answers.shape[1], np.nan)
        for value in np.unique(answers[~np.isnan(answers)]):
            found[(answers == value).sum(axis=0) > least] = value
        return found
    return np.asarray(answers[("first", "second", "third").index(rule)])


def design_for_areas(source: str, design: Design | None) -> Design:
    """The design of points of which areas are asked.

    Raises:
        InputError: If it is unknown: then points stand for unknown shares of the ground, and no hectares follow.
    """
    if design is None:
        raise InputError(
            f"{source}: the inclusion probabilities of its points are unknown, so nobody knows how much ground each "
            f"stands for, and hectares are refused; agreement of interpreters and accuracy at the points can be told"
        )
    return design


def accuracy_at_points(mapped: np.ndarray, reference: np.ndarray, classes: Sequence[str]) -> pd.DataFrame:
    """How often a map is right at points without a design: shares of points, without intervals, not of the ground.

    Args:
        mapped: int [point], place in ``classes``.
        reference: int [point].
        classes: Names.

    Returns:
        Rows ``figure`` (overall_accuracy, users_accuracy, producers_accuracy), ``class``, ``right`` and ``points``,
        ``share`` (NaN without points) and ``method``.

    Raises:
        InputError: If there are no points, not as many of both, or a number is of no class.
    """
    counts = _crossed(("map", mapped), ("reference", reference), classes)
    rows = [("overall_accuracy", "", np.trace(counts), counts.sum())]
    for kind, axis in (("users_accuracy", 1), ("producers_accuracy", 0)):
        rows += [(kind, name, counts[k, k], counts.sum(axis=axis)[k]) for k, name in enumerate(classes)]
    table = pd.DataFrame(rows, columns=["figure", "class", "right", "points"])
    told = "share of these points, whose inclusion probabilities are unknown; says nothing of the area"
    return table.assign(share=table["right"] / table["points"].where(table["points"] > 0), method=told)


def _crossed(first: tuple[str, np.ndarray], second: tuple[str, np.ndarray], classes: Sequence[str]) -> np.ndarray:
    """Points by the classes that two sources give them, int [class, class]."""
    if len(first[1]) != len(second[1]) or not len(first[1]):
        raise InputError(
            f"{first[0]}: {len(first[1])} answers, {second[0]}: {len(second[1])}; each needs one per point"
        )
    for name, values in (first, second):
        if not ((values >= 0) & (values < len(classes))).all():
            raise InputError(
                f"{name}: a class from {values.min()} to {values.max()}; allowed are 0 to {len(classes) - 1}"
            )
    counts = np.zeros((len(classes), len(classes)), dtype=int)
    np.add.at(counts, (first[1], second[1]), 1)
    return counts
