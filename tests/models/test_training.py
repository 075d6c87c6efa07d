"""Heads separate what can be separated, and are judged on blocks they have not seen."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier
from sklearn.preprocessing import StandardScaler

from stook.models.errors import InputError
from stook.models.metrics import METRICS, accuracy, auc, average_precision, bootstrap, evaluate
from stook.models.training import (
    Samples,
    blocked_folds,
    choose_strength,
    class_weights,
    fit_calibration,
    fit_head,
    logits,
)


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


@pytest.mark.slow
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


def test_folds_never_split_a_block_and_check_each_once() -> None:
    blocks = np.random.default_rng(2).integers(40, size=500) * 1_000_003
    folds = blocked_folds(blocks, most=6)
    assert len(folds) == 6
    assert sorted(np.concatenate([check for _, check in folds])) == list(range(500))
    for fit, check in folds:
        assert not np.intersect1d(blocks[fit], blocks[check]).size
        assert len(fit) + len(check) == 500
    assert len(blocked_folds(np.array([7, 7, 8]))) == 2


def rare(seed: int = 0) -> Samples:
    """One pixel in eight is of the class."""
    random = np.random.default_rng(seed)
    labels = random.random(1200) < 0.125
    features = random.normal(size=(1200, 3)).astype(np.float32)
    features[:, 0] += 1.5 * labels
    return Samples(features, labels, np.repeat(np.arange(12), 100))


@pytest.mark.parametrize("kind", ["linear", "mlp"])
def test_balanced_classes_weigh_the_same_and_calibration_takes_it_back(kind: str) -> None:
    data = rare()
    plain, balanced = (fit_head(data, kind, 0.1, balance=balance) for balance in ("none", "weights"))
    said = [1 / (1 + np.exp(-logits(head, data.features))) for head in (plain, balanced)]
    assert said[0].mean() == pytest.approx(data.labels.mean(), abs=0.03)
    each_class = [said[1][data.labels].mean(), said[1][~data.labels].mean()]
    assert np.mean(each_class) == pytest.approx(0.5, abs=0.05)
    choice = choose_strength(data, kind, [0.1], balance="weights")
    scaling = fit_calibration(choice, data.labels)
    probability = 1 / (1 + np.exp(-(scaling.slope * choice.held_out_logits + scaling.intercept)))
    assert probability.mean() == pytest.approx(data.labels.mean(), rel=0.02)


def test_weights_are_those_of_scikit_learn() -> None:
    data = rare()
    scaled = StandardScaler().fit_transform(data.features)
    expected = LogisticRegression(C=0.1, class_weight="balanced").fit(scaled, data.labels).decision_function(scaled)
    assert np.allclose(logits(fit_head(data, "linear", 0.1, balance="weights"), data.features), expected, atol=1e-3)
    assert class_weights(data.labels, "weights").mean() == pytest.approx(1)
    with pytest.raises(InputError, match="training.balance: 'smote'; allowed are none, weights"):
        class_weights(data.labels, "smote")  # type: ignore[arg-type]


def test_an_unweighted_mlp_is_the_plain_one() -> None:
    data = rare()
    scaled = StandardScaler().fit_transform(data.features).astype(np.float64)
    plain = MLPClassifier((64,), alpha=200 / 1200, batch_size=200, max_iter=300, random_state=0).fit(
        scaled, data.labels
    )
    probability = 1 / (1 + np.exp(-logits(fit_head(data, "mlp", 1.0), data.features)))
    assert np.allclose(probability, plain.predict_proba(scaled)[:, 1], atol=1e-4)


def test_average_precision_of_chance_is_the_share_of_the_class() -> None:
    data = rare()
    chance = np.random.default_rng(1).random(len(data.labels))
    assert average_precision(data.labels, chance) == pytest.approx(data.labels.mean(), abs=0.03)
    assert average_precision(data.labels, data.labels.astype(float)) == 1
    found = evaluate(data.labels, chance, data.blocks)
    assert found.keys() == METRICS.keys() == {"auc", "average_precision", "accuracy", "f1", "brier"}
    assert found["average_precision"].low < found["average_precision"].value < found["average_precision"].high


@pytest.mark.parametrize(("digits", "groups"), [(9, 40), (1, 40), (0, 300), (1, 4)])
def test_intervals_of_metrics_drawn_together_are_those_of_each_by_itself(digits: int, groups: int) -> None:
    random = np.random.default_rng(3)
    labels = random.random(300) < 0.2
    probability = np.round(np.clip(0.5 * random.random(300) + 0.4 * labels, 0, 1), digits)  # few digits: many ties
    clusters = random.integers(groups, size=300) * 1_000_003
    together = evaluate(labels, probability, clusters, repeats=60, seed=5)
    for name, metric in METRICS.items():
        alone = bootstrap(metric, labels, probability, clusters, repeats=60, seed=5)
        found = together[name]
        assert found.value == alone.value
        assert (found.low, found.high) == pytest.approx((alone.low, alone.high), abs=1e-14), name


def test_there_is_no_interval_where_most_resamples_lack_a_class() -> None:
    labels, probability, clusters = np.array([True, False]), np.array([0.9, 0.2]), np.array([0, 1])
    lacking = 0
    for seed in range(10):  # half of all resamples lack one
        alone = bootstrap(auc, labels, probability, clusters, repeats=20, seed=seed)
        together = evaluate(labels, probability, clusters, repeats=20, seed=seed)
        assert {np.isnan(estimate.low) for estimate in together.values()} == {np.isnan(alone.low)}
        lacking += np.isnan(alone.low)
    assert 0 < lacking < 10
