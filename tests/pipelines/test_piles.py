"""Harvest piles: cells of pictures, date by date, beside cropland in one run; what is not wholly pictured is nodata."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from stook.models.errors import InputError, UnreachableError
from stook.transforms.editions.edition import Edition
from stook.transforms.editions.map_store import open_layer
from stook.transforms.editions.season_folder import SeasonFolder
from stook.transforms.values import NODATA
from tests.pipelines.command import Told, stook
from tests.pipelines.small_season import ABSENT, PILE_CELL_M, PILES, SmallSeason, write_pile_bundle

ZONE = "32636"


def run(season: SmallSeason, *words: str) -> Told:
    return stook("map", season.config, "--year", season.year, *words)


def published(season: SmallSeason) -> Edition:
    found = SeasonFolder(season.output.parents[1], season.output.parent.name, season.output.name).current()
    assert found is not None
    return found


def layer(edition: Edition, name: str, cell_m: int = PILE_CELL_M) -> np.ndarray:
    return np.asarray(open_layer(edition.maps, ZONE, cell_m, name)[:])


def pictures(season: SmallSeason) -> list[Path]:
    """The STAC items of the pictures, oldest first."""
    return sorted((season.folder / "archive" / "highres-rgb").glob("*/*.json"), key=lambda path: path.name[-13:])


@pytest.fixture(scope="module")
def ready(pristine_season: SmallSeason, tmp_path_factory: pytest.TempPathFactory) -> SmallSeason:
    """Cropland of two dry months and piles of the two after the harvest; read only."""
    season = pristine_season.copy(tmp_path_factory.mktemp("piles") / "season").hurried(2, 1).narrowed()
    write_pile_bundle(season.folder / "piles")
    return season.configure(products__harvest_piles=PILES, run={"mode": "memory"})


@pytest.fixture(scope="module")
def mapped(ready: SmallSeason, tmp_path_factory: pytest.TempPathFactory) -> SmallSeason:
    season = ready.copy(tmp_path_factory.mktemp("mapped") / "season")
    assert run(season).status == 0
    return season


@pytest.mark.slow
def test_cells_that_no_date_pictures_wholly_are_nodata_and_the_others_know_how_many_dates(mapped: SmallSeason) -> None:
    edition = published(mapped)
    percent, dates = layer(edition, "harvest_piles"), layer(edition, "harvest_piles_dates")
    assert ((percent == NODATA) == (dates == NODATA)).all()
    assert set(np.unique(dates)) <= {1, 2, 3, NODATA} and {1, 2} & set(np.unique(dates))
    assert 0 < (percent != NODATA).sum() < percent.size
    assert len(np.unique(percent[percent != NODATA])) > 5


def test_cells_are_counted_once_and_add_up_to_parents(mapped: SmallSeason) -> None:
    table = pd.read_parquet(published(mapped).folder / "statistics.parquet")
    piles = table[table["product"] == "harvest_piles"]
    units, whole = piles[piles["level"] == "unit"], piles[piles["level"] == "region"].iloc[0]
    for column in ("cells", "cells_mapped", "cells_of_class", "mapped_dm2", "total_dm2", "not_mapped_no_imagery_dm2"):
        assert units[column].sum() == whole[column], column
    assert 0 < whole["cells_mapped"] < whole["cells"]
    assert whole["share_of_cells"] == pytest.approx(whole["cells_of_class"] / whole["cells_mapped"])
    assert table[table["product"] == "cropland"]["cells"].isna().all()


def test_probabilities_of_the_best_date_are_never_summed_to_hectares(mapped: SmallSeason) -> None:
    table = pd.read_parquet(published(mapped).folder / "statistics.parquet")
    assert table[table["product"] == "harvest_piles"]["expected_ha"].isna().all()


@pytest.mark.slow
def test_without_a_product_of_composites_no_band_is_missed(ready: SmallSeason, tmp_path: Path) -> None:
    season = ready.copy(tmp_path / "season").configure(products__cropland=ABSENT)
    told = run(season, "--quiet")
    assert told.status == 0 and "bands_absent" not in told.output
    assert published(season).manifest["absent_bands"] == []


def test_an_archive_of_pictures_that_does_not_answer_costs_no_cropland(ready: SmallSeason, tmp_path: Path) -> None:
    season = ready.copy(tmp_path / "season")
    for path in pictures(season):
        item = json.loads(path.read_text())
        item["assets"]["rgb"]["href"] = "http://127.0.0.1:9/rgb.tif"
        path.write_text(json.dumps(item))
    season.configure(run__attempts=1)
    with pytest.raises(UnreachableError, match="progress is saved"):
        run(season)
    [edition] = SeasonFolder(season.output.parents[1], season.output.parent.name, season.output.name).editions()
    records = list(edition.ledger.records())
    assert records and all(list(record.products) == ["cropland"] for record in records)
    assert all(record.products["cropland"].status == "done" for record in records)


@pytest.mark.slow
def test_the_maximum_of_the_dates_is_never_below_their_mean(ready: SmallSeason, tmp_path: Path) -> None:
    maps = []
    for combination in ("maximum", "mean"):
        season = ready.copy(tmp_path / combination)
        season.configure(products__harvest_piles={**PILES, "combination": combination}, products__cropland=ABSENT)
        assert run(season).status == 0
        edition = published(season)
        maps.append(layer(edition, "harvest_piles").astype(int))
        dates = layer(edition, "harvest_piles_dates")
    most, mean = maps
    assert (most >= mean).all() and (most > mean)[(dates > 1) & (dates != NODATA)].any()
    assert (most == mean)[dates == 1].all()


@pytest.mark.slow
@pytest.mark.parametrize(("kept", "told"), [(0.5, "rgb"), pytest.param(0.0, "missing asset", marks=pytest.mark.slow)])
def test_pictures_that_cannot_be_read_fail_piles_alone_and_once_mended_only_they_are_made(
    ready: SmallSeason, tmp_path: Path, kept: float, told: str
) -> None:
    season = ready.copy(tmp_path / "season")
    whole = {file: file.read_bytes() for item in pictures(season) for file in item.parent.glob("*.tif")}
    for file, content in whole.items():
        file.unlink()
        if kept:
            file.write_bytes(content[: int(kept * len(content))])
    assert run(season).status == 3
    [edition] = SeasonFolder(season.output.parents[1], season.output.parent.name, season.output.name).editions()
    before = {record.tile: record.products for record in edition.ledger.records()}
    failed = [tile for tile, products in before.items() if products["harvest_piles"].status == "failed"]
    assert failed and told in (before[failed[0]]["harvest_piles"].error or "")
    assert all(products["cropland"].status == "done" for products in before.values())
    for file, content in whole.items():
        file.write_bytes(content)
    assert run(season).status == 0
    for record in edition.ledger.records():
        assert not record.failed and record.products["cropland"] == before[record.tile]["cropland"]


@pytest.mark.slow
def test_a_new_picture_changes_piles_and_leaves_cropland_as_it_is(ready: SmallSeason, tmp_path: Path) -> None:
    editions = []
    for name, taken_out in (("fewer", 1), ("all", 0)):
        season = ready.copy(tmp_path / name)
        forget(season, pictures(season)[:taken_out])
        assert run(season).status == 0
        editions.append({record.tile: record.products for record in published(season).ledger.records()})
    fewer, every = editions
    assert all(fewer[tile]["cropland"].fingerprint == every[tile]["cropland"].fingerprint for tile in every)
    assert any(fewer[tile]["harvest_piles"].fingerprint != every[tile]["harvest_piles"].fingerprint for tile in every)


def forget(season: SmallSeason, items: list[Path]) -> None:
    """Take items out of the collection of pictures."""
    collection = season.folder / "archive" / "highres-rgb" / "collection.json"
    content = json.loads(collection.read_text())
    names = {item.name for item in items}
    content["links"] = [link for link in content["links"] if Path(link["href"]).name not in names]
    collection.write_text(json.dumps(content))
    for item in items:
        shutil.rmtree(item.parent)


@pytest.mark.slow
def test_the_map_is_the_same_whatever_the_size_of_the_tiles(ready: SmallSeason, tmp_path: Path) -> None:
    found = []
    for size in (50, 100):
        season = ready.copy(tmp_path / str(size)).configure(grid__tile_px=size, products__cropland=ABSENT)
        assert run(season).status == 0
        edition = published(season)
        array = open_layer(edition.maps, ZONE, PILE_CELL_M, "harvest_piles")
        west, north = array.attrs["spatial:transform"][2], array.attrs["spatial:transform"][5]
        values = np.asarray(array[:])
        rows, columns = np.nonzero(values != NODATA)
        found.append({(west + column * PILE_CELL_M, north - row * PILE_CELL_M): int(values[row, column])
                      for row, column in zip(rows, columns, strict=True)})  # fmt: skip
    small, large = found
    assert small.keys() == large.keys() and len(small) > 20
    assert max(abs(small[place] - large[place]) for place in small) <= 1


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"imagery__rgb": ABSENT}, "products.harvest_piles.bundle: .* sees pictures of 5 m; imagery.rgb is missing"),
        ({"imagery__rgb__collection": "sentinel-2-l2a"}, "imagery.rgb: no scene of sentinel-2-l2a .* has an asset rgb"),
        ({"imagery__rgb__profile": "visual-8bit"}, "imagery.rgb: no scene of highres-rgb .* has an asset visual"),
        ({"grid__tile_px": 16}, "grid.tile_px: 16; cells of harvest_piles are 5 pixels wide and must divide it"),
        (
            {"products__harvest_piles__window": {"start": {"month": 11, "year": -1}, "months": 2}},
            "imagery.rgb: .* has no scene of highres-rgb over .* from 2022-11-01 to 2023-01-01",
        ),
        ({"products__harvest_piles__bundle": "bundle"}, "products.harvest_piles.bundle: .* is for cropland, not harv"),
    ],
)
def test_what_does_not_suit_is_one_line(ready: SmallSeason, tmp_path: Path, fields: dict[str, Any], told: str) -> None:
    season = ready.copy(tmp_path / "season").configure(**fields)
    with pytest.raises(InputError, match=told):
        run(season)
    assert not list(season.output.glob("*/edition.json"))
