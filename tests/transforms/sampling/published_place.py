"""A published edition of a map made up for tests: what it says where is known, nothing was encoded."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from stook.models.presto import Presto, PrestoSize
from stook.models.source import ModelSource
from stook.transforms.editions import map_store
from stook.transforms.editions.edition import Edition
from stook.transforms.editions.ledger import TileRecord
from stook.transforms.editions.plan import Plan, ProductPlan
from stook.transforms.editions.products import PRODUCTS
from stook.transforms.editions.season_folder import SeasonFolder
from stook.transforms.editions.tile_records import done_record, failed_record
from stook.transforms.encoding.encodings import Encoding
from stook.transforms.ground.areas import TileCoverage
from stook.transforms.ground.grid import Grid, Tile
from stook.transforms.ground.region import Region
from stook.transforms.imagery.season import Season, Window
from stook.transforms.imagery.sources import Source
from stook.transforms.tiles.answers import class_image
from stook.transforms.values import NODATA

# What a tile is: percent and clear observations, uint8 [y, x] each; None for a tile that failed.
Painter = Callable[[Tile, Grid], tuple[np.ndarray, np.ndarray] | None]
FINISHED = "2026-01-01T00:00:00+00:00"


def publish_place(
    folder: Path, region: Region, grid: Grid, paint: Painter, year: int = 2019, product: str = "cropland"
) -> Edition:
    """Write and publish an edition whose tiles are painted."""
    plan = planned(region, grid, year, product)
    tiles = region.tiles(grid)
    season = SeasonFolder(folder, "place", f"main-{year}")
    with season.opening(plan) as (hidden, manifest):
        manifest["tiles"] = [tile.name for tile in tiles]
        manifest["calibrated"] = {product: False}
        manifest["licences"] = {product: "Apache-2.0"}
        region.write(hidden.units)
        map_store.create(hidden.maps, plan, tiles)
    edition = Edition(season.folder / manifest["edition"])
    for tile in tiles:
        _write_tile(edition, plan, region, tile, paint)
    season.publish(edition)
    return edition


def planned(region: Region, grid: Grid, year: int, product: str) -> Plan:
    """The plan of such an edition; its encoder is never asked."""
    quantiles = (0.05, 0.5, 0.95) if product == "building_coverage" else ()
    encoding = Encoding.of(Presto(PrestoSize(16, 1, 2)), Window(11, -1, 12), year)
    return Plan(
        name="place",
        season=Season("main", year),
        provisional=False,
        grid=grid,
        sources={"sentinel2": Source("sentinel2", "/catalog.json", "s2", "scaled-1e-4")},
        cloud_dilation_px=0,
        products=(ProductPlan(product, ModelSource("/bundle"), "b" * 64, encoding, 3, quantiles),),
        units_hash=region.hash,
    )


def _write_tile(edition: Edition, plan: Plan, region: Region, tile: Tile, paint: Painter) -> None:
    [product], grid = plan.products, plan.grid
    ground, painted = TileCoverage.of(region, grid, tile), paint(tile, grid)
    tiles = [Tile.parse(name) for name in edition.manifest["tiles"]]
    window = map_store.extents(tiles)[tile.zone].slices(grid, tile)
    if painted is None:
        record = failed_record(product, "f", ground, "made up")
    else:
        percent, clear = (np.where(ground.owned, layer, NODATA).astype(np.uint8) for layer in painted)
        known = PRODUCTS[product.product]
        assert known.observations is not None
        for layer, image in ((known.map.name, percent), (known.observations.name, clear)):
            array = map_store.open_layer(edition.maps, tile.zone.name, grid.resolution_m, layer, mode="r+")
            array[..., *window] = image if array.ndim == 2 else np.stack([image] * array.shape[0])
        record = done_record(product, "f", ground, class_image(percent, clear))
    edition.ledger.commit(TileRecord(tile.name, {product.product: record}, 1, {}, FINISHED), None)
