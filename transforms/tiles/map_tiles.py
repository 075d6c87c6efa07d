"""Stages of the pipeline that work tile by tile, and the one that maps: names in, small summaries out."""

from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Protocol

import apache_beam as beam
from apache_beam.metrics import Metrics

from stook.models.errors import StookError
from stook.transforms.editions.edition import Edition
from stook.transforms.editions.signals import Signals
from stook.transforms.editions.tile_records import cause_of
from stook.transforms.ground.grid import Tile
from stook.transforms.store import STORE_FAILURES, ChangedError, reason_of
from stook.transforms.tiles.materials import Machine
from stook.transforms.tiles.summary import TileSummary
from stook.transforms.tiles.tile_job import TileJob
from stook.transforms.tiles.workers import Work, workers_of

HALT_REASONS, FAULTS, DEVICES = "halt_reasons", "faults", "devices"
NAMESPACE = "stook"  # of the metrics
MILLISECONDS = "_ms"  # ends the name of a step's distribution


class Job(Protocol):
    """The work of a stage, shared by the threads of a process."""

    def run(self, tile: Tile) -> TileSummary:
        """Do the work on one tile.

        Raises:
            UnreachableError: If an archive or the store does not answer; the tile then has no new record.
        """

    def fail(self, tile: Tile, cause: str, attempts: int) -> TileSummary:
        """Record a tile, begun so often, as failed without doing the work.

        Raises:
            UnreachableError: If the store does not answer.
        """


@dataclass(frozen=True)
class JobMaker:
    """Gives the job of a stage; equal ones give the same job.

    Attributes:
        make: Remembers what it has made.
        arguments: Its arguments.
    """

    make: Callable[..., Job]
    arguments: tuple[Hashable, ...]

    def __call__(self) -> Job:
        """The job, made once per process."""
        return self.make(*self.arguments)


@dataclass(frozen=True)
class Settling:
    """The work on tiles with its failures told as outcomes.

    Attributes:
        signals: Of the run.
        job: Gives the job.
    """

    signals: Signals
    job: JobMaker

    def __call__(self) -> Work:
        """What a process does with its tiles, once it has its job."""
        return partial(settled, self.signals, partial(attempted, self.job()))


class TileStage(beam.PTransform):
    """Tile names -> ``TileSummary``, having written shards and ledger records.

    Args:
        signals: Of the run.
        job: Gives the job.
        hints: What a worker needs, see ``resource_hints``.
        processes: How many processes work on tiles beside Beam's own; none if 0.
    """

    def __init__(self, signals: Signals, job: JobMaker, hints: Mapping[str, str] | None = None, processes: int = 0):
        super().__init__()
        self.signals = signals
        self.job = job
        self.hints = dict(hints or {})
        self.processes = processes

    def expand(self, tiles: beam.PCollection[str]) -> beam.PCollection[TileSummary]:
        """Spread the tiles over the workers, then do all of a tile's work in one stage."""
        work = RunTile(self.signals, self.job, self.processes)
        return tiles | beam.Reshuffle() | "RunTile" >> beam.ParDo(work).with_resource_hints(**self.hints)


class MapTiles(TileStage):
    """Makes the products of models.

    Args:
        signals: Of the run.
        edition: An open edition.
        machine: How a worker uses its machine.
        hints: What a worker needs, see ``resource_hints``.
        processes: See ``TileStage``.
    """

    def __init__(
        self,
        signals: Signals,
        edition: Edition,
        machine: Machine,
        hints: Mapping[str, str] | None = None,
        processes: int = 0,
    ):
        super().__init__(signals, JobMaker(job_of, (edition, machine)), hints, processes)


@lru_cache(maxsize=1)
def job_of(edition: Edition, machine: Machine) -> TileJob:
    """The job that makes the products of models, made once per process and shared by its threads."""
    return TileJob(edition, machine)


class RunTile(beam.DoFn):
    """See ``TileStage``."""

    def __init__(self, signals: Signals, job: JobMaker, processes: int = 0):
        super().__init__()
        self.signals = signals
        self.job = job
        self.processes = processes

    def process(self, element: str) -> Iterable[TileSummary]:
        """Run one tile; once an archive or the store does not answer, or a stop is asked for, later ones are left."""
        summary = settled(self.signals, self._run, Tile.parse(element))
        count(summary)
        yield summary

    def _run(self, tile: Tile) -> TileSummary:
        if self.processes:
            return workers_of(Settling(self.signals, self.job), self.processes).run(tile)
        return attempted(self.job(), tile)


def attempted(job: Job, tile: Tile) -> TileSummary:
    """Run one tile; where a fault of ours leaves it without a record, that is its outcome, and the others go on."""
    try:
        return job.run(tile)
    except (StookError, ChangedError, *STORE_FAILURES):
        raise
    except Exception as fault:  # noqa: BLE001  it ends the run, once the others are done
        return TileSummary(tile.name, "fault", reason=f"tile {tile.name}: {cause_of(fault)}")


def settled(signals: Signals, run: Work, tile: Tile) -> TileSummary:
    """Run one tile, unless the run is to stop; what ends the run tells the other workers so, and why."""
    reason = ""
    try:
        if not signals.stopping():
            return run(tile)
    except ChangedError:
        # Recorded by a second worker of this run, or by a run that has taken over: either way not by this one.
        if signals.superseded():
            reason = f"{signals.season}: another run has taken over"
    except StookError as error:
        reason = str(error)
        signals.halt(reason)
    except STORE_FAILURES as error:  # archives fail in their own words, so this is the output's
        reason = f"output: cannot write {signals.season}: {reason_of(error)}"
        signals.halt(reason)
    return TileSummary(tile.name, "undecided", reason=reason)


def count(summary: TileSummary) -> None:
    """Add what became of a tile to Beam's metrics: by outcome, milliseconds by step, amounts."""
    Metrics.counter(NAMESPACE, f"tiles_{summary.outcome}").inc()
    for step, seconds in summary.seconds.items():
        Metrics.distribution(NAMESPACE, f"{step}{MILLISECONDS}").update(round(1000 * seconds))
    for name, amount in summary.amounts.items():
        Metrics.counter(NAMESPACE, name).inc(amount)
    if summary.device:
        Metrics.string_set(NAMESPACE, DEVICES).add(summary.device)
    for outcome, told in (("undecided", HALT_REASONS), ("fault", FAULTS)):
        if summary.outcome == outcome and summary.reason:
            Metrics.string_set(NAMESPACE, told).add(summary.reason)
