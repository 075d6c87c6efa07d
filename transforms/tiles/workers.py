"""Processes that work on a tile each: the death of one is a matter of the tile that it was at, and of no other.

On one machine Beam's own processes would not do: when one of them is killed, the whole pipeline ends or waits for ever,
and nothing says which tile it was at.
"""

import logging
import os
import pickle
import signal
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import get_context, parent_process
from multiprocessing.connection import Connection
from queue import SimpleQueue
from threading import Thread
from typing import Any

from stook.models.errors import StookError, UnreachableError
from stook.transforms.ground.grid import Tile
from stook.transforms.memory import be_ended_first
from stook.transforms.store import STORE_FAILURES, reason_of
from stook.transforms.tiles.summary import TileSummary

# A fresh interpreter: threads and locks of Beam and torch do not outlive a fork.
SPAWN = get_context("spawn")
PATIENCE_S = 10.0  # for a process that was told to end
SIGKILL = 9  # which Windows has no name for

Work = Callable[[Tile], TileSummary]


class WorkerDied(Exception):  # noqa: N818  an event, not an error of ours
    """A worker's process is gone; says how it ended."""


@dataclass(frozen=True)
class Fault:
    """What a worker sends where a fault of ours has ended its work on a tile."""

    text: str


class Worker:
    """One process that works on one tile at a time.

    Args:
        work: Gives the work; called once, in the process.

    Raises:
        UnreachableError: If the process ends before it can begin, or the store does not answer it.
        StookError: As ``work`` does where it cannot begin, e.g. of a model that has changed.
        RuntimeError: If a fault of ours keeps it from beginning.
    """

    def __init__(self, work: Callable[[], Work]):
        self.connection, theirs = SPAWN.Pipe()
        self.process = SPAWN.Process(target=_serve, args=(theirs, pickle.dumps(work)), name="stook-worker", daemon=True)
        self.process.start()
        theirs.close()
        try:
            answer = self._answer()
        except WorkerDied as death:
            raise UnreachableError(
                f"a worker process ended by {death} before it began a tile; is there enough memory for run.workers?"
            ) from None
        if isinstance(answer, StookError):
            raise answer
        if isinstance(answer, Fault):
            raise RuntimeError(f"a worker process cannot begin:\n{answer.text}")

    def run(self, tile: Tile) -> TileSummary:
        """Do the work on a tile.

        Raises:
            WorkerDied: If the process ended meanwhile.
            RuntimeError: If a fault of ours ended the work.
        """
        with suppress(OSError):  # it is gone already, which its answer will say
            self.connection.send(tile)
        answer: TileSummary | Fault = self._answer()
        if isinstance(answer, Fault):
            raise RuntimeError(f"tile {tile.name}, in a worker process:\n{answer.text}")
        return answer

    def _answer(self) -> Any:
        try:
            return self.connection.recv()
        except (EOFError, OSError):
            self.process.join()
            raise WorkerDied(told_exit(self.process.exitcode or 0)) from None

    def dismiss(self, at_once: bool = False) -> None:
        """Tell the process to end; ``at_once`` in the middle of a tile."""
        if at_once:
            self.process.kill()
        with suppress(OSError):
            self.connection.send(None)

    def join(self) -> None:
        """Wait until the process has ended; one that takes too long is killed."""
        self.process.join(PATIENCE_S)
        self.process.kill()
        self.process.join()


class Workers:
    """Up to ``number`` processes, started when they are needed, and again when one has died.

    Args:
        work: See ``Worker``.
        number: Of processes.
    """

    def __init__(self, work: Callable[[], Work], number: int):
        self.work = work
        self.started: list[Worker] = []
        self.free: SimpleQueue[Worker | None] = SimpleQueue()
        for _ in range(number):
            self.free.put(None)

    def run(self, tile: Tile) -> TileSummary:
        """Do the work on a tile in a process that is free; the outcome is ``died`` where that process ended meanwhile.

        Raises:
            UnreachableError: If no process can be started; as of ``Worker``.
            RuntimeError: If a fault of ours ended the work.
        """
        worker = self.free.get()
        try:
            if worker is None or not worker.process.is_alive():  # killed while it had nothing to do
                worker = self._start()
            return worker.run(tile)
        except WorkerDied as death:
            worker = None
            return TileSummary(tile.name, "died", str(death))
        finally:
            self.free.put(worker)

    def _start(self) -> Worker:
        worker = Worker(self.work)
        self.started = [each for each in self.started if each.process.is_alive()] + [worker]
        return worker

    def close(self, at_once: bool = False) -> None:
        """End all processes; ``at_once`` in the middle of their tiles."""
        for worker in self.started:
            worker.dismiss(at_once)
        for worker in self.started:
            worker.join()
        self.started.clear()


def told_exit(code: int) -> str:
    """How a process ended, in words, from its exit code as ``multiprocessing`` tells it."""
    if code >= 0:
        return f"exit status {code}"
    if code == -SIGKILL:
        return f"signal {-code} (killed, possibly out of memory)"
    return f"signal {-code} ({signal.strsignal(-code)})"


def _serve(connection: Connection, work: bytes) -> None:
    """Be a worker's process, until it is told to end or its parent is gone; ``work`` is pickled, see ``Worker``."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what Ctrl-C means
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    logging.basicConfig(level=logging.ERROR)
    be_ended_first()  # a run survives the death of a worker, not its own
    Thread(target=_end_with_parent, daemon=True).start()
    try:
        run = pickle.loads(work)()  # noqa: S301  our own; importing what it needs is quiet only now
        connection.send(None)
        while (tile := connection.recv()) is not None:
            connection.send(run(tile))
    except StookError as error:
        connection.send(error)
    except STORE_FAILURES as error:  # theirs are not all made to be sent
        connection.send(UnreachableError(f"output: cannot be read by a worker process: {reason_of(error)}"))
    except Exception:  # noqa: BLE001  told by the parent, as a fault of ours
        connection.send(Fault(traceback.format_exc()))


def _end_with_parent() -> None:
    """Leave at once when the parent is gone, however it ended."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
