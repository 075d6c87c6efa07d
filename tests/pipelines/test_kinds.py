"""Encoders of every kind map the same ground: by pixel, by blended patches, and by one vector per chip."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from pyproj import Geod

from stook.models.bundle import Conditions, load_bundle
from stook.models.encoder import Encoder
from stook.models.errors import InputError
from stook.models.galileo import Galileo, GalileoSize
from stook.models.pooled import Pooled
from stook.models.presto import Presto, PrestoSize
from stook.models.resnet import ResNet, ResNetSize
from stook.pipelines.opening import open_edition
from stook.pipelines.progress import JsonReporter
from stook.pipelines.season import plan_of, published_edition, region_of, season_folder
from stook.transforms.editions.edition import Edition
from stook.transforms.editions.map_store import extents, open_layer
from stook.transforms.editions.plan import Plan
from stook.transforms.editions.products import PRODUCTS
from stook.transforms.encoding import encode
from stook.transforms.ground.grid import Tile, Zone
from stook.transforms.tiles import from_composites, view
from stook.transforms.tiles.materials import Machine
from stook.transforms.tiles.tile_job import TileJob
from stook.transforms.values import NODATA
from tests.pipelines.command import assert_same_maps, stook
from tests.pipelines.small_season import SmallSeason, write_random_bundle

# Reflectance of two bands is enough of a picture, and quick to read.
PICTURE = ResNetSize(depth=18, bands=("red", "nir"), chip_px=15)
PATCHES = GalileoSize(width=32, depth=1, heads=2, patch_px=2, chip_px=8)
ENCODERS: dict[str, Callable[[], Encoder]] = {
    "pixels": lambda: Presto(PrestoSize(16, 1, 2, 2.0)),
    "patches": lambda: Galileo(PATCHES),
    "chips": lambda: ResNet(PICTURE),
    "pooled": lambda: Pooled.over(Presto(PrestoSize(16, 1, 2, 2.0)), cell_px=5),
}
STRIDES_PX = {"pixels": 1, "patches": 4, "chips": 5, "pooled": 5}
CELLS_M = {"pixels": 10, "patches": 20, "chips": 50, "pooled": 50}
SIZES_PX = (50, 100)
WEST, EAST = Zone(36), Zone(37)
DRY = Conditions(start_month=1, months=2)  # without a cloud, which an encoder of pictures cannot see through


def with_bundle(season: SmallSeason, kind: str, seed: int = 5) -> SmallSeason:
    """Write a bundle of a kind beside the season's, under its name."""
    torch.manual_seed(seed)
    conditions = replace(DRY, stride_px=STRIDES_PX[kind])
    write_random_bundle(season.folder / kind, conditions, seed, spread(ENCODERS[kind]()).eval())
    return season


def spread(encoder: Encoder) -> Encoder:
    """The encoder with vectors that differ from place to place, which those of small random weights hardly do."""
    if isinstance(encoder, Pooled):
        spread(encoder.inner)
        for embed in encoder.inner.get_submodule("eo_patch_embed").children():  # a mean of pixels varies less
            embed.weight.data *= 20
    elif isinstance(encoder, ResNet):
        encoder.conv1.weight.data *= 150
    else:
        torch.nn.init.normal_(encoder.get_submodule("norm").weight, std=4.0)
    return encoder


@pytest.fixture(scope="module")
def quick_season(pristine_season: SmallSeason, tmp_path_factory: pytest.TempPathFactory) -> SmallSeason:
    """Two months of a small region, with a bundle of every kind; read only."""
    season = (
        pristine_season.copy(tmp_path_factory.mktemp("kinds") / "season")
        .hurried(DRY.months, DRY.start_month)
        .narrowed()
    )
    season.configure(run={"mode": "memory"})
    for kind in ENCODERS:
        with_bundle(season, kind)
    return season


def three_products(season: SmallSeason, monkeypatch: pytest.MonkeyPatch, bundles: dict[str, str]) -> Plan:
    """A plan of the season with several products, which the configuration cannot name yet: name -> bundle."""
    plan = None
    for name, bundle in sorted(bundles.items()):
        monkeypatch.setitem(PRODUCTS, name, renamed(name))
        config = season.configure(products__cropland__bundle=bundle).configuration
        one = plan_of(config, season.year, region_of(config), provisional=False)
        product = replace(one.products[0], product=name)
        plan = replace(one, products=(product,)) if plan is None else replace(plan, products=(*plan.products, product))
    assert plan is not None
    return plan


def renamed(name: str) -> Any:
    """The product cropland under another name."""
    made = PRODUCTS["cropland"]
    return replace(
        made,
        name=name,
        map=replace(made.map, name=name),
        observations=replace(made.observations, name=f"{name}_clear_observations"),
    )


