"""Reading: one band of a month over a tile, mosaicked by pass, the same pixel whatever the tile.

Sampling is ours because it must not depend on the tile. GDAL's warper, and odc-stac on top of it, interpolates
coordinates across whatever area it is asked for, so that tiles of different size disagree about their common pixels
where a scene lies in the neighbouring zone. Here every pixel centre is projected exactly, once for all dates of a tile.
"""

from collections import deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache, partial
from typing import Literal

import numpy as np
import pystac
import rasterio
from affine import Affine
from odc.geo.geobox import GeoBox
from rasterio.windows import Window

from stook.transforms.amounts import Amounts
from stook.transforms.backoff import BackOff
from stook.transforms.ground.geodesy import transformer
from stook.transforms.imagery.asset import Asset, counts_in
from stook.transforms.imagery.blocks import blocks_of, stored_bytes
from stook.transforms.imagery.catalog import reading_order
from stook.transforms.imagery.season import Period
from stook.transforms.imagery.sources import SCENE_CLASSIFICATION, Source, acquired

STACK_BYTES = 64 * 2**20  # one band of one month: 16 dates of a 1000-pixel tile, more than most months hold
LAYERS_AHEAD = 16  # being read while a stack is used: twice the readers, so that none waits; 4 MB each at 1000 x 1000
PASS_HOURS = {
    "sentinel2": 24,
    "sentinel1": 12,
    "rgb": 24,
}  # Sentinel-1 passes at 6 and at 18 h: two observations of one day
NOWHERE = (slice(0, 0), slice(0, 0)), np.empty((0, 0), "uint8")  # a scene without a pixel in the tile

Resampling = Literal["nearest", "bilinear"]
Pass = tuple[pystac.Item, ...]
"""Items of one solar day (half a day for Sentinel-1), in reading order: the first valid pixel wins."""


