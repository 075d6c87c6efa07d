"""``stook map`` and ``stook embed``: open or continue the edition of a season, run its tiles, publish it."""

from dataclasses import asdict, dataclass

import apache_beam as beam
from apache_beam.metrics.metric import MetricsFilter

from models.checkpoints import CHECKPOINTS
from models.errors import CancelledError, UnreachableError
from models.inference import Embedder
from pipelines.configuration import ClassSection, MapConfiguration
from pipelines.progress import Reporter
from pipelines.runner import local_runner
from pipelines.season import (
    Planner,
    embedding_products,
    embeddings_folder,
    map_products,
    plan_of,
    region_of,
    season_folder,
)
from transforms import map_store
from transforms.derive_tiles import DeriveTiles, derive_job_of
from transforms.editions import Edition, SeasonFolder
from transforms.encodings import PictureEncoding, Quantisation
from transforms.freeze import find_inputs, require_bands
from transforms.geodesy import widened
from transforms.inputs import Inputs
from transforms.map_tiles import HALT_REASONS, MapTiles, TileStage, job_of
from transforms.materials import Machine
from transforms.plan import EMBEDDING, Plan, ProductPlan
from transforms.quantisation import fit_quantisation
from transforms.region import Region
from transforms.resources import resource_hints, worker_memory
from transforms.statistics.readings import explained
from transforms.statistics.table import failed_share, statistics, write_statistics
from transforms.store import writing

AND = "; "  # between licences


@dataclass(frozen=True)
class MapResult:
    """What a run came to.

    Attributes:
        edition: The edition that was worked on.
        published: Whether readers are pointed at it now.
        computed: How many tiles this run computed.
        failed: Tile -> cause.
        failed_share: Of the region's area.
        derived: Of how many tiles this run made maps from finished ones.
    """

    edition: Edition
    published: bool
    computed: int
    failed: dict[str, str]
    failed_share: float
    derived: int = 0

    @property
    def exit_status(self) -> int:
        """0 if every tile is mapped, 3 if some failed."""
        return 3 if self.failed else 0


def run_map(
    config: MapConfiguration, year: int, reporter: Reporter, provisional: bool = False, refresh: bool = False
) -> MapResult:
    """Map a season, or go on with it where an earlier run stopped.

    Raises:
        InputError: If the configuration or the inputs are wrong, or another run is at work on the edition.
        UnreachableError: If an archive or the output does not answer; what is done is kept.
    """
    return run(config, year, season_folder(config, year), map_products, reporter, provisional, refresh)


def run_embed(
    config: MapConfiguration, year: int, reporter: Reporter, provisional: bool = False, refresh: bool = False
) -> MapResult:
    """Store the feature vectors of a season; see ``run_map``."""
    return run(config, year, embeddings_folder(config, year), embedding_products, reporter, provisional, refresh)


def run(
    config: MapConfiguration,
    year: int,
    folder: SeasonFolder,
    planned: Planner,
    reporter: Reporter,
    provisional: bool,
    refresh: bool,
) -> MapResult:
    """Make the products that ``planned`` gives, as an edition in ``folder``."""
    region = region_of(config)
    plan = plan_of(config, year, region, provisional, planned)
    folder.require_writable()
    edition = None if refresh else folder.find(plan.key)
    if edition is not None and folder.status(edition) == "published":
        failed = failures(edition)
        reporter.say(
            "nothing_to_do",
            f"{plan.season} is published as {edition.id}{', with failed tiles' if failed else ''}; a published edition "
            "never changes, --refresh makes a successor",
        )
        share = failed_share(statistics(edition, thresholds_of(config)))
        return MapResult(edition, published=True, computed=0, failed=failed, failed_share=share)
    if edition is None:
        edition = open_edition(folder, plan, region, reporter)
    else:
        reporter.say("edition_continued", f"continuing edition {edition.id}", edition=edition.id)
    with folder.lease(edition):
        computed = run_tiles(edition, config, reporter)
        derived = derive_tiles(edition, config, reporter)
        with writing(edition.folder):
            return finish(folder, edition, config, (computed, derived), reporter)


