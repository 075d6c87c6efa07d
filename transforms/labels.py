"""Labelled ground: classes of rasters, polygons or points as labelled pixels of the UTM grid."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import geopandas as gpd
import numpy as np
import pandas as pd
import rasterio
from rasterio.errors import RasterioError
from rasterio.transform import xy
from rasterio.warp import transform as warp
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from models.errors import InputError
from transforms.geodesy import to_lonlat
from transforms.grid import Grid, Tile, Zone
from transforms.polygons import LONLAT, polygons_of, read_vector, whole_pixels, zones_of

RASTER_SUFFIXES = (".tif", ".tiff", ".vrt")
PIXEL_M = 10
BLOCKS_PER_SIDE = 10_000_000  # more than pixels between the equator and a pole, so numbers of blocks never meet


@dataclass(frozen=True)
class Classes:
    """Which classes of a label file mean what; every other value is unlabelled.

    Attributes:
        positive: Classes that are the product's.
        negative: Classes that are not.
    """

    positive: tuple[int | str, ...]
    negative: tuple[int | str, ...]


@dataclass(frozen=True)
class LabelledPixels:
    """Labelled pixels of 10 m, or cells of a coarser product.

    Attributes:
        table: One row a pixel: ``zone`` (name), ``column`` and ``row`` (counted from easting and northing 0, the row
            northwards), ``label`` (bool for a class, float32 0…1 for a covered fraction), ``parcel`` (int, pixels that
            are not independent of each other), ``lon``, ``lat`` (degrees, of the centre).
        pixel_m: Side of a pixel.
    """

    table: pd.DataFrame
    pixel_m: float = PIXEL_M

    def __len__(self) -> int:
        return len(self.table)

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """West, south, east, north in degrees."""
        lon, lat = self.table["lon"], self.table["lat"]
        return float(lon.min()), float(lat.min()), float(lon.max()), float(lat.max())

    def thinned(self, most: int, seed: int) -> "LabelledPixels":
        """At most ``most`` pixels, drawn at random without changing their order."""
        if len(self.table) <= most:
            return self
        table = self.table.sample(most, random_state=seed).sort_index().reset_index(drop=True)
        return LabelledPixels(table, self.pixel_m)

    def blocks(self, block_m: float) -> np.ndarray:
        """The square block int64 [pixel] that each pixel lies in; the same number is the same ground, in any file."""
        side = block_m / self.pixel_m
        zone, column, row = (self.table[key].to_numpy() for key in ("zone", "column", "row"))
        blocks = (column // side).astype(np.int64), (row // side).astype(np.int64)
        return (zone.astype(np.int64) * BLOCKS_PER_SIDE + blocks[0]) * BLOCKS_PER_SIDE + blocks[1]

    def by_tile(self, grid: Grid) -> Iterator[tuple[Tile, np.ndarray, np.ndarray, np.ndarray]]:
        """Tiles with their labelled pixels, of ``pixel_m``: indices in ``table``, rows (from the north) and columns."""
        size = grid.tile_px
        keys = [self.table["zone"], self.table["column"] // size, self.table["row"] // size]
        for key, part in self.table.groupby(keys, sort=True):
            zone, ix, iy = cast(tuple[str, int, int], key)
            rows = size - 1 - (part["row"].to_numpy() - iy * size)
            columns = part["column"].to_numpy() - ix * size
            yield Tile(Zone.parse(zone), int(ix), int(iy)), part.index.to_numpy(), rows, columns


def read_labels(
    file: Path,
    classes: Classes,
    field: str | None = None,
    parcels: Path | None = None,
    pixel_m: float = PIXEL_M,
) -> LabelledPixels:
    """Labelled pixels of a raster (GeoTIFF, VRT), a vector file of points or polygons, or a CSV with ``lon``, ``lat``.

    A pixel of the grid takes the class of the label pixel centres or points that fall in it, or of the polygon that
    holds it whole: pixels on an edge are mixed. Where several disagree, it is unlabelled.

    Args:
        file: In any CRS.
        classes: What the values mean.
        field: Of the class, for points and polygons.
        parcels: Raster on the grid of ``file`` whose connected equal values are parcels. Without it, connected equal
            labels of a raster are; every polygon is one, and every point is by itself.
        pixel_m: Side of the pixels; more than 10 m for the cells of a coarser product.

    Raises:
        InputError: If the file cannot be read, lacks the field, or labels no pixel positive or none negative.
    """
    if file.suffix.lower() in RASTER_SUFFIXES:
        found = _on_grid(_raster(file, classes, parcels), pixel_m)
    elif file.suffix.lower() == ".csv":
        found = _on_grid(_points(file, _csv(file), classes, field), pixel_m)
    else:
        table = read_vector(file, "points or polygons")
        kinds = set(table.geom_type)
        if kinds <= {"Polygon", "MultiPolygon"}:
            found = _polygons(file, table, classes, field, pixel_m)
        elif kinds == {"Point"}:
            table = table.assign(lon=table.geometry.x, lat=table.geometry.y)
            found = _on_grid(_points(file, table, classes, field), pixel_m)
        else:
            raise InputError(f"{file}: holds {', '.join(sorted(kinds))}; allowed are points or polygons, not both")
    return LabelledPixels(_agreeing(found), pixel_m)


def _require_both(file: Path, labels: pd.Series, classes: Classes, lacking: str) -> None:
    """Raise InputError, with words for what is lacking, unless both labels occur."""
    for kind, label in (("positive", True), ("negative", False)):
        if not (labels == label).any():
            values = ", ".join(map(str, classes.positive if label else classes.negative))
            raise InputError(f"{file}: {lacking} the {kind} classes {values}")


def _raster(file: Path, classes: Classes, parcels: Path | None) -> pd.DataFrame:
    values, crs, affine = _open(file)
    known = ~np.ma.getmaskarray(values)
    positive, negative = known & np.isin(values, classes.positive), known & np.isin(values, classes.negative)
    if parcels is None:
        patches = values
    else:
        patches, _, other = _open(parcels)
        if patches.shape != values.shape or other != affine:
            raise InputError(f"{parcels}: parcels must be on the grid of {file}")
    rows, columns = np.nonzero(positive | negative)
    x, y = xy(affine, rows, columns)
    lon, lat = warp(crs, LONLAT, x, y)
    number = connected_equal(np.ma.getdata(patches), positive | negative)
    found = pd.DataFrame(
        {"lon": lon, "lat": lat, "label": positive[rows, columns], "parcel": number[rows, columns]},
    )
    _require_both(file, found["label"], classes, "holds none of")
    return found


def _open(file: Path) -> tuple[np.ma.MaskedArray, str, rasterio.Affine]:
    """The first band, masked where the file says nodata, with its CRS and transform."""
    try:
        with rasterio.open(file) as source:
            if source.crs is None:
                raise InputError(f"{file}: has no CRS")
            return source.read(1, masked=True), source.crs.to_wkt(), source.transform
    except RasterioError as error:
        raise InputError(f"{file}: cannot be read as a raster ({error})") from error


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


def _csv(file: Path) -> pd.DataFrame:
    try:
        return pd.read_csv(file)
    except (OSError, ValueError) as error:
        raise InputError(f"{file}: cannot be read as points ({error})") from error


def _labelled(
    file: Path, table: pd.DataFrame, classes: Classes, field: str | None, needed: Sequence[str] = ()
) -> pd.DataFrame:
    """The rows that are of a class, with ``label``, whether it is positive."""
    if field is None:
        raise InputError(f"{file}: give the field of the class (training.labels.field)")
    lacking = [name for name in (*needed, field) if name not in table]
    if lacking:
        columns = ", ".join(str(name) for name in table.columns if name != "geometry")
        raise InputError(f"{file}: has no field {', '.join(lacking)}; there are {columns}")
    positive, negative = table[field].isin(classes.positive), table[field].isin(classes.negative)
    known = table[positive | negative].assign(label=positive)
    _require_both(file, known["label"], classes, "holds none of")
    return known


def _polygons(file: Path, table: gpd.GeoDataFrame, classes: Classes, field: str | None, pixel_m: float) -> pd.DataFrame:
    """The pixels that a polygon holds whole, already on the grid."""
    known = _labelled(file, polygons_of(table, file), classes, field)
    parts = []
    for number, polygon, label in zip(known.index, known.geometry, known["label"], strict=True):
        for zone in zones_of(polygon):
            columns, rows = whole_pixels(polygon, zone, pixel_m)
            lon, lat = to_lonlat(f"EPSG:{zone.epsg}").transform((columns + 0.5) * pixel_m, (rows + 0.5) * pixel_m)
            place = {"zone": zone.name, "column": columns, "row": rows, "lon": lon, "lat": lat}
            parts.append(pd.DataFrame(place | {"label": label, "parcel": number}))
    found = pd.concat(parts, ignore_index=True)
    _require_both(file, found["label"], classes, f"no whole pixel of {pixel_m:g} m lies in a polygon of")
    return found


def _points(file: Path, table: pd.DataFrame, classes: Classes, field: str | None) -> pd.DataFrame:
    """Points, every one a parcel."""
    known = _labelled(file, table, classes, field, ("lon", "lat"))
    degrees = known[["lon", "lat"]].apply(pd.to_numeric, errors="coerce")
    wrong = ~(degrees["lon"].between(-180, 180) & degrees["lat"].between(-80, 84))
    if wrong.any():
        first = known[wrong].iloc[0]
        raise InputError(
            f"{file}: {wrong.sum()} points lie nowhere, the first at lon {first['lon']}, lat {first['lat']}; "
            "allowed are degrees, lon -180…180, lat -80…84"
        )
    return pd.DataFrame(
        {
            "lon": degrees["lon"].to_numpy(),
            "lat": degrees["lat"].to_numpy(),
            "label": known["label"].to_numpy(bool),
            "parcel": np.arange(len(known)),
        }
    )


def _on_grid(found: pd.DataFrame, pixel_m: float) -> pd.DataFrame:
    """Each place with the zone, column and row of its pixel."""
    numbers = np.floor((found["lon"] + 180) / 6).astype(int).clip(0, 59) + 1
    south = found["lat"] < 0
    parts = []
    for key, part in found.groupby([numbers, south], sort=True):
        number, is_south = cast(tuple[int, bool], key)
        zone = Zone(int(number), bool(is_south))
        x, y = warp(LONLAT, f"EPSG:{zone.epsg}", part["lon"].to_numpy(), part["lat"].to_numpy())
        # A pixel centre that went to degrees and back must not fall into the neighbour: centres are 5 m from any edge.
        parts.append(
            part.assign(
                zone=zone.name,
                column=np.floor(np.asarray(x) / pixel_m).astype(np.int64),
                row=np.floor(np.asarray(y) / pixel_m).astype(np.int64),
            )
        )
    return pd.concat(parts)


def _agreeing(table: pd.DataFrame) -> pd.DataFrame:
    """One row per pixel of the grid; pixels whose labels disagree are dropped."""
    keys = ["zone", "column", "row"]
    agree = table.groupby(keys)["label"].transform("nunique") == 1
    return table[agree].drop_duplicates(keys).sort_values(keys).reset_index(drop=True)
