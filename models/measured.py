"""How good answers are on ground that was never trained on, as figures and as lines of a card."""

from dataclasses import dataclass

import numpy as np

from stook.models.metrics import Estimate, evaluate
from stook.models.quantiles import r2
from stook.models.reliability import Bin, calibration_error, reliability, table


@dataclass(frozen=True)
class Covered:
    """One symmetric pair of quantiles.

    Attributes:
        low: The lower quantile.
        high: The upper one.
        share: Of the cells that lie between them; ``high - low`` is promised.
        width: Mean width of the interval, 0…1.
    """

    low: float
    high: float
    share: float
    width: float


@dataclass(frozen=True)
class MeasuredQuantiles:
    """How good quantiles are.

    Attributes:
        cells: How many were looked at.
        r2: Of the median.
        pairs: What each symmetric pair covers, the outermost first.
        sum_ratio: Sum of the cells' means / sum of the true shares; NaN where nothing is covered.
        on_empty: Mean of the cells' means where nothing is covered, which is most of a country; NaN where there is no
            such cell.
    """

    cells: int
    r2: float
    pairs: tuple[Covered, ...]
    sum_ratio: float
    on_empty: float

    @classmethod
    def of(cls, shares: np.ndarray, target: np.ndarray, quantiles: tuple[float, ...]) -> "MeasuredQuantiles":
        """From quantiles and mean float [cell, quantile + 1] and true shares float [cell]."""
        predicted, pairs = shares[:, :-1], []
        for number in range(len(quantiles) // 2):
            low, high = predicted[:, number], predicted[:, -1 - number]
            share, width = np.mean((target >= low) & (target <= high)), np.mean(high - low)
            pairs.append(Covered(quantiles[number], quantiles[-1 - number], float(share), float(width)))
        total = float(target.sum())
        ratio = float(shares[:, -1].sum()) / total if total > 0 else float("nan")
        on_empty = float(shares[target == 0, -1].mean()) if (target == 0).any() else float("nan")
        return cls(len(target), r2(predicted[:, quantiles.index(0.5)], target), tuple(pairs), ratio, on_empty)

    def __str__(self) -> str:
        told = [
            f"{pair.share:.1%} within the interval that promises {pair.high - pair.low:.0%}, {pair.width:.3f} wide"
            for pair in self.pairs
        ]
        return f"R² {self.r2:.3f}, sum {self.sum_ratio:.3f} of the truth; of {self.cells} cells " + "; ".join(told)

    def lines(self) -> list[str]:
        """Markdown."""
        return [
            f"R² of the median {self.r2:.3f}, {self.cells} cells. The sum of the means is {self.sum_ratio:.3f} of the "
            f"true one; where nothing is covered the mean is {self.on_empty:.3%}.",
            "",
            "| quantiles | promised | achieved | mean width |",
            "|---|---|---|---|",
            *(
                f"| {pair.low:g} to {pair.high:g} | {pair.high - pair.low:.0%} | {pair.share:.1%} | {pair.width:.3f} |"
                for pair in self.pairs
            ),
        ]


@dataclass(frozen=True)
class MeasuredClass:
    """How good probabilities of a class are.

    Attributes:
        cells: How many were looked at.
        positive: How many of them are of the class.
        metrics: Those of ``stook.models.metrics``, with intervals from resampling whole blocks.
        bins: Reliability of the probabilities.
    """

    cells: int
    positive: int
    metrics: dict[str, Estimate]
    bins: tuple[Bin, ...]

    @classmethod
    def of(cls, probability: np.ndarray, labels: np.ndarray, blocks: np.ndarray) -> "MeasuredClass":
        """From probabilities float [cell], labels bool [cell], of both classes, and blocks int [cell]."""
        bins = tuple(reliability(labels, probability))
        return cls(len(labels), int(labels.sum()), evaluate(labels, probability, blocks), bins)

    def __str__(self) -> str:
        figures = ", ".join(f"{name.replace('_', ' ')} {estimate}" for name, estimate in self.metrics.items())
        return f"{figures}; {self.positive} of {self.cells} cells are of the class"

    def lines(self, unit: str = "cells", groups: str = "blocks") -> list[str]:
        """Markdown; what was looked at, and what was resampled, in words."""
        return [
            f"{self.cells} {unit}, {self.positive} of the class; 95 % intervals from resampling whole {groups}.",
            "",
            *(f"- {name.replace('_', ' ')}: {estimate}" for name, estimate in self.metrics.items()),
            "",
            f"Of {unit} with such a probability, this share is of the class (mean distance "
            f"{calibration_error(list(self.bins)):.3f}):",
            "",
            *table(list(self.bins)),
        ]


Measured = MeasuredQuantiles | MeasuredClass
