"""The record of a tile is the commit, and says what it was computed from."""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from stook.models.errors import UnreachableError
from stook.transforms.editions.ledger import Begun, Ledger, ProductRecord, RemovedError, TileRecord
from stook.transforms.ground.grid import Tile
from stook.transforms.store import (
    Address,
    ChangedError,
    fetched,
    files_in,
    read_bytes,
    remove,
    remove_folder,
    replacing,
    write_bytes,
    write_json,
)

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
    ledger.compact()
    rows = pq.read_table(fetched(home / "ledger.parquet")).to_pylist()
    assert [(row["tile"], row["product"], row["status"]) for row in rows] == [
        ("32637_12_345", "cropland", "done"),
        ("32637_12_345", "harvest_piles", "failed"),
        ("32637_12_346", "cropland", "done"),
        ("32637_12_346", "harvest_piles", "failed"),
    ]


def test_the_compact_ledger_has_each_record_once_as_in_its_file(several: Ledger) -> None:
    [mapped, bare] = [f"{TILE.name}.json", "32637_12_348.json"]
    several.commit(replace(RECORD, tile="32637_12_348", products={}), None)
    several.compact()
    rows = pq.read_table(fetched(several.compacted)).to_pylist()
    texts = {f"{row['tile']}.json": row["record"] for row in rows if row["record"] is not None}
    assert texts == {name: (read_bytes(several.folder / name) or b"").decode() for name in several.marks()}
    assert [row["product"] for row in rows if f"{row['tile']}.json" == mapped] == ["cropland", "harvest_piles"]
    assert [row["product"] for row in rows if f"{row['tile']}.json" == bare] == [None]


