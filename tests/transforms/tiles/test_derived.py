"""Derived products, made from maps and ledger alone: the same whatever the tile size, and made anew when they must."""

import shutil
from copy import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import shapely
from pyproj import Transformer
from scipy import ndimage

from stook.models.errors import InputError, UnreachableError
from stook.models.resnet import ResNet, ResNetSize
from stook.transforms.editions import map_store
from stook.transforms.editions.edition import Edition
from stook.transforms.editions.farmed import LEGEND, farmed
from stook.transforms.editions.ledger import ProductRecord, TileRecord
from stook.transforms.editions.plan import FarmedRule, Plan, ProductPlan, Smoothing, SmoothingRule
from stook.transforms.editions.season_folder import SeasonFolder
from stook.transforms.editions.tile_records import done_record, failed_record
from stook.transforms.encoding.chips import ChipLayout
from stook.transforms.encoding.encodings import Encoding, PictureEncoding
from stook.transforms.ground.areas import TileCoverage
from stook.transforms.ground.grid import Grid, Tile, Zone
from stook.transforms.ground.region import Region
from stook.transforms.ground.unit import Unit
from stook.transforms.imagery.season import Window
from stook.transforms.statistics.readings import explained
from stook.transforms.statistics.table import statistics, write_statistics
from stook.transforms.tiles import derive_job
from stook.transforms.tiles.answers import class_image
from stook.transforms.tiles.derive_job import DeriveJob
from stook.transforms.tiles.derived import derived_classes
from stook.transforms.tiles.due import due_derived
from stook.transforms.tiles.smoothing import reach_cells, smoothed
from stook.transforms.values import FAILED, NO_IMAGERY, NODATA, TOO_FEW_OBSERVATIONS
from tests.transforms.editions.test_edition import make_plan

ZONE = Zone(37)
WEST, NORTH = 500_000, 1_440_000  # of the landscape, which is one map whatever the tiles
SIDE_PX, CELL_PX = 100, 5
SMOOTHING = Smoothing(threshold=50, majority_cells=3, minimum_ha=0.055)
RULE = SmoothingRule(threshold=50, majority_cells=3, minimum_cells=6)  # the same in cells of 10 m
FARMED = FarmedRule(cropland_threshold=50, least_cropland_percent=30, piles_threshold=60)
DERIVED = {"smoothing": SMOOTHING, "farmed": FARMED}
GAP, CLOUD = np.s_[25:40, 28:60], np.s_[55:70, 15:40]


def plan_with(tile_px: int = 20, **rules: Any) -> Plan:
    plan = make_plan()
    [cropland] = plan.products
    encoder = ResNet(ResNetSize(18, ("red", "green", "blue"), "imagenet", chip_px=20, resolution_m=5, width=8))
    pictures = PictureEncoding.of(encoder, Window(11, 0, 2), 2019, cell_m=10 * CELL_PX)
    piles = ProductPlan("harvest_piles", cropland.model, "p" * 64, pictures, 1)
    return replace(plan, grid=Grid(tile_px=tile_px), products=(cropland, piles), **(rules or DERIVED))


def region() -> Region:
    """Two units beside each other, their borders across the cells."""

    def unit(name: str, west: int, east: int) -> Unit:
        corners = shapely.box(WEST + west, NORTH - 735, WEST + east, NORTH - 75)
        degrees = Transformer.from_crs(ZONE.epsg, 4326, always_xy=True).transform
        return Unit(name, name, ("both",), shapely.transform(corners, lambda xy: np.stack(degrees(*xy.T), axis=1)))

    return Region((unit("A", 35, 417), unit("B", 417, 765)))


