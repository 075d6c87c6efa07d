"""Design-based estimates: published examples, small ones by hand, and what has to hold for any sample."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import beta, binom

from stook.models.errors import InputError
from stook.transforms.estimators.accuracy import Assessment, assessed, indicator, stratified
from stook.transforms.estimators.change import changed
from stook.transforms.estimators.design import Design, Stratum
from stook.transforms.estimators.domain import domain_area
from stook.transforms.estimators.error_matrix import NOT_MAPPED
from stook.transforms.estimators.interval import REACH, Estimate, proportion
from stook.transforms.estimators.shares import MappedRange, difference, domain_difference, regression, stringer
from tests.evidence import olofsson

NAMES = ("deforestation", "forest gain", "stable forest", "stable non-forest")


def figures(found: Assessment) -> np.ndarray:
    """Value, error and ends of every figure, float [figure, 4]."""
    table = found.table()
    return table[["value", "standard_error", "low", "high"]].to_numpy()


def halves(first: np.ndarray, second: np.ndarray, sizes: tuple[int | None, int | None] = (None, None)) -> Design:
    """Two strata of 60 and 40 hectares, with as many points as the arrays have."""
    strata = (Stratum("west", 60.0, sizes[0]), Stratum("east", 40.0, sizes[1]))
    return Design(strata, np.repeat([0, 1], [len(first), len(second)]))


# Published examples


def test_the_example_of_olofsson_has_its_published_areas() -> None:
    areas = olofsson.example().areas
    assert tuple(areas) == NAMES
    assert [round(area.value) for area in areas.values()] == [21_158, 11_686, 285_770, 581_386]
    assert [round(area.margin) for area in areas.values()] == [6_158, 3_756, 15_510, 16_282]
    deforestation = areas["deforestation"]
    assert deforestation.high - deforestation.value == pytest.approx(deforestation.margin)


def test_the_example_of_olofsson_has_its_published_accuracies() -> None:
    found = olofsson.example()
    assert round(found.overall.value, 3) == 0.947
    assert round(found.overall.margin, 2) == 0.02
    assert [round(found.users[name].value, 2) for name in NAMES] == [0.88, 0.73, 0.93, 0.96]
    assert [round(found.users[name].margin, 2) for name in NAMES] == [0.07, 0.10, 0.04, 0.02]
    assert [round(found.producers[name].value, 2) for name in NAMES] == [0.75, 0.85, 0.93, 0.96]


def test_producers_accuracies_of_the_example_have_the_margins_of_equation_7() -> None:
    # Pixels and points, written out; not read in the paper, whose last digits of these four may be rounded otherwise.
    pixels, counts = np.array(list(olofsson.PIXELS.values())), olofsson.COUNTS
    points = counts.sum(axis=1)
    found = olofsson.example()
    for j, name in enumerate(NAMES):
        users, producers = counts[j, j] / points[j], found.producers[name].value
        own = pixels[j] ** 2 * (1 - producers) ** 2 * users * (1 - users) / (points[j] - 1)
        shares = counts[:, j] / points
        hidden = [pixels[i] ** 2 * shares[i] * (1 - shares[i]) / (points[i] - 1) for i in range(4) if i != j]
        error = np.sqrt(own + producers**2 * sum(hidden)) / (pixels @ shares)
        assert found.producers[name].standard_error == pytest.approx(error)
    assert [round(found.producers[name].margin, 2) for name in NAMES] == [0.21, 0.25, 0.03, 0.02]


def test_a_class_that_a_few_points_carry_is_published_with_another_interval_and_a_warning() -> None:
    area = olofsson.example("chosen").areas["deforestation"]
    assert area.value == olofsson.example().areas["deforestation"].value
    assert "MOVER" in area.method and "Olofsson" in area.method
    assert area.warning == (
        "few points are of the rarer kind: 1 of 165 points in 'stable forest', 2 of 325 points in 'stable non-forest'"
    )
    # Three points of much ground: there may be far more, hardly less.
    assert area.high - area.value > area.margin > area.value - area.low
    stable = olofsson.example("chosen").areas["stable forest"]
    assert stable.warning == ""


def test_many_points_are_published_with_the_normal_interval() -> None:
    design = Design((Stratum("all", 1.0),), np.zeros(400, int))
    share = proportion(design, np.arange(400) < 150, "by hand")
    assert share.warning == "" and share.method == "by hand; normal interval ± 1.96 standard errors"
    assert share.high - share.value == pytest.approx(share.margin)


def stehman() -> Assessment:
    """The numerical example of Stehman 2014: four strata that are not the map's classes."""
    mapped, reference = (
        np.array(["ABCD".index(letter) for letter in letters])
        for letters in ("AAAAAAABBBABBBBBBBBBBBCCCCCCBBDDDDDDDDDD", "AAAAACBABCABBBBBAABBCCCCCDDBBADDDDDDDCCB")
    )
    strata = tuple(Stratum(str(n), size, int(size)) for n, size in enumerate((40e3, 30e3, 20e3, 10e3)))
    return assessed(Design(strata, np.repeat(np.arange(4), 10)), mapped, reference, "ABCD", "normal")


