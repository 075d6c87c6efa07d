"""Agreement of interpreters, and points that no hectares can be made of."""

import numpy as np
import pytest

from stook.models.errors import InputError
from stook.transforms.estimators.agreement import accuracy_at_points, agreement, design_for_areas, resolved
from stook.transforms.estimators.design import Design, Stratum
from tests.evidence import tigray

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
    both = np.stack([FIRST, SECOND]).astype(float)
    assert resolved(both, "first").values.tolist() == FIRST.tolist()
    assert resolved(both, "second").values.tolist() == SECOND.tolist()
    left_out = resolved(both, "leave_out")
    np.testing.assert_array_equal(left_out.values, [0, np.nan, 1, 1, np.nan])
    assert left_out.disagreeing.tolist() == [1, 4]
    assert left_out.rule == "points on which the interpreters disagree are left out"


def test_a_third_interpreter_decides_where_the_first_two_disagree_and_there_alone() -> None:
    third = np.array([1, 1, 0, np.nan, np.nan])
    found = resolved(np.stack([FIRST, SECOND, third]), "third")
    np.testing.assert_array_equal(found.values, [0, 1, 1, 1, np.nan])
    assert found.disagreeing.tolist() == [1, 4]


def test_the_majority_is_more_than_half_of_those_who_answered() -> None:
    nobody = np.nan
    answers = np.array([[0, 0, 0, nobody, nobody], [0, 1, 1, 1, nobody], [1, 1, nobody, nobody, nobody]], float)
    found = resolved(answers, "majority")
    np.testing.assert_array_equal(found.values, [0, 1, nobody, 1, nobody])
    assert found.disagreeing.tolist() == [0, 1, 2]
    np.testing.assert_array_equal(resolved(answers, "leave_out").values, [nobody, nobody, nobody, 1, nobody])
    # The one who is asked first did not answer there, and the others do not agree.
    answers[:, 0] = nobody, 0, 1
    assert np.isnan(resolved(answers, "first").values[0])


def test_one_answer_alone_holds_and_one_interpreter_needs_no_rule() -> None:
    both = np.array([[0, np.nan, np.nan], [np.nan, 1, np.nan]])
    np.testing.assert_array_equal(resolved(both, "leave_out").values, [0, 1, np.nan])
    alone = resolved(both[:1], "first")
    assert alone.rule == "one interpreter, whose answers hold"
    np.testing.assert_array_equal(alone.values, [0, np.nan, np.nan])


def test_shares_that_are_near_agree_on_their_mean() -> None:
    shares = np.array([[0.4, 0.4, 0.0], [0.5, 0.6, 1.0], [0.4, 0.5, 0.1]])
    found = resolved(shares, "leave_out", shares=True)
    np.testing.assert_allclose(found.values, [1.3 / 3, np.nan, np.nan])
    assert "within 10 percentage points" in found.rule and "left out" in found.rule
    median = resolved(shares, "majority", shares=True)
    np.testing.assert_allclose(median.values, [1.3 / 3, 0.5, 0.1])
    assert "median" in median.rule


def test_unusable_answers_are_refused() -> None:
    both = np.stack([FIRST, SECOND]).astype(float)
    with pytest.raises(InputError, match="rule: 'third' needs 3 interpreters; there are 2"):
        resolved(both, "third")
    with pytest.raises(InputError, match="rule: 'second' needs 2 interpreters; there are 1"):
        resolved(both[:1], "second")
    with pytest.raises(InputError, match="rule: 'toss'; allowed are leave_out, majority, first, second, third"):
        resolved(both, "toss")  # type: ignore[arg-type]
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
