"""Interpreters' answers: words become classes or shares, checked against the points that they were asked about."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import shapely

from stook.models.errors import InputError
from stook.transforms.ground.geodesy import WGS84
from stook.transforms.sampling.answer_files import Form, read_answers
from stook.transforms.sampling.files import cells_of
from stook.transforms.store import Address

MOVED_M = 1.0  # what coordinates lose in files of five decimals; farther is another place
NAMED = 5  # points in a message
WHOLE = 100.0  # percent


@dataclass(frozen=True)
class Interpretation:
    """What interpreters said of points.

    Attributes:
        interpreters: Names, in order: of columns or files as given, of a column of names by the alphabet.
        answers: float64 [interpreter, point]: place of the class, or share of the cell 0…1; NaN where unanswered.
        notes: What was found that a reader has to know, in sentences.
        files: Name of each file -> SHA-256 of its bytes.
        unplaced: What came without coordinates and could therefore not be checked, one of the notes; empty if nothing.
    """

    interpreters: tuple[str, ...]
    answers: np.ndarray
    notes: tuple[str, ...]
    files: Mapping[str, str]
    unplaced: str = ""


def interpreted(
    files: Sequence[Address], form: Form, points: pd.DataFrame, classes: Sequence[str] | None, cell_m: float
) -> Interpretation:
    """The answers to a sample's points.

    Args:
        files: Of one or several interpreters: CSV, or what GDAL reads as features.
        form: How they are read.
        points: Those that were drawn: ``point``, ``lon``, ``lat``.
        classes: Names of the classes, or None where the answer is the percent of the cell that is covered.
        cell_m: Side of the map's cells: a place elsewhere in the cell that was drawn is the same ground to judge.

    Raises:
        InputError: If a file cannot be read, a word is of no class, a point was not drawn or is not in the cell that
            was drawn, or one interpreter gave one point two answers.
    """
    found = read_answers(files, form)
    table = found.table.assign(point=_numbers(found.table))
    _require_drawn(table, points)
    _require_unmoved(table, points, cell_m)
    table["value"] = valued(table, form, classes)
    positions = pd.Series(np.arange(len(points)), index=points["point"])
    answers, repeated = crossed(table, found.interpreters, positions)
    notes = [] if not repeated else [f"{repeated} points were answered twice by one interpreter, the same both times"]
    unplaced = _unplaced(table, form)
    if unplaced:
        notes.append(unplaced)
    return Interpretation(found.interpreters, answers, tuple(notes), found.files, unplaced)


def _unplaced(table: pd.DataFrame, form: Form) -> str:
    """What is told of answers without coordinates; empty if there are none."""
    count = int(table["lon"].isna().sum())
    if not count:
        return ""
    return (
        f"{count} answers came without coordinates ({form.longitude}, {form.latitude}): that they are of the points "
        "that were drawn was not checked beyond their numbers"
    )


def valued(table: pd.DataFrame, form: Form, classes: Sequence[str] | None) -> np.ndarray:
    """Answers as numbers, float64 [row]: see ``Interpretation.answers``.

    Raises:
        InputError: If an answer is of no class, or no percent; if a word is said to be an answer and none.
    """
    lowered = table["answer"].str.lower()
    silent = {"", *(word.strip().lower() for word in form.unanswered)}
    nothing = lowered.isin(silent)
    for name, words in form.words.items():
        for word in words:
            if word.strip().lower() in silent:
                raise InputError(f"sample.answers.words.{name}: {word!r} is one of sample.answers.unanswered too")
    for name in classes or ():
        if name.lower() in silent:
            raise InputError(f"sample.answers.unanswered: {name!r} is the name of a class")
    values = _percents(table, nothing) if classes is None else _classes(table, lowered, nothing, form.words, classes)
    return np.where(nothing, np.nan, values)


def crossed(table: pd.DataFrame, interpreters: Sequence[str], positions: pd.Series) -> tuple[np.ndarray, int]:
    """Answers by interpreter and point, and how many were given twice.

    Args:
        table: ``point``, ``interpreter``, ``value``, ``source``.
        interpreters: In order.
        positions: Point -> its place in the result.

    Returns:
        float64 [interpreter, point], NaN where there is none; the number of points that an interpreter answered twice.

    Raises:
        InputError: If the two answers differ.
    """
    keys = ["interpreter", "point"]
    # An answer beside none is two answers too: nobody knows which was meant last.
    kinds = table.assign(value=table["value"].fillna(-1)).groupby(keys)["value"].nunique()
    different = kinds[kinds > 1]
    if len(different):
        name, point = different.index[0]
        where = table.loc[(table["interpreter"] == name) & (table["point"] == point), "source"]
        raise InputError(
            f"{where.iloc[0]}: {name!r} answered point {point} twice and differently, as {len(different)} points in all"
            f" ({_listed([point for _, point in different.index])}); leave one answer of each"
        )
    once = table.drop_duplicates(keys)
    answers = np.full((len(interpreters), len(positions)), np.nan)
    rows = pd.Categorical(once["interpreter"], categories=list(interpreters)).codes
    answers[rows, positions.loc[once["point"]].to_numpy()] = once["value"]
    repeated = int(table.loc[table.duplicated(keys), "point"].nunique())
    return answers, repeated


def _numbers(table: pd.DataFrame) -> np.ndarray:
    """Points' numbers, int64 [row]."""
    numbers = pd.to_numeric(table["point"], errors="coerce").to_numpy(float)
    odd = np.flatnonzero(~(np.isfinite(numbers) & (numbers == np.floor(numbers))))
    if len(odd):
        row = table.iloc[odd[0]]
        raise InputError(f"{row['source']}: the point is {row['point']!r}, which is no number of a point")
    return numbers.astype(np.int64)


