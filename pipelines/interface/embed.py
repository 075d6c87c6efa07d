"""``stook.embed``: the feature vectors of an encoder at points, by the path that maps take."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd

from stook.models.bundle import MANIFEST
from stook.models.encoder import Encoder
from stook.models.errors import InputError
from stook.models.inference import Embedder
from stook.models.source import ModelSource
from stook.models.weights import find, weights_dir
from stook.pipelines.interface.reading import in_degrees, sources_of, whole, window_of
from stook.transforms.choices import MOST_DILATION_PX, MOST_OBSERVATIONS
from stook.transforms.encoding.chips import ChipLayout
from stook.transforms.encoding.encode import TileView
from stook.transforms.ground.grid import Tile
from stook.transforms.imagery.freeze import require_bands
from stook.transforms.labelled.features import SeasonReader, SeasonSettings, training_grid, vectors_at
from stook.transforms.labelled.label_files import pixels_under
from stook.transforms.labelled.labels import PIXEL_M, LabelledPixels
from stook.transforms.tiles.view import encoded_view

READERS = 8


def embed_points(
    points: gpd.GeoDataFrame | gpd.GeoSeries,
    encoder: str | Path,
    window: tuple[str, str],
    sources: Mapping[str, Mapping[str, Any]],
    weights: str | Path | None,
    cloud_dilation_px: int,
    minimum_observations: int,
) -> gpd.GeoDataFrame:
    """See ``stook.embed``."""
    places = places_of(points)
    dilation = whole("cloud_dilation_px", cloud_dilation_px, 0, MOST_DILATION_PX)
    fewest = whole("minimum_observations", minimum_observations, 0, MOST_OBSERVATIONS)
    table = points.copy() if isinstance(points, gpd.GeoDataFrame) else gpd.GeoDataFrame(geometry=points)
    model = encoder_named(encoder, weights)
    if taken := [name for name in columns_of(model.output.width) if name in table]:
        raise InputError(f"points: has a column {taken[0]!r} already; rename it")
    archives, (span, year) = sources_of(sources), window_of(window)
    specification = model.specification
    if specification.of_pictures:
        raise InputError(f"encoder: {model.family} sees pictures of metre resolution; allowed are those of composites")
    periods = span.periods(year, specification.period, specification.most_periods)
    layout = ChipLayout.of(specification, model.output, stride_px=None)
    grid = training_grid(layout.cell_px)
    pixels = pixels_of(places)
    settings = SeasonSettings(archives, periods, dilation, READERS)
    reader = SeasonReader(specification, settings, pixels.bounds, grid, layout.halo_px)
    require_bands(specification, model.family, reader.absent)
    embedder, everywhere = Embedder(model), np.ones((grid.tile_px, grid.tile_px), bool)

    def view(tile: Tile) -> TileView:
        return encoded_view(reader.read(tile), embedder, layout, everywhere, reader.absent)

    vectors, clear = vectors_at(pixels, view, grid, layout.cell_px, model.output.width, fewest)
    order = np.argsort(pixels.table["number"].to_numpy())
    return table.assign(**dict(zip(columns_of(model.output.width), (clear[order], *vectors[order].T), strict=True)))


def columns_of(width: int) -> list[str]:
    """Names of the columns that are added to points, for vectors of this width."""
    return ["clear_observations", *(f"f{number:03}" for number in range(width))]


def places_of(points: object) -> gpd.GeoSeries:
    """The points in degrees; raises InputError unless all are points within -80…84 degrees, with a CRS."""
    if not isinstance(points, gpd.GeoDataFrame | gpd.GeoSeries):
        raise InputError(f"points: {type(points).__name__}; allowed are a GeoDataFrame or a GeoSeries of points")
    places = in_degrees("points", points)
    if not len(places) or not (places.geom_type == "Point").all() or places.is_empty.any():
        raise InputError(f"points: {len(places)} rows; allowed are points, at least one and none of them empty")
    outside = np.flatnonzero(~((places.x.abs() <= 180) & places.y.between(-80, 84)).to_numpy())
    if len(outside):
        raise InputError(
            f"points: row {places.index[outside[0]]!r} lies at {places.iloc[outside[0]].wkt} in degrees; allowed are "
            f"-180…180 and -80…84, where UTM ends"
        )
    return places


def pixels_of(places: gpd.GeoSeries) -> LabelledPixels:
    """The pixels that points in degrees fall in, with the ``number`` of the point each is of."""
    known = pd.DataFrame({"number": range(len(places)), "lon": places.x.to_numpy(), "lat": places.y.to_numpy()})
    return LabelledPixels(pixels_under(known, PIXEL_M).reset_index(drop=True))


def encoder_named(encoder: str | Path, weights: str | Path | None) -> Encoder:
    """The encoder of a bundle's folder, or of a published checkpoint by its name.

    Raises:
        InputError: If it is unknown, or its weights are absent.
    """
    if not isinstance(encoder, str | Path):
        raise InputError(f"encoder: {type(encoder).__name__}; allowed are a bundle's folder or an encoder's name")
    if weights is None and (str(encoder).startswith("gs://") or (Path(encoder) / MANIFEST).is_file()):
        return ModelSource(str(encoder)).encoder()
    path = str(weights or find(str(encoder), weights_dir()))
    return ModelSource(path, str(encoder)).encoder()
