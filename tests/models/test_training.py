"""Heads separate what can be separated, and are judged on blocks they have not seen."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from models.errors import InputError
from models.metrics import accuracy, auc, bootstrap
from models.training import Samples, choose_strength, fit_calibration, fit_head, logits


def samples(blocks: int = 6, seed: int = 0, informative: bool = True) -> Samples:
    random = np.random.default_rng(seed)
    labels = random.random(600) < 0.4
    features = random.normal(size=(600, 5)).astype(np.float32)
    features[:, 0] += 2 * labels if informative else 0
    return Samples(features, labels, np.repeat(np.arange(blocks), 600 // blocks))


def test_the_linear_head_is_standardised_logistic_regression() -> None:
    data = samples()
    scaled = StandardScaler().fit_transform(data.features)
    expected = LogisticRegression(C=0.1).fit(scaled, data.labels).decision_function(scaled)
    assert np.allclose(logits(fit_head(data, "linear", 0.1), data.features), expected, atol=1e-3)


@pytest.mark.parametrize("kind", ["linear", "mlp"])
def test_a_head_ranks_pixels_of_another_sample(kind: str) -> None:
    other = samples(seed=1)
    assert auc(other.labels, logits(fit_head(samples(), kind, 1.0), other.features)) > 0.85


def test_held_out_scores_of_noise_are_those_of_chance() -> None:
    noise = samples(informative=False)
    choice = choose_strength(noise, "linear", [0.1, 10.0])
    assert all(0.4 < score < 0.6 for score in choice.scores.values())
    assert np.isfinite(choice.held_out_logits).all()


def test_a_single_block_cannot_be_cross_validated() -> None:
    with pytest.raises(InputError, match="single block"):
        choose_strength(samples(blocks=1), "linear", [0.1, 1.0])


def test_calibrated_probabilities_add_up_to_the_class() -> None:
    data = samples()
    choice = choose_strength(data, "linear", [0.001])
    scaling = fit_calibration(choice, data.labels)
    probability = 1 / (1 + np.exp(-(scaling.slope * choice.held_out_logits + scaling.intercept)))
    assert probability.sum() == pytest.approx(data.labels.sum(), rel=0.01)


def test_the_bootstrap_interval_holds_the_value_and_widens_with_fewer_groups() -> None:
    data = samples()
    probability = 1 / (1 + np.exp(-logits(fit_head(data, "linear", 1.0), data.features)))
    many = bootstrap(auc, data.labels, probability, np.arange(600), repeats=300)
    few = bootstrap(auc, data.labels, probability, np.arange(600) // 150, repeats=300)
    assert many.low < many.value < many.high
    assert few.low <= few.value <= few.high
    assert bootstrap(accuracy, data.labels, probability, np.zeros(600), repeats=10).value > 0.7


def test_a_head_that_ranks_the_wrong_way_round_is_not_calibrated() -> None:
    data = samples()
    choice = choose_strength(data, "linear", [0.1])
    with pytest.raises(InputError, match="the wrong way round"):
        fit_calibration(choice, ~data.labels)