def landscape() -> dict[str, np.ndarray]:
    """Both maps with their observations, uint8 [y, x]: fields, a gap in the imagery, a cloud, few pictures."""
    rng = np.random.default_rng(8)
    noise = ndimage.gaussian_filter(rng.normal(size=(SIDE_PX, SIDE_PX)), 1.3)
    cropland = np.clip(50 + 30 * noise / noise.std(), 0, 100).astype(np.uint8)
    clear = np.full_like(cropland, 9)
    clear[GAP], clear[CLOUD] = NODATA, 1
    cropland[GAP] = cropland[CLOUD] = NODATA
    cells = SIDE_PX // CELL_PX
    piles, dates = rng.integers(0, 101, (cells, cells), np.uint8), np.full((cells, cells), 2, np.uint8)
    piles[:, 4:9] = dates[:, 4:9] = NODATA
    return {
        "cropland": cropland,
        "cropland_clear_observations": clear,
        "harvest_piles": piles,
        "harvest_piles_dates": dates,
    }


class Season:
    """An edition with the landscape mapped, whose derived products are still to be made."""

    def __init__(self, folder: Path, plan: Plan, whole: dict[str, np.ndarray] | None = None):
        self.plan, self.region, self.whole = plan, region(), whole or landscape()
        with SeasonFolder(folder, "place", "main-2019").opening(plan) as (hidden, manifest):
            manifest["tiles"] = [tile.name for tile in self.region.tiles(plan.grid)]
            manifest["calibrated"] = {product.product: False for product in plan.all_products}
            self.region.write(hidden.units)
            made = {product.product: explained(product, plan) for product in plan.derived}
            map_store.create(hidden.maps, plan, self.region.tiles(plan.grid), explained=made)
        self.edition = Edition(hidden.folder.with_name(manifest["edition"]))
        self.tiles = sorted(self.region.tiles(plan.grid))
        for tile in self.tiles:
            self.map(tile)

    def copy(self, folder: Path) -> "Season":
        """The same with an edition of its own."""
        other = copy(self)
        other.edition = Edition(shutil.copytree(self.edition.folder, folder / self.edition.id))
        return other

    def map(self, tile: Tile, failed: str | None = None) -> None:
        """Write the maps and the record of a tile; one product may fail."""
        ground = TileCoverage.of(self.region, self.plan.grid, tile)
        before = self.edition.ledger.read(tile)
        records: dict[str, ProductRecord] = {} if before is None else dict(before.products)
        for product in self.plan.products:
            window, images = self.window(tile, product), self.images(tile, product, ground.owned)
            if failed == product.product:
                images = tuple(np.full_like(image, NODATA) for image in images)
                records[product.product] = failed_record(product, "f", ground, "corrupt")
            else:
                records[product.product] = done_record(product, "f", ground, class_image(*images))
            map_store.write_images(self.edition.maps, self.plan, product, tile, window, images)
        self.edition.ledger.commit(
            TileRecord(tile.name, records, 3, {"read": 1.0}, "2026-01-01T00:00:00+00:00", device="cuda"),
            self.edition.ledger.held(tile)[1],
        )

    def images(self, tile: Tile, product: ProductPlan, owned: np.ndarray) -> tuple[np.ndarray, ...]:
        """What the landscape shows of a tile's own ground."""
        grid = self.plan.cells(product)
        left, _, _, top = grid.bounds(tile).bbox
        row, column = round((NORTH - top) / grid.resolution_m), round((left - WEST) / grid.resolution_m)
        side, cell_px = grid.tile_px, product.cell_px
        known = owned.reshape(side, cell_px, side, cell_px).any(axis=(1, 3))
        names = [name for name in self.whole if name.startswith(product.product)]
        cut = (self.whole[name][row : row + side, column : column + side] for name in names)
        return tuple(np.where(known, image, NODATA).astype(np.uint8) for image in cut)

    def window(self, tile: Tile, product: Any) -> tuple[slice, slice]:
        return map_store.extents(self.tiles)[ZONE].slices(self.plan.cells(product), tile)

    def derive(self) -> dict[str, str]:
        """Make the derived products; tile -> outcome."""
        job = DeriveJob(self.edition)
        return {tile.name: job.run(tile).outcome for tile in self.tiles}

    def layer(self, name: str) -> np.ndarray:
        [product] = [product for product in self.plan.all_products if product.product == name]
        cell_m = self.plan.cells(product).resolution_m
        return np.asarray(map_store.open_layer(self.edition.maps, ZONE.name, cell_m, name)[:])

    def records(self, name: str) -> dict[str, ProductRecord]:
        return {record.tile: record.products[name] for record in self.edition.ledger.records()}


