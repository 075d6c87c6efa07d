"""A check that the profile fits the archive: reflectance that no ground has is an offset forgotten or applied twice."""

from collections.abc import Sequence
from functools import partial

import numpy as np
import pystac
import rasterio
from rasterio.warp import transform_bounds
from rasterio.windows import Window, from_bounds

from models.errors import InputError, TileError
from transforms.asset import Asset
from transforms.backoff import BackOff
from transforms.catalog import BoundingBox, intersects, reading_order
from transforms.sources import SCENE_CLASSIFICATION, VISIBLE_BANDS, Source, baseline

DARKEST_PERCENTILE = 1.0  # a few wrong pixels do not decide
LOWEST, HIGHEST = -0.02, 0.25  # of the darkest clear pixels in the visible; the offset is 0.1
FEWEST_CLEAR_PIXELS = 300  # the darkest percentile of fewer is one or two pixels
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
    return float(np.percentile(values, DARKEST_PERCENTILE)) if values.size >= FEWEST_CLEAR_PIXELS else None


def too_dark(reflectance: np.ndarray) -> str | None:
    """``implausible``, the low side only: unnoticed cloud makes a scene bright, but nothing makes it negative."""
    dark = darkest(reflectance)
    return _why(dark) if dark is not None and dark < LOWEST else None


def check_plausible(
    items: Sequence[pystac.Item], source: Source, bbox_lonlat: BoundingBox, backoff: BackOff | None = None
) -> None:
    """Check a few of a source's items, of every baseline and spread over time, before any tile runs.

    Sentinel-2 is tested by its darkest clear pixels, Sentinel-1 by opening a file: raw GRD is refused. Items that
    cannot be read are passed over; they fail the tiles that need them, by name.

    Raises:
        InputError: The reflectance of an item is too low, the median of all too high, or the archive is raw GRD.
        UnreachableError: The archive does not answer, or refuses, after retries.
    """
    levels: dict[str, float] = {}
    for item in _sample(items):
        try:
            if source.sensor == "sentinel1":
                Asset(source, item, "vv", backoff or BackOff()).opened(lambda file: None)
                continue
            dark = darkest(_clear_visible(source, item, bbox_lonlat, backoff or BackOff()))
        except TileError:
            continue
        if dark is None:
            continue
        levels[item.id] = dark
        if dark < LOWEST:
            raise _refusal(source, f"item {item.id} (baseline {baseline(item) or 'unknown'})", dark)
    if levels and (median := float(np.median(list(levels.values())))) > HIGHEST:
        raise _refusal(source, f"the median of items {', '.join(levels)}", median)


def _sample(items: Sequence[pystac.Item]) -> list[pystac.Item]:
    """Up to ``ITEMS_PER_BASELINE`` of every baseline, evenly over time."""
    by_baseline: dict[str, list[pystac.Item]] = {}
    for item in sorted(items, key=reading_order):
        by_baseline.setdefault(baseline(item), []).append(item)
    chosen = []
    for group in by_baseline.values():
        steps = np.linspace(0, len(group) - 1, min(ITEMS_PER_BASELINE, len(group))).round().astype(int)
        chosen += [group[step] for step in steps]
    return chosen


def _clear_visible(source: Source, item: pystac.Item, bbox: BoundingBox, backoff: BackOff) -> np.ndarray:
    """Reflectance of the clear pixels of a thumbnail, the visible bands one after the other."""
    if item.bbox is None or not intersects(item.bbox, bbox):
        return np.empty(0, "float32")
    size = None
    layers = {}
    for band in (*VISIBLE_BANDS, SCENE_CLASSIFICATION):
        asset = Asset(source, item, band, backoff)
        layers[band] = asset.opened(partial(_thumbnail, asset, bbox, size))
        size = layers[band].shape
    clear = np.isin(layers[SCENE_CLASSIFICATION], CLEAR_LAND_AND_WATER)
    return np.concatenate([layers[band][clear] for band in VISIBLE_BANDS])


def _thumbnail(
    asset: Asset, bbox: BoundingBox, size: tuple[int, ...] | None, file: rasterio.DatasetReader
) -> np.ndarray:
    """The part of ``file`` within ``bbox``, decimated (from overviews) to ``size`` or at most ``THUMBNAIL_PX``."""
    whole = Window(0, 0, file.width, file.height)
    part = from_bounds(*transform_bounds("EPSG:4326", file.crs, *bbox), file.transform)
    try:
        part = part.intersection(whole)
    except rasterio.errors.WindowError:
        return np.zeros(size or (1, 1), "uint8" if asset.band == SCENE_CLASSIFICATION else "float32")
    shape = size or tuple(max(1, min(round(length), THUMBNAIL_PX)) for length in (part.height, part.width))
    return asset.calibrated(file.read(1, window=part, out_shape=shape), file.nodata)


def _why(dark: float) -> str:
    return (
        f"the darkest {DARKEST_PERCENTILE:g} % of clear visible pixels have reflectance {dark:.3f}, "
        f"allowed {LOWEST}…{HIGHEST}"
    )


def _refusal(source: Source, what: str, dark: float) -> InputError:
    return InputError(f"{source.catalog}: with profile {source.profile}, {what}: {_why(dark)}; is the profile right?")
