"""Several interpreters' answers settled: how far they agree, and what holds at each point."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from stook.transforms.choices import Rule
from stook.transforms.estimators.agreement import NEAR, Agreement, Resolved, agreement, resolved
from stook.transforms.sampling.interpretation import Interpretation


@dataclass(frozen=True)
class Pair:
    """Two interpreters beside each other, at the points that both answered.

    Attributes:
        first: Name.
        second: Name.
        points: That both answered.
        observed: Share of them on which they agree, NaN where they share no point; of shares of a cell, on which they
            are near.
        found: Kappa and the rest; None for shares of a cell, of which it says nothing, and where they share no point.
    """

    first: str
    second: str
    points: int
    observed: float
    found: Agreement | None

    def as_json(self) -> dict[str, Any]:
        """Plain data for a summary."""
        told: dict[str, Any] = {
            "first": self.first,
            "second": self.second,
            "points": self.points,
            "observed": number(self.observed),
        }
        if self.found is None:
            return told | {"kappa": None}
        kappa = self.found.kappa
        ends = {"low": number(kappa.low), "high": number(kappa.high), "warning": kappa.warning}
        return told | {"kappa": number(kappa.value)} | ends


@dataclass(frozen=True)
class Settled:
    """One answer for each point, and how it came about.

    Attributes:
        interpretation: What interpreters said.
        resolved: What holds.
        pairs: Each two of them.
    """

    interpretation: Interpretation
    resolved: Resolved
    pairs: tuple[Pair, ...]

    @property
    def answered(self) -> np.ndarray:
        """Whether anybody answered a point: bool [point]."""
        return ~np.isnan(self.interpretation.answers).all(axis=0)

    @property
    def unplaced(self) -> str:
        """See ``stook.transforms.sampling.interpretation.Interpretation``."""
        return self.interpretation.unplaced

    @property
    def unresolved(self) -> np.ndarray:
        """Whether a point was answered, but nothing holds: bool [point]."""
        return self.answered & np.isnan(self.resolved.values)

    def disagreements(self, points: pd.DataFrame, classes: Sequence[str] | None) -> pd.DataFrame:
        """The points on which they disagree: ``point``, ``lon``, ``lat``, an answer of each, and what ``holds``."""
        where = self.resolved.disagreeing
        table = points.iloc[where][["point", "lon", "lat"]].reset_index(drop=True)
        for name, answers in zip(self.interpretation.interpreters, self.interpretation.answers, strict=True):
            table[f"answer of {name}"] = [in_words(value, classes) for value in answers[where]]
        return table.assign(holds=[in_words(value, classes) for value in self.resolved.values[where]])

    def as_json(self) -> dict[str, Any]:
        """Plain data for a summary of estimates."""
        return {
            "answers": dict(self.interpretation.files),
            "rule": self.resolved.rule,
            "interpreters": list(self.interpretation.interpreters),
            "kappa": self.pairs[0].as_json()["kappa"] if len(self.pairs) == 1 else None,
            "agreement": [pair.as_json() for pair in self.pairs],
            "points": len(self.resolved.values),
            "unanswered": int((~self.answered).sum()),
            "disagreeing": len(self.resolved.disagreeing),
            "unresolved": int(self.unresolved.sum()),
            "notes": list(self.interpretation.notes),
        }


def settled(interpretation: Interpretation, rule: Rule, classes: Sequence[str] | None) -> Settled:
    """What holds at each point by a rule.

    Args:
        interpretation: What interpreters said.
        rule: Of ``stook.transforms.estimators.agreement.RULES``.
        classes: Names, or None for shares of a cell.

    Raises:
        InputError: If there are fewer interpreters than the rule needs.
    """
    held = resolved(interpretation.answers, rule, shares=classes is None)
    return Settled(interpretation, held, pairs_of(interpretation, classes))


def pairs_of(interpretation: Interpretation, classes: Sequence[str] | None) -> tuple[Pair, ...]:
    """Each two interpreters, in order."""
    rows = zip(interpretation.interpreters, interpretation.answers, strict=True)
    return tuple(_pair(*first, *second, classes) for first, second in combinations(rows, 2))


def in_words(value: float, classes: Sequence[str] | None) -> str:
    """An answer as people write it, empty where there is none."""
    if np.isnan(value):
        return ""
    return f"{100 * value:g} %" if classes is None else classes[int(value)]


def number(value: float) -> float | None:
    """A figure as JSON has it, which knows no NaN."""
    return float(value) if np.isfinite(value) else None


def _pair(first: str, one: np.ndarray, second: str, other: np.ndarray, classes: Sequence[str] | None) -> Pair:
    both = ~np.isnan(one) & ~np.isnan(other)
    if not both.any():
        return Pair(first, second, 0, np.nan, None)
    if classes is None:
        near = np.abs(one[both] - other[both]) <= NEAR + 1e-9
        return Pair(first, second, int(both.sum()), float(near.mean()), None)
    found = agreement(one[both].astype(int), other[both].astype(int), classes)
    return Pair(first, second, int(both.sum()), found.observed, found)
