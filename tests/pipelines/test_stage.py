"""Which tiles are done alone, and when one is given up, by the markers that dead workers left."""

from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from stook.models.errors import CancelledError, UnreachableError
from stook.pipelines import stage as stage_module
from stook.pipelines.progress import SilentReporter
from stook.pipelines.stage import alone, noted, require_decided, run_stage, suspected
from stook.pipelines.tally import Worked
from stook.transforms.editions.edition import Edition
from stook.transforms.editions.ledger import Begun, TileRecord
from stook.transforms.editions.signals import Signals, ask_to_stop
from stook.transforms.ground.grid import Tile
from stook.transforms.store import ChangedError, write_json
from stook.transforms.tiles.map_tiles import JobMaker, TileStage, attempted
from stook.transforms.tiles.summary import TileSummary
from stook.transforms.tiles.workers import Workers
from tests.pipelines.small_season import SmallSeason

TILES = [f"32637_0_{number}" for number in range(3)]
TILE = Tile.parse(TILES[0])


@dataclass
class Stage:
    """Stands for a stage whose job can only fail tiles; notes with which causes."""

    failed: list[tuple[str, str, int]] = field(default_factory=list)

    def job(self) -> "Stage":
        return self

    def fail(self, tile: Tile, cause: str, attempts: int) -> TileSummary:
        self.failed.append((tile.name, cause, attempts))
        return TileSummary(tile.name, "failed")


@dataclass
class Process:
    """Stands for the process that a tile is alone in."""

    edition: Edition
    outcome: TileSummary | Exception
    marked: Begun | None = None

    def run(self, tile: Tile) -> TileSummary:
        self.marked = self.edition.ledger.begun().get(tile.name)
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return self.outcome


@pytest.fixture
def edition(tmp_path: Path) -> Edition:
    for name, predecessor in (("old", None), ("new", "old")):
        write_json(tmp_path / name / "edition.json", {"tiles": TILES, "predecessor": predecessor})
    return Edition(tmp_path / "new")


def done_alone(edition: Edition, begun: Begun, outcome: TileSummary | Exception) -> tuple[Stage, Process, TileSummary]:
    """Do a tile alone, in a process that ends so."""
    stage, process = Stage(), Process(edition, outcome)
    edition.ledger.mark(TILE.name, begun)
    untyped: Any = stage, process
    return stage, process, alone(untyped[0], untyped[1], edition, begun, TILE)


def test_two_deaths_make_a_suspect_also_those_of_the_edition_before(edition: Edition) -> None:
    old = Edition(edition.folder.parent / "old")
    for tile, deaths in zip(TILES, (1, 2, 3), strict=True):
        old.ledger.mark(tile, Begun(deaths))
    edition.ledger.mark(TILES[0], Begun(2))
    edition.ledger.commit(TileRecord(TILES[2], {}, 4, {}, "2026-01-01T00:00:00+00:00"), None)  # done since
    assert suspected(edition, TILES, edition.ledger.begun()) == {TILES[0]: Begun(2), TILES[1]: Begun(2)}
    assert suspected(edition, TILES[1:], edition.ledger.begun()) == {TILES[1]: Begun(2)}
    assert suspected(old, TILES, {}) == {}


def test_a_death_before_the_marker_was_written_is_noted(edition: Edition) -> None:
    edition.ledger.mark(TILES[1], Begun(2))
    before = {TILES[1]: Begun(1)}
    assert noted(edition, {TILES[0]: "", TILES[1]: ""}, before) == {TILES[0]: Begun(1), TILES[1]: Begun(2)}
    assert edition.ledger.begun()[TILES[0]] == Begun(1)


def test_a_suspect_that_succeeds_alone_is_one_no_more(edition: Edition) -> None:
    stage, process, summary = done_alone(edition, Begun(2), TileSummary(TILE.name, "done"))
    assert process.marked == Begun(2, alone=1)  # what would be found if the run died now
    assert summary.outcome == "done" and stage.failed == [] and edition.ledger.begun() == {}


def test_a_suspect_that_dies_alone_is_given_up_and_remembered(edition: Edition) -> None:
    stage, _, summary = done_alone(edition, Begun(2), TileSummary(TILE.name, "died", reason="signal 9"))
    cause = "the worker died 3 times on this tile, last by signal 9, even when run alone"
    assert summary.outcome == "failed" and stage.failed == [(TILE.name, cause, 3)]
    assert edition.ledger.begun() == {TILE.name: Begun(3)}