def open_edition(folder: SeasonFolder, plan: Plan, region: Region, reporter: Reporter) -> Edition:
    """Freeze the inputs of a new edition and create its empty maps."""
    tiles = region.tiles(plan.grid)
    reporter.say("search_started", f"{len(tiles)} tiles; searching the archives", tiles=len(tiles))
    inputs, absent = find_inputs(
        plan.sources, widened(region.bounds, plan.halo_px * plan.grid.resolution_m), plan.spans
    )
    told = {product.product: describe_model(product, absent) for product in plan.products}
    for derived in plan.derived:
        told[derived.product] = joined([told[name] for name in derived.inputs])
    licences = {name: facts.licence for name, facts in told.items()}
    quantisation = quantisation_of(plan, region, inputs, absent)
    with folder.opening(plan) as (edition, manifest):
        if quantisation is not None:
            manifest["quantisation"] = asdict(quantisation)
            plan = plan.quantised(quantisation)
        inputs.write(edition.inputs)
        region.write(edition.units)
        made = {derived.product: explained(derived, plan) for derived in plan.derived}
        map_store.create(edition.maps, plan, tiles, {"licences": licences}, made)
        manifest |= {
            "tiles": [tile.name for tile in tiles],
            "absent_bands": sorted(absent),
            "calibrated": {name: facts.calibrated for name, facts in told.items()},
            "licences": licences,
            "scenes": len(inputs),
        }
    if absent:
        names = ", ".join(sorted(absent))
        reporter.say("bands_absent", f"the archives lack {names}: masked for the encoder", bands=sorted(absent))
    opened = Edition(folder.folder / manifest["edition"])
    reporter.say("edition_opened", f"opened edition {opened.id}", edition=opened.id, scenes=manifest["scenes"])
    return opened


def quantisation_of(plan: Plan, region: Region, inputs: Inputs, absent: frozenset[str]) -> Quantisation | None:
    """How vectors are brought to eight bits, if this edition stores them so."""
    [first, *_] = plan.products
    encoding = first.encoding
    if first.product != EMBEDDING or isinstance(encoding, PictureEncoding) or encoding.storage != "int8":
        return None
    return fit_quantisation(plan, encoding, region, inputs, absent, Embedder(first.model.encoder()))


@dataclass(frozen=True)
class ModelFacts:
    """What an edition must say of a model, or of the models behind a map.

    Attributes:
        licence: Of encoder and training labels.
        calibrated: Whether its probabilities may be summed to hectares.
    """

    licence: str
    calibrated: bool


def describe_model(product: ProductPlan, absent: frozenset[str]) -> ModelFacts:
    """The facts of a product's model; raises InputError if the archives lack what it cannot do without."""
    if product.product == EMBEDDING:
        encoder, name = product.model.encoder(), product.model.checkpoint
        require_bands(encoder.specification, name or encoder.family, absent)
        licence = CHECKPOINTS[name].told if name else product.model.bundle().provenance.licence
        return ModelFacts(licence, calibrated=False)
    bundle = product.model.bundle()
    require_bands(bundle.specification, bundle.provenance.encoder, absent)
    if bundle.specification.of_pictures:
        # One date's probability is calibrated; what several dates make of it, in cells that somebody pictured, is not.
        return ModelFacts(bundle.provenance.licence, calibrated=False)
    # A calibration holds for what the head was trained on; without a band its percents are other percents.
    unseen = absent & set(bundle.specification.band_names) - set(bundle.conditions.absent_bands)
    return ModelFacts(bundle.provenance.licence, bundle.calibrated and not unseen)


def joined(inputs: list[ModelFacts]) -> ModelFacts:
    """The facts of a map that is made from others, each licence once; its codes are no probabilities."""
    licences = dict.fromkeys(licence for facts in inputs for licence in facts.licence.split(AND))
    return ModelFacts(AND.join(licences), calibrated=False)


