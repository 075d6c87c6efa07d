"""The maps of an edition, tile by tile, as stored and as the values that areas are counted over."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import xarray as xr

from stook.transforms.editions import map_store
from stook.transforms.editions.edition import Edition
from stook.transforms.editions.plan import DerivedPlan, Plan, ProductPlan
from stook.transforms.editions.products import layers_of
from stook.transforms.ground.areas import TileCoverage
from stook.transforms.ground.grid import Tile, TileRange, Zone
from stook.transforms.ground.region import Region
from stook.transforms.tiles.answers import class_image, shares_in
from stook.transforms.tiles.derived import derived_classes
from stook.transforms.values import FAILED


@dataclass(frozen=True)
class MapReader:
    """Reads an edition's maps; nothing is held but what is asked for. Threads may share it.

    Attributes:
        edition: Of which every tile has its record.
    """

    edition: Edition

    @cached_property
    def plan(self) -> Plan:
        """What the edition is made of."""
        return self.edition.plan

    @cached_property
    def region(self) -> Region:
        """Its frozen units."""
        return Region.read(self.edition.units)

    @cached_property
    def tiles(self) -> tuple[Tile, ...]:
        """Every tile, sorted."""
        return tuple(sorted(Tile.parse(name) for name in self.edition.manifest["tiles"]))

    @cached_property
    def extents(self) -> dict[Zone, TileRange]:
        """What the arrays of each zone span."""
        return map_store.extents(self.tiles)

    @cached_property
    def _groups(self) -> dict[tuple[str, float], xr.Dataset]:
        """Zone and resolution -> the arrays, opened when first asked for."""
        return {}

    def product(self, name: str) -> ProductPlan | DerivedPlan:
        """A product of the edition by name."""
        return next(product for product in self.plan.all_products if product.product == name)

    def ground(self, tile: Tile) -> TileCoverage:
        """Whose ground the pixels of a tile are."""
        return TileCoverage.of(self.region, self.plan.grid, tile)

    def window(self, product: ProductPlan | DerivedPlan, tile: Tile) -> tuple[slice, slice]:
        """Where a tile lies in a product's arrays."""
        return self.extents[tile.zone].slices(self.plan.cells(product), tile)

    def layer(self, product: ProductPlan | DerivedPlan, layer: int, tile: Tile, reach: int = 0) -> np.ndarray:
        """A layer of a product in a tile as stored, [cell row, cell column] or [depth, cell row, cell column].

        Args:
            product: As planned.
            layer: Which of ``stook.transforms.editions.products.layers_of``.
            tile: The tile.
            reach: Cells around the tile that are read too, nodata beyond the array.
        """
        wanted, group = layers_of(product)[layer], (tile.zone.name, self.plan.cells(product).resolution_m)
        if group not in self._groups:
            self._groups[group] = map_store.open_group(self.edition.maps, *group)
        return map_store.read_around(self._groups[group][wanted.name], self.window(product, tile), reach, wanted.nodata)

    def classes(self, name: str, tile: Tile) -> np.ndarray:
        """The class image of a product in a tile, uint8 [cell row, cell column], north up.

        Percent (of quantiles the median) or codes, or why there is none: see ``stook.transforms.values``. It is the
        very image that the ledger's areas were counted over.
        """
        record = self.edition.ledger.read(tile)
        if record is None or record.products[name].status == "failed":
            side = self.plan.cells(self.product(name)).tile_px
            return np.full((side, side), FAILED, np.uint8)
        return self.made_classes(name, tile)

    def made_classes(self, name: str, tile: Tile) -> np.ndarray:
        """The same of a product that did not fail in the tile, also before the ledger says so."""
        product = self.product(name)
        if isinstance(product, DerivedPlan):
            inputs = [self._at_pixels(self.made_classes(source, tile)) for source in product.inputs]
            return derived_classes(product, self.layer(product, 0, tile), inputs)
        percent, clear = self.layer(product, 0, tile), self.layer(product, -1, tile)
        return class_image(percent[len(percent) // 2] if product.quantiles else percent, clear)

    def shares(self, product: ProductPlan | DerivedPlan, tile: Tile) -> np.ndarray | None:
        """Mean and interval width of a covered share, float64 [2, cell row, cell column]; NaN where there is none.

        None for a product that is no share of its cells.
        """
        summed = range(1, len(layers_of(product)) - 1) if product.quantiles else ()
        return shares_in([self.layer(product, layer, tile) for layer in summed]) if summed else None

    def _at_pixels(self, cells: np.ndarray) -> np.ndarray:
        return in_pixels(cells, self.plan.grid.tile_px // cells.shape[0])


def in_pixels(cells: np.ndarray, cell_px: int) -> np.ndarray:
    """Cells divided into pixels: [cell row, cell column] -> [y, x]."""
    return cells.repeat(cell_px, axis=0).repeat(cell_px, axis=1)
