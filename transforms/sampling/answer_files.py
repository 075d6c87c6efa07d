"""Interpreters' files as they come: which column is what, who answered, where the point was."""

import hashlib
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely

from stook.models.errors import InputError
from stook.transforms.csv_tables import csv_table
from stook.transforms.ground.polygons import read_features, without_geometry
from stook.transforms.ground.vector import texts
from stook.transforms.store import Address, is_cloud, read_bytes

TABLES = (".csv", ".txt")


@dataclass(frozen=True)
class Form:
    """How interpreters' files are to be read.

    Attributes:
        id: Column with the point's number; capitals of this column's name and of the next two do not matter.
        answers: Columns with answers; several are several interpreters.
        interpreter: Column that names the interpreter, or None: then each file, or column, is one.
        longitude: Column with the longitude, degrees; need not be there.
        latitude: Column with the latitude.
        unanswered: Words that are no answer, in any case; an empty field never is one.
        words: Class -> words for it beside its name.
    """

    id: str
    answers: tuple[str, ...]
    interpreter: str | None
    longitude: str
    latitude: str
    unanswered: tuple[str, ...]
    words: Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class Answers:
    """Answers as files have them, before any design is asked.

    Attributes:
        table: A row per answer: ``point`` (text, whole numbers without a point or leading zeros), ``interpreter``,
            ``answer`` (text, stripped), ``lon``, ``lat`` (degrees, both NaN where the file lacks one), ``source`` (file
            and row or feature, for messages).
        interpreters: See ``stook.transforms.sampling.interpretation.Interpretation``.
        files: See ``stook.transforms.sampling.interpretation.Interpretation``.
    """

    table: pd.DataFrame
    interpreters: tuple[str, ...]
    files: Mapping[str, str]


def read_answers(files: Sequence[Address], form: Form) -> Answers:
    """The answers in files, as text.

    Raises:
        InputError: If a file cannot be read, lacks a column, has no answers, or is another's copy; if nobody could tell
            interpreters.
    """
    if form.interpreter is not None and len(form.answers) > 1:
        raise InputError(
            f"sample.answers.interpreter: {form.interpreter!r} names the interpreter, so that answer has to be one "
            f"column, not {', '.join(form.answers)}"
        )
    read = [_read(file) for file in files]
    hashes = _hashes(files, read)
    by_column = len(files) == 1 or len(form.answers) > 1
    names = [None] * len(files) if by_column else _names_of(files)
    parts = [_rows(*each, form) for each in zip(files, read, names, strict=True)]
    table = pd.concat(parts, ignore_index=True)
    # A number is the same point with a fraction of zero, as spreadsheets write it, and without.
    table["point"] = table["point"].str.replace(r"^0*(\d+)(?:\.0*)?$", r"\1", regex=True)
    named = table["interpreter"]
    if form.interpreter is None:
        return Answers(table, tuple(dict.fromkeys(named)), hashes)
    unvisited = (named == "") & (table["answer"] == "")  # of a project that is not finished
    table, named = table[~unvisited].reset_index(drop=True), named[~unvisited].reset_index(drop=True)
    if not len(table):
        raise InputError(f"{files[0]}: nobody has answered yet")
    if (named == "").any():
        [first, *_] = table.loc[named == "", "source"]
        raise InputError(f"{first}: {form.interpreter} is empty; each answer needs its interpreter's name")
    table["interpreter"] = named.groupby(named.map(_same)).transform("first")
    return Answers(table, tuple(sorted(set(table["interpreter"]), key=_same)), hashes)


def _same(name: str) -> str:
    """What spellings of one name have in common."""
    return " ".join(name.split()).casefold()


def _names_of(files: Sequence[Address]) -> list[str]:
    """A name for the interpreter of each file, the shortest that tells them apart."""
    stems = [file.stem for file in files]
    folders = [f"{file.absolute().parent.name}/{file.stem}" for file in files]
    for names in (stems, folders):
        if len(set(map(_same, names))) == len(files):
            return names
    return [str(file) for file in files]


def _read(file: Address) -> bytes:
    try:
        content = read_bytes(file)
    except OSError as error:
        raise InputError(f"{file}: cannot be read ({error.strerror or error})") from error
    if content is None:
        raise InputError(f"{file}: cannot be read (there is no such file)")
    return content


