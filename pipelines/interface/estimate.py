"""``stook.estimate``: areas and accuracies with intervals, from a design and reference labels."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from stook.models.errors import InputError
from stook.pipelines.figures.configuration import SampleSection
from stook.pipelines.figures.estimate import settled_answers
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

Files = str | Path | Sequence[str | Path]


def estimate_figures(design: pd.DataFrame | str | Path, answers: pd.DataFrame | Files) -> pd.DataFrame:
    """See ``stook.estimate``."""
    if isinstance(design, pd.DataFrame):
        if not isinstance(answers, pd.DataFrame):
            raise InputError("answers: with a design that is a table, answers are a table too")
        return of_tables(design, answers)
    if isinstance(answers, pd.DataFrame):
        raise InputError("answers: with the folder of a sample, answers are the interpreters' files")
    files = [answers] if isinstance(answers, str | Path) else list(answers)
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
    require_columns("design", design, ("stratum", "area_ha"))
    require_columns("answers", answers, ("stratum", "reference"))
    names, stratum = design["stratum"].astype(str).tolist(), answers["stratum"].astype(str)
    sizes = design["size"].tolist() if "size" in design else [None] * len(names)
    strata = tuple(map(Stratum, names, design["area_ha"].astype(float), sizes))
    if strangers := sorted(set(stratum) - set(names)):
        raise InputError(f"answers: stratum {strangers[0]!r} is not in the design, which has {', '.join(names)}")
    reference = answers["reference"].astype(str)
    mapped = answers["map"].astype("string") if "map" in answers else stratum
    found = set(mapped.dropna()) | set(reference)
    classes = [name for name in names if name in found] + sorted(found - set(names))
    numbers = {name: number for number, name in enumerate(classes)}
    return assessed(
        Design(strata, stratum.map({name: number for number, name in enumerate(names)}).to_numpy(int)),
        mapped.map(numbers).fillna(NOT_MAPPED).to_numpy(int),
        reference.map(numbers).to_numpy(int),
        classes,
    ).table()


def require_columns(name: str, table: pd.DataFrame, columns: Sequence[str]) -> None:
    """Raise InputError for a column that is missing, or an empty field of one."""
    for column in columns:
        if column not in table:
            raise InputError(f"{name}: has no column {column!r}; {' and '.join(columns)} are needed")
        if table[column].isna().any():
            raise InputError(f"{name}: {column} is empty in row {table.index[table[column].isna()][0]}")
