"""``stook map`` and ``stook embed``: open or continue the edition of a season, run its tiles, publish it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import cast

from stook.models.errors import InputError, without_secrets
from stook.pipelines.configuration import MapConfiguration
from stook.pipelines.journal import Journal, outcome_of
from stook.pipelines.kind import MAPS, VECTORS, Kind
from stook.pipelines.opening import open_edition
from stook.pipelines.progress import Reporter
from stook.pipelines.season import plan_of, region_of, thresholds_of
from stook.pipelines.sections import RunSection
from stook.pipelines.stage import run_stage
from stook.transforms.editions.edition import Edition
from stook.transforms.editions.lease import Lease
from stook.transforms.editions.plan import Plan
from stook.transforms.editions.run_summary import RunSummary
from stook.transforms.editions.season_folder import SeasonFolder
from stook.transforms.statistics.table import failed_share, statistics, write_statistics
from stook.transforms.store import writing
from stook.transforms.tiles.crew import Crew, Task
from stook.transforms.tiles.derive_job import DeriveJob
from stook.transforms.tiles.due import due_derived, due_tiles
from stook.transforms.tiles.materials import Machine
from stook.transforms.tiles.resources import resource_hints, worker_memory
from stook.transforms.tiles.tile_job import TileJob


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
        summary: What the edition keeps of the run; None where there was nothing to do.
    """

    edition: Edition
    published: bool
    computed: int
    failed: dict[str, str]
    failed_share: float
    derived: int = 0
    carried: int = 0
    summary: RunSummary | None = None

    @property
    def exit_status(self) -> int:
        """0 if every tile is mapped, 3 if some failed."""
        return 3 if self.failed else 0


def run_map(
    config: MapConfiguration,
    year: int,
    reporter: Reporter,
    provisional: bool = False,
    refresh: bool = False,
    no_reuse: bool = False,
) -> MapResult:
    """Map a season, or go on with it where an earlier run stopped.

    Args:
        config: The configuration.
        year: Harvest year.
        reporter: Told what happens.
        provisional: Whether the season need not be over.
        refresh: Whether the archives are searched again, for a successor of the edition that is there.
        no_reuse: Like ``refresh``, but reuse nothing.

    Raises:
        InputError: If the configuration or the inputs are wrong, or another run is at work on the edition.
        UnreachableError: If an archive or the output does not answer; progress is saved.
    """
    return run(config, year, MAPS, reporter, provisional, refresh, no_reuse)


def run_retry(config: MapConfiguration, year: int, reporter: Reporter, kind: Kind = MAPS) -> MapResult:
    """Do the failed tiles of a season's newest edition again, from the scenes that it was opened with.

    A published edition never changes: a successor takes over all but the failed tiles.

    Args:
        config: The configuration.
        year: Harvest year.
        reporter: Told what happens.
        kind: Whether it is of maps or of feature vectors.

    Raises:
        InputError: If no edition is of this configuration, nothing failed, or as of ``run_map``.
        UnreachableError: If an archive or the output does not answer; progress is saved.
    """
    folder, region = kind.folder(config, year), region_of(config)
    plan = plan_of(config, year, region, True, kind.planned)
    if folder.find(plan.key) is None:
        raise InputError(f"{folder.folder}: no edition of this configuration is open or published; run '{kind.makes}'")
    with announced(folder, config, reporter) as lease:
        edition = folder.find(plan.key)
        if edition is None:
            raise InputError(f"{folder.folder}: the edition was just removed; run '{kind.makes}'")
        failed, published = failures(edition), folder.status(edition) == "published"
        if published and not failed:
            raise InputError(f"{edition.folder}: no tile has failed; there is nothing to do again")
        reporter.say("retry_started", f"{len(failed)} tiles failed in edition {edition.id}", tiles=len(failed))
        if published:
            backoff = config.run.backoff()
            again = rounded_as_made(plan, edition)
            edition = open_edition(folder, again, region, reporter, edition, edition, backoff=backoff, lease=lease)
        return fill(folder, lease, edition, config, reporter)


def rounded_as_made(plan: Plan, edition: Edition) -> Plan:
    """A plan with the rounding that an edition of its key has, whatever vectors were stored since.

    With another rounding none of its tiles could be taken over.
    """
    made = Plan.from_json(edition.manifest["plan"])
    pairs = zip(plan.products, made.products, strict=True)
    return replace(plan, products=tuple(replace(product, encoding=before.encoding) for product, before in pairs))


