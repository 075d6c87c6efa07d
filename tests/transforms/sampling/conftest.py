"""A made-up published map over two zones, for every test of samples."""

from pathlib import Path

import numpy as np
import pytest
from shapely import Polygon, box

from stook.transforms.editions.edition import Edition
from stook.transforms.ground.grid import Grid, Tile
from stook.transforms.ground.region import Region
from stook.transforms.ground.unit import Unit
from stook.transforms.values import NODATA
from tests.transforms.sampling.published_place import publish_place

GRID = Grid(100, 50)  # tiles of 5 km
# Oblique borders, so that many pixels are on one; the meridian of 36° E cuts the first and the second.
NORTH = Polygon([(35.93, 9.0), (36.08, 9.03), (36.07, 9.11), (35.95, 9.12)])
SOUTH = Polygon([(35.93, 9.0), (36.08, 9.03), (36.05, 8.95)])
FAR = box(36.2, 9.0, 36.23, 9.04)
REGION = Region(
    (
        Unit("north", "North", ("main", "all"), NORTH),
        Unit("south", "South", ("main", "all"), SOUTH),
        Unit("far", "Far", (None, "all"), FAR),
    )
)
FAILED_TILE = 7  # of the tiles, in order


def painted(tile: Tile, grid: Grid) -> tuple[np.ndarray, np.ndarray] | None:
    """Percent by where a pixel lies in its zone, with strips that were seen too seldom or not at all."""
    if tile == REGION.tiles(grid)[FAILED_TILE]:
        return None
    row, column = np.indices((grid.tile_px, grid.tile_px))
    east, north = tile.ix * grid.tile_px + column, (tile.iy + 1) * grid.tile_px - 1 - row
    percent = (east * 7 + north * 3 + (east // 8) * (north // 5)) % 101
    clear = np.where(east % 23 == 0, NODATA, np.where(north % 17 == 0, 1, 9))
    return np.where(clear == 9, percent, NODATA).astype(np.uint8), clear.astype(np.uint8)


def painted_before(tile: Tile, grid: Grid) -> tuple[np.ndarray, np.ndarray] | None:
    """An earlier map, otherwise wrong and with other gaps."""
    row, column = np.indices((grid.tile_px, grid.tile_px))
    east, north = tile.ix * grid.tile_px + column, (tile.iy + 1) * grid.tile_px - 1 - row
    percent = (east * 5 + north * 11) % 101
    clear = np.where(north % 19 == 0, NODATA, 9)
    return np.where(clear == 9, percent, NODATA).astype(np.uint8), clear.astype(np.uint8)


@pytest.fixture(scope="session")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the place's results."""
    return tmp_path_factory.mktemp("place")


@pytest.fixture(scope="session")
def edition(published: Path) -> Edition:
    """Cropland of 2019; read only."""
    return publish_place(published, REGION, GRID, painted)


@pytest.fixture(scope="session")
def earlier(published: Path) -> Edition:
    """Cropland of 2018; read only."""
    return publish_place(published, REGION, GRID, painted_before, year=2018)


@pytest.fixture(scope="session")
def built(published: Path) -> Edition:
    """Building coverage of 2020, painted like cropland; read only."""
    return publish_place(published, REGION, GRID, painted, year=2020, product="building_coverage")
