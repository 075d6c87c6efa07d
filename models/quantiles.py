"""Multi-node quantile regression: one output node per quantile, trained together, calibrated on held-out places."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from stook.models.choices import DEFAULT_QUANTILES, require_quantiles

HIDDEN_WIDTH = 128
# Of the mean's loss beside the quantiles'. The mean has layers of its own, whose steps do not depend on it (Adam), but
# the epoch that is kept does: it has to be one in which the quantiles are good, whose loss is a tenth as large.
MEAN_WEIGHT = 0.01


class QuantileHead(nn.Module):
    """Quantiles of a fraction, and its expectation, from an encoder's features; quantiles cannot cross.

    The lowest node is free, each further one adds an increment that cannot be negative (softplus).

    The expectation has layers of its own: what one cell in thirty has is beyond every quantile, and would be missing in
    a sum over cells. It is a logit, so that it stays above 0 by itself; cutting noise off at 0 would add up to hectares
    in empty country. It learns from the encoder's features and does not teach the encoder: the quantiles alone do.

    Args:
        width: Of the features.
        quantiles: Rising, symmetric about 0.5.
        dropout: Share of features and hidden units that training hides.
    """

    def __init__(self, width: int, quantiles: Sequence[float] = DEFAULT_QUANTILES, dropout: float = 0.2):
        super().__init__()
        require_quantiles(quantiles)
        self.width = width
        self.quantiles = tuple(quantiles)
        self.layers = nn.Sequential(
            nn.Dropout(dropout),
            nn.Linear(width, HIDDEN_WIDTH),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(HIDDEN_WIDTH, len(quantiles)),
        )
        self.mean = nn.Sequential(nn.Linear(width, HIDDEN_WIDTH), nn.ReLU(), nn.Linear(HIDDEN_WIDTH, 1))

    def forward(self, features: Tensor) -> Tensor:
        """Of features [cell, width]: [cell, quantile + 1], rising quantiles, not yet within 0…1, and last the mean."""
        nodes = self.layers(features)
        steps = torch.cat([nodes[:, :1], functional.softplus(nodes[:, 1:])], dim=1)
        return torch.cat([torch.cumsum(steps, dim=1), torch.sigmoid(self.mean(features.detach()))], dim=1)


def pinball(predicted: Tensor, target: Tensor, quantiles: Sequence[float]) -> Tensor:
    """Mean pinball loss over all nodes together (Koenker & Bassett 1978).

    Args:
        predicted: [cell, quantile].
        target: [cell].
        quantiles: Of the nodes.
    """
    level = predicted.new_tensor(quantiles)
    short = target[:, None] - predicted
    return torch.maximum(level * short, (level - 1) * short).mean()


def quantile_loss(predicted: Tensor, target: Tensor, quantiles: Sequence[float]) -> Tensor:
    """What a ``QuantileHead`` is trained by: pinball loss of the quantiles, cross entropy of the mean.

    Binary cross entropy with a share as target is least at its expectation, and unlike the squared error it hardly
    forgives a small share where there is nothing.

    Args:
        predicted: [cell, quantile + 1], as the head gives it.
        target: [cell].
        quantiles: Of the nodes.
    """
    mean = functional.binary_cross_entropy(predicted[:, -1], target)
    return pinball(predicted[:, :-1], target, quantiles) + MEAN_WEIGHT * mean


@dataclass(frozen=True)
class Conformal:
    """How far quantiles are moved so that intervals cover what they promise (Romano et al. 2019, 1905.03222).

    Attributes:
        quantiles: Rising, symmetric about 0.5.
        shifts: Of each quantile, added; 0 for the median.
    """

    quantiles: tuple[float, ...]
    shifts: tuple[float, ...]

    @classmethod
    def none(cls, quantiles: Sequence[float]) -> "Conformal":
        """No shift at all."""
        return cls(tuple(quantiles), (0.0,) * len(quantiles))

    @classmethod
    def fit(cls, predicted: np.ndarray, target: np.ndarray, quantiles: Sequence[float]) -> "Conformal":
        """The shifts that make each symmetric pair cover its share of cells that were never trained on.

        Args:
            predicted: float [cell, quantile], of held-out places.
            target: float [cell].
            quantiles: Of the columns.
        """
        shifts = np.zeros(len(quantiles))
        for low in range(len(quantiles) // 2):
            high = len(quantiles) - 1 - low
            missed = np.maximum(predicted[:, low] - target, target - predicted[:, high])
            share = quantiles[high] - quantiles[low]
            rank = min(1.0, np.ceil((len(missed) + 1) * share) / len(missed))
            by = float(np.quantile(missed, rank, method="higher"))
            shifts[low], shifts[high] = -by, by
        return cls(tuple(quantiles), tuple(shifts.tolist()))

    def apply(self, predicted: Tensor) -> Tensor:
        """Shifted quantiles within 0…1, still rising: [cell, quantile] -> [cell, quantile]."""
        moved = predicted + predicted.new_tensor(self.shifts)
        middle = len(self.quantiles) // 2
        # An inner pair that was moved more than an outer one would cross it: the outer one gives way.
        below = torch.cummin(moved[:, : middle + 1].flip(1), dim=1).values.flip(1)
        above = torch.cummax(moved[:, middle:], dim=1).values
        return torch.cat([below, above[:, 1:]], dim=1).clamp(0, 1)


def coverage(predicted: np.ndarray, target: np.ndarray) -> float:
    """Share of cells whose target lies within the outermost quantiles: [cell, quantile], [cell]."""
    return float(np.mean((target >= predicted[:, 0]) & (target <= predicted[:, -1])))


def r2(predicted: np.ndarray, target: np.ndarray) -> float:
    """Coefficient of determination: 1 - residual sum of squares / total sum of squares."""
    return float(1 - np.sum((target - predicted) ** 2) / np.sum((target - target.mean()) ** 2))