def _hashes(files: Sequence[Address], read: Sequence[bytes]) -> dict[str, str]:
    hashes: dict[str, str] = {}
    for file, content in zip(files, read, strict=True):
        digest = hashlib.sha256(content).hexdigest()
        if digest in hashes.values():
            twin = next(name for name, known in hashes.items() if known == digest)
            raise InputError(f"{file}: is the same as {twin}; an interpreter's answers count once")
        hashes[str(file)] = digest
    return hashes


def _rows(file: Address, read: bytes, name: str | None, form: Form) -> pd.DataFrame:
    """The answers of one file, see ``Answers.table``; of its interpreter's name, or of columns' if that is None."""
    content, shapes = _content(file, read)
    if not len(content):
        raise InputError(f"{file}: holds no points")
    number = _column(file, form.id, content) or form.id
    for column in (number, *form.answers, *([form.interpreter] if form.interpreter else [])):
        if column not in content:
            raise InputError(f"{file}: has no column {column!r}; there are {', '.join(map(str, content.columns))}")
    content = content.copy()
    for column in {number, *form.answers, *([form.interpreter] if form.interpreter else [])}:
        content[column] = [word or "" for word in texts(file, column, content[column])]
    lon, lat = _coordinates(file, form, content, shapes)
    parts = [
        pd.DataFrame(
            {
                "point": content[number],
                "interpreter": content[form.interpreter] if form.interpreter else name or column,
                "answer": content[column],
                "lon": lon,
                "lat": lat,
                "source": f"{file}: " + content.index,
            }
        )
        for column in form.answers
    ]
    return pd.concat(parts, ignore_index=True)


def _column(file: Address, name: str, content: pd.DataFrame) -> str | None:
    """A column whatever its case, since tools change it; None if there is none.

    Raises:
        InputError: If several differ by case alone, and none is written as asked for.
    """
    if name in content:
        return name
    alike = [column for column in content.columns if column.casefold() == name.casefold()]
    if len(alike) > 1:
        raise InputError(f"{file}: columns {', '.join(alike)} differ by capitals alone; name one of them, not {name}")
    return alike[0] if alike else None


def _content(file: Address, read: bytes) -> tuple[pd.DataFrame, gpd.GeoSeries | None]:
    """Columns of a file, an index that names each row or feature, and its shapes if it has any."""
    if file.suffix.lower() in TABLES:
        return csv_table(file, read), None
    features = _features(file, read)
    features.index = pd.Index([f"feature {number}" for number in range(1, len(features) + 1)])
    bare = features.index[without_geometry(features)]
    if len(bare):
        raise InputError(f"{file}: {bare[0]} has no geometry, as have {len(bare)} features; answers need their place")
    return pd.DataFrame(features.drop(columns=features.geometry.name)), features.geometry


def _features(file: Address, read: bytes) -> gpd.GeoDataFrame:
    if not is_cloud(file):
        return read_features(file, "points")
    with tempfile.TemporaryDirectory(prefix="stook-") as folder:
        copy = Path(folder) / file.name
        copy.write_bytes(read)
        return read_features(file, "points", copy)


def _coordinates(
    file: Address, form: Form, content: pd.DataFrame, shapes: gpd.GeoSeries | None
) -> tuple[pd.Series, pd.Series]:
    """Longitude and latitude of each row, NaN where one is missing: of the columns, else of the points."""
    columns = [_column(file, name, content) for name in (form.longitude, form.latitude)]
    if None not in columns:
        degrees = []
        for column in columns:
            words = pd.Series(texts(file, str(column), content[column]), content.index, object)
            numbers = pd.to_numeric(words, errors="coerce")
            odd = words.notna() & ~np.isfinite(numbers)
            if odd.any():
                where = odd.idxmax()
                raise InputError(f"{file}: {where}: {column} is {words[where]!r}, no degrees")
            degrees.append(numbers)
        both = degrees[0].notna() & degrees[1].notna()
        return degrees[0].where(both), degrees[1].where(both)
    if shapes is not None and (shapely.get_num_geometries(shapes.to_numpy()) == 1).all():
        points = gpd.GeoSeries(shapely.get_geometry(shapes.to_numpy(), 0), index=shapes.index)  # of MultiPoints too
        if (points.geom_type == "Point").all():
            return points.x, points.y
    nowhere = pd.Series(np.nan, index=content.index)
    return nowhere, nowhere
