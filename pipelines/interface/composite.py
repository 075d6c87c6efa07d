"""``stook.composite``: the cloud-masked monthly composites that encoders see, as a lazy xarray Dataset."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import dask
import dask.array as da
import numpy as np
import pandas as pd
import xarray as xr
from odc.geo.geobox import GeoBox
from odc.geo.geom import box
from odc.geo.xr import xr_coords

from stook.models.errors import InputError
from stook.pipelines.interface.reading import bounds_of, sources_of, whole, window_of
from stook.transforms.backoff import BackOff
from stook.transforms.choices import MOST_DILATION_PX
from stook.transforms.ground.geodesy import lonlat_bounds
from stook.transforms.ground.grid import Grid, Zone
from stook.transforms.imagery.catalog import is_simulated
from stook.transforms.imagery.composite import CompositeSettings, composite
from stook.transforms.imagery.freeze import find_inputs
from stook.transforms.imagery.sources import (
    BACKSCATTER_BANDS,
    COMPOSITE_SENSORS,
    SCENE_CLASSIFICATION,
    SENSOR_BANDS,
)

BLOCK_PX = 500  # a block of twelve months and twelve bands holds 144 MB while it is made
MOST_BLOCKS = 10_000  # the scenes of each are looked up at once; 500 km x 500 km


def open_composite(
    ground: object,
    window: tuple[str, str],
    sources: Mapping[str, Mapping[str, Any]],
    bands: Sequence[str] | None,
    cloud_dilation_px: int,
) -> xr.Dataset:
    """See ``stook.composite``."""
    archives = {name: archive for name, archive in sources_of(sources).items() if name in COMPOSITE_SENSORS}
    if not archives:
        raise InputError(f"sources: composites are made of {' and '.join(COMPOSITE_SENSORS)}; name one of them")
    span, year = window_of(window)
    periods = span.periods(year)
    bounds = bounds_of(ground)
    pixels = pixels_around(bounds)
    dilation = whole("cloud_dilation_px", cloud_dilation_px, 0, MOST_DILATION_PX)
    if bands is not None and (isinstance(bands, str) or not isinstance(bands, Sequence) or not len(bands)):
        raise InputError(f"bands: {bands!r}; allowed is a list of bands, at least one")
    inputs, absent, _ = find_inputs(archives, bounds, dict.fromkeys(archives, periods))
    have = [band for name in archives for band in SENSOR_BANDS[name] if band != SCENE_CLASSIFICATION]
    wanted = tuple(bands if bands is not None else (band for band in have if band not in absent))
    for band in wanted:
        if band not in have or band in absent:
            there = ", ".join(each for each in have if each not in absent)
            raise InputError(f"bands: {band!r}; the archives have {there}")
    settings = CompositeSettings(wanted, periods, dilation)
    values, clear = lazily(pixels, settings, archives, inputs)
    time = pd.DatetimeIndex([period.first for period in periods])
    layers: dict[str, Any] = {
        band: (("time", "y", "x"), values[:, index], attributes_of(band)) for index, band in enumerate(wanted)
    }
    layers["clear_observations"] = (("y", "x"), clear, {"long_name": "Clear Sentinel-2 observations", "units": "1"})
    simulated = sorted(name for name, archive in archives.items() if is_simulated(archive))
    attributes = {"simulated": simulated} if simulated else {}
    return xr.Dataset(layers, coords=xr_coords(pixels) | {"time": time}, attrs=attributes)


def pixels_around(bounds: tuple[float, float, float, float]) -> GeoBox:
    """Pixels of 10 m of the zone of the box's centre, aligned as maps are, that cover the box.

    Raises:
        InputError: If it is larger than a notebook can look up at once.
    """
    west, south, east, north = bounds
    zone, side = Zone.at((west + east) / 2, (south + north) / 2), Grid().resolution_m
    pixels = GeoBox.from_geopolygon(box(west, south, east, north, "EPSG:4326"), side, f"EPSG:{zone.epsg}")
    if math.prod(pixels.shape) > MOST_BLOCKS * BLOCK_PX**2:
        rows, columns = (size * side / 1000 for size in pixels.shape)
        most = MOST_BLOCKS * (BLOCK_PX * side / 1000) ** 2
        raise InputError(
            f"ground: {columns:,.0f} km x {rows:,.0f} km; allowed are {most:,.0f} km². 'stook map' maps countries"
        )
    return pixels


def lazily(pixels: GeoBox, settings: CompositeSettings, archives: Any, inputs: Any) -> tuple[da.Array, da.Array]:
    """Values float32 [period, band, y, x] and clear observations uint8 [y, x]; a task per block reads its scenes."""
    rows, columns = (slices(side) for side in pixels.shape)
    depth = len(settings.periods), len(settings.bands)
    values: list[list[da.Array]] = []
    clear: list[list[da.Array]] = []
    for row in rows:
        made = []
        for column in columns:
            block = pixels[row, column]
            items = inputs.near(lonlat_bounds(block))
            made.append((block.shape, dask.delayed(composite, pure=False)(items, archives, block, settings, BackOff())))
        values.append([da.from_delayed(task.values, (*depth, *shape), np.float32) for shape, task in made])
        clear.append([da.from_delayed(task.clear_observations, shape, np.uint8) for shape, task in made])
    return da.block(values), da.block(clear)


def slices(side: int) -> list[slice]:
    """Blocks of ``side`` pixels; the last may be smaller."""
    return [slice(start, min(start + BLOCK_PX, side)) for start in range(0, side, BLOCK_PX)]


def attributes_of(band: str) -> dict[str, str]:
    """Name and unit of a band."""
    if band in BACKSCATTER_BANDS:
        return {"long_name": f"Backscatter {band.upper()}", "units": "dB"}
    return {"long_name": f"Surface reflectance, {band}", "units": "1"}
