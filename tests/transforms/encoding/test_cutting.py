"""Chips of the mean of months: a month without data does not count, a pixel without any month makes a gap."""

import numpy as np
import pytest

from stook.models.resnet import ResNet, ResNetSize
from stook.transforms.encoding.chips import ChipLayout
from stook.transforms.encoding.cutting import Cutter, TileSeason
from stook.transforms.ground.grid import Grid, Tile
from stook.transforms.imagery.composite import Composite
from stook.transforms.imagery.season import Window

GRID, TILE = Grid(tile_px=16), Tile.parse("32637_3125_62500")
PERIODS = Window(11, -1, 3).periods(2023)
SPECIFICATION, OUTPUT = ResNet.interface(ResNetSize(18, ("nir", "vv"), chip_px=8, width=4, period="month-mean"))
LAYOUT = ChipLayout.of(SPECIFICATION, OUTPUT, 8)


@pytest.fixture
def values() -> np.ndarray:
    """[period, band, y, x] with a cloudy month in the west and nothing at all in one pixel of the east."""
    made = np.random.default_rng(0).uniform(0, 1, (3, 2, 16, 16)).astype(np.float32)
    made[1, :, :, :8] = np.nan
    made[:, 0, 3, 12] = np.nan
    return made


@pytest.fixture
def cutter(values: np.ndarray) -> Cutter:
    counts = np.full((16, 16), 9, np.uint8)
    composite = Composite(values, ("vv", "nir"), PERIODS, counts, np.ones((16, 16), bool))
    return Cutter(TileSeason(GRID, TILE, composite), LAYOUT, SPECIFICATION, frozenset())


def test_the_mean_of_months_is_one_image_of_the_first_month(cutter: Cutter, values: np.ndarray) -> None:
    chips = cutter.cut(np.array([0]), np.array([0]))
    assert chips.values.shape == (1, 1, 2, 8, 8) and chips.values.dtype == np.float32
    assert (chips.months.tolist(), chips.years.tolist()) == ([11], [2022])
    np.testing.assert_allclose(chips.values[0, 0, 1], values[[0, 2], 0, :8, :8].mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(chips.values[0, 0, 0], values[[0, 2], 1, :8, :8].mean(axis=0), rtol=1e-6)


def test_a_chip_is_whole_where_every_pixel_has_some_month(cutter: Cutter) -> None:
    tops, lefts = np.array([0, 0, 8, 8]), np.array([0, 8, 0, 8])
    assert cutter.whole(tops, lefts).tolist() == [True, False, True, True]