def run_embed(
    config: MapConfiguration,
    year: int,
    reporter: Reporter,
    provisional: bool = False,
    refresh: bool = False,
    no_reuse: bool = False,
) -> MapResult:
    """Store the feature vectors of a season; see ``run_map``."""
    return run(config, year, VECTORS, reporter, provisional, refresh, no_reuse)


def run(
    config: MapConfiguration,
    year: int,
    kind: Kind,
    reporter: Reporter,
    provisional: bool,
    refresh: bool,
    no_reuse: bool = False,
) -> MapResult:
    """Make an edition of a kind; see ``run_map``."""
    folder, region = kind.folder(config, year), region_of(config)
    plan = plan_of(config, year, region, provisional, kind.planned)
    folder.require_writable()
    refresh = refresh or no_reuse
    if not refresh and (edition := done_already(folder, plan)):
        return nothing_to_do(folder, edition, config, reporter)
    with announced(folder, config, reporter) as lease:
        if not refresh and (edition := done_already(folder, plan)):  # by a run that had the lease until now
            return nothing_to_do(folder, edition, config, reporter)
        edition = folder.begun_refresh(plan.key, no_reuse) if refresh else folder.find(plan.key)
        if edition is None:
            edition = open_edition(
                folder,
                plan,
                region,
                reporter,
                rounded_as=None if no_reuse else folder.current_of(plan.key),
                refreshes=refresh,
                carries=not no_reuse,
                backoff=config.run.backoff(),
                lease=lease,
            )
        else:
            reporter.say("edition_continued", f"continuing edition {edition.id}", edition=edition.id)
        return fill(folder, lease, edition, config, reporter)


def done_already(folder: SeasonFolder, plan: Plan) -> Edition | None:
    """The published edition of a plan, if it has one."""
    edition = folder.find(plan.key)
    return edition if edition is not None and folder.status(edition) == "published" else None


@contextmanager
def announced(folder: SeasonFolder, config: MapConfiguration, reporter: Reporter) -> Iterator[Lease]:
    """Have the lease of a season for the length of the block, and tell that a run begins, or how it breaks off."""
    with reporter.about(season=folder.season, kind=folder.kind):
        known: dict[str, str] = {}
        try:
            with folder.lease() as lease, reporter.about(run=lease.run):
                known = {"run": lease.run}
                host, run = lease.content["host"], config.run
                text = f"{folder.title}: run {lease.run} on {host}"
                reporter.log("run_started", text, host=host, mode=run.mode, workers=run.workers)
                try:
                    yield lease
                finally:
                    known |= {"edition": edition} if (edition := lease.content["edition"]) else {}
        except BaseException as end:
            if not isinstance(end, SystemExit | GeneratorExit):
                outcome, reason = outcome_of(end), without_secrets(" ".join(str(end).split())) or "Ctrl-C or SIGTERM"
                text = f"{folder.title}: {outcome}: {reason}"
                reporter.log("halted", text, **known, outcome=outcome, reason=reason)
            raise


def nothing_to_do(folder: SeasonFolder, edition: Edition, config: MapConfiguration, reporter: Reporter) -> MapResult:
    """The result of a run that finds the edition published."""
    failed = failures(edition)
    reporter.say(
        "nothing_to_do",
        f"{folder.title} is already published as {edition.id}{', with failed tiles' if failed else ''}; "
        "use --refresh to create a new edition",
        season=folder.season,
        kind=folder.kind,
        edition=edition.id,
        failed=len(failed),
    )
    share = failed_share(statistics(edition, thresholds_of(config)))
    return MapResult(edition, published=True, computed=0, failed=failed, failed_share=share)


def fill(
    folder: SeasonFolder, lease: Lease, edition: Edition, config: MapConfiguration, reporter: Reporter
) -> MapResult:
    """Do what an open edition lacks, and publish it.

    Raises:
        UnreachableError: If an archive or the output does not answer; progress is saved.
        CancelledError: If somebody asked the run to stop.
    """
    lease.say(edition=edition.id)
    with reporter.about(edition=edition.id), Journal(edition, config, folder.signals(lease)).kept() as journal:
        run_tiles(journal, lease, reporter)
        return conclude(folder, lease, journal, reporter)


