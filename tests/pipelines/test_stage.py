"""What ends a run whose job is over, whatever the engine says, and what is kept where it breaks off."""

from pathlib import Path
from typing import Any

import pytest

from stook.models.errors import CancelledError, UnreachableError
from stook.pipelines import stage as stage_module
from stook.pipelines.sections import RunSection
from stook.pipelines.stage import TileFaultError, require_decided, run_stage
from stook.transforms.editions.edition import Edition
from stook.transforms.editions.lease import LEASE
from stook.transforms.editions.ledger import Begun
from stook.transforms.editions.signals import Signals, ask_to_stop
from stook.transforms.store import write_json
from stook.transforms.tiles.crew import Task
from stook.transforms.tiles.workers import Workers

TILES = [f"32637_0_{number}" for number in range(3)]
UNTYPED: Any = None  # the lease, which no job of this machine needs


@pytest.fixture
def task(tmp_path: Path) -> Task:
    write_json(tmp_path / LEASE, {"run": "mine"})
    job: Any = object
    return Task(Signals(tmp_path, "mine"), Edition(tmp_path / "edition"), job)


def test_a_run_ends_well_where_the_ledger_says_so_whatever_the_engine_says(task: Task) -> None:
    require_decided(task, [], "FAILED")
    assert task.signals.halted() is None and task.edition.ledger.begun() == {}


def test_tiles_that_are_left_are_told_with_what_the_engine_said(task: Task) -> None:
    with pytest.raises(UnreachableError, match="2 tiles were left: the job ended badly; progress is saved"):
        require_decided(task, TILES[:2], "the job ended badly")
    with pytest.raises(UnreachableError, match="without a word about them"):
        require_decided(task, TILES)


def test_what_a_worker_met_is_told_rather(task: Task) -> None:
    task.edition.ledger.mark(TILES[0], Begun(0, fault="tile x: a fault", run="mine"))
    task.edition.ledger.mark(TILES[1], Begun(0, fault="tile y: an old fault", run="earlier"))
    with pytest.raises(TileFaultError, match="tile x: a fault; what other tiles came to is kept"):
        require_decided(task, TILES, "FAILED")
    ask_to_stop(task.signals.season)
    with pytest.raises(CancelledError):
        require_decided(task, TILES)
    task.signals.halt("b is down")
    with pytest.raises(UnreachableError, match="b is down; progress is saved; rerun to resume"):
        require_decided(task, [])


def test_a_run_that_was_taken_over_says_so(task: Task) -> None:
    write_json(task.signals.season / LEASE, {"run": "another"})
    with pytest.raises(UnreachableError, match="another run has taken over"):
        require_decided(task, [])


@pytest.mark.parametrize(("end", "left"), [(KeyboardInterrupt(), Begun(1)), (UnreachableError("an engine"), Begun(2))])
def test_a_run_that_is_stopped_counts_for_no_tiles_death(
    task: Task, monkeypatch: pytest.MonkeyPatch, end: BaseException, left: Begun
) -> None:
    closed: list[bool] = []
    monkeypatch.setattr(Workers, "close", lambda _, at_once=False: closed.append(at_once))
    task.edition.ledger.mark(TILES[0], Begun(1))

    def ended(*_: object) -> str:
        task.edition.ledger.mark(TILES[0], Begun(2))
        raise end

    monkeypatch.setattr(stage_module, "run_job", ended)
    with pytest.raises(type(end)):
        run_stage(task, TILES, list, RunSection(mode="processes"), UNTYPED)
    assert task.edition.ledger.begun() == {TILES[0]: left}
    stopped = isinstance(end, KeyboardInterrupt)
    assert closed[0] == stopped and (task.signals.halted() == "stopped") == stopped
