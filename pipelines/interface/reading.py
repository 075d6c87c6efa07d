"""Ground, months, numbers and archives as Python callers give them."""

import operator
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
YEARS = (1970, 2200)
LONLAT = 4326


def whole(name: str, value: object, lowest: int, highest: int) -> int:
    """``value`` as an int; raises InputError, beginning with ``name``, unless it is a whole number in this range."""
    try:
        number = operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        number = None
    if number is None or isinstance(value, bool) or not lowest <= number <= highest:
        raise InputError(f"{name}: {value!r}; allowed are whole numbers from {lowest} to {highest}")
    return number


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
    for month in (first, last):
        whole("window: year", month.year, *YEARS)
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
        bounds = tuple(in_degrees("ground", ground).total_bounds)
    elif isinstance(ground, BaseGeometry):
        bounds = ground.bounds
    elif isinstance(ground, Sequence | np.ndarray) and all(isinstance(each, Real) for each in ground):
        bounds = tuple(map(float, ground))
    else:
        raise InputError(f"ground: {type(ground).__name__}; allowed are (west, south, east, north) or a geometry")
    if len(bounds) != 4:
        raise InputError(f"ground: {len(bounds)} numbers; allowed are four: west, south, east, north")
    if not np.isfinite(bounds).all() or not box(*bounds).area:
        raise InputError(f"ground: {bounds}: has no area")
    west, south, east, north = bounds
    if not (-180 <= west < east <= 180 and -80 <= south < north <= 84):
        raise InputError(
            f"ground: {bounds}; allowed is west < east within -180…180 and south < north within -80…84, in degrees"
        )
    return west, south, east, north


def in_degrees(name: str, ground: gpd.GeoDataFrame | gpd.GeoSeries) -> gpd.GeoSeries:
    """The geometries in longitude and latitude; raises InputError, beginning with ``name``, without any or a CRS."""
    try:
        places = ground.geometry
    except AttributeError:
        raise InputError(f"{name}: has no column of geometries; set one with set_geometry") from None
    if places.crs is None:
        raise InputError(f"{name}: has no CRS; set one, e.g. with set_crs(4326)")
    return places.to_crs(LONLAT)
