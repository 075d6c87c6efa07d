"""How a map of the simulated place compares with the truth that made it."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import geopandas as gpd
import numpy as np
import rasterio
import shapely

from models.metrics import auc
from models.quantiles import r2
from transforms import map_store
from transforms.areas import TileCoverage
from transforms.editions import Edition
from transforms.geodesy import geodesic_area_m2
from transforms.grid import Tile
from transforms.products import NODATA, PRODUCTS
from transforms.region import Region
from transforms.statistics import DM2_PER_HA

CROPLAND = PRODUCTS["cropland"]
M2_PER_HA = 10_000


@dataclass(frozen=True)
class Comparison:
    """Map against truth.

    Attributes:
        auc: Area under the ROC curve over every mapped pixel of the region.
        truth_ha: Unit -> true hectares of cropland.
    """

    auc: float
    truth_ha: dict[str, float]


@dataclass(frozen=True)
class TileTruth:
    """One tile: what is there and what the map says, uint8 [y, x], 255 where unknown."""

    ground: TileCoverage
    truth: np.ndarray
    percent: np.ndarray


def tiles_with_truth(edition: Edition, truth: dict[int, dict[str, Path]]) -> Iterator[TileTruth]:
    """Every tile of an edition beside its truth."""
    plan, region = edition.plan, Region.read(edition.units)
    tiles = [Tile.parse(name) for name in edition.manifest["tiles"]]
    extents = map_store.extents(tiles)
    for tile in tiles:
        array = map_store.open_layer(edition.maps, tile.zone.name, plan.grid.resolution_m, CROPLAND.map.name)
        window = extents[tile.zone].slices(plan.grid, tile)
        with rasterio.open(truth[tile.zone.epsg]["cropland"]) as file:
            bounds = plan.grid.bounds(tile)
            there = file.read(1, window=file.window(*bounds.bbox), boundless=True, fill_value=NODATA)
        yield TileTruth(TileCoverage.of(region, plan.grid, tile), there, np.asarray(array[window]))


def compare(edition: Edition, truth: dict[int, dict[str, Path]]) -> Comparison:
    """The accuracy of an edition and the true areas; border pixels count by the share that lies in the unit."""
    labels, scores = [], []
    area_dm2: dict[str, int] = {}
    for tile in tiles_with_truth(edition, truth):
        known = (tile.truth != NODATA) & (tile.percent != NODATA)
        labels.append(tile.truth[known] == 1)
        scores.append(tile.percent[known])
        for unit, layers in tile.ground.areas({"truth": tile.truth}).items():
            area_dm2[unit] = area_dm2.get(unit, 0) + layers["truth"].get(1, 0)
    score = auc(np.concatenate(labels), np.concatenate(scores))
    return Comparison(score, {unit: area / DM2_PER_HA for unit, area in area_dm2.items()})


@dataclass(frozen=True)
class BuildingComparison:
    """Map of building coverage against truth.

    Attributes:
        r2: Of the median, over every mapped cell of the region.
        covered: Share of these cells whose true share lies within the outermost quantiles.
        truth_ha: Unit -> hectares under roofs.
    """

    r2: float
    covered: float
    truth_ha: dict[str, float]


def compare_buildings(edition: Edition, truth: dict[int, dict[str, Path]], footprints: Path) -> BuildingComparison:
    """The accuracy of building coverage and the true areas, which are those of the footprints within each unit."""
    plan, region = edition.plan, Region.read(edition.units)
    product = next(product for product in plan.products if product.product == "building_coverage")
    cells, predicted, shares = plan.cells(product), [], []
    tiles = [Tile.parse(name) for name in edition.manifest["tiles"]]
    extents = map_store.extents(tiles)
    for tile in tiles:
        array = map_store.open_layer(edition.maps, tile.zone.name, cells.resolution_m, product.product)
        percent = np.asarray(array[(slice(None), *extents[tile.zone].slices(cells, tile))])
        with rasterio.open(truth[tile.zone.epsg]["buildings"]) as file:
            window = file.window(*cells.bounds(tile).bbox)
            share = file.read(1, window=window, boundless=True, fill_value=np.nan)
        known = (percent[0] != NODATA) & np.isfinite(share)
        predicted.append(percent[:, known].T / 100)
        shares.append(share[known])
    quantiles, target = np.concatenate(predicted), np.concatenate(shares)
    houses = gpd.read_file(footprints).geometry.to_numpy()
    truth_ha = {
        unit.id: geodesic_area_m2(shapely.union_all(shapely.intersection(houses, unit.geometry))) / M2_PER_HA
        for unit in region.units
    }
    rounding = 0.005  # of the map's percent
    within = (target >= quantiles[:, 0] - rounding) & (target <= quantiles[:, -1] + rounding)
    return BuildingComparison(r2(quantiles[:, product.quantiles.index(0.5)], target), float(within.mean()), truth_ha)
