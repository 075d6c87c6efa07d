"""How the maps of the simulated place compare with the truth that made them."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import geopandas as gpd
import numpy as np
import rasterio
import shapely

from stook.models.metrics import accuracy, auc, average_precision, f1
from stook.models.quantiles import r2
from stook.transforms.editions import map_store
from stook.transforms.editions.edition import Edition
from stook.transforms.ground.areas import TileCoverage
from stook.transforms.ground.counts import cell_counts
from stook.transforms.ground.geodesy import area_m2
from stook.transforms.ground.grid import Tile
from stook.transforms.ground.region import Region
from stook.transforms.statistics.table import DM2_PER_HA
from stook.transforms.values import NODATA

M2_PER_HA = 10_000
ROUNDING = 0.005  # of a map's percent
Truth = dict[int, dict[str, Path]]


@dataclass(frozen=True)
class TileTruth:
    """One tile of a product: what is there and what the map says.

    Attributes:
        ground: Whose ground it is.
        truth: [cell row, cell column], ``unknown`` of ``tiles_with_truth`` where nobody knows.
        percent: uint8 [cell row, cell column] or [quantile, cell row, cell column], 255 where nothing is mapped.
    """

    ground: TileCoverage
    truth: np.ndarray
    percent: np.ndarray


def tiles_with_truth(
    edition: Edition, product: str, truth: Truth, layer: str, unknown: float = NODATA
) -> Iterator[TileTruth]:
    """Every tile of a product beside its truth."""
    plan, region = edition.plan, Region.read(edition.units)
    cells = plan.cells(next(planned for planned in plan.products if planned.product == product))
    tiles = [Tile.parse(name) for name in edition.manifest["tiles"]]
    extents = map_store.extents(tiles)
    for tile in tiles:
        array = map_store.open_layer(edition.maps, tile.zone.name, cells.resolution_m, product)
        percent = np.asarray(array[(..., *extents[tile.zone].slices(cells, tile))])
        with rasterio.open(truth[tile.zone.epsg][layer]) as file:
            window = file.window(*cells.bounds(tile).bbox)
            there = file.read(1, window=window, boundless=True, fill_value=unknown)
        yield TileTruth(TileCoverage.of(region, plan.grid, tile), there, percent)


@dataclass(frozen=True)
class CroplandComparison:
    """The map of cropland against truth.

    Attributes:
        auc: Area under the ROC curve over every mapped pixel of the region.
        f1: Of the class at 50 percent, over the same.
        truth_ha: Unit -> true hectares of cropland.
    """

    auc: float
    f1: float
    truth_ha: dict[str, float]


def compare_cropland(edition: Edition, truth: Truth) -> CroplandComparison:
    """The accuracy of cropland and the true areas; border pixels count by the share that lies in the unit."""
    labels, scores = [], []
    area_dm2: dict[str, int] = defaultdict(int)
    for tile in tiles_with_truth(edition, "cropland", truth, "cropland"):
        known = (tile.truth != NODATA) & (tile.percent != NODATA)
        labels.append(tile.truth[known] == 1)
        scores.append(tile.percent[known])
        for unit, values in tile.ground.areas_of(tile.truth).items():
            area_dm2[unit] += values.get(1, 0)
    label, score = np.concatenate(labels), np.concatenate(scores) / 100
    return CroplandComparison(
        auc(label, score), f1(label, score), {unit: area / DM2_PER_HA for unit, area in area_dm2.items()}
    )


@dataclass(frozen=True)
class BuildingComparison:
    """The map of building coverage against truth.

    Attributes:
        r2: Of the median, over every mapped cell of the region.
        covered: Share of these cells whose true share lies within the outermost quantiles.
        truth_ha: Unit -> hectares under roofs.
    """

    r2: float
    covered: float
    truth_ha: dict[str, float]


def compare_buildings(edition: Edition, truth: Truth, footprints: Path) -> BuildingComparison:
    """The accuracy of building coverage and the true areas, which are those of the footprints within each unit."""
    predicted, shares = [], []
    for tile in tiles_with_truth(edition, "building_coverage", truth, "buildings", np.nan):
        known = (tile.percent[0] != NODATA) & np.isfinite(tile.truth)
        predicted.append(tile.percent[:, known].T / 100)
        shares.append(tile.truth[known])
    quantiles, target = np.concatenate(predicted), np.concatenate(shares)
    houses = gpd.read_file(footprints).geometry.to_numpy()
    truth_ha = {
        unit.id: area_m2(shapely.union_all(shapely.intersection(houses, unit.geometry))) / M2_PER_HA
        for unit in Region.read(edition.units).units
    }
    within = (target >= quantiles[:, 0] - ROUNDING) & (target <= quantiles[:, -1] + ROUNDING)
    return BuildingComparison(r2(quantiles[:, quantiles.shape[1] // 2], target), float(within.mean()), truth_ha)


@dataclass(frozen=True)
class PileComparison:
    """The map of harvest piles against truth.

    Attributes:
        accuracy: Share of the mapped cells that are on the right side of 50 percent.
        average_precision: Over every mapped cell of the region.
        cells: How many these are.
        truth_cells: Unit -> cells in which piles stood on a date that pictures all of the cell.
    """

    accuracy: float
    average_precision: float
    cells: int
    truth_cells: dict[str, int]


def compare_piles(edition: Edition, truth: Truth) -> PileComparison:
    """The accuracy of harvest piles and the true number of cells."""
    labels, scores = [], []
    cells: dict[str, int] = defaultdict(int)
    for tile in tiles_with_truth(edition, "harvest_piles", truth, "piles"):
        known = (tile.truth != NODATA) & (tile.percent != NODATA)
        labels.append(tile.truth[known] == 1)
        scores.append(tile.percent[known] / 100)
        for unit, values in cell_counts(tile.ground, tile.truth).items():
            cells[unit] += values.get(1, 0)
    label, score = np.concatenate(labels), np.concatenate(scores)
    precision = average_precision(label, score)
    return PileComparison(accuracy(label, score), precision, len(label), dict(cells))
