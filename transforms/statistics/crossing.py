"""Maps cross-tabulated with a layer of the user's: sums by its values, which add up to those of each place."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import numpy as np

from stook.transforms.editions.ledger import Covered, ProductRecord
from stook.transforms.editions.products import counted
from stook.transforms.ground.areas import TileCoverage
from stook.transforms.ground.counts import STEPS_PER_PIXEL, cell_owners, cell_shares
from stook.transforms.ground.grid import Tile
from stook.transforms.statistics.from_maps import MappedProduct, MappedTile, over_tiles
from stook.transforms.statistics.layers import GroundLayer, Piece
from stook.transforms.statistics.sums import Histogram, Sums, Tally
from stook.transforms.tiles.answers import covered_of
from stook.transforms.tiles.map_reader import MapReader

Key = TypeVar("Key", int, str)
# Value of the layer -> product -> what it adds up to in a tile.
Crossed = dict[str, dict[str, ProductRecord]]


def cross_sums(reader: MapReader, layer: GroundLayer) -> dict[str, Sums]:
    """Add up all tiles by the values of a layer, each with the places in which it has ground.

    Memory: a few tiles, and the sums.

    Raises:
        InputError: If some product of a tile has no record yet, or the layer cannot be read.
    """
    tallies: dict[str, Tally] = {}
    for crossed in over_tiles(reader.tiles, partial(_crossed, reader, layer)):
        for value, records in crossed.items():
            if value not in tallies:
                tallies[value] = Tally(reader.plan, reader.region, everywhere=False)
            tallies[value].add(records)
    return {value: tally.sums() for value, tally in tallies.items()}


def cross(mapped: MappedTile, layer: GroundLayer) -> Crossed:
    """What a tile adds up to by the values of a layer.

    Of each unit and each value of a map, the layer's values have whole dm² that add up to what the map has alone, so
    they add up whatever is summed. A cell that is counted has the value of the layer with most of its ground.
    """
    ground, records = mapped.ground, mapped.records()
    crossed: Crossed = {}
    for index, (unit, pieces) in enumerate(zip(ground.units, layer.pieces(ground), strict=True)):
        values, alone = _apart(mapped, pieces)
        for product in mapped.products:
            name = product.product.product
            parts = _agreed(records[name], unit.unit_id, alone[name])
            cells = _cells(product, ground, index, alone[name]) if counted(name) else [{} for _ in values]
            for value, (areas, covered), counts in zip(values, parts, cells, strict=True):
                made = crossed.setdefault(value, {}).setdefault(name, ProductRecord("", "done", {}))
                made.areas[unit.unit_id], made.cells[unit.unit_id] = areas, counts
                if covered is not None:
                    made.covered[unit.unit_id] = covered
    return crossed


def split(totals: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Whole numbers in proportion to weights, int64 [part, column], each column of which adds up to its total exactly.

    Running sums are rounded, so that each number is less than one off. A column without any weight goes to the part
    that has most of the others.

    Args:
        totals: Whole numbers, not negative [column].
        weights: Not negative [part, column].
    """
    running = np.cumsum(weights, axis=0, dtype=float)
    whole = running[-1]
    largest = np.arange(len(weights)) >= np.argmax(np.sum(weights, axis=1))
    shares = np.where(whole > 0, running / np.where(whole > 0, whole, 1), largest[:, np.newaxis])
    return np.diff(np.rint(shares * totals).astype(np.int64), axis=0, prepend=0)


@dataclass(frozen=True)
class Alone:
    """What a product adds up to in a piece of a unit's ground, looked at by itself.

    Attributes:
        areas: Class value -> dm².
        covered: Of a product that is a share of its cells.
        ground: Of a product whose cells are counted, how many pixels of each cell the piece is: [row, column].
    """

    areas: Histogram
    covered: Covered | None = None
    ground: np.ndarray | None = None


def _crossed(reader: MapReader, layer: GroundLayer, tile: Tile) -> Crossed:
    return cross(MappedTile.read(reader, tile), layer)


def _apart(mapped: MappedTile, pieces: Iterable[Piece]) -> tuple[list[str], dict[str, list[Alone]]]:
    """The values of some pieces and, for each product, what it adds up to in each."""
    values: list[str] = []
    alone: dict[str, list[Alone]] = {each.product.product: [] for each in mapped.products}
    for value, part in pieces:
        values.append(value)
        piece = TileCoverage(mapped.ground.grid, mapped.ground.tile, (part,))
        for each in mapped.products:
            name, everywhere = each.product.product, slice(0, len(each.classes))
            areas = piece.areas_of(each.classes)[part.unit_id]
            covered = None if each.shares is None else covered_of(piece, each.shares)[part.unit_id]
            ground = cell_shares(part, everywhere, everywhere, each.product.cell_px) if counted(name) else None
            alone[name].append(Alone(areas, covered, ground))
    return values, alone


def _agreed(record: ProductRecord, unit: str, alone: Sequence[Alone]) -> list[tuple[Histogram, Covered | None]]:
    """The areas of pieces, rounded so that they add up to those of the unit."""
    areas = _split(record.areas[unit], [each.areas for each in alone])
    if unit not in record.covered:
        return [(histogram, None) for histogram in areas]
    parts = [each.covered or Covered({}, {}) for each in alone]
    means = _split(record.covered[unit].mean_dm2, [part.mean_dm2 for part in parts])
    return [
        (histogram, Covered(mean, part.width_dm2)) for histogram, mean, part in zip(areas, means, parts, strict=True)
    ]


def _split(totals: dict[Key, int], weights: Sequence[dict[Key, int]]) -> list[dict[Key, int]]:
    """The same as ``split``, of columns with names; nothing stands for zero."""
    keys = list(totals)
    columns = np.array([[part.get(key, 0) for key in keys] for part in weights], dtype=float).reshape(len(weights), -1)
    numbers = split(np.array([totals[key] for key in keys], dtype=float), columns)
    return [{key: int(number) for key, number in zip(keys, row, strict=True) if number} for row in numbers]


def _cells(product: MappedProduct, ground: TileCoverage, unit: int, alone: Sequence[Alone]) -> list[Histogram]:
    """For each piece of a unit, how many of the unit's cells of each value have most of their ground in it."""
    owned = cell_owners(ground, len(product.classes)) == unit
    steps = np.rint(np.stack([each.ground for each in alone if each.ground is not None]) * STEPS_PER_PIXEL)
    most = steps.argmax(axis=0)
    counts = (np.bincount(product.classes[owned & (most == part)]) for part in range(len(alone)))
    return [{int(value): int(found[value]) for value in np.flatnonzero(found)} for found in counts]
