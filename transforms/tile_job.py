"""The work on one tile, from imagery to ledger record, as one fused stage: arrays never leave it."""

import time
import traceback
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from pathlib import Path

import apache_beam as beam
import numpy as np
from apache_beam.metrics import Metrics

from models.bundle import Bundle, load_bundle
from models.errors import InputError, StookError, TileError, UnreachableError
from transforms import map_store
from transforms.areas import AreaTable, TileCoverage
from transforms.composite import Composite, CompositeSettings, composite
from transforms.editions import Edition, now
from transforms.grid import Tile
from transforms.infer import device, lonlat_bounds, map_composite
from transforms.inputs import Inputs
from transforms.ledger import ProductRecord, TileRecord
from transforms.plan import Plan, ProductPlan, digest
from transforms.products import FAILED, NO_IMAGERY, NODATA, PRODUCTS, TOO_FEW_OBSERVATIONS
from transforms.region import Region
from transforms.store import write_json

HALT_REASONS = "halt_reasons"


@dataclass(frozen=True)
class Machine:
    """How a run uses its machine; never what it computes.

    Attributes:
        readers: Threads that read imagery, per tile in flight.
        batch_pixels: Pixels the encoder sees at once.
    """

    readers: int = 8
    batch_pixels: int = 1024


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


class TileJob:
    """Everything that the tiles of an edition have in common, read from the edition's folder.

    Args:
        edition: An open edition.
        machine: How to use the machine.

    Raises:
        InputError: If a bundle is not the one the edition was opened with.
    """

    def __init__(self, edition: Edition, machine: Machine):
        manifest = edition.manifest
        self.edition = edition
        self.machine = machine
        self.plan = Plan.from_json(manifest["plan"])
        self.extents = map_store.extents(Tile.parse(name) for name in manifest["tiles"])
        self.absent_bands = frozenset(manifest["absent_bands"])
        self.region = Region.read(edition.units)
        self.inputs = Inputs.read(edition.inputs)
        self.bundles = {product.product: self._bundle(product) for product in self.plan.products}

    def _bundle(self, product: ProductPlan) -> Bundle:
        bundle = load_bundle(Path(product.bundle))
        if bundle.hash != product.bundle_hash:
            raise InputError(
                f"{product.bundle}: the bundle has changed since edition {self.edition.id} was opened "
                f"(now {bundle.hash[:12]}, then {product.bundle_hash[:12]}); put it back, or use --refresh"
            )
        return bundle.to(device())

    def run(self, tile: Tile) -> TileSummary:
        """Compute a tile unless its record says that the very same was done.

        Raises:
            UnreachableError: If an archive or the store does not answer; the tile then has no new record.
        """
        ledger, watch = self.edition.ledger, Stopwatch()
        ground = TileCoverage.of(self.region, self.plan.grid, tile)
        fingerprints = self.fingerprints(ground)
        before = ledger.read(tile)
        if before is not None and before.settles(fingerprints):
            return TileSummary(tile.name, "unchanged")
        attempts = ledger.begin(tile)
        error = None
        try:
            areas = self._compute(ground, watch)
        except UnreachableError:
            raise
        except (TileError, InputError) as failure:
            error = str(failure)
        except Exception as fault:  # noqa: BLE001  a fault of ours in one tile must not end a country's run
            error = f"fault in Stook: {fault!r} | " + " | ".join(traceback.format_exc(limit=-3).split("\n"))
        if error is not None:
            areas = self._give_up(ground)
        ledger.commit(
            TileRecord(
                tile=tile.name,
                products={
                    name: ProductRecord(fingerprint, "failed" if error else "done", error)
                    for name, fingerprint in fingerprints.items()
                },
                units_hash=self.plan.units_hash,
                areas=areas,
                attempts=attempts,
                seconds={step: round(seconds, 3) for step, seconds in watch.seconds.items()},
                finished=now(),
            )
        )
        return TileSummary(tile.name, "failed" if error else "done")

    def fingerprints(self, ground: TileCoverage) -> dict[str, str]:
        """Product -> hash of everything that its pixels of this tile are computed from."""
        scenes = self.inputs.identity(lonlat_bounds(self.plan.grid.geobox(ground.tile)))
        common = {
            "processing": self.plan.processing,
            "grid": asdict(self.plan.grid),
            "ground": digest(np.packbits(ground.owned).tobytes().hex()),
            "profiles": {name: source.profile for name, source in self.plan.sources.items()},
            "scenes": scenes,
            "absent_bands": sorted(self.absent_bands),
            "cloud_dilation_px": self.plan.cloud_dilation_px,
        }
        return {
            product.product: digest(
                common
                | {
                    "bundle": product.bundle_hash,
                    "periods": [asdict(period) for period in product.periods],
                    "minimum_observations": product.minimum_observations,
                }
            )
            for product in self.plan.products
        }

    def _compute(self, ground: TileCoverage, watch: Stopwatch) -> AreaTable:
        """Read, composite, infer, write; returns the areas of every product's values."""
        tile, owned = ground.tile, ground.owned
        geobox = self.plan.grid.geobox(tile)
        classes: dict[str, np.ndarray] = {}
        seen: dict[tuple[object, ...], Composite] = {}
        for product in self.plan.products:
            bundle = self.bundles[product.product]
            key = (product.periods, bundle.specification.band_names, bundle.conditions.absent_bands)
            if key not in seen:
                with watch.step("read"):
                    seen = {key: self._read(tile, product, bundle)}  # one composite in memory at a time
            season = seen[key]
            enough = season.clear_observations >= product.minimum_observations
            wanted = owned & season.observed & enough
            with watch.step("encode"):
                percent = map_composite(bundle, season, geobox, wanted, self.machine.batch_pixels)
            clear = np.where(owned & season.observed, season.clear_observations, NODATA).astype(np.uint8)
            with watch.step("write"):
                self._write(tile, product, percent, clear)
            classes[product.product] = class_image(percent, clear)
        with watch.step("areas"):
            return ground.areas(classes)

    def _read(self, tile: Tile, product: ProductPlan, bundle: Bundle) -> Composite:
        settings = CompositeSettings(
            bands=bundle.specification.band_names,
            periods=product.periods,
            cloud_dilation_px=self.plan.cloud_dilation_px,
            absent_bands=self.absent_bands | set(bundle.conditions.absent_bands),
            resampling=bundle.specification.resampling,
            readers=self.machine.readers,
        )
        items = self.inputs.near(lonlat_bounds(self.plan.grid.geobox(tile)))
        return composite(items, self.plan.sources, self.plan.grid.geobox(tile), settings)

    def _write(self, tile: Tile, product: ProductPlan, percent: np.ndarray, clear: np.ndarray) -> None:
        window = self.extents[tile.zone].slices(self.plan.grid, tile)
        description = PRODUCTS[product.product]
        for layer, values in ((description.probability, percent), (description.observations, clear)):
            array = map_store.open_layer(
                self.edition.maps, tile.zone.name, description.resolution_m, layer.name, mode="r+"
            )
            map_store.write_tile(array, window, values)

    def _give_up(self, ground: TileCoverage) -> AreaTable:
        """All ground of the tile as failed; shards that an earlier step may have written become nodata again."""
        blank = np.full((self.plan.grid.tile_px, self.plan.grid.tile_px), NODATA, np.uint8)
        for product in self.plan.products:
            self._write(ground.tile, product, blank, blank)
        names = [product.product for product in self.plan.products]
        return {unit: {name: {FAILED: area} for name in names} for unit, area in ground.totals.items()}