def test_the_example_of_stehman_has_its_published_figures() -> None:
    found = stehman()
    shares = [found.areas[name].value / 100e3 for name in "ABCD"]
    assert shares == pytest.approx([0.35, 0.34, 0.20, 0.11])
    assert found.overall.value == pytest.approx(0.63)
    assert round(found.users["B"].value, 3) == 0.574
    assert round(found.producers["B"].value, 3) == 0.794
    assert found.matrix[1, 2] == pytest.approx(0.08)
    assert round(found.areas["A"].standard_error / 100e3, 3) == 0.082
    assert round(found.areas["C"].standard_error / 100e3, 3) == 0.064
    assert round(found.overall.standard_error, 3) == 0.085
    assert round(found.users["B"].standard_error, 3) == 0.125
    assert round(found.producers["B"].standard_error, 3) == 0.117
    assert "Stehman" in found.overall.method


# By hand


def test_the_share_of_two_strata_by_hand() -> None:
    # West 3 of 4, east 1 of 5: 0.6 · 0.75 + 0.4 · 0.2; variances 0.36 · (3/16) / 3 + 0.16 · (4/25) / 4.
    west, east = np.array([1, 1, 1, 0], bool), np.array([1, 0, 0, 0, 0], bool)
    share = proportion(halves(west, east), np.concatenate([west, east]), "by hand", "normal")
    assert share.value == pytest.approx(0.53)
    assert share.standard_error == pytest.approx(np.sqrt(0.0225 + 0.0064))


def test_drawing_half_of_a_stratum_halves_its_variance() -> None:
    west, east = np.array([1, 1, 1, 0], bool), np.array([1, 0, 0, 0, 0], bool)
    share = proportion(halves(west, east, (8, None)), np.concatenate([west, east]), "by hand", "normal")
    assert share.standard_error == pytest.approx(np.sqrt(0.0225 / 2 + 0.0064))


def test_the_difference_estimator_by_hand() -> None:
    # The map is too low by 0.1 and 0.3 in the west and right in the east, and says 0.25 on the whole.
    mapped, reference = np.array([0.2, 0.4, 0.5, 0.5]), np.array([0.3, 0.7, 0.5, 0.5])
    found = difference(halves(mapped[:2], mapped[2:]), 0.25, mapped, reference)
    assert found.value == pytest.approx(0.25 + 0.6 * 0.2)
    assert found.standard_error == pytest.approx(0.6 * np.sqrt(0.02 / 2))
    assert "few points tell how the map errs: 2 of 2 points in 'west', 0 of 2 points in 'east'" in found.warning
    assert found.times(100.0).value == pytest.approx(37.0)


def test_the_regression_estimator_corrects_a_map_that_is_too_low_throughout() -> None:
    random = np.random.default_rng(0)
    truth = random.beta(1, 4, 120)
    mapped = 0.5 * truth
    found = regression(halves(mapped[:60], mapped[60:]), 0.11, mapped, truth)
    assert found.value == pytest.approx(0.22)
    assert found.standard_error == pytest.approx(0, abs=1e-9)
    assert difference(halves(mapped[:60], mapped[60:]), 0.11, mapped, truth).standard_error > 0.003


