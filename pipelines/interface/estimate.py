"""``stook.estimate``: areas and accuracies with intervals, from a design and reference labels."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

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
    """Estimates from a stratified sample of any origin."""
    require_columns("design", design, ("stratum", "area_ha"), ("size",))
    require_columns("answers", answers, ("stratum", "reference"), ("map",))
    names, stratum = words("design: stratum", design["stratum"]).tolist(), words("answers: stratum", answers["stratum"])
    areas = numbers("design: area_ha", design["area_ha"])
    sizes = numbers("design: size", design["size"]) if "size" in design else pd.Series([float("nan")] * len(names))
    strata = tuple(
        Stratum(name, area, None if pd.isna(size) else whole("design: size", size, 1, MOST_UNITS))
        for name, area, size in zip(names, areas, map(as_whole, sizes), strict=True)
    )
    if strangers := sorted(set(stratum) - set(names)):
        raise InputError(f"answers: stratum {strangers[0]!r} is not in the design, which has {', '.join(names)}")
    reference = words("answers: reference", answers["reference"])
    mapped = words("answers: map", answers["map"]) if "map" in answers else stratum
    found = set(mapped.dropna()) | set(reference)
    if len({name.casefold() for name in found}) < len(found):
        alike = sorted(found, key=lambda name: (name.casefold(), name))
        pair = next(two for two in zip(alike, alike[1:], strict=False) if two[0].casefold() == two[1].casefold())
        raise InputError(f"answers: classes {pair[0]!r} and {pair[1]!r} differ by capitals alone; write them alike")
    classes = [name for name in names if name in found] + sorted(found - set(names))
    number_of = {name: number for number, name in enumerate(classes)}
    return assessed(
        Design(strata, stratum.map({name: number for number, name in enumerate(names)}).to_numpy(int)),
        mapped.map(number_of).fillna(NOT_MAPPED).to_numpy(int),
        reference.map(number_of).to_numpy(int),
        classes,
    ).table()


def require_columns(name: str, table: pd.DataFrame, needed: Sequence[str], possible: Sequence[str]) -> None:
    """Raise InputError for a column that is missing or there twice, or an empty field of one that is needed."""
    for column in needed:
        if column not in table:
            raise InputError(f"{name}: has no column {column!r}; {' and '.join(needed)} are needed")
    for column in (*needed, *possible):
        if list(table.columns).count(column) > 1:
            raise InputError(f"{name}: has {column!r} more than once")
    for column in needed:
        if table[column].isna().any():
            raise InputError(f"{name}: {column} is empty in row {table.index[table[column].isna()][0]}")


def words(name: str, values: pd.Series) -> pd.Series:
    """Names as text: whole numbers are the same whether a gap elsewhere made them 1.0 or not; gaps stay.

    Raises:
        InputError: If one is a fraction, is empty text or has blanks at its ends.
    """
    found = pd.Series([None if pd.isna(value) else as_whole(value) for value in values], values.index, object)
    for row, value in found.dropna().items():
        if isinstance(value, float) or str(value) != str(value).strip() or not str(value):
            raise InputError(
                f"{name}: {value!r} in row {row}; allowed are words without blanks at their ends, or codes"
            )
    return found.map(str, na_action="ignore")


def as_whole(value: Any) -> Any:
    """A float that is a whole number as int; anything else as it is."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def numbers(name: str, values: pd.Series) -> pd.Series:
    """Numbers as float64; raises InputError for anything else."""
    try:
        return pd.to_numeric(values).astype(float)
    except (ValueError, TypeError) as error:
        raise InputError(f"{name}: allowed are numbers ({error})") from error