def test_the_compact_ledger_of_many_tiles_is_in_few_pieces(home: Address, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stook.transforms.editions.compaction.ROWS_PER_GROUP", 5)
    ledger = Ledger(home / "ledger")
    for column in range(6):
        ledger.commit(replace(RECORD, tile=f"32637_{column}_7"), None)
    ledger.compact()
    found = pq.ParquetFile(fetched(home / "ledger.parquet"))
    groups = [found.metadata.row_group(index).num_rows for index in range(found.metadata.num_row_groups)]
    assert groups == [5, 5, 2]  # two products a tile
    assert len(list(ledger.records())) == 6


@pytest.fixture
def several(home: Address) -> Ledger:
    """Three records."""
    ledger = Ledger(home / "ledger")
    for row in (345, 346, 347):
        ledger.commit(replace(RECORD, tile=f"32637_12_{row}"), None)
    return ledger


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Files of records that were read one by one."""
    names, read = [], Ledger._record

    def noted(ledger: Ledger, name: str) -> tuple[TileRecord, str]:
        names.append(name)
        return read(ledger, name)

    monkeypatch.setattr(Ledger, "_record", noted)
    return names


def files_of(ledger: Ledger) -> list[TileRecord]:
    """What the files of the records say."""
    return list(ledger.records(list(ledger.marks())))


def test_a_compact_ledger_is_read_instead_of_its_records(several: Ledger, reads: list[str]) -> None:
    several.commit(replace(RECORD, tile="32637_12_348", products={}), None)
    before = list(several.records())
    assert reads == [f"{record.tile}.json" for record in before]
    several.compact()
    reads.clear()
    assert list(several.records()) == before and [record.tile for record in before] == sorted(
        record.tile for record in before
    )
    several.compact()  # from itself
    assert list(several.records()) == before and reads == []


CHANGES: dict[str, Callable[[Ledger], None]] = {
    "written anew": lambda ledger: ledger.commit(replace(RECORD, attempts=2), ledger.held(TILE)[1]),
    "written anew, the same": lambda ledger: ledger.commit(RECORD, ledger.held(TILE)[1]),
    "new": lambda ledger: ledger.commit(replace(RECORD, tile="32637_12_400"), None),
    "gone": lambda ledger: remove(ledger.folder / f"{TILE.name}.json"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_compact_ledger_of_another_listing_is_not_read(several: Ledger, reads: list[str], change: str) -> None:
    several.compact()
    CHANGES[change](several)
    reads.clear()
    found = list(several.records())
    assert reads == list(several.marks())
    assert found == files_of(several)
    several.compact()
    reads.clear()
    assert list(several.records()) == found and reads == []


@pytest.mark.parametrize("row", [345, 346, 347])
def test_a_record_written_while_the_ledger_is_compacted_makes_the_compact_one_stale(
    several: Ledger, monkeypatch: pytest.MonkeyPatch, row: int
) -> None:
    tile, read, late = Tile.parse(f"32637_12_{row}"), Ledger._record, []

    def meddling(ledger: Ledger, name: str) -> tuple[TileRecord, str]:
        if name == "32637_12_346.json" and not late:
            late.append(replace(RECORD, tile=tile.name, attempts=7))
            ledger.commit(late[0], ledger.held(tile)[1])
        return read(ledger, name)

    monkeypatch.setattr(Ledger, "_record", meddling)
    several.compact()
    monkeypatch.undo()
    found = list(several.records())
    assert found == files_of(several) and late[0] in found


def test_a_record_replaced_within_a_tick_of_the_clock_makes_the_compact_one_stale(tmp_path: Path) -> None:
    ledger, path = Ledger(tmp_path / "ledger"), tmp_path / "ledger" / f"{TILE.name}.json"
    ledger.commit(RECORD, None)
    seen = path.stat()
    ledger.compact()
    ledger.commit(replace(RECORD, attempts=2), ledger.held(TILE)[1])
    os.utime(path, ns=(seen.st_atime_ns, seen.st_mtime_ns))
    assert (path.stat().st_mtime_ns, path.stat().st_size) == (seen.st_mtime_ns, seen.st_size)
    assert [record.attempts for record in ledger.records()] == [2]


def test_whatever_byte_of_a_compact_ledger_is_damaged_the_records_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stook.transforms.editions.compaction.ROWS_PER_GROUP", 2)
    ledger = Ledger(tmp_path / "ledger")
    written = [replace(RECORD, tile=f"32637_12_{row}") for row in (345, 346, 347)]
    for record in written:
        ledger.commit(record, None)
    ledger.compact()
    whole = ledger.compacted.read_bytes()
    for place in range(0, len(whole), 13):
        ledger.compacted.write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
        assert list(ledger.records()) == written, place
        ledger.compacted.write_bytes(whole[:place])
        assert list(ledger.records()) == written, place


@pytest.mark.parametrize("content", [b"", b"PAR1", b"not a table"])
def test_what_is_no_compact_ledger_is_done_without(several: Ledger, content: bytes) -> None:
    several.compact()
    write_bytes(several.compacted, content)
    assert list(several.records()) == files_of(several)


def test_the_rest_of_a_compact_ledger_damaged_in_the_middle_is_read_from_the_records(
    several: Ledger, reads: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stook.transforms.editions.compaction.ROWS_PER_GROUP", 2)
    several.compact()
    before, content = list(several.records()), read_bytes(several.compacted) or b""
    table = pq.ParquetFile(fetched(several.compacted))
    place = table.metadata.row_group(1).column(table.schema_arrow.names.index("record")).data_page_offset + 60
    write_bytes(several.compacted, content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
    reads.clear()
    assert list(several.records()) == before
    assert reads == ["32637_12_346.json", "32637_12_347.json"]


def test_another_form_of_the_table_is_not_taken_for_ours(several: Ledger, reads: list[str]) -> None:
    with replacing(several.compacted) as scratch:
        pq.write_table(pa.table({"tile": ["32637_12_345"], "record": ["{}"]}), scratch)
    assert list(several.records()) == files_of(several)
    assert reads[:3] == list(several.marks())


def test_records_that_go_while_they_are_read_are_no_fault_of_ours(home: Address) -> None:
    ledger = Ledger(home / "ledger")
    ledger.commit(RECORD, None)
    listed = list(ledger.marks())
    remove_folder(ledger.folder)
    with pytest.raises(RemovedError, match="ledger: was removed while it was read"):
        list(ledger.records(listed))