def test_the_bound_of_auditors_is_that_of_clopper_and_pearson_for_what_is_there_or_not() -> None:
    for hits in (0, 1, 7, 40):
        ends = stringer((np.arange(40) < hits).astype(float), 0, 1)
        low = beta.ppf(0.025, hits, 41 - hits) if hits else 0
        high = beta.ppf(0.975, hits + 1, 40 - hits) if hits < 40 else 1
        assert (ends.low, ends.high) == pytest.approx((low, high))


def test_the_bound_of_auditors_by_hand() -> None:
    # Of three points one is off by 0.4: what none, one and two points do not rule out, and the rest.
    limits = [beta.ppf(0.975, hits + 1, 3 - hits) for hits in range(3)]
    ends = stringer(np.array([0.0, 0.4, 0.0]), -0.5, 1.0)
    assert ends.high == pytest.approx(limits[0] + 0.4 * (limits[1] - limits[0]))
    assert ends.low == pytest.approx(-0.5 * limits[0] + 0.4 * (1 - limits[2]))


def test_a_map_that_never_was_wrong_may_still_have_missed_something() -> None:
    mapped = np.repeat([0.0, 0.5], 50)
    design = halves(mapped[:50], mapped[50:])
    found = difference(design, 0.2, mapped, mapped)
    assert found.value == pytest.approx(0.2) and found.standard_error == 0
    missed = beta.ppf(0.975, 1, 50)
    # Anything may have been missed in the west, and in the east, where the map may also have too much.
    assert found.high == pytest.approx(0.2 + missed * np.hypot(0.6, 0.4))
    assert "Stringer" in found.method and "0 of 50 points in 'west'" in found.warning
    narrowed = difference(design, 0.2, mapped, mapped, known=MappedRange(np.array([0, 0.4]), np.array([0, 0.6])))
    assert narrowed.low == pytest.approx(0.2 - 0.4 * missed * 0.6)
    assert narrowed.high == pytest.approx(0.2 + missed * np.hypot(0.6, 0.4 * 0.6))
    plain = difference(design, 0.2, mapped, mapped, "normal")
    assert plain.low == plain.high == plain.value


def test_one_cell_that_was_missed_is_few_and_so_is_told() -> None:
    # It moves the mean of its stratum, from which all others then differ a little; they do not count for that.
    reference = np.zeros(100)
    reference[3] = 0.6
    found = difference(halves(reference[:50], reference[50:]), 0.0, np.zeros(100), reference)
    assert "1 of 50 points in 'west', 0 of 50 points in 'east'" in found.warning
    assert found.high > difference(halves(reference[:50], reference[50:]), 0.0, np.zeros(100), reference, "normal").high


def test_many_points_that_differ_are_told_by_students_interval() -> None:
    random = np.random.default_rng(2)
    mapped, reference = random.random((2, 100))
    found = difference(halves(mapped[:50], mapped[50:]), 0.5, mapped, reference)
    assert "Student's interval with" in found.method and "Stringer" not in found.method and found.warning == ""


def test_coverage_of_a_domain_by_hand() -> None:
    mapped, reference = np.array([0.2, 0.4, 0.5, 0.5]), np.array([0.3, 0.7, 0.5, 0.9])
    inside = np.array([True, True, False, True])
    found = domain_difference(
        halves(mapped[:2], mapped[2:]), 0.3, mapped, reference, inside, "Kilte", interval="normal"
    )
    share = 0.6 + 0.4 * 0.5
    error = (0.6 * (0.1 + 0.3) / 2 + 0.4 * 0.4 / 2) / share
    assert found.value == pytest.approx(0.3 + error)
    apart = [np.array([0.1, 0.3]) - error, np.array([0.0, 0.4 - error])]
    variances = [weight**2 * np.var(one, ddof=1) / 2 for weight, one in zip((0.6, 0.4), apart, strict=True)]
    assert found.standard_error == pytest.approx(np.sqrt(sum(variances)) / share)
    everywhere = domain_difference(halves(mapped[:2], mapped[2:]), 0.3, mapped, reference, np.ones(4, bool), "all")
    whole = difference(halves(mapped[:2], mapped[2:]), 0.3, mapped, reference)
    assert everywhere.value == pytest.approx(whole.value)
    assert everywhere.standard_error == pytest.approx(whole.standard_error)


