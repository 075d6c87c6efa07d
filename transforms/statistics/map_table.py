"""The table of areas and cells made again from the published maps, and by the values of a layer of the user's."""

import re
from collections.abc import Mapping

import pandas as pd

from stook.transforms.editions.edition import Edition
from stook.transforms.ground.region import Region
from stook.transforms.statistics.crossing import cross_sums
from stook.transforms.statistics.from_maps import map_sums
from stook.transforms.statistics.layers import NONE, read_layer
from stook.transforms.statistics.sums import Sums, level_order
from stook.transforms.statistics.table import area_table
from stook.transforms.tiles.map_reader import MapReader


def statistics_from_maps(edition: Edition, thresholds: Mapping[str, int], by: str | None = None) -> pd.DataFrame:
    """The table of ``stook.transforms.statistics.table.statistics``, made again from the published maps.

    Args:
        edition: Every tile must have its record, which says whether it failed.
        thresholds: See there.
        by: A layer to cross-tabulate with, see ``stook.transforms.statistics.layers.read_layer``; the table then has
            a row per product, place and value of the layer that has ground there, which add up to the place.

    Raises:
        InputError: If a tile has no record yet, or the layer cannot be read.
    """
    reader = MapReader(edition)
    if by is None:
        return area_table(edition, reader.region, map_sums(reader), thresholds)
    layer = read_layer(by, reader.region)
    return cross_table(edition, reader.region, cross_sums(reader, layer), thresholds, layer.name)


def cross_table(
    edition: Edition, region: Region, crossed: Mapping[str, Sums], thresholds: Mapping[str, int], layer: str
) -> pd.DataFrame:
    """See ``statistics_from_maps``: the table with the columns ``layer`` and ``value`` after those that name the place.

    Values come in order, whole numbers by size, ground without a value last.
    """
    values = sorted(crossed, key=_value_order)
    tables = [area_table(edition, region, crossed[value], thresholds) for value in values]
    whole = pd.concat([table.assign(value=value) for value, table in zip(values, tables, strict=True)])
    products = [product.product for product in edition.plan.all_products]
    keys = zip(whole["product"], whole["level"], whole["id"], whole["value"], strict=True)
    rank = {value: number for number, value in enumerate(values)}
    order = [
        (products.index(product), level_order((level, place)), rank[value]) for product, level, place, value in keys
    ]
    whole = whole.iloc[sorted(range(len(order)), key=order.__getitem__)].reset_index(drop=True)
    whole.insert(3, "layer", layer)
    whole.insert(4, "value", whole.pop("value"))
    return whole


def _value_order(value: str) -> tuple[bool, bool, int, str]:
    """Whole numbers by size, then texts, then ground without a value."""
    number = re.fullmatch(r"-?\d+", value) is not None
    return value == NONE, not number, int(value) if number else 0, value