def _require_drawn(table: pd.DataFrame, points: pd.DataFrame) -> None:
    unknown = table[~table["point"].isin(points["point"])]
    if len(unknown):
        raise InputError(
            f"{unknown['source'].iloc[0]}: point {unknown['point'].iloc[0]} is none of the sample's, as are "
            f"{unknown['point'].nunique()} points in all ({_listed(unknown['point'])}); points of another origin go "
            "with --without-design"
        )


def placed_answers(table: pd.DataFrame) -> pd.DataFrame:
    """The answers that came with coordinates.

    Raises:
        InputError: If these are no degrees.
    """
    placed = table[table["lon"].notna()]
    wrong = placed[(placed["lon"].abs() > 180) | (placed["lat"].abs() > 90)]
    if len(wrong):
        raise InputError(f"{wrong['source'].iloc[0]}: coordinates have to be longitude and latitude in degrees")
    return placed


def _require_unmoved(table: pd.DataFrame, points: pd.DataFrame, cell_m: float) -> None:
    placed = placed_answers(table)
    drawn = points.set_index("point").loc[placed["point"]]
    lon, lat = placed["lon"].to_numpy(), placed["lat"].to_numpy()
    distance = WGS84.inv(drawn["lon"].to_numpy(), drawn["lat"].to_numpy(), lon, lat)[2]
    away = np.flatnonzero(distance > MOVED_M)
    # Who was given the cells themselves hands in their middles.
    moved = away[~shapely.contains_xy(cells_of(drawn.iloc[away], cell_m), lon[away], lat[away])]
    if len(moved):
        far = {placed["point"].iloc[row]: distance[row] for row in moved}
        told = ", ".join(f"{point} by {metres:,.0f} m" for point, metres in list(far.items())[:NAMED])
        raise InputError(
            f"{placed['source'].iloc[moved[0]]}: {len(far)} points are not where they were drawn ({told}"
            f"{', …' if len(far) > NAMED else ''}); answers hold for the ground that was drawn"
        )


def _classes(
    table: pd.DataFrame,
    lowered: pd.Series,
    nothing: pd.Series,
    words: Mapping[str, Sequence[str]],
    classes: Sequence[str],
) -> np.ndarray:
    """Place of each answer among the classes, float64 [row]."""
    odd = sorted(set(words) - set(classes))
    if odd:
        raise InputError(f"sample.answers.words.{odd[0]}: is no class of this map; allowed are {', '.join(classes)}")
    means: dict[str, int] = {}
    for place, name in enumerate(classes):
        for word in (name, *words.get(name, ())):
            taken = means.setdefault(word.strip().lower(), place)
            if taken != place:
                raise InputError(f"sample.answers.words.{name}: {word!r} already is a word for {classes[taken]}")
    values = lowered.map(means)
    unknown = np.flatnonzero(values.isna() & ~nothing)
    if len(unknown):
        row = table.iloc[unknown[0]]
        allowed = ", ".join(repr(word) for word in means)
        raise InputError(
            f"{row['source']}: {row['answer']!r} is no class, as are {len(unknown)} answers; allowed are {allowed} "
            "(sample.answers.words), and what unanswered lists"
        )
    return values.to_numpy(float)


def _percents(table: pd.DataFrame, nothing: pd.Series) -> np.ndarray:
    """Covered share of the cell, float64 [row], 0…1."""
    numbers = pd.to_numeric(table["answer"].str.removesuffix("%").str.strip(), errors="coerce").to_numpy(float)
    known = ~nothing.to_numpy()
    odd = np.flatnonzero(known & ~((numbers >= 0) & (numbers <= WHOLE)))
    if len(odd):
        row = table.iloc[odd[0]]
        raise InputError(
            f"{row['source']}: {row['answer']!r} is no percent, as are {len(odd)} answers; allowed are 0 to 100, the "
            "percent of the cell that is covered"
        )
    # Each by himself: shares of one are not to hide behind another's percents. A sign says that it is a percent.
    plain = table.assign(value=numbers)[known & ~table["answer"].str.endswith("%")]
    for name, given in plain.groupby("interpreter", sort=False):
        if given["value"].max() <= 1 and (given["value"] % 1 > 0).any():
            raise InputError(
                f"{given['source'].iloc[0]}: all answers of {name!r} lie between 0 and 1; they have to be percents, 0 "
                "to 100 (or '0.5 %')"
            )
    return numbers / WHOLE


def _listed(points: Sequence[object] | pd.Series) -> str:
    """The first few of some points."""
    different = list(dict.fromkeys(points))
    return ", ".join(map(str, different[:NAMED])) + (", …" if len(different) > NAMED else "")
