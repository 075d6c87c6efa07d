"""A cell is farmed because of cropland or of piles, and says which."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from stook.transforms.editions.farmed import COLOURS, FARMED_CODES, LEGEND, NOT_FARMED_CODES, farmed
from stook.transforms.editions.plan import FarmedRule, SmoothingRule
from stook.transforms.tiles.smoothing import smoothed
from stook.transforms.values import NODATA

RULE = FarmedRule(cropland_threshold=50, least_cropland_percent=20, piles_threshold=60)
PERCENT = st.one_of(st.integers(0, 100), st.just(NODATA))


def cell(cropland: list[int], piles: int, rule: FarmedRule = RULE) -> int:
    """The code of one cell of five by two pixels; pixels that are not given are not mapped."""
    pixels = np.array(cropland + [NODATA] * (10 - len(cropland)), np.uint8).reshape(5, 2)
    return int(farmed(pixels, np.array([[piles]], np.uint8), rule)[0, 0])


@pytest.mark.parametrize(
    ("cropland", "piles", "words"),
    [
        ([90] * 10, 80, "farmed: cropland and piles"),
        ([90] * 10, 10, "farmed: cropland, no piles"),
        ([90] * 10, NODATA, "farmed: cropland, no picture"),
        ([10] * 10, 80, "farmed: piles alone"),
        ([], 80, "farmed: piles, cropland not mapped"),
        ([10] * 10, 10, "not farmed: no cropland, no piles"),
        ([10] * 10, NODATA, "not farmed: no cropland, no picture"),
        ([], 10, "not known: cropland not mapped, no piles"),
    ],
)
def test_a_cell_keeps_what_either_map_says(cropland: list[int], piles: int, words: str) -> None:
    code = cell(cropland, piles)
    assert LEGEND[code] == words
    assert (code in FARMED_CODES) == words.startswith("farmed")
    assert (code in NOT_FARMED_CODES) == words.startswith("not farmed")


def test_a_cell_of_which_nothing_is_known_has_no_code() -> None:
    assert cell([], NODATA) == NODATA


def test_every_code_has_words_and_a_colour_of_its_own() -> None:
    assert LEGEND.keys() == COLOURS.keys() == set(range(8))
    assert len(set(LEGEND.values())) == len(set(COLOURS.values())) == 8


@pytest.mark.parametrize(("of_ten", "code"), [(1, 6), (2, 7), (3, 7)])
def test_the_least_share_itself_is_enough(of_ten: int, code: int) -> None:
    assert cell([50] * of_ten + [49] * (10 - of_ten), NODATA) == code


def test_thresholds_themselves_count() -> None:
    assert [cell([], piles) for piles in (59, 60)] == [2, 5]
    assert [cell([percent] * 10, NODATA) for percent in (49, 50)] == [6, 7]


def test_the_mapped_pixels_speak_for_the_cell_however_few() -> None:
    assert cell([90], NODATA) == 7
    assert cell([90] + [10] * 4, NODATA) == 7  # 20 % of what is mapped, 10 % of the cell
    assert cell([90] + [10] * 5, NODATA) == 6


@given(
    arrays.arrays(np.uint8, (6, 9), elements=PERCENT),
    arrays.arrays(np.uint8, (2, 3), elements=PERCENT),
    st.integers(1, 100),
)
def test_every_cell_is_judged_by_its_own_pixels(cropland: np.ndarray, piles: np.ndarray, least: int) -> None:
    rule = FarmedRule(50, least, 60)
    codes = farmed(cropland, piles, rule)
    assert codes.dtype == np.uint8 and codes.shape == piles.shape
    for row, column in np.ndindex(piles.shape):
        pixels = [int(value) for value in cropland[3 * row : 3 * row + 3, 3 * column : 3 * column + 3].flat]
        mapped = [value for value in pixels if value != NODATA]
        share = sum(value >= 50 for value in mapped) / len(mapped) if mapped else None
        first = 2 if share is None else int(round(100 * share, 9) >= least)
        second = 2 if piles[row, column] == NODATA else int(piles[row, column] >= 60)
        expected = NODATA if (first, second) == (2, 2) else first + 3 * second
        assert codes[row, column] == expected


@given(arrays.arrays(np.uint8, (6, 6), elements=PERCENT), arrays.arrays(np.uint8, (2, 2), elements=PERCENT))
def test_classes_give_what_the_percents_behind_them_give(cropland: np.ndarray, piles: np.ndarray) -> None:
    classes = smoothed(cropland, SmoothingRule(RULE.cropland_threshold, 1, 1))
    np.testing.assert_array_equal(farmed(classes, piles, RULE), farmed(cropland, piles, RULE))


def test_pixels_that_do_not_fill_the_cells_are_refused() -> None:
    with pytest.raises(ValueError, match=r"pixels \(10, 10\) are not whole numbers of cells \(3, 5\)"):
        farmed(np.zeros((10, 10), np.uint8), np.zeros((3, 5), np.uint8), RULE)
