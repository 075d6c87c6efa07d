"""From a sample and what interpreters said of its points to the table of estimates."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from models.errors import InputError
from transforms.estimators.accuracy import STRATIFIED, Assessment, assessed, indicator
from transforms.estimators.change import changed
from transforms.estimators.design import FEWEST_POINTS, Design
from transforms.estimators.domain import domain_area
from transforms.estimators.interval import REACH, Estimate
from transforms.estimators.shares import MappedRange, difference, domain_difference, regression
from transforms.sampling.classes import CLASSES, SHARES
from transforms.sampling.estimates import COLUMNS
from transforms.sampling.lookup import OUTSIDE, shares_at, values_at
from transforms.sampling.map_figures import KnownPlace, MapFigures
from transforms.sampling.sample import DM2_PER_HA, Sample
from transforms.statistics.sums import Place
from transforms.tiles.map_reader import MapReader

AREA, COVERED = "area", "covered_area"
SIGNIFICANT = 2  # figures of a standard error that mean anything (JCGM 100:2008, 7.2.6)
NAMED = 4  # strata in a warning
OF_CLASS = 1  # place of the class that is mapped for among ``CLASSES``
OTHER_MODELS = "the two maps are of different models, so that the difference of their pixels mixes models with change"
SAME_GROUND = 1e-6  # relative; another grid, and other values to sum by, round the tiles' dm² otherwise


@dataclass(frozen=True)
class Settings:
    """What of a configuration decides estimates.

    Attributes:
        estimator: Of building coverage.
        fewest_points: In a place below which it gets no estimate of its own.
    """

    estimator: Literal["difference", "regression"] = "difference"
    fewest_points: int = 30


@dataclass(frozen=True)
class Judged:
    """A sample whose points were judged, beside an edition's map.

    Attributes:
        sample: The sample, of this edition or another of the same ground.
        figures: Of the map.
        reference: float64 [point]: place of the class, or share 0…1; NaN where nothing was answered or resolved.
        mapped: The map's [point]: int class or ``NOT_MAPPED``; of a share float 0…1, 0 where there is no map.
    """

    sample: Sample
    figures: MapFigures
    reference: np.ndarray
    mapped: np.ndarray

    @classmethod
    def by(cls, sample: Sample, figures: MapFigures, reference: np.ndarray) -> "Judged":
        """The sample with the map looked up at its points.

        Raises:
            InputError: If the sample was drawn for another product or another ground.
        """
        require_same_ground(sample, figures)
        return cls(sample, figures, reference, mapped_at(sample, figures))

    @property
    def answered(self) -> np.ndarray:
        """Bool [point]."""
        return ~np.isnan(self.reference)

    @property
    def units(self) -> np.ndarray:
        """Ids of the units of the answered points, object [answered point]."""
        return self.sample.points["unit"].to_numpy()[self.answered]

    @property
    def strata_are_classes(self) -> bool:
        """Whether the strata are, in order, the classes of this very map as it is read now, and all else unmapped."""
        drawn, said = self.sample.drawn, self.figures.region.said_ha
        classes = CLASSES[self.figures.product]
        areas = [stratum.area_dm2 for stratum in drawn.strata[: len(classes)]]
        mapped = [said[name] * DM2_PER_HA for name in classes]
        same = len(areas) == len(mapped) and np.allclose(areas, mapped, rtol=SAME_GROUND, atol=1)
        return drawn.edition == self.figures.edition.id and same

    def held(self, place: KnownPlace) -> np.ndarray:
        """How much of each stratum lies in a place, float [stratum], 0…1; all of it where the sample does not say."""
        return np.array(
            [
                1.0
                if stratum.units_dm2 is None
                else sum(stratum.units_dm2.get(unit, 0) for unit in place.units) / stratum.area_dm2
                for stratum in self.sample.drawn.strata
            ]
        )

    @property
    def counts(self) -> dict[Place, int]:
        """Place -> answered points that lie in it."""
        of_units = Counter(self.units)
        return {place.key: sum(of_units[unit] for unit in place.units) for place in self.figures.places}

    @property
    def design(self) -> Design:
        """Of the points that were answered.

        Raises:
            InputError: Where a stratum is left with fewer than two.
        """
        require_answers(self.sample, self.answered)
        return self.sample.design(self.answered)


def require_answers(sample: Sample, answered: np.ndarray) -> None:
    """Raise InputError where a stratum is left with fewer answered points, bool [point], than a variance needs."""
    counts = np.bincount(sample.points["stratum"].to_numpy(), weights=answered, minlength=len(sample.drawn.strata))
    for stratum, count in zip(sample.drawn.strata, counts, strict=True):
        if count < FEWEST_POINTS:
            raise InputError(
                f"sample {sample.drawn.id}: {count:.0f} of {stratum.points} points in {stratum.name!r} have an answer "
                f"that holds, at least {FEWEST_POINTS} are needed; the others are unanswered, or left out where "
                "interpreters disagree (sample.answers.rule)"
            )


def require_same_ground(sample: Sample, figures: MapFigures) -> None:
    """Raise InputError unless a sample was drawn for a map's product and from its region's ground."""
    drawn, plan = sample.drawn, figures.edition.plan
    if drawn.product != figures.product:
        raise InputError(f"sample {drawn.id}: was drawn for {drawn.product}, not {figures.product} (sample.product)")
    if figures.product not in SHARES and drawn.cell_m != figures.cell_m:
        raise InputError(
            f"sample {drawn.id}: its points are of cells of {drawn.cell_m:g} m, those of edition {figures.edition.id} "
            f"are {figures.cell_m:g} m wide; draw another sample"
        )
    found = sum(stratum.area_dm2 for stratum in drawn.strata)
    whole = figures.region.total_dm2
    if drawn.units_hash != plan.units_hash or abs(found - whole) > SAME_GROUND * whole:
        raise InputError(
            f"sample {drawn.id}: was drawn from the units of edition {drawn.edition} ({found / DM2_PER_HA:,.0f} ha), "
            f"those of edition {figures.edition.id} ({whole / DM2_PER_HA:,.0f} ha) are others; the areas of its strata "
            "are not theirs"
        )


def mapped_at(sample: Sample, figures: MapFigures) -> np.ndarray:
    """What the map says at a sample's points, see ``Judged.mapped``.

    Raises:
        InputError: If a point is not on the region's ground.
    """
    points, own = sample.points, sample.drawn.edition == figures.edition.id
    if own and figures.product not in SHARES:
        return figures.classes_at(points["value"].to_numpy())
    look = shares_at if figures.product in SHARES else values_at
    values = look(MapReader(figures.edition), figures.product, points["lon"].to_numpy(), points["lat"].to_numpy())
    outside = np.flatnonzero(values == OUTSIDE)
    if len(outside):
        raise InputError(
            f"sample {sample.drawn.id}: point {points['point'].iloc[outside[0]]} is not on the region's ground, as are "
            f"{len(outside)} points; the sample is of another region or spoiled"
        )
    return np.nan_to_num(values) if figures.product in SHARES else figures.classes_at(values)


def estimate_table(judged: Judged, settings: Settings, remarks: Sequence[str] = ()) -> pd.DataFrame:
    """Estimates of the region, of each parent and of each unit.

    Args:
        judged: The sample.
        settings: What decides the figures.
        remarks: What a reader has to know of every figure, empty ones left out.

    Returns:
        Rows of ``transforms.sampling.estimates.COLUMNS``.

    Raises:
        InputError: If a stratum is left with fewer than two answered points.
    """
    rows = list(_share_rows(judged, settings) if judged.figures.product in SHARES else _class_rows(judged, settings))
    told = (*remarks, left_out(judged.sample, judged.answered), provisional(judged.figures))
    return _table(rows, judged.sample, judged.figures, told)


def change_table(
    sample: Sample, before: MapFigures, after: MapFigures, references: np.ndarray, remarks: Sequence[str] = ()
) -> pd.DataFrame:
    """Gain, loss and net change of the class that is mapped for, between two seasons, of the whole region.

    Args:
        sample: Answered for both.
        before: Of the earlier season's map.
        after: Of the later one's.
        references: float64 [season, point], place of the class, NaN where nothing was answered or resolved.
        remarks: What a reader has to know of every figure, empty ones left out.

    Returns:
        Rows of ``transforms.sampling.estimates.COLUMNS``.

    Raises:
        InputError: If the product has no classes, or the sample is of other ground.
    """
    if after.product in SHARES:
        raise InputError(f"sample.product: {after.product} has no classes that ground could gain or lose")
    for figures in (before, after):
        require_same_ground(sample, figures)
    answered = ~np.isnan(references).any(axis=0)
    require_answers(sample, answered)
    first, second = references[:, answered] == OF_CLASS
    found = changed(sample.design(answered), first, second)
    name = CLASSES[after.product][OF_CLASS]
    was, is_now = (figures.region.said_ha[name] for figures in (before, after))
    of_points = "the same points were judged for both seasons, whatever map their strata are of"
    together = f"{of_points}; errors that both seasons share cancel"
    others = "" if models_of(before) == models_of(after) else OTHER_MODELS
    rows = [
        _row(after.region, kind, name, one, said, int(answered.sum()), why)
        for kind, one, said, why in (
            ("area_before", found.before, was, of_points),
            ("area_after", found.after, is_now, of_points),
            ("gain", found.gain, np.nan, of_points),
            ("loss", found.loss, np.nan, of_points),
            ("net_change", found.net, is_now - was, together),
        )
    ]
    rows[-1]["warning"] = "; ".join(told for told in (rows[-1]["warning"], others) if told)
    told = (*remarks, left_out(sample, answered), provisional(before), provisional(after))
    return _table(rows, sample, after, told, since=str(before.edition.plan.season))


def provisional(figures: MapFigures) -> str:
    """What a reader has to know of a season that was mapped before it was over; empty of others."""
    plan = figures.edition.plan
    return f"PROVISIONAL: {plan.season} was not over when it was mapped" if plan.provisional else ""


def models_of(figures: MapFigures) -> dict[str, str]:
    """Product -> hash of the model, of all that an edition's maps are made from."""
    return {made.product: made.model_hash for made in figures.edition.plan.products}


