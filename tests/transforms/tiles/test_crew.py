"""When a tile is done alone and when it is given up, by the markers that dead workers left; who is let in meanwhile."""

import threading
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from stook.models.errors import UnreachableError
from stook.transforms.editions.edition import Edition
from stook.transforms.editions.lease import LEASE
from stook.transforms.editions.ledger import Begun
from stook.transforms.editions.signals import Signals
from stook.transforms.ground.grid import Tile
from stook.transforms.store import ChangedError, write_json
from stook.transforms.tiles import crew as crew_module
from stook.transforms.tiles.crew import Crew, Gate, Task, settled, with_death
from stook.transforms.tiles.summary import TileSummary

TILE = Tile.parse("32637_0_0")
DIED, DONE = TileSummary(TILE.name, "died", "signal 9"), TileSummary(TILE.name, "done")


@dataclass
class Job:
    """Does tiles, or fails them; notes with which causes."""

    done: list[str] = field(default_factory=list)
    failed: list[tuple[str, int]] = field(default_factory=list)

    def run(self, tile: Tile) -> TileSummary:
        self.done.append(tile.name)
        return DONE

    def fail(self, tile: Tile, cause: str, attempts: int) -> TileSummary:
        self.failed.append((cause, attempts))
        return TileSummary(tile.name, "failed")


@dataclass
class Processes:
    """Stands for processes that end as told, one tile after the other; notes what the marker said meanwhile."""

    ends: list[TileSummary]
    task: Task
    marks: list[Begun] = field(default_factory=list)

    def run(self, tile: Tile) -> TileSummary:
        self.marks.append(self.task.edition.ledger.marked(tile.name))
        end = self.ends.pop(0)
        if end.outcome == "died":
            self.task.edition.ledger.begin(tile)  # as its job does, before it dies
        return end

    def close(self, at_once: bool = False) -> None:
        pass


@pytest.fixture
def task(tmp_path: Path) -> Task:
    write_json(tmp_path / LEASE, {"run": "mine"})
    job = Job()
    return Task(Signals(tmp_path, "mine"), Edition(tmp_path / "edition"), lambda: job)


def crew_of(task: Task, monkeypatch: pytest.MonkeyPatch, *ends: TileSummary, processes: int = 1) -> tuple[Crew, Any]:
    pool = Processes(list(ends), task)
    monkeypatch.setattr(crew_module, "Workers", lambda *_: pool)
    return Crew(task, processes), pool


def test_a_tile_that_killed_two_workers_is_done_alone_and_forgotten(
    task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    crew, pool = crew_of(task, monkeypatch, DIED, DIED, DONE)
    assert crew.run(TILE) == DONE
    assert pool.marks == [Begun(), Begun(1, 1), Begun(2, 2)]
    job: Any = crew.job
    assert job.failed == []


@pytest.mark.parametrize("processes", [0, 1])
def test_one_that_dies_alone_too_is_given_up_and_done_alone_by_the_next_run(
    task: Task, monkeypatch: pytest.MonkeyPatch, processes: int
) -> None:
    task.edition.ledger.mark(TILE.name, Begun(2))  # by two workers that nobody saw
    crew, pool = crew_of(task, monkeypatch, DIED, DONE, processes=processes)
    assert crew.run(TILE).outcome == "failed"
    job: Any = crew.job
    assert job.failed == [("the worker died 3 times on this tile, last by signal 9, even when run alone", 3)]
    assert job.done == []
    assert task.edition.ledger.marked(TILE.name) == Begun(2)
    assert crew.run(TILE) == DONE and pool.marks[-1] == Begun(2)


def test_one_with_which_four_machines_went_is_given_up_without_another_try(
    task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    task.edition.ledger.mark(TILE.name, Begun(5, 1))
    crew, pool = crew_of(task, monkeypatch)
    assert crew.run(TILE).outcome == "failed" and pool.marks == []
    job: Any = crew.job
    [(cause, attempts)] = job.failed
    assert cause.startswith("the worker died 5 times on this tile, without a word") and attempts == 5


def test_a_death_before_the_marker_was_written_counts() -> None:
    assert with_death(Begun(1), Begun(1)) == Begun(2, 1)
    assert with_death(Begun(1), Begun(2)) == Begun(2, 1)


def test_markers_of_several_at_once_are_all_counted(task: Task) -> None:
    ledger = task.edition.ledger
    threads = [threading.Thread(target=ledger.begin, args=(TILE,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert ledger.marked(TILE.name) == Begun(8)
    for _ in threads:
        ledger.release(TILE)
    assert ledger.begun() == {}


def test_a_fault_of_ours_is_kept_for_whoever_drives_the_run(task: Task) -> None:
    def faulty(_: Tile) -> TileSummary:
        raise ZeroDivisionError("in our own code")

    assert settled(task, faulty, TILE).outcome == "fault"
    mark = task.edition.ledger.marked(TILE.name)
    assert mark.fault.startswith(f"tile {TILE.name}: fault in Stook: ZeroDivision") and mark.run == "mine"
    assert task.signals.halted() is None
    task.edition.ledger.begin(TILE)
    assert task.edition.ledger.marked(TILE.name) == Begun(1)


@pytest.mark.parametrize(
    ("end", "told"),
    [(UnreachableError("an archive"), "an archive"), (OSError(28, "No space left on device"), "output: cannot write")],
)
def test_what_ends_a_run_stops_the_others(task: Task, end: Exception, told: str) -> None:
    def ending(_: Tile) -> TileSummary:
        raise end

    summary = settled(task, ending, TILE)
    assert summary.outcome == "undecided" and summary.reason.startswith(told)
    assert (task.signals.halted() or "").startswith(told)
    assert settled(task, Job().run, TILE).outcome == "undecided"


def test_a_tile_that_another_worker_has_recorded_is_left_to_it(task: Task) -> None:
    def changed(_: Tile) -> TileSummary:
        raise ChangedError("recorded meanwhile")

    assert settled(task, changed, TILE) == TileSummary(TILE.name, "unchanged")  # a twin of this very run
    write_json(task.signals.season / LEASE, {"run": "another"})
    assert settled(task, changed, TILE).outcome == "undecided"


def test_one_alone_waits_for_those_inside_and_keeps_others_out() -> None:
    gate, inside, seen = Gate(), threading.Event(), []
    leave = threading.Event()

    def among() -> None:
        with gate.among_others():
            inside.set()
            leave.wait(10)
            seen.append("first left")

    def alone() -> None:
        with gate.alone():
            seen.append("alone")

    first = threading.Thread(target=among)
    first.start()
    assert inside.wait(10)
    second = threading.Thread(target=alone)
    second.start()
    while not gate.shut:
        pass
    third = threading.Thread(target=partial(late, gate, seen))
    third.start()
    leave.set()
    for thread in (first, second, third):
        thread.join(10)
    assert seen == ["first left", "alone", "late"]


def late(gate: Gate, seen: list[str]) -> None:
    with gate.among_others():
        seen.append("late")