def test_net_change_is_more_precise_than_two_years_apart() -> None:
    before = np.repeat([True, False], [40, 60])
    after = before.copy()
    after[[0, 50, 51]] = [False, True, True]
    found = changed(halves(before[:50], before[50:]), before, after)
    assert found.net.value == pytest.approx(found.gain.value - found.loss.value)
    assert found.net.value == pytest.approx(found.after.value - found.before.value)
    apart = np.hypot(found.before.standard_error, found.after.standard_error)
    assert found.net.standard_error < apart / 2
    # Gain 2 of 50 in the east, loss 1 of 50 in the west, so that the two do not share a stratum.
    expected = np.hypot(0.6 * np.sqrt(0.02 * 0.98 / 49), 0.4 * np.sqrt(0.04 * 0.96 / 49))
    assert found.net.standard_error == pytest.approx(100 * expected)


def test_one_stratum_alone_gives_the_limits_of_clopper_and_pearson() -> None:
    design = Design((Stratum("all", 1.0),), np.zeros(50, int))
    share = proportion(design, np.arange(50) < 3, "by hand", "exact")
    assert (share.low, share.high) == pytest.approx((beta.ppf(0.025, 3, 48), beta.ppf(0.975, 4, 47)))


def test_a_class_without_any_point_may_still_be_there() -> None:
    design = Design((Stratum("all", 1000.0),), np.zeros(50, int))
    area = proportion(design, np.zeros(50, bool), "by hand").times(1000)
    assert area.value == area.standard_error == area.low == 0
    assert area.high == pytest.approx(71.1, abs=0.1)
    assert area.warning == "few points are of the rarer kind: 0 of 50 points in 'all'"


def test_the_chosen_interval_holds_what_it_promises_at_every_share() -> None:
    shares = np.linspace(0.001, 0.999, 999)
    for points in (10, 35, 50, 60, 100):
        design = Design((Stratum("all", 1.0),), np.zeros(points, int))
        ends = [proportion(design, np.arange(points) < hits, "by hand") for hits in range(points + 1)]
        held = np.array([(one.low <= shares) & (shares <= one.high) for one in ends])
        likely = binom.pmf(np.arange(points + 1)[:, None], points, shares)
        assert (held * likely).sum(axis=0).min() > 0.925, points


def test_ground_without_a_map_counts_in_the_areas_and_not_in_the_accuracies() -> None:
    strata = (Stratum("other", 60.0), Stratum("cropland", 30.0), Stratum("not mapped", 10.0))
    stratum = np.repeat([0, 1, 2], 10)
    reference = np.concatenate([np.repeat([0, 1], [9, 1]), np.repeat([0, 1], [2, 8]), np.repeat([0, 1], [5, 5])])
    mapped = np.where(stratum < 2, stratum, NOT_MAPPED)
    found = assessed(Design(strata, stratum), mapped, reference, ("other", "cropland"))
    assert "Olofsson" in found.overall.method
    assert found.areas["cropland"].value == pytest.approx(6 + 24 + 5)
    assert found.overall.value == pytest.approx((54 + 24) / 90)
    assert found.producers["cropland"].value == pytest.approx(24 / 30)
    same = indicator(Design(strata, stratum), mapped, reference, ("other", "cropland"))
    np.testing.assert_allclose(figures(found), figures(same), rtol=1e-12)


