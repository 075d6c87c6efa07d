"""``stook agreement``: how far interpreters agree at points of any origin."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from stook.models.errors import InputError
from stook.pipelines.figures.configuration import AnswersSection
from stook.pipelines.figures.estimate import refusal
from stook.pipelines.figures.printing import print_pairs
from stook.transforms.ground.geodesy import WGS84
from stook.transforms.sampling.answer_files import Form, read_answers
from stook.transforms.sampling.interpretation import MOVED_M, Interpretation, crossed, placed_answers, valued
from stook.transforms.sampling.settling import Settled, settled
from stook.transforms.store import Address

SHOWN = 20  # points of disagreement


def run_agreement(answers: Sequence[Address], column: Sequence[str], id_column: str) -> Settled:
    """Print kappa, the points of disagreement, and why no hectares follow.

    Args:
        answers: Interpreters' files.
        column: Columns with answers; several are several interpreters, else each file is one.
        id_column: Column with the point's number or name.

    Raises:
        InputError: If the files cannot be read, there is one interpreter alone, no two share a point, or a number is of
            several places.
    """
    section = AnswersSection()
    form = Form(id_column, tuple(column), None, section.longitude, section.latitude, tuple(section.unanswered), {})
    read = read_answers(answers, form)
    if len(read.interpreters) < 2:
        raise InputError(
            f"{answers[0]}: holds the answers of one interpreter; give --column twice, or a file of each interpreter"
        )
    require_one_place_each(read.table)
    classes = words_of(read.table["answer"], form)
    points = pd.unique(read.table["point"])
    table = read.table.assign(value=valued(read.table, form, classes))
    values, repeated = crossed(table, read.interpreters, pd.Series(np.arange(len(points)), index=points))
    found = settled(Interpretation(read.interpreters, values, (), read.files), "leave_out", classes)
    if not any(pair.points for pair in found.pairs):
        raise InputError(
            f"{', '.join(str(file) for file in answers)}: no point ({id_column}) was answered by two interpreters; how "
            "far they agree cannot be told"
        )
    print(f"{len(points)} points, classes: {', '.join(classes)}.")
    if repeated:
        print(f"Note: {repeated} points were answered twice by one interpreter, the same both times.")
    print_pairs(found.pairs)
    places = pd.DataFrame({"point": points, "lon": np.nan, "lat": np.nan})
    _print_disagreements(found.disagreements(places, classes).drop(columns=["lon", "lat", "holds"]), len(points))
    print(refusal(", ".join(str(file) for file in answers)))
    return found


def require_one_place_each(table: pd.DataFrame) -> None:
    """Refuse points of one number that lie apart: they are different points.

    Raises:
        InputError: If there are such, or coordinates are no degrees; what came without coordinates is not checked.
    """
    placed = placed_answers(table)
    first = placed.groupby("point")[["lon", "lat", "source"]].transform("first")
    lon, lat = (np.stack([first[axis], placed[axis]]) for axis in ("lon", "lat"))
    metres = WGS84.inv(lon[0], lat[0], lon[1], lat[1])[2]
    apart = np.flatnonzero(metres > MOVED_M)
    if len(apart):
        row = placed.iloc[apart[0]]
        raise InputError(
            f"{row['source']}: point {row['point']} is {metres[apart[0]]:,.0f} m from where it is in "
            f"{first['source'].iloc[apart[0]]}, as are {placed['point'].iloc[apart].nunique()} points in all; answers "
            "of different places do not compare"
        )


def words_of(answers: pd.Series, form: Form) -> tuple[str, ...]:
    """The classes that interpreters name, in order of the alphabet; words that differ by capitals are one.

    Raises:
        InputError: If there is none.
    """
    nothing = {"", *(word.strip().lower() for word in form.unanswered)}
    named: dict[str, str] = {}
    for word in sorted(answers):
        if word.lower() not in nothing:
            named.setdefault(word.lower(), word)
    if not named:
        raise InputError(f"{', '.join(form.answers)}: holds no answers")
    return tuple(named[word] for word in sorted(named))


def _print_disagreements(table: pd.DataFrame, points: int) -> None:
    print(f"They disagree on {len(table)} of {points} points{':' if len(table) else '.'}")
    for row in table.head(SHOWN).to_dict("records"):
        point = row.pop("point")
        said = ", ".join(f"{str(name).removeprefix('answer of ')}: {word or 'no answer'}" for name, word in row.items())
        print(f"  point {point}: {said}")
    if len(table) > SHOWN:
        print(f"  and {len(table) - SHOWN} more")
