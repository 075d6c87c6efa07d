"""Train a head on the features of a frozen encoder; choose its regularisation on held-out blocks."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold
from sklearn.neural_network import MLPClassifier
from sklearn.preprocessing import StandardScaler

from stook.models.choices import Balance
from stook.models.errors import InputError
from stook.models.heads import Calibration, Head
from stook.models.metrics import auc

HIDDEN_WIDTH = 64
BATCH_PIXELS = 200
MOST_FOLDS = 5

Fold = tuple[np.ndarray, np.ndarray]
"""Indices of the pixels that are fitted and of those that are checked."""

"""What is done about a rare class: nothing, or both classes weigh the same however many pixels each has."""


@dataclass(frozen=True)
class Samples:
    """Labelled pixels of one or several places.

    Attributes:
        features: float32 [pixel, width].
        labels: bool [pixel], True for the product's class.
        blocks: int [pixel], the spatial block; never split between fitting and checking.
    """

    features: np.ndarray
    labels: np.ndarray
    blocks: np.ndarray


@dataclass(frozen=True)
class Choice:
    """What cross-validation found.

    Attributes:
        strength: The chosen C, inverse strength of the L2 penalty.
        scores: Mean held-out AUC of every candidate.
        held_out_logits: float [pixel], logits of the chosen candidate for pixels it was not fitted on; NaN for none.
    """

    strength: float
    scores: dict[float, float]
    held_out_logits: np.ndarray


def joined(parts: Sequence[Samples]) -> Samples:
    """Samples of several places as one; the same ground in two of them stays in one block."""
    return Samples(
        np.concatenate([part.features for part in parts]),
        np.concatenate([part.labels for part in parts]),
        np.concatenate([part.blocks for part in parts]),
    )


def blocked_folds(blocks: np.ndarray, most: int = MOST_FOLDS) -> list[Fold]:
    """Folds of cross-validation that never split a block: each block is checked in one fold and fitted in the others.

    Args:
        blocks: int [pixel], the spatial block of each.
        most: Folds, where there are as many blocks.

    Returns:
        Folds of about equal size; the same for the same blocks.

    Raises:
        InputError: If there are fewer than two blocks.
    """
    folds = min(most, len(np.unique(blocks)))
    if folds < 2:
        raise InputError("training.block_m: the labels lie in a single block; choose smaller blocks or more places")
    return list(GroupKFold(folds).split(blocks, groups=blocks))


def class_weights(labels: np.ndarray, balance: Balance) -> np.ndarray:
    """The weight of each pixel, float64 [pixel], 1 on average, so that a penalty means the same either way.

    Args:
        labels: bool [pixel]; both classes must occur.
        balance: ``none``, every pixel weighs 1; ``weights``, each class weighs half.

    Raises:
        InputError: If there is no such balance.
    """
    if balance == "none":
        return np.ones(len(labels))
    if balance == "weights":
        return np.where(labels, 0.5 / labels.mean(), 0.5 / (1 - labels.mean()))
    raise InputError(f"training.balance: {balance!r}; allowed are none, weights")


def fit_head(samples: Samples, kind: str, strength: float, seed: int = 0, balance: Balance = "none") -> Head:
    """Fit one head.

    Args:
        samples: Labelled features; both classes must occur.
        kind: ``linear`` (logistic regression) or ``mlp`` (one hidden layer of 64).
        strength: C, the inverse strength of the L2 penalty.
        seed: Of the start values of an ``mlp``.
        balance: With ``weights`` a rare class counts as much as the other. Probabilities are then those of ground that
            holds as much of one as of the other, too high for the rarer class, until they are calibrated.
    """
    scaler = StandardScaler().fit(samples.features)
    features = scaler.transform(samples.features).astype(np.float64)
    weight = class_weights(samples.labels, balance)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        if kind == "linear":
            linear = LogisticRegression(C=strength, max_iter=2000).fit(features, samples.labels, weight)
            weights, biases = [linear.coef_.T], [linear.intercept_]
        else:
            # scikit-learn divides alpha by the pixels of a batch; this makes C mean what it means above.
            batch = min(BATCH_PIXELS, len(features))
            alpha = batch / (len(features) * strength)
            mlp = MLPClassifier((HIDDEN_WIDTH,), alpha=alpha, batch_size=batch, max_iter=300, random_state=seed)
            mlp.fit(features, samples.labels, weight)
            weights, biases = mlp.coefs_, mlp.intercepts_
    return Head.of_arrays(scaler.mean_, scaler.scale_, weights, biases)


@torch.inference_mode()
def logits(head: Head, features: np.ndarray) -> np.ndarray:
    """Logits float32 [pixel] of features [pixel, width]."""
    return head(torch.as_tensor(features, dtype=torch.float32)).numpy()


def choose_strength(
    samples: Samples, kind: str, candidates: Sequence[float], seed: int = 0, balance: Balance = "none"
) -> Choice:
    """Choose C by cross-validation over whole blocks (at most five folds); arguments as of ``fit_head``.

    Of the candidates whose mean AUC lies within one standard error of the best, the strongest penalty is taken
    (Breiman et al. 1984, the one-standard-error rule): few blocks cannot tell them apart, another place may.

    Raises:
        InputError: If there are fewer than two blocks, or no fold holds both classes on both sides.
    """
    splits = [
        (fit, check)
        for fit, check in blocked_folds(samples.blocks)
        if len(np.unique(samples.labels[fit])) == len(np.unique(samples.labels[check])) == 2
    ]
    if not splits:
        raise InputError("training.block_m: no block holds both classes; choose larger blocks or more places")
    held_out = {strength: np.full(len(samples.labels), np.nan) for strength in candidates}
    scores, errors = {}, {}
    for strength, scored in held_out.items():
        for fit, check in splits:
            part = Samples(samples.features[fit], samples.labels[fit], samples.blocks[fit])
            scored[check] = logits(fit_head(part, kind, strength, seed, balance), samples.features[check])
        by_fold = [auc(samples.labels[check], scored[check]) for _, check in splits]
        scores[strength] = float(np.mean(by_fold))
        errors[strength] = float(np.std(by_fold) / np.sqrt(len(by_fold)))
    best = max(scores, key=lambda strength: scores[strength])
    chosen = min(strength for strength in scores if scores[strength] >= scores[best] - errors[best])
    return Choice(chosen, scores, held_out[chosen])


def fit_calibration(choice: Choice, labels: np.ndarray) -> Calibration:
    """Platt scaling of the held-out logits that ``choose_strength`` returned, every pixel weighing the same.

    It also takes back what balanced classes did to the probabilities.

    Raises:
        InputError: If they rank the classes the wrong way round.
    """
    known = np.isfinite(choice.held_out_logits)
    return Calibration.fit(choice.held_out_logits[known], labels[known])
