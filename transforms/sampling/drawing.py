"""Points drawn at random in each stratum, uniform by area on the ellipsoid.

A point is drawn in three steps: where its stratum lies (a unit's part of a tile) by the exact areas; a pixel there that
holds some of it, by the pixel's whole area; a place in the pixel. A place that is not the unit's ground is thrown away
and another pixel drawn. Every bit of the stratum's ground is then equally likely to be hit, border pixels by the share
that the unit has of them, however thin. Points are places, not cells: draws are independent, and two may fall into one
cell.

Everything that decides is a whole number (areas in dm² and mm², coordinates in 1e-7 degrees), so that the same seed
and edition give the same points. Each stratum, and each part of one, has its own stream of random numbers (PCG64,
spawned by their numbers), so that one tile's draws do not depend on how many another needed.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby

import numpy as np
import pandas as pd
import shapely

from stook.models.errors import InputError
from stook.transforms.ground.areas import PixelAreas, UnitCoverage
from stook.transforms.ground.geodesy import to_lonlat
from stook.transforms.ground.grid import Grid, Tile
from stook.transforms.ground.region import Part
from stook.transforms.sampling.sample import DM2_PER_HA
from stook.transforms.sampling.strata import DividedMap, DividedTile, MeasuredStratum, Piece

MM2_PER_M2 = 1_000_000  # a tile of 10 km has 1e14, which fits into int64; what rounding loses is no ground at all
STEPS_PER_DEGREE = 10_000_000  # coordinates are kept to 1e-7 degrees, 11 mm
FEWEST_TRIES, MOST_TRIES = 64, 1 << 20  # places tried at once
HOPELESS = 1 << 25  # tries without a single place: the ground is thinner than the steps of coordinates


@dataclass(frozen=True)
class Draw:
    """How many points a piece of a stratum gets, and the numbers of both, which are those of its random numbers."""

    stratum: int
    number: int
    piece: Piece
    points: int


def drawn_points(
    divided: DividedMap, strata: tuple[MeasuredStratum, ...], counts: np.ndarray, seed: int
) -> pd.DataFrame:
    """The points of a sample, as ``stook.transforms.sampling.sample.Sample.points`` has them.

    Only tiles with points are read, one at a time.

    Args:
        divided: The map.
        strata: Of its whole ground.
        counts: int [stratum], points of each.
        seed: The same one gives the same points.
    """
    draws = [draw for h, stratum in enumerate(strata) for draw in _draws(h, stratum, int(counts[h]), seed)]
    draws.sort(key=lambda draw: (draw.piece.tile, draw.stratum, draw.number))
    found = [
        table
        for tile, here in groupby(draws, key=lambda draw: draw.piece.tile)
        for table in _of_tile(divided, strata, tile, list(here), seed)
    ]
    points = pd.concat(found, ignore_index=True)
    shuffled = points.iloc[_generator(seed).permutation(len(points))].reset_index(drop=True)
    per_ha = np.array([counts[h] * DM2_PER_HA / stratum.area_dm2 for h, stratum in enumerate(strata)])
    shuffled["inclusion_per_ha"] = per_ha[shuffled["stratum"]]
    shuffled.insert(0, "point", np.arange(1, len(points) + 1))
    return shuffled


def places_in(
    rng: np.random.Generator, grid: Grid, tile: Tile, pixels: np.ndarray, areas: PixelAreas, part: Part, count: int
) -> tuple[np.ndarray, np.ndarray]:
    """Places in some pixels of a tile, uniform over the ground that a unit has there.

    Args:
        rng: Random numbers.
        grid: Size of the pixels.
        tile: The tile.
        pixels: bool [y, x], north up, those in which the unit has ground; some must be true.
        areas: Of the tile's pixels.
        part: The unit's ground in the tile.
        count: How many places.

    Returns:
        Longitude and latitude float64 [place, 2], degrees, whole steps of 1e-7, at which they still lie in the same
        pixel and on the unit's ground; and the pixel's row and column in the tile, int64 [place, 2].
    """
    rows, columns = np.nonzero(pixels)
    everywhere = slice(None)
    whole = areas.window(everywhere, everywhere)[rows, columns]
    ends = np.cumsum(np.rint(whole * MM2_PER_M2).astype(np.int64))
    left, _, _, top = grid.bounds(tile).bbox
    if not part.whole:
        shapely.prepare(part.geometry)
    lonlats, cells, missing, tries, tried = [], [], count, FEWEST_TRIES, 0
    while missing > 0:
        if tried >= HOPELESS and missing == count:
            raise InputError(f"tile {tile.name}: the ground of unit {part.unit.id!r} is too thin to draw a point from")
        tries = min(max(2 * tries, 2 * missing), MOST_TRIES)
        pixel = np.searchsorted(ends, rng.integers(ends[-1], size=tries), side="right")
        row, column = rows[pixel], columns[pixel]
        across, down = rng.random((2, tries))
        x, y = left + (column + across) * grid.resolution_m, top - (row + down) * grid.resolution_m
        lonlat, x, y = _rounded(tile, x, y)
        kept = (np.floor((x - left) / grid.resolution_m) == column) & (np.floor((top - y) / grid.resolution_m) == row)
        if not part.whole:
            kept &= shapely.contains_xy(part.geometry, x, y)
        lonlats.append(lonlat[kept][:missing])
        cells.append(np.column_stack([row, column])[kept][:missing])
        missing -= len(lonlats[-1])
        tried += tries
    return np.concatenate(lonlats), np.concatenate(cells)


def _draws(h: int, stratum: MeasuredStratum, count: int, seed: int) -> Iterator[Draw]:
    """Which pieces of a stratum get points, and how many: each point by itself, by the pieces' exact areas."""
    ends = np.cumsum([piece.area_dm2 for piece in stratum.pieces])
    hit = np.searchsorted(ends, _generator(seed, h).integers(ends[-1], size=count), side="right")
    for number, points in zip(*np.unique(hit, return_counts=True), strict=True):
        yield Draw(h, int(number), stratum.pieces[number], int(points))


