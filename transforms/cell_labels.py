"""Labels of what stands for some weeks only: cells of a product, each with the day of the picture it was read from."""

from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import rasterio
import shapely
from rasterio.errors import RasterioError
from rasterio.transform import xy

from models.errors import InputError
from transforms.geodesy import project, to_lonlat
from transforms.grid import Zone
from transforms.labels import RASTER_SUFFIXES, Classes, LabelledPixels
from transforms.polygons import polygons_of, read_vector, whole_pixels, zones_of

DAY = "day"
KEYS = ["zone", "column", "row", DAY]


def read_cell_labels(file: Path, classes: Classes, day: date | str, cell_m: float, field: str | None) -> LabelledPixels:
    """Labelled cells of a raster, of a vector file of points or polygons, or of a CSV with ``lon`` and ``lat``.

    A cell takes the class of the label pixels' middles or points that fall in it, or of the polygon that holds it
    whole, day by day; where several of one day disagree, it has no label on that day.

    Args:
        file: In any CRS.
        classes: What the values mean.
        day: Of the picture that the labels were read from, UTC: one for the whole file, or the field that holds it
            (``2023-11-14``).
        cell_m: Side of a cell; cells are counted from easting and northing 0 of each UTM zone.
        field: Of the class, for points and polygons.

    Returns:
        A row per cell and day; the table has a further column ``day`` (``datetime.date``), and the days of one cell are
        one parcel.

    Raises:
        InputError: If the file cannot be read, lacks a field, or holds no class, or a day is none.
    """
    if file.suffix.lower() in RASTER_SUFFIXES:
        found = on_cells(_raster(file, classes, day), cell_m)
    elif file.suffix.lower() == ".csv":
        found = on_cells(_places(file, _labelled(file, _csv(file), classes, day, field)), cell_m)
    else:
        vectors = read_vector(file, "points or polygons")
        kinds = set(vectors.geom_type)
        if kinds == {"Point"}:
            points = vectors.assign(lon=vectors.geometry.x, lat=vectors.geometry.y)
            found = on_cells(_places(file, _labelled(file, points, classes, day, field)), cell_m)
        elif kinds <= {"Polygon", "MultiPolygon"}:
            found = _within(file, _labelled(file, polygons_of(vectors, file), classes, day, field), cell_m)
        else:
            raise InputError(f"{file}: holds {', '.join(sorted(kinds))}; allowed are points or polygons, not both")
    return LabelledPixels(_agreeing(found, cell_m), cell_m)


def on_cells(places: pd.DataFrame, cell_m: float) -> pd.DataFrame:
    """``zone``, ``column`` and ``row`` of the cells that places (``lon``, ``lat``, ``label``, ``day``) fall in."""
    zones = np.array([Zone.at(lon, lat).name for lon, lat in zip(places["lon"], places["lat"], strict=True)])
    parts = []
    for name in np.unique(zones):
        here = places[zones == name]
        metres = project(shapely.MultiPoint(here[["lon", "lat"]].to_numpy()), Zone.parse(name))
        column, row = np.floor(shapely.get_coordinates(metres) / cell_m).astype(np.int64).T
        parts.append(pd.DataFrame(here[["label", DAY]]).assign(zone=name, column=column, row=row))
    return pd.concat(parts, ignore_index=True)


def _within(file: Path, polygons: pd.DataFrame, cell_m: float) -> pd.DataFrame:
    """The cells that a polygon holds whole."""
    parts = []
    for polygon, label, day in zip(polygons["geometry"], polygons["label"], polygons[DAY], strict=True):
        for zone in zones_of(polygon):
            columns, rows = whole_pixels(polygon, zone, cell_m)
            parts.append(pd.DataFrame({"zone": zone.name, "column": columns, "row": rows, "label": label, DAY: day}))
    found = pd.concat(parts, ignore_index=True)
    if not len(found):
        raise InputError(f"{file}: no cell of {cell_m:g} m lies wholly in a polygon")
    return found


