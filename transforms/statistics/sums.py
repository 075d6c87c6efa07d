"""What the tiles of an edition add up to per unit, parent and region, in exact integers."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from stook.models.errors import InputError
from stook.transforms.editions.edition import Edition
from stook.transforms.editions.ledger import ProductRecord
from stook.transforms.editions.plan import Plan
from stook.transforms.ground.region import Region
from stook.transforms.ground.unit import Unit

WHOLE_REGION = "region"
Histogram = dict[int, int]
Place = tuple[str, str]


@dataclass(frozen=True)
class Sums:
    """What the tiles of an edition add up to, by product and place (level and id).

    Attributes:
        histograms: Class value -> dm².
        cells: Class value -> number of cells; of products whose cells are not counted, nothing.
        covered: Of products that are shares, mean share times area, dm².
        squares: Of the same, the sum over squares of ``ground.areas.SQUARES`` of (interval width times area)², dm⁴.
    """

    histograms: dict[str, dict[Place, Histogram]]
    cells: dict[str, dict[Place, Histogram]]
    covered: dict[str, dict[Place, int]]
    squares: dict[str, dict[Place, float]]


class Tally:
    """Adds up what tiles say, whether their records or their maps say it.

    A square is in several tiles, or a tile in several squares, so the widths of squares are kept until all is read: of
    each product that is a share, one number per square that a place touches, for a country of 10,000 squares some MB.

    Args:
        plan: Of the edition.
        region: Its units.
        everywhere: Whether a place without ground counts as well, with nothing.
    """

    def __init__(self, plan: Plan, region: Region, everywhere: bool = True):
        self.around = {unit.id: (*places(unit), (WHOLE_REGION, plan.name)) for unit in region.units}
        found = {place for around in self.around.values() for place in around} if everywhere else ()
        products = [product.product for product in plan.all_products]
        self.histograms: dict[str, dict[Place, Histogram]] = {name: _empty(found) for name in products}
        self.cells: dict[str, dict[Place, Histogram]] = {name: _empty(found) for name in products}
        self.covered: dict[str, dict[Place, int]] = {name: dict.fromkeys(found, 0) for name in products}
        self.widths: dict[str, dict[Place, dict[str, int]]] = {name: _empty(found) for name in products}

    def add(self, records: Mapping[str, ProductRecord]) -> None:
        """Add the products of a tile, of which the areas tell all units that have ground there."""
        for product, made in records.items():
            for unit, areas in made.areas.items():
                shares = made.covered.get(unit)
                for place in self.around[unit]:
                    _increase(self.histograms[product].setdefault(place, defaultdict(int)), areas)
                    _increase(self.cells[product].setdefault(place, defaultdict(int)), made.cells.get(unit, {}))
                    widths = self.widths[product].setdefault(place, defaultdict(int))
                    covered = self.covered[product].setdefault(place, 0)
                    if shares is not None:
                        self.covered[product][place] = covered + sum(shares.mean_dm2.values())
                        _increase(widths, shares.width_dm2)

    def sums(self) -> Sums:
        """All that was added."""
        squares = {
            product: {place: float(sum(width**2 for width in found.values())) for place, found in of_product.items()}
            for product, of_product in self.widths.items()
        }
        return Sums(self.histograms, self.cells, self.covered, squares)


def ledger_sums(edition: Edition, region: Region) -> Sums:
    """Add up all tiles, one record in memory at a time.

    Raises:
        InputError: If some product of a tile has no record yet.
    """
    plan = edition.plan
    tally = Tally(plan, region)
    products = {product.product for product in plan.all_products}
    tiles, found = len(edition.manifest["tiles"]), 0
    for record in edition.ledger.records():
        found += products <= record.products.keys()
        tally.add(record.products)
    if found < tiles:
        raise InputError(f"{edition.folder}: {tiles - found} of {tiles} tiles are not mapped yet")
    return tally.sums()


def _empty(everywhere: Iterable[Place]) -> dict[Place, dict[Any, int]]:
    """Sums of nothing yet, for every place."""
    return {place: defaultdict(int) for place in everywhere}


def _increase(total: dict[Any, int], more: Mapping[Any, int]) -> None:
    for key, count in more.items():
        total[key] += count


def places(unit: Unit) -> list[Place]:
    """Level and id of the rows that count a unit, but for the region's: its own and those of the parents it has."""
    parents = [(f"parent {n}", parent) for n, parent in enumerate(unit.parents, 1) if parent is not None]
    return [("unit", unit.id), *parents]


def level_order(place: Place) -> tuple[int, str, str]:
    """Units first, then nearer before farther parents, the region last; by id within a level."""
    level, place_id = place
    return (0 if level == "unit" else 2 if level == WHOLE_REGION else 1, level, place_id)
