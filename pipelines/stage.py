"""Running a stage over the tiles of an edition, and reading in the ledger what came of it."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

from stook.models.errors import CancelledError, UnreachableError
from stook.pipelines.engine import run_job, worker_processes
from stook.pipelines.sections import RunSection
from stook.transforms.editions.lease import Lease
from stook.transforms.editions.ledger import Begun
from stook.transforms.editions.signals import asked_to_stop
from stook.transforms.store import STORE_FAILURES, scraps_below, sweep, writing
from stook.transforms.tiles.crew import Crew, Task
from stook.transforms.tiles.tile_stage import TileStage


class TileFaultError(RuntimeError):
    """A fault of ours left tiles without a record; the others came to their end."""


def run_stage(
    task: Task,
    tiles: Sequence[str],
    left: Callable[[], Sequence[str]],
    run: RunSection,
    lease: Lease,
    hints_of: Callable[[Crew], Mapping[str, str]] = lambda _: {},
) -> None:
    """Do what is due, with whatever engine.

    Args:
        task: What is done.
        tiles: That are due.
        left: Names those that are not decided yet.
        run: Of the configuration.
        lease: Of the season.
        hints_of: What a worker of an engine needs.

    Raises:
        InputError: If a model is not the one the edition was opened with.
        UnreachableError: If some tiles were left undecided.
        CancelledError: If somebody asked the run to stop.
        TileFaultError: If a fault of ours left a tile without a record; the others are done.
    """
    ledger, signals = task.edition.ledger, task.signals
    with writing(task.edition.folder):
        before = ledger.begun()
    stage = TileStage(task, worker_processes(run))
    crew = stage.crew()  # a model that changed is refused here, before any worker begins
    try:
        complaint = run_job(stage, tiles, run, hints_of(crew), lease)
    except UnreachableError:
        raise
    except BaseException:
        signals.halt("stopped")  # Beam's other threads go on for a while; they should begin nothing more
        crew.close(at_once=True)
        with suppress(*STORE_FAILURES):  # who was at work did not die by itself
            for tile in ledger.begun():
                ledger.mark(tile, before.get(tile, Begun()))
        raise
    finally:
        crew.close()
    with writing(task.edition.folder):
        require_decided(task, left(), f"run.engine: the job ended: {complaint}" if complaint else "")


def require_decided(task: Task, left: Sequence[str], complaint: str = "") -> None:
    """Raise what ends a run whose job is over.

    Args:
        task: What was done.
        left: Tiles that are not decided.
        complaint: Of the engine, where it says that not all went well.

    Raises:
        UnreachableError: If an archive, the store or the engine failed.
        CancelledError: If somebody asked the run to stop.
        TileFaultError: If a fault of ours left a tile without a record.
    """
    folder, signals = task.edition.folder, task.signals
    if reason := signals.halted():
        raise UnreachableError(f"{reason}; progress is saved; rerun to resume")
    if asked_to_stop(signals.season):
        raise CancelledError(f"{folder}: stopped as asked by 'stook cancel'; the same command continues it")
    if signals.superseded():
        raise UnreachableError(f"{folder}: another run has taken over; progress is saved")
    begun = task.edition.ledger.begun()
    if begun:
        sweep(scraps_below(folder))  # what the dead left half-written
    if faults := [mark.fault for tile, mark in begun.items() if mark.fault and mark.run == signals.run]:
        raise TileFaultError(f"{min(faults)}; what other tiles came to is kept")
    if left:
        why = complaint or "the job ended without a word about them"
        raise UnreachableError(f"{len(left)} tiles were left: {why}; progress is saved; rerun to resume")
