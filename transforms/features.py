"""Features of labelled pixels, by the very path that maps take: read → composite → encode."""

from dataclasses import dataclass

import numpy as np
import torch

from models.errors import InputError
from models.presto import Presto
from models.training import Samples
from transforms.composite import CompositeSettings, composite
from transforms.freeze import find_inputs
from transforms.grid import Grid
from transforms.infer import lonlat_bounds, pixel_latlon, pixel_series
from transforms.labels import LabelledPixels
from transforms.season import Period
from transforms.sources import Source

# Labels are scattered: small tiles read little around a point; larger ones open fewer files for a raster.
GRID = Grid(tile_px=250)


@dataclass(frozen=True)
class FeatureSettings:
    """How labelled pixels are seen.

    Attributes:
        sources: The archives, by sensor.
        periods: The months to read.
        cloud_dilation_px: By how much masked cloud grows.
        readers: Threads that read imagery.
        batch_pixels: Pixels the encoder sees at once.
    """

    sources: dict[str, Source]
    periods: tuple[Period, ...]
    cloud_dilation_px: int
    readers: int
    batch_pixels: int


@dataclass(frozen=True)
class LabelledFeatures:
    """Features of the labelled pixels that have imagery.

    Attributes:
        samples: Features float32 [pixel, width], labels and blocks.
        parcels: int [pixel].
        unseen: Labelled pixels that no scene covers.
    """

    samples: Samples
    parcels: np.ndarray
    unseen: int


def labelled_features(
    labels: LabelledPixels, encoder: Presto, settings: FeatureSettings, block_m: float
) -> LabelledFeatures:
    """Embed labelled pixels.

    Raises:
        InputError: If no scene covers any of them.
    """
    inputs, absent = find_inputs(settings.sources, labels.bounds, settings.periods)
    wanted = CompositeSettings(
        bands=encoder.specification.band_names,
        periods=settings.periods,
        cloud_dilation_px=settings.cloud_dilation_px,
        absent_bands=absent,
        resampling=encoder.specification.resampling,
        readers=settings.readers,
    )
    months = np.array([period.month for period in settings.periods])
    features = np.full((len(labels), encoder.width), np.nan, np.float32)
    for tile, index, rows, columns in labels.by_tile(GRID):
        geobox = GRID.geobox(tile)
        season = composite(inputs.near(lonlat_bounds(geobox)), settings.sources, geobox, wanted)
        seen = season.observed[rows, columns]
        index, rows, columns = index[seen], rows[seen], columns[seen]
        for start in range(0, len(index), settings.batch_pixels):
            part = slice(start, start + settings.batch_pixels)
            series = pixel_series(season, rows[part], columns[part])
            features[index[part]] = encoder.embed(series, months, pixel_latlon(geobox, rows[part], columns[part])).cpu()
    seen = np.isfinite(features[:, 0])
    if not seen.any():
        raise InputError("training.labels: no scene covers any labelled pixel")
    table = labels.table[seen]
    samples = Samples(features[seen], table["label"].to_numpy(bool), labels.blocks(block_m)[seen])
    return LabelledFeatures(samples, table["parcel"].to_numpy(), int((~seen).sum()))
