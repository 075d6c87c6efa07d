"""Vector files of users: their features with attributes as they are, or one line that says what cannot be read.

Numbers and words never change on the way: whole numbers of 64 bits stay whole beside empty fields, text keeps its
encoding, and what cannot be told exactly is refused.
"""

import json
import re
import sqlite3
import warnings
import zipfile
from collections.abc import Iterable, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pyogrio
import shapely
from shapely.errors import ShapelyError

from stook.models.errors import InputError
from stook.transforms.ground.geodesy import to_lonlat
from stook.transforms.store import CLOUD, address_of, fetched

DRIVERS = ("GeoJSON", "GeoJSONSeq", "TopoJSON", "GPKG", "ESRI Shapefile", "FlatGeobuf", "GML", "KML", "LIBKML",
           "SQLite", "OpenFileGDB", "MapInfo File", "CSV")  # fmt: skip
PARQUET = (".parquet", ".geoparquet")
HEAD_BYTES = 4096
NARROW = {"TINYINT": 8, "SMALLINT": 16, "MEDIUMINT": 32}  # bits of a GeoPackage's columns
CLAMPED = re.compile(r"(?i)clamp|out of range|overflow|too large|truncat")  # GDAL's warnings on numbers
CURVES = "Nonlinear geometry"  # as Shapely names what it cannot read
POINTER = re.compile(rb"<OGR\w+|gdal_streamed_alg|<VRTDataset")  # VRT, services (WFS, OAPIF, CSW), pipelines
UNREADABLE = (OSError, RuntimeError, ValueError, TypeError, LookupError, ShapelyError)
"""What libraries raise on vector files, geometries and coordinate systems; several have no common name."""

EXACT = {"integer_object_nulls": True}  # of pyarrow, which makes floats of whole numbers beside empty fields otherwise
FARTHEST_M = 1e8  # from the origin of a projection
LONGEST_EDGE_M = 500.0  # straight edges of a projected file are cut to this on their way to longitude and latitude
DBF_TEXT, DBF_CODE_PAGE = 32, 29  # where a DBF's field descriptions begin, and its byte for the code page


def read_table(
    path: str | Path, wanted: Sequence[str] = (), layer: str | None = None, copy: Path | None = None
) -> gpd.GeoDataFrame:
    """The rows of a file, with the wanted fields and a geometry column.

    Args:
        path: GeoPackage, GeoJSON, Shapefile or whatever of ``DRIVERS``; GeoParquet by ``.parquet``, ``.geoparquet``.
        wanted: Fields that have to be there.
        layer: Layer to read; needed where a file has several.
        copy: On this machine, of a file that is not; ``path`` is what messages call it.

    Raises:
        InputError: If the file cannot be read, has no geometries, has several layers of which none is named, or lacks a
            field.
    """
    try:
        file = copy or (fetched(address_of(str(path))) if str(path).startswith(CLOUD) else path)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    if "://" not in str(file) and not Path(file).exists():
        raise InputError(f"{path}: no such file")
    try:
        table = _rows(file, layer, wanted)
    except UNREADABLE as error:
        why = " ".join(str(error).split()).replace(str(file), Path(path).name).partition("; It might help")[0]
        if CURVES in why:
            why = "it has curves; allowed are straight edges (ogr2ogr -nlt CONVERT_TO_LINEAR makes them)"
        raise InputError(f"{path}: not a vector file that can be read: {why}") from error
    if not isinstance(table, gpd.GeoDataFrame) or getattr(table, "geometry", None) is None:
        raise InputError(f"{path}: a table without geometries")
    fields = [column for column in table.columns if column != table.geometry.name]
    for missing in (name for name in wanted if name not in fields):
        raise InputError(f"{path}: no field {missing!r}; the fields are {', '.join(map(repr, fields)) or 'none'}")
    return table


def in_lonlat(path: str | Path, geometries: gpd.GeoSeries) -> gpd.GeoSeries:
    """The same in EPSG:4326; edges are straight in the coordinate system that the file is in.

    Raises:
        InputError: Where there is none, or none that can be brought there.
    """
    if geometries.crs is None:
        raise InputError(f"{path}: no coordinate reference system; save the file with the one its coordinates are in")
    try:
        if geometries.crs.is_projected:
            metre = geometries.crs.axis_info[0].unit_conversion_factor
            places = shapely.get_coordinates(geometries.to_numpy())
            if not (np.abs(places) * metre < FARTHEST_M).all():  # cutting what is endless ends the process
                raise InputError(f"{path}: a coordinate lies nowhere on the Earth, or is no number")
            geometries = geometries.segmentize(LONGEST_EDGE_M / metre)
        return geometries.to_crs(4326)
    except UNREADABLE as error:
        why = " ".join(str(error).split())
        raise InputError(f"{path}: {geometries.crs.name} cannot be brought to longitude and latitude: {why}") from error


