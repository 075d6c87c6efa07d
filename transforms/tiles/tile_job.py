"""The work on one tile, from imagery to ledger record, as one fused stage: arrays never leave it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import groupby
from typing import cast

from models.errors import UnreachableError
from transforms.editions import map_store
from transforms.editions.edition import Edition, now
from transforms.editions.ledger import ProductRecord, TileRecord
from transforms.editions.plan import ProductPlan
from transforms.editions.tile_records import cause_of, done_record, failed_record
from transforms.encoding.encodings import Encoding, PictureEncoding
from transforms.ground.areas import TileCoverage
from transforms.ground.grid import Tile
from transforms.stopwatch import Stopwatch
from transforms.store import Version
from transforms.tiles.answers import Result
from transforms.tiles.carrying import Predecessor
from transforms.tiles.fingerprints import product_fingerprint
from transforms.tiles.from_composites import composite_results
from transforms.tiles.from_pictures import picture_results
from transforms.tiles.materials import Machine, Materials


@dataclass(frozen=True)
class TileSummary:
    """What a tile sends through the pipeline: ``outcome`` is done, failed, carried, unchanged or undecided."""

    tile: str
    outcome: str


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

    def run(self, tile: Tile) -> TileSummary:
        """Make the products of a tile whose records do not say that the very same was done.

        Raises:
            UnreachableError: If an archive or the store does not answer; what was made before is recorded.
            ChangedError: If another worker has recorded the tile meanwhile.
        """
        ledger, watch = self.edition.ledger, Stopwatch()
        ground = TileCoverage.of(self.materials.region, self.plan.grid, tile)
        wanted = {
            product.product: product_fingerprint(self.materials, ground, product) for product in self.plan.products
        }
        before, version = ledger.held(tile)
        due = [
            product
            for product in self.plan.products
            if before is None or not before.settles(product.product, wanted[product.product])
        ]
        if not due:
            return TileSummary(tile.name, "unchanged")
        record = TileRecord(
            tile=tile.name,
            products={} if before is None else before.products,
            attempts=ledger.begin(tile),
            seconds=watch.seconds,
            finished=now(),
            device=str(self.materials.device),
        )
        try:
            with watch.step("carry"):
                taken = self._carried(due, wanted, ground)
            record = replace(record, products=record.products | taken)
            left = [product for product in due if product.product not in taken]
            for group in self._groups(left):
                made = self._records(group, wanted, ground, watch)
                record = replace(record, products=record.products | made)
        except UnreachableError:
            if record.products:  # what one archive gave is kept although another does not answer
                self._commit(record, version, watch)
            raise
        self._commit(record, version, watch)
        failed = any(record.products[product.product].status == "failed" for product in self.plan.products)
        return TileSummary(tile.name, "failed" if failed else "done" if left else "carried")

    def _carried(
        self, products: list[ProductPlan], wanted: Mapping[str, str], ground: TileCoverage
    ) -> dict[str, ProductRecord]:
        """What the predecessor has made from the very same."""
        if self.predecessor is None:
            return {}
        found = {each.product: self.predecessor.carried(each, ground, wanted[each.product]) for each in products}
        return {name: record for name, record in found.items() if record is not None}

    def _commit(self, record: TileRecord, before: Version, watch: Stopwatch) -> None:
        seconds = {step: round(seconds, 3) for step, seconds in watch.seconds.items()}
        self.edition.ledger.commit(replace(record, seconds=seconds, finished=now()), before)

    def _groups(self, products: list[ProductPlan]) -> Iterator[list[ProductPlan]]:
        """Products that can be made from one reading of imagery, together."""

        def reading(product: ProductPlan) -> tuple[object, ...]:
            encoding = product.encoding
            if isinstance(encoding, PictureEncoding):
                return 1, encoding.encoder, encoding.precision, encoding.chip_px, encoding.cell_px, encoding.periods
            return 0, encoding.periods, encoding.resampling

        for _, members in groupby(sorted(products, key=reading), key=reading):
            yield list(members)

    def _results(self, products: list[ProductPlan], ground: TileCoverage, watch: Stopwatch) -> Iterator[Result]:
        """Make the products of a group, one after the other."""
        first = products[0].encoding
        if isinstance(first, PictureEncoding):
            return picture_results(self.materials, ground, first, products, watch)
        planned: dict[Encoding, list[ProductPlan]] = {}
        for product in products:
            planned.setdefault(cast(Encoding, product.encoding), []).append(product)
        return composite_results(self.materials, ground, planned, watch)

    def _records(
        self, products: list[ProductPlan], wanted: Mapping[str, str], ground: TileCoverage, watch: Stopwatch
    ) -> dict[str, ProductRecord]:
        """Make and write the products of a group; what fails takes those with it that are not made yet.

        Raises:
            UnreachableError: If an archive or the store does not answer.
        """
        records: dict[str, ProductRecord] = {}
        tile, error = ground.tile, ""
        try:
            for result in self._results(products, ground, watch):
                product = result.product
                with watch.step("write"):
                    window = self._window(tile, product)
                    map_store.write_images(self.edition.maps, self.plan, product, tile, window, result.images)
                with watch.step("areas"):
                    covered, fingerprint = result.covered(ground), wanted[product.product]
                    made = done_record(product, fingerprint, ground, result.classes, covered, result.batch)
                    records[product.product] = made
        except UnreachableError:
            raise
        except Exception as failure:  # noqa: BLE001  a fault of ours in one tile must not end a country's run
            error = cause_of(failure)
        for product in products:
            if product.product not in records:
                # Shards that an earlier step may have written become nodata again.
                map_store.write_blank(self.edition.maps, self.plan, product, tile, self._window(tile, product))
                records[product.product] = failed_record(product, wanted[product.product], ground, error)
        return records

    def _window(self, tile: Tile, product: ProductPlan) -> tuple[slice, slice]:
        """Where a tile lies in a product's arrays."""
        return self.extents[tile.zone].slices(self.plan.cells(product), tile)
