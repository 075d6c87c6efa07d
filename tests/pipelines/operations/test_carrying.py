"""A successor takes over every map whose inputs, model and settings are unchanged, and computes only the others."""

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import geopandas as gpd
import pandas as pd
import pytest

from stook.models.bundle import Conditions
from stook.models.errors import InputError
from stook.pipelines.season import season_folder
from stook.transforms.editions.edition import MANIFEST, Edition
from stook.transforms.editions.ledger import ProductRecord
from stook.transforms.editions.map_store import TileOfLayer
from stook.transforms.statistics.table import statistics
from stook.transforms.tiles.carrying import Predecessor
from tests.pipelines.command import Told, arrays, assert_same_maps, stook
from tests.pipelines.small_season import NOVEMBER, SmallSeason, write_pile_bundle, write_random_bundle


def stook_map(season: SmallSeason, *options: str) -> Told:
    return stook("map", season.config, "--year", season.year, "--quiet", *options)


def edition_of(season: SmallSeason) -> Edition:
    edition = season_folder(season.configuration, season.year).current()
    assert edition is not None
    return edition


def carried(edition: Edition) -> set[tuple[str, str]]:
    """Tile and product of what was taken over."""
    return {
        (record.tile, name)
        for record in edition.ledger.records()
        for name, product in record.products.items()
        if product.carried
    }


@pytest.fixture(scope="module")
def mapped(pristine_season: SmallSeason, tmp_path_factory: pytest.TempPathFactory) -> SmallSeason:
    """A small region with cropland, smoothed cropland, piles and farmed cells, published; read only."""
    season = pristine_season.copy(tmp_path_factory.mktemp("carried") / "season").hurried(2, 1).narrowed()
    write_pile_bundle(season.folder / "piles", months=1)
    season.configure(
        products__harvest_piles=NOVEMBER,
        products__farmed_cells={},
        products__cropland__smoothing={"minimum_mapping_unit_ha": 0.1},
        run={"mode": "memory"},
    )
    assert stook_map(season).status == 0
    return season


@pytest.fixture
def again(mapped: SmallSeason, tmp_path: Path) -> SmallSeason:
    return mapped.copy(tmp_path / "season")


def shards(edition: Edition) -> dict[str, int]:
    """Path -> inode of every shard."""
    files = (path for path in edition.maps.rglob("*") if path.is_file())
    return {str(path.relative_to(edition.maps)): path.stat().st_ino for path in files if "/c/" in str(path)}


@pytest.mark.slow
def test_nothing_is_taken_over_if_all_is_to_be_computed_anew(again: SmallSeason) -> None:
    first = edition_of(again)
    told = stook_map(again, "--no-reuse").event("run_finished")
    second = edition_of(again)
    assert second != first and carried(second) == set()
    assert told["computed"] == len(second.manifest["tiles"]) and told["carried"] == 0
    assert_same_maps(first, second)


def test_a_refresh_without_anything_new_computes_nothing(again: SmallSeason) -> None:
    before = edition_of(again)
    told = stook_map(again, "--refresh").event("run_finished")
    after = edition_of(again)
    assert after != before and (told["computed"], told["derived"], told["carried"]) == (0, 0, 2)
    assert_same_maps(before, after)
    images = {path: inode for path, inode in shards(before).items() if "/x/" not in path and "/y/" not in path}
    assert images and all(shards(after)[path] == inode for path, inode in images.items())
    thresholds = {"cropland": 50, "harvest_piles": 50}
    pd.testing.assert_frame_equal(statistics(before, thresholds), statistics(after, thresholds))


@pytest.mark.slow
def test_what_was_carried_twice_still_names_the_edition_that_computed_it(again: SmallSeason) -> None:
    first = edition_of(again)
    for _ in range(2):
        stook_map(again, "--refresh")
    records = list(edition_of(again).ledger.records())
    assert {product.carried for record in records for product in record.products.values()} == {first.id}


