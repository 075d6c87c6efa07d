"""What a bundle answers: the probability of a class, or the quantiles of a covered fraction."""

from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor

from stook.models.errors import InputError
from stook.models.heads import Calibration, Head
from stook.models.quantiles import Conformal, QuantileHead


@dataclass(frozen=True)
class ClassTask:
    """The probability of a class.

    Attributes:
        head: In evaluation mode.
        calibration: None where the probabilities are not calibrated.
    """

    head: Head
    calibration: Calibration | None = None
    kind: ClassVar[str] = "class"

    @torch.inference_mode()
    def shares(self, features: Tensor) -> Tensor:
        """Probability float32 [1, cell] from feature vectors [cell, width]."""
        return (self.calibration or Calibration()).probability(self.head(features)).float()[None]

    def described(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "kind": self.kind,
            "head": list(self.head.sizes),
            "calibration": asdict(self.calibration) if self.calibration else None,
        }


@dataclass(frozen=True)
class QuantileTask:
    """Quantiles of a covered fraction.

    Attributes:
        head: In evaluation mode.
        conformal: What makes its intervals cover what they promise.
        measured: What was measured on held-out places: share covered by the outermost interval, R² and the like.
    """

    head: QuantileHead
    conformal: Conformal
    measured: dict[str, float] = field(default_factory=dict)
    kind: ClassVar[str] = "quantiles"

    @torch.inference_mode()
    def shares(self, features: Tensor) -> Tensor:
        """From feature vectors [cell, width]: float32 [quantile + 1, cell], 0…1, rising quantiles and last the mean."""
        predicted = self.head(features)
        return torch.cat([self.conformal.apply(predicted[:, :-1]), predicted[:, -1:]], dim=1).float().T

    def described(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "kind": self.kind,
            "width": self.head.width,
            "quantiles": list(self.head.quantiles),
            "shifts": list(self.conformal.shifts),
            "measured": self.measured,
        }


def build_task(description: dict[str, Any]) -> ClassTask | QuantileTask:
    """The task that ``described`` described, with random weights, in evaluation mode.

    Raises:
        InputError: If there is no such task.
    """
    if description["kind"] == ClassTask.kind:
        calibration = Calibration(**description["calibration"]) if description["calibration"] else None
        return ClassTask(Head(description["head"]).eval(), calibration)
    if description["kind"] == QuantileTask.kind:
        quantiles = tuple(description["quantiles"])
        head = QuantileHead(description["width"], quantiles).eval()
        return QuantileTask(head, Conformal(quantiles, tuple(description["shifts"])), description["measured"])
    raise InputError(f"task {description['kind']!r} is unknown; allowed are {ClassTask.kind}, {QuantileTask.kind}")
