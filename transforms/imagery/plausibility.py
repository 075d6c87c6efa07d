"""A check that the profile fits the archive.

Reflectance that no ground has is an offset applied twice; backscatter that none has is in another unit than said.
"""

from collections.abc import Sequence
from functools import partial

import numpy as np
import pystac
import rasterio
from rasterio.warp import transform_bounds
from rasterio.windows import Window

from stook.models.errors import InputError, TileError
from stook.transforms.backoff import BackOff
from stook.transforms.imagery.asset import Asset, counts_in
from stook.transforms.imagery.catalog import reading_order
from stook.transforms.imagery.footprint import BoundingBox, box_of, intersects
from stook.transforms.imagery.sources import BACKSCATTER_BANDS, SCENE_CLASSIFICATION, VISIBLE_BANDS, Source, baseline

DARKEST_PERCENTILE = 1.0  # a few wrong pixels do not decide
LOWEST, HIGHEST = -0.02, 0.25  # of the darkest clear pixels in the visible; the offset is 0.1
IMPOSSIBLE = -0.05  # reflectance below is nobody's, not even that of shadows that were corrected too far
LOWEST_DB, HIGHEST_DB = -35.0, -1.0  # of the median: calm water in VH to a town; linear power taken for dB is above 0
LOWEST_STORED = -100.0  # what is stored below is a fill value that the file does not declare: neither dB nor power
FEWEST_PIXELS = 300  # the darkest percentile of fewer is one or two pixels
ITEMS_PER_BASELINE = 3
THUMBNAIL_PX = 256
CLEAR_LAND_AND_WATER = (2, 4, 5, 6, 7)  # scene classes: dark features, vegetation, bare, water, unclassified


def implausible(reflectance: np.ndarray) -> str | None:
    """Why the darkest of these clear pixels cannot be surface reflectance in the visible.

    Args:
        reflectance: Any shape, 1 = 100 %; NaN is ignored.

    Returns:
        A clause for a message, or None if the values are plausible or too few to tell.
    """
    dark = darkest(reflectance)
    if dark is None or LOWEST <= dark <= HIGHEST:
        return None
    return _why(dark)


def darkest(reflectance: np.ndarray) -> float | None:
    """The darkest percentile, or None if there are too few pixels to tell."""
    values = reflectance[np.isfinite(reflectance)]
    return float(np.percentile(values, DARKEST_PERCENTILE)) if values.size >= FEWEST_PIXELS else None


def too_dark(reflectance: np.ndarray) -> str | None:
    """``implausible``, the low side only: unnoticed cloud makes a scene bright, but nothing makes it negative."""
    dark = darkest(reflectance)
    return _why(dark) if dark is not None and dark < LOWEST else None


def without_fill(reflectance: np.ndarray) -> np.ndarray:
    """The values without those of one impossible value, a fill that nothing tells, if enough others are left to judge.

    An offset that is subtracted twice makes many such values.
    """
    lowest = float(np.nanmin(reflectance, initial=np.inf))
    if lowest >= IMPOSSIBLE:
        return reflectance
    others = reflectance[reflectance > lowest]
    return others if others.size >= FEWEST_PIXELS else reflectance


def check_plausible(
    items: Sequence[pystac.Item], source: Source, bbox_lonlat: BoundingBox, backoff: BackOff | None = None
) -> list[str]:
    """Check a few of a source's items, of every baseline and spread over time, before any tile runs.

    Sentinel-2 is tested by its darkest clear pixels, Sentinel-1 by the median of one polarisation; raw GRD is refused.
    Items that cannot be read are passed over; they fail the tiles that need them, by name.

    Returns:
        What could not be checked and why, in sentences.

    Raises:
        InputError: The median reflectance of a baseline's items is too low, that of all too high, the backscatter is
            not in the profile's unit, or the archive is raw GRD.
        UnreachableError: The archive does not answer, or refuses, after retries.
    """
    check = _check_backscatter if source.sensor == "sentinel1" else _check_reflectance
    chosen = _sample(items)
    seen, unread = check(chosen, source, bbox_lonlat, backoff or BackOff())
    notes = []
    if unread:
        notes.append(
            f"imagery.{source.sensor}: {len(unread)} of {len(chosen)} scenes that were checked could not be read "
            f"({unread[0]})"
        )
    if not seen:
        notes.append(
            f"imagery.{source.sensor}: whether the profile {source.profile} fits could not be checked: the "
            f"{len(chosen)} scenes looked at have too few clear pixels with data there"
        )
    return notes


def _check_reflectance(
    items: Sequence[pystac.Item], source: Source, bbox: BoundingBox, backoff: BackOff
) -> tuple[bool, list[str]]:
    """Judge the items of a baseline together: a single one may have a fill value that nothing tells.

    Returns:
        Whether there was anything to judge, and why items could not be read.
    """
    levels: dict[str, dict[str, float]] = {}
    unread: list[str] = []
    for item in items:
        try:
            dark = darkest(_clear_visible(source, item, bbox, backoff))
        except TileError as error:
            unread.append(str(error))
            continue
        if dark is not None:
            levels.setdefault(baseline(item), {})[item.id] = dark
    for version, of_items in levels.items():
        if (median := float(np.median(list(of_items.values())))) < LOWEST:
            what = (
                f"item {next(iter(of_items))}" if len(of_items) == 1 else f"the median of items {', '.join(of_items)}"
            )
            raise _refusal(source, f"{what} (baseline {version or 'unknown'})", _why(median))
    together = {name: level for of_items in levels.values() for name, level in of_items.items()}
    if together and (median := float(np.median(list(together.values())))) > HIGHEST:
        raise _refusal(source, f"the median of items {', '.join(together)}", _why(median))
    return bool(together), unread