def run_plan(season: SmallSeason, plan: Plan, zones: tuple[Zone, ...]) -> Edition:
    """Run the tiles of some zones in a new edition of a plan."""
    config = season.configuration
    edition = open_edition(season_folder(config, season.year), plan, region_of(config), JsonReporter())
    job = TileJob(edition, Machine())
    for tile in map(Tile.parse, edition.manifest["tiles"]):
        if tile.zone in zones:
            assert job.run(tile).outcome == "done", edition.ledger.read(tile)
    return edition


def on_the_ground(edition: Edition, zone: Zone, layer: str, cell_m: int) -> tuple[np.ndarray, int, int]:
    """A layer, and its first column and last row counted from the zone's origin."""
    span = extents(Tile.parse(name) for name in edition.manifest["tiles"])[zone]
    side = round(edition.plan.grid.tile_m / cell_m)
    return np.asarray(open_layer(edition.maps, zone.name, cell_m, layer)[:]), span.ix0 * side, span.iy1 * side


def common_ground(small: Edition, large: Edition, zone: Zone, layer: str, cell_m: int) -> tuple[np.ndarray, np.ndarray]:
    """The part of two editions' layers that lies in both; asserts that the rest of the larger is nodata."""
    one, west, north = on_the_ground(small, zone, layer, cell_m)
    other, other_west, other_north = on_the_ground(large, zone, layer, cell_m)
    rows = slice(other_north - north, other_north - north + one.shape[0])
    columns = slice(west - other_west, west - other_west + one.shape[1])
    part = other[rows, columns].copy()
    other[rows, columns] = NODATA
    assert part.shape == one.shape and (other == NODATA).all()
    return one.astype(int), part.astype(int)


@pytest.mark.parametrize(
    "kind", [pytest.param(kind, marks=pytest.mark.slow if kind in ("patches", "pooled") else ()) for kind in ENCODERS]
)
def test_each_kind_is_mapped_on_its_own_cells_and_its_areas_are_the_districts_own(
    kind: str, quick_season: SmallSeason, tmp_path: Path
) -> None:
    season = quick_season.copy(tmp_path / "season").configure(products__cropland__bundle=kind)
    assert stook("map", season.config, "--year", season.year, "--quiet").status == 0
    edition = published_edition(season.configuration, season.year)
    side = 1000 // CELLS_M[kind]
    for zone in ("32636", "32637"):
        assert [group.name for group in (edition.maps / zone).iterdir() if group.is_dir()] == [f"{CELLS_M[kind]}m"]
        percent, clear = (
            np.asarray(open_layer(edition.maps, zone, CELLS_M[kind], layer)[:])
            for layer in ("cropland", "cropland_clear_observations")
        )
        assert percent.shape == clear.shape == (side, side)
        ground = clear != NODATA
        assert 0 < ground.sum() < ground.size and (percent[~ground] == NODATA).all()
        assert len(np.unique(percent[percent != NODATA])) > 5
    table = pd.read_parquet(edition.folder / "statistics.parquet")
    parts = ["mapped_dm2", *(column for column in table if column.startswith("not_mapped_") and column.endswith("dm2"))]
    assert (table[parts].sum(axis=1) == table["total_dm2"]).all()
    units = table[table["level"] == "unit"].set_index("id")
    assert (units[parts].sum() == table[table["level"] == "region"].iloc[0][parts]).all()
    for unit in region_of(season.configuration).units:
        area_m2 = abs(Geod(ellps="WGS84").geometry_area_perimeter(unit.geometry)[0])
        assert units.loc[unit.id, "total_dm2"] / 100 == pytest.approx(area_m2, rel=1e-5)


