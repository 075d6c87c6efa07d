"""Editions made by hand, without imagery or models: maps of invented values with the records that belong to them."""

from collections.abc import Callable, Collection
from dataclasses import replace
from pathlib import Path

import numpy as np
import shapely
from scipy import ndimage

from stook.models.resnet import ResNet, ResNetSize
from stook.transforms.editions import map_store
from stook.transforms.editions.edition import Edition
from stook.transforms.editions.ledger import TileRecord
from stook.transforms.editions.plan import FarmedRule, Plan, ProductPlan, Smoothing
from stook.transforms.editions.season_folder import SeasonFolder
from stook.transforms.editions.tile_records import done_record, failed_record
from stook.transforms.encoding.chips import ChipLayout
from stook.transforms.encoding.encodings import PictureEncoding
from stook.transforms.ground.areas import TileCoverage
from stook.transforms.ground.grid import Grid, Tile
from stook.transforms.ground.region import Region
from stook.transforms.ground.unit import Unit
from stook.transforms.imagery.season import Window
from stook.transforms.statistics.readings import explained
from stook.transforms.tiles.answers import WHOLE, Result, class_image, shares_in
from stook.transforms.tiles.derive_job import DeriveJob
from stook.transforms.values import NODATA, WIDE_NODATA
from tests.transforms.editions.test_edition import make_plan

CELL_PX = 5  # of building coverage and piles
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
THRESHOLDS = {"cropland": 50, "harvest_piles": 60}

# The published layers of a product in a tile, or None where nothing was ever written.
Images = Callable[[ProductPlan, Tile, Grid], tuple[np.ndarray, ...] | None]


def plan_of_all(tile_px: int = 50) -> Plan:
    """Every product, the derived ones too."""
    plan = make_plan()
    [cropland] = plan.products
    encoder = ResNet(ResNetSize(18, ("red", "green", "blue"), "imagenet", chip_px=20, resolution_m=5, width=8))
    pictures = PictureEncoding.of(encoder, Window(11, 0, 2), 2019, cell_m=10 * CELL_PX)
    piles = ProductPlan("harvest_piles", cropland.model, "p" * 64, pictures, 1)
    return replace(
        plan,
        grid=Grid(tile_px=tile_px),
        products=(built_of(plan), cropland, piles),
        smoothing=Smoothing(threshold=50, majority_cells=3, minimum_ha=0.055),
        farmed=FarmedRule(cropland_threshold=50, least_cropland_percent=30, piles_threshold=60),
    )


def built_of(plan: Plan, cell_px: int = CELL_PX) -> ProductPlan:
    """Building coverage in cells of several pixels."""
    [cropland] = plan.products
    encoding = replace(cropland.encoding, layout=ChipLayout(cell_px, cell_px, cell_px))
    return replace(cropland, product="building_coverage", encoding=encoding, quantiles=QUANTILES)


def two_zones() -> Region:
    """Three units over the meridian of 36° E, two of one parent; some 1.1 by 0.9 km, with slanting borders."""
    shapes = {
        "A": [(35.9951, 9.0011), (36.0012, 9.0003), (36.0003, 9.0081), (35.9957, 9.0078)],
        "B": [(36.0012, 9.0003), (36.0052, 9.0014), (36.0049, 9.0042), (36.00075, 9.0042)],
        "C": [(36.00075, 9.0042), (36.0049, 9.0042), (36.0041, 9.0083), (36.0003, 9.0081)],
    }
    parents = {"A": "west", "B": "east", "C": "east"}
    return Region(
        tuple(Unit(name, name, (parents[name], "all"), shapely.Polygon(corners)) for name, corners in shapes.items())
    )


def write_edition(
    folder: Path, plan: Plan, region: Region, images: Images, failed: Collection[tuple[str, str]] = ()
) -> Edition:
    """A published edition.

    Args:
        folder: Of all results.
        plan: Of the season.
        region: Its units.
        images: What the maps show.
        failed: Tile and product of what failed.
    """
    home, tiles = SeasonFolder(folder, plan.name, str(plan.season)), region.tiles(plan.grid)
    with home.opening(plan) as (hidden, manifest):
        manifest["tiles"] = [tile.name for tile in tiles]
        manifest["calibrated"] = {product.product: True for product in plan.products}
        manifest["calibrated"] |= {product.product: False for product in plan.derived}
        manifest["licences"] = {product.product: "none" for product in plan.all_products}
        region.write(hidden.units)
        made = {product.product: explained(product, plan) for product in plan.derived}
        map_store.create(hidden.maps, plan, tiles, explained=made)
    edition = Edition(home.folder / manifest["edition"])
    extents = map_store.extents(tiles)
    for tile in tiles:
        ground, records = TileCoverage.of(region, plan.grid, tile), {}
        for product in plan.products:
            window = extents[tile.zone].slices(plan.cells(product), tile)
            if (tile.name, product.product) in failed:
                records[product.product] = failed_record(product, "f", ground, "corrupt")
                continue
            found = images(product, tile, plan.cells(product))
            if found is None:
                side = plan.cells(product).tile_px
                classes = class_image(*[np.full((side, side), NODATA, np.uint8)] * 2)
                records[product.product] = done_record(product, "f", ground, classes)
                continue
            map_store.write_images(edition.maps, plan, product, tile, window, found)
            result = as_result(product, found)
            records[product.product] = done_record(product, "f", ground, result.classes, result.covered(ground))
        edition.ledger.commit(TileRecord(tile.name, records, 1, {}, "2026-01-01T00:00:00+00:00"), None)
    if plan.derived:
        job = DeriveJob(edition)
        for tile in tiles:
            job.run(tile)
    home.publish(edition)
    return edition


def as_result(product: ProductPlan, images: tuple[np.ndarray, ...]) -> Result:
    """What a run would have made of a tile."""
    percent, *summed, clear = images
    if not product.quantiles:
        return Result(product, images, class_image(percent, clear))
    return Result(product, images, class_image(percent[len(percent) // 2], clear), shares_in(summed))


def invented(product: ProductPlan, tile: Tile, cells: Grid) -> tuple[np.ndarray, ...]:
    """Patches of every percent, a cloud, a gap in the imagery; of the same tile always the same."""
    side = cells.tile_px
    rng = np.random.default_rng([len(product.product), tile.zone.number, tile.ix, tile.iy % 1000])
    noise = ndimage.gaussian_filter(rng.normal(size=(side, side)), 1.3)
    percent = np.clip(50 + 30 * noise / noise.std(), 0, 100).astype(np.uint8)
    clear = np.full_like(percent, 7)
    clear[: side // 5, side // 2 :], clear[side // 2 :, : side // 5] = NODATA, 1
    unknown = clear != 7
    if not product.quantiles:
        return np.where(unknown, NODATA, percent).astype(np.uint8), clear
    mean = rng.random((side, side)) / 3
    quantiles = np.stack([np.where(unknown, NODATA, np.rint(100 * mean * (0.5 + step / 4))) for step in range(5)])
    summed = (np.where(unknown, WIDE_NODATA, np.rint(WHOLE * share)) for share in (mean, mean / 2))
    return quantiles.astype(np.uint8), *(layer.astype(np.uint16) for layer in summed), clear