def left_out(sample: Sample, answered: np.ndarray) -> str:
    """What a reader has to know of points without an answer; empty if there are none.

    Args:
        sample: The sample.
        answered: bool [point], whether a point has an answer that holds.
    """
    if answered.all():
        return ""
    strata = sample.points["stratum"].to_numpy()
    drawn = np.bincount(strata, minlength=len(sample.drawn.strata))
    missing = np.bincount(strata, weights=~answered, minlength=len(drawn)).astype(int)
    worst = [int(index) for index in np.argsort(-missing / np.maximum(drawn, 1), kind="stable") if missing[index]]
    told = [f"{missing[index]} of {drawn[index]} in {sample.drawn.strata[index].name!r}" for index in worst[:NAMED]]
    return (
        f"{missing.sum()} of {len(answered)} points have no answer that holds ({', '.join(told)}"
        f"{', …' if len(worst) > NAMED else ''}); they are taken to be like the others of their stratum"
    )


def published(found: Estimate) -> float:
    """A value as it may be published, rounded to ``telling_error``."""
    return rounded_to(found.value, telling_error(found.standard_error, found.low, found.high))


def telling_error(standard_error: float, low: float, high: float) -> float:
    """The error that says how many figures mean anything: that of the interval where it is wider than the standard one.

    Where few points tell how a map errs the standard error is too small, or 0, and the interval does not rest on it.
    """
    return float(np.fmax(standard_error, (high - low) / (2 * REACH)))


