"""A job service with four slots and workers of a pool: the same bytes, whatever happens to driver and service."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from stook.pipelines.tally import Tally
from stook.transforms.editions.lease import LEASE
from stook.transforms.store import read_json
from tests.pipelines.command import stook
from tests.pipelines.engines.processes import HARNESS, end, family, free_port, job_service, worker_pool
from tests.pipelines.engines.season import TILES, content, differing_bytes, ended, newest, require_finished, started
from tests.pipelines.small_season import SmallSeason

SeasonWith = Callable[..., SmallSeason]


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[dict[str, Any]]:
    """Options of four slots and their workers, with the processes of both under ``pool`` and ``service``."""
    with job_service(tmp_path, 4) as (port, service), worker_pool(tmp_path) as (pool_port, pool):
        options = {
            "runner": "PortableRunner",
            "job_endpoint": f"localhost:{port}",
            "environment_type": "EXTERNAL",
            "environment_config": f"localhost:{pool_port}",
        }
        yield {"options": options, "service": service, "pool": pool}


def records(season: SmallSeason) -> int:
    """Tiles that have a record."""
    try:
        return len(newest(season).ledger.marks())
    except IndexError:
        return 0


def once_at_work(season: SmallSeason, process: Any, tiles: int = 2) -> None:
    """Wait until an engine has the job of a run, and has recorded some tiles since."""
    until, before = time.monotonic() + 180, None
    while before is None or records(season) < before + tiles:
        assert process.poll() is None and time.monotonic() < until, process.communicate()
        lease = read_json(season.output / LEASE) or {}
        if before is None and lease.get("pid") == process.pid and "job" in lease:
            before = records(season)
        time.sleep(0.1)


def test_maps_and_tables_are_those_of_one_machine_and_nobody_stays_behind(
    season_with: SeasonWith, expected: dict[str, bytes], cluster: dict[str, Any]
) -> None:
    season = season_with(**cluster["options"])
    events = require_finished(season, expected)
    assert events[-1]["computed"] == TILES and events[-1]["published"]
    [run] = newest(season).runs
    assert run.failed == 0 and run.seconds["read"] > 0 and newest(season).ledger.begun() == {}
    until = time.monotonic() + 60
    while family(cluster["pool"].pid, HARNESS):  # Beam gives them ten seconds each
        assert time.monotonic() < until
        time.sleep(0.5)


def test_a_driver_that_is_killed_is_taken_over_by_the_same_command(
    season_with: SeasonWith, expected: dict[str, bytes], cluster: dict[str, Any]
) -> None:
    season = season_with(**cluster["options"])
    driver = started(season)
    once_at_work(season, driver)
    driver.kill()
    driver.wait()
    events = require_finished(season, expected)
    assert events[-1]["published"] and events[-1]["computed"] < TILES


def test_a_run_that_is_cancelled_or_interrupted_ends_its_job_and_goes_on_later(
    season_with: SeasonWith, expected: dict[str, bytes], cluster: dict[str, Any]
) -> None:
    season = season_with(**cluster["options"])
    driver = started(season)
    once_at_work(season, driver)
    stook("cancel", season.config, "--year", season.year)
    status, events, _ = ended(driver)
    assert status == 130 and events[-1]["outcome"] == "cancelled"
    driver = started(season)
    once_at_work(season, driver, 0)
    driver.send_signal(signal.SIGTERM)
    status, events, _ = ended(driver)
    assert status == 130 and events[-1]["outcome"] == "stopped"
    require_finished(season, expected)


def test_an_engine_that_is_not_there_or_goes_away_is_unreachable_and_all_is_kept(
    season_with: SeasonWith, expected: dict[str, bytes], cluster: dict[str, Any], tmp_path: Path
) -> None:
    season = season_with(**cluster["options"] | {"job_endpoint": f"localhost:{free_port()}"})
    status, events, errors = ended(started(season))
    assert status == 4 and "Traceback" not in errors
    assert "run.engine: PortableRunner does not take the job: localhost:" in errors and errors.count("\n") == 1
    season.configure(run__engine=cluster["options"])
    driver = started(season)
    once_at_work(season, driver)
    end(cluster["service"])
    status, events, errors = ended(driver)
    assert status == 4 and "tiles were left: run.engine: the job ended: " in errors and "Traceback" not in errors
    kept = records(season)
    assert kept >= 2
    with job_service(tmp_path, 4) as (port, _):
        season.configure(run__engine=cluster["options"] | {"job_endpoint": f"localhost:{port}"})
        require_finished(season, expected)


def test_two_jobs_of_one_run_at_once_change_no_byte_and_no_count(
    season_with: SeasonWith, expected: dict[str, bytes], cluster: dict[str, Any], tmp_path: Path
) -> None:
    season = season_with(**cluster["options"])
    (season.folder / "twin.py").write_text(TWIN)
    words = [sys.executable, str(season.folder / "twin.py"), "map", str(season.config), "--year", str(season.year)]
    process = subprocess.Popen(
        [*words, "--quiet"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ
    )
    status, events, errors = ended(process)
    assert status == 0, errors
    assert "twins submitted" in errors
    edition = newest(season)
    assert differing_bytes(content(edition), expected) == 0
    lease = read_json(edition.folder.parent / LEASE)
    tally = Tally.of(lease["run"], edition.plan, edition.ledger.records())
    assert (tally.computed, tally.failed, tally.derived) == (TILES, 0, TILES) and edition.ledger.begun() == {}
    assert events[-1]["computed"] == TILES


TWIN = """
import sys
from stook.pipelines import cli, engine

submitted = engine.submitted


def twice(*arguments):
    print("twins submitted", file=sys.stderr)
    other = submitted(*arguments)
    result = submitted(*arguments)
    wait = result.wait_until_finish

    def both(*given):
        other.wait_until_finish()
        return wait(*given)

    result.wait_until_finish = both
    return result


engine.submitted = twice
cli.main()
"""
