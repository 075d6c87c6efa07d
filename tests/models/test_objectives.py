"""What networks are trained for, and how good their answers are said to be."""

import numpy as np
import pytest
import torch

from stook.models.errors import InputError
from stook.models.heads import Calibration
from stook.models.measured import MeasuredClass, MeasuredQuantiles
from stook.models.objectives import ClassObjective

RANDOM = np.random.default_rng(0)
RARE = (RANDOM.random(400) < 0.1).astype(np.float32)


def test_weights_make_both_classes_count_the_same() -> None:
    objective = ClassObjective.of(RARE, "weights", hidden=False, pretrained=False)
    target = torch.as_tensor(RARE)
    at_one_half = objective.loss(torch.zeros(len(RARE)), target)
    assert float(at_one_half) == pytest.approx(np.log(2), rel=1e-5)
    unbalanced = ClassObjective.of(RARE, "none", hidden=False, pretrained=False)
    level = torch.zeros((), requires_grad=True)
    for one, pull in ((objective, 0.0), (unbalanced, float(0.5 - RARE.mean()))):
        [gradient] = torch.autograd.grad(one.loss(level.expand(len(RARE)), target), level)
        assert float(gradient) == pytest.approx(pull, abs=1e-5)


def test_calibration_takes_the_weights_back() -> None:
    logits = RANDOM.normal(0, 2, 20_000)
    labels = RANDOM.random(20_000) < 1 / (1 + np.exp(-(logits - 2)))  # as a head that was trained with weights says it
    found = Calibration.fit(logits, labels)
    assert (found.slope, found.intercept) == pytest.approx((1, -2), abs=0.1)


@pytest.mark.parametrize(
    ("labels", "reason"), [(np.zeros(4, bool), "one class only"), (np.array([1, 1, 0, 0], bool), "wrong way round")]
)
def test_logits_that_cannot_be_calibrated_are_refused(labels: np.ndarray, reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        Calibration.fit(np.arange(4.0), labels)


def test_one_class_alone_cannot_be_learnt() -> None:
    with pytest.raises(InputError, match="of 5 cells to train, 0 are of the class"):
        ClassObjective.of(np.zeros(5, np.float32), "weights", hidden=False, pretrained=False)


def test_what_each_pair_of_quantiles_covers_is_told() -> None:
    target = np.linspace(0, 1, 101)
    shares = np.tile([0.0, 0.25, 0.5, 0.75, 0.9, 0.55], (101, 1))  # the last is the mean
    found = MeasuredQuantiles.of(shares, target, (0.05, 0.25, 0.5, 0.75, 0.95))
    assert [pair.share for pair in found.pairs] == pytest.approx([0.9, 0.5], abs=0.02)
    assert found.pairs[0].width == pytest.approx(0.9)
    assert found.sum_ratio == pytest.approx(1.1)
    assert "| 0.05 to 0.95 | 90% |" in "\n".join(found.lines())


def test_a_class_is_measured_with_intervals_and_reliability() -> None:
    probability = RANDOM.random(600)
    labels = RANDOM.random(600) < probability
    found = MeasuredClass.of(probability, labels, np.arange(600) // 20)
    assert {"auc", "average_precision", "accuracy", "brier"} <= found.metrics.keys()
    accuracy = found.metrics["accuracy"]
    assert accuracy.low < accuracy.value < accuracy.high
    assert "| probability |" in "\n".join(found.lines())
    assert str(found).endswith(f"{labels.sum()} of 600 cells are of the class")