def rounded_to(value: float, standard_error: float) -> float:
    """A value to the decimal place of the second significant figure of its standard error.

    JCGM 100:2008 (the Guide to the expression of uncertainty in measurement), 7.2.6. A value without error, or without
    a known one, stays as it is.
    """
    if not (np.isfinite(value) and np.isfinite(standard_error) and standard_error > 0):
        return value
    place = SIGNIFICANT - 1 - int(np.floor(np.log10(standard_error)))
    # An error of 0.996 is 1.0 at two figures, so that one place less is told.
    if round(standard_error, place) >= 10 ** (SIGNIFICANT - place):
        place -= 1
    return float(round(value, place))


def _class_rows(judged: Judged, settings: Settings) -> Iterable[dict[str, Any]]:
    figures, answered = judged.figures, judged.answered
    design, classes = judged.design, CLASSES[figures.product]
    reference, mapped = judged.reference[answered].astype(int), judged.mapped[answered]
    alike = judged.strata_are_classes
    found: Assessment = (assessed if alike else indicator)(design, mapped, reference, classes)
    why = _why(judged, STRATIFIED in found.overall.method)
    points, region = int(answered.sum()), figures.region
    areas = found.areas
    if STRATIFIED not in found.overall.method:
        everywhere = np.ones(points, bool)
        whole = domain_area(
            design,
            mapped == OF_CLASS,
            reference == OF_CLASS,
            everywhere,
            region.name,
            region.said_ha[classes[OF_CLASS]],
            np.ones(len(design.strata)),
        )
        areas = dict(zip(classes, (whole.rest_of(region.total_ha), whole), strict=True))
    yield _row(region, "overall_accuracy", "", found.overall, np.nan, points, why)
    for name in classes:
        yield _row(region, AREA, name, areas[name], region.said_ha[name], points, why)
    for kind, accuracies in (("users_accuracy", found.users), ("producers_accuracy", found.producers)):
        for name in classes:
            yield _row(region, kind, name, accuracies[name], np.nan, points, why)
    counts, units = judged.counts, judged.units
    reason = "the map is known of all of the place, its error there is estimated from its points"
    for place in figures.places[:-1]:
        inside, fewest, count = np.isin(units, sorted(place.units)), settings.fewest_points, counts[place.key]
        if count < fewest:
            yield from (_refused(place, AREA, name, counts, fewest) for name in classes)
            continue
        said, total = place.said_ha[classes[OF_CLASS]], place.total_ha
        held = judged.held(place)
        part = domain_area(design, mapped == OF_CLASS, reference == OF_CLASS, inside, place.name, said, held, fewest)
        if not 0 <= part.value <= total:
            yield from (_refused(place, AREA, name, counts, fewest, part.value) for name in classes)
            continue
        # The other class is the rest, so that the two add up to the place.
        for name, one in zip(classes, (part.rest_of(total), part), strict=True):
            yield _row(place, AREA, name, one, place.said_ha[name], count, reason)