def class_image(percent: np.ndarray, clear: np.ndarray) -> np.ndarray:
    """Values to count areas over: percent, or why there is none, from the two published layers, uint8 [y, x]."""
    unmapped = np.where(clear == NODATA, NO_IMAGERY, TOO_FEW_OBSERVATIONS)
    return np.where(percent == NODATA, unmapped, percent).astype(np.uint8)


@lru_cache(maxsize=1)
def job_of(edition: Edition, machine: Machine) -> TileJob:
    """The job of an edition, made once per process and shared by its threads."""
    return TileJob(edition, machine)


class MapTiles(beam.PTransform):
    """Tile names -> ``TileSummary``, having written shards and ledger records.

    Args:
        edition: An open edition.
        machine: How a worker uses its machine.
    """

    def __init__(self, edition: Edition, machine: Machine):
        super().__init__()
        self.edition = edition
        self.machine = machine

    def expand(self, tiles: beam.PCollection[str]) -> beam.PCollection[TileSummary]:
        """Spread the tiles over the workers, then do all of a tile's work in one stage."""
        return tiles | beam.Reshuffle() | "MapTile" >> beam.ParDo(MapTile(self.edition, self.machine))


class MapTile(beam.DoFn):
    """See ``MapTiles``."""

    def __init__(self, edition: Edition, machine: Machine):
        super().__init__()
        self.edition = edition
        self.machine = machine

    def process(self, element: str) -> Iterable[TileSummary]:
        """Run one tile; once an archive or the store does not answer, every later tile is left undecided."""
        summary = self._run(Tile.parse(element))
        Metrics.counter("stook", f"tiles_{summary.outcome}").inc()
        yield summary

    def _run(self, tile: Tile) -> TileSummary:
        if self.edition.halt.exists():
            return TileSummary(tile.name, "undecided")
        try:
            return job_of(self.edition, self.machine).run(tile)
        except StookError as error:
            self._halt(str(error))
        except OSError as error:  # archives fail in their own words, so this is the output's
            self._halt(f"output: cannot write {self.edition.folder}: {error.strerror or error}")
        return TileSummary(tile.name, "undecided")

    def _halt(self, reason: str) -> None:
        """Tell the driver why the run stops, and the other workers that it does."""
        Metrics.string_set("stook", HALT_REASONS).add(reason)
        # Where even this cannot be written, the others meet the same full disk by themselves.
        with suppress(OSError):
            write_json(self.edition.halt, {"reason": reason})
