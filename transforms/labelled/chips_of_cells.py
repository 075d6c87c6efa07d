"""The chips around labelled cells, and the ground they lie on: what encoders are trained with."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import pandas as pd

from stook.models.encoder import Chips
from stook.models.errors import InputError, TileError
from stook.models.fine_tuning import LabelledChips
from stook.models.specification import InputSpecification
from stook.transforms.backoff import BackOff
from stook.transforms.encoding.chips import ChipLayout
from stook.transforms.encoding.cutting import Cutter
from stook.transforms.ground.geodesy import lonlat_bounds, widened
from stook.transforms.ground.grid import Grid, picture_grid
from stook.transforms.ground.squares import Squares
from stook.transforms.imagery.freeze import find_inputs
from stook.transforms.imagery.pictures import CellPictures, PictureSettings, cell_pictures
from stook.transforms.imagery.season import Period
from stook.transforms.imagery.sources import Source
from stook.transforms.labelled.features import SeasonReader
from stook.transforms.labelled.labels import DAY, LabelledPixels
from stook.transforms.values import NODATA


@dataclass(frozen=True)
class PlacedChips:
    """Labelled chips and where they lie.

    Attributes:
        labelled: The chips, their targets and blocks.
        squares: The ground of each.
        absent: Bands of the encoder that no archive had.
    """

    labelled: LabelledChips
    squares: Squares
    absent: frozenset[str] = frozenset()


def composite_chips(
    labels: LabelledPixels,
    reader: SeasonReader,
    layout: ChipLayout,
    specification: InputSpecification,
    minimum_observations: int,
    block_m: float,
) -> PlacedChips:
    """The chips of composites around labelled cells; those that a map would not answer for are left out.

    Memory: all chips, 4 bytes a value.

    Args:
        labels: Cells of the layout's size.
        reader: Of the tiles, whose halo is at least the layout's.
        layout: One vector per chip.
        specification: What the encoder expects.
        minimum_observations: Clear ones that every pixel of a cell must have, for an encoder that takes gaps; others
            need chips without any.
        block_m: Side of the blocks that are never split.

    Raises:
        InputError: If the labels' cells are not the layout's, or no chip is usable.
    """
    cell_m = layout.cell_px * reader.grid.resolution_m
    if labels.pixel_m != cell_m:
        raise InputError(f"training.labels: cells of {labels.pixel_m:g} m, but the encoder's are {cell_m:g} m wide")
    cells = Grid(cell_m, reader.grid.tile_px // layout.cell_px)
    gathered = _Gathered(labels, specification)
    for tile, index, rows, columns in labels.by_tile(cells):
        season = reader.read(tile)
        cutter = Cutter(season, layout, specification, reader.absent)
        tops, lefts = cutter.chips.rows[rows], cutter.chips.columns[columns]
        if specification.masks_missing:
            clear = season.clear_in_cells(layout.cell_px)[rows, columns]
            usable = (clear != NODATA) & (clear >= minimum_observations)
        else:
            usable = cutter.whole(tops, lefts)
        if usable.any():
            cut = cutter.cut(tops[usable], lefts[usable])
            gathered.take(cut, np.ones(len(cut), bool), index[usable])
    return gathered.placed(block_m, reader.absent)


def picture_chips(
    labels: LabelledPixels,
    source: Source,
    window: Period,
    specification: InputSpecification,
    block_m: float,
    backoff: BackOff | None = None,
) -> PlacedChips:
    """The chips of pictures around labelled cells, each of the day of its label, read as maps read them.

    Cells whose chip is not wholly pictured on their day (UTC) are left out. Months and
    years are those of the first chip for all, whatever their days: the encoders that training allows here take one
    picture and look at no date.

    Memory: all chips, 4 bytes a value, and one row of cells.

    Args:
        labels: Cells with a day each, see ``stook.transforms.labelled.label_files``.
        source: The archive.
        window: Dates that maps will look at.
        specification: What the encoder expects.
        block_m: Side of the blocks that are never split.
        backoff: How patiently the archive is asked.

    Raises:
        InputError: If a day lies outside the window, no chip is whole, or a file is missing or corrupt.
        UnreachableError: If an archive does not answer.
    """
    days = labels.table[DAY]
    outside = days[(days < window.first) | (days >= window.after)]
    if len(outside):
        raise InputError(
            f"training.labels.date: {outside.iloc[0]} lies outside the window, {window.first} up to {window.after}"
        )
    side_m = specification.chip_px * specification.resolution_m
    inputs, *_ = find_inputs({"rgb": source}, widened(labels.bounds, side_m), {"rgb": (window,)}, backoff)
    cells = picture_grid(labels.pixel_m)
    gathered = _Gathered(labels, specification)
    for tile, index, rows, columns in labels.by_tile(cells):
        items = inputs.near(widened(lonlat_bounds(cells.geobox(tile)), side_m)).get("rgb", [])
        for day, here in _by_day(days.iloc[index]):
            number = np.full((cells.tile_px, cells.tile_px), -1)
            number[rows[here], columns[here]] = index[here]
            period = Period(day, day + timedelta(days=1))
            settings = PictureSettings(
                specification.band_names, specification.chip_px, specification.resolution_m, period
            )
            parts = cell_pictures(items, source, cells, tile, number >= 0, settings, backoff)
            for part in _refused(parts):
                index_here = number[part.row, part.columns]
                new = index_here >= 0  # the second pass of a day shows nothing new
                number[part.row, part.columns] = -1
                if new.any():
                    gathered.take(part.chips, new, index_here[new])
    return gathered.placed(block_m)


def _by_day(days: pd.Series) -> Iterator[tuple[date, np.ndarray]]:
    """Each day with the positions that have it."""
    for day in sorted(days.unique()):
        yield day, np.flatnonzero(days.to_numpy() == day)


def _refused(parts: Iterator[CellPictures]) -> Iterator[CellPictures]:
    """The same; what would fail a tile of a map is wrong input here."""
    try:
        yield from parts
    except TileError as error:
        raise InputError(str(error)) from error


class _Gathered:
    """Chips as they come, written once into one array; what is not written to takes no memory."""

    def __init__(self, labels: LabelledPixels, specification: InputSpecification):
        self.labels, self.side_m = labels, specification.chip_px * specification.resolution_m
        self.indices: list[np.ndarray] = []
        self.latlon: list[np.ndarray] = []
        self.values: np.ndarray | None = None
        self.months = self.years = np.zeros(0, int)
        self.count = 0

    def take(self, chips: Chips, which: np.ndarray, index: np.ndarray) -> None:
        """Some of the chips, bool [chip], and the labels they are of; months and years are kept of the first alone."""
        if self.values is None:
            self.values = np.empty((len(self.labels), *chips.values.shape[1:]), np.float32)
            self.months, self.years = chips.months, chips.years
        self.values[self.count : self.count + len(index)] = chips.values[which]
        self.count += len(index)
        self.indices.append(index)
        self.latlon.append(chips.latlon[which])

    def placed(self, block_m: float, absent: frozenset[str] = frozenset()) -> PlacedChips:
        """All of them; raises InputError if there are none."""
        if self.values is None:
            raise InputError("training.labels: no labelled cell has imagery that the encoder can see")
        found, labels = np.concatenate(self.indices), self.labels
        chips = Chips(self.values[: self.count], self.months, self.years, np.concatenate(self.latlon))
        targets = labels.table["label"].to_numpy(np.float32)[found]
        squares = Squares.around(labels.table.iloc[found], labels.pixel_m, self.side_m)
        return PlacedChips(LabelledChips(chips, targets, labels.blocks(block_m)[found]), squares, absent)
