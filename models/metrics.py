"""How good a binary map is at labelled pixels, with intervals that respect that neighbours are not independent."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from sklearn.metrics import average_precision_score, brier_score_loss, f1_score, roc_auc_score

LEVEL = 0.95
Metric = Callable[[np.ndarray, np.ndarray], float]


def auc(labels: np.ndarray, probability: np.ndarray) -> float:
    """Area under the receiver operating characteristic curve."""
    return float(roc_auc_score(labels, probability))


def accuracy(labels: np.ndarray, probability: np.ndarray) -> float:
    """Share of pixels on the right side of one half."""
    return float(np.mean((probability >= 0.5) == labels))


def f1(labels: np.ndarray, probability: np.ndarray) -> float:
    """Harmonic mean of user's and producer's accuracy of the positive class at one half."""
    return float(f1_score(labels, probability >= 0.5, zero_division=0.0))


def average_precision(labels: np.ndarray, probability: np.ndarray) -> float:
    """Mean user's accuracy over all thresholds, weighted by the producer's accuracy that each adds.

    Chance reaches the share of the positive class, not one half: what a rare class is judged by.
    """
    return float(average_precision_score(labels, probability))


METRICS: dict[str, Metric] = {
    "auc": auc,
    "average_precision": average_precision,
    "accuracy": accuracy,
    "f1": f1,
    "brier": brier_score_loss,
}


@dataclass(frozen=True)
class Estimate:
    """A figure with its 95 % interval from the cluster bootstrap; the interval is NaN where groups are too few."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


def bootstrap(
    metric: Metric, labels: np.ndarray, probability: np.ndarray, groups: np.ndarray, repeats: int = 1000, seed: int = 0
) -> Estimate:
    """A metric with a percentile interval from resampling whole groups (parcels, blocks) with replacement.

    Args:
        metric: Of (labels, probability).
        labels: bool [pixel].
        probability: float [pixel], 0…1.
        groups: int [pixel], the cluster of each pixel.
        repeats: Bootstrap samples; those that lack one of the classes are left out.
        seed: Of the resampling.
    """
    value = float(metric(labels, probability))
    members = [np.flatnonzero(groups == group) for group in np.unique(groups)]
    random = np.random.default_rng(seed)
    values = []
    for _ in range(repeats):
        chosen = np.concatenate([members[i] for i in random.integers(len(members), size=len(members))])
        if 0 < labels[chosen].sum() < len(chosen):
            values.append(metric(labels[chosen], probability[chosen]))
    if len(values) < repeats // 2:
        return Estimate(value, float("nan"), float("nan"))
    low, high = np.quantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Estimate(value, float(low), float(high))


def evaluate(labels: np.ndarray, probability: np.ndarray, groups: np.ndarray) -> dict[str, Estimate]:
    """Every metric of ``METRICS`` with its interval; see ``bootstrap`` for the arguments."""
    return {name: bootstrap(metric, labels, probability, groups) for name, metric in METRICS.items()}
