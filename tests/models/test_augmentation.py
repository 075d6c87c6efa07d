"""Chips in other guises: eight orientations, another light."""

import numpy as np
import torch

from stook.models.augmentation import relit, turned
from stook.models.encoder import Chips


def chips(values: np.ndarray) -> Chips:
    return Chips(values, np.array([5]), np.array([2023]), np.zeros((len(values), 2)))


def test_chips_are_turned_in_all_eight_ways_and_keep_their_values() -> None:
    values = np.arange(64, dtype=np.float32).reshape(1, 1, 1, 8, 8).repeat(200, axis=0)
    found = turned(chips(values), torch.Generator().manual_seed(0)).values
    assert len(np.unique(found[:, 0, 0, 0, :2], axis=0)) == 8
    assert (np.sort(found.reshape(200, -1), axis=1) == np.arange(64)).all()
    assert (values[0, 0, 0, 0, :2] == [0, 1]).all()


def test_light_changes_a_chip_as_a_whole_modestly_and_reproducibly() -> None:
    values = np.random.default_rng(0).uniform(0.3, 0.5, (500, 1, 3, 8, 8)).astype(np.float32)
    found = relit(chips(values), 0.1, torch.Generator().manual_seed(0)).values
    assert found.dtype == np.float32 and found.min() >= 0 and found.max() <= 1
    brightness = found.mean(axis=(1, 2, 3, 4)) / values.mean(axis=(1, 2, 3, 4))
    contrast = found.std(axis=(1, 2, 3, 4)) / values.std(axis=(1, 2, 3, 4)) / brightness
    for factor in (brightness, contrast):
        assert abs(factor.mean() - 1) < 0.02 and 0.08 < factor.std() < 0.12
        assert factor.min() > 0.69 and factor.max() < 1.31
    # Within a chip, every value moves by the same line.
    assert np.corrcoef(values[0].ravel(), found[0].ravel())[0, 1] > 0.9999
    again = relit(chips(values), 0.1, torch.Generator().manual_seed(0)).values
    assert np.array_equal(found, again)


def test_what_is_missing_stays_missing() -> None:
    values = np.full((2, 1, 3, 4, 4), 0.5, np.float32)
    values[0, 0, 1, 2, 2] = np.nan
    found = relit(chips(values), 0.1, torch.Generator().manual_seed(0)).values
    assert np.array_equal(np.isnan(found), np.isnan(values))
