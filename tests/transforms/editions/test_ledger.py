"""The record of a tile is the commit, and says what it was computed from."""

from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq

from transforms.editions.ledger import Ledger, ProductRecord, TileRecord
from transforms.ground.grid import Tile

TILE = Tile.parse("32637_12_345")
RECORD = TileRecord(
    tile=TILE.name,
    products={
        "cropland": ProductRecord("f" * 64, "done", {"A": {0: 10**12, 57: 3, 251: 7}}, batch=64),
        "harvest_piles": ProductRecord("e" * 64, "failed", {"A": {253: 10**12 + 10}}, error="corrupt"),
    },
    attempts=1,
    seconds={"read": 1.5},
    finished="2026-01-01T00:00:00+00:00",
)


def test_a_record_is_read_as_it_was_committed(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    assert ledger.read(TILE) is None
    ledger.commit(RECORD, None)
    assert ledger.read(TILE) == RECORD
    assert list(ledger.records()) == [RECORD]


def test_attempts_count_until_there_is_a_record(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    assert [ledger.begin(TILE), ledger.begin(TILE)] == [1, 2]
    ledger.commit(RECORD, None)
    assert ledger.begin(TILE) == 1


def test_a_record_settles_each_product_that_was_done_from_equal_inputs() -> None:
    assert RECORD.settles("cropland", "f" * 64)
    assert not RECORD.settles("cropland", "e" * 64)
    assert not RECORD.settles("building_coverage", "f" * 64)
    assert RECORD.failed and not RECORD.settles("harvest_piles", "e" * 64)


def test_the_compact_ledger_has_a_row_per_tile_and_product(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger")
    ledger.commit(RECORD, None)
    ledger.commit(replace(RECORD, tile="32637_12_346"), None)
    ledger.compact(tmp_path / "ledger.parquet")
    rows = pq.read_table(tmp_path / "ledger.parquet").to_pylist()
    assert [(row["tile"], row["product"], row["status"]) for row in rows] == [
        ("32637_12_345", "cropland", "done"),
        ("32637_12_345", "harvest_piles", "failed"),
        ("32637_12_346", "cropland", "done"),
        ("32637_12_346", "harvest_piles", "failed"),
    ]
