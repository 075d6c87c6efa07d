"""Clear observations are counted from the maps by place, and told as a mean and a low quantile of the ground."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from stook.models.errors import InputError
from stook.transforms.editions.edition import Edition
from stook.transforms.editions.map_store import open_layer
from stook.transforms.statistics import observed as module
from stook.transforms.statistics.observed import kept_at, kept_observed, least_seen, mean_of, observed
from stook.transforms.statistics.sums import ledger_sums
from stook.transforms.tiles.map_reader import MapReader
from stook.transforms.values import NODATA
from tests.transforms.statistics.conftest import FAILED, PLAN, REGION, TILES


def test_all_ground_is_counted_but_that_of_failed_tiles(edition: Edition) -> None:
    found, reader = observed(MapReader(edition)), MapReader(edition)
    assert set(found) == {product.product for product in PLAN.products}
    histograms = ledger_sums(edition, REGION).histograms
    for product in found:
        failed = sum(sum(reader.ground(tile).totals.values()) for tile in TILES if (tile.name, product) in FAILED)
        assert failed > 0
        whole = sum(histograms[product]["region", PLAN.name].values())
        assert sum(found[product]["region", PLAN.name].values()) == whole - failed


def test_counts_are_those_of_the_layer_by_area(edition: Edition, tmp_path: Path) -> None:
    other = Edition(shutil.copytree(edition.folder, tmp_path / edition.id))
    for zone in {tile.zone.name for tile in TILES}:
        array = open_layer(other.maps, zone, 10, "cropland_clear_observations", mode="r+")
        values = np.full(array.shape, 9, np.uint8)
        values[:, ::2] = NODATA  # every other column has no scene
        array[:] = values
    areas = observed(MapReader(other))["cropland"]["region", PLAN.name]
    assert set(areas) == {0, 9}
    assert mean_of(areas) == pytest.approx(4.5, rel=0.05)
    assert least_seen(areas, 0.1) == 0 and least_seen(areas, 0.9) == 9


def test_mean_and_quantile_are_weighted_by_area() -> None:
    areas = {2: 10, 5: 80, 30: 10}
    assert mean_of(areas) == pytest.approx(7.2)
    assert [least_seen(areas, share) for share in (0.05, 0.1, 0.11, 0.5, 0.91)] == [2, 2, 5, 5, 30]
    assert mean_of({}) is None and least_seen({}, 0.1) is None


def test_an_edition_is_counted_once(edition: Edition, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = Edition(shutil.copytree(edition.folder, tmp_path / edition.id))
    first = kept_observed(other)
    assert first == observed(MapReader(other)) and kept_at(other).exists()
    monkeypatch.setattr(module, "observed", lambda _: pytest.fail("counted again"))
    assert kept_observed(other) == first


def test_an_edition_that_is_not_finished_is_refused(edition: Edition, tmp_path: Path) -> None:
    other = Edition(shutil.copytree(edition.folder, tmp_path / edition.id))
    (other.ledger.folder / f"{TILES[1].name}.json").unlink()
    with pytest.raises(InputError, match=f"tile {TILES[1].name} is not mapped yet"):
        kept_observed(other)
    assert not kept_at(other).exists()
