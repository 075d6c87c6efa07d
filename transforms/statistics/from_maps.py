"""Sums made again from the published maps, tile by tile and out of core, the very same that the ledger adds up to."""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import dask
import numpy as np

from stook.models.errors import InputError
from stook.transforms.editions.ledger import ProductRecord
from stook.transforms.editions.plan import DerivedPlan, ProductPlan
from stook.transforms.editions.tile_records import done_record
from stook.transforms.ground.areas import TileCoverage
from stook.transforms.ground.grid import Tile
from stook.transforms.memory import keep_little_freed
from stook.transforms.statistics.sums import Sums, Tally
from stook.transforms.tiles.answers import covered_of
from stook.transforms.tiles.map_reader import MapReader

MOST_TILES_AT_ONCE = 4  # in memory, each with some 60 MB of areas and shares at 1000 pixels a side
TILES_PER_GRAPH = 64  # what they come to is small; a graph of all tiles of a country is not

Made = TypeVar("Made")


@dataclass(frozen=True)
class MappedProduct:
    """What the maps say of a product in a tile.

    Attributes:
        product: As planned.
        classes: See ``MapReader.classes``.
        shares: See ``MapReader.shares``; None also where the tile failed.
    """

    product: ProductPlan | DerivedPlan
    classes: np.ndarray
    shares: np.ndarray | None

    def record(self, ground: TileCoverage) -> ProductRecord:
        """What it adds up to, as the ledger would keep it; from whatever inputs it was made."""
        covered = None if self.shares is None else covered_of(ground, self.shares)
        return done_record(self.product, "", ground, self.classes, covered)


@dataclass(frozen=True)
class MappedTile:
    """A tile as it is published.

    Attributes:
        ground: Whose it is.
        products: All of the edition's.
    """

    ground: TileCoverage
    products: tuple[MappedProduct, ...]

    @classmethod
    def read(cls, reader: MapReader, tile: Tile) -> "MappedTile":
        """The maps of a tile; what failed there is known from the ledger, for a map only shows that nothing is there.

        Raises:
            InputError: If some product of the tile has no record yet.
        """
        record = reader.edition.ledger.read(tile)
        found = {} if record is None else record.products
        products = []
        for product in reader.plan.all_products:
            if product.product not in found:
                raise InputError(f"{reader.edition.folder}: tile {tile.name} is not mapped yet")
            failed = found[product.product].status == "failed"
            shares = None if failed else reader.shares(product, tile)
            products.append(MappedProduct(product, reader.classes(product.product, tile), shares))
        return cls(reader.ground(tile), tuple(products))

    def records(self) -> dict[str, ProductRecord]:
        """Product -> what it adds up to in the tile."""
        return {each.product.product: each.record(self.ground) for each in self.products}


def map_sums(reader: MapReader) -> Sums:
    """Add up all tiles of the maps.

    Memory: a few tiles, whatever their number.

    Raises:
        InputError: If some product of a tile has no record yet.
    """
    tally = Tally(reader.plan, reader.region)
    for records in over_tiles(reader.tiles, partial(_records, reader)):
        tally.add(records)
    return tally.sums()


def over_tiles(tiles: Sequence[Tile], make: Callable[[Tile], Made]) -> Iterator[Made]:
    """What is made of each tile, in their order, a few tiles at once in threads."""
    keep_little_freed()
    workers = min(MOST_TILES_AT_ONCE, os.cpu_count() or 1)
    task = dask.delayed(make, pure=False, traverse=False)
    for start in range(0, len(tiles), TILES_PER_GRAPH):
        tasks = [task(tile) for tile in tiles[start : start + TILES_PER_GRAPH]]
        yield from dask.compute(*tasks, scheduler="threads", num_workers=workers)


def _records(reader: MapReader, tile: Tile) -> dict[str, ProductRecord]:
    return MappedTile.read(reader, tile).records()
