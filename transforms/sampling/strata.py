"""Strata: the region's ground divided by what a published map says of it, tile by tile, in exact areas."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import pandas as pd

from stook.models.errors import InputError
from stook.transforms.ground.grid import Tile
from stook.transforms.ground.unit import Unit
from stook.transforms.sampling.classes import CLASSES, SHARES
from stook.transforms.sampling.codes import OUTSIDE, CodeRaster
from stook.transforms.statistics.readings import Reading, reading_of
from stook.transforms.statistics.sums import WHOLE_REGION, ledger_sums
from stook.transforms.tiles.map_reader import MapReader

By = Literal["classes", "bands", "raster"]
NOT_MAPPED = 1 << 50  # kind of ground of which a map says nothing; greater than any other, so that it stands last
MOST_KINDS = 200  # of ground within an area: each needs points of its own, and a tile's must fit into uint8
COVERAGE_CLASSES = ("not covered", "covered")
LEAST_COVERED_PERCENT = 1
LEAST_COVERAGE_SPREAD = 0.05
UNKNOWN_SPREAD = 0.5  # the largest standard deviation that a share between 0 and 1 can have


@dataclass(frozen=True)
class Division:
    """How ground is divided.

    Attributes:
        by: Classes of the map, bands of its percent, or codes of a raster.
        bands: Percents at which one band ends and the next begins; empty but for ``bands``.
        raster: Location of the raster; None but for ``raster``.
        within: Level, as in the table of statistics, whose areas are apart: ``region``, ``parent 1`` …, ``unit``.
        accuracy: Share of a class's ground of which the map is expected to be right, 0.5…1.
    """

    by: By = "classes"
    bands: tuple[int, ...] = ()
    raster: str | None = None
    within: str = WHOLE_REGION
    accuracy: float = 0.85

    @property
    def edges(self) -> tuple[tuple[int, int], ...]:
        """Of each band the percent where it begins and that where the next one does; the last ends with 100."""
        return tuple(zip((0, *self.bands), (*self.bands, 100), strict=True))


@dataclass(frozen=True)
class Piece:
    """What a unit has of a stratum in a tile; ``area_dm2`` is exact."""

    tile: Tile
    unit: str
    area_dm2: int


@dataclass(frozen=True)
class MeasuredStratum:
    """Ground from which points are drawn together.

    Attributes:
        name: Unique, says what it is.
        kind: Value of ``DividedTile.kinds`` that its ground has.
        spread: Standard deviation within it that is expected of what is estimated, 0…0.5.
        pieces: Where it lies, by tile.
    """

    name: str
    kind: int
    spread: float
    pieces: tuple[Piece, ...]

    @property
    def area_dm2(self) -> int:
        """Of all its ground."""
        return sum(piece.area_dm2 for piece in self.pieces)

    @property
    def units_dm2(self) -> dict[str, int]:
        """Unit -> its ground in it."""
        found: Counter[str] = Counter()
        for piece in self.pieces:
            found[piece.unit] += piece.area_dm2
        return dict(found)


@dataclass(frozen=True)
class DividedTile:
    """What the cells of a tile are; all arrays are [cell row, cell column], north up.

    Attributes:
        kinds: int64, of a cell's ground.
        values: uint8, the map's class image.
        before: uint8, that of the earlier edition; None without one.
    """

    kinds: np.ndarray
    values: np.ndarray
    before: np.ndarray | None


@dataclass(frozen=True)
class DividedMap:
    """The ground of a published map, divided.

    Attributes:
        reader: Of the map.
        product: Its name.
        thresholds: Product of a model -> percent from which its map says the class.
        division: How.
        earlier: Of an earlier edition of the same units and grid, with whose classes the strata are crossed, or None.
    """

    reader: MapReader
    product: str
    thresholds: Mapping[str, int]
    division: Division
    earlier: MapReader | None = None

    def tile(self, tile: Tile) -> DividedTile:
        """What the cells of one tile are."""
        values = self.reader.classes(self.product, tile)
        kinds = self._of_value[values]
        if self._raster is not None:
            codes = self._raster.codes(self.reader.plan.cells(self.reader.product(self.product)).geobox(tile))
            kinds = np.where(kinds == NOT_MAPPED, kinds, codes)
        if self.earlier is None:
            return DividedTile(kinds, values, None)
        before = self.earlier.classes(self.product, tile)
        was = self._was[before]
        unmapped = (kinds == NOT_MAPPED) | (was == NOT_MAPPED)
        return DividedTile(np.where(unmapped, NOT_MAPPED, 2 * kinds + was), values, before)

    def name(self, kind: int) -> str:
        """What ground of a kind is called."""
        if kind == NOT_MAPPED:
            return "not mapped"
        if self.earlier is None:
            return self._name_now(kind)
        now, before = divmod(kind, 2)
        earlier = self.class_names[before]
        return f"{self._name_now(now)}, {earlier} before" if self._raster else f"{earlier} → {self._name_now(now)}"

    def spread(self, kind: int) -> float:
        """S_h: standard deviation expected, within ground of a kind, of what is estimated, 0…0.5.

        Of the share p of a class it is √(p (1 - p)). Of classes p or 1 - p is the accuracy that is expected of the map,
        of a band its middle; where nothing is known of p, which is where there is no map and in codes of a raster, it
        is ½, the most there can be.

        Of coverage it is half the width of the band, the most that shares within the band can have, but at least 0.05,
        since the map errs and a cell that it calls empty may have some roofs. That is cautious: a sample of that size
        will usually be more exact than was asked for.
        """
        if kind == NOT_MAPPED or self._raster is not None:
            return UNKNOWN_SPREAD
        now = kind if self.earlier is None else kind // 2
        if self.product in SHARES:
            low, high = self._span(now)
            return max((high - low) / 200, LEAST_COVERAGE_SPREAD)
        share = sum(self.division.edges[now]) / 200 if self.division.by == "bands" else self.division.accuracy
        return float(np.sqrt(share * (1 - share)))

    def place(self, unit: Unit) -> str:
        """The area that a unit's ground is in, empty for the region.

        Raises:
            InputError: If units have no such parents.
        """
        level = self.division.within
        if level == WHOLE_REGION:
            return ""
        if level == "unit":
            return unit.id
        number = int(level.removeprefix("parent "))
        if number > len(unit.parents):
            raise InputError(
                f"sample.strata.within: {level}, but region.parent names {len(unit.parents) or 'no'} levels of parents"
            )
        return unit.parents[number - 1] or f"no {level}"

    @cached_property
    def class_names(self) -> tuple[str, str]:
        """The class that is not mapped for and the one that is."""
        return COVERAGE_CLASSES if self.product in SHARES else CLASSES[self.product]

    @cached_property
    def _raster(self) -> CodeRaster | None:
        return None if self.division.raster is None else CodeRaster(self.division.raster)

    @cached_property
    def _of_value(self) -> np.ndarray:
        """int64 [256]: the kind of ground, as far as this edition says, of each value of the class image."""
        found = classes_by_value(self.reader, self.product, self.thresholds)
        if self.division.by == "bands":
            percents = np.searchsorted(self.division.bands, np.arange(len(found)), side="right")
            return np.where(found == NOT_MAPPED, NOT_MAPPED, percents)
        return found

    @cached_property
    def _was(self) -> np.ndarray:
        """The same of the earlier edition, whose classes count whatever this one is divided by."""
        assert self.earlier is not None
        return classes_by_value(self.earlier, self.product, self.thresholds)

    def _name_now(self, kind: int) -> str:
        if self._raster is not None:
            return "outside the raster" if kind == OUTSIDE else f"code {kind}"
        if self.division.by == "classes":
            return self.class_names[kind]
        low, end = self.division.edges[kind]
        high = end if end == 100 else end - 1
        return f"{self.class_names[1]} {low}-{high} %" if high > low else f"{self.class_names[1]} {low} %"

    def _span(self, kind: int) -> tuple[int, int]:
        """Percents between which coverage lies in a kind of ground."""
        if self.division.by == "bands":
            return self.division.edges[kind]
        return (LEAST_COVERED_PERCENT, 100) if kind else (0, LEAST_COVERED_PERCENT)


def classes_by_value(reader: MapReader, product: str, thresholds: Mapping[str, int]) -> np.ndarray:
    """int64 [256]: of each value of a class image whether it is of the class, 1 or 0, or ``NOT_MAPPED``."""
    reading = reading_of(reader.plan, reader.product(product), thresholds, calibrated=False)
    found = np.full(256, NOT_MAPPED, np.int64)
    found[sorted(reading.mapped)] = 0
    found[sorted(of_class(reading))] = 1
    return found


def of_class(reading: Reading) -> frozenset[int]:
    """The values that say the class; of coverage, those that say any."""
    return reading.of_class or frozenset(range(LEAST_COVERED_PERCENT, 101))


def measured_strata(divided: DividedMap) -> tuple[MeasuredStratum, ...]:
    """Every stratum with its exact area, all ground in one pass over the tiles; memory is that of one tile.

    Returns:
        By area in the order of the units, within each by rising class, band or code, ground without a map last.
        Together they are the region to the last dm².

    Raises:
        InputError: If a raster cannot be read, does not touch the region, or has too many codes; if units have no such
            parents.
    """
    region = divided.reader.region
    places = {unit.id: divided.place(unit) for unit in region.units}
    order = {place: number for number, place in enumerate(dict.fromkeys(places.values()))}
    pieces: dict[tuple[str, int], list[Piece]] = {}
    for kind, piece in _pieces(divided):
        pieces.setdefault((places[piece.unit], kind), []).append(piece)
        _refuse_many(divided, pieces)
    _require_touched(divided, pieces)
    strata = tuple(
        MeasuredStratum(_joined(place, divided.name(kind)), kind, divided.spread(kind), tuple(pieces[place, kind]))
        for place, kind in sorted(pieces, key=lambda key: (order[key[0]], key[1]))
    )
    _require_whole(divided, strata)
    return strata


def _pieces(divided: DividedMap) -> Iterator[tuple[int, Piece]]:
    """Kind and piece of every unit in every tile."""
    for tile in divided.reader.tiles:
        kinds = divided.tile(tile).kinds
        index, present = pd.factorize(kinds.ravel())  # ten times faster than np.unique
        if len(present) > MOST_KINDS:
            raise _too_many(divided)
        layer = index.reshape(kinds.shape).astype(np.uint8)
        for unit, areas in divided.reader.ground(tile).areas_of(layer).items():
            for number, area in areas.items():
                yield int(present[number]), Piece(tile, unit, area)


def _joined(place: str, name: str) -> str:
    return f"{place}: {name}" if place else name


def _refuse_many(divided: DividedMap, pieces: Mapping[tuple[str, int], object]) -> None:
    if len({kind for _, kind in pieces}) > MOST_KINDS:
        raise _too_many(divided)


def _too_many(divided: DividedMap) -> InputError:
    return InputError(
        f"sample.strata.raster: {divided.division.raster} has more than {MOST_KINDS} codes in the region; each is a "
        "stratum that needs points of its own, so merge them"
    )


def _require_touched(divided: DividedMap, pieces: Mapping[tuple[str, int], object]) -> None:
    """Refuse a raster of which no code lies on mapped ground."""
    kinds = {kind if divided.earlier is None else kind // 2 for _, kind in pieces if kind != NOT_MAPPED}
    if divided.division.raster is not None and kinds <= {OUTSIDE}:
        raise InputError(f"sample.strata.raster: {divided.division.raster} has no code where the region is mapped")


def _require_whole(divided: DividedMap, strata: tuple[MeasuredStratum, ...]) -> None:
    """Compare with what the ledger says of the same ground; a difference is a fault of ours."""
    reader = divided.reader
    histograms = ledger_sums(reader.edition, reader.region).histograms[divided.product]
    expected = sum(histograms[WHOLE_REGION, reader.plan.name].values())
    found = sum(stratum.area_dm2 for stratum in strata)
    if found != expected:
        raise RuntimeError(f"strata hold {found} dm², the region {expected}")