@pytest.fixture(scope="module")
def mapped(tmp_path_factory: pytest.TempPathFactory) -> Season:
    """A season whose derived products are not made; read only."""
    return Season(tmp_path_factory.mktemp("mapped"), plan_with())


@pytest.fixture
def season(mapped: Season, tmp_path: Path) -> Season:
    return mapped.copy(tmp_path)


@pytest.fixture(scope="module")
def finished(mapped: Season, tmp_path_factory: pytest.TempPathFactory) -> Season:
    """A season whose derived products are made; read only."""
    made = mapped.copy(tmp_path_factory.mktemp("finished"))
    assert due_derived(made.edition) == made.edition.manifest["tiles"]
    assert set(made.derive().values()) == {"done"}
    return made


def test_maps_are_those_of_the_whole_zone_at_once(finished: Season) -> None:
    classes = smoothed(finished.layer("cropland"), RULE)
    assert np.mean(classes[classes != NODATA] != 100 * (finished.layer("cropland") >= 50)[classes != NODATA]) > 0.02
    np.testing.assert_array_equal(finished.layer("cropland_smoothed"), classes)
    codes = farmed(classes, finished.layer("harvest_piles"), FARMED)
    np.testing.assert_array_equal(finished.layer("farmed_cells"), codes)
    assert set(LEGEND) <= set(np.unique(codes).tolist())


def test_maps_are_the_same_whatever_the_tile_size(finished: Season, tmp_path: Path) -> None:
    large = Season(tmp_path, plan_with(tile_px=50))
    large.derive()
    for name, cell_m in (("cropland_smoothed", 10), ("farmed_cells", 50)):
        np.testing.assert_array_equal(
            on_ground(large.layer(name), large, cell_m), on_ground(finished.layer(name), finished, cell_m), err_msg=name
        )


@pytest.mark.slow
def test_cropland_of_larger_cells_is_smoothed_in_its_own_cells(tmp_path: Path) -> None:
    plan, cell_px = plan_with(), 2
    [cropland, piles] = plan.products
    assert isinstance(cropland.encoding, Encoding)
    patches = replace(cropland.encoding, layout=ChipLayout(8, cell_px, 4))
    plan = replace(plan, products=(replace(cropland, encoding=patches), piles))
    every = slice(None, None, cell_px)
    whole = {name: image[every, every] if "cropland" in name else image for name, image in landscape().items()}
    season = Season(tmp_path, plan, whole)
    assert set(season.derive().values()) == {"done"}
    rule = SmoothingRule(threshold=50, majority_cells=3, minimum_cells=2)  # 0.055 ha are 1.4 cells of 0.04 ha
    classes = smoothed(season.layer("cropland"), rule)
    sure = classes != NODATA
    assert np.mean((classes != 100 * (season.layer("cropland") >= 50))[sure]) > 0.05
    np.testing.assert_array_equal(season.layer("cropland_smoothed"), classes)
    pixels = classes.repeat(cell_px, axis=0).repeat(cell_px, axis=1)
    np.testing.assert_array_equal(season.layer("farmed_cells"), farmed(pixels, season.layer("harvest_piles"), FARMED))
    attributes = map_store.open_layer(season.edition.maps, ZONE.name, 20, "cropland_smoothed").attrs
    assert (attributes["minimum_mapping_unit_cells"], attributes["minimum_mapping_unit_ha"]) == (2, 0.08)
    table = statistics(season.edition, {"cropland": 50, "harvest_piles": 60})
    [method] = set(table[table["product"] == "cropland_smoothed"]["method"])
    assert "(majority of 3 x 3 cells of 20 m, then patches of 0.08 ha or more)" in method


