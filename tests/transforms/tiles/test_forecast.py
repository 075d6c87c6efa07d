"""What would become of a product of a tile, and how many chips its encoder would look at."""

import numpy as np
import pytest

from stook.transforms.editions.ledger import ProductRecord, TileRecord
from stook.transforms.encoding.chips import ChipLayout, TileChips
from stook.transforms.ground.grid import Grid, Tile, Zone
from stook.transforms.tiles.forecast import fate, looked_at

TILES = [Tile(Zone(37), ix, 0) for ix in range(100)]


def record(fingerprint: str, status: str = "done") -> TileRecord:
    made = ProductRecord(fingerprint, status, {})  # type: ignore[arg-type]
    return TileRecord("t", {"cropland": made}, 1, {}, "2026-01-01T00:00:00+00:00")


@pytest.mark.parametrize(
    ("before", "older", "expected"),
    [
        (None, None, "new"),
        (record("same"), None, "unchanged"),
        (record("same"), record("other"), "unchanged"),
        (record("other"), record("same"), "carried"),
        (None, record("same"), "carried"),
        (None, record("other"), "again"),
        (None, record("same", "failed"), "again"),
        (record("same", "failed"), None, "again"),
    ],
)
def test_fates(before: TileRecord | None, older: TileRecord | None, expected: str) -> None:
    assert fate("cropland", "same", before, older) == expected
    assert fate("harvest_piles", "same", before, older) == "new"  # of which neither says anything


def test_some_tiles_stand_for_many_and_are_always_the_same() -> None:
    assert looked_at(TILES, 100) == TILES
    some = looked_at(TILES, 10)
    assert len(set(some)) == 10 and some == looked_at(TILES, 10) and set(some) <= set(TILES)


def test_chips_are_counted_where_something_of_them_is_wanted() -> None:
    grid, tile, nothing = Grid(tile_px=100), Tile(Zone(37), 5, 7), np.zeros((100, 100), bool)
    single, blended = ChipLayout(1, 1, 1), ChipLayout(8, 1, 4)
    corner = nothing.copy()
    corner[50, 50] = True
    for layout, chips in ((single, 1), (blended, 4)):  # chips that overlap by half: two along each axis show a pixel
        placed = TileChips.of(layout, grid, tile)
        assert placed.count(layout, nothing) == 0
        assert placed.count(layout, corner) == chips
        assert placed.count(layout, ~nothing) == (
            10_000 if layout == single else len(placed.rows) * len(placed.columns)
        )
