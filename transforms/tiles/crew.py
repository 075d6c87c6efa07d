"""What the threads of a worker process share, and how a tile comes to its end also where it kills whoever works on it.

Nobody but the ledger's markers remembers deaths, so it does not matter which process, machine or run meets the tile
next. A tile that two workers did not survive is done alone: in a process of its own, while the threads of this one
begin nothing else. If it was not to blame, it succeeds there; if that process dies too, the tile is recorded as failed.
Where the whole machine goes each time, nobody sees it; after four such attempts the tile is recorded as failed as well.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from threading import Condition
from typing import Protocol

from stook.models.errors import StookError
from stook.transforms.editions.edition import Edition
from stook.transforms.editions.ledger import Begun
from stook.transforms.editions.signals import Signals
from stook.transforms.editions.tile_records import cause_of
from stook.transforms.ground.grid import Tile
from stook.transforms.store import STORE_FAILURES, ChangedError, reason_of
from stook.transforms.tiles.summary import TileSummary
from stook.transforms.tiles.workers import Work, Workers

MOST_DEATHS = 2  # after so many a tile is done alone
MOST_UNSEEN = 4  # attempts of which nobody knows how they ended


class Job(Protocol):
    """The work of a stage, shared by the threads of a process."""

    def run(self, tile: Tile) -> TileSummary:
        """Do the work on one tile.

        Raises:
            UnreachableError: If an archive or the store does not answer; the tile then has no new record.
        """

    def fail(self, tile: Tile, cause: str, attempts: int) -> TileSummary:
        """Record a tile, begun so often, as failed without doing the work; nothing happens if it has come to its end.

        Raises:
            UnreachableError: If the store does not answer.
        """


@dataclass(frozen=True)
class Task:
    """The work of a run on the tiles of an edition; it reaches every process that takes part.

    Attributes:
        signals: Of the run.
        edition: An open edition.
        job: Makes the job.
    """

    signals: Signals
    edition: Edition
    job: Callable[[], Job]

    def __call__(self) -> Work:
        """What a process of its own does with its tiles."""
        return partial(settled, self, self.job().run)


class Crew:
    """See the module.

    Args:
        task: What is done.
        processes: How many processes do the work, each on a tile; if 0, the threads that call do it themselves.

    Raises:
        InputError: If a model is not the one the edition was opened with.
        UnreachableError: If the store does not answer.
    """

    def __init__(self, task: Task, processes: int = 0):
        self.task = task
        self.ledger = task.edition.ledger
        self.job = task.job()
        self.pool = Workers(task, processes) if processes else None
        self.gate = Gate()

    def run(self, tile: Tile) -> TileSummary:
        """Bring a tile to its end.

        Raises:
            UnreachableError: If an archive or the store does not answer.
            STORE_FAILURES: The same, in the store's own words.
            ChangedError: If another run has taken over, or another worker has recorded the tile meanwhile.
        """
        while True:
            begun = self.ledger.marked(tile.name)
            if begun.attempts - begun.deaths >= MOST_UNSEEN:
                return self._given_up(tile, begun, "without a word, together with all that knew of them")
            alone = begun.attempts >= MOST_DEATHS
            summary = self._alone(tile) if alone else self._together(tile)
            if summary.outcome != "died":
                return summary
            begun = self.ledger.remark(tile.name, partial(with_death, begun))
            if alone:
                return self._given_up(tile, begun, f"last by {summary.reason}, even when run alone")

    def close(self, at_once: bool = False) -> None:
        """End all processes; ``at_once`` in the middle of their tiles."""
        if self.pool is not None:
            self.pool.close(at_once)

    def _together(self, tile: Tile) -> TileSummary:
        with self.gate.among_others():
            return self.job.run(tile) if self.pool is None else self.pool.run(tile)

    def _alone(self, tile: Tile) -> TileSummary:
        with self.gate.alone():
            if self.pool is not None:
                return self.pool.run(tile)
            process = Workers(self.task, 1)
            try:
                return process.run(tile)
            finally:
                process.close()

    def _given_up(self, tile: Tile, begun: Begun, how: str) -> TileSummary:
        """Record a tile as failed; the next run that tries it does so alone."""
        cause = f"the worker died {begun.attempts} times on this tile, {how}"
        summary = self.job.fail(tile, cause, begun.attempts)
        self.ledger.mark(tile.name, Begun(MOST_DEATHS))
        return summary


def with_death(before: Begun, now: Begun) -> Begun:
    """A marker with a death that was seen; ``before`` is as it was when the attempt began, or just before."""
    return replace(now, attempts=max(now.attempts, before.attempts + 1), deaths=now.deaths + 1)


def settled(task: Task, run: Work, tile: Tile) -> TileSummary:
    """Run one tile, unless the run is to stop.

    What ends the run tells the other workers so, and why; a fault of ours is kept, and the others go on.
    """
    signals, reason = task.signals, ""
    try:
        if not signals.stopping():
            return run(tile)
    except ChangedError:
        # Recorded by a second worker of this run, or by a run that has taken over: either way not by this one.
        if not signals.superseded():
            return TileSummary(tile.name, "unchanged")
        reason = f"{signals.season}: another run has taken over"
    except StookError as error:
        reason = str(error)
        signals.halt(reason)
    except STORE_FAILURES as error:  # archives fail in their own words, so this is the output's
        reason = f"output: cannot write {signals.season}: {reason_of(error)}"
        signals.halt(reason)
    except Exception as fault:  # noqa: BLE001  it ends the run, once the others are done
        reason = f"tile {tile.name}: {cause_of(fault)}"
        with suppress(*STORE_FAILURES):
            kept = partial(replace, fault=reason, run=signals.run)
            task.edition.ledger.remark(tile.name, kept)
        return TileSummary(tile.name, "fault", reason)
    return TileSummary(tile.name, "undecided", reason)


class Gate:
    """Lets many threads in together, or one alone."""

    def __init__(self) -> None:
        self.changed = Condition()
        self.inside = 0
        self.shut = False

    @contextmanager
    def among_others(self) -> Iterator[None]:
        """Be inside for the length of the block, with others."""
        with self.changed:
            self.changed.wait_for(lambda: not self.shut)
            self.inside += 1
        try:
            yield
        finally:
            with self.changed:
                self.inside -= 1
                self.changed.notify_all()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Be the only one inside for the length of the block."""
        with self.changed:
            self.changed.wait_for(lambda: not self.shut)
            self.shut = True
            self.changed.wait_for(lambda: self.inside == 0)
        try:
            yield
        finally:
            with self.changed:
                self.shut = False
                self.changed.notify_all()