def test_a_domain_by_hand() -> None:
    member = np.repeat([True, False], 10)
    design = halves(member[:10], member[10:])
    inside = np.arange(20) % 2 == 0
    mapped = member.copy()
    mapped[[0, 2, 11]] = [False, False, True]  # two of the west are left out inside, one of the east is wrong outside
    half = np.array([0.5, 0.5])
    found = domain_area(design, mapped, member, inside, "Kilte", mapped_area=25.0, held=half)
    assert found.value == pytest.approx(25 + 60 * 2 / 10)
    assert found.standard_error == pytest.approx(100 * 0.6 * np.sqrt(0.2 * 0.8 / 9))
    perfect = domain_area(design, member, member, inside, "Kilte", mapped_area=49.0, held=half)
    assert perfect.value == 49.0 and perfect.standard_error == 0 and perfect.low < 49 and perfect.high == 50.0


def test_ground_of_a_domain_in_which_no_point_fell_is_in_doubt_unless_there_is_none() -> None:
    member = np.zeros(20, bool)
    design, inside = halves(member[:10], member[10:]), np.arange(20) < 10
    ends = [
        domain_area(design, member, member, inside, "Kilte", mapped_area=0.0, held=np.array(held)).high
        for held in ([0.5, 0.0], [0.5, 0.05], [0.5, 0.5])
    ]
    assert ends[0] < ends[1] < ends[2]
    assert ends[1] - ends[0] <= 40 * 0.05  # no more than the ground that it is about


# What has to hold for any sample


@st.composite
def samples(draw: st.DrawFn) -> tuple[tuple[Stratum, ...], np.ndarray, np.ndarray, np.ndarray]:
    """Strata, then stratum, class of the map (the stratum) and reference class of each point."""
    count = draw(st.integers(2, 4))
    areas = draw(st.lists(st.floats(1, 1e6), min_size=count, max_size=count))
    points = draw(st.lists(st.integers(2, 40), min_size=count, max_size=count))
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    stratum = np.repeat(np.arange(count), points)
    reference = np.where(random.random(len(stratum)) < 0.7, stratum, random.integers(count, size=len(stratum)))
    sizes = [points[n] * 3 if draw(st.booleans()) else None for n in range(count)]
    strata = tuple(Stratum(f"class {n}", area, size) for n, (area, size) in enumerate(zip(areas, sizes, strict=True)))
    return strata, stratum, stratum.copy(), reference