@pytest.fixture
def work(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """Counts what a run does: composites read, passes of an encoder over a tile."""
    done = {"read": 0, "encoded": 0}
    composite, encoded = from_composites.composite, encode.encode

    def reading(*arguments: Any) -> Any:
        done["read"] += 1
        return composite(*arguments)

    def encoding(*arguments: Any) -> Any:
        done["encoded"] += 1
        return encoded(*arguments)

    monkeypatch.setattr(from_composites, "composite", reading)
    monkeypatch.setattr(view, "encode", encoding)
    return done


@pytest.mark.slow
def test_vectors_of_patches_are_stored_too_and_give_the_same_map(
    quick_season: SmallSeason, tmp_path: Path, work: dict[str, int]
) -> None:
    kind = "patches"
    season = quick_season.copy(tmp_path / "season").configure(products__cropland__bundle=kind)
    window = {"start": {"month": DRY.start_month, "year": 0}, "months": DRY.months}
    embeddings = {"encoder": {"bundle": kind}, "window": window, "stride_px": STRIDES_PX[kind], "storage": "float32"}
    season.configure(embeddings=embeddings)
    words = season.config, "--year", season.year, "--quiet"
    assert stook("map", *words).status == 0
    from_imagery = published_edition(season.configuration, season.year)
    assert stook("embed", *words).status == 0
    work["read"] = 0
    assert stook("map", *words, "--refresh").status == 0
    assert work["read"] == 0
    from_vectors = published_edition(season.configuration, season.year)
    assert from_vectors.id != from_imagery.id
    assert_same_maps(from_vectors, from_imagery)


@pytest.fixture(scope="module")
def in_two_sizes(quick_season: SmallSeason, tmp_path_factory: pytest.TempPathFactory) -> tuple[Edition, Edition]:
    """All three kinds as products of one plan, in small tiles and in large ones."""
    with pytest.MonkeyPatch.context() as patch:
        editions = []
        for size in SIZES_PX:
            season = quick_season.copy(tmp_path_factory.mktemp("size") / "season").configure(grid__tile_px=size)
            editions.append(run_plan(season, three_products(season, patch, {kind: kind for kind in ENCODERS}), (WEST,)))
        small, large = editions
    return small, large


@pytest.mark.slow
@pytest.mark.parametrize("kind", ENCODERS)
def test_the_map_of_each_kind_is_the_same_whatever_the_size_of_the_tiles(
    kind: str, in_two_sizes: tuple[Edition, Edition]
) -> None:
    small, large = in_two_sizes
    one, other = common_ground(small, large, WEST, kind, CELLS_M[kind])
    assert ((one == NODATA) == (other == NODATA)).all()
    assert np.abs(one - other).max() <= 1
    assert (one != NODATA).sum() > 50
    assert (one != other).sum() <= 1e-5 * (one != NODATA).sum()
    observations = common_ground(small, large, WEST, f"{kind}_clear_observations", CELLS_M[kind])
    np.testing.assert_array_equal(*observations)


@pytest.mark.slow
def test_chips_that_reach_beyond_the_archive_have_no_answer_and_their_ground_is_told_apart(
    quick_season: SmallSeason, tmp_path: Path
) -> None:
    season = quick_season.copy(tmp_path / "season").narrowed(east=36.0065)
    season.configure(products__cropland__bundle="chips")
    assert stook("map", season.config, "--year", season.year, "--quiet").status == 0
    edition = published_edition(season.configuration, season.year)
    percent, clear = (
        np.asarray(open_layer(edition.maps, EAST.name, CELLS_M["chips"], layer)[:])
        for layer in ("cropland", "cropland_clear_observations")
    )
    rows = np.flatnonzero((clear != NODATA).any(axis=1))[1:-1]
    for row in rows:
        *_, answered, _, last = np.flatnonzero(clear[row] != NODATA)
        assert percent[row, last] == NODATA, "its chip reaches a cell further"
        assert percent[row, answered] != NODATA
    whole = pd.read_parquet(edition.folder / "statistics.parquet").iloc[-1]
    assert whole["not_mapped_too_few_observations_dm2"] > 0 and whole["not_mapped_no_imagery_dm2"] > 0
    assert whole["not_mapped_failed_dm2"] == 0


@pytest.mark.slow
def test_heads_on_one_encoder_share_its_pass_and_encoders_of_one_season_share_its_reading(
    quick_season: SmallSeason, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, work: dict[str, int]
) -> None:
    season = quick_season.copy(tmp_path / "season")
    write_random_bundle(season.folder / "other-head", DRY, 9, load_bundle(season.folder / "pixels").encoder)
    averaged = spread(ResNet(replace(PICTURE, period="month-mean"))).eval()
    write_random_bundle(season.folder / "averaged", replace(DRY, stride_px=STRIDES_PX["chips"]), 5, averaged)
    bundles = {"cropland": "pixels", "heads": "other-head", "patched": "patches", "pictured": "chips"}
    plan = three_products(season, monkeypatch, bundles | {"of_months": "averaged"})
    run_plan(season, plan, (WEST,))
    # Of one tile: the composite of a whole window is read by itself, all else is made of the same months.
    assert work == {"read": 2, "encoded": 4}


def test_a_head_that_answers_with_no_number_fails_its_own_product_alone(
    quick_season: SmallSeason, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    season = quick_season.copy(tmp_path / "season")
    bundle = load_bundle(season.folder / "patches")
    torch.nn.init.constant_(bundle.task.head.layers[-1].bias, torch.nan)
    bundle.save(season.folder / "broken")
    plan = three_products(season, monkeypatch, {"cropland": "pixels", "patched": "broken"})
    config = season.configuration
    edition = open_edition(season_folder(config, season.year), plan, region_of(config), JsonReporter())
    [tile] = [tile for tile in map(Tile.parse, edition.manifest["tiles"]) if tile.zone == WEST]
    assert TileJob(edition, Machine()).run(tile).outcome == "failed"
    record = edition.ledger.read(tile)
    assert record is not None
    assert {name: made.status for name, made in record.products.items()} == {"cropland": "done", "patched": "failed"}
    assert "no number" in (record.products["patched"].error or "")


def test_tiles_that_are_no_whole_number_of_cells_are_refused(quick_season: SmallSeason, tmp_path: Path) -> None:
    season = quick_season.copy(tmp_path / "season").configure(products__cropland__bundle="patches", grid__tile_px=125)
    with pytest.raises(InputError, match="grid.tile_px: 125; the encoder's cells are 2 pixels wide and must divide it"):
        stook("map", season.config, "--year", season.year)