def conclude(folder: SeasonFolder, lease: Lease, journal: Journal, reporter: Reporter) -> MapResult:
    """Make what is made from finished maps, and publish.

    Args:
        folder: Of the edition.
        lease: Of the season.
        journal: Of the run; every tile of its edition must have its record.
        reporter: Told what came of it.
    """
    derive_tiles(journal, lease, reporter)
    with writing(journal.edition.folder):
        return finish(folder, lease, journal, reporter)


def run_tiles(journal: Journal, lease: Lease, reporter: Reporter) -> None:
    """Run every tile that has no valid record.

    Raises:
        UnreachableError: If some tiles were left undecided.
        CancelledError: If somebody asked the run to stop.
    """
    edition, run = journal.edition, journal.config.run
    due = due_tiles(edition, lease.run)
    if not due:
        return
    machine = Machine(run.readers, run.batch, run.backoff())
    task = Task(journal.signals, edition, partial(TileJob, edition, machine))
    with reporter.following(edition, [product.product for product in edition.plan.products], due):
        run_stage(task, due, partial(due_tiles, edition, lease.run), run, lease, partial(needs, run))


def needs(run: RunSection, crew: Crew) -> dict[str, str]:
    """What a worker of an engine needs to make maps, as resource hints."""
    materials = cast(TileJob, crew.job).materials
    return resource_hints(worker_memory(materials.plan, materials.embedders.values(), run.workers), run.accelerator)


def derive_tiles(journal: Journal, lease: Lease, reporter: Reporter) -> None:
    """Make the products that are made from finished maps, of the tiles that lack them.

    Every tile must be mapped: neighbours look into each other's maps.

    Raises:
        UnreachableError: If some tiles were left undecided.
        CancelledError: If somebody asked the run to stop.
    """
    edition = journal.edition
    names = [product.product for product in edition.plan.derived]
    due = due_derived(edition, lease.run) if names else []
    if not due:
        return
    reporter.say("derivation_started", f"making {' and '.join(names)} from the maps", products=names)
    with reporter.following(edition, names, due, [product.product for product in edition.plan.products]):
        task = Task(journal.signals, edition, partial(DeriveJob, edition))
        run_stage(task, due, partial(due_derived, edition, lease.run), journal.config.run, lease)


def finish(folder: SeasonFolder, lease: Lease, journal: Journal, reporter: Reporter) -> MapResult:
    """Write the compact ledger and statistics, then point readers at the edition if not too much failed."""
    edition, config = journal.edition, journal.config
    lease.say()  # that it is still this run's
    edition.ledger.compact()  # first: it is what all others read, here and from now on
    table = write_statistics(edition, thresholds_of(config))
    share, most = failed_share(table), config.publish.most_failed_share
    published, failed = share <= most, failures(edition)
    lease.say()
    summary = journal.write("complete" if published else "not_published")
    result = MapResult(
        edition, published, summary.computed or 0, failed, share, summary.derived or 0, summary.carried or 0, summary
    )
    if result.published:
        folder.publish(edition)
        reporter.say("published", f"published edition {edition.id}", edition=edition.id)
    else:
        reporter.say(
            "not_published",
            f"not published: {share:.2%} of the area failed, publish.most_failed_share allows {most:.2%}; "
            "fix the cause and rerun",
            edition=edition.id,
            failed_share=share,
        )
    return result


def tell(result: MapResult, reporter: Reporter) -> None:
    """Say which tiles failed and what came of a run."""
    reporter.list_failed(result.failed)
    derived = f"{result.derived} derived, " if result.derived else ""
    carried = f"{result.carried} carried over, " if result.carried else ""
    summary = result.summary
    told = {} if summary is None else {"run": summary.run, "seconds": summary.seconds, "amounts": summary.amounts}
    reporter.say(
        "run_finished",
        f"{result.edition.folder}: {result.computed} tiles computed, {carried}{derived}{len(result.failed)} failed",
        **told,
        season=str(result.edition.plan.season),
        kind=SeasonFolder.at(result.edition.folder.parent).kind,
        edition=result.edition.id,
        computed=result.computed,
        derived=result.derived,
        carried=result.carried,
        failed=len(result.failed),
        published=result.published,
    )


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
