"""Label files: rasters, vector files of points or polygons, or tables become labelled pixels or cells of the grid."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import cast

import numpy as np
import pandas as pd
import rasterio
from rasterio.errors import RasterioError
from rasterio.transform import xy
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from stook.models.errors import InputError
from stook.transforms.csv_tables import csv_table
from stook.transforms.ground.geodesy import to_lonlat
from stook.transforms.ground.grid import Zone
from stook.transforms.ground.polygons import polygons_of, read_vector, whole_pixels, zones_of
from stook.transforms.ground.vector import require_place, texts
from stook.transforms.labelled.labels import DAY, PIXEL_M, Classes, LabelledPixels, whole_number

RASTER_SUFFIXES = (".tif", ".tiff", ".vrt")
PLACE = ["zone", "column", "row"]


def read_labels(file: Path, classes: Classes, field: str | None = None, parcels: Path | None = None) -> LabelledPixels:
    """Labelled pixels of a raster (GeoTIFF, VRT), a vector file of points or polygons, or a CSV with ``lon``, ``lat``.

    A pixel of the grid takes the class of the label pixel centres or points that fall in it, or of the polygon that
    holds it whole: pixels on an edge are mixed. Where several disagree, it is unlabelled.

    Args:
        file: In any CRS.
        classes: What the values mean.
        field: Of the class, for points and polygons.
        parcels: Raster on the grid of ``file`` whose connected equal values are parcels. Without it, connected equal
            labels of a raster are; every polygon is one, and every point is by itself.

    Raises:
        InputError: If the file cannot be read, lacks the field, or labels no pixel positive or none negative.
    """

    def require_both(label: pd.Series, lacking: str = "holds none of") -> None:
        for kind, wanted, values in (("positive", True, classes.positive), ("negative", False, classes.negative)):
            if not (label == wanted).any():
                raise InputError(f"{file}: {lacking} the {kind} classes {', '.join(map(str, values))}")

    if file.suffix.lower() in RASTER_SUFFIXES:
        raster = _Raster.read(file)
        patches = raster if parcels is None else _Raster.read(parcels)
        if patches.values.shape != raster.values.shape or patches.affine != raster.affine:
            raise InputError(f"{parcels}: parcels must be on the grid of {file}")
        wanted = raster.known(classes)
        number = connected_equal(np.ma.getdata(patches.values), wanted)[wanted]
        known = raster.labelled(classes).assign(parcel=number)
        require_both(known["label"])
    else:
        known = _features(file, classes, field, require_both)
    found = _on_grid(known, PIXEL_M)
    require_both(found["label"], f"no whole pixel of {PIXEL_M} m lies in a polygon of")
    return LabelledPixels(_agreeing(found, PLACE), PIXEL_M)


def read_cell_labels(file: Path, classes: Classes, day: date | str, cell_m: float, field: str | None) -> LabelledPixels:
    """Labelled cells, of what stands for some weeks only, of the same files as those of ``read_labels``.

    A cell takes the class of the label pixels' middles or points that fall in it, or of the polygon that holds it
    whole, day by day; where several of one day disagree, it has no label on that day.

    Args:
        file: In any CRS.
        classes: What the values mean; one of them is enough.
        day: Of the picture that the labels were read from, UTC: one for the whole file, or the field that holds it
            (``2023-11-14``).
        cell_m: Side of a cell; cells are counted from easting and northing 0 of each UTM zone.
        field: Of the class, for points and polygons.

    Returns:
        A row per cell and day, with its ``day``; the days of one cell are one parcel.

    Raises:
        InputError: If the file cannot be read, lacks a field, or holds no class, or a day is none.
    """

    def require_any(label: pd.Series) -> None:
        if not len(label):
            raise InputError(
                f"{file}: holds none of the classes {', '.join(map(str, classes.positive + classes.negative))}"
            )

    if file.suffix.lower() in RASTER_SUFFIXES:
        if isinstance(day, str):
            raise InputError(f"{file}: date is {day!r}; a raster shows one day, such as 2023-11-14")
        known = _Raster.read(file).labelled(classes).assign(**{DAY: day})
        require_any(known["label"])
    else:
        known = _features(file, classes, field, require_any, day)
    found = _on_grid(known, cell_m)
    if not len(found):
        raise InputError(f"{file}: no cell of {cell_m:g} m lies wholly in a polygon")
    table = _agreeing(found, [*PLACE, DAY])
    return LabelledPixels(_with_middles(table.assign(parcel=table.groupby(PLACE).ngroup()), cell_m), cell_m)


@dataclass(frozen=True)
class _Raster:
    """The first band of a file, masked where the file says nodata."""

    values: np.ma.MaskedArray
    crs: str
    affine: rasterio.Affine

    @classmethod
    def read(cls, file: Path) -> "_Raster":
        try:
            with rasterio.open(file) as source:
                if source.crs is None:
                    raise InputError(f"{file}: has no CRS")
                require_place(file, source.crs.to_wkt())
                return cls(source.read(1, masked=True), source.crs.to_wkt(), source.transform)
        except RasterioError as error:
            raise InputError(f"{file}: cannot be read as a raster ({error})") from error

    def holding(self, values: tuple[int | str, ...]) -> np.ndarray:
        """Where it holds one of some values, bool [y, x]."""
        numbers = [number for value in values if (number := whole_number(str(value))) is not None]
        return ~np.ma.getmaskarray(self.values) & np.isin(np.ma.getdata(self.values), numbers)

    def known(self, classes: Classes) -> np.ndarray:
        """Where it holds a class, bool [y, x]."""
        return self.holding(classes.positive) | self.holding(classes.negative)

    def labelled(self, classes: Classes) -> pd.DataFrame:
        """``lon``, ``lat`` and ``label`` of the middles of the pixels that hold a class, row by row."""
        rows, columns = np.nonzero(self.known(classes))
        lon, lat = to_lonlat(self.crs).transform(*xy(self.affine, rows, columns))
        lon = np.where(np.asarray(lon) > 180, np.asarray(lon) - 360, lon)  # some count from 0 to 360
        return pd.DataFrame({"lon": lon, "lat": lat, "label": self.holding(classes.positive)[rows, columns]})


def connected_equal(values: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Number int [y, x] of the connected patch (by edges) of equal value that each wanted pixel belongs to."""
    position = np.arange(values.size).reshape(values.shape)
    pairs = []
    for here, there in ((np.s_[:, :-1], np.s_[:, 1:]), (np.s_[:-1], np.s_[1:])):
        joined = wanted[here] & wanted[there] & (values[here] == values[there])
        pairs.append((position[here][joined], position[there][joined]))
    ends = [np.concatenate(side) for side in zip(*pairs, strict=True)]
    graph = coo_array((np.ones(len(ends[0]), bool), tuple(ends)), shape=(values.size, values.size))
    return connected_components(graph, directed=False)[1].reshape(values.shape)


