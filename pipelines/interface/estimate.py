"""``stook.estimate``: areas and accuracies with intervals, from a design and reference labels."""

import math
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd

from stook.models.errors import InputError
from stook.pipelines.figures.configuration import SampleSection
from stook.pipelines.figures.estimate import settled_answers
from stook.pipelines.interface.reading import whole
from stook.pipelines.interface.season import published_thresholds
from stook.pipelines.sections import checked
from stook.transforms.editions.edition import Edition
from stook.transforms.estimators.accuracy import assessed
from stook.transforms.estimators.design import Design, Stratum
from stook.transforms.estimators.error_matrix import NOT_MAPPED
from stook.transforms.ground.vector import texts
from stook.transforms.sampling.estimating import Settings, estimate_table
from stook.transforms.sampling.judged import Judged
from stook.transforms.sampling.map_figures import MapFigures
from stook.transforms.sampling.sample import Sample
from stook.transforms.store import Address, address_of

MOST_UNITS = 10**15  # in a stratum
Files = str | Path | Sequence[str | Path]


def estimate_figures(design: pd.DataFrame | str | Path, answers: pd.DataFrame | Files) -> pd.DataFrame:
    """See ``stook.estimate``."""
    if isinstance(design, pd.DataFrame):
        if not isinstance(answers, pd.DataFrame):
            raise InputError("answers: with a design that is a table, answers are a table too")
        return of_tables(design, answers)
    if isinstance(answers, pd.DataFrame):
        raise InputError("answers: with the folder of a sample, answers are the interpreters' files")
    if not isinstance(answers, str | Path | Sequence):
        raise InputError(f"answers: {type(answers).__name__}; allowed are the interpreters' files, or a table")
    files = [answers] if isinstance(answers, str | Path) else list(answers)
    if not files or not isinstance(design, str | Path) or not all(isinstance(file, str | Path) for file in files):
        raise InputError("design, answers: allowed are two tables, or the folder of a sample and its files of answers")
    return of_sample(address_of(str(design)), [address_of(str(file)) for file in files])


def of_sample(folder: Address, answers: Sequence[Address]) -> pd.DataFrame:
    """Estimates from a sample that ``stook sample`` drew, with the settings it was drawn with."""
    sample = Sample.read(folder)
    section = checked(sample.drawn.settings, SampleSection, where=f"{folder}: settings: ")
    edition = Edition(folder.parents[1] / sample.drawn.edition)
    figures = MapFigures.of(edition, sample.drawn.product, published_thresholds(edition))
    found = settled_answers(section, sample, answers)
    settings = Settings(section.estimator, section.fewest_points_per_unit)
    return estimate_table(Judged.by(sample, figures, found.resolved.values), settings, remarks=(found.unplaced,))


def of_tables(design: pd.DataFrame, answers: pd.DataFrame) -> pd.DataFrame:
    """Estimates from a stratified sample of any origin; names are read as those of files are."""
    require_columns("design", design, ("stratum", "area_ha"), ("size",))
    require_columns("answers", answers, ("stratum", "reference"), ("map",))
    names, stratum = words("design", design, "stratum"), words("answers", answers, "stratum")
    areas = numbers("design: area_ha", design["area_ha"])
    sizes = numbers("design: size", design["size"]) if "size" in design else [math.nan] * len(names)
    strata = tuple(
        Stratum(name, area, None if math.isnan(size) else whole("design: size", unfloated(size), 1, MOST_UNITS))
        for name, area, size in zip(names, areas, sizes, strict=True)
    )
    if strangers := sorted(set(stratum) - set(names)):
        raise InputError(f"answers: stratum {strangers[0]!r} is not in the design, which has {', '.join(names)}")
    reference = words("answers", answers, "reference")
    mapped = texts("answers", "map", answers["map"]) if "map" in answers else stratum
    there = {name for name in (*mapped, *reference) if name is not None}
    for one, other in pairwise(sorted(there, key=lambda name: (name.casefold(), name))):
        if one.casefold() == other.casefold():
            raise InputError(f"answers: classes {one!r} and {other!r} differ by capitals alone; write them alike")
    classes = [name for name in names if name in there] + sorted(there - set(names))
    return assessed(
        Design(strata, np.array([names.index(name) for name in stratum])),
        np.array([NOT_MAPPED if name is None else classes.index(name) for name in mapped]),
        np.array([classes.index(name) for name in reference]),
        classes,
    ).table()


def require_columns(name: str, table: pd.DataFrame, needed: Sequence[str], possible: Sequence[str]) -> None:
    """Raise InputError for a column that is missing or there twice."""
    for column in needed:
        if column not in table:
            raise InputError(f"{name}: has no column {column!r}; {' and '.join(needed)} are needed")
    for column in (*needed, *possible):
        if list(table.columns).count(column) > 1:
            raise InputError(f"{name}: has {column!r} more than once")


def words(name: str, table: pd.DataFrame, column: str) -> list[str]:
    """Names in a column as text; raises InputError if one is empty or no exact text."""
    fields = texts(name, column, table[column])
    if None in fields:
        raise InputError(f"{name}: {column} is empty in row {table.index[fields.index(None)]}")
    return [field for field in fields if field is not None]


def unfloated(number: float) -> int | float:
    """A float that is a whole number as int."""
    return int(number) if number.is_integer() else number


def numbers(name: str, values: pd.Series) -> list[float]:
    """Numbers as floats; raises InputError for anything else."""
    try:
        return [float(value) for value in pd.to_numeric(values)]
    except (ValueError, TypeError) as error:
        raise InputError(f"{name}: allowed are numbers ({error})") from error
