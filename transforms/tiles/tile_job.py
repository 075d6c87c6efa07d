"""The work on one tile, from imagery to ledger record, as one fused stage: arrays never leave it."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import cast

from stook.models.errors import UnreachableError
from stook.transforms.editions import map_store
from stook.transforms.editions.edition import Edition
from stook.transforms.editions.lease import now
from stook.transforms.editions.ledger import ProductRecord, TileRecord
from stook.transforms.editions.plan import ProductPlan
from stook.transforms.editions.tile_records import cause_of, done_record, failed_record
from stook.transforms.encoding.encodings import Encoding, PictureEncoding
from stook.transforms.ground.areas import TileCoverage
from stook.transforms.ground.grid import Tile
from stook.transforms.stopwatch import Stopwatch
from stook.transforms.store import STORE_FAILURES, ChangedError
from stook.transforms.tiles.answers import Result
from stook.transforms.tiles.carrying import Predecessor
from stook.transforms.tiles.claim import Claim
from stook.transforms.tiles.due import decided
from stook.transforms.tiles.fingerprints import product_fingerprint
from stook.transforms.tiles.from_composites import composite_results
from stook.transforms.tiles.from_pictures import picture_results
from stook.transforms.tiles.materials import Machine, Materials
from stook.transforms.tiles.summary import TileSummary
from stook.transforms.tiles.together import read_together


@dataclass(frozen=True)
class Due:
    """What a tile lacks.

    Attributes:
        products: To be made.
        wanted: Product -> fingerprint that its record must have.
        claim: The tile as it is.
    """

    products: list[ProductPlan]
    wanted: dict[str, str]
    claim: Claim


class TileJob:
    """Makes tiles of an edition.

    Args:
        edition: An open edition.
        machine: How to use the machine.

    Raises:
        InputError: If a model is not the one the edition was opened with.
    """

    def __init__(self, edition: Edition, machine: Machine):
        self.edition = edition
        self.materials = Materials(edition, machine)
        self.plan = self.materials.plan
        self.extents = map_store.extents(Tile.parse(name) for name in edition.manifest["tiles"])
        self.predecessor = Predecessor.of(edition)
        self.seal = edition.seal
        self.names = [product.product for product in self.plan.products]

    def run(self, tile: Tile) -> TileSummary:
        """Make the products of a tile whose records do not say that the very same was done.

        Raises:
            UnreachableError: If an archive or the store does not answer; what was made before is recorded.
            STORE_FAILURES: The same, in the store's own words.
            ChangedError: If another run has taken over, or another worker has recorded the tile meanwhile.
        """
        claim = Claim.on(self.edition, tile)
        if decided(claim.before, self.seal, self.names, claim.run):
            return TileSummary(tile.name, "unchanged")
        ground = TileCoverage.of(self.materials.region, self.plan.grid, tile)
        due = self._due(ground, claim)
        if claim.before is not None and not due.products:  # of other inputs that come to the same
            claim.commit(replace(claim.before, seal=self.seal))
            return TileSummary(tile.name, "unchanged")
        with self.edition.ledger.attempt(tile) as attempts:
            return self._make(due, ground, self._blank_record(due, tile, attempts))

    def fail(self, tile: Tile, cause: str, attempts: int) -> TileSummary:
        """Make what a tile lacks nodata, and record it as failed; nothing is read.

        Args:
            tile: The tile.
            cause: Why, one line.
            attempts: How often it was begun.

        Raises:
            UnreachableError: If the store does not answer.
            STORE_FAILURES: The same, in the store's own words.
            ChangedError: If another run has taken over, or another worker has recorded the tile meanwhile.
        """
        ground = TileCoverage.of(self.materials.region, self.plan.grid, tile)
        due = self._due(ground, Claim.on(self.edition, tile))
        if not due.products:
            return TileSummary(tile.name, "unchanged")
        record = self._blank_record(due, tile, attempts)
        failed = self._failed(due.products, due, ground, cause)
        self._commit(replace(record, products=record.products | failed), due.claim, Stopwatch())
        return TileSummary(tile.name, "failed")

    def _due(self, ground: TileCoverage, claim: Claim) -> "Due":
        """What a tile lacks."""
        wanted = {
            product.product: product_fingerprint(self.materials, ground, product) for product in self.plan.products
        }
        due = [
            product
            for product in self.plan.products
            if claim.before is None or not claim.before.settles(product.product, wanted[product.product], claim.run)
        ]
        return Due(due, wanted, claim)

    def _blank_record(self, due: "Due", tile: Tile, attempts: int) -> TileRecord:
        """The record of a tile before anything is made: of what is due it says nothing, for its seal would vouch."""
        before = {} if due.claim.before is None else due.claim.before.products
        lacking = {product.product for product in due.products}
        return TileRecord(
            tile=tile.name,
            products={name: made for name, made in before.items() if name not in lacking},
            attempts=attempts,
            seconds={},
            finished=now(),
            device=str(self.materials.device),
            seal=self.seal,
        )

    def _make(self, due: "Due", ground: TileCoverage, record: TileRecord) -> TileSummary:
        """Take over or make what a tile lacks, and commit its record."""
        watch = Stopwatch()
        try:
            with watch.step("carry"):
                taken = self._carried(due, ground)
            record = replace(record, products=record.products | taken)
            left = [product for product in due.products if product.product not in taken]
            for group in read_together(left):
                made = self._records(group, due, ground, watch)
                record = replace(record, products=record.products | made)
        except (UnreachableError, *STORE_FAILURES):
            if record.products:  # what one archive gave is kept although another does not answer
                self._commit(record, due.claim, watch)
            raise
        record = self._commit(record, due.claim, watch)
        failed = any(record.products[product.product].status == "failed" for product in self.plan.products)
        outcome = "failed" if failed else "done" if left else "carried"
        return TileSummary(record.tile, outcome)

    def _carried(self, due: "Due", ground: TileCoverage) -> dict[str, ProductRecord]:
        """What the predecessor has made from the very same."""
        if self.predecessor is None:
            return {}
        found = {
            each.product: self.predecessor.carried(each, ground, due.wanted[each.product], due.claim)
            for each in due.products
        }
        return {name: record for name, record in found.items() if record is not None}

    def _commit(self, record: TileRecord, claim: Claim, watch: Stopwatch) -> TileRecord:
        seconds = {step: round(seconds, 3) for step, seconds in watch.seconds.items()}
        record = replace(record, seconds=seconds, finished=now(), amounts=watch.amounts.counts())
        claim.commit(record)
        return record

    def _results(
        self, products: list[ProductPlan], claim: Claim, ground: TileCoverage, watch: Stopwatch
    ) -> Iterator[Result]:
        """Make the products of a group, one after the other."""
        first = products[0].encoding
        if isinstance(first, PictureEncoding):
            return picture_results(self.materials, ground, first, products, watch)
        planned: dict[Encoding, list[ProductPlan]] = {}
        for product in products:
            planned.setdefault(cast(Encoding, product.encoding), []).append(product)
        return composite_results(self.materials, ground, planned, claim, watch)

    def _records(
        self, products: list[ProductPlan], due: "Due", ground: TileCoverage, watch: Stopwatch
    ) -> dict[str, ProductRecord]:
        """Make and write the products of a group; what fails takes those with it that are not made yet.

        Raises:
            UnreachableError: If an archive or the store does not answer.
            STORE_FAILURES: If it is the store; archives fail in words of ours.
            ChangedError: If the tile is no longer this worker's.
        """
        records: dict[str, ProductRecord] = {}
        tile, error = ground.tile, ""
        try:
            for result in self._results(products, due.claim, ground, watch):
                product = result.product
                with watch.step("write"):
                    window = self._window(tile, product)
                    due.claim.require()
                    map_store.write_images(self.edition.maps, self.plan, product, tile, window, result.images)
                with watch.step("areas"):
                    covered, fingerprint = result.covered(ground), due.wanted[product.product]
                    made = done_record(product, fingerprint, ground, result.classes, covered, result.batch)
                    records[product.product] = made
        except (UnreachableError, ChangedError, *STORE_FAILURES):
            raise
        except Exception as failure:  # noqa: BLE001  a fault of ours in one tile must not end a country's run
            error = cause_of(failure)
        return records | self._failed([each for each in products if each.product not in records], due, ground, error)

    def _failed(
        self, products: list[ProductPlan], due: "Due", ground: TileCoverage, error: str
    ) -> dict[str, ProductRecord]:
        """Make products nodata; also shards that an earlier step may have written."""
        for product in products:
            window = self._window(ground.tile, product)
            due.claim.require()
            map_store.write_blank(self.edition.maps, self.plan, product, ground.tile, window)
        return {each.product: failed_record(each, due.wanted[each.product], ground, error) for each in products}

    def _window(self, tile: Tile, product: ProductPlan) -> tuple[slice, slice]:
        """Where a tile lies in a product's arrays."""
        return self.extents[tile.zone].slices(self.plan.cells(product), tile)
