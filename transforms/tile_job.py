"""The work on one tile, from imagery to ledger record, as one fused stage: arrays never leave it."""

import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from itertools import groupby

import numpy as np

from models.bundle import Bundle
from models.errors import InputError, TileError, UnreachableError
from models.families import fingerprint
from models.inference import Embedder, default_device
from transforms import map_store
from transforms.answers import Answer, class_image, enough
from transforms.areas import AreaTable, TileCoverage
from transforms.composite import CompositeSettings, composite
from transforms.cutting import TileSeason
from transforms.editions import Edition, now
from transforms.embeddings import EmbeddingStore
from transforms.encode import ACCELERATOR, TileView
from transforms.geodesy import lonlat_bounds
from transforms.grid import Tile
from transforms.inputs import Inputs
from transforms.ledger import Covered, ProductRecord, TileRecord
from transforms.plan import Encoding, ProductPlan, digest
from transforms.products import EMBEDDING, FAILED, NODATA, layers_of
from transforms.region import Region
from transforms.view import encoded_view


@dataclass(frozen=True)
class Machine:
    """How a run uses its machine; never what it computes.

    Attributes:
        readers: Threads that read imagery, per tile in flight.
        batch: Chips (pixels, for an encoder of single pixels) that an encoder sees at once; None for what the device
            is likely to hold.
    """

    readers: int = 8
    batch: int | None = None


@dataclass(frozen=True)
class TileSummary:
    """What a tile sends through the pipeline: ``outcome`` is done, failed, unchanged or undecided."""

    tile: str
    outcome: str


