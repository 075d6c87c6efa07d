"""Smoothing removes specks, leaves what is not mapped alone, and does not know about tiles."""

from collections import deque

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from stook.transforms.editions.plan import Smoothing, SmoothingRule
from stook.transforms.tiles.smoothing import majority, reach_cells, smoothed, specks
from stook.transforms.values import NODATA

RULES = st.builds(SmoothingRule, st.integers(1, 100), st.sampled_from([1, 3, 5, 7]), st.integers(1, 9))
NO_MAJORITY = {"threshold": 50, "majority_cells": 1}


@st.composite
def images(draw: st.DrawFn) -> np.ndarray:
    """Percent, from mere noise to smooth landscapes, with gaps."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    shape = draw(st.integers(1, 50)), draw(st.integers(1, 50))
    noise = ndimage.gaussian_filter(rng.normal(size=shape), draw(st.sampled_from([0, 0.6, 1.0, 2.0])))
    percent = np.clip(50 + 30 * noise / (noise.std() or 1), 0, 100).astype(np.uint8)
    gaps = ndimage.gaussian_filter(rng.random(shape), draw(st.sampled_from([0, 1.0])))
    return np.where(gaps < np.quantile(gaps, draw(st.sampled_from([0, 0.1, 0.5]))), np.uint8(NODATA), percent)


def drawn(*rows: str) -> np.ndarray:
    """An image from a drawing: # is cropland, . is other, a space is not mapped."""
    return np.array([[{"#": 100, ".": 0, " ": NODATA}[pixel] for pixel in row] for row in rows], np.uint8)


def tiled(percent: np.ndarray, rule: SmoothingRule, tile_px: int, reach: int) -> np.ndarray:
    """The same as ``smoothed``, tile by tile, each from what lies within ``reach`` of it."""
    whole = np.pad(percent, reach, constant_values=NODATA)
    out = np.zeros_like(percent)
    for y in range(0, percent.shape[0], tile_px):
        for x in range(0, percent.shape[1], tile_px):
            inner = out[y : y + tile_px, x : x + tile_px]
            high, wide = inner.shape
            seen = smoothed(whole[y : y + high + 2 * reach, x : x + wide + 2 * reach], rule)
            inner[:] = seen[reach : reach + high, reach : reach + wide]
    return out


def patches_of(classes: np.ndarray) -> list[set[tuple[int, int]]]:
    """The patches of an image, by walking over it."""
    patches, seen = [], set()
    for start in zip(*map(np.ndarray.tolist, np.nonzero(classes != NODATA)), strict=True):
        if start in seen:
            continue
        patch, ahead = {start}, deque([start])
        while ahead:
            y, x = ahead.popleft()
            for place in beside(y, x):
                if place not in patch and inside(classes, place) and classes[place] == classes[y, x]:
                    patch.add(place)
                    ahead.append(place)
        seen |= patch
        patches.append(patch)
    return patches


def beside(y: int, x: int) -> list[tuple[int, int]]:
    return [(y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)]


def inside(classes: np.ndarray, place: tuple[int, int]) -> bool:
    return 0 <= place[0] < classes.shape[0] and 0 <= place[1] < classes.shape[1]


@settings(max_examples=300, deadline=None)
@given(images(), RULES, st.sampled_from([4, 7, 16, 33]))
def test_the_map_is_the_same_whatever_the_tile_size(percent: np.ndarray, rule: SmoothingRule, tile_px: int) -> None:
    np.testing.assert_array_equal(tiled(percent, rule, tile_px, reach_cells(rule)), smoothed(percent, rule))


@pytest.mark.parametrize("minimum", [2, 3, 7])
def test_a_pixel_less_than_the_reach_would_not_do(minimum: int) -> None:
    rule = SmoothingRule(**NO_MAJORITY, minimum_cells=minimum)
    row = drawn("#" * (minimum - 1) + "." * minimum)
    np.testing.assert_array_equal(smoothed(row, rule), drawn("." * (2 * minimum - 1)))
    assert reach_cells(rule) == row.size - 1
    assert smoothed(row[:, :-1], rule)[0, 0] == 100


@pytest.mark.parametrize(("cell_m", "minimum_ha", "cells"), [(10, 0.1, 10), (40, 0.1, 1), (40, 0.5, 4), (10, 0.005, 1)])
def test_the_minimum_mapping_unit_is_so_many_of_the_cells_that_the_map_has(
    cell_m: float, minimum_ha: float, cells: int
) -> None:
    assert Smoothing(60, 3, minimum_ha).rule(cell_m) == SmoothingRule(60, 3, cells)


