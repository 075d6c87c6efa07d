"""The dictionary knows every column, or the report is not written."""

import pandas as pd
import pytest

from stook.transforms.reporting.columns import (
    AREAS,
    ESTIMATES,
    MEANINGS,
    OBSERVATIONS,
    REVISIONS,
    SERIES,
    dictionary,
    kind,
)
from stook.transforms.sampling.estimates import COLUMNS


def test_a_column_without_a_meaning_stops_the_report() -> None:
    table = pd.DataFrame({"level": ["unit"], "invented": [1]})
    with pytest.raises(KeyError, match="invented"):
        dictionary({"areas": table})


def test_every_column_of_estimates_is_told() -> None:
    assert ESTIMATES.keys() >= COLUMNS.keys()


@pytest.mark.parametrize("columns", [AREAS, ESTIMATES, OBSERVATIONS, REVISIONS, SERIES])
def test_meanings_and_sources_are_never_empty(columns: dict) -> None:
    assert all(column.meaning and column.source for column in columns.values())


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ([True, False], "yes or no"),
        ([1, 2], "whole number"),
        (pd.array([1, None], "Int64"), "whole number"),
        ([0.5, None], "decimal number"),
        (["a", ""], "text"),
        ([None, None], "text"),
    ],
)
def test_kinds_are_told_in_words(values: list, told: str) -> None:
    assert kind(pd.Series(values)) == told


def test_files_of_a_report_have_meanings() -> None:
    assert set(MEANINGS) == {"areas", "estimates", "sdmx/data"}
