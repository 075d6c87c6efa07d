"""Labelled ground: what classes mean, and labelled pixels or cells of the UTM grid."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import pandas as pd
import shapely

from stook.transforms.ground.antimeridian import lonlat_box
from stook.transforms.ground.grid import Grid, Tile, Zone

PIXEL_M = 10
DAY = "day"
BLOCKS_PER_SIDE = 10_000_000  # more than pixels between the equator and a pole, so numbers of blocks never meet


@dataclass(frozen=True)
class Classes:
    """Which classes of a label file mean what; every other value is unlabelled.

    A class that is a whole number is any spelling of it (7, 7.0, 07); a word is that word.

    Attributes:
        positive: Classes that are the product's.
        negative: Classes that are not.
    """

    positive: tuple[int | str, ...]
    negative: tuple[int | str, ...]

    def labels(self, values: Sequence[str | None]) -> np.ndarray:
        """What classes as text mean, float32 [value]: 1 positive, 0 negative, NaN for any other."""
        labels = {value: self._label(value) for value in set(values)}
        return np.array([labels[value] for value in values], np.float32)

    def _label(self, value: str | None) -> float:
        for label, classes in ((1.0, self.positive), (0.0, self.negative)):
            if value is not None and (value in classes or whole_number(value) in classes):
                return label
        return float("nan")


def whole_number(value: str) -> int | None:
    """The whole number that a text is of, or None."""
    number = re.fullmatch(r"([+-]?\d+)(?:\.0*)?", value)
    return int(number[1]) if number else None


@dataclass(frozen=True)
class LabelledPixels:
    """Labelled pixels of 10 m, or cells of a coarser product.

    Attributes:
        table: One row a pixel: ``zone`` (name), ``column`` and ``row`` (counted from easting and northing 0, the row
            northwards), ``label`` (bool for a class, float32 0…1 for a covered fraction), ``parcel`` (int, pixels that
            are not independent of each other), ``lon``, ``lat`` (degrees, of the centre); of what stands for some weeks
            only also ``day`` (``datetime.date``, of the picture that the label was read from), a row a cell and day.
        pixel_m: Side of a pixel.
    """

    table: pd.DataFrame
    pixel_m: float = PIXEL_M

    def __len__(self) -> int:
        return len(self.table)

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """West, south, east, north in degrees; west > east across the 180th meridian."""
        return lonlat_box(shapely.points(self.table["lon"], self.table["lat"]))

    def thinned(self, most: int, seed: int) -> "LabelledPixels":
        """At most ``most`` pixels, drawn at random without changing their order."""
        if len(self.table) <= most:
            return self
        table = self.table.sample(most, random_state=seed).sort_index().reset_index(drop=True)
        return LabelledPixels(table, self.pixel_m)

    def blocks(self, block_m: float) -> np.ndarray:
        """The square block int64 [pixel] that each pixel lies in; the same number is the same ground, in any file."""
        side = block_m / self.pixel_m
        zone, column, row = (self.table[key].to_numpy() for key in ("zone", "column", "row"))
        blocks = (column // side).astype(np.int64), (row // side).astype(np.int64)
        return (zone.astype(np.int64) * BLOCKS_PER_SIDE + blocks[0]) * BLOCKS_PER_SIDE + blocks[1]

    def by_tile(self, grid: Grid) -> Iterator[tuple[Tile, np.ndarray, np.ndarray, np.ndarray]]:
        """Tiles with their labelled pixels, of ``pixel_m``: indices in ``table``, rows (from the north) and columns."""
        size = grid.tile_px
        keys = [self.table["zone"], self.table["column"] // size, self.table["row"] // size]
        for key, part in self.table.groupby(keys, sort=True):
            zone, ix, iy = cast(tuple[str, int, int], key)
            rows = size - 1 - (part["row"].to_numpy() - iy * size)
            columns = part["column"].to_numpy() - ix * size
            yield Tile(Zone.parse(zone), int(ix), int(iy)), part.index.to_numpy(), rows, columns
