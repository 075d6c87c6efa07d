"""Pictures of metre resolution: each cell's chip, date by date, at the encoder's own ground sampling distance.

A tile of 10 km is a gigabyte of pixels at half a metre, and archives cover little of a country. So a tile is read one
row of cells at a time, only where scenes lie, and each chip is sampled by itself around the middle of its cell: the
same whatever the tile.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pystac
import rasterio
from affine import Affine
from odc.geo.geobox import GeoBox
from rasterio.windows import Window

from stook.models.encoder import Chips
from stook.transforms.amounts import Amounts
from stook.transforms.backoff import BackOff
from stook.transforms.ground.geodesy import latlon_at, lonlat_bounds
from stook.transforms.ground.grid import Grid, Tile
from stook.transforms.imagery.asset import Asset
from stook.transforms.imagery.blocks import Block, blocks_of, stored_bytes
from stook.transforms.imagery.footprint import box_of, intersects
from stook.transforms.imagery.reading import Pass, interpolated, passes, positions
from stook.transforms.imagery.season import Period
from stook.transforms.imagery.sources import Source, acquired

MARGIN_PX = 2  # of the file around a chip, for interpolation


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
    dates = passes(items, source.sensor, settings.period)
    for row in np.flatnonzero(wanted.any(axis=1)):
        columns = np.flatnonzero(wanted[row])
        boxes = [chip_box(cells, tile, int(row), int(column), settings) for column in columns]
        for scenes in dates:
            values = _row(scenes, source, boxes, settings.bands, patience, counted)
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
    scenes: Pass, source: Source, boxes: Sequence[GeoBox], bands: Sequence[str], backoff: BackOff, amounts: Amounts
) -> np.ndarray:
    """The chips float32 [chip, band, y, x] of one date, NaN where no scene has data; the first valid pixel wins."""
    values = np.full((len(boxes), len(bands), *boxes[0].shape), np.nan, np.float32)
    bounds = [lonlat_bounds(box) for box in boxes]
    numbers = [source.archive.numbers[band] for band in bands]
    for item in scenes:
        footprint = box_of({"bbox": item.bbox})
        there = [number for number, box in enumerate(bounds) if footprint is None or intersects(footprint, box)]
        if not there:
            continue

        def fill(file: rasterio.DatasetReader, there: Sequence[int] = tuple(there)) -> None:
            blocks: set[Block] = set()  # GDAL keeps a block for the next chip
            for number in there:
                chip = values[number]
                if np.isnan(chip).any():
                    place = placed(file, boxes[number])
                    found = sampled(file, boxes[number], place, numbers, source.archive.scale)
                    np.copyto(chip, found, where=np.isnan(chip))
                    blocks |= blocks_of(file, place.window) if place.window else set()
            amounts.read(stored_bytes(file, blocks, numbers))

        Asset(source, item, bands[0], backoff, amounts).opened(fill)
    return values


class Placed(NamedTuple):
    """Where the pixels of a chip lie in a picture.

    Attributes:
        rows: Of the picture, with fractions, 0 in the middle of the first: float [y * finer, x * finer].
        columns: The same.
        finer: Samples per pixel of the chip, along each axis.
        window: Pixels of the picture to read; None where it has none.
    """

    rows: np.ndarray
    columns: np.ndarray
    finer: int
    window: Window | None


def placed(file: rasterio.DatasetReader, box: GeoBox) -> Placed:
    """Where the pixels of ``box`` lie; several samples per pixel where the picture is finer."""
    rows, _ = positions(file, box)
    finer = max(1, round(abs(float(rows[-1, 0] - rows[0, 0])) / (len(rows) - 1))) if len(rows) > 1 else 1
    fine = box.zoom_to((box.shape.y * finer, box.shape.x * finer))
    rows, columns = (np.broadcast_to(axis - 0.5, fine.shape) for axis in positions(file, fine))
    first_row = max(int(np.floor(rows.min())) - MARGIN_PX, 0)
    first_column = max(int(np.floor(columns.min())) - MARGIN_PX, 0)
    last_row = min(int(np.ceil(rows.max())) + MARGIN_PX, file.height)
    last_column = min(int(np.ceil(columns.max())) + MARGIN_PX, file.width)
    if first_row >= last_row or first_column >= last_column:
        return Placed(rows, columns, finer, None)
    window = Window(first_column, first_row, last_column - first_column, last_row - first_row)
    return Placed(rows, columns, finer, window)


def sampled(
    file: rasterio.DatasetReader, box: GeoBox, place: Placed, numbers: Sequence[int], scale: float
) -> np.ndarray:
    """Some bands of a picture on ``box``, float32 [band, y, x], 0…1, NaN for no data.

    Where the picture is finer, several bilinear samples per pixel are averaged, so that nothing falls between them.
    """
    result = np.full((len(numbers), *box.shape), np.nan, np.float32)
    if place.window is None:
        return result
    window, finer = place.window, place.finer
    rows, columns = place.rows - window.row_off, place.columns - window.col_off
    stored = file.read(list(numbers), window=window)
    # 0 in all bands is what pictures without a mask are filled with; file masks and alpha bands count too.
    valid = (file.dataset_mask(window=window) > 0) & (stored > 0).any(axis=0)
    for band, counts in enumerate(stored):
        values = np.where(valid, counts * np.float32(scale), np.nan)
        samples = interpolated(values, rows, columns)
        height, width = box.shape
        result[band] = samples.reshape(height, finer, width, finer).mean(axis=(1, 3))
    return result
