"""How often the ground of each place was seen clearly, from the published maps, tile by tile."""

from functools import partial

import pandas as pd

from stook.models.errors import InputError
from stook.transforms.editions.edition import Edition
from stook.transforms.editions.ledger import ProductRecord
from stook.transforms.ground.grid import Tile
from stook.transforms.statistics.from_maps import over_tiles
from stook.transforms.statistics.sums import Histogram, Place, Tally
from stook.transforms.statistics.table import write_table
from stook.transforms.store import Address, exists, fetched
from stook.transforms.tiles.map_reader import MapReader
from stook.transforms.values import NODATA

OBSERVATIONS = "observations"  # folder, in a season's, of what was counted once for an edition that never changes
COLUMNS = ["product", "level", "id", "observations", "area_dm2"]
Observed = dict[str, dict[Place, Histogram]]


def observed(reader: MapReader) -> Observed:
    """Product of a model -> place -> number of clear observations -> area, dm²; ground of failed tiles is left out.

    Ground without any scene counts with none. Memory: a few tiles, and the sums.

    Raises:
        InputError: If some product of a tile has no record yet.
    """
    tally = Tally(reader.plan, reader.region)
    for records in over_tiles(reader.tiles, partial(_seen, reader)):
        tally.add(records)
    found = tally.sums().histograms
    return {
        product.product: {place: _without_imagery(areas) for place, areas in found[product.product].items()}
        for product in reader.plan.products
    }


def kept_observed(edition: Edition) -> Observed:
    """The same of a published edition, counted when first asked for and kept beside it: it never changes.

    Raises:
        InputError: As ``observed``.
        OSError: If the file cannot be written.
    """
    path = kept_at(edition)
    if not exists(path):
        found = observed(MapReader(edition))
        rows = [
            (product, *place, value, area)
            for product, of_product in found.items()
            for place, areas in of_product.items()
            for value, area in sorted(areas.items())
        ]
        path.parent.mkdir(parents=True, exist_ok=True)
        write_table(pd.DataFrame(rows, columns=COLUMNS), path)
        return found
    kept: Observed = {product.product: {} for product in edition.plan.products}
    table = pd.read_parquet(fetched(path))
    for product, level, place, value, area in zip(*(table[name].tolist() for name in COLUMNS), strict=True):
        kept[product].setdefault((level, place), {})[value] = area
    return kept


def kept_at(edition: Edition) -> Address:
    """Where the counts of an edition are kept."""
    return edition.folder.parent / OBSERVATIONS / f"{edition.id}.parquet"


def mean_of(areas: Histogram) -> float | None:
    """Mean number of observations, by area; None of no ground."""
    total = sum(areas.values())
    return sum(value * area for value, area in areas.items()) / total if total else None


def least_seen(areas: Histogram, share: float) -> int | None:
    """The number of observations that ``share`` of the ground does not exceed: its quantile by area; None of none."""
    needed, running = share * sum(areas.values()), 0
    for value in sorted(areas):
        running += areas[value]
        if running >= needed:
            return value
    return None


def _seen(reader: MapReader, tile: Tile) -> dict[str, ProductRecord]:
    """Product -> the areas of its counts in a tile."""
    record = reader.edition.ledger.read(tile)
    if record is None or any(product.product not in record.products for product in reader.plan.products):
        raise InputError(f"{reader.edition.folder}: tile {tile.name} is not mapped yet")
    made = [product for product in reader.plan.products if record.products[product.product].status == "done"]
    tables = reader.ground(tile).areas({product.product: reader.layer(product, -1, tile) for product in made})
    return {
        product.product: ProductRecord("", "done", {unit: areas[product.product] for unit, areas in tables.items()})
        for product in made
    }


def _without_imagery(areas: Histogram) -> Histogram:
    """The counts with ground that no scene shows as ground that was never seen."""
    seen = {value: area for value, area in areas.items() if value != NODATA and area}
    blind = areas.get(NODATA, 0) + seen.get(0, 0)
    return seen | ({0: blind} if blind else {})