def require_place(path: str | Path, crs: str) -> None:
    """Raise InputError if a coordinate system cannot be brought to longitude and latitude, as those of sites cannot."""
    try:
        to_lonlat(crs)
    except UNREADABLE as error:
        raise InputError(
            f"{path}: its coordinate reference system cannot be brought to longitude and latitude; save the file with"
            " one of the Earth"
        ) from error


def texts(path: object, field: str, values: Iterable[Any]) -> list[str | None]:
    """Ids, names or classes as text, None where a field is empty.

    Raises:
        InputError: If one is not exact text: names the row.
    """
    words: list[str | None] = []
    try:
        # pandas hands out floats of any size as those of 64 bits
        single = isinstance(values, pd.Series) and values.dtype in (np.float32, np.float16)
        values = list(values.to_numpy() if single else values)  # type: ignore[attr-defined]
    except UnicodeDecodeError as error:  # text is decoded when it is looked at
        raise InputError(f"{path}: field {field!r}: its text is not in the encoding that the file names") from error
    for row, value in enumerate(values, 1):
        try:
            words.append(text_of(value))
        except ValueError as error:
            raise InputError(
                f"{path}: field {field!r}: row {row} {error}; allowed are text and whole numbers"
            ) from None
    return words


def text_of(value: Any) -> str | None:
    """A field as text without blanks around it, None for an empty one; whole numbers without a point.

    Raises:
        ValueError: If it is a list or mapping, or a float that may stand for several whole numbers.
    """
    value = value.tolist() if isinstance(value, np.ndarray) else value
    if isinstance(value, list | tuple | dict | set | bytes):
        raise ValueError(f"is {value!r}")
    if pd.isna(value):
        return None
    if isinstance(value, bool | np.bool_):
        return "true" if value else "false"
    if isinstance(value, float | np.floating):
        digits = np.finfo(type(value) if isinstance(value, np.floating) else float).nmant + 1
        if abs(value) >= 2**digits:
            raise ValueError(f"is the float {value!r}, of which the last digits are lost")
        value = int(value) if float(value).is_integer() else value
    return str(value).strip() or None


def _rows(file: str | Path, layer: str | None, wanted: Sequence[str]) -> gpd.GeoDataFrame:
    if str(file).lower().endswith(PARQUET):
        facts = json.loads((pq.read_schema(file).metadata or {}).get(b"geo", b"{}"))
        if any(column.get("edges") == "spherical" for column in facts.get("columns", {}).values()):
            raise InputError(f"{file}: its edges are spherical; allowed are planar ones, with vertices where they bend")
        table = gpd.read_parquet(file, to_pandas_kwargs=EXACT)
        named = [name for name in table.index.names if name is not None and name not in table]
        return table.reset_index(named) if named else table
    _refuse_pointers(file)
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always", RuntimeWarning)
        table = _features(file, layer, wanted)
    for warning in warned:
        if CLAMPED.search(str(warning.message)):
            raise InputError(f"{file}: a number is larger than its field can hold: {warning.message}")
    return table


def _features(file: str | Path, layer: str | None, wanted: Sequence[str]) -> gpd.GeoDataFrame:
    """The rows of a file that GDAL reads, which warns of what it changes."""
    path = _within_zip(Path(file)) or file
    layers = [name for name, geometry_type in pyogrio.list_layers(path) if geometry_type is not None]
    chosen = layers[0] if layer is None and len(layers) == 1 else layer
    if layers and chosen not in layers:
        missing = "several layers" if layer is None else f"no layer {layer!r}"
        raise InputError(f"{file}: {missing}; choose one of {', '.join(map(repr, layers))}")
    info = pyogrio.read_info(path, layer=chosen)
    driver = info["driver"]
    if driver not in DRIVERS:
        raise InputError(f"{file}: {driver} is not read; allowed are {', '.join(DRIVERS)} and GeoParquet")
    if driver == "GPKG":
        _require_fitting(Path(file), chosen or info["layer_name"], wanted)
    encoding = _encoding(Path(file), chosen) if driver == "ESRI Shapefile" else None
    options = {"DATE_AS_STRING": "YES"} if driver == "GeoJSON" else {}  # or text that looks like a date is rewritten
    numbers = info["fid_column"] in set(wanted) - set(info["fields"])  # features' own, of a GeoPackage
    table = gpd.read_file(
        path,
        layer=chosen,
        encoding=encoding,
        fid_as_index=numbers,
        use_arrow=True,
        arrow_to_pandas_kwargs=EXACT,
        **options,
    )
    return table.rename_axis(info["fid_column"]).reset_index() if numbers else table


