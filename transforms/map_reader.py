"""The maps of an edition, tile by tile, as stored and as the values that areas are counted over."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from transforms import map_store
from transforms.answers import class_image
from transforms.areas import TileCoverage
from transforms.derived import derived_classes
from transforms.editions import Edition
from transforms.grid import Tile, TileRange, Zone
from transforms.plan import DerivedPlan, Plan, ProductPlan
from transforms.products import layers_of
from transforms.region import Region
from transforms.values import FAILED


@dataclass(frozen=True)
class MapReader:
    """Reads an edition's maps; nothing is held but what is asked for.

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

    def product(self, name: str) -> ProductPlan | DerivedPlan:
        """A product of the edition by name."""
        return next(product for product in self.plan.all_products if product.product == name)

    def ground(self, tile: Tile) -> TileCoverage:
        """Whose ground the pixels of a tile are."""
        return TileCoverage.of(self.region, self.plan.grid, tile)

    def layer(self, product: ProductPlan | DerivedPlan, layer: int, tile: Tile) -> np.ndarray:
        """A layer of a product in a tile, [cell row, cell column] or [depth, cell row, cell column], as stored."""
        cells = self.plan.cells(product)
        window = self.extents[tile.zone].slices(cells, tile)
        name = layers_of(product)[layer].name
        return np.asarray(
            map_store.open_layer(self.edition.maps, tile.zone.name, cells.resolution_m, name)[..., *window]
        )

    def classes(self, name: str, tile: Tile) -> np.ndarray:
        """The class image of a product in a tile, uint8 [cell row, cell column], north up.

        Percent (of quantiles the median) or codes, or why there is none: see ``transforms.values``. It is the very
        image that the ledger's areas were counted over.
        """
        product = self.product(name)
        record = self.edition.ledger.read(tile)
        if record is None or record.products[name].status == "failed":
            side = self.plan.cells(product).tile_px
            return np.full((side, side), FAILED, np.uint8)
        if isinstance(product, DerivedPlan):
            inputs = [self._at_pixels(self.classes(source, tile)) for source in product.inputs]
            return derived_classes(product, self.layer(product, 0, tile), inputs)
        percent, clear = self.layer(product, 0, tile), self.layer(product, -1, tile)
        return class_image(percent[len(percent) // 2] if product.quantiles else percent, clear)

    def _at_pixels(self, cells: np.ndarray) -> np.ndarray:
        side = self.plan.grid.tile_px // cells.shape[0]
        return cells.repeat(side, axis=0).repeat(side, axis=1)