def on_ground(values: np.ndarray, season: Season, cell_m: int) -> np.ndarray:
    """An array cut or filled to the landscape."""
    bounds = map_store.extents(season.tiles)[ZONE].geobox(season.plan.grid).boundingbox
    row, column = round((NORTH - bounds.top) / cell_m), round((bounds.left - WEST) / cell_m)
    side = 150 * 10 // cell_m
    whole = np.full((side, side), NODATA, np.uint8)
    whole[row : row + values.shape[0], column : column + values.shape[1]] = values
    return whole


def test_farmed_cells_read_cropland_itself_where_it_is_not_smoothed(tmp_path: Path) -> None:
    season = Season(tmp_path, plan_with(tile_px=50, farmed=FARMED))
    season.derive()
    codes = farmed(season.layer("cropland"), season.layer("harvest_piles"), FARMED)
    np.testing.assert_array_equal(season.layer("farmed_cells"), codes)
    assert not (season.edition.maps / ZONE.name / "10m" / "cropland_smoothed").exists()


def test_what_is_done_is_not_done_again_and_the_record_keeps_what_it_said_of_the_tile(finished: Season) -> None:
    before = list(finished.edition.ledger.records())
    assert due_derived(finished.edition) == []
    assert set(finished.derive().values()) == {"unchanged"}
    assert list(finished.edition.ledger.records()) == before
    for record in before:
        assert (record.attempts, record.device, record.seconds["read"]) == (3, "cuda", 1.0)
        assert record.seconds["derive"] > 0 and record.finished > "2026-02"
    assert finished.edition.ledger.begun() == {}


def test_a_failed_map_fails_what_is_made_from_it_in_its_own_tile_and_is_a_gap_for_the_others(season: Season) -> None:
    tile = season.tiles[5]
    season.map(tile, failed="cropland")
    outcomes = season.derive()
    assert [name for name, outcome in outcomes.items() if outcome == "failed"] == [tile.name]
    made = season.records("cropland_smoothed")[tile.name], season.records("farmed_cells")[tile.name]
    assert [record.error for record in made] == [
        "needs cropland, which failed",
        "needs cropland_smoothed, which failed",
    ]
    totals = TileCoverage.of(season.region, season.plan.grid, tile).totals
    for record in made:
        assert record.areas == {unit: {FAILED: area} for unit, area in totals.items()}
    assert {value for cells in made[1].cells.values() for value in cells} == {FAILED}
    expected = smoothed(season.layer("cropland"), RULE)
    assert (expected[season.window(tile, season.plan.products[0])] == NODATA).all()
    np.testing.assert_array_equal(season.layer("cropland_smoothed"), expected)


