"""The work on one tile, from imagery to ledger record, as one fused stage: arrays never leave it."""

import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import groupby

from models.errors import InputError, TileError, UnreachableError
from transforms import map_store
from transforms.answers import Result
from transforms.areas import TileCoverage
from transforms.counts import cell_counts
from transforms.editions import Edition, now
from transforms.fingerprints import product_fingerprint
from transforms.from_composites import composite_results
from transforms.from_pictures import picture_results
from transforms.grid import Tile
from transforms.ledger import ProductRecord, TileRecord
from transforms.materials import Machine, Materials
from transforms.plan import Encoding, PictureEncoding, ProductPlan
from transforms.products import FAILED, counted, layers_of
from transforms.stopwatch import Stopwatch

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
                if error is None:
                    records[name] = self._record(made[name], wanted[name], ground, watch)
                else:
                    records[name] = self._failed(product, wanted[name], ground, error)
        record = TileRecord(
            tile=tile.name,
            products=records,
            attempts=attempts,
            seconds={step: round(seconds, 3) for step, seconds in watch.seconds.items()},
            finished=now(),
            device=str(self.materials.device),
        )
        ledger.commit(record)
        return TileSummary(tile.name, "failed" if record.failed else "done")

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
                    self._write(ground.tile, result)
                made[result.product.product] = result
        except UnreachableError:
            raise
        except (TileError, InputError) as failure:
            return {}, str(failure)
        except Exception as fault:  # noqa: BLE001  a fault of ours in one tile must not end a country's run
            return {}, f"fault in Stook: {fault!r} | " + " | ".join(traceback.format_exc(limit=-3).split("\n"))
        return made, None

    def _record(self, result: Result, fingerprint: str, ground: TileCoverage, watch: Stopwatch) -> ProductRecord:
        """What the ledger keeps of a product that was made."""
        with watch.step("areas"):
            return ProductRecord(
                fingerprint=fingerprint,
                status="done",
                areas=ground.areas_of(result.classes),
                covered=result.covered(ground),
                cells=cell_counts(ground, result.classes) if counted(result.product.product) else {},
                batch=result.batch,
            )

    def _failed(self, product: ProductPlan, fingerprint: str, ground: TileCoverage, error: str) -> ProductRecord:
        """All ground of the tile as failed; shards that an earlier step may have written become nodata again."""
        window = self.extents[ground.tile.zone].slices(self.plan.cells(product), ground.tile)
        map_store.write_blank(self.edition.maps, self.plan, product, ground.tile, window)
        areas = {unit: {FAILED: area} for unit, area in ground.totals.items()}
        return ProductRecord(fingerprint, "failed", areas, error=error)

    def _write(self, tile: Tile, result: Result) -> None:
        """Write the last layers of a product, one image each."""
        product, images = result.product, result.images
        cells = self.plan.cells(product)
        window = self.extents[tile.zone].slices(cells, tile)
        for layer, image in zip(layers_of(product)[-len(images) :], images, strict=True):
            array = map_store.open_layer(self.edition.maps, tile.zone.name, cells.resolution_m, layer.name, mode="r+")
            map_store.write_shard(array, (*(slice(0, depth) for depth in image.shape[:-2]), *window), image)
