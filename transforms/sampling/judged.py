"""A sample whose points were judged, held against an edition's map: checked, looked up, and what is missing told."""

from collections import Counter
from dataclasses import dataclass

import numpy as np

from stook.models.errors import InputError
from stook.transforms.estimators.design import FEWEST_POINTS, Design
from stook.transforms.sampling.classes import CLASSES, SHARES
from stook.transforms.sampling.lookup import OUTSIDE, shares_at, values_at
from stook.transforms.sampling.map_figures import KnownPlace, MapFigures
from stook.transforms.sampling.sample import DM2_PER_HA, Sample
from stook.transforms.statistics.sums import Place
from stook.transforms.tiles.map_reader import MapReader

NAMED = 4  # strata in a warning
OF_CLASS = 1  # place of the class that is mapped for among ``CLASSES``
SAME_GROUND = 1e-6  # relative; another grid, and other values to sum by, round the tiles' dm² otherwise


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
                f"sample {sample.drawn.id}: {count:.0f} of {stratum.points} points in {stratum.name!r} have a resolved "
                f"label, at least {FEWEST_POINTS} are needed; the others are unanswered, or left out where "
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


def provisional(figures: MapFigures) -> str:
    """What a reader has to know of a season that was mapped before it was over; empty of others."""
    plan = figures.edition.plan
    return f"PROVISIONAL: {plan.season} was not over when it was mapped" if plan.provisional else ""


def left_out(sample: Sample, answered: np.ndarray) -> str:
    """What a reader has to know of points without an answer; empty if there are none.

    Args:
        sample: The sample.
        answered: bool [point], whether a point has a resolved label.
    """
    if answered.all():
        return ""
    strata = sample.points["stratum"].to_numpy()
    drawn = np.bincount(strata, minlength=len(sample.drawn.strata))
    missing = np.bincount(strata, weights=~answered, minlength=len(drawn)).astype(int)
    worst = [int(index) for index in np.argsort(-missing / np.maximum(drawn, 1), kind="stable") if missing[index]]
    told = [f"{missing[index]} of {drawn[index]} in {sample.drawn.strata[index].name!r}" for index in worst[:NAMED]]
    return (
        f"{missing.sum()} of {len(answered)} points have no resolved label ({', '.join(told)}"
        f"{', …' if len(worst) > NAMED else ''}); they are taken to be like the others of their stratum"
    )
