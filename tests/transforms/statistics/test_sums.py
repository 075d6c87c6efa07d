"""What a region's tiles add up to does not depend on how the region is cut into them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from shapely import box

from stook.transforms.editions.edition import Edition
from stook.transforms.editions.ledger import TileRecord
from stook.transforms.editions.plan import Plan
from stook.transforms.editions.season_folder import SeasonFolder
from stook.transforms.editions.tile_records import done_record
from stook.transforms.ground.areas import TileCoverage
from stook.transforms.ground.grid import Grid, Tile
from stook.transforms.statistics.sums import WHOLE_REGION, Place, Sums, ledger_sums
from stook.transforms.tiles.answers import Result
from tests.transforms.editions.test_edition import make_plan
from tests.transforms.ground.test_areas import region

PIXEL_M = 100  # coverage and areas are exact at any pixel size
TWO = region(box(38.9, 12.9, 39.047, 13.2), box(39.047, 12.9, 39.3, 13.2))
PRODUCT = "building_coverage"


def planned(tile_m: int) -> Plan:
    plan = make_plan()
    [cropland] = plan.products
    built = replace(cropland, product=PRODUCT, quantiles=(0.05, 0.5, 0.95))
    return replace(plan, grid=Grid(PIXEL_M, tile_m // PIXEL_M), products=(built,))


def ground_map(tile: Tile, grid: Grid) -> np.ndarray:
    """Mean and width of each pixel by where it lies in its zone, float [2, row, column]; some have none."""
    row, column = np.indices((grid.tile_px, grid.tile_px))
    east, north = tile.ix * grid.tile_px + column, (tile.iy + 1) * grid.tile_px - 1 - row
    mean = (east * 7 + north * 3) % 11 / 50
    return np.where((east + north) % 13 == 0, np.nan, np.stack([mean, 0.05 + (east * 5 + north) % 17 / 40]))


def mapped(folder: Path, tile_m: int) -> Sums:
    """What the same map adds up to in tiles of a given side."""
    plan = planned(tile_m)
    tiles = TWO.tiles(plan.grid)
    with SeasonFolder(folder / str(tile_m), "place", "main-2019").opening(plan) as (hidden, manifest):
        manifest["tiles"] = [tile.name for tile in tiles]
    edition = Edition(hidden.folder.with_name(manifest["edition"]))
    [product] = plan.products
    for tile in tiles:
        ground, shares = TileCoverage.of(TWO, plan.grid, tile), ground_map(tile, plan.grid)
        result = Result(product, (), np.zeros(shares.shape[1:], np.uint8), shares)
        made = done_record(product, "f", ground, result.classes, result.covered(ground))
        edition.ledger.commit(TileRecord(tile.name, {PRODUCT: made}, 1, {}, "2026-01-01T00:00:00+00:00"), None)
    return ledger_sums(edition, TWO)


@pytest.fixture(scope="module")
def usual(tmp_path_factory: pytest.TempPathFactory) -> Sums:
    """In tiles of 10 km; read only."""
    return mapped(tmp_path_factory.mktemp("usual"), 10_000)


# Smaller ones, larger ones, and some whose edges are not those of squares of 10 km.
@pytest.mark.parametrize("tile_m", [5_000, 2_500, 20_000, 40_000, 8_000, 12_500])
def test_the_standard_error_is_the_same_whatever_the_tile_size(usual: Sums, tmp_path: Path, tile_m: int) -> None:
    sums = mapped(tmp_path, tile_m)
    assert sums.covered[PRODUCT] == pytest.approx(usual.covered[PRODUCT], rel=1e-8)
    assert sums.squares[PRODUCT] == pytest.approx(usual.squares[PRODUCT], rel=1e-8)


def test_squares_of_10_km_are_wholly_correlated_and_independent_of_each_other(usual: Sums) -> None:
    grid = Grid(PIXEL_M, 100)
    expected: dict[Place, float] = {}
    for tile in TWO.tiles(grid):
        ground = TileCoverage.of(TWO, grid, tile)
        width = np.nan_to_num(ground_map(tile, grid)[1])
        of_units = {
            unit.unit_id: (width * ground.pixel_areas.window(slice(None), slice(None)))[unit.rows, unit.columns]
            * (1 if unit.fraction is None else unit.fraction)
            for unit in ground.units
        }
        widths = {("unit", unit): float(areas.sum()) * 100 for unit, areas in of_units.items()}
        widths[WHOLE_REGION, "place"] = sum(widths.values())
        for place, dm2 in widths.items():
            expected[place] = expected.get(place, 0) + dm2**2
    assert usual.squares[PRODUCT] == pytest.approx(expected, rel=1e-6)
    assert len(expected) == 3