def passes(items: Iterable[pystac.Item], sensor: str, period: Period) -> list[Pass]:
    """Items acquired within a month, grouped by the solar time at their own longitude, oldest first."""
    groups: dict[int, list[pystac.Item]] = {}
    for item in sorted(items, key=reading_order):
        if period.start <= acquired(item) < period.end:
            groups.setdefault(_solar_hours(item) // PASS_HOURS[sensor], []).append(item)
    return [tuple(groups[key]) for key in sorted(groups)]


def strips(geobox: GeoBox, layers: int) -> Iterator[slice]:
    """Row ranges of ``geobox`` such that ``layers`` float32 layers of one range fit into ``STACK_BYTES``."""
    height, width = geobox.shape
    rows = max(1, STACK_BYTES // (max(1, layers) * width * 4))
    return (slice(start, min(start + rows, height)) for start in range(0, height, rows))


@dataclass(frozen=True)
class Wanted:
    """A stack of layers to read: one band of several passes.

    Attributes:
        source: Whose profile calibrates the pixels.
        scenes: The passes; one layer each, also where a pass does not reach the tile.
        band: Canonical name.
        geobox: Target grid. Pixels are read at the native resolution, never from overviews.
    """

    source: Source
    scenes: Sequence[Pass]
    band: str
    geobox: GeoBox


def read(
    wanted: Iterable[Wanted],
    pool: Executor,
    resampling: Resampling = "nearest",
    backoff: BackOff | None = None,
    amounts: Amounts | None = None,
) -> Generator[np.ndarray, None, None]:
    """The wanted stacks, in the order asked for; while one is used, the next are being read.

    Close it to give up: what has not begun is then never read.

    Args:
        wanted: Taken one by one, as reading comes to them.
        pool: Threads that read; one task is one layer.
        resampling: ``nearest`` or ``bilinear``; scene classes are always nearest.
        backoff: How patiently assets are opened.
        amounts: What is read is counted there.

    Yields:
        [pass, y, x]: float32 reflectance or linear power with NaN for no data; uint8 with 0 for scene classes.

    Raises:
        TileError: An asset is missing, corrupt or without usable grid; names item, asset and link.
        UnreachableError: An archive does not answer, or refuses, after retries.
    """
    patience, counted = backoff or BackOff(), amounts or Amounts()
    ahead: deque[tuple[np.ndarray, list[Future[None]]]] = deque()

    def start(stack: Wanted) -> None:
        layers = np.empty((len(stack.scenes), *stack.geobox.shape), _pixels_of(stack.band)[0])
        tasks: list[Future[None]] = []
        ahead.append((layers, tasks))
        for layer, items in zip(layers, stack.scenes, strict=True):
            assets = [Asset(stack.source, item, stack.band, patience, counted) for item in items]
            tasks.append(pool.submit(_mosaic, layer, assets, stack.geobox, resampling))

    remaining = iter(wanted)
    try:
        while True:
            while sum(len(layers) for layers, _ in ahead) < LAYERS_AHEAD and (following := next(remaining, None)):
                start(following)
            if not ahead:
                return
            layers, tasks = ahead[0]
            for task in tasks:
                task.result()
            ahead.popleft()
            yield layers
            del layers  # whoever took them may be done with them before the next are there
    finally:
        for _, tasks in ahead:
            for task in tasks:
                task.cancel()


def _pixels_of(band: str) -> tuple[str, float]:
    """Data type and no-data value of the layers of a band."""
    return ("uint8", 0) if band == SCENE_CLASSIFICATION else ("float32", np.nan)


def _mosaic(layer: np.ndarray, assets: Sequence[Asset], geobox: GeoBox, resampling: Resampling) -> None:
    """Fill ``layer`` [y, x], whatever it holds, from the assets of one pass; the first valid pixel wins."""
    for number, asset in enumerate(assets):
        roi, values = asset.opened(partial(_sample, asset, geobox, resampling))
        if number == 0:
            if values.shape != layer.shape:
                layer.fill(_pixels_of(asset.band)[1])
            layer[roi] = values
        else:
            empty = layer[roi] == 0 if layer.dtype == np.uint8 else np.isnan(layer[roi])
            np.copyto(layer[roi], values, where=empty)


def _sample(
    asset: Asset, geobox: GeoBox, resampling: Resampling, file: rasterio.DatasetReader
) -> tuple[tuple[slice, slice], np.ndarray]:
    """Where ``file`` has pixels of ``geobox``, and their calibrated values."""
    if resampling == "nearest" or asset.band == SCENE_CLASSIFICATION:
        return nearest(asset, file, geobox)
    return bilinear(asset, file, geobox)


def nearest(asset: Asset, file: rasterio.DatasetReader, geobox: GeoBox) -> tuple[tuple[slice, slice], np.ndarray]:
    """The pixel of ``file`` under every pixel centre of ``geobox``: where it has any, and calibrated values there."""
    rows, columns = (np.floor(axis).astype("int32") for axis in positions(file, geobox))
    row_inside, column_inside = (rows >= 0) & (rows < file.height), (columns >= 0) & (columns < file.width)
    inside = row_inside & column_inside
    if not inside.any():
        return NOWHERE
    roi = _extent(inside.any(axis=1)), _extent(inside.any(axis=0))
    if rows.shape[1] == 1:  # same coordinate system: rows and columns are independent, and copying is enough
        rows, columns = rows[roi[0], 0], columns[0, roi[1]]
        values = _window(asset, file, rows.min(), rows.max(), columns.min(), columns.max())
        return roi, _picked(_picked(values, columns, axis=1), rows, axis=0)
    inside, rows, columns = inside[roi], rows[roi], columns[roi]
    rows, columns = rows[inside], columns[inside]
    values = _window(asset, file, rows.min(), rows.max(), columns.min(), columns.max())
    sampled = np.full(inside.shape, 0 if values.dtype == np.uint8 else np.nan, values.dtype)
    sampled[inside] = values[rows - rows.min(), columns - columns.min()]
    return roi, sampled


def _picked(values: np.ndarray, positions: np.ndarray, axis: int) -> np.ndarray:
    """``values`` at ``positions`` along an axis, counted from the least of them; a view if they are all in order."""
    if (np.diff(positions) == 1).all():
        return values
    return values.take(positions - positions.min(), axis=axis)


def bilinear(asset: Asset, file: rasterio.DatasetReader, geobox: GeoBox) -> tuple[tuple[slice, slice], np.ndarray]:
    """The weighted mean of the four pixels of ``file`` around every pixel centre; see ``interpolated``."""
    rows, columns = (np.broadcast_to(axis - 0.5, geobox.shape) for axis in positions(file, geobox))
    first_row, last_row = max(int(np.floor(rows.min())), 0), min(int(np.floor(rows.max())) + 1, file.height - 1)
    first_column = max(int(np.floor(columns.min())), 0)
    last_column = min(int(np.floor(columns.max())) + 1, file.width - 1)
    if first_row > last_row or first_column > last_column:
        return NOWHERE
    values = _window(asset, file, first_row, last_row, first_column, last_column)
    return (slice(None), slice(None)), interpolated(values, rows - first_row, columns - first_column)


def interpolated(values: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """The weighted mean of the four pixels around positions, of those that have data, float32 of the positions' shape.

    NaN where the pixels with data weigh less than half, so that scenes do not grow beyond their edge.

    Args:
        values: float32 [y, x], NaN for no data.
        rows: Positions with fractions; 0 is the middle of the first row.
        columns: The same for columns.
    """
    top, left = np.floor(rows).astype("int32"), np.floor(columns).astype("int32")
    values = np.pad(values, 1, constant_values=np.nan)
    total, weights = np.zeros(rows.shape, "float32"), np.zeros(rows.shape, "float32")
    for down, right in np.ndindex(2, 2):
        row = np.clip(top + down + 1, 0, values.shape[0] - 1)
        column = np.clip(left + right + 1, 0, values.shape[1] - 1)
        corner = values[row, column]
        weight = (1 - np.abs(rows - top - down)) * (1 - np.abs(columns - left - right)) * np.isfinite(corner)
        total += weight * np.nan_to_num(corner)
        weights += weight
    return np.where(weights >= 0.5, total / np.maximum(weights, 0.5), np.nan)


def _window(
    asset: Asset, file: rasterio.DatasetReader, first_row: int, last_row: int, first_column: int, last_column: int
) -> np.ndarray:
    size = int(last_column - first_column + 1), int(last_row - first_row + 1)
    window = Window(int(first_column), int(first_row), *size)
    counts = counts_in(file, window=window)
    asset.amounts.read(stored_bytes(file, blocks_of(file, window)))
    return asset.calibrated(counts, file.nodata)


def positions(file: rasterio.DatasetReader, geobox: GeoBox) -> tuple[np.ndarray, np.ndarray]:
    """Row and column of ``file``, with fractions, of each pixel centre; [y, 1] and [1, x] in one CRS, else both [y, x].

    Rounding to a millionth of a pixel decides centres that fall on a pixel edge alike in every tile.
    """
    return in_grid(file.crs, file.transform, geobox)


def in_grid(crs: rasterio.CRS, grid: Affine, geobox: GeoBox) -> tuple[np.ndarray, np.ndarray]:
    """The same in a grid of pixels that need not be a file's."""
    same = crs == rasterio.CRS.from_user_input(str(geobox.crs))
    xs, ys = _centres(geobox, str(geobox.crs) if same else crs.to_wkt())
    return np.round((ys - grid.f) / grid.e, 6), np.round((xs - grid.c) / grid.a, 6)


@lru_cache(maxsize=4)
def _centres(geobox: GeoBox, crs: str) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates of pixel centres in ``crs``, the same for all dates of a tile: 16 MB at 1000 x 1000 pixels."""
    height, width = geobox.shape
    xs = geobox.transform.c + (np.arange(width)[np.newaxis, :] + 0.5) * geobox.transform.a
    ys = geobox.transform.f + (np.arange(height)[:, np.newaxis] + 0.5) * geobox.transform.e
    if crs == str(geobox.crs):
        return xs, ys
    return transformer(str(geobox.crs), crs).transform(np.repeat(xs, height, axis=0), np.repeat(ys, width, axis=1))


def _extent(present: np.ndarray) -> slice:
    """From the first to the last True."""
    where = np.flatnonzero(present)
    return slice(int(where[0]), int(where[-1]) + 1)


def _solar_hours(item: pystac.Item) -> int:
    """Hours of local solar time since the year 1; 15 degrees of longitude are an hour."""
    west, east = (item.bbox[0], item.bbox[len(item.bbox) // 2]) if item.bbox else (0.0, 0.0)
    longitude = (west + east) / 2 if west <= east else ((west + east) / 2 + 360) % 360 - 180
    solar = acquired(item).replace(tzinfo=None) + timedelta(hours=longitude / 15)
    return int((solar - datetime.min) / timedelta(hours=1))