def _raster(file: Path, classes: Classes, day: date | str) -> pd.DataFrame:
    if isinstance(day, str):
        raise InputError(f"{file}: date is {day!r}; a raster shows one day, such as 2023-11-14")
    try:
        with rasterio.open(file) as source:
            if source.crs is None:
                raise InputError(f"{file}: has no CRS")
            values, affine, crs = source.read(1, masked=True), source.transform, source.crs.to_wkt()
    except RasterioError as error:
        raise InputError(f"{file}: cannot be read as a raster ({error})") from error
    known = ~np.ma.getmaskarray(values) & np.isin(values, classes.positive + classes.negative)
    rows, columns = np.nonzero(known)
    if not len(rows):
        raise InputError(f"{file}: {_none_of(classes)}")
    lon, lat = to_lonlat(crs).transform(*xy(affine, rows, columns))
    label = np.isin(np.ma.getdata(values)[known], classes.positive)
    return pd.DataFrame({"lon": lon, "lat": lat, "label": label, DAY: day})


def _csv(file: Path) -> pd.DataFrame:
    try:
        return pd.read_csv(file)
    except (OSError, ValueError) as error:
        raise InputError(f"{file}: cannot be read as points ({error})") from error


def _labelled(file: Path, table: pd.DataFrame, classes: Classes, day: date | str, field: str | None) -> pd.DataFrame:
    """The rows that are of a class, with ``label``, whether it is positive, and ``day``."""
    if field is None:
        raise InputError(f"{file}: give the field of the class (training.labels.field)")
    lacking = [name for name in (field, *([day] if isinstance(day, str) else [])) if name not in table]
    if lacking:
        columns = ", ".join(str(name) for name in table.columns if name != "geometry")
        raise InputError(f"{file}: has no field {', '.join(lacking)}; there are {columns}")
    known = table[table[field].isin(classes.positive + classes.negative)]
    if not len(known):
        raise InputError(f"{file}: {_none_of(classes)}")
    return known.assign(label=known[field].isin(classes.positive), **{DAY: _days(file, known, day)})


def _days(file: Path, known: pd.DataFrame, day: date | str) -> pd.Series:
    """The day of each row."""
    if isinstance(day, date):
        return pd.Series(day, known.index)
    days = pd.to_datetime(known[day], errors="coerce", format="ISO8601", utc=True)
    if days.isna().any():
        raise InputError(f"{file}: {day} is {known[day][days.isna()].iloc[0]!r}; allowed are days such as 2023-11-14")
    return days.dt.date


def _places(file: Path, known: pd.DataFrame) -> pd.DataFrame:
    """Points with numbers as ``lon`` and ``lat``."""
    lacking = [name for name in ("lon", "lat") if name not in known]
    if lacking:
        raise InputError(f"{file}: has no field {', '.join(lacking)}")
    degrees = known.assign(**{name: pd.to_numeric(known[name], errors="coerce") for name in ("lon", "lat")})
    wrong = ~(degrees["lon"].between(-180, 180) & degrees["lat"].between(-80, 84))
    if wrong.any():
        first = known[wrong].iloc[0]
        raise InputError(
            f"{file}: {wrong.sum()} points lie nowhere, the first at lon {first['lon']}, lat {first['lat']}; "
            "allowed are degrees, lon -180…180, lat -80…84"
        )
    return degrees


def _none_of(classes: Classes) -> str:
    return f"holds none of the classes {', '.join(map(str, classes.positive + classes.negative))}"


def _agreeing(found: pd.DataFrame, cell_m: float) -> pd.DataFrame:
    """One row per cell and day, with its middle in degrees; cells whose labels disagree are dropped."""
    agree = found.groupby(KEYS)["label"].transform("nunique") == 1
    table = found[agree].drop_duplicates(KEYS).sort_values(KEYS).reset_index(drop=True)
    table = table.assign(parcel=table.groupby(KEYS[:3]).ngroup(), lon=np.nan, lat=np.nan)
    for name in table["zone"].unique():
        here = table["zone"] == name
        x, y = ((table.loc[here, axis] + 0.5) * cell_m for axis in ("column", "row"))
        table.loc[here, "lon"], table.loc[here, "lat"] = to_lonlat(f"EPSG:{name}").transform(x, y)
    return table
