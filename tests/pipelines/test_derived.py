"""Smoothed cropland and farmed cells made from the maps of the same run, published only with all of them."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import rasterio
import shapely

from stook.models.errors import InputError
from stook.pipelines import map as map_pipeline
from stook.pipelines.progress import JsonReporter, SilentReporter
from stook.transforms.editions.farmed import COLOURS, LEGEND, farmed
from stook.transforms.editions.ledger import Ledger
from stook.transforms.editions.map_store import open_layer
from stook.transforms.editions.plan import FarmedRule, SmoothingRule
from stook.transforms.editions.season_folder import SeasonFolder
from stook.transforms.ground.grid import Tile
from stook.transforms.tiles.smoothing import smoothed
from stook.transforms.values import NODATA
from tests.pipelines.command import assert_same_maps, stook
from tests.pipelines.small_season import NOVEMBER, PILE_CELL_M, SmallSeason, write_pile_bundle
from tests.pipelines.test_piles import published, run

TILES = 2
ZONES = ("32636", "32637")
LEASE: Any = SimpleNamespace(run="run")
SMOOTHING = {"majority_px": 3, "minimum_mapping_unit_ha": 0.05}


@pytest.fixture(scope="module")
def ready(pristine_season: SmallSeason, tmp_path_factory: pytest.TempPathFactory) -> SmallSeason:
    """Cropland of two dry months, smoothed, piles of the two after the harvest, and farmed cells; read only."""
    season = pristine_season.copy(tmp_path_factory.mktemp("derived") / "season").hurried(2, 1).narrowed()
    write_pile_bundle(season.folder / "piles", months=1)
    season.configure(products__cropland__smoothing=SMOOTHING, products__farmed_cells={"least_cropland_percent": 20})
    return season.configure(products__harvest_piles=NOVEMBER, run={"mode": "memory"})


@pytest.fixture(scope="module")
def mapped(ready: SmallSeason, tmp_path_factory: pytest.TempPathFactory) -> SmallSeason:
    """The season mapped and published; read only."""
    season = ready.copy(tmp_path_factory.mktemp("mapped") / "season")
    told = run(season, "--quiet")
    assert told.status == 0
    assert told.event("derivation_started")["products"] == ["cropland_smoothed", "farmed_cells"]
    finished = told.event("run_finished")
    assert (finished["computed"], finished["derived"], finished["failed"]) == (TILES, TILES, 0)
    return season


def test_the_published_maps_are_made_from_each_other(mapped: SmallSeason) -> None:
    edition = published(mapped)
    for zone in ZONES:
        percent = np.asarray(open_layer(edition.maps, zone, 10, "cropland")[:])
        piles = np.asarray(open_layer(edition.maps, zone, PILE_CELL_M, "harvest_piles")[:])
        classes = smoothed(percent, SmoothingRule(50, 3, 5))
        np.testing.assert_array_equal(open_layer(edition.maps, zone, 10, "cropland_smoothed")[:], classes)
        codes = farmed(classes, piles, FarmedRule(50, 20, 50))
        np.testing.assert_array_equal(open_layer(edition.maps, zone, PILE_CELL_M, "farmed_cells")[:], codes)
        assert (codes != NODATA).any()


def test_the_edition_says_whose_licence_they_carry_and_that_they_are_no_probabilities(mapped: SmallSeason) -> None:
    manifest = published(mapped).manifest
    assert manifest["licences"]["farmed_cells"] == manifest["licences"]["cropland"] == "Apache-2.0"
    assert manifest["calibrated"]["cropland_smoothed"] is manifest["calibrated"]["farmed_cells"] is False


def test_the_table_is_printed_with_cells_and_written_with_how_they_are_known(mapped: SmallSeason) -> None:
    told = stook("statistics", mapped.config, "--year", mapped.year, "--threshold", 70)
    for words in (
        "cropland_smoothed, main-2023, at 50 % or more",
        "harvest_piles, main-2023, at 70 % or more",
        "class cells",
        "areas of whole cells, not of fields; not a design-based estimate",
    ):
        assert words in told.output, told.output
    known = pd.read_csv(published(mapped).folder / "farmed_cells.csv")
    table = pd.read_csv(published(mapped).folder / "statistics.csv")
    [row] = table[(table["level"] == "region") & (table["product"] == "farmed_cells")].to_dict("records")
    assert known[known["level"] == "region"]["area_dm2"].sum() == row["total_dm2"]


def test_a_layer_of_the_users_is_printed_and_written_beside_the_places(mapped: SmallSeason, tmp_path: Path) -> None:
    zones, table = tmp_path / "zones.gpkg", tmp_path / "table.csv"
    half = shapely.box(35.9, 8.9, 35.999, 9.1)
    gpd.GeoDataFrame({"livelihood": ["[pastoral]"]}, geometry=[half], crs=4326).to_file(zones)
    told = stook("statistics", mapped.config, "--year", mapped.year, "--by", f"{zones}:livelihood", "--to", table)
    assert told.status == 0
    for words in ("zones.gpkg:livelihood", "[pastoral]", "(none)", "class cells"):
        assert words in told.output, told.output
    crossed = pd.read_csv(table)
    assert list(crossed)[:5] == ["level", "id", "name", "layer", "value"]
    whole = pd.read_csv(published(mapped).folder / "statistics.csv")
    keys, exact = ["product", "level", "id"], [column for column in whole if column.endswith("_dm2")]
    pd.testing.assert_frame_equal(
        crossed.groupby(keys)[exact].sum(), whole.set_index(keys)[exact].sort_index(), check_exact=True
    )
    assert set(crossed[crossed["id"] == "east"]["value"]) == {"(none)"}


def test_a_table_of_another_kind_is_refused_before_anything_is_summed(mapped: SmallSeason, tmp_path: Path) -> None:
    for words in ((), ("--from-maps",), ("--by", "nowhere.tif")):
        with pytest.raises(InputError, match=r"--to .*table.xlsx: write .csv"):
            stook("statistics", mapped.config, "--year", mapped.year, *words, "--to", tmp_path / "table.xlsx")


def test_another_threshold_needs_another_edition_where_it_is_smoothed_at(mapped: SmallSeason, tmp_path: Path) -> None:
    other = mapped.copy(tmp_path / "season").configure(products__cropland__threshold=60)
    told = r"another configuration \(farmed_cells or the thresholds .*, the smoothing of cropland or its .* differ\); "
    told += "run 'stook map', or put the configuration back: a threshold that maps are made at is part of the edition"
    with pytest.raises(InputError, match=told):
        stook("statistics", other.config, "--year", other.year)


@pytest.mark.slow
def test_a_run_stopped_between_the_stages_is_finished_by_the_next(
    ready: SmallSeason, mapped: SmallSeason, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    season = ready.copy(tmp_path / "season")

    def killed(*_: Any) -> int:
        raise InputError("killed")

    monkeypatch.setattr(map_pipeline, "derive_tiles", killed)
    with pytest.raises(InputError, match="killed"):
        run(season)
    monkeypatch.undo()
    home = SeasonFolder(season.output.parents[1], season.output.parent.name, season.output.name)
    assert home.current() is None
    season.configure(run={"mode": "threads", "workers": 2})
    finished = run(season, "--quiet").event("run_finished")
    assert (finished["computed"], finished["derived"], finished["published"]) == (0, TILES, True)
    assert_same_maps(published(season), published(mapped))


@pytest.mark.slow
def test_a_failed_tile_is_told_once_with_its_first_cause(ready: SmallSeason, tmp_path: Path) -> None:
    season = ready.copy(tmp_path / "season")
    for picture in (season.folder / "archive" / "highres-rgb").glob("*/*.tif"):
        picture.unlink()
    told = run(season, "--quiet")
    assert told.status == 3
    failed = [event for event in told.events if event["event"] == "tile_failed"]
    assert len(failed) == len({event["tile"] for event in failed}) > 0
    assert all("missing asset" in event["cause"] for event in failed)
    [edition] = SeasonFolder(season.output.parents[1], season.output.parent.name, season.output.name).editions()
    for record in edition.ledger.records():
        assert record.products["cropland_smoothed"].status == "done"
        assert record.products["farmed_cells"].status == record.products["harvest_piles"].status


def test_no_second_stage_runs_where_nothing_is_derived(monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[object] = []
    monkeypatch.setattr(map_pipeline, "run_stage", lambda *stage: ran.append(stage))
    journal: Any = SimpleNamespace(edition=SimpleNamespace(plan=SimpleNamespace(derived=())), config=None)
    map_pipeline.derive_tiles(journal, LEASE, JsonReporter())
    assert ran == []


def test_no_second_stage_runs_where_nothing_derived_is_due(
    mapped: SmallSeason, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(map_pipeline, "run_stage", None)
    journal: Any = SimpleNamespace(edition=published(mapped), config=None)
    map_pipeline.derive_tiles(journal, LEASE, JsonReporter())
    assert capsys.readouterr().out == ""


def test_a_finished_edition_is_told_of_without_reading_records_one_by_one(
    mapped: SmallSeason, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Ledger, "_record", None)
    [state] = stook("status", mapped.config, "--json").events
    assert state["complete"] and state["products"]["farmed_cells"]["done"] == TILES
    assert stook("statistics", mapped.config, "--year", mapped.year).status == 0
    assert run(mapped, "--quiet").event("nothing_to_do")["failed"] == 0


def test_the_second_stage_runs_over_the_tiles_that_lack_something_only(
    mapped: SmallSeason, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    edition = published(mapped.copy(tmp_path / "season"))
    *_, last = edition.manifest["tiles"]
    record, version = edition.ledger.held(Tile.parse(last))
    assert record is not None
    kept = {name: made for name, made in record.products.items() if name != "farmed_cells"}
    edition.ledger.commit(replace(record, products=kept), version)
    ran: list[list[str]] = []
    monkeypatch.setattr(map_pipeline, "run_stage", lambda task, tiles, *_: ran.append(tiles))
    journal: Any = SimpleNamespace(edition=edition, config=SimpleNamespace(run=None), signals=None)
    map_pipeline.derive_tiles(journal, LEASE, SilentReporter())
    assert ran == [[last]]


def test_exports_carry_the_legend_and_the_colours_of_codes(mapped: SmallSeason, tmp_path: Path) -> None:
    assert stook("export", mapped.config, "--year", mapped.year, "--to", tmp_path).status == 0
    with rasterio.open(tmp_path / "simulated_main-2023_farmed_cells_32637.tif") as file:
        tags, colours = file.tags(), file.colormap(1)
        assert {code: tags[f"legend_{code}"] for code in LEGEND} == LEGEND
        assert {code: colours[code] for code in LEGEND} == {code: (*colour, 255) for code, colour in COLOURS.items()}
        assert colours[8][:3] == (0, 0, 0) and colours[NODATA][3] == 0
        assert tags["made_from"] == "cropland_smoothed, harvest_piles" and tags["least_cropland_percent"] == "20"
        assert "bundle" not in tags and tags["licence"] == "Apache-2.0"
    with rasterio.open(tmp_path / "simulated_main-2023_cropland_smoothed_32637.tif") as file:
        assert (file.tags()["minimum_mapping_unit_ha"], file.tags()["legend_100"]) == ("0.05", "cropland")
    with rasterio.open(tmp_path / "simulated_main-2023_farmed_cells.vrt") as file:
        assert file.colormap(1)[4] == (*COLOURS[4], 255)
    assert f"<Category>{LEGEND[7]}</Category>" in (tmp_path / "simulated_main-2023_farmed_cells.vrt").read_text()
