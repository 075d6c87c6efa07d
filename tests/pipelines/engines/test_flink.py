"""A Flink cluster: the same bytes, also where workers are killed in the middle and where a tile kills its worker."""

import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.pipelines.engines.flink import Cluster, absent, cluster
from tests.pipelines.engines.processes import HARNESS, family
from tests.pipelines.engines.season import TILES, content, differing_bytes, ended, newest, require_finished, started
from tests.pipelines.engines.test_job_service import once_at_work
from tests.pipelines.small_season import SmallSeason

pytestmark = pytest.mark.skipif(bool(absent()), reason=str(absent()))
SeasonWith = Callable[..., SmallSeason]


@pytest.fixture(scope="module")
def flink(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with cluster(tmp_path_factory.mktemp("flink")) as there:
        yield there


def test_maps_and_tables_are_those_of_one_machine(
    season_with: SeasonWith, expected: dict[str, bytes], flink: Cluster
) -> None:
    season = season_with(**flink.options)
    events = require_finished(season, expected)
    assert events[-1]["computed"] == TILES and events[-1]["published"]


def test_workers_that_are_killed_cost_no_more_than_what_was_in_flight(
    season_with: SeasonWith, expected: dict[str, bytes], flink: Cluster
) -> None:
    season = season_with(**flink.options)
    driver = started(season)
    once_at_work(season, driver, 1)
    chance = random.Random(1)
    killed = 0
    while driver.poll() is None and killed < 2:
        for worker in family(flink.processes["pool"].pid, HARNESS)[:1]:
            os.kill(worker, signal.SIGKILL)
            killed += 1
        time.sleep(chance.uniform(4, 8))
    status, events, errors = ended(driver, 900)
    assert status == 0 and killed, errors
    assert differing_bytes(content(newest(season)), expected) == 0
    assert newest(season).ledger.begun() == {}


def test_a_driver_that_is_killed_is_taken_over_and_its_job_is_cancelled(
    season_with: SeasonWith, expected: dict[str, bytes], flink: Cluster, tmp_path: Path
) -> None:
    season = season_with(**flink.options)
    driver = started(season)
    once_at_work(season, driver, 1)
    driver.kill()
    driver.wait()
    require_finished(season, expected)
