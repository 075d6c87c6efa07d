"""Ground, months and archives as Python callers give them, for the readers of imagery."""

from collections.abc import Mapping, Sequence
from datetime import date
from numbers import Real
from typing import Any

import geopandas as gpd
import numpy as np
from shapely.geometry import box
from shapely.geometry.base import BaseGeometry

from stook.models.errors import InputError
from stook.pipelines.sections import ImagerySection, checked
from stook.transforms.imagery.season import Window
from stook.transforms.imagery.sources import Source

MOST_MONTHS = 24
LONLAT = 4326


def sources_of(sources: Mapping[str, Mapping[str, Any]]) -> dict[str, Source]:
    """Archives by sensor, given as the section ``imagery`` of a configuration holds them.

    Raises:
        InputError: Names the field, its value and what is allowed.
    """
    return checked(sources, ImagerySection, where="sources: ").sources()


def window_of(window: tuple[str, str]) -> tuple[Window, int]:
    """First and last month, ``("2018-11", "2019-10")``, as a window and its harvest year, the year it ends in.

    Raises:
        InputError: If these are no two months in order, or too many.
    """
    try:
        first, last = (date.fromisoformat(f"{month}-01") for month in window)
    except (ValueError, TypeError):
        raise InputError(
            f"window: {window!r}; give the first and the last month, e.g. ('2018-11', '2019-10')"
        ) from None
    months = 12 * (last.year - first.year) + last.month - first.month + 1
    if not 1 <= months <= MOST_MONTHS:
        raise InputError(f"window: {window!r} has {months} months; allowed are 1 to {MOST_MONTHS}")
    return Window(first.month, first.year - last.year, months), last.year


def bounds_of(ground: object) -> tuple[float, float, float, float]:
    """West, south, east and north in degrees of a box, a shapely geometry in degrees, or a GeoSeries or GeoDataFrame.

    Raises:
        InputError: If it is none of these, empty, or outside of -180…180 and -80…84 degrees, where UTM ends.
    """
    if isinstance(ground, gpd.GeoDataFrame | gpd.GeoSeries):
        bounds = tuple(in_degrees(ground).total_bounds)
    elif isinstance(ground, BaseGeometry):
        bounds = ground.bounds
    elif isinstance(ground, Sequence | np.ndarray) and all(isinstance(each, Real) for each in ground):
        bounds = tuple(map(float, ground))
    else:
        raise InputError(f"ground: {type(ground).__name__}; allowed are (west, south, east, north) or a geometry")
    if len(bounds) != 4 or not np.isfinite(bounds).all() or not box(*bounds).area:
        raise InputError(f"ground: {bounds}: has no area")
    west, south, east, north = bounds
    if not (-180 <= west < east <= 180 and -80 <= south < north <= 84):
        raise InputError(
            f"ground: {bounds}; allowed is west < east within -180…180 and south < north within -80…84, in degrees"
        )
    return west, south, east, north


def in_degrees(ground: gpd.GeoDataFrame | gpd.GeoSeries) -> gpd.GeoDataFrame | gpd.GeoSeries:
    """The same in longitude and latitude; raises InputError where no CRS is set."""
    if ground.crs is None:
        raise InputError("ground: has no CRS; set one, e.g. with set_crs(4326)")
    return ground.to_crs(LONLAT)
