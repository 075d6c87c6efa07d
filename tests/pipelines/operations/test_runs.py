"""An edition keeps what each run that worked on it came to; one that breaks off in good order leaves no deaths."""

import json
from typing import Any

import pytest

from stook.models.errors import InputError, UnreachableError
from stook.pipelines.configuration import MapConfiguration
from stook.pipelines.map import run_map
from stook.pipelines.progress import JsonReporter
from stook.pipelines.season import season_folder
from stook.transforms.tiles import tile_job
from tests.pipelines.command import stook
from tests.pipelines.small_season import SmallSeason


@pytest.fixture
def small(season: SmallSeason) -> SmallSeason:
    return season.hurried().narrowed().configure(run__mode="memory")


def events(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_each_run_is_kept_with_what_it_did(
    small: SmallSeason, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    make, made = tile_job.composite_results, []

    def down_after_one(*arguments: Any) -> Any:
        made.append(arguments)
        if len(made) > 1:
            raise UnreachableError("archive.example: does not answer")
        return make(*arguments)

    config: MapConfiguration = small.configuration
    with monkeypatch.context() as patch:
        patch.setattr(tile_job, "composite_results", down_after_one)
        with pytest.raises(UnreachableError):
            run_map(config, small.year, JsonReporter())
    told = events(capsys)
    run, edition = told[0]["run"], season_folder(config, small.year).editions()[-1]
    assert told[0]["event"] == "run_started" and told[-1]["event"] == "halted"
    assert told[-1]["outcome"] == "unreachable" and "archive.example" in told[-1]["reason"]
    assert all((event["season"], event["run"]) == (f"main-{small.year}", run) for event in told)
    assert all(event["edition"] == edition.id for event in told if event["event"] in ("tile_done", "halted"))
    assert edition.ledger.begun() == {}  # the tile that was not decided did not die

    assert stook("map", small.config, "--year", small.year, "--quiet").status == 0
    first, second = edition.runs
    assert (first.run, first.outcome, second.outcome) == (run, "unreachable", "complete")
    assert (first.computed, second.computed, first.failed, second.tiles) == (1, 1, 0, 2)
    assert first.amounts["assets"] > 0 and second.devices
    assert all(second.seconds[step] > 0 for step in ("read", "composite", "encode", "write"))
    assert (second.mode, second.workers) == ("memory", 1)
    [state] = stook("status", small.config, "--json").events
    assert state["last_run"]["run"] == second.run and state["last_run"]["amounts"] == dict(second.amounts)
    records = list(edition.ledger.records())
    for name in ("assets", "bytes_read", "pixels"):  # what runs sum up is what tiles say
        assert sum(record.amounts[name] for record in records) == first.amounts[name] + second.amounts[name]


def test_a_run_that_is_refused_before_it_has_an_edition_is_told(
    small: SmallSeason, capsys: pytest.CaptureFixture[str]
) -> None:
    config = small.configuration
    with season_folder(config, small.year).lease(), pytest.raises(InputError, match="season locked by pid"):
        run_map(config, small.year, JsonReporter())
    [halted] = events(capsys)
    assert halted["event"] == "halted" and halted["outcome"] == "refused" and "run" not in halted
