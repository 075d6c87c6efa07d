"""What the ledger of an edition adds up to per unit, parent and region, in exact integers."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from models.errors import InputError
from transforms.editions import Edition
from transforms.region import Region
from transforms.unit import Unit

WHOLE_REGION = "region"
Histogram = dict[int, int]
Place = tuple[str, str]


@dataclass(frozen=True)
class Sums:
    """What the records of an edition add up to, by product and place (level and id).

    Attributes:
        histograms: Class value -> dm².
        cells: Class value -> number of cells; of products whose cells are not counted, nothing.
        covered: Of products that are shares, mean share times area, dm².
        squares: Of the same, the sum over squares of ``transforms.areas.SQUARES`` of (interval width times area)², dm⁴.
    """

    histograms: dict[str, dict[Place, Histogram]]
    cells: dict[str, dict[Place, Histogram]]
    covered: dict[str, dict[Place, int]]
    squares: dict[str, dict[Place, float]]


def ledger_sums(edition: Edition, region: Region) -> Sums:
    """Add up all tiles, one record in memory at a time.

    A square is in several tiles, or a tile in several squares, so the widths of squares are kept until all is read: of
    each product that is a share, one number per square that a place touches, for a country of 10,000 squares some MB.

    Raises:
        InputError: If some product of a tile has no record yet.
    """
    plan = edition.plan
    around = {unit.id: (*places(unit), (WHOLE_REGION, plan.name)) for unit in region.units}
    everywhere = {place for found in around.values() for place in found}
    products = {product.product for product in plan.all_products}
    histograms: dict[str, dict[Place, Histogram]] = {name: _empty(everywhere) for name in products}
    cells: dict[str, dict[Place, Histogram]] = {name: _empty(everywhere) for name in products}
    covered: dict[str, dict[Place, int]] = {name: dict.fromkeys(everywhere, 0) for name in products}
    widths: dict[str, dict[Place, dict[str, int]]] = {name: _empty(everywhere) for name in products}
    tiles, found = len(edition.manifest["tiles"]), 0
    for record in edition.ledger.records():
        found += products <= record.products.keys()
        for product, made in record.products.items():
            for counts, total in ((made.areas, histograms), (made.cells, cells)):
                for unit, histogram in counts.items():
                    for place in around[unit]:
                        for value, count in histogram.items():
                            total[product][place][value] += count
            for unit, shares in made.covered.items():
                for place in around[unit]:
                    covered[product][place] += sum(shares.mean_dm2.values())
                    for square, width in shares.width_dm2.items():
                        widths[product][place][square] += width
    if found < tiles:
        raise InputError(f"{edition.folder}: {tiles - found} of {tiles} tiles are not mapped yet")
    squares = {
        product: {place: float(sum(width**2 for width in of_place.values())) for place, of_place in of_product.items()}
        for product, of_product in widths.items()
    }
    return Sums(histograms, cells, covered, squares)


def _empty(everywhere: Iterable[Place]) -> dict[Place, dict[Any, int]]:
    """Sums of nothing yet, for every place."""
    return {place: defaultdict(int) for place in everywhere}


def places(unit: Unit) -> list[Place]:
    """Level and id of the rows that count a unit, but for the region's: its own and those of the parents it has."""
    parents = [(f"parent {n}", parent) for n, parent in enumerate(unit.parents, 1) if parent is not None]
    return [("unit", unit.id), *parents]


def level_order(place: Place) -> tuple[int, str, str]:
    """Units first, then nearer before farther parents, the region last; by id within a level."""
    level, place_id = place
    return (0 if level == "unit" else 2 if level == WHOLE_REGION else 1, level, place_id)