def _features(
    file: Path,
    classes: Classes,
    field: str | None,
    require: Callable[[pd.Series], None],
    day: date | str | None = None,
) -> pd.DataFrame:
    """Points or polygons of a class: ``label``, ``parcel``, ``day`` if asked for, and ``lon``, ``lat`` or ``geometry``.

    Args:
        file: A vector file or a table.
        classes: What the values mean.
        field: Of the class.
        require: Raises InputError unless the labels found are enough.
        day: One for all, or the field that holds it.
    """
    table, place = _table(file)
    if field is None:
        raise InputError(f"{file}: give the field of the class (training.labels.field)")
    needed = [*place, field, *([day] if isinstance(day, str) else [])]
    lacking = [name for name in needed if name not in table]
    if lacking:
        columns = ", ".join(str(name) for name in table.columns if name != "geometry")
        raise InputError(f"{file}: has no field {', '.join(lacking)}; there are {columns}")
    labels = classes.labels(texts(file, field, table[field]))
    known, label = table[~np.isnan(labels)], pd.Series(labels[~np.isnan(labels)] == 1)
    require(label)
    found = pd.DataFrame({"label": label.to_numpy(bool), "parcel": np.arange(len(known))})
    if day is not None:
        found[DAY] = _days(file, known, day)
    where = _degrees(file, known) if "lon" in place else known
    return found.assign(**{name: where[name].to_numpy() for name in place})