@pytest.mark.slow
def test_a_new_model_of_one_product_computes_that_product_and_what_is_made_from_it(again: SmallSeason) -> None:
    before = edition_of(again)
    write_random_bundle(again.folder / "bundle", Conditions(1, 2), seed=99)
    told = stook_map(again).event("run_finished")
    after = edition_of(again)
    assert after != before and (told["computed"], told["derived"]) == (2, 2)
    assert {name for _, name in carried(after)} == {"harvest_piles"}
    fresh = again.copy(again.folder.parent / "fresh")
    stook_map(fresh.configure(output="elsewhere"))
    assert_same_maps(after, edition_of(fresh))


def test_another_smoothing_computes_no_model(again: SmallSeason) -> None:
    again.configure(products__cropland__smoothing={"majority_px": 5, "minimum_mapping_unit_ha": 0.3})
    told = stook_map(again).event("run_finished")
    assert (told["computed"], told["derived"], told["carried"]) == (0, 2, 2)
    # Farmed cells are made from smoothed cropland.
    assert {name for _, name in carried(edition_of(again))} == {"cropland", "harvest_piles"}


@pytest.mark.slow
def test_other_units_count_areas_anew_and_map_nothing(again: SmallSeason) -> None:
    before = edition_of(again)
    districts = gpd.read_file(again.folder / "districts.geojson")
    districts["unit_id"] = [f"renamed {name}" for name in districts["unit_id"]]
    districts.to_file(again.folder / "districts.geojson", driver="GeoJSON")
    told = stook_map(again).event("run_finished")
    after = edition_of(again)
    assert after != before and (told["computed"], told["carried"]) == (0, 2)
    thresholds = {"cropland": 50, "harvest_piles": 50}
    old, new = (statistics(edition, thresholds) for edition in (before, after))
    assert set(new[new["level"] == "unit"]["id"]) == {f"renamed {name}" for name in old[old["level"] == "unit"]["id"]}
    columns = [name for name in old.columns if name.endswith("_dm2") or name.startswith("cells")]
    pd.testing.assert_frame_equal(old[columns], new[columns])


