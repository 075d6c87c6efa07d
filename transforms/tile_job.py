"""The work on one tile, from imagery to ledger record, as one fused stage: arrays never leave it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import groupby

from models.errors import UnreachableError
from transforms import map_store
from transforms.answers import Result
from transforms.areas import TileCoverage
from transforms.editions import Edition, now
from transforms.encodings import Encoding, PictureEncoding
from transforms.fingerprints import product_fingerprint
from transforms.from_composites import composite_results
from transforms.from_pictures import picture_results
from transforms.grid import Tile
from transforms.ledger import TileRecord
from transforms.materials import Machine, Materials
from transforms.plan import ProductPlan
from transforms.stopwatch import Stopwatch
from transforms.tile_records import cause_of, done_record, failed_record

Results = Callable[[TileCoverage, Stopwatch], Iterator[Result]]


@dataclass(frozen=True)
class TileSummary:
    """What a tile sends through the pipeline: ``outcome`` is done, failed, unchanged or undecided."""

    tile: str
    outcome: str


@dataclass(frozen=True)
class Group:
    """Products that are made from one reading of imagery, and how.

    Attributes:
        products: The products.
        results: Makes them.
    """

    products: list[ProductPlan]
    results: Results = field(repr=False)


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

    def run(self, tile: Tile) -> TileSummary:
        """Make the products of a tile whose records do not say that the very same was done.

        Raises:
            UnreachableError: If an archive or the store does not answer; the tile then has no new record.
        """
        ledger, watch = self.edition.ledger, Stopwatch()
        ground = TileCoverage.of(self.materials.region, self.plan.grid, tile)
        wanted = {
            product.product: product_fingerprint(self.materials, ground, product) for product in self.plan.products
        }
        before = ledger.read(tile)
        records = {} if before is None else dict(before.products)
        due = [
            product
            for product in self.plan.products
            if before is None or not before.settles(product.product, wanted[product.product])
        ]
        if not due:
            return TileSummary(tile.name, "unchanged")
        attempts = ledger.begin(tile)
        for group in self._groups(due):
            made, error = self._make(group, ground, watch)
            for product in group.products:
                name = product.product
                if error is not None:
                    # Shards that an earlier step may have written become nodata again.
                    map_store.write_blank(self.edition.maps, self.plan, product, tile, self._window(tile, product))
                    records[name] = failed_record(product, wanted[name], ground, error)
                    continue
                result = made[name]
                with watch.step("areas"):
                    records[name] = done_record(
                        product, wanted[name], ground, result.classes, result.covered(ground), result.batch
                    )
        record = TileRecord(
            tile=tile.name,
            products=records,
            attempts=attempts,
            seconds={step: round(seconds, 3) for step, seconds in watch.seconds.items()},
            finished=now(),
            device=str(self.materials.device),
        )
        ledger.commit(record)
        failed = any(records[product.product].status == "failed" for product in self.plan.products)
        return TileSummary(tile.name, "failed" if failed else "done")

    def _groups(self, products: list[ProductPlan]) -> Iterator[Group]:
        """Products that can be made from one reading, together."""

        def reading(product: ProductPlan) -> tuple[object, ...]:
            encoding = product.encoding
            if isinstance(encoding, PictureEncoding):
                return 1, encoding.encoder, encoding.precision, encoding.chip_px, encoding.cell_px, encoding.periods
            return 0, encoding.periods, encoding.resampling

        for _, found in groupby(sorted(products, key=reading), key=reading):
            members = list(found)
            yield Group(members, self._results(members))

    def _results(self, products: list[ProductPlan]) -> Results:
        """How a group is made."""
        first = products[0].encoding
        if isinstance(first, PictureEncoding):
            return lambda ground, watch: picture_results(self.materials, ground, first, products, watch)
        planned: dict[Encoding, list[ProductPlan]] = {}
        for product in products:
            if isinstance(product.encoding, Encoding):
                planned.setdefault(product.encoding, []).append(product)
        return lambda ground, watch: composite_results(self.materials, ground, planned, watch)

    def _make(self, group: Group, ground: TileCoverage, watch: Stopwatch) -> tuple[dict[str, Result], str | None]:
        """Make and write the products of a group; returns them, or why they failed.

        A group fails as one: its products share what they are read from.

        Raises:
            UnreachableError: If an archive or the store does not answer.
        """
        made = {}
        try:
            for result in group.results(ground, watch):
                with watch.step("write"):
                    tile, product = ground.tile, result.product
                    window = self._window(tile, product)
                    map_store.write_images(self.edition.maps, self.plan, product, tile, window, result.images)
                made[product.product] = result
        except UnreachableError:
            raise
        except Exception as failure:  # noqa: BLE001  a fault of ours in one tile must not end a country's run
            return {}, cause_of(failure)
        return made, None

    def _window(self, tile: Tile, product: ProductPlan) -> tuple[slice, slice]:
        """Where a tile lies in a product's arrays."""
        return self.extents[tile.zone].slices(self.plan.cells(product), tile)