def _share_rows(judged: Judged, settings: Settings) -> Iterable[dict[str, Any]]:
    figures, answered, region = judged.figures, judged.answered, judged.figures.region
    design, reference, mapped = judged.design, judged.reference[answered], judged.mapped[answered]
    known = _known_range(judged, design)
    estimator = regression if settings.estimator == "regression" else difference
    whole = estimator(design, _mean(region), mapped, reference, known=known)
    why = {
        "difference": "the map's share is known of all ground, so that only its error is estimated; without bias",
        "regression": "asked for (sample.estimator): corrects a map that is too high or too low throughout",
    }[settings.estimator]
    yield _row(region, COVERED, "", whole.times(region.total_ha), region.said_ha[""], int(answered.sum()), why)
    counts, units, fewest = judged.counts, judged.units, settings.fewest_points
    reason = "the map's share of the place is known, its error there is estimated from its points"
    for place in figures.places[:-1]:
        if counts[place.key] < fewest:
            yield _refused(place, COVERED, "", counts, fewest)
            continue
        inside = np.isin(units, sorted(place.units))
        held = judged.held(place)
        part = domain_difference(
            design, _mean(place), mapped, reference, inside, place.name, fewest, known=known, held=held
        )
        area = part.times(place.total_ha)
        if not 0 <= part.value <= 1:
            yield _refused(place, COVERED, "", counts, fewest, area.value)
            continue
        yield _row(place, COVERED, "", area, place.said_ha[""], counts[place.key], reason)


