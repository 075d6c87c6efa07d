"""The maps say what the ledger says, to the last square decimetre and cell."""

import shutil
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from stook.models.errors import InputError
from stook.transforms.editions.edition import Edition
from stook.transforms.editions.map_store import open_layer, write_blank
from stook.transforms.statistics import from_maps
from stook.transforms.statistics.from_maps import map_sums, over_tiles
from stook.transforms.statistics.map_table import statistics_from_maps
from stook.transforms.statistics.sums import ledger_sums
from stook.transforms.statistics.table import statistics
from stook.transforms.tiles.map_reader import MapReader
from tests.transforms.hand_made import THRESHOLDS
from tests.transforms.statistics.conftest import PLAN, REGION, TILES


def test_the_season_is_worth_comparing(edition: Edition) -> None:
    assert len({tile.zone for tile in TILES}) == 2 and len(TILES) > 8
    table = statistics(edition, THRESHOLDS)
    assert set(table["product"]) == {product.product for product in PLAN.all_products}
    whole = table[table["level"] == "region"].set_index("product")
    columns = [
        "area_dm2",
        "mapped_dm2",
        *(column for column in table if column.startswith("not_mapped_") and "dm2" in column),
    ]
    assert (whole[columns] > 0).all(axis=None)
    assert (whole.loc[["harvest_piles", "farmed_cells"], "cells_of_class"] > 0).all()
    assert whole.loc["building_coverage", "standard_error_ha"] > 0


def test_maps_and_ledger_add_up_to_the_same(edition: Edition) -> None:
    assert map_sums(MapReader(edition)) == ledger_sums(edition, REGION)


def test_their_tables_are_the_same_intervals_included(edition: Edition) -> None:
    pd.testing.assert_frame_equal(
        statistics_from_maps(edition, THRESHOLDS), statistics(edition, THRESHOLDS), check_exact=True
    )


def test_a_map_that_was_changed_behind_the_ledger_is_noticed(edition: Edition, tmp_path: Path) -> None:
    other = Edition(shutil.copytree(edition.folder, tmp_path / edition.id))
    array = open_layer(other.maps, TILES[2].zone.name, 10, "cropland", mode="r+")
    array[:] = 99
    before, after = ledger_sums(other, REGION), map_sums(MapReader(other))
    assert before.histograms["building_coverage"] == after.histograms["building_coverage"]
    assert before.histograms["cropland"] != after.histograms["cropland"]
    reader, product = MapReader(other), PLAN.products[0]
    write_blank(other.maps, PLAN, product, TILES[2], reader.window(product, TILES[2]))
    assert map_sums(MapReader(other)).covered["building_coverage"] != before.covered["building_coverage"]


def test_a_tile_without_a_record_is_refused_by_name(edition: Edition, tmp_path: Path) -> None:
    other = Edition(shutil.copytree(edition.folder, tmp_path / edition.id))
    (other.folder / "ledger" / f"{TILES[3].name}.json").unlink()
    with pytest.raises(InputError, match=f"tile {TILES[3].name} is not mapped yet"):
        map_sums(MapReader(other))


def test_few_tiles_are_at_work_at_once_and_they_come_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(from_maps.os, "cpu_count", lambda: 64)
    monkeypatch.setattr(from_maps, "TILES_PER_GRAPH", 3)
    at_work: list[int] = [0, 0]

    def make(tile: object) -> object:
        at_work[0] += 1
        at_work[1] = max(at_work)
        np.sort(np.random.default_rng(0).random(100_000))
        at_work[0] -= 1
        return tile

    made: Iterable[object] = over_tiles(TILES, make)
    assert tuple(made) == tuple(TILES)
    assert 0 < at_work[1] <= from_maps.MOST_TILES_AT_ONCE
