"""What an edition's map says of every place, exactly: what samples are estimated beside."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from stook.models.errors import InputError
from stook.transforms.editions.edition import Edition
from stook.transforms.editions.plan import DerivedPlan, ProductPlan
from stook.transforms.estimators.error_matrix import NOT_MAPPED
from stook.transforms.ground.region import Region
from stook.transforms.sampling.classes import CLASSES, SHARES
from stook.transforms.sampling.sample import DM2_PER_HA
from stook.transforms.statistics.readings import Reading, reading_of
from stook.transforms.statistics.sums import WHOLE_REGION, Place, ledger_sums, level_order, places
from stook.transforms.statistics.table import total


@dataclass(frozen=True)
class KnownPlace:
    """A place of which the map's exact sums are known.

    Attributes:
        level: ``unit``, ``parent 1`` …, ``region``.
        id: Of it.
        name: For people.
        units: Ids of the units that it consists of.
        larger: Level and id of the places around it, the nearest first, the region last.
        total_dm2: Its ground.
        said_ha: Class -> what the map's pixels say of it; of a share, ``""`` -> the covered area.
    """

    level: str
    id: str
    name: str
    units: frozenset[str]
    larger: tuple[tuple[str, str], ...]
    total_dm2: int
    said_ha: Mapping[str, float]

    @property
    def key(self) -> Place:
        """Level and id."""
        return self.level, self.id

    @property
    def total_ha(self) -> float:
        """Its ground."""
        return self.total_dm2 / DM2_PER_HA


@dataclass(frozen=True)
class MapFigures:
    """What an edition says of a product, exactly.

    Attributes:
        edition: Whose map.
        product: Its name.
        reading: What its values mean.
        places: Every unit, parent and, last, the region.
    """

    edition: Edition
    product: str
    reading: Reading
    places: tuple[KnownPlace, ...]

    @classmethod
    def of(cls, edition: Edition, product: str, thresholds: Mapping[str, int]) -> "MapFigures":
        """Those of a published edition.

        Raises:
            InputError: If it has no such product, or a tile has no record.
        """
        plan = edition.plan
        made: dict[str, ProductPlan | DerivedPlan] = {one.product: one for one in plan.all_products}
        if product not in made:
            raise InputError(f"{edition.folder}: has no map of {product}; there are {', '.join(sorted(made))}")
        reading = reading_of(plan, made[product], thresholds, calibrated=False)
        region = Region.read(edition.units)
        sums = ledger_sums(edition, region)
        names = {("unit", unit.id): unit.name for unit in region.units}
        units: dict[Place, list[str]] = {}
        around: dict[Place, tuple[Place, ...]] = {}
        for unit in region.units:
            holding = (*places(unit), (WHOLE_REGION, plan.name))
            for number, place in enumerate(holding):
                units.setdefault(place, []).append(unit.id)
                around.setdefault(place, holding[number + 1 :])
        found = []
        for place in sorted(sums.histograms[product], key=level_order):
            histogram = sums.histograms[product][place]
            if product in SHARES:
                said = {"": sums.covered[product][place] / DM2_PER_HA}
            else:
                of_class = total(histogram, reading.of_class)
                other = total(histogram, reading.mapped) - of_class
                said = dict(zip(CLASSES[product], (other / DM2_PER_HA, of_class / DM2_PER_HA), strict=True))
            name, whole = names.get(place, place[1]), sum(histogram.values())
            found.append(KnownPlace(*place, name, frozenset(units[place]), around[place], whole, said))
        return cls(edition, product, reading, tuple(found))

    @property
    def cell_m(self) -> float:
        """Side of a cell of the product."""
        plan = self.edition.plan
        [planned] = [one for one in plan.all_products if one.product == self.product]
        return plan.cells(planned).resolution_m

    @property
    def region(self) -> KnownPlace:
        """All of it."""
        return self.places[-1]

    def classes_at(self, values: np.ndarray) -> np.ndarray:
        """Class of each value of the class image, int [point]: its place in ``CLASSES``, or ``NOT_MAPPED``."""
        of_class = np.isin(values, sorted(self.reading.of_class))
        mapped = np.isin(values, sorted(self.reading.mapped))
        return np.where(mapped, of_class.astype(int), NOT_MAPPED)
