"""Pictures of metre resolution: each cell's chip, date by date, at the encoder's own ground sampling distance.

A tile of 10 km is a gigabyte of pixels at half a metre, and archives cover little of a country. So a tile is read one
row of cells at a time, only where scenes lie, and each chip is sampled by itself around the middle of its cell: the
same whatever the tile.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pystac
import rasterio
from affine import Affine
from odc.geo.geobox import GeoBox
from rasterio.enums import MaskFlags
from rasterio.windows import Window

from stook.models.encoder import Chips
from stook.transforms.amounts import Amounts
from stook.transforms.backoff import BackOff
from stook.transforms.ground.geodesy import latlon_at, lonlat_bounds
from stook.transforms.ground.grid import Grid, Tile
from stook.transforms.imagery.asset import Asset
from stook.transforms.imagery.blocks import Block, blocks_of, stored_bytes
from stook.transforms.imagery.footprint import BoundingBox, box_of, on_each_side
from stook.transforms.imagery.reading import Pass, in_grid, interpolated, passes, positions
from stook.transforms.imagery.season import Period
from stook.transforms.imagery.sources import Source, acquired

MARGIN_PX = 2  # around a chip, for interpolation
ALIGNED_PX = 1e-3  # files whose pixels lie no further apart share a grid


@dataclass(frozen=True)
class CellPictures:
    """The chips of one date in one row of cells.

    Attributes:
        row: Of the cells in their tile, north up.
        columns: int [chip].
        chips: float32 [chip, 1, band, y, x], 0…1; nothing is missing in them.
    """

    row: int
    columns: np.ndarray
    chips: Chips


@dataclass(frozen=True)
class PictureSettings:
    """How chips are cut out of pictures.

    Attributes:
        bands: Of a chip, in their order; some of the archive's.
        chip_px: Side of a chip.
        resolution_m: Of its pixels.
        period: Dates that count.
    """

    bands: tuple[str, ...]
    chip_px: int
    resolution_m: float
    period: Period


def cell_pictures(
    items: Iterable[pystac.Item],
    source: Source,
    cells: Grid,
    tile: Tile,
    wanted: np.ndarray,
    settings: PictureSettings,
    backoff: BackOff | None = None,
    amounts: Amounts | None = None,
) -> Iterator[CellPictures]:
    """Every date of every wanted cell of a tile whose chip is wholly pictured on that date.

    Args:
        items: Near the tile.
        source: The archive.
        cells: Grid of the cells.
        tile: The tile.
        wanted: bool [cell row, cell column].
        settings: Size, resolution and dates.
        backoff: How patiently assets are opened.
        amounts: What is read is counted there.

    Yields:
        Row of cells by row of cells, north to south, oldest date first; rows and dates without a whole chip are left
        out.

    Raises:
        TileError: An asset is missing or corrupt.
        UnreachableError: An archive does not answer.
    """
    patience, counted = backoff or BackOff(), amounts or Amounts()
    dates = [(scenes, boxes_of(scenes)) for scenes in passes(items, source.sensor, settings.period)]
    for row in np.flatnonzero(wanted.any(axis=1)):
        columns = np.flatnonzero(wanted[row])
        boxes = [chip_box(cells, tile, int(row), int(column), settings) for column in columns]
        for scenes, footprints in dates:
            values = _row(scenes, footprints, source, boxes, settings.bands, patience, counted)
            whole = np.isfinite(values).all(axis=(1, 2, 3))
            if whole.any():
                when = acquired(scenes[0])
                centre = settings.chip_px / 2
                latlon = np.concatenate(
                    [
                        latlon_at(box, np.array([centre]), np.array([centre]))
                        for box, kept in zip(boxes, whole, strict=True)
                        if kept
                    ]
                )
                chips = Chips(values[whole][:, None], np.array([when.month]), np.array([when.year]), latlon)
                yield CellPictures(int(row), columns[whole], chips)


def chip_box(cells: Grid, tile: Tile, row: int, column: int, settings: PictureSettings) -> GeoBox:
    """The pixels of the chip around the middle of a cell."""
    bounds = cells.bounds(tile)
    half = settings.chip_px * settings.resolution_m / 2
    left = bounds.left + (column + 0.5) * cells.resolution_m - half
    top = bounds.top - (row + 0.5) * cells.resolution_m + half
    pixel = settings.resolution_m
    shape = settings.chip_px, settings.chip_px
    return GeoBox(shape, Affine(pixel, 0, left, 0, -pixel, top), bounds.crs)


def _row(
    scenes: Pass,
    boxes_of_scenes: np.ndarray,
    source: Source,
    boxes: Sequence[GeoBox],
    bands: Sequence[str],
    backoff: BackOff,
    amounts: Amounts,
) -> np.ndarray:
    """The chips float32 [chip, band, y, x] of one date, NaN where no scene has data; the first valid pixel wins.

    Files are merged before anything is interpolated or averaged, so that cutting one into sheets changes nothing. Only
    chips that a single file does not fill wait for the others.
    """
    values = np.full((len(boxes), len(bands), *boxes[0].shape), np.nan, np.float32)
    numbers = [source.archive.numbers[band] for band in bands]
    sheets: list[list[Sheet]] = [[] for _ in boxes]
    reached = touching(boxes_of_scenes, [lonlat_bounds(box.pad(MARGIN_PX)) for box in boxes])
    done = np.zeros(len(boxes), bool)
    for item, there in zip(scenes, reached, strict=True):
        todo = np.flatnonzero(there & ~done)
        if not len(todo):
            continue

        def fill(file: rasterio.DatasetReader, todo: Sequence[int] = tuple(todo)) -> None:
            blocks: set[Block] = set()  # GDAL keeps a block for the next chip
            for number in todo:
                sheet = sheet_for(sheets[number], file, boxes[number], len(numbers))
                blocks |= sheet.fill(file, numbers, source.archive.numbers.values())
                if len(sheets[number]) == 1 and sheet.known.all():
                    values[number] = averaged(sheets[number], boxes[number], source.archive.scale)
                    sheets[number], done[number] = [], True
            amounts.read(stored_bytes(file, blocks, numbers))

        Asset(source, item, bands[0], backoff, amounts).opened(fill)
    for number, waiting in enumerate(sheets):
        if waiting:
            values[number] = averaged(waiting, boxes[number], source.archive.scale)
    return values


def boxes_of(scenes: Pass) -> np.ndarray:
    """Footprints float [scene, part, 4], west < east; NaN where a scene has no second part, across the antimeridian."""
    footprints = np.full((len(scenes), 2, 4), np.nan)
    for number, item in enumerate(scenes):
        box = box_of({"bbox": item.bbox})
        parts = [(-180.0, -90.0, 180.0, 90.0)] if box is None else on_each_side(box)
        footprints[number, : len(parts)] = parts
    return footprints


def touching(scenes: np.ndarray, boxes: Sequence[BoundingBox]) -> np.ndarray:
    """Which boxes, of which any may cross the antimeridian, touch which scenes of ``boxes_of``; bool [scene, box]."""
    touches = np.zeros((len(scenes), len(boxes)), bool)
    for number, box in enumerate(boxes):
        for west, south, east, north in on_each_side(box):
            lows, highs = scenes[..., :2], scenes[..., 2:]
            there = (lows <= (east, north)).all(axis=-1) & (highs >= (west, south)).all(axis=-1)
            touches[:, number] |= there.any(axis=-1)
    return touches


@dataclass
class Sheet:
    """The part of a grid of pixels, which several files may share, that a chip is sampled from.

    Attributes:
        crs: Of the grid.
        transform: Of the file that it began with.
        rows: Of that file, with fractions, 0 in the middle of the first, of the chip's samples: float [y, x].
        columns: The same.
        first_row: Of that file, of the part; it may begin before the file does.
        first_column: The same.
        stored: uint8 [band, y, x].
        known: bool [y, x], where a file has data.
    """

    crs: rasterio.CRS
    transform: Affine
    rows: np.ndarray
    columns: np.ndarray
    first_row: int
    first_column: int
    stored: np.ndarray
    known: np.ndarray

    @classmethod
    def begun(cls, file: rasterio.DatasetReader, box: GeoBox, bands: int) -> "Sheet":
        """An empty one in the grid of a file."""
        rows, columns = (np.broadcast_to(axis - 0.5, box.shape) for axis in positions(file, box))
        spacing = max(float(np.ptp(rows)), float(np.ptp(columns))) / max(1, max(box.shape) - 1)
        margin = MARGIN_PX + int(np.ceil(spacing))  # of samples between the middles of the chip's pixels
        first_row, first_column = int(np.floor(rows.min())) - margin, int(np.floor(columns.min())) - margin
        height = int(np.ceil(rows.max())) + margin + 1 - first_row
        width = int(np.ceil(columns.max())) + margin + 1 - first_column
        stored, known = np.zeros((bands, height, width), np.uint8), np.zeros((height, width), bool)
        return cls(file.crs, file.transform, rows, columns, first_row, first_column, stored, known)

    @property
    def finer(self) -> int:
        """Samples per pixel of the chip, along each axis, so that none of the grid falls between them."""
        length = len(self.rows) - 1
        return max(1, round(abs(float(self.rows[-1, 0] - self.rows[0, 0])) / length)) if length else 1

    def offset_of(self, file: rasterio.DatasetReader) -> tuple[int, int] | None:
        """Rows and columns from this grid's beginning to a file's; None if it has other pixels."""
        mine, its = self.transform, file.transform
        if not np.allclose((mine.a, mine.e), (its.a, its.e), rtol=1e-9, atol=0) or self.crs != file.crs:
            return None
        down, right = (its.f - mine.f) / mine.e, (its.c - mine.c) / mine.a
        if max(abs(down - round(down)), abs(right - round(right))) > ALIGNED_PX:
            return None
        return round(down), round(right)

    def overlap(self, file: rasterio.DatasetReader) -> tuple[Window, tuple[slice, slice]] | None:
        """What a file of the same grid has of this part: its window of the file, and its rows and columns here."""
        down, right = self.offset_of(file) or (0, 0)
        top, left = self.first_row - down, self.first_column - right  # of this part, in the file
        height, width = self.known.shape
        rows, columns = (
            slice(max(first, 0), min(first + length, end))
            for first, length, end in ((top, height, file.height), (left, width, file.width))
        )
        if rows.start >= rows.stop or columns.start >= columns.stop:
            return None
        here = slice(rows.start - top, rows.stop - top), slice(columns.start - left, columns.stop - left)
        return Window.from_slices(rows, columns), here

    def blocks_in(self, file: rasterio.DatasetReader) -> set[Block]:
        """The blocks of a file that hold this part."""
        overlap = self.overlap(file)
        return blocks_of(file, overlap[0]) if overlap else set()

    def fill(self, file: rasterio.DatasetReader, numbers: Sequence[int], colours: Collection[int] = ()) -> set[Block]:
        """Take over what a file of the same grid has where nothing is known; returns the blocks that were read.

        Args:
            file: The file.
            numbers: Of the bands to take.
            colours: Numbers of bands that are colours, whatever the file says: near infrared is often called alpha.
        """
        overlap = self.overlap(file)
        if overlap is None:
            return set()
        window, here = overlap
        if self.known[here].all():
            return set()
        stored = file.read(list(numbers), window=window)
        # 0 in all bands is what pictures without a mask are filled with; file masks and alpha bands count too.
        valid = (stored > 0).any(axis=0) & ~self.known[here]
        if file.count not in colours:
            valid &= file.dataset_mask(window=window) > 0
        elif MaskFlags.alpha not in file.mask_flag_enums[0]:
            valid &= (file.read_masks(sorted(colours), window=window) > 0).any(axis=0)
        self.stored[:, *here][:, valid] = stored[:, valid]
        self.known[here] |= valid
        return blocks_of(file, window)

    def samples(self, box: GeoBox, finer: int, scale: float) -> np.ndarray:
        """Bilinear samples, float32 [band, y * finer, x * finer], 0…1, NaN for no data."""
        fine = box.zoom_to((box.shape.y * finer, box.shape.x * finer))
        rows, columns = (np.broadcast_to(axis - 0.5, fine.shape) for axis in in_grid(self.crs, self.transform, fine))
        there = rows - self.first_row, columns - self.first_column
        return np.stack(
            [interpolated(np.where(self.known, band * np.float32(scale), np.nan), *there) for band in self.stored]
        )


def sheet_for(sheets: list[Sheet], file: rasterio.DatasetReader, box: GeoBox, bands: int) -> Sheet:
    """That of the grid of a file, begun if there is none."""
    sheet = next((sheet for sheet in sheets if sheet.offset_of(file) is not None), None)
    if sheet is None:
        sheet = Sheet.begun(file, box, bands)
        sheets.append(sheet)
    return sheet


def averaged(sheets: Sequence[Sheet], box: GeoBox, scale: float) -> np.ndarray:
    """A chip float32 [band, y, x], NaN for no data: the mean of the samples in each of its pixels, merged before."""
    finer = max(sheet.finer for sheet in sheets)
    merged, *others = (sheet.samples(box, finer, scale) for sheet in sheets)
    for other in others:
        np.copyto(merged, other, where=np.isnan(merged))
    height, width = box.shape
    return merged.reshape(len(merged), height, finer, width, finer).mean(axis=(2, 4))
