"""Several interpreters' answers made one, and how that is told."""

import numpy as np
import pandas as pd
import pytest

from stook.transforms.sampling.interpretation import Interpretation
from stook.transforms.sampling.settling import settled

CLASSES = ("other", "cropland")
POINTS = pd.DataFrame({"point": [1, 2, 3, 4], "lon": [36.0, 36.1, 36.2, 36.3], "lat": [9.0, 9.1, 9.2, 9.3]})
NOBODY = np.nan


def interpretation(*answers: list[float]) -> Interpretation:
    return Interpretation(("ann", "bo", "cy")[: len(answers)], np.array(answers), (), {"a.csv": "0" * 64})


def test_disagreements_are_listed_with_everyones_answer_and_what_holds() -> None:
    found = settled(interpretation([0, 1, NOBODY, NOBODY], [1, 1, 0, NOBODY]), "leave_out", CLASSES)
    table = found.disagreements(POINTS, CLASSES)
    assert table.to_dict("records") == [
        {"point": 1, "lon": 36.0, "lat": 9.0, "answer of ann": "other", "answer of bo": "cropland", "holds": ""}
    ]
    told = found.as_json()
    assert (told["unanswered"], told["disagreeing"], told["unresolved"], told["points"]) == (1, 1, 1, 4)
    [pair] = told["agreement"]
    assert pair["points"] == 2 and pair["observed"] == 0.5 and told["kappa"] == pair["kappa"] == 0.0


def test_three_interpreters_have_three_kappas_and_no_single_one() -> None:
    found = settled(interpretation([0, 1, 0, 1], [0, 1, 1, 1], [1, 1, 1, 0]), "majority", CLASSES)
    assert [(pair.first, pair.second) for pair in found.pairs] == [("ann", "bo"), ("ann", "cy"), ("bo", "cy")]
    told = found.as_json()
    assert told["kappa"] is None and len(told["agreement"]) == 3
    assert found.resolved.values.tolist() == [0, 1, 1, 1]


def test_interpreters_who_share_no_point_have_no_kappa() -> None:
    found = settled(interpretation([0, 1, NOBODY, NOBODY], [NOBODY, NOBODY, 0, 1]), "leave_out", CLASSES)
    assert found.as_json()["kappa"] is None and found.as_json()["agreement"][0]["observed"] is None
    assert found.resolved.values.tolist() == [0, 1, 0, 1]


def test_one_class_alone_has_no_kappa_that_json_could_hold() -> None:
    found = settled(interpretation([0, 0, 0, 0], [0, 0, 0, 0]), "leave_out", CLASSES)
    assert found.as_json()["kappa"] is None and "one class alone" in found.as_json()["agreement"][0]["warning"]


def test_shares_of_a_cell_agree_where_they_are_near() -> None:
    found = settled(interpretation([0.1, 0.5, 0.3, NOBODY], [0.2, 0.9, 0.3, 0.4]), "first", None)
    assert found.resolved.values == pytest.approx([0.15, 0.5, 0.3, 0.4])
    [pair] = found.pairs
    assert pair.observed == pytest.approx(2 / 3) and pair.found is None
    [row] = found.disagreements(POINTS, None).to_dict("records")
    assert row["answer of bo"] == "90 %" and row["holds"] == "50 %"
