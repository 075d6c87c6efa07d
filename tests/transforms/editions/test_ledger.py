"""The record of a tile is the commit, and says what it was computed from."""

from dataclasses import replace

import pyarrow.parquet as pq
import pytest

from models.errors import UnreachableError
from transforms.editions.ledger import Begun, Ledger, ProductRecord, RemovedError, TileRecord
from transforms.ground.grid import Tile
from transforms.store import Address, ChangedError, fetched, files_in, remove_folder, write_json

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


def test_a_record_is_read_as_it_was_committed(home: Address) -> None:
    ledger = Ledger(home)
    assert ledger.read(TILE) is None
    ledger.commit(RECORD, None)
    assert ledger.read(TILE) == RECORD
    assert list(ledger.records()) == [RECORD]


def test_a_record_is_committed_only_over_the_one_that_the_work_started_from(home: Address) -> None:
    ledger = Ledger(home)
    _, nothing = ledger.held(TILE)
    ledger.begin(TILE)
    ledger.commit(RECORD, nothing)
    first, version = ledger.held(TILE)
    assert first == RECORD
    other = replace(RECORD, finished="2026-01-01T00:00:07+00:00")
    for stale in (nothing, version):
        if stale is version:
            ledger.commit(replace(RECORD, attempts=2), version)
        with pytest.raises(ChangedError, match=f"{TILE.name}.json: was changed by somebody else"):
            ledger.commit(other, stale)
    assert ledger.read(TILE) == replace(RECORD, attempts=2)


def test_records_come_in_order_of_tiles_and_attempts_are_none_of_them(home: Address) -> None:
    ledger = Ledger(home / "ledger")
    assert list(ledger.records()) == [] and ledger.marks() == {}
    tiles = [Tile.parse(f"32637_{column}_7") for column in (9, 10, 100, 11)]
    for tile in tiles:
        ledger.commit(replace(RECORD, tile=tile.name), None)
    ledger.begin(TILE)
    names = sorted(f"{tile.name}.json" for tile in tiles)
    assert [f"{record.tile}.json" for record in ledger.records()] == names == list(ledger.marks())


def test_a_record_that_is_written_anew_has_another_mark(home: Address) -> None:
    ledger = Ledger(home)
    ledger.commit(RECORD, None)
    before = ledger.marks()
    ledger.commit(replace(RECORD, attempts=2), ledger.held(TILE)[1])
    assert ledger.marks().keys() == before.keys() and ledger.marks() != before
    assert files_in(ledger.attempts, ".json") == {}


def test_attempts_count_until_there_is_a_record(home: Address) -> None:
    ledger = Ledger(home)
    assert [ledger.begin(TILE), ledger.begin(TILE)] == [1, 2]
    ledger.commit(RECORD, None)
    assert ledger.begin(TILE) == 1


def test_only_a_death_leaves_a_marker(home: Address) -> None:
    ledger = Ledger(home)
    with pytest.raises(KeyboardInterrupt), ledger.attempt(TILE) as attempts:
        assert (attempts, ledger.begun()) == (1, {TILE.name: Begun(1)})
        raise KeyboardInterrupt
    assert ledger.begun() == {}
    ledger.begin(TILE)  # whose worker is killed
    with pytest.raises(UnreachableError), ledger.attempt(TILE):
        raise UnreachableError("the archive is down")
    assert ledger.begun() == {TILE.name: Begun(1)}
    with ledger.attempt(TILE) as attempts:
        ledger.commit(replace(RECORD, attempts=attempts), None)
    assert ledger.begun() == {} and attempts == 2


def test_markers_of_older_editions_are_understood(home: Address) -> None:
    ledger = Ledger(home)
    write_json(ledger.attempts / f"{TILE.name}.json", 2)
    assert ledger.begun() == {TILE.name: Begun(2)}
    assert ledger.begin(TILE) == 3


def test_a_record_settles_each_product_that_was_done_from_equal_inputs() -> None:
    assert RECORD.settles("cropland", "f" * 64)
    assert not RECORD.settles("cropland", "e" * 64)
    assert not RECORD.settles("building_coverage", "f" * 64)
    assert RECORD.failed and not RECORD.settles("harvest_piles", "e" * 64)


def test_the_compact_ledger_has_a_row_per_tile_and_product(home: Address) -> None:
    ledger = Ledger(home / "ledger")
    ledger.commit(RECORD, None)
    ledger.commit(replace(RECORD, tile="32637_12_346"), None)
    ledger.compact(home / "ledger.parquet")
    rows = pq.read_table(fetched(home / "ledger.parquet")).to_pylist()
    assert [(row["tile"], row["product"], row["status"]) for row in rows] == [
        ("32637_12_345", "cropland", "done"),
        ("32637_12_345", "harvest_piles", "failed"),
        ("32637_12_346", "cropland", "done"),
        ("32637_12_346", "harvest_piles", "failed"),
    ]


def test_the_compact_ledger_of_many_tiles_is_in_few_pieces(home: Address, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("transforms.editions.ledger.ROWS_PER_GROUP", 5)
    ledger = Ledger(home / "ledger")
    for column in range(6):
        ledger.commit(replace(RECORD, tile=f"32637_{column}_7"), None)
    ledger.compact(home / "ledger.parquet")
    found = pq.ParquetFile(fetched(home / "ledger.parquet"))
    groups = [found.metadata.row_group(index).num_rows for index in range(found.metadata.num_row_groups)]
    assert groups == [5, 5, 2]  # two products a tile


def test_records_that_go_while_they_are_read_are_no_fault_of_ours(home: Address) -> None:
    ledger = Ledger(home / "ledger")
    ledger.commit(RECORD, None)
    listed = list(ledger.marks())
    remove_folder(ledger.folder)
    with pytest.raises(RemovedError, match="ledger: was removed while it was read"):
        list(ledger.records(listed))