def _require_fitting(path: Path, layer: str, wanted: Sequence[str]) -> None:
    """Raise InputError for a number that its column's type cannot hold: SQLite keeps it, GDAL drops its higher bits."""
    if not path.is_file():
        return
    address = f"{path.resolve().as_uri()}?mode=ro"
    with suppress(sqlite3.Error), closing(sqlite3.connect(address, uri=True)) as tables:  # GDAL reads .gpkg.zip too
        kinds = {
            name: kind.upper() for _, name, kind, *_ in tables.execute("select * from pragma_table_info(?)", [layer])
        }
        for field in wanted:
            if (bits := NARROW.get(kinds.get(field, ""))) is None:
                continue
            column, table = (name.replace('"', '""') for name in (field, layer))
            least, most = tables.execute(f'select min("{column}"), max("{column}") from "{table}"').fetchone()  # noqa: S608
            if any(
                isinstance(each, int) and not -(2 ** (bits - 1)) <= each < 2 ** (bits - 1) for each in (least, most)
            ):
                raise InputError(
                    f"{path}: field {field!r}: a number is larger than its field can hold: {most} in {bits} bits; "
                    "allowed is a column of type INTEGER or TEXT"
                )


def _within_zip(path: Path) -> str | None:
    """What GDAL calls the shapefile of a .zip that holds one, in whatever folder; None for all else."""
    if path.suffix.lower() != ".zip" or not zipfile.is_zipfile(path):
        return None
    with zipfile.ZipFile(path) as archive:
        shapes = [name for name in _names_in(archive) if name.lower().endswith(".shp")]
    return f"/vsizip/{{{path}}}/{shapes[0]}" if len(shapes) == 1 else None


def _names_in(archive: zipfile.ZipFile) -> list[str]:
    """The files of a .zip, without those that macOS puts beside them."""
    return [name for name in archive.namelist() if not name.startswith("__MACOSX/")]


def _encoding(path: Path, layer: str | None) -> str | None:
    """Of a shapefile's text: None where the file says it, UTF-8 where nothing does and all of it can be read so.

    Raises:
        InputError: If nobody can tell.
    """
    parts = _parts_of(path, layer)
    table = parts.get(".dbf", b"")
    if ".cpg" in parts or len(table) <= DBF_TEXT or table.isascii():
        return None
    records = table[int.from_bytes(table[8:10], "little") :]
    try:
        records.decode("utf-8")
    except UnicodeDecodeError:
        if table[DBF_CODE_PAGE]:
            return None  # GDAL reads it
        name = path.with_suffix(".cpg").name
        raise InputError(
            f"{path}: its text is not UTF-8, and nothing says what it is; put the encoding's name, e.g. ISO-8859-1, "
            f"into a file {name} beside it"
        ) from None
    return "UTF-8"


def _parts_of(path: Path, layer: str | None) -> dict[str, bytes]:
    """Suffix -> content of a shapefile's table and of the file that names its encoding, of those that are there."""
    if path.suffix.lower() == ".zip":
        with zipfile.ZipFile(path) as archive:
            inside = _names_in(archive)
            names = {Path(name).suffix.lower(): name for name in inside if layer in (None, Path(name).stem)}
            return {suffix: archive.read(names[suffix]) for suffix in (".dbf", ".cpg") if suffix in names}
    beside = (path.parent if path.is_file() else path).iterdir()
    stem = layer if path.is_dir() and layer is not None else path.stem
    files = {file.suffix.lower(): file for file in beside if file.stem == stem}
    return {suffix: files[suffix].read_bytes() for suffix in (".dbf", ".cpg") if suffix in files}


def _refuse_pointers(path: str | Path) -> None:
    """Refuse what is no file of polygons but tells GDAL where to fetch some, before GDAL looks."""
    if str(path).startswith("/vsi"):
        raise InputError(f"{path}: a virtual path of GDAL; give a file")
    if Path(path).is_file():
        with Path(path).open("rb") as file:
            if pointer := POINTER.search(file.read(HEAD_BYTES)):
                what = pointer[0].decode(errors="replace")
                raise InputError(f"{path}: names other files or servers ({what}); give the file of the polygons itself")
