"""What a successor edition takes over from its predecessor without computing: maps whose fingerprint is unchanged."""

from dataclasses import dataclass, replace
from functools import cached_property

import zarr

from stook.models.errors import StookError
from stook.transforms.editions import map_store
from stook.transforms.editions.edition import Edition
from stook.transforms.editions.ledger import ProductRecord
from stook.transforms.editions.map_store import TileOfLayer
from stook.transforms.editions.plan import EMBEDDING, DerivedPlan, ProductPlan
from stook.transforms.editions.products import Layer, layers_of
from stook.transforms.editions.tile_records import done_record
from stook.transforms.ground.areas import TileCoverage
from stook.transforms.ground.grid import Tile
from stook.transforms.store import STORE_FAILURES, Address, exists
from stook.transforms.tiles.answers import covered_of
from stook.transforms.tiles.claim import Claim
from stook.transforms.tiles.map_reader import MapReader


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
        """The predecessor of an edition; None if it has none or takes over nothing of it.

        Nothing is taken over from one that was deleted, or its maps, or that another version of the computation made:
        its records may have a form of their own.
        """
        manifest = successor.manifest
        name = manifest["predecessor"] if manifest.get("carries", True) else None
        edition = Edition(successor.folder.parent / name) if name else None
        if edition is None or not edition.exists or not exists(edition.maps / "zarr.json"):
            return None
        same = edition.manifest["plan"].get("processing") == manifest["plan"]["processing"]
        return cls(edition, successor) if same else None

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
        self, product: ProductPlan | DerivedPlan, ground: TileCoverage, fingerprint: str, claim: Claim
    ) -> ProductRecord | None:
        """Take over a product of a tile, its shards as hard links; where units are others, areas are counted anew.

        Args:
            product: Of the successor.
            ground: The tile.
            fingerprint: Of everything that the product of the tile would be made from.
            claim: On the tile.

        Returns:
            The record to keep, or None where the predecessor has nothing made from the very same.

        Raises:
            UnreachableError: If the store does not take it.
            STORE_FAILURES: The same.
            ChangedError: If the tile is no longer this worker's.
        """
        try:
            return self._taken(product, ground, fingerprint, claim)
        except (StookError, *STORE_FAILURES):
            raise
        except Exception:  # noqa: BLE001  a record that cannot be read, or a fault of ours: what is made anew is right
            return None

    def _taken(
        self, product: ProductPlan | DerivedPlan, ground: TileCoverage, fingerprint: str, claim: Claim
    ) -> ProductRecord | None:
        """The same; may raise anything."""
        tile, name = ground.tile, product.product
        record = self.edition.ledger.read(tile)
        if record is None or not record.settles(name, fingerprint):
            return None
        if name == EMBEDDING and not self.same_units:
            return None  # which cells have a vector is not kept apart from the vectors
        own = self.before.product(name)
        claim.require()
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
        """The record with areas, shares and cells of the successor's units, from its own maps: those stay."""
        shares = self.after.shares(product, ground.tile)
        covered = covered_of(ground, shares) if shares is not None else None
        classes = self.after.made_classes(product.product, ground.tile)
        return done_record(product, made.fingerprint, ground, classes, covered, made.batch)