def _mean(place: KnownPlace) -> float:
    """The map's mean share of all ground of a place."""
    return place.said_ha[""] / place.total_ha


def _known_range(judged: Judged, design: Design) -> MappedRange:
    """Ground that was not mapped when the sample was drawn counts as 0 in that very map, all of it."""
    highest = np.ones(len(design.strata))
    if judged.sample.drawn.edition == judged.figures.edition.id:
        points = judged.sample.points
        seen = np.isin(points["value"], sorted(judged.figures.reading.mapped))
        highest = (np.bincount(points["stratum"], weights=seen, minlength=len(highest)) > 0).astype(float)
    return MappedRange(np.zeros(len(highest)), highest)


def _why(judged: Judged, alike: bool) -> str:
    drawn, edition = judged.sample.drawn, judged.figures.edition
    if alike:
        return "strata are the classes of this very map and the ground that is not mapped"
    if drawn.edition != edition.id:
        return (
            f"the sample was drawn for edition {drawn.edition} of {drawn.season}: a point's stratum is not its class "
            "in this map, which was looked up anew"
        )
    strata = drawn.settings.get("strata", {})
    how = f"{strata.get('by', 'others')} within each {strata.get('within', 'area')}"
    return f"strata ({how}) are not one for each class of the map as it is read now"


def _refused(
    place: KnownPlace,
    figure: str,
    name: str,
    counts: Mapping[Place, int],
    fewest: int,
    impossible_ha: float | None = None,
) -> dict[str, Any]:
    """The row of a place that has too few points, or an estimate that cannot be, with the next larger one."""
    *parents, region = place.larger
    enough = [one for one in parents if counts[one] >= fewest]
    offered = f"the region's ({counts[region]} points)"  # it always has an estimate
    if enough:
        level, larger = enough[0]
        offered = f"that of {level} {larger!r} ({counts[enough[0]]} points)"
    nothing = Estimate(np.nan, np.nan, np.nan, np.nan, "")
    reason = f"{counts[place.key]} answered points lie in it, {fewest} are needed (sample.fewest_points_per_unit)"
    if impossible_ha is not None:
        reason = (
            f"its {counts[place.key]} answered points are too few: the estimate would be {impossible_ha:,.1f} of "
            f"{place.total_ha:,.1f} ha"
        )
    return _row(place, figure, name, nothing, place.said_ha[name], counts[place.key], "") | {
        "refused": f"{reason}: use {offered}, or draw more points there"
    }


def _row(
    place: KnownPlace, figure: str, name: str, found: Estimate, said: float, points: int, why: str
) -> dict[str, Any]:
    return {
        "level": place.level,
        "id": place.id,
        "name": place.name,
        "figure": figure,
        "class": name,
        "unit": "share" if figure.endswith("accuracy") else "ha",
        "value": found.value,
        "standard_error": found.standard_error,
        "low": found.low,
        "high": found.high,
        "published": published(found),
        "map_value": said,
        "points": points,
        "method": found.method,
        "why": why,
        "warning": found.warning,
        "refused": "",
    }


def _table(
    rows: list[dict[str, Any]], sample: Sample, figures: MapFigures, told: Sequence[str], since: str = ""
) -> pd.DataFrame:
    """The rows with what they have in common, and with what has to be told of every figure."""
    drawn, edition = sample.drawn, figures.edition
    common = {
        "product": figures.product,
        "season": str(edition.plan.season),
        "since": since,
        "edition": edition.id,
        "sample": drawn.id,
    }
    whole = []
    for row in rows:
        warnings = [row["warning"], *(() if row["refused"] else told)]
        whole.append(common | row | {"warning": "; ".join(one for one in warnings if one)})
    return pd.DataFrame(whole, columns=list(COLUMNS))
