"""Composite → encoder → head → map values of one tile."""

import threading
from functools import lru_cache

import numpy as np
import torch
from odc.geo.geobox import GeoBox
from pyproj import Transformer

from models.bundle import Bundle
from models.errors import InputError, TileError
from transforms.composite import Composite
from transforms.products import NODATA

# One tile at a time on the accelerator, however many are being read: more would only divide it.
ACCELERATOR = threading.Lock()


def device() -> torch.device:
    """The accelerator if there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def bands_missing(bundle: Bundle, absent: frozenset[str]) -> None:
    """Raise InputError if the archives lack a band that the bundle's encoder cannot do without."""
    specification = bundle.specification
    lacking = sorted(absent & set(specification.band_names))
    if lacking and not specification.masks_missing:
        raise InputError(f"imagery: the archives lack {', '.join(lacking)}, which {bundle.provenance.encoder} needs")
    if len(lacking) == len(specification.bands):
        raise InputError(f"imagery: the archives have none of the bands of {bundle.provenance.encoder}")


def map_composite(
    bundle: Bundle, composite: Composite, geobox: GeoBox, wanted: np.ndarray, batch_pixels: int
) -> np.ndarray:
    """Probability of the bundle's class for the wanted pixels of a tile.

    Args:
        bundle: The model.
        composite: On ``geobox``, with the bundle's bands in its order.
        geobox: Grid of the tile, [y, x].
        wanted: bool [y, x].
        batch_pixels: Pixels the encoder sees at once.

    Returns:
        uint8 [y, x], percent rounded to the nearest, 255 where not wanted.

    Raises:
        TileError: If the model answers with something that is not a number.
    """
    percent = np.full(wanted.shape, NODATA, np.uint8)
    rows, columns = np.nonzero(wanted)
    months = np.array([period.month for period in composite.periods])
    with ACCELERATOR:
        for start in range(0, len(rows), batch_pixels):
            y, x = rows[start : start + batch_pixels], columns[start : start + batch_pixels]
            probability = bundle.predict(pixel_series(composite, y, x), months, pixel_latlon(geobox, y, x))
            unknown = ~np.isfinite(probability)
            if unknown.any():
                raise TileError(f"{bundle.provenance.encoder}: no number for {unknown.sum()} pixels")
            percent[y, x] = np.rint(100 * probability).astype(np.uint8)
    return percent


def pixel_series(composite: Composite, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Time series float32 [pixel, period, band] of pixels of a composite."""
    return np.ascontiguousarray(np.moveaxis(composite.values[:, :, rows, columns], -1, 0))


def pixel_latlon(geobox: GeoBox, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Latitude and longitude float64 [pixel, 2], degrees, of pixel centres."""
    grid = geobox.transform
    x, y = grid.c + (columns + 0.5) * grid.a, grid.f + (rows + 0.5) * grid.e
    lon, lat = to_lonlat(str(geobox.crs)).transform(x, y)
    return np.stack([lat, lon], axis=-1)


def lonlat_bounds(geobox: GeoBox) -> tuple[float, float, float, float]:
    """West, south, east, north of a grid, degrees."""
    west, south, east, north = geobox.extent.to_crs("EPSG:4326").boundingbox.bbox
    return west, south, east, north


@lru_cache(maxsize=16)
def to_lonlat(crs: str) -> Transformer:
    """Transformer from a projected CRS to longitude and latitude, WGS 84."""
    return Transformer.from_crs(crs, 4326, always_xy=True)
