"""From a sample and what interpreters said of its points to the table of estimates."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from stook.transforms.estimators.accuracy import Assessment, assessed, indicator
from stook.transforms.estimators.design import Design
from stook.transforms.estimators.domain import domain_area
from stook.transforms.estimators.error_matrix import STRATIFIED
from stook.transforms.estimators.shares import MappedRange, difference, domain_difference, regression
from stook.transforms.sampling.classes import CLASSES, SHARES
from stook.transforms.sampling.estimate_rows import estimate_row, estimates_of, refused_row
from stook.transforms.sampling.judged import OF_CLASS, Judged, left_out, provisional
from stook.transforms.sampling.map_figures import KnownPlace

AREA, COVERED = "area", "covered_area"


@dataclass(frozen=True)
class Settings:
    """What of a configuration decides estimates.

    Attributes:
        estimator: Of building coverage.
        fewest_points: In a place below which it gets no estimate of its own.
    """

    estimator: Literal["difference", "regression"] = "difference"
    fewest_points: int = 30


def estimate_table(judged: Judged, settings: Settings, remarks: Sequence[str] = ()) -> pd.DataFrame:
    """Estimates of the region, of each parent and of each unit.

    Args:
        judged: The sample.
        settings: What decides the figures.
        remarks: What a reader has to know of every figure, empty ones left out.

    Returns:
        Rows of ``stook.transforms.sampling.estimates.COLUMNS``.

    Raises:
        InputError: If a stratum is left with fewer than two answered points.
    """
    rows = list(_share_rows(judged, settings) if judged.figures.product in SHARES else _class_rows(judged, settings))
    told = (*remarks, left_out(judged.sample, judged.answered), provisional(judged.figures))
    return estimates_of(rows, judged.sample, judged.figures, told)


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
    yield estimate_row(region, "overall_accuracy", "", found.overall, np.nan, points, why)
    for name in classes:
        yield estimate_row(region, AREA, name, areas[name], region.said_ha[name], points, why)
    for kind, accuracies in (("users_accuracy", found.users), ("producers_accuracy", found.producers)):
        for name in classes:
            yield estimate_row(region, kind, name, accuracies[name], np.nan, points, why)
    counts, units = judged.counts, judged.units
    reason = "the map is known of all of the place, its error there is estimated from its points"
    for place in figures.places[:-1]:
        inside, fewest, count = np.isin(units, sorted(place.units)), settings.fewest_points, counts[place.key]
        if count < fewest:
            yield from (refused_row(place, AREA, name, counts, fewest) for name in classes)
            continue
        said, total = place.said_ha[classes[OF_CLASS]], place.total_ha
        held = judged.held(place)
        part = domain_area(design, mapped == OF_CLASS, reference == OF_CLASS, inside, place.name, said, held, fewest)
        if not 0 <= part.value <= total:
            yield from (refused_row(place, AREA, name, counts, fewest, part.value) for name in classes)
            continue
        # The other class is the rest, so that the two add up to the place.
        for name, one in zip(classes, (part.rest_of(total), part), strict=True):
            yield estimate_row(place, AREA, name, one, place.said_ha[name], count, reason)


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
    yield estimate_row(region, COVERED, "", whole.times(region.total_ha), region.said_ha[""], int(answered.sum()), why)
    counts, units, fewest = judged.counts, judged.units, settings.fewest_points
    reason = "the map's share of the place is known, its error there is estimated from its points"
    for place in figures.places[:-1]:
        if counts[place.key] < fewest:
            yield refused_row(place, COVERED, "", counts, fewest)
            continue
        inside = np.isin(units, sorted(place.units))
        held = judged.held(place)
        part = domain_difference(
            design, _mean(place), mapped, reference, inside, place.name, fewest, known=known, held=held
        )
        area = part.times(place.total_ha)
        if not 0 <= part.value <= 1:
            yield refused_row(place, COVERED, "", counts, fewest, area.value)
            continue
        yield estimate_row(place, COVERED, "", area, place.said_ha[""], counts[place.key], reason)


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