@dataclass
class Stopwatch:
    """Seconds by step."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Add the time of the block to step ``name``."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - start


@dataclass(frozen=True)
class Sums:
    """What a tile adds up to.

    Attributes:
        areas: Unit -> product -> class value -> area in dm².
        covered: Unit -> product -> sums of shares.
    """

    areas: AreaTable
    covered: dict[str, dict[str, Covered]]


class TileJob:
    """Everything that the tiles of an edition have in common, read from the edition's folder.

    Args:
        edition: An open edition.
        machine: How to use the machine.

    Raises:
        InputError: If a model is not the one the edition was opened with.
    """

    def __init__(self, edition: Edition, machine: Machine):
        manifest = edition.manifest
        self.edition = edition
        self.machine = machine
        self.plan = edition.plan
        self.extents = map_store.extents(Tile.parse(name) for name in manifest["tiles"])
        self.absent_bands = frozenset(manifest["absent_bands"])
        self.region = Region.read(edition.units)
        self.inputs = Inputs.read(edition.inputs)
        self.device = default_device()
        self.bundles: dict[str, Bundle] = {}
        self.embedders: dict[tuple[str, str], Embedder] = {}
        for product in self.plan.products:
            self._load(product)
        stored = edition.embeddings if any(product.encoding.storage for product in self.plan.products) else None
        self.stored = EmbeddingStore(stored, stored.plan) if stored else None

    def _load(self, product: ProductPlan) -> None:
        encoding = product.encoding
        if product.product == EMBEDDING:
            encoder = product.model.encoder()
            found = fingerprint(encoder)
        else:
            bundle = self.bundles[product.product] = product.model.bundle()
            encoder, found = bundle.encoder, bundle.hash
        if found != product.model_hash:
            raise InputError(
                f"{product.model.path}: the model has changed since edition {self.edition.id} was opened "
                f"(now {found[:12]}, then {product.model_hash[:12]}); put it back, or use --refresh"
            )
        key = encoding.encoder, encoding.precision
        if key not in self.embedders:
            self.embedders[key] = Embedder(encoder, self.device, self.machine.batch, encoding.precision)
        if product.product != EMBEDDING:
            bundle.encoder = self.embedders[key].encoder  # equal ones are kept in memory once

    def run(self, tile: Tile) -> TileSummary:
        """Compute a tile unless its record says that the very same was done.

        Raises:
            UnreachableError: If an archive or the store does not answer; the tile then has no new record.
        """
        ledger, watch = self.edition.ledger, Stopwatch()
        ground = TileCoverage.of(self.region, self.plan.grid, tile)
        fingerprints = {product.product: self.fingerprint(ground, product) for product in self.plan.products}
        before = ledger.read(tile)
        if before is not None and before.settles(fingerprints):
            return TileSummary(tile.name, "unchanged")
        attempts = ledger.begin(tile)
        error = None
        batches: dict[str, int] = {}
        try:
            sums = self._compute(ground, watch, batches)
        except UnreachableError:
            raise
        except (TileError, InputError) as failure:
            error = str(failure)
        except Exception as fault:  # noqa: BLE001  a fault of ours in one tile must not end a country's run
            error = f"fault in Stook: {fault!r} | " + " | ".join(traceback.format_exc(limit=-3).split("\n"))
        if error is not None:
            sums = self._give_up(ground)
        ledger.commit(
            TileRecord(
                tile=tile.name,
                products={
                    name: ProductRecord(fingerprint, "failed" if error else "done", error)
                    for name, fingerprint in fingerprints.items()
                },
                units_hash=self.plan.units_hash,
                areas=sums.areas,
                covered=sums.covered,
                attempts=attempts,
                seconds={step: round(seconds, 3) for step, seconds in watch.seconds.items()},
                finished=now(),
                device=str(self.device),
                batches=batches,
            )
        )
        return TileSummary(tile.name, "failed" if error else "done")

    def fingerprint(self, ground: TileCoverage, product: ProductPlan) -> str:
        """Hash of everything that the cells of a product in a tile are computed from."""
        encoded = self.encoding_fingerprint(ground, product.encoding)
        if product.product == EMBEDDING:
            return encoded
        return digest(
            {"encoding": encoded, "bundle": product.model_hash, "minimum_observations": product.minimum_observations}
        )

    def encoding_fingerprint(self, ground: TileCoverage, encoding: Encoding) -> str:
        """Hash of everything that the feature vectors of a tile are computed from."""
        described = asdict(encoding) | {
            "periods": [str(period) for period in encoding.periods],
            "absent_bands": sorted(self._absent(encoding)),
        }
        return digest(
            {
                "processing": self.plan.processing,
                "grid": asdict(self.plan.grid),
                "ground": digest(np.packbits(ground.owned).tobytes().hex()),
                "sources": {name: [source.collection, source.profile] for name, source in self.plan.sources.items()},
                "scenes": self.inputs.identity(self._bounds(ground.tile, encoding.layout.halo_px)),
                "cloud_dilation_px": self.plan.cloud_dilation_px,
                "encoding": described,
            }
        )

    def _absent(self, encoding: Encoding) -> frozenset[str]:
        """Bands that the encoder does without: no archive has them, or its head never saw them."""
        return (self.absent_bands & set(encoding.bands)) | set(encoding.absent_bands)

    def _bounds(self, tile: Tile, halo_px: int) -> tuple[float, float, float, float]:
        return lonlat_bounds(self.plan.grid.geobox(tile, halo_px))

    def _compute(self, ground: TileCoverage, watch: Stopwatch, batches: dict[str, int]) -> Sums:
        """Read, composite, encode, write; returns what the tile adds up to."""
        classes: dict[str, np.ndarray] = {}
        covered: dict[str, dict[str, Covered]] = {}
        for products in self._groups():
            for encoding, view in self._views(ground, products, watch, batches):
                members = [product for product in products if product.encoding == encoding]
                if members[0].product == EMBEDDING:
                    classes[EMBEDDING] = self._store(ground.tile, members[0], view, watch)
                    continue
                for answer in self._answers(ground.tile, members, view, watch):
                    classes[answer.product.product] = answer.classes
                    for unit, sums in answer.covered(ground).items():
                        covered.setdefault(unit, {})[answer.product.product] = sums
                del view  # it holds the composite, and the next group reads its own
        with watch.step("areas"):
            return Sums(ground.areas(classes), covered)

    def _groups(self) -> Iterator[list[ProductPlan]]:
        """Products that can be made from one composite, together."""

        def reading(product: ProductPlan) -> tuple[object, ...]:
            return product.encoding.periods, product.encoding.resampling

        for _, members in groupby(sorted(self.plan.products, key=reading), key=reading):
            yield list(members)

    def _views(
        self, ground: TileCoverage, products: list[ProductPlan], watch: Stopwatch, batches: dict[str, int]
    ) -> Iterator[tuple[Encoding, TileView]]:
        """Each encoding of some products with what its heads see; imagery is read once, if anything needs it."""
        season = None
        for encoding in dict.fromkeys(product.encoding for product in products):
            stored = self._stored_view(ground, encoding, watch)
            if stored is not None:
                yield encoding, stored
                continue
            if season is None:
                with watch.step("read"):
                    season = self._read(ground.tile, products)
            members = [product.product for product in products if product.encoding == encoding]
            # What goes into the store is rounded there.
            rounding = None if members == [EMBEDDING] else encoding
            embedder, absent = self.embedders[encoding.encoder, encoding.precision], self._absent(encoding)
            yield encoding, encoded_view(season, embedder, encoding.layout, ground.owned, absent, rounding)
            # Only now is it known what the memory held.
            batches |= dict.fromkeys(members, embedder.batch)

    def _read(self, tile: Tile, products: list[ProductPlan]) -> TileSeason:
        """The composite that all of some products are made from, which read the same periods."""
        encodings = [product.encoding for product in products]
        halo_px = max(encoding.layout.halo_px for encoding in encodings)
        settings = CompositeSettings(
            bands=tuple(dict.fromkeys(band for encoding in encodings for band in encoding.bands)),
            periods=encodings[0].periods,
            cloud_dilation_px=self.plan.cloud_dilation_px,
            absent_bands=frozenset.intersection(*(self._absent(encoding) for encoding in encodings))
            | self.absent_bands,
            resampling=encodings[0].resampling,
            readers=self.machine.readers,
        )
        items = self.inputs.near(self._bounds(tile, halo_px))
        season = composite(items, self.plan.sources, self.plan.grid.geobox(tile, halo_px), settings)
        return TileSeason(self.plan.grid, tile, season, halo_px)

    def _stored_view(self, ground: TileCoverage, encoding: Encoding, watch: Stopwatch) -> TileView | None:
        """What was encoded before and stored, if it was made of the very same; else None."""
        store, tile = self.stored, ground.tile
        if store is None or encoding.storage is None or store.edition == self.edition:
            return None
        record = store.edition.ledger.read(tile)
        if record is None or not record.settles({EMBEDDING: self.encoding_fingerprint(ground, encoding)}):
            return None
        with watch.step("read"):
            return store.view(tile)

    def _answers(self, tile: Tile, products: list[ProductPlan], view: TileView, watch: Stopwatch) -> list[Answer]:
        """Put the heads of one encoding on its vectors and write what they say."""
        answers = [Answer(product, self.bundles[product.product], view.clear) for product in products]
        with ACCELERATOR, watch.step("encode"):
            for part in view.features(np.logical_or.reduce([answer.wanted for answer in answers])):
                for answer in answers:
                    answer.add(part)
        with watch.step("write"):
            for answer in answers:
                self._write(tile, answer.product, answer.image, view.clear)
        return answers

    def _store(self, tile: Tile, product: ProductPlan, view: TileView, watch: Stopwatch) -> np.ndarray:
        """Write the vectors of a tile; returns values to count areas over, 100 where a cell has one."""
        with ACCELERATOR, watch.step("encode"):
            store = EmbeddingStore(self.edition, self.plan, mode="r+")
            known = store.write(tile, view.features(enough(product, view.clear)))
        with watch.step("write"):
            self._write(tile, product, view.clear)
        return class_image(np.where(known, 100, NODATA), view.clear)

    def _write(self, tile: Tile, product: ProductPlan, *images: np.ndarray) -> None:
        """Write the last layers of a product, one image each."""
        cells = self.plan.cells(product)
        window = self.extents[tile.zone].slices(cells, tile)
        for layer, image in zip(layers_of(product)[-len(images) :], images, strict=True):
            array = map_store.open_layer(self.edition.maps, tile.zone.name, cells.resolution_m, layer.name, mode="r+")
            map_store.write_shard(array, (*(slice(0, depth) for depth in image.shape[:-2]), *window), image)

    def _give_up(self, ground: TileCoverage) -> Sums:
        """All ground of the tile as failed; shards that an earlier step may have written become nodata again."""
        for product in self.plan.products:
            window = self.extents[ground.tile.zone].slices(self.plan.cells(product), ground.tile)
            map_store.write_blank(self.edition.maps, self.plan, product, ground.tile, window)
        names = [product.product for product in self.plan.products]
        areas = {unit: {name: {FAILED: area} for name in names} for unit, area in ground.totals.items()}
        return Sums(areas, {})
