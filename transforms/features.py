"""Features of labelled pixels, by the very path that maps take: read → composite → encode."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from models.errors import InputError, TileError
from models.presto import Presto
from models.specification import InputSpecification
from models.training import Samples
from transforms.composite import CompositeSettings, composite
from transforms.freeze import find_inputs
from transforms.grid import Grid
from transforms.infer import lonlat_bounds, pixel_latlon, pixel_series
from transforms.inputs import Inputs
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
        minimum_observations: Pixels with fewer clear observations are left out, as the map leaves them.
        readers: Threads that read imagery.
        batch_pixels: Pixels the encoder sees at once.
    """

    sources: dict[str, Source]
    periods: tuple[Period, ...]
    cloud_dilation_px: int
    minimum_observations: int
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
        unseen: Labelled pixels without enough imagery.
        absent_bands: Bands that no archive has.
    """

    samples: Samples
    parcels: np.ndarray
    unseen: int
    absent_bands: frozenset[str]


def labelled_series(
    labels: LabelledPixels,
    specification: InputSpecification,
    settings: FeatureSettings,
    inputs: Inputs,
    absent: frozenset[str],
) -> Iterator[LabelledSeries]:
    """Read and composite the labelled pixels from what ``find_inputs`` found, tile by tile.

    Raises:
        InputError: If a file of the archives is missing or corrupt.
        UnreachableError: If an archive does not answer.
    """
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
        try:
            season = composite(inputs.near(lonlat_bounds(geobox)), settings.sources, geobox, wanted)
        except TileError as error:
            raise InputError(str(error)) from error
        enough = season.observed & (season.clear_observations >= settings.minimum_observations)
        seen = enough[rows, columns]
        at = rows[seen], columns[seen]
        yield LabelledSeries(index[seen], pixel_series(season, *at), pixel_latlon(geobox, *at))


def labelled_features(
    labels: LabelledPixels, encoder: Presto, settings: FeatureSettings, block_m: float
) -> LabelledFeatures:
    """Embed labelled pixels.

    Raises:
        InputError: If the archives are unusable, or only one class is left where there is enough imagery.
        UnreachableError: If an archive does not answer.
    """
    inputs, absent = find_inputs(settings.sources, labels.bounds, settings.periods)
    months = np.array([period.month for period in settings.periods])
    features = np.full((len(labels), encoder.width), np.nan, np.float32)
    for series in labelled_series(labels, encoder.specification, settings, inputs, absent):
        for start in range(0, len(series.index), settings.batch_pixels):
            part = slice(start, start + settings.batch_pixels)
            features[series.index[part]] = encoder.embed(series.values[part], months, series.latlon[part]).cpu()
    seen = np.isfinite(features[:, 0])
    table = labels.table[seen]
    if table["label"].nunique() < 2:
        raise InputError(
            f"training.labels: only {len(table)} of {len(labels)} labelled pixels have "
            f"{settings.minimum_observations} clear observations or more, and not of both classes"
        )
    samples = Samples(features[seen], table["label"].to_numpy(bool), labels.blocks(block_m)[seen])
    return LabelledFeatures(samples, table["parcel"].to_numpy(), int((~seen).sum()), absent)