@pytest.mark.parametrize(
    "end",
    [TileSummary(TILE.name, "undecided"), TileSummary(TILE.name, "fault"), UnreachableError("no memory for models")],
)
def test_a_suspect_that_was_not_decided_is_no_more_suspect_than_before(
    edition: Edition, end: TileSummary | Exception
) -> None:
    if isinstance(end, Exception):
        with pytest.raises(UnreachableError):
            done_alone(edition, Begun(2, alone=1), end)
    else:
        done_alone(edition, Begun(2, alone=1), end)
    assert edition.ledger.begun() == {TILE.name: Begun(2, alone=1)}


def test_a_suspect_with_which_whole_runs_died_is_given_up_without_another_try(edition: Edition) -> None:
    stage, process, summary = done_alone(edition, Begun(4, alone=2), UnreachableError("must not be run"))
    cause = "the worker died 4 times on this tile, of them 2 times together with the run, which worked on nothing else"
    assert summary.outcome == "failed" and stage.failed == [(TILE.name, cause, 4)] and process.marked is None
    assert edition.ledger.begun() == {TILE.name: Begun(4)}  # the next run tries it once more


def test_what_ends_a_run_is_told(edition: Edition) -> None:
    require_decided(edition, [])
    with pytest.raises(UnreachableError, match="b is down; progress is saved; rerun to resume"):
        require_decided(edition, ["b is down"])
    with pytest.raises(UnreachableError, match="another run has taken over"):
        require_decided(edition, [], undecided=True)
    ask_to_stop(edition.folder.parent)
    with pytest.raises(CancelledError):
        require_decided(edition, [])


def test_only_a_fault_of_ours_is_the_outcome_of_a_tile() -> None:
    def ending(end: Exception) -> Any:
        def run(_: Tile) -> TileSummary:
            raise end

        job: Any = SimpleNamespace(run=run)
        return attempted(job, TILE)

    summary = ending(ZeroDivisionError("in our own code"))
    assert summary.outcome == "fault" and summary.reason.startswith(f"tile {TILE.name}: fault in Stook: ZeroDivision")
    for end in (UnreachableError("an archive"), ChangedError("another run"), OSError(28, "No space left on device")):
        with pytest.raises(type(end)):
            ending(end)


def test_what_parts_of_a_run_did_adds_up() -> None:
    done = Worked.of_tile(TileSummary("a", "done", {"read": 1.0}, {"assets": 2}, "cpu"))
    failed = Worked.of_tile(TileSummary("b", "failed", {"read": 0.5, "write": 1.0}, {}, "cuda"))
    carried = Worked.of_tile(TileSummary("c", "carried"))
    total = done + failed + carried + Worked.of_tile(TileSummary("d", "unchanged"))
    assert total == Worked(2, 1, 1, {"read": 1.5, "write": 1.0}, {"assets": 2}, frozenset({"cpu", "cuda"}))


def test_a_fault_of_ours_ends_what_others_are_at_and_lets_them_begin_nothing(
    edition: Edition, tmp_path: Path, pristine_season: SmallSeason, monkeypatch: pytest.MonkeyPatch
) -> None:
    def faulty(_: object) -> None:
        raise ZeroDivisionError("a fault of ours")

    closed: list[bool] = []
    monkeypatch.setattr(Workers, "close", lambda _, at_once=False: closed.append(at_once))
    monkeypatch.setattr("apache_beam.Pipeline.run", faulty)
    stage = TileStage(Signals(tmp_path, "run"), JobMaker(Stage, ()), processes=2)
    with pytest.raises(ZeroDivisionError):
        run_stage(stage, TILES, edition, pristine_season.configuration, SilentReporter())
    assert closed[0] and stage.signals.halted() == "stopped"


@pytest.mark.parametrize(("end", "kept"), [(RuntimeError("ours"), False), (UnreachableError("an archive"), True)])
def test_markers_are_taken_back_unless_every_worker_came_to_its_end(
    edition: Edition, monkeypatch: pytest.MonkeyPatch, end: Exception, kept: bool
) -> None:
    def ended(*_: object) -> dict[str, str]:
        edition.ledger.mark(TILES[1], Begun(1))
        raise end

    monkeypatch.setattr(stage_module, "run_together", ended)
    untyped: Any = Stage(), None
    with pytest.raises(type(end)):
        run_stage(untyped[0], TILES, edition, untyped[1], SilentReporter())
    assert edition.ledger.begun() == ({TILES[1]: Begun(1)} if kept else {})