@pytest.mark.slow
def test_areas_are_counted_although_the_edition_before_is_removed_meanwhile(
    again: SmallSeason, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, count = edition_of(again), Predecessor._counted_anew
    old = statistics(before, {"cropland": 50, "harvest_piles": 50})
    districts = gpd.read_file(again.folder / "districts.geojson")
    districts["unit_id"] = [f"renamed {name}" for name in districts["unit_id"]]
    districts.to_file(again.folder / "districts.geojson", driver="GeoJSON")

    def removed_meanwhile(self: Predecessor, *arguments: Any) -> ProductRecord:
        (before.folder / MANIFEST).unlink(missing_ok=True)
        for shard in shards(before):
            (before.maps / shard).unlink(missing_ok=True)
        return count(self, *arguments)

    monkeypatch.setattr(Predecessor, "_counted_anew", removed_meanwhile)
    assert stook_map(again).event("run_finished")["published"]
    assert carried(edition_of(again))  # what was linked before; the rest is made anew
    new = statistics(edition_of(again), {"cropland": 50, "harvest_piles": 50})
    columns = [name for name in old.columns if name.endswith("_dm2") or name.startswith("cells")]
    pd.testing.assert_frame_equal(old[columns], new[columns])


def older(edition: Edition) -> None:
    """Make an edition one of an older version, with records of another form."""
    manifest = edition.manifest
    manifest["plan"]["processing"] -= 1
    (edition.folder / MANIFEST).write_text(json.dumps(manifest))
    spoil_records(edition)


def spoil_records(edition: Edition) -> None:
    for record in edition.ledger.folder.glob("*.json"):
        record.write_text('{"tile": "in another form"}')


def remove_maps(edition: Edition) -> None:
    shutil.rmtree(edition.maps)


@pytest.mark.parametrize(
    "spoil", [older, *(pytest.param(spoil, marks=pytest.mark.slow) for spoil in (spoil_records, remove_maps))]
)
def test_what_cannot_be_taken_over_is_made_anew(spoil: Callable[[Edition], None], again: SmallSeason) -> None:
    before = edition_of(again)
    maps = arrays(before)
    spoil(before)
    told = stook_map(again, "--refresh").event("run_finished")
    after = edition_of(again)
    assert after != before and (told["computed"], told["carried"]) == (2, 0)
    assert all((arrays(after)[path] == values).all() for path, values in maps.items())


def test_nothing_is_taken_over_from_an_older_version(again: SmallSeason) -> None:
    first = edition_of(again)
    stook_map(again, "--refresh")
    after = edition_of(again)
    assert Predecessor.of(after) is not None
    older(first)
    assert Predecessor.of(after) is None


@contextmanager
def without_pictures(season: SmallSeason) -> Iterator[None]:
    """The season whose archive has lost its pictures for the length of the block."""
    pictures = list((season.folder / "archive" / "highres-rgb").glob("*/*.tif"))
    for picture in pictures:
        picture.rename(picture.with_suffix(".lost"))
    yield
    for picture in pictures:
        picture.with_suffix(".lost").rename(picture)


@pytest.mark.slow
def test_what_failed_is_not_carried(again: SmallSeason) -> None:
    again.configure(publish__most_failed_share=1.0, products__harvest_piles__minimum_observations=0)
    with without_pictures(again):
        before = stook_map(again)
    told = stook_map(again, "--refresh").event("run_finished")
    assert told["computed"] == before.event("run_finished")["failed"] > 0 and told["failed"] == 0
    assert {name for _, name in carried(edition_of(again))} == {"cropland", "cropland_smoothed"}


@pytest.mark.slow
def test_what_is_removed_while_it_is_taken_over_is_computed_again(
    again: SmallSeason, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = edition_of(again)
    before, link = arrays(first), TileOfLayer.link

    def removed_meanwhile(new: TileOfLayer, old: TileOfLayer) -> None:
        (first.folder / "edition.json").unlink(missing_ok=True)
        for shard in old.shards():
            shard.unlink(missing_ok=True)
        link(new, old)

    monkeypatch.setattr(TileOfLayer, "link", removed_meanwhile)
    assert stook_map(again, "--refresh").event("run_finished")["carried"] == 0
    after = arrays(edition_of(again))
    assert all((after[path] == values).all() for path, values in before.items())


def test_a_published_map_survives_what_happens_to_its_successor(again: SmallSeason) -> None:
    before = edition_of(again)
    values, content = arrays(before), {path: (before.maps / path).stat().st_size for path in shards(before)}
    stook_map(again, "--refresh")
    after = edition_of(again)
    for path in shards(after):
        (after.maps / path).unlink()
    assert {path: (before.maps / path).stat().st_size for path in shards(before)} == content
    assert all((array == values[path]).all() for path, array in arrays(before).items())


@pytest.mark.parametrize("tolerated", [0.0, pytest.param(1.0, marks=pytest.mark.slow)])
def test_retry_does_the_failed_tiles_alone_from_the_scenes_of_the_first_time(
    tolerated: float, again: SmallSeason
) -> None:
    again.configure(publish__most_failed_share=tolerated, products__harvest_piles__minimum_observations=0)
    with without_pictures(again):
        failed = stook_map(again).event("run_finished")["failed"]
    edition = season_folder(again.configuration, again.year).editions()[-1]
    told = stook("retry", again.config, "--year", again.year, "--quiet").event("run_finished")
    assert told["computed"] == failed > 0 and told["failed"] == 0 and told["published"]
    after = edition_of(again)
    assert (after == edition) == (tolerated == 0.0)  # a published edition never changes
    assert after.inputs.read_bytes() == edition.inputs.read_bytes()
    with pytest.raises(InputError, match="no tile has failed; there is nothing to do again"):
        stook("retry", again.config, "--year", again.year)
