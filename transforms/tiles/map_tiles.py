"""Stages of the pipeline that work tile by tile, and the one that maps: names in, small summaries out."""

from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache, partial
from typing import Protocol

import apache_beam as beam
from apache_beam.metrics import Metrics

from models.errors import StookError
from transforms.editions.edition import Edition
from transforms.editions.signals import Signals
from transforms.ground.grid import Tile
from transforms.store import STORE_FAILURES, ChangedError, reason_of
from transforms.tiles.materials import Machine
from transforms.tiles.tile_job import TileJob, TileSummary

HALT_REASONS = "halt_reasons"


class Job(Protocol):
    """The work of a stage, shared by the threads of a process."""

    def run(self, tile: Tile) -> TileSummary:
        """Do the work on one tile.

        Raises:
            UnreachableError: If an archive or the store does not answer; the tile then has no new record.
        """


class TileStage(beam.PTransform):
    """Tile names -> ``TileSummary``, having written shards and ledger records.

    Args:
        signals: Of the run.
        job: Gives the job, made once per process.
        hints: What a worker needs, see ``resource_hints``.
    """

    def __init__(self, signals: Signals, job: Callable[[], Job], hints: Mapping[str, str] | None = None):
        super().__init__()
        self.signals = signals
        self.job = job
        self.hints = dict(hints or {})

    def expand(self, tiles: beam.PCollection[str]) -> beam.PCollection[TileSummary]:
        """Spread the tiles over the workers, then do all of a tile's work in one stage."""
        done = beam.ParDo(RunTile(self.signals, self.job)).with_resource_hints(**self.hints)
        return tiles | beam.Reshuffle() | "RunTile" >> done


class MapTiles(TileStage):
    """Makes the products of models.

    Args:
        signals: Of the run.
        edition: An open edition.
        machine: How a worker uses its machine.
        hints: What a worker needs, see ``resource_hints``.
    """

    def __init__(self, signals: Signals, edition: Edition, machine: Machine, hints: Mapping[str, str] | None = None):
        super().__init__(signals, partial(job_of, edition, machine), hints)


@lru_cache(maxsize=1)
def job_of(edition: Edition, machine: Machine) -> TileJob:
    """The job that makes the products of models, made once per process and shared by its threads."""
    return TileJob(edition, machine)


class RunTile(beam.DoFn):
    """See ``TileStage``."""

    def __init__(self, signals: Signals, job: Callable[[], Job]):
        super().__init__()
        self.signals = signals
        self.job = job

    def process(self, element: str) -> Iterable[TileSummary]:
        """Run one tile; once an archive or the store does not answer, or a stop is asked for, later ones are left."""
        summary = self._run(Tile.parse(element))
        Metrics.counter("stook", f"tiles_{summary.outcome}").inc()
        yield summary

    def _run(self, tile: Tile) -> TileSummary:
        try:
            if not self.signals.stopping():
                return self.job().run(tile)
        except ChangedError:
            # Recorded by a second worker of this run, or by a run that has taken over: either way not by this one.
            if self.signals.superseded():
                Metrics.string_set("stook", HALT_REASONS).add(f"{self.signals.season}: another run has taken over")
        except StookError as error:
            self._halt(str(error))
        except STORE_FAILURES as error:  # archives fail in their own words, so this is the output's
            self._halt(f"output: cannot write {self.signals.season}: {reason_of(error)}")
        return TileSummary(tile.name, "undecided")

    def _halt(self, reason: str) -> None:
        """Tell the driver why the run stops, and the other workers that it does."""
        Metrics.string_set("stook", HALT_REASONS).add(reason)
        self.signals.halt(reason)
