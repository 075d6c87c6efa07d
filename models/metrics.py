"""How good a binary map is at labelled pixels, with intervals that respect that neighbours are not independent."""

from collections.abc import Callable, Iterator
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
    _, group, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    members = np.split(np.argsort(group, kind="stable"), np.cumsum(sizes)[:-1])
    values = []
    for drawn in _draws(len(members), repeats, seed):
        chosen = np.concatenate([members[i] for i in drawn])
        if 0 < labels[chosen].sum() < len(chosen):
            values.append(metric(labels[chosen], probability[chosen]))
    return _estimate(float(metric(labels, probability)), values, repeats)


def evaluate(
    labels: np.ndarray, probability: np.ndarray, groups: np.ndarray, repeats: int = 1000, seed: int = 0
) -> dict[str, Estimate]:
    """Every metric of ``METRICS`` with the interval of ``bootstrap``, whose arguments these are; drawn once for all."""
    names, group = np.unique(groups, return_inverse=True)
    ranked = _Ranked.of(labels, probability, group)
    resampled = []
    for drawn in _draws(len(names), repeats, seed):
        found = ranked.metrics(np.bincount(drawn, minlength=len(names)))
        if found is not None:
            resampled.append(found)
    return {
        name: _estimate(float(metric(labels, probability)), [found[name] for found in resampled], repeats)
        for name, metric in METRICS.items()
    }


@dataclass(frozen=True)
class _Ranked:
    """Pixels from the highest probability to the lowest, to be counted as often as their group was drawn.

    Attributes:
        group: int [pixel], 0…number of groups - 1.
        labels: bool [pixel].
        said: bool [pixel], whether the probability is one half or more.
        squared: float [pixel], squared error of the probability.
        last: int [threshold], the last pixel of each run of equal probabilities.
    """

    group: np.ndarray
    labels: np.ndarray
    said: np.ndarray
    squared: np.ndarray
    last: np.ndarray

    @classmethod
    def of(cls, labels: np.ndarray, probability: np.ndarray, group: np.ndarray) -> "_Ranked":
        order = np.argsort(-probability, kind="stable")
        labels, probability = labels[order].astype(bool), probability[order]
        last = np.append(np.flatnonzero(np.diff(probability)), len(labels) - 1)
        squared = (labels - probability.astype(np.float64)) ** 2
        return cls(group[order], labels, probability >= 0.5, squared, last)

    def metrics(self, times: np.ndarray) -> dict[str, float] | None:
        """Those of ``METRICS`` where each group counts int [group] times; None without pixels of both classes."""
        weight = times[self.group]
        pixels, hits = (np.cumsum(counted)[self.last] for counted in (weight, weight * self.labels))
        count, positive = int(pixels[-1]), int(hits[-1])
        if not 0 < positive < count:
            return None
        # Runs of which nothing was drawn add no hits and no false alarms, so they change neither curve.
        new_hits, new_alarms = np.diff(hits, prepend=0), np.diff(pixels - hits, prepend=0)
        users_accuracy = hits / np.maximum(pixels, 1)
        said, right = weight @ self.said, weight @ (self.said == self.labels)
        return {
            "auc": float(new_alarms @ (2 * hits - new_hits)) / (2 * positive * (count - positive)),
            "average_precision": float(new_hits @ users_accuracy) / positive,
            "accuracy": float(right) / count,
            "f1": 2 * float(weight @ (self.said & self.labels)) / float(said + positive),
            "brier": float(weight @ self.squared) / count,
        }


def _draws(groups: int, repeats: int, seed: int) -> Iterator[np.ndarray]:
    """The groups of each bootstrap sample, int [group], drawn with replacement."""
    random = np.random.default_rng(seed)
    for _ in range(repeats):
        yield random.integers(groups, size=groups)


def _estimate(value: float, resampled: list[float], repeats: int) -> Estimate:
    """A value with the percentile interval of what resampling gave."""
    if len(resampled) < repeats // 2:
        return Estimate(value, float("nan"), float("nan"))
    low, high = np.quantile(resampled, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Estimate(value, float(low), float(high))
