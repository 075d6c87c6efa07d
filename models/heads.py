"""Heads: the small network of a task on an encoder's features."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from stook.models.errors import InputError


class Head(nn.Module):
    """Standardise the features, apply linear layers with ReLU between them, give one logit.

    Args:
        sizes: Width of the features, of the hidden layers if any, and 1.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, sizes: Sequence[int]):
        super().__init__()
        self.sizes = tuple(sizes)
        self.register_buffer("mean", torch.zeros(sizes[0]))
        self.register_buffer("scale", torch.ones(sizes[0]))
        self.layers = nn.Sequential(*(nn.Linear(a, b) for a, b in zip(sizes[:-1], sizes[1:], strict=True)))

    def forward(self, features: Tensor) -> Tensor:
        """Logits [pixel] of features [pixel, width]."""
        x = (features - self.mean) / self.scale
        *hidden, last = self.layers
        for layer in hidden:
            x = layer(x).relu()
        return last(x).squeeze(-1)

    @classmethod
    def of_arrays(
        cls, mean: np.ndarray, scale: np.ndarray, weights: Sequence[np.ndarray], biases: Sequence[np.ndarray]
    ) -> "Head":
        """The head with given standardisation and layers; ``weights`` are [in, out] as scikit-learn keeps them."""
        head = cls([len(mean), *(len(bias) for bias in biases)])
        head.mean.copy_(torch.as_tensor(mean))
        head.scale.copy_(torch.as_tensor(scale))
        with torch.no_grad():
            for layer, weight, bias in zip(head.layers, weights, biases, strict=True):
                layer.load_state_dict({"weight": torch.as_tensor(weight.T), "bias": torch.as_tensor(bias)})
        return head.eval()


@dataclass(frozen=True)
class Calibration:
    """Platt scaling: probability = sigmoid(slope · logit + intercept), fitted on held-out blocks.

    With the default values the probability is the plain sigmoid of the logit, which is *not* a calibration.
    """

    slope: float = 1.0
    intercept: float = 0.0

    @classmethod
    def fit(cls, logits: np.ndarray, labels: np.ndarray) -> "Calibration":
        """Platt scaling (1999) that brings logits of ground that was not fitted, float [n], to its labels, bool [n].

        Raises:
            InputError: If they rank the classes the wrong way round, or one class is lacking.
        """
        if len(np.unique(labels)) < 2:
            raise InputError(
                "training: the blocks held out to calibrate hold one class only; more labels or other blocks are needed"
            )
        from sklearn.linear_model import LogisticRegression  # half as slow to import as torch, and no map needs it

        fitted = LogisticRegression(C=1e6).fit(logits[:, None], labels)
        slope = float(fitted.coef_[0, 0])
        if slope <= 0:
            raise InputError("training: on held-out blocks the head ranks the classes the wrong way round")
        return cls(slope, float(fitted.intercept_[0]))

    def probability(self, logits: Tensor) -> Tensor:
        """Probabilities of logits, any shape."""
        return torch.sigmoid(self.slope * logits + self.intercept)