@settings(deadline=None, max_examples=60)
@given(samples(), st.sampled_from(["normal", "exact", "chosen"]))
def test_indicator_estimators_are_the_stratified_ones_where_strata_are_the_classes(
    sample: tuple, interval: str
) -> None:
    strata, stratum, mapped, reference = sample
    names = [one.name for one in strata]
    first = stratified(Design(strata, stratum), mapped, reference, names, interval)
    second = indicator(Design(strata, stratum), mapped, reference, names, interval)
    np.testing.assert_allclose(figures(first), figures(second), rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(first.matrix, second.matrix, atol=1e-12)


@settings(deadline=None, max_examples=60)
@given(samples())
def test_areas_add_up_and_lie_in_their_intervals(sample: tuple) -> None:
    strata, stratum, mapped, reference = sample
    found = assessed(Design(strata, stratum), mapped, reference, [one.name for one in strata])
    total = sum(one.area for one in strata)
    assert sum(area.value for area in found.areas.values()) == pytest.approx(total)
    assert found.matrix.sum() == pytest.approx(1)
    for value, error, low, high in figures(found):
        assert np.isnan(value) or (low <= value + 1e-9 * total and value - 1e-9 * total <= high and error >= 0)


@settings(deadline=None, max_examples=60)
@given(samples(), st.integers(0, 100))
def test_the_order_of_points_does_not_matter(sample: tuple, seed: int) -> None:
    strata, stratum, mapped, reference = sample
    names, order = [one.name for one in strata], np.random.default_rng(seed).permutation(len(stratum))
    first = assessed(Design(strata, stratum), mapped, reference, names)
    second = assessed(Design(strata, stratum[order]), mapped[order], reference[order], names)
    np.testing.assert_allclose(figures(first), figures(second), rtol=1e-9, atol=1e-12)


@settings(deadline=None, max_examples=30)
@given(samples())
def test_a_census_has_no_error(sample: tuple) -> None:
    strata, stratum, mapped, reference = sample
    seen = np.bincount(stratum)
    strata = tuple(Stratum(one.name, one.area, int(count)) for one, count in zip(strata, seen, strict=True))
    design = Design(strata, stratum)
    for found in (
        assessed(design, mapped, reference, [one.name for one in strata]),
        indicator(design, mapped, reference, [one.name for one in strata]),
    ):
        for value, error, low, high in figures(found):
            assert np.isnan(value) or (error == 0 and low == pytest.approx(value) and high == pytest.approx(value))
        assert all(one.warning == "" for one in found.areas.values())
    mapped_share, share = np.random.default_rng(0).random((2, len(stratum)))
    exact = difference(design, design.mean(mapped_share), mapped_share, share)
    assert exact.value == pytest.approx(design.mean(share))
    assert exact.standard_error == 0 and exact.warning == ""


@settings(deadline=None, max_examples=60)
@given(samples(), st.integers(0, 1000), st.sampled_from(["normal", "exact", "chosen"]), st.floats(0, 1))
def test_coverage_lies_in_its_interval_and_the_bound_never_is_the_shorter(
    sample: tuple, seed: int, interval: str, rare: float
) -> None:
    strata, stratum, _, _ = sample
    design, random = Design(strata, stratum), np.random.default_rng(seed)
    mapped = np.where(random.random(len(stratum)) < rare, random.random(len(stratum)), 0)
    truth = np.where(random.random(len(stratum)) < rare, random.random(len(stratum)), mapped)
    found = difference(design, 0.4, mapped, truth, interval)
    assert 0 <= found.low <= found.high <= 1
    if 0 <= found.value <= 1:
        assert found.low <= found.value + 1e-12 and found.value - 1e-12 <= found.high
    for one in (stringer(truth - mapped, -1, 1), stringer(truth - mapped, -1, 2)):
        assert one.low <= (truth - mapped).mean() <= one.high
    assert stringer(truth - mapped, -1, 2).high > stringer(truth - mapped, -1, 1).high


@settings(deadline=None, max_examples=40)
@given(samples(), st.integers(0, 1000))
def test_domains_add_up_to_the_whole(sample: tuple, seed: int) -> None:
    strata, stratum, _, reference = sample
    design = Design(strata, stratum)
    inside = np.random.default_rng(seed).random(len(stratum)) < 0.5
    if min(inside.sum(), (~inside).sum()) < 2:
        return
    mapped, on_map = stratum == 0, design.strata[0].area  # the map's class is the stratum
    parts = [
        domain_area(design, mapped, reference == 0, side, "side", on_map * share, np.full(len(strata), share)).value
        for side, share in ((inside, 0.3), (~inside, 0.7))
    ]
    assert sum(parts) == pytest.approx(proportion(design, reference == 0, "whole").times(design.area).value)


def test_the_normal_interval_is_so_many_standard_errors() -> None:
    one = Estimate(10.0, 2.0, 6.0, 14.0, "by hand")
    assert one.margin == pytest.approx(2 * REACH)
    assert one.times(3).low == 18.0


# Refusals


WEST, EAST = Stratum("west", 60.0), Stratum("east", 40.0)
REFUSED: dict[str, tuple[Callable[[], object], str]] = {
    "one point": (lambda: Design((WEST, EAST), np.array([0, 0, 1])), "stratum 'east': sample of 1; at least 2 points"),
    "no point": (lambda: Design((WEST, EAST), np.array([0, 0])), "stratum 'east': sample of 0"),
    "no area": (
        lambda: Design((WEST, Stratum("east", 0.0)), np.array([0, 0, 1, 1])),
        "stratum 'east': area 0; it has to be above 0",
    ),
    "area not known": (
        lambda: Design((WEST, Stratum("east", np.nan)), np.array([0, 0, 1, 1])),
        "stratum 'east': area nan",
    ),
    "one name": (lambda: Design((WEST, WEST), np.array([0, 0, 1, 1])), "stratum 'west': the name is that of 2 strata"),
    "no strata": (lambda: Design((), np.array([], int)), "strata: there are none"),
    "unknown stratum": (lambda: Design((WEST, EAST), np.array([0, 0, 1, 1, 2])), "sample: point 4 is of stratum 2"),
    "stratum missing": (lambda: Design((WEST, EAST), np.array([0, 0, 1, 1, -1])), "sample: point 4 is of stratum -1"),
    "stratum not whole": (lambda: Design((WEST, EAST), np.array([0, 0, 1, 1.5])), "has to be a whole number"),
    "too many": (
        lambda: Design((Stratum("west", 60.0, 1), EAST), np.array([0, 0, 1, 1])),
        "stratum 'west': sample of 2, but it holds 1 units",
    ),
    "too few answers": (
        lambda: assessed(halves(np.zeros(2), np.zeros(2)), np.zeros(4, int), np.zeros(3, int), ("a", "b")),
        "reference class: 3 values for 4 points",
    ),
    "unknown class": (
        lambda: assessed(halves(np.zeros(2), np.zeros(2)), np.zeros(4, int), np.array([0, 1, 2, 0]), ("a", "b")),
        "reference class: point 2 has 2; allowed are 0 to 1",
    ),
    "reference missing": (
        lambda: assessed(halves(np.zeros(2), np.zeros(2)), np.zeros(4, int), np.array([0, 1, -1, 0]), ("a", "b")),
        "reference class: point 2 has -1",
    ),
    "other strata": (
        lambda: stratified(halves(np.zeros(2), np.zeros(2)), np.zeros(4, int), np.zeros(4, int), ("a", "b")),
        "stratum is not its class of the map",
    ),
    "percent": (
        lambda: difference(halves(np.zeros(2), np.zeros(2)), 0.2, np.full(4, 20.0), np.full(4, 0.2)),
        "map share: 20 to 20; allowed are shares from 0 to 1",
    ),
    "share missing": (
        lambda: regression(halves(np.zeros(2), np.zeros(2)), 0.2, np.array([0, 0.1, 0.2, np.nan]), np.full(4, 0.2)),
        "map share: 1 points have no value",
    ),
    "map without difference": (
        lambda: regression(halves(np.zeros(2), np.zeros(2)), 0.2, np.full(4, 0.2), np.arange(4) / 4),
        "use the difference estimator",
    ),
    "domain": (
        lambda: domain_area(
            halves(np.zeros(2), np.zeros(2)),
            np.ones(4, bool),
            np.ones(4, bool),
            np.arange(4) == 1,
            "Kilte",
            1.0,
            np.ones(2),
        ),
        "unit 'Kilte': 1 of the sample's points lie in it, at least 2 are needed for an estimate; use a larger unit",
    ),
    "coverage of a domain": (
        lambda: domain_difference(
            halves(np.zeros(2), np.zeros(2)), 0.1, np.zeros(4), np.zeros(4), np.arange(4) == 1, "Kilte"
        ),
        "unit 'Kilte': 1 of the sample's points lie in it, at least 2",
    ),
    "domain of a stated least": (
        lambda: domain_area(
            halves(np.zeros(20), np.zeros(20)),
            np.ones(40, bool),
            np.ones(40, bool),
            np.arange(40) < 9,
            "Kilte",
            1.0,
            np.ones(2),
            fewest=10,
        ),
        "unit 'Kilte': 9 of the sample's points lie in it, at least 10",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_estimated_is_refused_in_one_line(case: str) -> None:
    ask, reason = REFUSED[case]
    with pytest.raises(InputError) as refused:
        ask()
    assert reason in str(refused.value) and "\n" not in str(refused.value)


def test_a_class_of_which_no_point_was_mapped_has_no_users_accuracy() -> None:
    design = halves(np.zeros(10), np.zeros(10))
    found = assessed(design, np.zeros(20, int), np.repeat([0, 1], 10), ("other", "cropland"))
    users = found.users["cropland"]
    assert np.isnan(users.value) and (users.low, users.high) == (0, 1)
    assert "no point of the sample" in users.warning
    assert found.producers["cropland"].value == 0
