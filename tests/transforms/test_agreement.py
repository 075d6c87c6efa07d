"""Agreement of interpreters, and points that no hectares can be made of."""

import numpy as np
import pytest

from models.errors import InputError
from tests.evidence import tigray
from transforms.estimators.agreement import UNRESOLVED, accuracy_at_points, agreement, design_for_areas, resolved
from transforms.estimators.design import Design, Stratum

CLASSES = ("Non-crop", "Crop")
FIRST, SECOND = np.array([0, 0, 1, 1, 1]), np.array([0, 1, 1, 1, 0])


def answers(counts: list[list[int]]) -> tuple[np.ndarray, np.ndarray]:
    """Answers of two interpreters with these counts."""
    table = np.array(counts)
    first, second = (np.repeat(axis.ravel(), table.ravel()) for axis in np.indices(table.shape))
    return first, second


def test_kappa_and_its_error_are_those_of_the_example_of_fleiss_cohen_and_everitt() -> None:
    found = agreement(*answers([[106, 10, 4], [22, 28, 10], [2, 12, 6]]), ("a", "b", "c"))
    assert found.observed == pytest.approx(0.70)
    assert found.expected == pytest.approx(0.475)
    assert round(found.kappa.value, 3) == 0.429
    assert found.kappa.standard_error**2 == pytest.approx(0.002885, abs=5e-7)
    assert len(found.disagreeing) == 60 and found.kappa.warning == ""


def test_the_error_of_kappa_is_what_drawing_anew_gives() -> None:
    counts = np.array([[60, 10], [15, 115]])
    found = agreement(*answers(counts.tolist()), CLASSES)
    drawn = np.random.default_rng(0).multinomial(200, counts.ravel() / 200, size=4000)
    kappas = [agreement(*answers(one.reshape(2, 2).tolist()), CLASSES).kappa.value for one in drawn]
    assert np.std(kappas) == pytest.approx(found.kappa.standard_error, rel=0.06)


def test_full_agreement_is_one_and_one_class_alone_says_nothing() -> None:
    both = np.array([0, 1, 1, 0])
    assert agreement(both, both, CLASSES).kappa.value == 1
    alone = agreement(np.zeros(4, int), np.zeros(4, int), CLASSES)
    assert alone.observed == 1 and np.isnan(alone.kappa.value)
    assert "one class alone" in alone.kappa.warning


def test_disagreeing_points_are_named_and_resolved_by_a_stated_rule() -> None:
    assert agreement(FIRST, SECOND, CLASSES).disagreeing.tolist() == [1, 4]
    assert resolved(FIRST, SECOND, "first").classes.tolist() == FIRST.tolist()
    assert resolved(FIRST, SECOND, "second").classes.tolist() == SECOND.tolist()
    left_out = resolved(FIRST, SECOND, "leave_out")
    assert left_out.classes.tolist() == [0, UNRESOLVED, 1, 1, UNRESOLVED]
    assert left_out.rule == "points on which the interpreters disagree are left out"
    third = resolved(FIRST, SECOND, "third", np.array([-1, 1, -1, -1, 1]))
    assert third.classes.tolist() == [0, 1, 1, 1, 1]


def test_unusable_answers_are_refused() -> None:
    with pytest.raises(InputError, match="third interpreter: an answer is needed at all 2 disagreeing points"):
        resolved(FIRST, SECOND, "third", np.full(5, -1))
    with pytest.raises(InputError, match="rule: 'toss'; allowed are leave_out, first, second, third"):
        resolved(FIRST, SECOND, "toss")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="first interpreter: 5 answers, second interpreter: 4"):
        agreement(FIRST, SECOND[:4], CLASSES)
    with pytest.raises(InputError, match="second interpreter: a class from 0 to 2; allowed are 0 to 1"):
        agreement(FIRST, FIRST * 2, CLASSES)


def test_accuracy_at_points_is_told_as_of_the_points_alone() -> None:
    table = accuracy_at_points(FIRST, SECOND, CLASSES).set_index(["figure", "class"])
    assert table.loc[("overall_accuracy", ""), "share"] == pytest.approx(3 / 5)
    assert table.loc[("users_accuracy", "Crop"), "share"] == pytest.approx(2 / 3)
    assert table.loc[("producers_accuracy", "Non-crop"), "share"] == pytest.approx(1 / 2)
    assert table["method"].str.contains("inclusion probabilities are unknown").all()
    empty = accuracy_at_points(np.zeros(3, int), np.zeros(3, int), CLASSES).set_index(["figure", "class"])
    assert np.isnan(empty.loc[("users_accuracy", "Crop"), "share"])


def test_hectares_are_refused_without_a_design() -> None:
    with pytest.raises(InputError, match="points.csv: the inclusion probabilities of its points are unknown.*refused"):
        design_for_areas("points.csv", None)
    design = Design((Stratum("all", 10.0),), np.zeros(2, int))
    assert design_for_areas("points.csv", design) is design


@pytest.mark.shared
def test_tigray_yields_agreement_and_never_hectares() -> None:
    found = tigray.agreed(2020)
    assert found.counts.sum() == 200
    assert found.disagreeing.tolist() == tigray.agreed(2021).disagreeing.tolist()
    assert len(found.disagreeing) == 1
    assert found.kappa.value > 0.95 and "too short" in found.kappa.warning
    with pytest.raises(InputError, match="Tigray_change_reference_2020_2021.csv: .* hectares are refused"):
        design_for_areas(tigray.POINTS.name, None)
