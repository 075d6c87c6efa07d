"""The log of a run follows its ledger: each tile once, when it is decided."""

import json
from pathlib import Path

import pytest
from google.api_core.exceptions import ServiceUnavailable

from stook.pipelines.progress import Count, JsonReporter, LedgerFollower, TerminalReporter
from stook.transforms.editions.edition import Edition
from stook.transforms.editions.ledger import Ledger, ProductRecord, TileRecord
from stook.transforms.ground.grid import Tile
from stook.transforms.store import write_json

TILES = [f"32637_0_{number}" for number in range(4)]


def commit(edition: Edition, tile: str, **products: str) -> None:
    """Record a tile: product -> error, empty where it is done, ``carried`` where it was taken over."""
    made = {
        name: ProductRecord("f", "failed", {}, error=told)
        if told not in ("", "carried")
        else ProductRecord("f", "done", {}, carried="before" if told else None)
        for name, told in products.items()
    }
    before = edition.ledger.held(Tile.parse(tile))[1]
    edition.ledger.commit(TileRecord(tile, made, 1, {"read": 2.0, "derive": 1.0}, "2026-01-01T00:00:00+00:00"), before)


@pytest.fixture
def edition(tmp_path: Path) -> Edition:
    write_json(tmp_path / "edition.json", {"tiles": TILES})
    commit(Edition(tmp_path), TILES[0], cropland="")
    return Edition(tmp_path)


def told(capsys: pytest.CaptureFixture[str]) -> list[tuple[str, str, object]]:
    """Of each event of a tile its name, the tile, and its cause, or whether it was carried."""
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert all(event["run"] == "r" for event in events)
    tiles = [event for event in events if event["event"].startswith("tile_")]
    return sorted((event["event"], event["tile"], event.get("cause", event.get("carried"))) for event in tiles)


def test_a_tile_is_told_when_it_is_decided_with_the_cause_if_it_failed(
    edition: Edition, capsys: pytest.CaptureFixture[str]
) -> None:
    reporter = JsonReporter()
    with reporter.about(run="r"), reporter.following(edition, ["cropland", "piles"], TILES):
        commit(edition, TILES[0], cropland="", piles="corrupt asset")
        commit(edition, TILES[1], cropland="carried", piles="carried")
        commit(edition, TILES[2], cropland="")  # the archive of pictures was down
        commit(edition, TILES[3], cropland="", piles="")
    assert told(capsys) == [
        ("tile_done", TILES[1], True),
        ("tile_done", TILES[3], False),
        ("tile_failed", TILES[0], "corrupt asset"),
    ]


def test_what_is_made_of_a_map_that_failed_is_not_told_again(
    edition: Edition, capsys: pytest.CaptureFixture[str]
) -> None:
    reporter = JsonReporter()
    with reporter.about(run="r"), reporter.following(edition, ["smoothed"], TILES, ["cropland"]):
        commit(edition, TILES[0], cropland="corrupt asset", smoothed="needs cropland, which failed")
        commit(edition, TILES[1], cropland="", smoothed="a fault")
    assert told(capsys) == [("tile_failed", TILES[1], "a fault")]


def test_details_of_a_run_end_with_it(capsys: pytest.CaptureFixture[str]) -> None:
    reporter = JsonReporter()
    with reporter.about(season="s"), reporter.about(run="r"):
        reporter.say("inside", "")
    reporter.say("outside", "")
    inside, outside = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert (inside["season"], inside["run"]) == ("s", "r") and outside.keys() == {"time", "event", "message"}


def test_a_ledger_that_takes_long_to_look_at_is_looked_at_less_often(
    edition: Edition, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [0.0]
    monkeypatch.setattr("stook.pipelines.progress.time.monotonic", lambda: clock[0])
    follower = LedgerFollower(edition, ["cropland"], TILES[1:])
    assert follower.count == Count(done=1, failed=0)
    commit(edition, TILES[1], cropland="corrupt asset")
    looking = follower.look()
    assert next(looking).tile == TILES[1]
    clock[0] = 3.0  # seconds that this look took
    assert list(looking) == [] and follower.count == Count(done=1, failed=1)
    commit(edition, TILES[2], cropland="")
    clock[0] = 32.0
    assert list(follower.look()) == []
    clock[0] = 34.0
    assert [record.tile for record in follower.look()] == [TILES[2]]
    assert list(follower.look(at_once=True)) == []


def test_a_tile_that_failed_before_is_to_be_made_until_it_is(edition: Edition) -> None:
    commit(edition, TILES[1], cropland="corrupt asset")
    follower = LedgerFollower(edition, ["cropland"], TILES[1:])
    assert list(follower.look(at_once=True)) == []  # what is there already is not read
    assert follower.count == Count(done=1, failed=0)
    commit(edition, TILES[1], cropland="still corrupt")
    assert len(list(follower.look(at_once=True))) == 1 and follower.count == Count(done=1, failed=1)
    commit(edition, TILES[1], cropland="")
    assert len(list(follower.look(at_once=True))) == 1 and follower.count == Count(done=2, failed=0)


def test_a_tile_of_which_nothing_is_to_be_made_after_all_is_not_left(edition: Edition) -> None:
    commit(edition, TILES[1], cropland="")
    follower = LedgerFollower(edition, ["cropland"], TILES[1:])
    assert list(follower.look()) == [] and follower.count.done == 1
    assert list(follower.look(at_once=True)) == [] and follower.count.done == 2


def test_a_look_that_the_store_ends_is_made_up_for_by_the_next(
    edition: Edition, monkeypatch: pytest.MonkeyPatch
) -> None:
    def down(*_: object) -> None:
        raise ServiceUnavailable("503 backend")  # type: ignore[no-untyped-call]

    follower = LedgerFollower(edition, ["cropland"], TILES[1:])
    for tile in TILES[1:3]:
        commit(edition, tile, cropland="")
    with monkeypatch.context() as patched:
        patched.setattr("stook.transforms.editions.ledger.read_bytes", down)
        with pytest.raises(ServiceUnavailable):
            list(follower.look(at_once=True))
    assert [record.tile for record in follower.look(at_once=True)] == TILES[1:3]


def test_a_store_that_is_down_at_the_last_look_does_not_make_a_failure_of_what_is_done(
    edition: Edition, monkeypatch: pytest.MonkeyPatch
) -> None:
    def down(*_: object) -> dict[str, str]:
        raise ServiceUnavailable("503 backend")  # type: ignore[no-untyped-call]

    for reporter in (JsonReporter(), TerminalReporter()):
        with monkeypatch.context() as patched, reporter.following(edition, ["cropland"], TILES[1:]):
            patched.setattr(Ledger, "marks", down)
            worked = True
    assert worked
