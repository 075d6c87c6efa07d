"""Features of labelled pixels, by the very path that maps take: read → composite → encode."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from models.errors import InputError
from models.presto import Presto
from models.specification import InputSpecification
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
class LabelledSeries:
    """Composites of the labelled pixels that have imagery.

    Attributes:
        index: int [pixel], rows of the labels' table.
        values: float32 [pixel, period, band].
        latlon: float64 [pixel, 2], degrees.
    """

    index: np.ndarray
    values: np.ndarray
    latlon: np.ndarray


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


def labelled_series(
    labels: LabelledPixels, specification: InputSpecification, settings: FeatureSettings
) -> Iterator[LabelledSeries]:
    """Read and composite the labelled pixels, tile by tile.

    Raises:
        InputError: If the archives have nothing there.
        TileError: If a file of theirs is missing or corrupt.
        UnreachableError: If an archive does not answer.
    """
    inputs, absent = find_inputs(settings.sources, labels.bounds, settings.periods)
    wanted = CompositeSettings(
        bands=specification.band_names,
        periods=settings.periods,
        cloud_dilation_px=settings.cloud_dilation_px,
        absent_bands=absent,
        resampling=specification.resampling,
        readers=settings.readers,
    )
    for tile, index, rows, columns in labels.by_tile(GRID):
        geobox = GRID.geobox(tile)
        season = composite(inputs.near(lonlat_bounds(geobox)), settings.sources, geobox, wanted)
        seen = season.observed[rows, columns]
        at = rows[seen], columns[seen]
        yield LabelledSeries(index[seen], pixel_series(season, *at), pixel_latlon(geobox, *at))


def labelled_features(
    labels: LabelledPixels, encoder: Presto, settings: FeatureSettings, block_m: float
) -> LabelledFeatures:
    """Embed labelled pixels; see ``labelled_series`` for what may go wrong.

    Raises:
        InputError: If no scene covers any of them.
    """
    months = np.array([period.month for period in settings.periods])
    features = np.full((len(labels), encoder.width), np.nan, np.float32)
    for series in labelled_series(labels, encoder.specification, settings):
        for start in range(0, len(series.index), settings.batch_pixels):
            part = slice(start, start + settings.batch_pixels)
            features[series.index[part]] = encoder.embed(series.values[part], months, series.latlon[part]).cpu()
    seen = np.isfinite(features[:, 0])
    if not seen.any():
        raise InputError("training.labels: no scene covers any labelled pixel")
    table = labels.table[seen]
    samples = Samples(features[seen], table["label"].to_numpy(bool), labels.blocks(block_m)[seen])
    return LabelledFeatures(samples, table["parcel"].to_numpy(), int((~seen).sum()))