@pytest.mark.slow
def test_a_map_mended_later_redoes_its_own_tile_and_those_that_look_into_it(season: Season, finished: Season) -> None:
    tile = season.tiles[5]
    season.map(tile, failed="cropland")
    season.derive()
    season.map(tile)
    due = due_derived(season.edition)
    outcomes = season.derive()
    rings = -(-reach_cells(RULE) // season.plan.grid.tile_px)
    near = {other.name for other in season.tiles if max(abs(other.ix - tile.ix), abs(other.iy - tile.iy)) <= rings}
    assert {name for name, outcome in outcomes.items() if outcome == "done"} == near != set(outcomes)
    assert due == [name for name in season.edition.manifest["tiles"] if name in near]
    for name in ("cropland_smoothed", "farmed_cells"):
        np.testing.assert_array_equal(season.layer(name), finished.layer(name))
        assert season.records(name) == finished.records(name)


def test_piles_that_failed_leave_smoothed_cropland_alone(season: Season) -> None:
    tile = season.tiles[0]
    season.map(tile, failed="harvest_piles")
    season.derive()
    assert season.records("cropland_smoothed")[tile.name].status == "done"
    assert season.records("farmed_cells")[tile.name].error == "needs harvest_piles, which failed"


def test_a_fault_of_ours_in_one_tile_ends_no_other(season: Season, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, calls = derive_job.derive, []

    def faulty(*arguments: Any) -> np.ndarray:
        calls.append(1)
        if len(calls) == 3:
            raise ValueError("no such thing")
        return whole(*arguments)

    monkeypatch.setattr(derive_job, "derive", faulty)
    outcomes = season.derive()
    [failed] = [name for name, outcome in outcomes.items() if outcome == "failed"]
    error = season.records("cropland_smoothed")[failed].error or ""
    assert error.startswith("fault in Stook: ValueError('no such thing')") and "\n" not in error
    monkeypatch.undo()
    assert season.derive()[failed] == "done"  # failed products are tried again


@pytest.mark.parametrize("failure", [UnreachableError("output: cannot write: No space"), OSError(28, "No space")])
def test_a_full_disk_decides_nothing(season: Season, monkeypatch: pytest.MonkeyPatch, failure: Exception) -> None:
    def full(*_: Any) -> None:
        raise failure

    monkeypatch.setattr(map_store, "write_images", full)
    with pytest.raises(type(failure)):
        season.derive()
    assert all("farmed_cells" not in record.products for record in season.edition.ledger.records())


def test_a_tile_that_is_not_mapped_is_refused(season: Season) -> None:
    (season.edition.ledger.folder / f"{season.tiles[0].name}.json").unlink()
    with pytest.raises(InputError, match=f"tile {season.tiles[0].name} lost its record"):
        season.derive()


def test_where_nothing_is_derived_the_reason_is_that_of_what_it_is_made_from() -> None:
    [_, cells] = plan_with().derived
    cropland = np.full((10, 15), NO_IMAGERY, np.uint8)
    cropland[3, 7] = TOO_FEW_OBSERVATIONS
    piles = np.full((10, 15), NO_IMAGERY, np.uint8)
    piles[5:, 10:] = TOO_FEW_OBSERVATIONS
    image = np.array([[NODATA, NODATA, 2], [NODATA, 5, NODATA]], np.uint8)
    assert derived_classes(cells, image, [cropland, piles]).tolist() == [
        [NO_IMAGERY, TOO_FEW_OBSERVATIONS, 2],
        [NO_IMAGERY, 5, TOO_FEW_OBSERVATIONS],
    ]


@pytest.fixture(scope="module")
def table(finished: Season) -> pd.DataFrame:
    return statistics(finished.edition, {"cropland": 60, "harvest_piles": 60})


def test_areas_and_cells_add_up_exactly(table: pd.DataFrame) -> None:
    exact = [*(column for column in table if column.endswith("_dm2")), "cells", "cells_mapped", "cells_of_class"]
    for product, rows in table.groupby("product"):
        units = rows[rows["level"] == "unit"][exact].sum()
        for level in ("parent 1", "region"):
            [whole] = rows[rows["level"] == level][exact].fillna(0).to_dict("records")
            assert units.to_dict() == whole, (product, level)
    causes = [column for column in table if column.startswith("not_mapped_") and column.endswith("_dm2")]
    assert (table[["mapped_dm2", *causes]].sum(axis=1) == table["total_dm2"]).all()
    counted = table["product"].isin(["harvest_piles", "farmed_cells"])
    assert table[~counted][["cells", "share_of_cells"]].isna().all().all()
    share = table["cells_of_class"] / table["cells_mapped"]
    assert (share[counted] == table["share_of_cells"][counted]).all() and (share[counted] > 0).all()
    whole = table[table["level"] == "region"].set_index("product")
    assert whole.loc["farmed_cells", "cells"] == whole.loc["harvest_piles", "cells"]
    assert whole["total_dm2"].nunique() == 1


def test_each_figure_says_at_which_threshold_and_how_it_came_about(table: pd.DataFrame) -> None:
    whole = table[table["level"] == "region"].set_index("product")
    assert whole["threshold_percent"].dropna().to_dict() == {
        "cropland": 60,
        "harvest_piles": 60,
        "cropland_smoothed": 50,
    }
    assert whole.loc["cropland_smoothed", "method"] == (
        "pixel count at a threshold, smoothed (majority of 3 x 3 cells of 10 m, then patches of 0.06 ha or more); "
        "not a design-based estimate"
    )
    assert whole.loc["farmed_cells", "method"].startswith("count of cells of 50 m in which piles were seen (60 % or")
    for product in ("harvest_piles", "farmed_cells"):
        assert "areas of whole cells, not of fields; not a design-based estimate" in whole.loc[product, "method"]


def test_smoothed_cropland_is_the_ground_of_its_class(table: pd.DataFrame, finished: Season) -> None:
    whole = table[table["level"] == "region"].set_index("product").loc["cropland_smoothed"]
    classes = finished.layer("cropland_smoothed")
    assert whole["area_ha"] / whole["mapped_ha"] == pytest.approx(np.mean(classes[classes != NODATA] == 100), abs=0.01)
    assert whole["not_mapped_no_imagery_dm2"] > 0 and whole["not_mapped_too_few_observations_dm2"] > 0


def test_how_farmed_cells_are_known_adds_up_to_what_is_farmed(table: pd.DataFrame, finished: Season) -> None:
    write_statistics(finished.edition, {"cropland": 60, "harvest_piles": 60})
    known = pd.read_parquet(finished.edition.folder / "farmed_cells.parquet")
    assert len(pd.read_csv(finished.edition.folder / "farmed_cells.csv")) == len(known) == 4 * (len(LEGEND) + 3)
    rows = table[table["product"] == "farmed_cells"].set_index(["level", "id"])
    sums = known.groupby(["level", "id"])[["cells", "area_dm2"]].sum().loc[rows.index]
    assert (sums["cells"] == rows["cells"]).all() and (sums["area_dm2"] == rows["total_dm2"]).all()
    of_answer = known.groupby(["answer", "level", "id"])[["cells", "area_dm2"]].sum()
    of_class = of_answer.loc["farmed"].loc[rows.index]
    assert (of_class["cells"] == rows["cells_of_class"]).all() and (of_class["area_dm2"] == rows["area_dm2"]).all()
    decided = of_class + of_answer.loc["not farmed"].loc[rows.index]
    assert (decided["cells"] == rows["cells_mapped"]).all() and (decided["area_dm2"] == rows["mapped_dm2"]).all()
    assert known[known["code"] == 4]["meaning"].unique().tolist() == ["farmed: cropland and piles"]


def test_a_season_without_its_derived_products_has_no_figures(season: Season) -> None:
    with pytest.raises(InputError, match=f"{len(season.tiles)} of {len(season.tiles)} tiles are not mapped yet"):
        statistics(season.edition, {"cropland": 50, "harvest_piles": 50})


def test_the_arrays_say_what_their_codes_mean_and_how_they_were_made(finished: Season) -> None:
    def attributes(name: str, cell_m: int) -> Any:
        return map_store.open_layer(finished.edition.maps, ZONE.name, cell_m, name).attrs

    codes = attributes("farmed_cells", 50)
    assert codes["flag_values"] == list(LEGEND)
    assert codes["flag_meanings"].split()[4] == "farmed_cropland_and_piles"
    assert codes["made_from"] == ["cropland_smoothed", "harvest_piles"]
    assert (codes["cropland_threshold_percent"], codes["piles_threshold_percent"]) == (50, 60)
    smooth = attributes("cropland_smoothed", 10)
    assert smooth["flag_meanings"] == "no_cropland cropland" and smooth["flag_values"] == [0, 100]
    assert [smooth[name] for name in ("threshold_percent", "majority_window_cells")] == [50, 3]
    assert (smooth["minimum_mapping_unit_cells"], smooth["minimum_mapping_unit_ha"]) == (6, 0.06)
    assert "flag_values" not in attributes("cropland", 10)


def test_a_window_is_read_with_what_is_around_it_and_nodata_beyond_the_array(finished: Season) -> None:
    array = map_store.open_layer(finished.edition.maps, ZONE.name, 10, "cropland")
    whole = np.pad(finished.layer("cropland"), 33, constant_values=NODATA)
    for tile in (finished.tiles[0], finished.tiles[-1]):
        rows, columns = finished.window(tile, finished.plan.products[0])
        expected = whole[rows.start : rows.stop + 66, columns.start : columns.stop + 66]
        np.testing.assert_array_equal(map_store.read_around(array, (rows, columns), 33, NODATA), expected)
