"""What a successor edition takes over from its predecessor without computing: maps whose fingerprint is unchanged."""

from dataclasses import dataclass, replace
from functools import cached_property

import zarr

from transforms.editions import map_store
from transforms.editions.edition import Edition
from transforms.editions.ledger import ProductRecord
from transforms.editions.map_store import TileOfLayer
from transforms.editions.plan import EMBEDDING, DerivedPlan, ProductPlan
from transforms.editions.products import Layer, layers_of
from transforms.editions.tile_records import done_record
from transforms.ground.areas import TileCoverage
from transforms.ground.grid import Tile
from transforms.store import Address
from transforms.tiles.answers import covered_of
from transforms.tiles.map_reader import MapReader


@dataclass(frozen=True)
class Predecessor:
    """The edition that was published when another was opened.

    Attributes:
        edition: The predecessor.
        successor: The edition that takes over.
    """

    edition: Edition
    successor: Edition

    @classmethod
    def of(cls, successor: Edition) -> "Predecessor | None":
        """The predecessor of an edition; None if it has none, takes over nothing of it, or it was deleted."""
        manifest = successor.manifest
        name = manifest["predecessor"] if manifest.get("carries", True) else None
        edition = Edition(successor.folder.parent / name) if name else None
        return cls(edition, successor) if edition and edition.exists else None

    @cached_property
    def before(self) -> MapReader:
        """The predecessor's maps."""
        return MapReader(self.edition)

    @cached_property
    def after(self) -> MapReader:
        """The successor's maps."""
        return MapReader(self.successor)

    @cached_property
    def same_units(self) -> bool:
        """Whether areas are of the same units."""
        return self.before.plan.units_hash == self.after.plan.units_hash

    @cached_property
    def _arrays(self) -> dict[tuple[Address, str, float, str], zarr.Array]:
        """Arrays of both, opened when first asked for: opening takes longer than linking a tile."""
        return {}

    def carried(
        self, product: ProductPlan | DerivedPlan, ground: TileCoverage, fingerprint: str
    ) -> ProductRecord | None:
        """Take over a product of a tile, its shards as hard links; where units are others, areas are counted anew.

        Args:
            product: Of the successor.
            ground: The tile.
            fingerprint: Of everything that the product of the tile would be made from.

        Returns:
            The record to keep, or None where the predecessor has nothing made from the very same.

        Raises:
            UnreachableError: If the store does not take it.
        """
        tile, name = ground.tile, product.product
        record = self.edition.ledger.read(tile)
        if record is None or not record.settles(name, fingerprint):
            return None
        if name == EMBEDDING and not self.same_units:
            return None  # which cells have a vector is not kept apart from the vectors
        own = self.before.product(name)
        for before, after in zip(layers_of(own), layers_of(product), strict=True):
            self._layer(self.after, product, after, tile).link(self._layer(self.before, own, before, tile))
        if not self.edition.exists:
            return None  # removed meanwhile: a shard that was gone would be taken for nothing but nodata
        made = record.products[name]
        if not self.same_units:
            made = self._counted_anew(product, ground, made)
        return replace(made, carried=made.carried or self.edition.id)

    def _layer(self, reader: MapReader, product: ProductPlan | DerivedPlan, layer: Layer, tile: Tile) -> TileOfLayer:
        """A layer's tile."""
        store = reader.edition.maps
        key = store, tile.zone.name, reader.plan.cells(product).resolution_m, layer.name
        if key not in self._arrays:
            self._arrays[key] = map_store.open_layer(*key)
        return TileOfLayer(store, self._arrays[key], reader.window(product, tile))

    def _counted_anew(
        self, product: ProductPlan | DerivedPlan, ground: TileCoverage, made: ProductRecord
    ) -> ProductRecord:
        """The record with areas, shares and cells of the successor's units."""
        own = self.before.product(product.product)
        shares = self.before.shares(own, ground.tile)
        covered = covered_of(ground, shares) if shares is not None else None
        classes = self.before.made_classes(product.product, ground.tile)
        return done_record(product, made.fingerprint, ground, classes, covered, made.batch)
