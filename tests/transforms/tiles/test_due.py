"""A tile is left out only if its record was made from the very inputs that the edition was opened with."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.transforms.editions.test_edition import make_plan
from transforms.editions.edition import Edition
from transforms.editions.ledger import ProductRecord, TileRecord
from transforms.editions.season_folder import SeasonFolder
from transforms.store import write_bytes
from transforms.tiles.due import due_tiles

TILES = ["32637_1_1", "32637_1_2"]
DONE = TileRecord(TILES[0], {"cropland": ProductRecord("f" * 64, "done", {})}, 1, {}, "2026-01-01T00:00:00+00:00")


@pytest.fixture
def edition(tmp_path: Path) -> Edition:
    folder = SeasonFolder(tmp_path, "place", "main-2019")
    with folder.opening(make_plan()) as (opened, manifest):
        write_bytes(opened.inputs, b"scenes")
        write_bytes(opened.units, b"units")
        manifest["tiles"] = TILES
    return Edition(folder.folder / manifest["edition"])


def test_a_tile_made_from_the_frozen_inputs_is_left_out(edition: Edition) -> None:
    assert due_tiles(edition) == TILES
    edition.ledger.commit(replace(DONE, seal=edition.seal), None)
    assert due_tiles(edition) == TILES[1:]


@pytest.mark.parametrize(
    "spoiled",
    [
        {"seal": ""},
        {"seal": "0" * 64},
        {"products": {}},
        {"products": {"cropland": replace(DONE.products["cropland"], status="failed")}},
        {"products": {"harvest_piles": DONE.products["cropland"]}},
    ],
)
def test_anything_else_is_not(edition: Edition, spoiled: dict[str, object]) -> None:
    edition.ledger.commit(replace(replace(DONE, seal=edition.seal), **spoiled), None)  # type: ignore[arg-type]
    assert due_tiles(edition) == TILES


def test_the_seal_is_of_all_that_is_frozen(edition: Edition) -> None:
    edition.ledger.commit(replace(DONE, seal=edition.seal), None)
    for file in (edition.inputs, edition.units):
        before = edition.seal
        write_bytes(file, b"something else")
        assert edition.seal != before and due_tiles(edition) == TILES