def _of_tile(
    divided: DividedMap, strata: tuple[MeasuredStratum, ...], tile: Tile, draws: list[Draw], seed: int
) -> Iterator[pd.DataFrame]:
    """The points of a tile, a table for each piece."""
    grid, here, ground = divided.reader.plan.grid, divided.tile(tile), divided.reader.ground(tile)
    parts = {part.unit.id: part for part in divided.reader.region.pieces(grid, tile)}
    coverages = {unit.unit_id: unit for unit in ground.units}
    side = grid.tile_px // here.kinds.shape[0]
    for draw in draws:
        rng, unit = _generator(seed, draw.stratum, draw.number), draw.piece.unit
        cells = here.kinds == strata[draw.stratum].kind
        pixels = cells.repeat(side, axis=0).repeat(side, axis=1) & _touched(coverages[unit], grid)
        lonlat, at = places_in(rng, grid, tile, pixels, ground.pixel_areas, parts[unit], draw.points)
        yield _table(draw, lonlat, here, at // side)


def _table(draw: Draw, lonlat: np.ndarray, here: DividedTile, cells: np.ndarray) -> pd.DataFrame:
    row, column = cells.T
    before = pd.array([pd.NA] * draw.points if here.before is None else here.before[row, column], dtype="Int64")
    return pd.DataFrame(
        {
            "lon": lonlat[:, 0],
            "lat": lonlat[:, 1],
            "stratum": np.full(draw.points, draw.stratum),
            "unit": draw.piece.unit,
            "value": here.values[row, column].astype(np.int64),
            "before": before,
        }
    )


def _touched(unit: UnitCoverage, grid: Grid) -> np.ndarray:
    """The pixels of a tile in which a unit has ground, bool [y, x]."""
    touched = np.zeros((grid.tile_px, grid.tile_px), bool)
    touched[unit.rows, unit.columns] = True if unit.fraction is None else unit.fraction > 0
    return touched


def _rounded(tile: Tile, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Longitude and latitude [place, 2] of places in metres of the tile's zone, rounded; and where that is, x and y."""
    transformer = to_lonlat(f"EPSG:{tile.zone.epsg}")
    steps = np.rint(np.column_stack(transformer.transform(x, y)) * STEPS_PER_DEGREE)
    lonlat = steps / STEPS_PER_DEGREE
    back = transformer.transform(lonlat[:, 0], lonlat[:, 1], direction="INVERSE")
    return lonlat, back[0], back[1]


def _generator(seed: int, *numbers: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=numbers)))
