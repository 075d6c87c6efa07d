"""A tile is left out only if its record was made from the very inputs that the edition was opened with.

What is made from maps is left out only if it was made from the maps that the records tell of now.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from stook.transforms.editions.edition import Edition
from stook.transforms.editions.ledger import ProductRecord, TileRecord
from stook.transforms.editions.plan import Plan
from stook.transforms.editions.season_folder import SeasonFolder
from stook.transforms.ground.grid import Tile
from stook.transforms.store import write_bytes
from stook.transforms.tiles.due import due_derived, due_tiles
from stook.transforms.tiles.fingerprints import derived_fingerprint, made_inputs
from tests.transforms.editions.test_edition import make_plan
from tests.transforms.tiles.test_derived import FARMED, SMOOTHING, plan_with

TILES = ["32637_1_1", "32637_1_2"]
DONE = TileRecord(TILES[0], {"cropland": ProductRecord("f" * 64, "done", {})}, 1, {}, "2026-01-01T00:00:00+00:00")


def opened(folder: Path, plan: Plan, tiles: list[str]) -> Edition:
    season = SeasonFolder(folder, "place", "main-2019")
    with season.opening(plan) as (edition, manifest):
        write_bytes(edition.inputs, b"scenes")
        write_bytes(edition.units, b"units")
        manifest["tiles"] = tiles
    return Edition(season.folder / manifest["edition"])


@pytest.fixture
def edition(tmp_path: Path) -> Edition:
    return opened(tmp_path, make_plan(), TILES)


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


class Derived:
    """An edition of 5 x 5 tiles, in an order of their own, with records and without maps."""

    def __init__(self, folder: Path, plan: Plan):
        self.names = [f"32637_{column}_{row}" for row in (9, 11, 8, 10, 12) for column in (101, 99, 100, 98, 102)]
        self.plan, self.edition = plan, opened(folder, plan, self.names)
        self.ledger = self.edition.ledger
        for name in self.names:
            self.record(name, cropland=ProductRecord(f"cropland {name}", "done", {}))
            self.record(name, harvest_piles=ProductRecord(f"piles {name}", "done", {}))
        for name in self.names:
            self.derive(name)

    def record(self, name: str, **products: ProductRecord) -> None:
        """Write products of a tile."""
        found, version = self.ledger.held(Tile.parse(name))
        before = found or replace(DONE, tile=name, products={})
        self.ledger.commit(replace(before, products=before.products | products), version)

    def derive(self, name: str) -> None:
        """Write the derived products of a tile as done."""

        def products_of(other: Tile) -> dict[str, ProductRecord]:
            found = self.ledger.read(other)
            return {} if found is None else found.products

        tile, tiles = Tile.parse(name), set(self.names)
        for product in self.plan.derived:
            made = derived_fingerprint(
                self.plan, product, tile, tiles, lambda other, product=product: made_inputs(product, products_of(other))
            )
            self.record(name, **{product.product: ProductRecord(made, "done", {})})

    def around(self, name: str) -> list[str]:
        """A tile and those that touch it, in the edition's order."""
        middle, tiles = Tile.parse(name), map(Tile.parse, self.names)
        return [each.name for each in tiles if max(abs(each.ix - middle.ix), abs(each.iy - middle.iy)) <= 1]


@pytest.fixture
def derived(tmp_path: Path) -> Derived:
    return Derived(tmp_path, plan_with())


def test_nothing_is_due_where_all_was_made_from_the_maps_that_are_there(derived: Derived) -> None:
    assert due_derived(derived.edition) == []


@pytest.mark.parametrize("name", ["32637_100_10", "32637_98_12"])
@pytest.mark.parametrize("how", [{"fingerprint": "mended"}, {"status": "failed"}])
def test_a_map_that_is_another_makes_the_tiles_due_that_look_into_it(
    derived: Derived, name: str, how: dict[str, Any]
) -> None:
    record = derived.ledger.read(Tile.parse(name))
    assert record is not None
    derived.record(name, cropland=replace(record.products["cropland"], **how))
    due = derived.around(name)
    assert due_derived(derived.edition) == due and len(due) in (4, 9)
    for each in due:
        derived.derive(each)
    assert due_derived(derived.edition) == []


def test_what_reads_its_own_tile_only_is_due_there_only(derived: Derived) -> None:
    derived.record("32637_100_10", harvest_piles=ProductRecord("mended", "done", {}))
    assert due_derived(derived.edition) == ["32637_100_10"]


def test_a_derived_product_that_failed_or_is_missing_is_due(derived: Derived) -> None:
    for name, product in (("32637_99_9", "cropland_smoothed"), ("32637_98_8", "farmed_cells")):
        record = derived.ledger.read(Tile.parse(name))
        assert record is not None
        derived.record(name, **{product: replace(record.products[product], status="failed")})
    derived.ledger.commit(
        replace(DONE, tile="32637_102_12"), derived.ledger.held(Tile.parse("32637_102_12"))[1]
    )  # without piles, which nobody looks into, nor what is made from maps
    assert due_derived(derived.edition) == [
        name for name in derived.names if name in {"32637_99_9", "32637_98_8", *derived.around("32637_102_12")}
    ]


@pytest.mark.parametrize("rules", [{"farmed": FARMED}, {"smoothing": SMOOTHING}])
def test_a_tile_without_a_record_is_due(tmp_path: Path, rules: dict[str, Any]) -> None:
    derived = Derived(tmp_path, plan_with(**rules))
    assert due_derived(derived.edition) == []
    (derived.ledger.folder / "32637_102_12.json").unlink()
    near = ["32637_102_12"] if "farmed" in rules else derived.around("32637_102_12")
    assert due_derived(derived.edition) == near
