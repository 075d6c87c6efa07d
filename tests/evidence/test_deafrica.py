"""Our evaluator must see what a shuffled split hides."""

import numpy as np
import pytest

from stook.models.metrics import auc
from stook.models.training import Samples, choose_strength
from tests.evidence.deafrica import BLOCK_M, blocks_of, compare, read_samples, shuffled_folds


def clustered(clusters: int = 240, size: int = 5) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Fields that each look alike, and whose class has nothing to do with how they look: nothing can be learnt."""
    random = np.random.default_rng(3)
    middle, looks = random.uniform(0, 2e6, (clusters, 2)), random.normal(size=(clusters, 4))
    field = np.repeat(np.arange(clusters), size)
    features = looks[field] + random.normal(0, 0.05, (len(field), 4))
    return features, (np.arange(clusters) % 2 == 0)[field], middle[field] + random.normal(0, 200, (len(field), 2))


@pytest.mark.slow
def test_what_cannot_be_learnt_is_perfect_when_shuffled_and_chance_by_blocks() -> None:
    shuffled, blocked = compare(*clustered())
    assert shuffled.auc > 0.99
    assert 0.3 < blocked.auc < 0.65
    assert shuffled.shared_blocks > 0 == blocked.shared_blocks
    assert shuffled.typical_m < 500 < blocked.typical_m


@pytest.mark.slow
def test_the_penalty_is_chosen_by_the_same_blocks() -> None:
    features, labels, places = clustered()
    samples = Samples(features.astype(np.float32), labels, blocks_of(places, BLOCK_M))
    blocked = auc(labels, choose_strength(samples, "mlp", [10.0]).held_out_logits)
    every_sample_a_block = Samples(samples.features, labels, np.arange(len(labels)))
    assert 0.4 < blocked < 0.6
    assert choose_strength(every_sample_a_block, "mlp", [10.0]).scores[10.0] > blocked + 0.2


def test_blocks_are_squares_that_are_counted_from_the_origin() -> None:
    places = np.array([[0.0, 0.0], [99_999.0, 1.0], [100_000.0, 0.0], [-1.0, 0.0], [0.0, -1.0]])
    assert len(np.unique(blocks_of(places, BLOCK_M)[[0, 1]])) == 1
    assert len(np.unique(blocks_of(places, BLOCK_M)[[0, 2, 3, 4]])) == 4


def test_shuffled_folds_check_every_sample_once() -> None:
    assert sorted(np.concatenate([check for _, check in shuffled_folds(23)])) == list(range(23))


@pytest.mark.shared
@pytest.mark.slow
def test_neighbours_flatter_the_samples_of_east_africa() -> None:
    features, labels, places = read_samples()
    shuffled, blocked = compare(features, labels, places)
    assert blocked.auc < shuffled.auc - 0.1
    assert blocked.shared_blocks == 0 < shuffled.shared_blocks
