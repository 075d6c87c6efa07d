"""The work on one tile of the stage that makes products from finished maps; it needs no model."""

import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace

import numpy as np

from stook.models.errors import InputError, UnreachableError
from stook.transforms.editions import map_store
from stook.transforms.editions.edition import Edition
from stook.transforms.editions.lease import now
from stook.transforms.editions.ledger import ProductRecord, TileRecord
from stook.transforms.editions.plan import DerivedPlan
from stook.transforms.editions.tile_records import cause_of, done_record, failed_record
from stook.transforms.ground.areas import TileCoverage
from stook.transforms.ground.grid import Tile
from stook.transforms.store import STORE_FAILURES, ChangedError
from stook.transforms.tiles.carrying import Predecessor
from stook.transforms.tiles.claim import Claim
from stook.transforms.tiles.derived import derive, reach_px
from stook.transforms.tiles.fingerprints import Made, Records, derived_fingerprint, made_inputs
from stook.transforms.tiles.map_reader import MapReader, in_pixels
from stook.transforms.tiles.summary import TileSummary


class DeriveJob:
    """Makes the derived products of tiles, one after the other, for one may be made from another.

    Every decision is taken from maps that this stage leaves alone, or from the tile's own, so the order of tiles does
    not matter. Memory: a tile with what is read around it.

    Args:
        edition: An open edition.
    """

    def __init__(self, edition: Edition):
        self.edition = edition
        self.maps = MapReader(edition)
        self.plan = self.maps.plan
        self.tiles = frozenset(tile.name for tile in self.maps.tiles)
        self.predecessor = Predecessor.of(edition)

    def run(self, tile: Tile) -> TileSummary:
        """Make the derived products of a tile whose records do not say that the very same was done.

        Raises:
            InputError: If the tile is not mapped yet.
            UnreachableError: If the store does not answer; the tile then has no new record.
            STORE_FAILURES: The same, where it is the ledger that does not answer.
            ChangedError: If another run has taken over, or another worker has recorded the tile meanwhile.
        """
        ledger, start = self.edition.ledger, time.perf_counter()
        before, claim = self._held(tile)
        with ExitStack() as work:
            record, ground, begun, taken = before, None, 0, True
            for product in self.plan.derived:
                wanted = self._fingerprint(product, tile, record.products)
                if record.settles(product.product, wanted, claim.run):
                    continue
                begun = begun or work.enter_context(ledger.attempt(tile))
                ground = ground or self.maps.ground(tile)
                made = self.predecessor.carried(product, ground, wanted, claim) if self.predecessor else None
                taken = taken and made is not None
                made = made or self._make(product, wanted, ground, record.products, claim)
                record = replace(record, products={**record.products, product.product: made})
            if record is before:
                return TileSummary(tile.name, "unchanged")
            seconds = {"derive": round(time.perf_counter() - start, 3)}
            self._commit(record, before, claim, begun, seconds)
        outcome = "failed" if record.failed else "carried" if taken else "done"
        return TileSummary(tile.name, outcome)

    def fail(self, tile: Tile, cause: str, attempts: int) -> TileSummary:
        """Make the derived products that a tile lacks nodata, and record them as failed; no map is read.

        Args:
            tile: The tile.
            cause: Why, one line.
            attempts: How often it was begun.

        Raises:
            InputError: If the tile is not mapped yet.
            UnreachableError: If the store does not answer.
            STORE_FAILURES: The same.
            ChangedError: If another run has taken over, or another worker has recorded the tile meanwhile.
        """
        before, claim = self._held(tile)
        record, ground = before, self.maps.ground(tile)
        for product in self.plan.derived:
            wanted = self._fingerprint(product, tile, record.products)
            if not record.settles(product.product, wanted, claim.run):
                made = self._failed(product, wanted, ground, cause, claim)
                record = replace(record, products={**record.products, product.product: made})
        if record is before:
            return TileSummary(tile.name, "unchanged")
        self._commit(record, before, claim, attempts, {})
        return TileSummary(tile.name, "failed")

    def _held(self, tile: Tile) -> tuple[TileRecord, Claim]:
        """The record of a tile, and what must hold while something is made of it."""
        claim = Claim.on(self.edition, tile)
        if claim.before is None:
            raise InputError(f"{self.edition.folder}: tile {tile.name} lost its record; rerun")
        return claim.before, claim

    def _commit(
        self, record: TileRecord, before: TileRecord, claim: Claim, begun: int, seconds: Mapping[str, float]
    ) -> None:
        """Commit the record of a tile that was mapped by ``before.attempts``."""
        attempts = before.attempts + begun - 1
        record = replace(record, attempts=attempts, seconds=before.seconds | dict(seconds), finished=now())
        claim.commit(record)

    def _fingerprint(self, product: DerivedPlan, tile: Tile, own: Records) -> str:
        """Hash of everything that a product of a tile is made from; ``own`` is what is known of the tile itself."""

        def inputs_in(other: Tile) -> Made:
            record = None if other == tile else self.edition.ledger.read(other)
            return made_inputs(product, own if other == tile else record.products if record else {})

        return derived_fingerprint(self.plan, product, tile, self.tiles, inputs_in)

    def _make(
        self, product: DerivedPlan, wanted: str, ground: TileCoverage, records: Records, claim: Claim
    ) -> ProductRecord:
        """Make and write one product; returns what the ledger keeps of it.

        Raises:
            UnreachableError: If the store does not answer.
            STORE_FAILURES: The same.
            ChangedError: If the tile is no longer this worker's.
        """
        tile = ground.tile
        window = self.maps.window(product, tile)
        missing = [name for name in product.inputs if records[name].status == "failed"]
        error = f"needs {' and '.join(missing)}, which failed"
        if not missing:
            try:
                image = self._image(product, tile)
                claim.require()
                map_store.write_images(self.edition.maps, self.plan, product, tile, window, (image,))
                return done_record(product, wanted, ground, self.maps.made_classes(product.product, tile))
            except (UnreachableError, ChangedError, *STORE_FAILURES):  # of the store: all that is read here is our own
                raise
            except Exception as failure:  # noqa: BLE001  a fault of ours in one tile must not end a country's run
                error = cause_of(failure)
        return self._failed(product, wanted, ground, error, claim)

    def _failed(
        self, product: DerivedPlan, wanted: str, ground: TileCoverage, error: str, claim: Claim
    ) -> ProductRecord:
        """Make a product nodata; returns what the ledger keeps of it."""
        window = self.maps.window(product, ground.tile)
        claim.require()
        map_store.write_blank(self.edition.maps, self.plan, product, ground.tile, window)
        return failed_record(product, wanted, ground, error)

    def _image(self, product: DerivedPlan, tile: Tile) -> np.ndarray:
        """The product of a tile, uint8 [cell row, cell column], from the maps of its inputs around the tile."""
        reach = reach_px(product)
        image = derive(product, [self._map_around(name, tile, reach) for name in product.inputs])
        beyond = reach // product.cell_px
        inner = slice(beyond, image.shape[0] - beyond)
        return image[inner, inner]

    def _map_around(self, name: str, tile: Tile, reach: int) -> np.ndarray:
        """The map of a product with ``reach`` pixels of the grid around a tile, uint8 [y, x] in such pixels."""
        product = self.maps.product(name)
        cells = -(-reach // product.cell_px)
        pixels = in_pixels(self.maps.layer(product, 0, tile, cells), product.cell_px)
        spare = cells * product.cell_px - reach
        inner = slice(spare, pixels.shape[0] - spare)
        return pixels[inner, inner]
