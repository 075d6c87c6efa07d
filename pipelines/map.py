"""``stook map`` and ``stook embed``: open or continue the edition of a season, run its tiles, publish it."""

from dataclasses import dataclass

import apache_beam as beam
from apache_beam.metrics.metric import MetricsFilter

from models.errors import CancelledError, InputError, UnreachableError
from pipelines.configuration import MapConfiguration
from pipelines.opening import open_edition
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
    thresholds_of,
)
from transforms.editions.edition import Edition, SeasonFolder
from transforms.editions.lease import Lease
from transforms.editions.signals import Signals, asked_to_stop
from transforms.statistics.table import failed_share, statistics, write_statistics
from transforms.store import writing
from transforms.tiles.derive_tiles import DeriveTiles, derive_job_of
from transforms.tiles.map_tiles import HALT_REASONS, MapTiles, TileStage, job_of
from transforms.tiles.materials import Machine
from transforms.tiles.resources import resource_hints, worker_memory


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
        carried: Of how many tiles it took everything over from the edition before.
    """

    edition: Edition
    published: bool
    computed: int
    failed: dict[str, str]
    failed_share: float
    derived: int = 0
    carried: int = 0

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


def run_retry(config: MapConfiguration, year: int, reporter: Reporter) -> MapResult:
    """Do the failed tiles of a season's newest edition again, from the scenes that it was opened with.

    A published edition never changes: a successor takes over all but the failed tiles.

    Raises:
        InputError: If no edition is of this configuration, nothing failed, or as of ``run_map``.
        UnreachableError: If an archive or the output does not answer; what is done is kept.
    """
    folder, region = season_folder(config, year), region_of(config)
    plan = plan_of(config, year, region, provisional=True)
    edition = folder.find(plan.key)
    if edition is None:
        raise InputError(f"{folder.folder}: no edition of this configuration is open or published; run 'stook map'")
    failed = failures(edition)
    if not failed:
        raise InputError(f"{edition.folder}: no tile has failed; there is nothing to do again")
    reporter.say("retry_started", f"{len(failed)} tiles failed in edition {edition.id}", tiles=len(failed))
    with folder.lease() as lease:
        if folder.status(edition) == "published":
            edition = open_edition(folder, plan, region, reporter, frozen=edition)
        return fill(folder, lease, edition, config, reporter)


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
        return nothing_to_do(edition, config, reporter)
    with folder.lease() as lease:
        edition = None if refresh else folder.find(plan.key)  # again: another run may have had the lease until now
        if edition is not None and folder.status(edition) == "published":
            return nothing_to_do(edition, config, reporter)
        if edition is None:
            edition = open_edition(folder, plan, region, reporter)
        else:
            reporter.say("edition_continued", f"continuing edition {edition.id}", edition=edition.id)
        return fill(folder, lease, edition, config, reporter)


def nothing_to_do(edition: Edition, config: MapConfiguration, reporter: Reporter) -> MapResult:
    """The result of a run that finds the edition published."""
    failed = failures(edition)
    reporter.say(
        "nothing_to_do",
        f"{edition.plan.season} is published as {edition.id}{', with failed tiles' if failed else ''}; a published "
        "edition never changes, --refresh makes a successor",
    )
    share = failed_share(statistics(edition, thresholds_of(config)))
    return MapResult(edition, published=True, computed=0, failed=failed, failed_share=share)


def fill(
    folder: SeasonFolder, lease: Lease, edition: Edition, config: MapConfiguration, reporter: Reporter
) -> MapResult:
    """Do what an open edition lacks, and publish it.

    Raises:
        UnreachableError: If an archive or the output does not answer; what is done is kept.
        CancelledError: If somebody asked the run to stop.
    """
    lease.say(edition=edition.id)
    signals = folder.signals(lease)
    mapped = run_tiles(signals, edition, config, reporter)
    derived = derive_tiles(signals, edition, config, reporter)
    with writing(edition.folder):
        return finish(folder, lease, edition, config, mapped, derived, reporter)


@dataclass(frozen=True)
class Worked:
    """What a stage did.

    Attributes:
        computed: Tiles of which it made something, or failed to.
        carried: Tiles of which it took everything over from the edition before.
    """

    computed: int = 0
    carried: int = 0


def run_tiles(signals: Signals, edition: Edition, config: MapConfiguration, reporter: Reporter) -> Worked:
    """Run every tile that has no valid record.

    Raises:
        UnreachableError: If some tiles were left undecided.
    """
    machine = Machine(config.run.readers, config.run.batch)
    job = job_of(edition, machine)  # a bundle that changed is refused here, before any worker starts
    hints = resource_hints(
        worker_memory(job.plan, job.materials.embedders.values(), config.run.workers), config.run.accelerator
    )
    with reporter.following(edition, len(edition.manifest["tiles"])):
        return run_stage(MapTiles(signals, edition, machine, hints), edition, config)


def derive_tiles(signals: Signals, edition: Edition, config: MapConfiguration, reporter: Reporter) -> Worked:
    """Make the products that are made from finished maps, where there are any.

    Every tile must be settled: neighbours look into each other's maps.

    Raises:
        UnreachableError: If some tiles were left undecided.
    """
    names = [product.product for product in edition.plan.derived]
    if not names:
        return Worked()
    job_of.cache_clear()  # the encoders have done their work
    derive_job_of(edition)  # made here once, not by several threads at a time
    reporter.say("derivation_started", f"making {' and '.join(names)} from the maps", products=names)
    return run_stage(DeriveTiles(signals, edition), edition, config)


def run_stage(stage: TileStage, edition: Edition, config: MapConfiguration) -> Worked:
    """Run a stage over all tiles of an edition.

    Raises:
        UnreachableError: If some tiles were left undecided.
        CancelledError: If somebody asked the run to stop.
    """
    runner, options = local_runner(config.run)
    pipeline = beam.Pipeline(runner=runner, options=options)
    _ = pipeline | beam.Create(edition.manifest["tiles"]) | stage
    metrics = pipeline.run().metrics()
    reasons = metrics.query(MetricsFilter().with_name(HALT_REASONS))["string_sets"]
    if reasons:
        raise UnreachableError(f"{min(reasons[0].result)}; what is done is kept, run the same command again")
    if asked_to_stop(edition.folder.parent):
        raise CancelledError(f"{edition.folder}: stopped as asked by 'stook cancel'; 'stook map' continues it")
    found = {each.key.metric.name: each.result for each in metrics.query(MetricsFilter())["counters"]}
    return Worked(found.get("tiles_done", 0) + found.get("tiles_failed", 0), found.get("tiles_carried", 0))


def finish(
    folder: SeasonFolder,
    lease: Lease,
    edition: Edition,
    config: MapConfiguration,
    mapped: Worked,
    derived: Worked,
    reporter: Reporter,
) -> MapResult:
    """Write statistics and the compact ledger, then point readers at the edition if not too much failed.

    Args:
        folder: Of the edition.
        lease: Of the season.
        edition: Every tile must have its record.
        config: The configuration.
        mapped: What this run did of the products of models.
        derived: The same of products that are made from maps.
        reporter: Told what came of it.
    """
    table = write_statistics(edition, thresholds_of(config))
    edition.ledger.compact(edition.folder / "ledger.parquet")
    share, most = failed_share(table), config.publish.most_failed_share
    failed, carried = failures(edition), mapped.carried
    result = MapResult(edition, share <= most, mapped.computed, failed, share, derived.computed, carried)
    if result.published:
        lease.say()  # that it is still this run's
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
