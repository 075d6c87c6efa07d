"""What a published map says at places given in degrees."""

from collections import defaultdict
from collections.abc import Iterator

import numpy as np
import shapely

from stook.transforms.ground.geodesy import project
from stook.transforms.ground.grid import Tile, Zone
from stook.transforms.tiles.map_reader import MapReader

OUTSIDE = -1  # of the region

Cells = tuple[np.ndarray, np.ndarray]


def values_at(maps: MapReader, product: str, lon: np.ndarray, lat: np.ndarray) -> np.ndarray:
    """Values of a product's class image, int16 [place]; ``OUTSIDE`` where the region has no ground.

    Each tile is read once, one at a time, whatever the order of the places.

    Args:
        maps: Of an edition.
        product: One of its products.
        lon: Degrees, float64 [place].
        lat: The same.
    """
    values = np.full(len(lon), OUTSIDE, np.int16)
    for tile, places, cells in located(maps, product, lon, lat):
        values[places] = maps.classes(product, tile)[cells]
    return values


def shares_at(maps: MapReader, product: str, lon: np.ndarray, lat: np.ndarray) -> np.ndarray:
    """Mean covered share of the cells of a product that is a share, float64 [place], of which areas are summed.

    NaN where there is no map or the tile failed, ``OUTSIDE`` where the region has no ground. Arguments as of
    ``values_at``.
    """
    values = np.full(len(lon), float(OUTSIDE))
    for tile, places, cells in located(maps, product, lon, lat):
        record = maps.edition.ledger.read(tile)
        if record is None or record.products[product].status == "failed":
            values[places] = np.nan  # whatever was written before it failed
            continue
        shares = maps.shares(maps.product(product), tile)
        assert shares is not None, f"{product} is no share"
        values[places] = shares[0][cells]
    return values


def located(
    maps: MapReader, product: str, lon: np.ndarray, lat: np.ndarray
) -> Iterator[tuple[Tile, np.ndarray, Cells]]:
    """Each tile with places on the region's ground: which, int [place], and the row and column of their cells."""
    grid, cells = maps.plan.grid, maps.plan.cells(maps.product(product))
    eastings, northings = np.empty(len(lon)), np.empty(len(lon))
    by_tile: dict[Tile, list[int]] = defaultdict(list)
    for zone, members in _by_zone(lon, lat).items():
        x, y = shapely.get_coordinates(project(shapely.points(lon[members], lat[members]), zone)).T
        eastings[members], northings[members] = x, y
        for index, easting, northing in zip(members, x, y, strict=True):
            by_tile[grid.tile_at(zone, easting, northing)].append(index)
    last = cells.tile_px - 1
    for tile in sorted(set(maps.tiles) & by_tile.keys()):
        places = np.array(by_tile[tile])
        ground = shapely.union_all([part.geometry for part in maps.region.pieces(grid, tile)])
        inside = places[shapely.intersects_xy(ground, eastings[places], northings[places])]
        left, _, _, top = grid.bounds(tile).bbox
        columns = np.clip((eastings[inside] - left) // cells.resolution_m, 0, last).astype(int)
        # A tile's southern edge is its own: there the row would be one too many.
        rows = np.clip((top - northings[inside]) // cells.resolution_m, 0, last).astype(int)
        if len(inside):
            yield tile, inside, (rows, columns)


def _by_zone(lon: np.ndarray, lat: np.ndarray) -> dict[Zone, np.ndarray]:
    """Zone -> the places in it, int [place]."""
    found: dict[Zone, list[int]] = defaultdict(list)
    for index, (east, north) in enumerate(zip(lon, lat, strict=True)):
        found[Zone.at(float(east), float(north))].append(index)
    return {zone: np.array(members) for zone, members in found.items()}
