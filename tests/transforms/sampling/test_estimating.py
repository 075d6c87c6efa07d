"""Estimates of a made-up map from made-up samples: what can be reckoned by hand, and what is refused."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from stook.models.errors import InputError
from stook.transforms.editions.edition import Edition
from stook.transforms.estimators.interval import Estimate
from stook.transforms.ground.grid import Tile
from stook.transforms.sampling import changing
from stook.transforms.sampling.changing import change_table
from stook.transforms.sampling.drawing import drawn_points
from stook.transforms.sampling.estimate_rows import published, rounded_to
from stook.transforms.sampling.estimates import COLUMNS
from stook.transforms.sampling.estimating import Settings, estimate_table
from stook.transforms.sampling.judged import Judged, left_out
from stook.transforms.sampling.lookup import located
from stook.transforms.sampling.map_figures import KnownPlace, MapFigures
from stook.transforms.sampling.sample import DM2_PER_HA, Sample, SampledStratum
from stook.transforms.sampling.strata import DividedMap, Division, measured_strata
from stook.transforms.statistics.table import statistics
from stook.transforms.tiles.map_reader import MapReader
from tests.transforms.sampling.conftest import GRID, REGION, painted
from tests.transforms.sampling.judged_sample import COUNTS, THRESHOLDS, made_sample, publish_coverage, stratum_areas
from tests.transforms.sampling.published_place import publish_place

WRONG = (
    0.1,
    0.25,
    0.5,
)  # share of the points in each stratum that are cropland, where the map says otherwise or nothing
CROPLAND = (0.1, 0.75, 0.5)  # and so the share that is cropland


def answers(sample: Sample, shares: tuple[float, ...] = CROPLAND) -> np.ndarray:
    """Cropland at exactly such shares of the points of each stratum."""
    stratum = sample.points["stratum"].to_numpy()
    found = np.zeros(len(stratum))
    for h, share in enumerate(shares):
        members = np.flatnonzero(stratum == h)
        found[members[: round(share * len(members))]] = 1
    return found


def figure(table: pd.DataFrame, name: str, of: str = "", place: tuple[str, str] = ("region", "place")) -> pd.Series:
    """One row."""
    same = (table["figure"] == name) & (table["class"] == of) & (table["level"] == place[0]) & (table["id"] == place[1])
    [row] = table[same].index
    return table.loc[row]


@pytest.fixture(scope="module")
def figures(edition: Edition) -> MapFigures:
    return MapFigures.of(edition, "cropland", THRESHOLDS)


@pytest.fixture(scope="module")
def sample(edition: Edition) -> Sample:
    return made_sample(edition)


@pytest.fixture(scope="module")
def areas(figures: MapFigures) -> np.ndarray:
    """Hectares of each stratum."""
    return np.array(stratum_areas(figures)) / DM2_PER_HA


def test_what_the_map_says_is_what_the_table_of_statistics_says(edition: Edition, figures: MapFigures) -> None:
    table = statistics(edition, THRESHOLDS).set_index(["level", "id"])
    for place in figures.places:
        row = table.loc[(place.level, place.id)]
        assert place.total_dm2 == row["total_dm2"]
        assert place.said_ha["cropland"] == row["area_ha"]
        assert place.said_ha["other"] == pytest.approx(row["mapped_ha"] - row["area_ha"])
    assert [place.level for place in figures.places] == ["unit"] * 3 + ["parent 1", "parent 2", "region"]


def test_a_map_that_is_right_everywhere_is_estimated_as_it_is(sample: Sample, figures: MapFigures) -> None:
    table = estimate_table(Judged.by(sample, figures, answers(sample, (0, 1, 0))), Settings())
    row = figure(table, "area", "cropland")
    assert row["value"] == pytest.approx(figures.region.said_ha["cropland"], rel=1e-12)
    assert row["standard_error"] == 0 and row["map_value"] == figures.region.said_ha["cropland"]
    assert "few points are of the rarer kind" in row["warning"]
    assert figure(table, "overall_accuracy")["value"] == pytest.approx(1, abs=1e-12)


def test_areas_and_accuracies_are_those_reckoned_by_hand(
    sample: Sample, figures: MapFigures, areas: np.ndarray
) -> None:
    table = estimate_table(Judged.by(sample, figures, answers(sample)), Settings())
    assert tuple(table.columns) == tuple(COLUMNS)
    area = figure(table, "area", "cropland")
    assert area["value"] == pytest.approx(areas @ CROPLAND)
    variances = [share * (1 - share) / (count - 1) for share, count in zip(CROPLAND, COUNTS, strict=True)]
    assert area["standard_error"] == pytest.approx(np.sqrt(areas**2 @ variances))
    assert figure(table, "area", "other")["value"] == pytest.approx(areas.sum() - areas @ CROPLAND)
    mapped = areas[:2].sum()
    assert figure(table, "overall_accuracy")["value"] == pytest.approx((0.9 * areas[0] + 0.75 * areas[1]) / mapped)
    assert figure(table, "users_accuracy", "cropland")["value"] == pytest.approx(0.75)
    right, missed = 0.75 * areas[1], 0.1 * areas[0]
    assert figure(table, "producers_accuracy", "cropland")["value"] == pytest.approx(right / (right + missed))
    assert "Olofsson" in area["method"] and area["why"].startswith("strata are the classes of this very map")
    assert area["points"] == sum(COUNTS) and area["refused"] == "" and area["season"] == "main-2019"
    assert area["low"] < area["value"] < area["high"]


def corrected(judged: Judged) -> float:
    """Hectares of cropland by hand: what the map says, plus what it leaves out, less what it has wrongly."""
    strata = judged.sample.drawn.strata
    weights = np.array([stratum.area_dm2 / stratum.points / DM2_PER_HA for stratum in strata])
    weight, said = weights[judged.sample.points["stratum"].to_numpy()], judged.mapped == 1
    errors = weight[~said & (judged.reference == 1)].sum() - weight[said & (judged.reference != 1)].sum()
    return float(judged.figures.region.said_ha["cropland"] + errors)


def test_another_threshold_makes_other_classes_and_not_other_areas(edition: Edition, sample: Sample) -> None:
    at_70 = MapFigures.of(edition, "cropland", {"cropland": 70})
    judged = Judged.by(sample, at_70, answers(sample))
    first = figure(estimate_table(judged, Settings()), "area", "cropland")
    second = figure(
        estimate_table(Judged.by(sample, MapFigures.of(edition, "cropland", THRESHOLDS), answers(sample)), Settings()),
        "area",
        "cropland",
    )
    assert first["map_value"] < second["map_value"]
    assert first["value"] == pytest.approx(corrected(judged))
    assert (
        abs(first["value"] - second["value"]) < 2 * first["standard_error"]
    )  # of the same ground, by the same answers
    assert "Stehman" in first["method"] and "not one for each class of the map as it is read now" in first["why"]


def test_a_sample_of_an_earlier_season_serves_the_later_map(
    edition: Edition, earlier: Edition, figures: MapFigures
) -> None:
    old = made_sample(earlier)
    judged = Judged.by(old, figures, answers(old))
    assert (judged.mapped != judged.sample.points["stratum"].replace(2, -1).to_numpy()).any()
    table = estimate_table(judged, Settings())
    areas = np.array(stratum_areas(MapFigures.of(earlier, "cropland", THRESHOLDS))) / DM2_PER_HA
    whole = figure(table, "area", "cropland")
    assert whole["value"] == pytest.approx(corrected(judged))
    together = figure(table, "area", "cropland", ("parent 2", "all"))  # the same ground
    assert together["value"] == pytest.approx(whole["value"])
    # User's accuracy by hand: of the ground that the later map has as cropland, looked up at each point.
    weights = (areas / np.array(COUNTS))[old.points["stratum"].to_numpy()]
    said, true = judged.mapped == 1, answers(old) == 1
    users = weights[said & true].sum() / weights[said].sum()
    row = figure(table, "users_accuracy", "cropland")
    assert row["value"] == pytest.approx(users)
    assert "Stehman" in row["method"]
    assert f"drawn for edition {earlier.id} of main-2018" in row["why"] and row["edition"] == edition.id


def test_places_have_estimates_of_their_own_where_points_carry_them(
    sample: Sample, figures: MapFigures, areas: np.ndarray
) -> None:
    truth = answers(sample)
    table = estimate_table(Judged.by(sample, figures, truth), Settings(fewest_points=30))
    units, weights = sample.points["unit"].to_numpy(), (areas / np.array(COUNTS))[sample.points["stratum"].to_numpy()]
    places = {(place.level, place.id): place for place in figures.places}
    for key, members in {("unit", "north"): ["north"], ("parent 1", "main"): ["north", "south"]}.items():
        inside = np.isin(units, members)
        said = figures.classes_at(sample.points["value"].to_numpy()) == 1
        errors = weights[inside & (truth == 1) & ~said].sum() - weights[inside & (truth != 1) & said].sum()
        row = figure(table, "area", "cropland", key)
        assert row["value"] == pytest.approx(places[key].said_ha["cropland"] + errors)
        assert row["points"] == inside.sum() and row["map_value"] == places[key].said_ha["cropland"]
        other = figure(table, "area", "other", key)["value"]
        assert row["value"] + other == pytest.approx(places[key].total_ha)
    parts = [figure(table, "area", "cropland", ("unit", name))["value"] for name in ("north", "south")]
    assert sum(parts) == pytest.approx(figure(table, "area", "cropland", ("parent 1", "main"))["value"])


def test_a_place_with_few_points_is_refused_and_the_next_larger_one_offered(
    sample: Sample, figures: MapFigures
) -> None:
    counts = sample.points["unit"].value_counts()
    assert counts["far"] < counts["south"] < counts["north"]
    table = estimate_table(Judged.by(sample, figures, answers(sample)), Settings(fewest_points=int(counts["far"]) + 1))
    far = figure(table, "area", "cropland", ("unit", "far"))
    # It has no parent 1, so that parent 2 is next.
    assert far["refused"] == (
        f"{counts['far']} answered points lie in it, {counts['far'] + 1} are needed (sample.fewest_points_per_unit): "
        f"use that of parent 2 'all' ({len(sample.points)} points), or draw more points there"
    )
    assert np.isnan(far[["value", "low", "high", "published"]].astype(float)).all() and far["map_value"] > 0
    both = counts["north"] + counts["south"]
    table = estimate_table(Judged.by(sample, figures, answers(sample)), Settings(fewest_points=int(both)))
    south = figure(table, "area", "cropland", ("unit", "south"))
    assert f"use that of parent 1 'main' ({both} points)" in south["refused"]
    table = estimate_table(Judged.by(sample, figures, answers(sample)), Settings(fewest_points=10_000))
    assert "use the region's (220 points)" in figure(table, "area", "cropland", ("parent 2", "all"))["refused"]
    assert figure(table, "area", "cropland")["value"] > 0


def test_a_place_whose_few_points_mislead_is_refused_rather_than_less_than_nothing(
    sample: Sample, figures: MapFigures
) -> None:
    said = figures.classes_at(sample.points["value"].to_numpy()) == 1
    wrong = np.where(said, 0.0, answers(sample))  # all cropland of the map is none
    places = tuple(
        replace(place, said_ha=place.said_ha | {"cropland": 0.0}) if place.id == "north" else place
        for place in figures.places
    )
    table = estimate_table(Judged.by(sample, replace(figures, places=places), wrong), Settings())
    row = figure(table, "area", "cropland", ("unit", "north"))
    assert np.isnan(row["value"]) and np.isnan(row["published"])
    assert "answered points are too few: the estimate would be -" in row["refused"]
    assert "use that of parent 1 'main'" in row["refused"]


def test_a_sample_of_other_cells_is_refused(sample: Sample, figures: MapFigures) -> None:
    other = Sample(replace(sample.drawn, cell_m=250.0), sample.points)
    with pytest.raises(InputError, match="its points are of cells of 250 m, those of edition .* wide; draw another"):
        Judged.by(other, figures, answers(sample))


def test_where_the_points_show_no_error_the_interval_says_how_far_to_round() -> None:
    assert published(Estimate(9817.804554, 0.0, 9500.0, 10100.0, "by hand")) == 9820.0
    assert published(Estimate(9817.804554, 0.0, 9817.804554, 9817.804554, "by hand")) == 9817.804554


def truth_of(tile: Tile) -> np.ndarray:
    """Cropland on simulated ground, uint8 [row, column]: 15 % of the cells are not what the map says or would say."""
    row, column = np.indices((GRID.tile_px, GRID.tile_px))
    east, north = tile.ix * GRID.tile_px + column, (tile.iy + 1) * GRID.tile_px - 1 - row
    made = painted(tile, GRID)
    percent = (east * 7 + north * 3) % 101 if made is None else made[0]
    return ((percent >= 50) ^ ((east * 2_654_435_761 + north * 283_521) % 1000 < 150)).astype(np.uint8)


def test_points_drawn_from_a_map_tell_the_truth_of_simulated_ground(
    edition: Edition, sample: Sample, figures: MapFigures
) -> None:
    maps = MapReader(edition)
    divided = DividedMap(maps, "cropland", THRESHOLDS, Division())
    strata = measured_strata(divided)
    counts = np.array([300, 300, 200])
    points = drawn_points(divided, strata, counts, seed=3)
    drawn = tuple(SampledStratum(one.name, one.area_dm2, int(n)) for one, n in zip(strata, counts, strict=True))
    judged = np.full(len(points), np.nan)
    for tile, places, cells in located(maps, "cropland", points["lon"].to_numpy(), points["lat"].to_numpy()):
        judged[places] = truth_of(tile)[cells]
    table = estimate_table(
        Judged.by(Sample(replace(sample.drawn, strata=drawn), points), figures, judged), Settings(fewest_points=30)
    )
    units: Counter[str] = Counter()
    for tile in maps.tiles:
        for unit, areas in maps.ground(tile).areas_of(truth_of(tile)).items():
            units[unit] += areas.get(1, 0)
    for place, truth in {("region", "place"): units.total(), ("unit", "north"): units["north"]}.items():
        row = figure(table, "area", "cropland", place)
        assert abs(row["value"] - truth / DM2_PER_HA) < 3 * row["standard_error"]
        assert row["standard_error"] < 0.06 * row["value"]
    # The pixel count is wrong by far more than the estimate may be.
    whole = figure(table, "area", "cropland")
    assert units.total() / DM2_PER_HA - whole["map_value"] > 5 * whole["standard_error"]


def test_points_without_an_answer_are_left_out_and_told_by_stratum(
    sample: Sample, figures: MapFigures, areas: np.ndarray
) -> None:
    truth, stratum = answers(sample), sample.points["stratum"].to_numpy()
    dropped = np.flatnonzero((stratum == 0) & (truth == 0))[:45]  # half of those that are not cropland
    truth[dropped] = np.nan
    row = figure(estimate_table(Judged.by(sample, figures, truth), Settings()), "area", "cropland")
    assert row["points"] == 175
    assert row["value"] == pytest.approx(areas @ (10 / 55, 0.75, 0.5))
    assert row["warning"].endswith(
        "45 of 220 points have no resolved label (45 of 100 in 'other'); they are taken to be like the others of "
        "their stratum"
    )
    assert left_out(sample, np.ones(220, bool)) == ""
    truth[stratum == 2] = np.nan
    with pytest.raises(InputError, match="0 of 40 points in 'not mapped' have a resolved label, at least 2"):
        estimate_table(Judged.by(sample, figures, truth), Settings())


def test_a_sample_of_other_ground_or_another_map_is_refused(sample: Sample, figures: MapFigures) -> None:
    def refused(**changes: object) -> str:
        other = Sample(replace(sample.drawn, **changes), sample.points)
        with pytest.raises(InputError) as error:
            Judged.by(other, figures, answers(sample))
        return str(error.value)

    assert "the areas of its strata are not theirs" in refused(units_hash="0" * 64)
    assert "was drawn for harvest_piles, not cropland" in refused(product="harvest_piles")
    first, *others = sample.drawn.strata
    assert "are others" in refused(strata=(replace(first, area_dm2=first.area_dm2 * 2), *others))
    moved = sample.points.assign(lon=sample.points["lon"] + 1)
    other = Sample(replace(sample.drawn, edition="older"), moved)
    with pytest.raises(InputError, match="point 1 is not on the region's ground, as are 220 points"):
        Judged.by(other, figures, answers(sample))
    with pytest.raises(InputError, match="has no map of harvest_piles; there are cropland"):
        MapFigures.of(figures.edition, "harvest_piles", THRESHOLDS)


def test_a_season_that_was_not_over_is_told_with_every_figure(
    sample: Sample, figures: MapFigures, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = replace(figures.edition.plan, provisional=True)
    monkeypatch.setattr(Edition, "plan", plan)
    table = estimate_table(Judged.by(sample, figures, answers(sample)), Settings())
    given = table[table["refused"] == ""]
    assert given["warning"].str.contains("PROVISIONAL: main-2019 was not over when it was mapped").all()


# Change


def test_change_is_that_reckoned_by_hand_with_the_covariance_of_the_points(
    sample: Sample, figures: MapFigures, earlier: Edition, areas: np.ndarray
) -> None:
    was = MapFigures.of(earlier, "cropland", THRESHOLDS)
    before = answers(sample, (0.1, 0.75, 0.5))
    after = before.copy()
    stratum = sample.points["stratum"].to_numpy()
    after[np.flatnonzero((stratum == 0) & (before == 0))[:5]] = 1
    after[np.flatnonzero((stratum == 1) & (before == 1))[:12]] = 0
    table = change_table(sample, was, figures, np.stack([before, after]))
    gain, loss = areas[0] * 5 / 100, areas[1] * 12 / 80
    found = {row["figure"]: row for _, row in table.iterrows()}
    assert list(found) == ["area_before", "area_after", "gain", "loss", "net_change"]
    assert found["gain"]["value"] == pytest.approx(gain)
    assert found["loss"]["value"] == pytest.approx(loss)
    assert found["net_change"]["value"] == pytest.approx(gain - loss)
    assert found["area_after"]["value"] - found["area_before"]["value"] == pytest.approx(gain - loss)
    errors = areas[0] ** 2 * 0.05 * 0.95 / 99, areas[1] ** 2 * 0.15 * 0.85 / 79
    assert found["net_change"]["standard_error"] == pytest.approx(np.sqrt(sum(errors)))
    said = [one.region.said_ha["cropland"] for one in (was, figures)]
    assert found["net_change"]["map_value"] == pytest.approx(said[1] - said[0])
    assert (table["since"] == "main-2018").all() and (table["season"] == "main-2019").all()
    assert (table["class"] == "cropland").all() and "covariance" in found["net_change"]["method"]
    assert "different models" not in found["net_change"]["warning"]


def test_maps_of_two_models_are_told_beside_the_difference_of_their_pixels(
    sample: Sample, figures: MapFigures, earlier: Edition, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(changing, "models_of", lambda figures: {"cropland": figures.edition.id})
    was = MapFigures.of(earlier, "cropland", THRESHOLDS)
    table = change_table(sample, was, figures, np.stack([answers(sample)] * 2)).set_index("figure")
    assert "the two maps are of different models" in table.loc["net_change", "warning"]
    assert "different models" not in table.loc["gain", "warning"]


def test_change_is_of_points_that_were_answered_for_both_seasons(
    sample: Sample, figures: MapFigures, earlier: Edition
) -> None:
    references = np.stack([answers(sample)] * 2)
    references[0, :3] = references[1, 2:6] = np.nan
    table = change_table(sample, MapFigures.of(earlier, "cropland", THRESHOLDS), figures, references)
    assert (table["points"] == 214).all()
    assert table["warning"].str.contains("6 of 220 points have no resolved label").all()
    assert figure(table, "gain", "cropland")["value"] == 0
    assert "few points are of the rarer kind" in figure(table, "gain", "cropland")["warning"]


# Building coverage


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Edition:
    return publish_coverage(tmp_path_factory.mktemp("built"), REGION, GRID, painted)


@pytest.fixture(scope="module")
def covered(built: Edition) -> tuple[Sample, MapFigures]:
    return made_sample(built, (120, 40), "building_coverage"), MapFigures.of(built, "building_coverage", {})


def test_coverage_is_the_maps_and_the_error_of_its_means(covered: tuple[Sample, MapFigures]) -> None:
    sample, figures = covered
    region = figures.region
    mapped = Judged.by(sample, figures, np.zeros(160)).mapped
    stratum = sample.points["stratum"].to_numpy()
    # The mean share of each cell, not the median that the class image has.
    np.testing.assert_allclose(mapped[stratum == 0], 0.009 * sample.points["value"].to_numpy()[stratum == 0], atol=1e-4)
    assert (mapped[stratum == 1] == 0).all()
    right = estimate_table(Judged.by(sample, figures, mapped), Settings())
    assert figure(right, "covered_area")["value"] == pytest.approx(region.said_ha[""])
    # Nowhere right: in all of the mapped ground 0.05 more, and 0.3 of what is not mapped.
    truth = np.where(stratum == 0, mapped + 0.05, 0.3)
    table = estimate_table(Judged.by(sample, figures, truth), Settings())
    areas = np.array(stratum_areas(figures)) / DM2_PER_HA
    row = figure(table, "covered_area")
    assert row["value"] == pytest.approx(region.said_ha[""] + areas @ (0.05, 0.3))
    assert row["map_value"] == region.said_ha[""] and "difference estimator" in row["method"]
    assert "few points tell how the map errs" in row["warning"] and "Stringer" in row["method"]
    assert row["high"] > row["value"]


def test_ground_without_a_map_has_no_coverage_that_could_be_too_much(covered: tuple[Sample, MapFigures]) -> None:
    sample, figures = covered
    judged = Judged.by(sample, figures, np.zeros(160))
    own = figure(estimate_table(judged, Settings()), "covered_area")
    elsewhere = Judged(
        Sample(replace(sample.drawn, edition="another"), sample.points), figures, np.zeros(160), judged.mapped
    )
    assert own["low"] >= figure(estimate_table(elsewhere, Settings()), "covered_area")["low"]


def test_coverage_of_a_place_and_by_regression(covered: tuple[Sample, MapFigures]) -> None:
    sample, figures = covered
    mapped = Judged.by(sample, figures, np.zeros(160)).mapped
    units, stratum = sample.points["unit"].to_numpy(), sample.points["stratum"].to_numpy()
    areas = np.array(stratum_areas(figures)) / DM2_PER_HA
    truth = 0.5 * mapped + np.where(stratum == 1, 0.1, 0.0)
    table = estimate_table(Judged.by(sample, figures, truth), Settings("regression", 30))
    whole = figure(table, "covered_area")
    assert "regression" in whole["method"] and "asked for" in whole["why"]
    assert whole["value"] == pytest.approx(0.5 * figures.region.said_ha[""] + 0.1 * areas[1])
    [north] = [place for place in figures.places if place.id == "north"]
    weights, inside = (areas / np.array([120, 40]))[stratum], units == "north"
    error = (weights * (truth - mapped))[inside].sum() / weights[inside].sum()
    row = figure(table, "covered_area", place=("unit", "north"))
    assert row["value"] == pytest.approx(north.said_ha[""] + error * north.total_ha)
    assert "difference estimator of a domain" in row["method"]
    assert figure(table, "covered_area", place=("unit", "far"))["refused"] != ""


def test_change_of_coverage_is_refused(covered: tuple[Sample, MapFigures]) -> None:
    sample, figures = covered
    with pytest.raises(InputError, match="building_coverage has no classes that ground could gain or lose"):
        change_table(sample, figures, figures, np.zeros((2, 160)))


# Rounding


@pytest.mark.parametrize(
    ("value", "error", "published"),
    [
        (21_158.4, 3_142.0, 21_200.0),
        (21_158.4, 996.0, 21_200.0),
        (21_158.4, 994.0, 21_160.0),
        (0.94712, 0.0102, 0.947),
        (0.94712, 0.2, 0.95),
        (-1_234.5, 87.0, -1_234.0),
        (12.0, 0.0, 12.0),
    ],
)
def test_a_figure_is_published_to_the_second_figure_of_its_error(value: float, error: float, published: float) -> None:
    assert rounded_to(value, error) == pytest.approx(published, abs=1e-12)


def test_what_is_not_known_is_not_rounded() -> None:
    assert np.isnan(rounded_to(np.nan, 1.0))
    assert rounded_to(3.14159, np.nan) == 3.14159


def test_places_know_their_units(figures: MapFigures, tmp_path: Path) -> None:
    places: dict[tuple[str, str], KnownPlace] = {(place.level, place.id): place for place in figures.places}
    assert places["parent 1", "main"].units == {"north", "south"}
    assert places["unit", "north"].larger == (("parent 1", "main"), ("parent 2", "all"), ("region", "place"))
    assert sum(places["unit", unit.id].total_dm2 for unit in REGION.units) == figures.region.total_dm2
    nothing = publish_place(tmp_path, REGION, GRID, lambda *_: None)
    assert MapFigures.of(nothing, "cropland", THRESHOLDS).region.said_ha == {"other": 0.0, "cropland": 0.0}
