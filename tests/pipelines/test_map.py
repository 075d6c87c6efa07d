"""``stook map`` from the archive to published maps and areas, on the small simulated season."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import rasterio
from pyproj import Geod

from stook.models.errors import InputError
from stook.pipelines.opening import open_edition
from stook.pipelines.progress import JsonReporter
from stook.pipelines.season import plan_of, published_edition, region_of, season_folder
from stook.transforms.editions import map_store
from stook.transforms.editions.edition import Edition
from stook.transforms.editions.kept_models import kept_model
from stook.transforms.editions.season_folder import SeasonFolder
from stook.transforms.ground.areas import TileCoverage
from stook.transforms.ground.grid import Tile
from stook.transforms.store import read_json
from stook.transforms.tiles.materials import Machine
from stook.transforms.tiles.tile_job import TileJob
from stook.transforms.values import NODATA
from tests.pipelines.command import Told, arrays, assert_same_maps, stook
from tests.pipelines.small_season import SmallSeason, write_random_bundle

TILES = 8
LAYERS = ("cropland", "cropland_clear_observations")


def stook_map(season: SmallSeason, *options: str) -> Told:
    return stook("map", season.config, "--year", season.year, "--quiet", *options)


def folder_of(season: SmallSeason) -> SeasonFolder:
    return season_folder(season.configuration, season.year)


def edition_of(season: SmallSeason) -> Edition:
    return published_edition(season.configuration, season.year)


def assert_same_table(one: pd.DataFrame, other: pd.DataFrame) -> None:
    """Equal to the digits that CSV keeps, and in how they write that there is nothing."""
    one, other = (table.astype(object).fillna("") for table in (one, other))
    pd.testing.assert_frame_equal(one, other, check_dtype=False, rtol=1e-6)


@pytest.fixture(scope="module")
def copy_of_season(pristine_season: SmallSeason, tmp_path_factory: pytest.TempPathFactory) -> Callable[[], SmallSeason]:
    """Gives copies of the small season, with a short window and fewer tiles, as far east of the meridian as west."""

    def copy() -> SmallSeason:
        season = pristine_season.copy(tmp_path_factory.mktemp("map") / "season")
        return season.hurried().narrowed(east=36.0035).configure(grid__tile_px=50)

    return copy


@pytest.fixture(scope="module")
def mapped(copy_of_season: Callable[[], SmallSeason]) -> tuple[SmallSeason, Told]:
    """The season mapped and published, and what the run told; read only."""
    season = copy_of_season()
    return season, stook_map(season)


@pytest.fixture
def edition(mapped: tuple[SmallSeason, Told]) -> Edition:
    return edition_of(mapped[0])


@pytest.fixture
def table(edition: Edition) -> pd.DataFrame:
    return pd.read_csv(edition.folder / "statistics.csv")


def test_a_season_is_mapped_whole_recorded_and_published(mapped: tuple[SmallSeason, Told], edition: Edition) -> None:
    season, told = mapped
    assert told.status == 0
    assert told.event("run_finished")["computed"] == TILES
    assert told.event("run_finished")["published"] is True
    ledger = pq.read_table(edition.folder / "ledger.parquet").to_pylist()
    assert {row["tile"] for row in ledger} == set(edition.manifest["tiles"])
    assert {row["status"] for row in ledger} == {"done"}
    assert edition.ledger.begun() == {}
    assert "ended" in read_json(season.output / "lease.json")


def test_pixels_of_the_region_are_mapped_and_no_others(edition: Edition) -> None:
    manifest, plan = edition.manifest, edition.plan
    region = region_of_edition(edition)
    tiles = [Tile.parse(name) for name in manifest["tiles"]]
    extents = map_store.extents(tiles)
    for tile in tiles:
        owned = TileCoverage.of(region, plan.grid, tile).owned
        window = extents[tile.zone].slices(plan.grid, tile)
        percent, clear = (map_store.open_layer(edition.maps, tile.zone.name, 10, layer)[window] for layer in LAYERS)
        assert (percent[owned] <= 100).all(), tile.name
        assert (clear[owned] <= 3).all(), tile.name
        assert (percent[~owned] == NODATA).all() and (clear[~owned] == NODATA).all(), tile.name


def region_of_edition(edition: Edition) -> Any:
    return TileJob(edition, Machine()).materials.region


def test_schedulers_get_one_json_object_a_line_that_follows_the_ledger(mapped: tuple[SmallSeason, Told]) -> None:
    _, told = mapped
    assert told.event("tile_done")["seconds"]["read"] > 0
    follow_the_ledger = ("tiles_progress", "tile_done")
    assert [event["event"] for event in told.events if event["event"] not in follow_the_ledger] == [
        "run_started",
        "search_started",
        "edition_opened",
        "published",
        "run_finished",
    ]
    assert all({"time", "event", "message"} <= event.keys() for event in told.events)
    done = [event["done"] for event in told.events if event["event"] == "tiles_progress"]
    assert done == sorted(done) and done[-1] == TILES


def test_areas_of_units_add_up_exactly_and_are_the_polygons_own(
    mapped: tuple[SmallSeason, Told], table: pd.DataFrame
) -> None:
    season, _ = mapped
    columns = [column for column in table.columns if column.endswith("_dm2")]
    units = table[table["level"] == "unit"].set_index("id")
    region = region_of(season.configuration)
    parents = {unit.id: unit.parents for unit in region.units}
    for _, row in table[table["level"].str.startswith("parent")].iterrows():
        members = [unit for unit, above in parents.items() if row["id"] in above]
        assert (units.loc[members, columns].sum() == row[columns]).all(), row["id"]
    [whole] = table[table["level"] == "region"].to_dict("records")
    assert (units[columns].sum() == pd.Series(whole)[columns]).all()
    parts = ["mapped_dm2", *(column for column in columns if column.startswith("not_mapped_"))]
    assert (table[parts].sum(axis=1) == table["total_dm2"]).all()
    geod = Geod(ellps="WGS84")
    for unit in region.units:
        area_m2 = abs(geod.geometry_area_perimeter(unit.geometry)[0])
        assert units.loc[unit.id, "total_dm2"] / 100 == pytest.approx(area_m2, rel=1e-5), unit.id


def test_the_parquet_table_says_what_the_csv_says(edition: Edition, table: pd.DataFrame) -> None:
    assert_same_table(pd.read_parquet(edition.folder / "statistics.parquet"), table)
    assert set(table["method"]) == {"pixel count at a threshold; not a design-based estimate"}
    assert table["expected_ha"].isna().all()  # nothing was calibrated


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["memory", "processes"])
def test_the_map_is_the_same_in_every_mode(
    copy_of_season: Callable[[], SmallSeason], edition: Edition, mode: str
) -> None:
    season = copy_of_season().configure(run={"mode": mode})
    assert stook_map(season).event("run_finished")["computed"] == TILES
    assert_same_maps(edition_of(season), edition)


def test_a_finished_run_redone_computes_nothing(mapped: tuple[SmallSeason, Told], edition: Edition) -> None:
    season, _ = mapped
    told = stook_map(season)
    assert [event["event"] for event in told.events] == ["nothing_to_do", "run_finished"]
    assert told.event("run_finished")["computed"] == 0
    assert edition_of(season) == edition


@pytest.mark.slow
def test_an_edition_is_filled_by_one_run_continued_by_the_next_and_succeeded_by_a_refresh(
    copy_of_season: Callable[[], SmallSeason], edition: Edition
) -> None:
    season = copy_of_season()
    stook_map(season)
    (season.output / "current.json").unlink()
    folder = folder_of(season)
    [first] = folder.editions()
    with folder.lease(), pytest.raises(InputError, match="season locked by pid "):
        stook_map(season)
    told = stook_map(season)
    assert told.event("edition_continued")["edition"] == first.id
    assert told.event("run_finished")["computed"] == 0
    assert folder.current() == first

    assert stook_map(season, "--refresh").event("run_finished")["published"] is True
    second = edition_of(season)
    assert second.id != first.id and second.manifest["predecessor"] == first.id
    assert [folder.status(each) for each in (first, second)] == ["superseded", "published"]
    assert_same_maps(second, edition)


def test_a_season_that_is_not_over_is_refused_unless_provisional(season: SmallSeason) -> None:
    coming = datetime.now(UTC).year + 1
    with pytest.raises(InputError, match=f"--year {coming}: the window of this season is not over yet"):
        stook("map", season.config, "--year", coming)
    with pytest.raises(InputError, match="has no scene"):
        stook("map", season.config, "--year", coming, "--provisional")


def test_pixels_with_too_few_observations_are_nodata_and_their_area_is_told_apart(
    copy_of_season: Callable[[], SmallSeason], edition: Edition
) -> None:
    season = copy_of_season().configure(products__cropland__minimum_observations=1)
    assert stook_map(season).status == 0
    strict, lenient = arrays(edition_of(season)), arrays(edition)
    for zone in ("32636", "32637"):
        percent, clear = (strict[f"{zone}/10m/{layer}"] for layer in LAYERS)
        ground, enough = clear != NODATA, (clear >= 1) & (clear != NODATA)
        assert enough.any() and (ground & ~enough).any()
        np.testing.assert_array_equal(percent, np.where(enough, lenient[f"{zone}/10m/cropland"], NODATA))
        np.testing.assert_array_equal(clear, lenient[f"{zone}/10m/cropland_clear_observations"])
    whole = pd.read_parquet(edition_of(season).folder / "statistics.parquet").iloc[-1]
    assert whole["not_mapped_too_few_observations_dm2"] > 0
    assert whole["mapped_dm2"] + whole["not_mapped_too_few_observations_dm2"] == whole["total_dm2"]


@pytest.fixture(scope="module")
def damaged(copy_of_season: Callable[[], SmallSeason]) -> Iterator[tuple[SmallSeason, Any, Told]]:
    """A season with a block that one tile cannot decode, mapped once."""
    season = copy_of_season()
    damage = season.damage_one_tile()
    yield season, damage, stook_map(season)


@pytest.mark.slow
def test_a_tile_with_a_corrupt_file_fails_alone_and_a_mended_archive_needs_only_that_tile(
    damaged: tuple[SmallSeason, Any, Told], edition: Edition
) -> None:
    season, damage, told = damaged
    assert told.status == 3
    failed = told.event("tile_failed")
    assert failed["tile"] == damage.tile
    assert "corrupt asset red" in failed["cause"] and str(damage.file) in failed["cause"]
    assert told.event("run_finished")["failed"] == 1

    # Not published, for no share of the area may have failed.
    assert told.event("not_published")["failed_share"] > 0
    assert told.event("run_finished")["published"] is False
    [unpublished] = folder_of(season).editions()
    assert folder_of(season).current() is None
    with pytest.raises(InputError, match="no edition of this season is published; finish it with 'stook map'"):
        stook("statistics", season.config, "--year", season.year)

    # Nodata in the maps, failed in the areas, as before everywhere else.
    tile = Tile.parse(damage.tile)
    window = map_store.extents(Tile.parse(name) for name in unpublished.manifest["tiles"])[tile.zone].slices(
        unpublished.plan.grid, tile
    )
    for layer in LAYERS:
        found = map_store.open_layer(unpublished.maps, tile.zone.name, 10, layer)[:]
        expected = map_store.open_layer(edition.maps, tile.zone.name, 10, layer)[:]
        expected[window] = NODATA
        np.testing.assert_array_equal(found, expected)
    whole = pd.read_parquet(unpublished.folder / "statistics.parquet").iloc[-1]
    ground = TileCoverage.of(region_of_edition(unpublished), unpublished.plan.grid, tile)
    assert whole["not_mapped_failed_dm2"] == sum(ground.totals.values()) == whole["total_dm2"] - whole["mapped_dm2"]

    # Where the user allows it, the rest is published, and the status still says that something failed.
    season.configure(publish={"most_failed_share": 0.5})
    tolerated = stook_map(season)
    assert tolerated.status == 3
    assert tolerated.event("run_finished")["computed"] == 1  # a failed tile is tried again
    assert edition_of(season) == unpublished
    season.configure(publish={"most_failed_share": 0.0})
    (season.output / "current.json").unlink()

    damage.mend()
    mended = stook_map(season)
    assert mended.status == 0
    assert mended.event("run_finished")["computed"] == 1
    assert edition_of(season) == unpublished
    assert_same_maps(unpublished, edition)


def test_another_bundle_never_gets_into_an_open_edition(season: SmallSeason) -> None:
    config, folder = season.configuration, folder_of(season)
    region = region_of(config)
    before = plan_of(config, season.year, region, provisional=False)
    edition = open_edition(folder, before, region, JsonReporter())
    assert folder.find(before.key) == edition
    write_random_bundle(season.folder / "bundle", seed=6)
    assert TileJob(edition, Machine()).materials.bundles["cropland"].hash == before.products[0].model_hash
    write_random_bundle(Path(kept_model(edition, before.products[0]).path), seed=6)
    with pytest.raises(InputError, match="the model has changed since edition .* put it back, or use --refresh"):
        TileJob(edition, Machine())
    after = plan_of(config, season.year, region, provisional=False)
    assert folder.find(after.key) is None  # the next run opens an edition of its own


def test_a_new_threshold_gives_new_areas_without_mapping_again(
    mapped: tuple[SmallSeason, Told], table: pd.DataFrame, tmp_path: Path
) -> None:
    season, _ = mapped
    where = "statistics", season.config, "--year", season.year
    told = stook(*where, "--threshold", 60, "--to", tmp_path / "at-60.csv")
    assert told.status == 0
    assert "at 60 % or more" in told.output and "not a design-based estimate" in told.output
    for name in table["name"]:
        assert name in told.output
    stricter = pd.read_csv(tmp_path / "at-60.csv")
    assert set(stricter["threshold_percent"]) == {60}
    assert (stricter["area_dm2"] <= table["area_dm2"]).all() and (stricter["area_dm2"] < table["area_dm2"]).any()
    assert (stricter["total_dm2"] == table["total_dm2"]).all()
    stook(*where, "--to", tmp_path / "again.parquet")
    assert_same_table(pd.read_parquet(tmp_path / "again.parquet"), table)


@pytest.mark.parametrize(
    ("target", "reason"), [("table.txt", "write .csv or .parquet"), ("no/such/table.csv", "cannot be written")]
)
def test_a_table_that_cannot_be_written_is_refused(
    mapped: tuple[SmallSeason, Told], tmp_path: Path, target: str, reason: str
) -> None:
    season, _ = mapped
    with pytest.raises(InputError, match=f"--to .*{target}: .*{reason}"):
        stook("statistics", season.config, "--year", season.year, "--to", tmp_path / target)


def test_exports_open_in_gdal_with_nodata_colours_and_a_mosaic_of_both_zones(
    mapped: tuple[SmallSeason, Told], edition: Edition, tmp_path: Path
) -> None:
    season, _ = mapped
    told = stook("export", season.config, "--year", season.year, "--to", tmp_path / "cogs")
    paths = [Path(line) for line in told.output.splitlines()]
    cogs, mosaics = ([path for path in paths if path.suffix == suffix] for suffix in (".tif", ".vrt"))
    assert len(cogs) == 4 and len(mosaics) == 2
    maps = arrays(edition)
    for path in cogs:
        layer, zone = path.stem.removeprefix(f"simulated_main-{season.year}_").rsplit("_", 1)
        with rasterio.open(path) as file:
            assert file.nodata == NODATA and file.crs.to_epsg() == int(zone)
            assert file.colormap(1)[NODATA][3] == 0 and file.colormap(1)[50][3] == 255
            assert file.tags()["edition"] == edition.id
            assert file.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
            np.testing.assert_array_equal(file.read(1), maps[f"{zone}/10m/{layer}"])
    west, south, east, north = region_of(season.configuration).bounds
    for path in mosaics:
        with rasterio.open(path) as file:
            bounds = file.bounds
            assert bounds.left <= west and bounds.bottom <= south and bounds.right >= east and bounds.top >= north
            inside = file.read(1, window=file.window(west, south, east, north)) != NODATA
        half = inside.shape[1] // 2  # the meridian between the zones runs through the middle
        assert inside[:, :half].mean() > 0.5 and inside[:, half:].mean() > 0.5
    assert not [path for path in (tmp_path / "cogs").iterdir() if path.name.startswith(".")]


def test_an_export_below_a_file_is_refused(mapped: tuple[SmallSeason, Told]) -> None:
    season, _ = mapped
    with pytest.raises(InputError, match="--to .* cannot be written"):
        stook("export", season.config, "--year", season.year, "--to", season.config / "below")
