"""What an encoder and its head are trained for: the loss, the head, and what makes the answers honest afterwards."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from stook.models.choices import Balance
from stook.models.encoder import Encoder
from stook.models.errors import InputError
from stook.models.fine_tuning import LabelledChips, predict
from stook.models.heads import Calibration, Head
from stook.models.measured import Measured, MeasuredClass, MeasuredQuantiles
from stook.models.quantiles import Conformal, QuantileHead, quantile_loss
from stook.models.tasks import ClassTask, QuantileTask
from stook.models.training import HIDDEN_WIDTH, class_weights

SMALLEST_SCALE = 1e-6  # a feature that never varies is left as it is


class Objective(Protocol):
    """What is trained for; its fields, as text, are part of a training's identity."""

    def require(self, targets: np.ndarray, side: str) -> None:
        """Raise InputError if targets [chip] of a side of the split cannot serve it."""

    def new_head(self, encoder: Encoder, fit: LabelledChips, batch: int) -> nn.Module:
        """A head with random weights for an encoder's vectors."""

    def loss(self, predicted: Tensor, target: Tensor) -> Tensor:
        """What is made small, a scalar, of what the head says and targets [chip]."""

    def task(self, head: nn.Module, raw: Tensor, targets: np.ndarray) -> ClassTask | QuantileTask:
        """The trained head, calibrated by what it says of held-out chips and their targets [chip]."""

    def measured(self, shares: np.ndarray, labelled: LabelledChips) -> Measured:
        """How good the answers of a task, float [1 or quantile, chip], are on held-out chips."""


@dataclass(frozen=True)
class QuantileObjective:
    """Quantiles of a covered share, trained together by pinball loss, conformalised on held-out ground.

    Attributes:
        quantiles: Rising, symmetric about 0.5.
    """

    quantiles: tuple[float, ...]

    def require(self, targets: np.ndarray, side: str) -> None:
        """Any chips will do; raises InputError if there are none."""
        if not len(targets):
            raise InputError(f"training.labels: no cell is left to {side}; more places or other blocks are needed")

    def new_head(self, encoder: Encoder, fit: LabelledChips, batch: int) -> QuantileHead:
        """One node per quantile."""
        return QuantileHead(encoder.output.width, self.quantiles)

    def loss(self, predicted: Tensor, target: Tensor) -> Tensor:
        """Pinball loss of all quantiles together, and cross entropy of the mean."""
        return quantile_loss(predicted, target, self.quantiles)

    def task(self, head: nn.Module, raw: Tensor, targets: np.ndarray) -> QuantileTask:
        """Intervals widened, or narrowed, until they cover what they promise."""
        assert isinstance(head, QuantileHead)
        return QuantileTask(head.eval(), Conformal.fit(raw[:, :-1].numpy(), targets, self.quantiles))

    def measured(self, shares: np.ndarray, labelled: LabelledChips) -> MeasuredQuantiles:
        """R², what intervals cover, and how far the sum is off."""
        return MeasuredQuantiles.of(shares.T, labelled.targets, self.quantiles)


@dataclass(frozen=True)
class ClassObjective:
    """The probability of a class, by binary cross entropy; Platt scaling on held-out ground takes back any weighting.

    Attributes:
        weights: Of a chip that is not of the class, and of one that is; see ``stook.models.training.class_weights``.
        hidden: Whether the head has a hidden layer.
        pretrained: Whether the encoder's features mean something from the start, so that the head standardises them.
            Those of random weights change too much in the first epochs for that.
    """

    weights: tuple[float, float]
    hidden: bool
    pretrained: bool

    @classmethod
    def of(cls, targets: np.ndarray, balance: Balance, hidden: bool, pretrained: bool) -> "ClassObjective":
        """For training targets float [chip], 0 or 1; raises InputError if there are none of a class."""
        labels = targets > 0.5
        cls((1.0, 1.0), hidden, pretrained).require(targets, "train")
        weight = class_weights(labels, balance)
        return cls((float(weight[~labels][0]), float(weight[labels][0])), hidden, pretrained)

    def require(self, targets: np.ndarray, side: str) -> None:
        """Both classes must occur; raises InputError if not."""
        positive = int((targets > 0.5).sum())
        if positive in (0, len(targets)):
            raise InputError(
                f"training.labels: of {len(targets)} cells to {side}, {positive} are of the class; allowed are some of "
                "either class on every side; more places or other blocks are needed"
            )

    def new_head(self, encoder: Encoder, fit: LabelledChips, batch: int) -> Head:
        """Linear, or one hidden layer; standardising by the features of what is fitted where they mean something."""
        width = encoder.output.width
        head = Head([width, HIDDEN_WIDTH, 1] if self.hidden else [width, 1])
        if self.pretrained:
            features = predict(encoder, nn.Identity(), fit, batch)
            head.mean.copy_(features.mean(dim=0))
            scale = features.std(dim=0)
            head.scale.copy_(torch.where(scale > SMALLEST_SCALE, scale, torch.ones_like(scale)))
        return head

    def loss(self, predicted: Tensor, target: Tensor) -> Tensor:
        """Mean binary cross entropy of logits [chip], each chip with the weight of its class."""
        weight = torch.where(target > 0.5, self.weights[1], self.weights[0])
        return functional.binary_cross_entropy_with_logits(predicted, target, weight)

    def task(self, head: nn.Module, raw: Tensor, targets: np.ndarray) -> ClassTask:
        """With Platt scaling."""
        assert isinstance(head, Head)
        return ClassTask(head.eval(), Calibration.fit(raw.numpy(), targets > 0.5))

    def measured(self, shares: np.ndarray, labelled: LabelledChips) -> MeasuredClass:
        """Accuracy, ranking and reliability, with intervals from resampling blocks."""
        return MeasuredClass.of(shares[0], labelled.targets > 0.5, labelled.blocks)