def _table(file: Path) -> tuple[pd.DataFrame, list[str]]:
    """The features of a file, and the columns that say where they are."""
    if file.suffix.lower() == ".csv":
        try:
            content = file.read_bytes()
        except OSError as error:
            raise InputError(f"{file}: cannot be read ({error.strerror or error})") from error
        return csv_table(file, content), ["lon", "lat"]
    table = read_vector(file, "points or polygons")
    kinds = set(table.geom_type)
    if kinds <= {"Point", "MultiPoint"}:
        table = table.explode(ignore_index=True)
        return table.assign(lon=table.geometry.x, lat=table.geometry.y), ["lon", "lat"]
    if kinds <= {"Polygon", "MultiPolygon"}:
        return polygons_of(table, file), ["geometry"]
    raise InputError(f"{file}: holds {', '.join(sorted(kinds))}; allowed are points or polygons, not both")


def _days(file: Path, known: pd.DataFrame, day: date | str) -> np.ndarray:
    """The day of each row."""
    if isinstance(day, date):
        return np.full(len(known), day, object)
    days = pd.to_datetime(known[day], errors="coerce", format="ISO8601", utc=True)
    if days.isna().any():
        raise InputError(f"{file}: {day} is {known[day][days.isna()].iloc[0]!r}; allowed are days such as 2023-11-14")
    return days.dt.date.to_numpy()


def _degrees(file: Path, known: pd.DataFrame) -> pd.DataFrame:
    """``lon`` and ``lat`` as numbers."""
    degrees = known[["lon", "lat"]].apply(pd.to_numeric, errors="coerce")
    wrong = ~(degrees["lon"].between(-180, 360) & degrees["lat"].between(-80, 84))
    if wrong.any():
        first = known[wrong].iloc[0]
        raise InputError(
            f"{file}: {wrong.sum()} points lie nowhere, the first at lon {first['lon']!r}, lat {first['lat']!r}; "
            "allowed are degrees, lon -180…180 or 0…360, lat -80…84"
        )
    return degrees.assign(lon=degrees["lon"].where(degrees["lon"] <= 180, degrees["lon"] - 360))


def _on_grid(known: pd.DataFrame, side_m: float) -> pd.DataFrame:
    """The same with ``zone``, ``column`` and ``row`` of the pixels that places fall in, or that polygons hold whole."""
    return _within(known, side_m) if "geometry" in known else pixels_under(known, side_m)


def _within(known: pd.DataFrame, side_m: float) -> pd.DataFrame:
    """The pixels that a polygon holds whole, with their middles."""
    parts = []
    for number, polygon in enumerate(known["geometry"]):
        for zone in zones_of(polygon):
            columns, rows = whole_pixels(polygon, zone, side_m)
            held = known.drop(columns="geometry").iloc[np.full(len(columns), number)]
            parts.append(held.assign(zone=zone.name, column=columns, row=rows))
    return _with_middles(pd.concat(parts, ignore_index=True), side_m)


def pixels_under(known: pd.DataFrame, side_m: float) -> pd.DataFrame:
    """A table of places (``lon``, ``lat``) with the pixels they fall in, each in the zone that ``Zone.at`` says."""
    numbers = ((known["lon"] + 180) // 6).astype(int).clip(0, 59) + 1
    south = known["lat"] < 0
    parts = []
    for key, part in known.groupby([numbers, south], sort=True):
        number, is_south = cast(tuple[int, bool], key)
        zone = Zone(int(number), bool(is_south))
        metres = to_lonlat(f"EPSG:{zone.epsg}").transform(part["lon"], part["lat"], direction="INVERSE")
        # A pixel centre that went to degrees and back must not fall into the neighbour: centres are 5 m from any edge.
        column, row = np.floor(np.asarray(metres) / side_m).astype(np.int64)
        parts.append(part.assign(zone=zone.name, column=column, row=row))
    return pd.concat(parts, ignore_index=True)


def _with_middles(table: pd.DataFrame, side_m: float) -> pd.DataFrame:
    """The same with ``lon`` and ``lat`` of the middles of the pixels."""
    middles = table.assign(lon=np.nan, lat=np.nan)
    for name in table["zone"].unique():
        here = table["zone"] == name
        x, y = ((table.loc[here, axis] + 0.5) * side_m for axis in ("column", "row"))
        middles.loc[here, "lon"], middles.loc[here, "lat"] = to_lonlat(f"EPSG:{name}").transform(x, y)
    return middles


def _agreeing(found: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """One row per key, in order; where labels disagree, none."""
    agree = found.groupby(keys)["label"].transform("nunique") == 1
    return found[agree].drop_duplicates(keys).sort_values(keys).reset_index(drop=True)
