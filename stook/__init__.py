"""Maps of smallholder farming from satellite archives, and the figures that are published from them.

The command ``stook`` runs pipelines; this is what a notebook needs beside it. Everything public is here: ``open``,
``composite``, ``embed``, ``estimate``, ``StookError`` and ``__version__``. Other modules may change in any version.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path
    from typing import Any

    import geopandas as gpd
    import pandas as pd
    import xarray as xr
    from shapely.geometry.base import BaseGeometry

    from stook.models.errors import StookError as StookError
    from stook.pipelines.interface.season import Season as Season

__version__ = "0.2.0"
__all__ = ["Season", "StookError", "__version__", "composite", "embed", "estimate", "open"]


def open(path_or_config: str | Path | Mapping[str, Any], year: int) -> Season:
    """Open a published season.

    Args:
        path_or_config: The configuration file (.yaml; a path or gs://), its content as a mapping, or a region's folder
            of results, ``<output>/<name>``, where the configuration or its models are not at hand.
        year: Harvest year.

    Returns:
        The season that readers are pointed at; see ``Season``.

    Raises:
        StookError: If nothing is published, or it was made from another configuration.
    """
    from stook.pipelines.interface.season import open_season

    return open_season(path_or_config, year)


def composite(
    ground: tuple[float, float, float, float] | BaseGeometry | gpd.GeoSeries | gpd.GeoDataFrame,
    window: tuple[str, str],
    sources: Mapping[str, Mapping[str, Any]],
    *,
    bands: Sequence[str] | None = None,
    cloud_dilation_px: int = 0,
) -> xr.Dataset:
    """Monthly composites of Sentinel-2 and Sentinel-1, as encoders see them.

    Sentinel-2: median of the clear pixels of a month. Sentinel-1: mean power of a month.

    Args:
        ground: West, south, east and north in degrees, a shapely geometry in degrees, or a GeoSeries or GeoDataFrame in
            any CRS. Its bounding box is read.
        window: First and last month, both read, e.g. ``("2018-11", "2019-10")``.
        sources: Archives by sensor (``sentinel2``, ``sentinel1``), as the section ``imagery`` of a configuration:
            ``{"sentinel2": {"catalog": …, "collection": …, "profile": …}}``.
        bands: ``blue`` … ``swir22``, ``vv``, ``vh``; all that the archives have if None.
        cloud_dilation_px: Pixels by which masked clouds and shadows grow.

    Returns:
        A variable per band, float32 [time, y, x]: reflectance (1 is 100 %) or dB, NaN where nothing clear was seen in
        the month; and ``clear_observations``, uint8 [y, x]. Pixels of 10 m on the grid of maps, in the UTM zone of the
        box's centre; ``spatial_ref`` holds the CRS. The archive is searched now; pixels are read, block by block, when
        the Dataset is computed.

    Raises:
        StookError: If an argument is wrong, no scene is found, or an archive does not answer; also when computed.
    """
    from stook.pipelines.interface.composite import open_composite

    return open_composite(ground, window, sources, bands, cloud_dilation_px)


def embed(
    points: gpd.GeoDataFrame | gpd.GeoSeries,
    encoder: str | Path,
    window: tuple[str, str],
    sources: Mapping[str, Mapping[str, Any]],
    *,
    weights: str | Path | None = None,
    cloud_dilation_px: int = 0,
    minimum_observations: int = 1,
) -> gpd.GeoDataFrame:
    """Feature vectors of an encoder at points, by the path that maps take.

    Args:
        points: Points in any CRS.
        encoder: Folder of a bundle, or the name of a published encoder (``stook models list``).
        window: First and last month, as of ``composite``; no more than the encoder takes.
        sources: Archives by sensor, as of ``composite``.
        weights: File of a published encoder's weights; found in the folder of weights if None.
        cloud_dilation_px: As of ``composite``.
        minimum_observations: Pixels with fewer clear Sentinel-2 observations have no vector.

    Returns:
        The points with ``clear_observations`` (255 where there is no imagery) and columns ``f000`` … of the vector of
        the cell that each point lies in, float32, NaN where there is none.

    Raises:
        StookError: If an argument is wrong, weights or scenes are absent, or an archive does not answer.
    """
    from stook.pipelines.interface.embed import embed_points

    return embed_points(points, encoder, window, sources, weights, cloud_dilation_px, minimum_observations)


def estimate(
    design: pd.DataFrame | str | Path, answers: pd.DataFrame | str | Path | Sequence[str | Path]
) -> pd.DataFrame:
    """Areas and accuracies with 95 % intervals, from a stratified random sample and reference labels.

    Olofsson et al. 2014 where strata are the classes of the map, Stehman 2014 where they are not.

    Args:
        design: A table with a row per stratum: ``stratum`` (name), ``area_ha`` and, if the population is finite,
            ``size`` (sampling units). Or the folder of a sample that ``stook sample`` drew.
        answers: A table with a row per point: ``stratum``, ``reference`` (class on the ground) and, where strata are
            not the classes of the map, ``map`` (class of the map, empty where nothing is mapped). With a folder, the
            interpreters' files.

    Returns:
        A row per figure: ``figure`` (``overall_accuracy``, ``area``, ``users_accuracy``, ``producers_accuracy``),
        ``class``, ``value`` (hectares, or a share), ``standard_error``, ``low``, ``high``, ``method``, ``warning``.
        From a folder, the columns of ``estimates.csv``, for each place.

    Raises:
        StookError: If a column is missing, a stratum has too few points, or the files cannot be read.
    """
    from stook.pipelines.interface.estimate import estimate_figures

    return estimate_figures(design, answers)


def __dir__() -> list[str]:
    return __all__


def __getattr__(name: str) -> Any:
    """Import types when they are asked for: neither should slow down ``import stook``."""
    if name == "Season":
        from stook.pipelines.interface.season import Season

        return Season
    if name == "StookError":
        from stook.models.errors import StookError

        return StookError
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