def _check_backscatter(
    items: Sequence[pystac.Item], source: Source, bbox: BoundingBox, backoff: BackOff
) -> tuple[bool, list[str]]:
    """Judge all items together: one alone may lie on the sea or on the edge of its swath.

    Returns:
        As of ``_check_reflectance``.
    """
    stored, power, names = [], [], []
    unread: list[str] = []
    for item in items:
        try:
            asset = Asset(source, item, next(iter(source.assets_of(item)), BACKSCATTER_BANDS[0]), backoff)
            counts, values = asset.opened(partial(_stored_and_power, asset, bbox))
        except TileError as error:
            unread.append(str(error))
            continue
        if counts.size:
            stored.append(counts)
            power.append(values)
            names.append(item.id)
    if sum(counts.size for counts in stored) < FEWEST_PIXELS:
        return False, unread
    # What is no power counts as the lowest: decibels taken for power keep only the few pixels above 0 dB.
    median = float(np.median(np.nan_to_num(np.concatenate(power), nan=0.0)))
    level = 10 * np.log10(median) if median > 0 else -np.inf
    if not LOWEST_DB <= level <= HIGHEST_DB:
        found = f"{level:.1f} dB" if median > 0 else "no finite power above 0"
        raise _refusal(
            source,
            f"items {', '.join(names)}",
            f"the median of stored values, {np.median(np.concatenate(stored)):.4g}, becomes {found}, "
            f"allowed {LOWEST_DB:g}…{HIGHEST_DB:g} dB",
        )
    return True, unread


def _sample(items: Sequence[pystac.Item]) -> list[pystac.Item]:
    """Up to ``ITEMS_PER_BASELINE`` of every baseline, evenly over time."""
    by_baseline: dict[str, list[int]] = {}
    places = [(reading_order(item), baseline(item), place) for place, item in enumerate(items)]
    for _, version, place in sorted(places):
        by_baseline.setdefault(version, []).append(place)
    chosen = []
    for group in by_baseline.values():
        steps = np.linspace(0, len(group) - 1, min(ITEMS_PER_BASELINE, len(group))).round().astype(int)
        chosen += [items[group[step]] for step in steps]
    return chosen


def _clear_visible(source: Source, item: pystac.Item, bbox: BoundingBox, backoff: BackOff) -> np.ndarray:
    """Reflectance of the clear pixels of a thumbnail, the visible bands one after the other."""
    footprint = box_of({"bbox": item.bbox})
    if footprint is None or not intersects(footprint, bbox):
        return np.empty(0, "float32")
    size = None
    layers = {}
    for band in (*VISIBLE_BANDS, SCENE_CLASSIFICATION):
        asset = Asset(source, item, band, backoff)
        layers[band] = asset.opened(partial(_thumbnail, asset, bbox, size))
        size = layers[band].shape
    first, *others = (layers[band] for band in VISIBLE_BANDS)
    clear = np.isin(layers[SCENE_CLASSIFICATION], CLEAR_LAND_AND_WATER)
    coloured = clear & ~np.all([first == other for other in others], axis=0)  # an untold fill value is as dark in all
    clear = coloured if coloured.sum() >= FEWEST_PIXELS else clear
    return np.concatenate([layers[band][clear] for band in VISIBLE_BANDS])


def _thumbnail(
    asset: Asset, bbox: BoundingBox, size: tuple[int, ...] | None, file: rasterio.DatasetReader
) -> np.ndarray:
    """Physical values of ``_counts``."""
    return asset.calibrated(_counts(bbox, size, file), file.nodata)


def _stored_and_power(asset: Asset, bbox: BoundingBox, file: rasterio.DatasetReader) -> tuple[np.ndarray, np.ndarray]:
    """The pixels of a thumbnail that are not fill, as stored and as power: float32 [pixel], NaN where it is none."""
    counts = _counts(bbox, None, file)
    filled = np.isfinite(counts) & (counts != 0) & (counts > LOWEST_STORED)
    if file.nodata is not None:
        filled &= counts != file.nodata
    return counts[filled].astype("float32"), asset.calibrated(counts, file.nodata)[filled]


def _counts(bbox: BoundingBox, size: tuple[int, ...] | None, file: rasterio.DatasetReader) -> np.ndarray:
    """The part of ``file`` within ``bbox``, decimated (from overviews) to ``size`` or at most ``THUMBNAIL_PX``."""
    west, south, east, north = transform_bounds("EPSG:4326", file.crs, *bbox)
    corners = [
        ~file.transform @ corner for corner in ((west, south), (east, north))
    ]  # in any order: files may be flipped
    columns, rows = (sorted(axis) for axis in zip(*corners, strict=True))
    part = Window(columns[0], rows[0], columns[1] - columns[0], rows[1] - rows[0])
    try:
        part = part.intersection(Window(0, 0, file.width, file.height))
    except rasterio.errors.WindowError:
        return np.zeros(size or (1, 1), file.dtypes[0])
    shape = size or tuple(max(1, min(round(length), THUMBNAIL_PX)) for length in (part.height, part.width))
    return counts_in(file, window=part, out_shape=shape)


def _why(dark: float) -> str:
    return (
        f"the darkest {DARKEST_PERCENTILE:g} % of clear visible pixels have reflectance {dark:.3f}, "
        f"allowed {LOWEST}…{HIGHEST}"
    )


def _refusal(source: Source, what: str, why: str) -> InputError:
    return InputError(f"{source.catalog}: with profile {source.profile}, {what}: {why}; is the profile right?")