def run_tiles(edition: Edition, config: MapConfiguration, reporter: Reporter) -> int:
    """Run every tile that has no valid record; returns how many were computed.

    Raises:
        UnreachableError: If some tiles were left undecided.
    """
    machine = Machine(config.run.readers, config.run.batch)
    job = job_of(edition, machine)  # a bundle that changed is refused here, before any worker starts
    hints = resource_hints(
        worker_memory(job.plan, job.materials.embedders.values(), config.run.workers), config.run.accelerator
    )
    with reporter.following(edition, len(edition.manifest["tiles"])):
        return run_stage(MapTiles(edition, machine, hints), edition, config)


def derive_tiles(edition: Edition, config: MapConfiguration, reporter: Reporter) -> int:
    """Make the products that are made from finished maps, where there are any; returns of how many tiles.

    Every tile must be settled: neighbours look into each other's maps.

    Raises:
        UnreachableError: If some tiles were left undecided.
    """
    names = [product.product for product in edition.plan.derived]
    if not names:
        return 0
    job_of.cache_clear()  # the encoders have done their work
    derive_job_of(edition)  # made here once, not by several threads at a time
    reporter.say("derivation_started", f"making {' and '.join(names)} from the maps", products=names)
    return run_stage(DeriveTiles(edition), edition, config)


def run_stage(stage: TileStage, edition: Edition, config: MapConfiguration) -> int:
    """Run a stage over all tiles of an edition; returns of how many it did the work.

    Raises:
        UnreachableError: If some tiles were left undecided.
        CancelledError: If somebody asked the run to stop.
    """
    edition.halt.unlink(missing_ok=True)
    runner, options = local_runner(config.run)
    pipeline = beam.Pipeline(runner=runner, options=options)
    _ = pipeline | beam.Create(edition.manifest["tiles"]) | stage
    metrics = pipeline.run().metrics()
    reasons = metrics.query(MetricsFilter().with_name(HALT_REASONS))["string_sets"]
    if reasons:
        raise UnreachableError(f"{min(reasons[0].result)}; what is done is kept, run the same command again")
    if edition.cancelled.exists():
        raise CancelledError(f"{edition.folder}: stopped as asked by 'stook cancel'; 'stook map' continues it")
    counters = metrics.query(MetricsFilter().with_names(["tiles_done", "tiles_failed"]))["counters"]
    return sum(counter.result for counter in counters)


def finish(
    folder: SeasonFolder, edition: Edition, config: MapConfiguration, worked: tuple[int, int], reporter: Reporter
) -> MapResult:
    """Write statistics and the compact ledger, then point readers at the edition if not too much failed.

    Args:
        folder: Of the edition.
        edition: Every tile must have its record.
        config: The configuration.
        worked: How many tiles this run computed, and of how many it made maps from finished ones.
        reporter: Told what came of it.
    """
    table = write_statistics(edition, thresholds_of(config))
    edition.ledger.compact(edition.folder / "ledger.parquet")
    share, most = failed_share(table), config.publish.most_failed_share
    computed, derived = worked
    result = MapResult(edition, share <= most, computed, failures(edition), share, derived)
    if result.published:
        folder.publish(edition)
        reporter.say("published", f"published edition {edition.id}", edition=edition.id)
    else:
        reporter.say(
            "not_published",
            f"not published: {share:.2%} of the area failed, publish.most_failed_share allows {most:.2%}; "
            "mend the cause and run the same command again",
            edition=edition.id,
            failed_share=share,
        )
    return result


def thresholds_of(config: MapConfiguration) -> dict[str, int]:
    """Product -> percent from which a cell counts as its class; a cell that has a feature vector counts as 100."""
    classes = {name: made for name, made in config.products.maps.items() if isinstance(made, ClassSection)}
    return {EMBEDDING: 100} | {name: section.threshold for name, section in classes.items()}


def failures(edition: Edition) -> dict[str, str]:
    """Failed tile -> cause: of the first product that failed, those that are made from others last."""
    names = [product.product for product in edition.plan.all_products]
    failed = {}
    for record in edition.ledger.records():
        made = [record.products[name] for name in names if name in record.products]
        causes = [product.error or "" for product in made if product.status == "failed"]
        if causes:
            failed[record.tile] = causes[0]
    return failed
