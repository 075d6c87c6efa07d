"""Interpreters' files as they come: which column is what, who answered, where the point was."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd

from models.errors import InputError
from transforms.ground.polygons import read_vector

TABLES = (".csv", ".txt")


@dataclass(frozen=True)
class Form:
    """How interpreters' files are to be read.

    Attributes:
        id: Column with the point's number.
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
        table: A row per answer: ``point`` (text), ``interpreter``, ``answer`` (text, stripped), ``lon``, ``lat``
            (degrees, NaN where the file has none), ``source`` (file and row, for messages).
        interpreters: See ``transforms.sampling.interpretation.Interpretation``.
        files: See ``transforms.sampling.interpretation.Interpretation``.
    """

    table: pd.DataFrame
    interpreters: tuple[str, ...]
    files: Mapping[str, str]


def read_answers(files: Sequence[Path], form: Form) -> Answers:
    """The answers in files, as text.

    Raises:
        InputError: If a file cannot be read, lacks a column, or is another's copy; if nobody could tell interpreters.
    """
    if form.interpreter is not None and len(form.answers) > 1:
        raise InputError(
            f"sample.answers.interpreter: {form.interpreter!r} names the interpreter, so that answer has to be one "
            f"column, not {', '.join(form.answers)}"
        )
    hashes = _hashes(files)
    parts = [_rows(file, form, alone=len(files) == 1) for file in files]
    table = pd.concat(parts, ignore_index=True)
    if not len(table):
        raise InputError(f"{files[0]}: holds no points")
    names = table["interpreter"]
    order = tuple(sorted(set(names))) if form.interpreter is not None else tuple(dict.fromkeys(names))
    if "" in order:
        [first, *_] = table.loc[names == "", "source"]
        raise InputError(f"{first}: {form.interpreter} is empty; each answer needs its interpreter's name")
    return Answers(table, order, hashes)


def _hashes(files: Sequence[Path]) -> dict[str, str]:
    hashes: dict[str, str] = {}
    for file in files:
        try:
            digest = hashlib.sha256(file.read_bytes()).hexdigest()
        except OSError as error:
            raise InputError(f"{file}: cannot be read ({error.strerror or error})") from error
        if digest in hashes.values():
            twin = next(name for name, known in hashes.items() if known == digest)
            raise InputError(f"{file}: is the same as {twin}; an interpreter's answers count once")
        hashes[str(file)] = digest
    return hashes


def _rows(file: Path, form: Form, alone: bool) -> pd.DataFrame:
    """The answers of one file, see ``Answers.table``."""
    content, shapes = _content(file)
    for column in (form.id, *form.answers, *([form.interpreter] if form.interpreter else [])):
        if column not in content:
            raise InputError(f"{file}: has no column {column!r}; there are {', '.join(map(str, content.columns))}")
    lon, lat = _coordinates(file, form, content, shapes)
    parts = []
    for column in form.answers:
        if form.interpreter is not None:
            names = content[form.interpreter]
        else:
            by_column = alone or len(form.answers) > 1
            names = pd.Series(column if by_column else file.stem, index=content.index)
        rows = pd.Series(np.arange(len(content)) + 2, index=content.index).astype(str)  # the first row is the heading
        parts.append(
            pd.DataFrame(
                {
                    "point": content[form.id],
                    "interpreter": names,
                    "answer": content[column],
                    "lon": lon,
                    "lat": lat,
                    "source": f"{file}: row " + rows,
                }
            )
        )
    return pd.concat(parts, ignore_index=True)


def _content(file: Path) -> tuple[pd.DataFrame, gpd.GeoSeries | None]:
    """Columns of a file as stripped text, and its points if it has any."""
    if file.suffix.lower() not in TABLES:
        features = read_vector(file, "points")
        shapes, table = features.geometry, pd.DataFrame(features.drop(columns=features.geometry.name))
        return table.map(_text), shapes
    try:
        table = pd.read_csv(file, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        raise InputError(f"{file}: cannot be read as CSV ({error})") from error
    return table.map(_text), None


def _text(value: object) -> str:
    """A field as text: whole numbers without a point, nothing for what is missing."""
    if value is None or value is pd.NA or (isinstance(value, float) and np.isnan(value)):
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).strip()


def _coordinates(
    file: Path, form: Form, content: pd.DataFrame, shapes: gpd.GeoSeries | None
) -> tuple[pd.Series, pd.Series]:
    """Longitude and latitude of each row, NaN where there is none: of the columns, else of the points."""
    if form.longitude in content and form.latitude in content:
        degrees = []
        for column in (form.longitude, form.latitude):
            numbers = pd.to_numeric(content[column].replace("", np.nan), errors="coerce")
            odd = (content[column] != "") & ~np.isfinite(numbers)
            if odd.any():
                row = int(np.flatnonzero(odd)[0])
                raise InputError(f"{file}: row {row + 2}: {column} is {content[column].iloc[row]!r}, no degrees")
            degrees.append(numbers)
        return degrees[0], degrees[1]
    if shapes is not None and (shapes.geom_type == "Point").all():
        return shapes.x, shapes.y
    nowhere = pd.Series(np.nan, index=content.index)
    return nowhere, nowhere