def test_the_majority_sees_as_far_as_its_window() -> None:
    assert reach_cells(SmoothingRule(50, 7, 1)) == 3
    assert reach_cells(SmoothingRule(50, 7, 5)) == 11
    assert reach_cells(SmoothingRule(50, 1, 1)) == 0


@settings(max_examples=200, deadline=None)
@given(images(), st.integers(1, 100), st.sampled_from([1, 3, 5]))
def test_the_majority_is_that_of_the_mapped_pixels_around_and_ties_change_nothing(
    percent: np.ndarray, threshold: int, side: int
) -> None:
    mapped = percent != NODATA
    cropland = mapped & (percent >= threshold)
    found = majority(cropland, mapped, side)
    radius = side // 2
    for y, x in np.ndindex(percent.shape):
        window = slice(max(y - radius, 0), y + radius + 1), slice(max(x - radius, 0), x + radius + 1)
        lead = 2 * int(cropland[window].sum()) - int(mapped[window].sum())
        assert found[y, x] == (mapped[y, x] and (lead > 0 or (lead == 0 and cropland[y, x])))


@settings(max_examples=100, deadline=None)
@given(images(), st.integers(1, 12))
def test_specks_are_the_small_patches_beside_large_ones(percent: np.ndarray, minimum: int) -> None:
    classes = np.where(percent == NODATA, NODATA, np.where(percent >= 50, 1, 0))
    patches = patches_of(classes)
    large = set().union(*(patch for patch in patches if len(patch) >= minimum))
    expected = np.zeros(percent.shape, bool)
    for patch in patches:
        if len(patch) < minimum and any(place in large for y, x in patch for place in beside(y, x)):
            expected[tuple(zip(*patch, strict=True))] = True
    np.testing.assert_array_equal(specks(classes == 1, classes != NODATA, minimum), expected)


@settings(max_examples=200, deadline=None)
@given(images(), RULES)
def test_what_changes_ends_up_in_a_patch_that_is_large_enough(percent: np.ndarray, rule: SmoothingRule) -> None:
    mapped = percent != NODATA
    before = majority(mapped & (percent >= rule.threshold), mapped, rule.majority_cells)
    changed = specks(before, mapped, rule.minimum_cells)
    after = before ^ changed
    for of_class in (after, mapped & ~after):
        patches, _ = ndimage.label(of_class)
        sizes = np.bincount(patches.ravel())[patches]
        assert (sizes[changed & of_class] >= rule.minimum_cells).all()


@settings(max_examples=100, deadline=None)
@given(images(), RULES)
def test_only_what_is_mapped_gets_a_class(percent: np.ndarray, rule: SmoothingRule) -> None:
    found = smoothed(percent, rule)
    assert found.dtype == np.uint8 and found.shape == percent.shape
    np.testing.assert_array_equal(found == NODATA, percent == NODATA)
    assert np.isin(found, [0, 100, NODATA]).all()
    plain = smoothed(percent, SmoothingRule(rule.threshold, 1, 1))
    expected = np.where(percent >= rule.threshold, 100, 0)
    np.testing.assert_array_equal(plain, np.where(percent == NODATA, NODATA, expected))


def test_small_fields_and_small_gaps_take_the_class_around_them() -> None:
    before = drawn(
        "..........",
        ".#...####.",
        ".#...#.##.",
        ".....####.",
        "..........",
    )
    after = drawn(
        "..........",
        ".....####.",
        ".....####.",
        ".....####.",
        "..........",
    )
    np.testing.assert_array_equal(smoothed(before, SmoothingRule(**NO_MAJORITY, minimum_cells=3)), after)


def test_a_small_field_around_a_smaller_gap_leaves_no_speck_behind() -> None:
    before = drawn(".....", ".###.", ".#.#.", ".###.", ".....")
    np.testing.assert_array_equal(smoothed(before, SmoothingRule(**NO_MAJORITY, minimum_cells=9)), np.zeros((5, 5)))


@pytest.mark.parametrize(
    "rows",
    [("## ..", "     "), ("#.#.#", ".#.#.")],
    ids=["nothing but nodata around", "nothing large around"],
)
def test_a_patch_without_a_large_neighbour_stays(rows: tuple[str, ...]) -> None:
    np.testing.assert_array_equal(smoothed(drawn(*rows), SmoothingRule(**NO_MAJORITY, minimum_cells=3)), drawn(*rows))


def test_patches_that_touch_at_a_corner_are_two() -> None:
    before = drawn("....", ".#..", "..#.", "....")
    np.testing.assert_array_equal(smoothed(before, SmoothingRule(**NO_MAJORITY, minimum_cells=2)), np.zeros((4, 4)))
