"""A tile that kills its worker fails alone, after the others; one that only seemed to is done. SIGKILL stands for the
kernel's, which it sends to whatever takes the last of the memory; one test has the kernel send it."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from stook.models.errors import InputError
from stook.pipelines.season import region_of, season_folder
from stook.transforms.editions.edition import Edition
from stook.transforms.editions.ledger import Begun
from stook.transforms.editions.map_store import extents
from stook.transforms.ground.grid import Tile
from stook.transforms.values import NODATA
from tests.evidence.case import UnavailableError
from tests.evidence.memory_faults import CONTAINER_BYTES, add_vast_block, container
from tests.pipelines.command import Told, arrays, stook
from tests.pipelines.operations.poison import FILE
from tests.pipelines.small_season import SmallSeason

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[3]
CAUSE = "the worker died 3 times on this tile, last by signal 9 (killed, possibly out of memory)"


@pytest.fixture
def small(season: SmallSeason) -> SmallSeason:
    return season.hurried().narrowed()


def tiles_of(season: SmallSeason) -> list[str]:
    config = season.configuration
    return [tile.name for tile in region_of(config).tiles(config.grid.grid())]


def edition_of(season: SmallSeason) -> Edition:
    return season_folder(season.configuration, season.year).editions()[-1]


def mapped(season: SmallSeason, *poisoned: str) -> Told:
    """``stook map`` in a process of its own, which some tiles kill."""
    (season.folder / FILE).write_text("\n".join(poisoned))
    words = ["-m", "tests.pipelines.operations.poison", "map", str(season.config), "--year", str(season.year)]
    command = [sys.executable, *words, "--quiet"]
    run = subprocess.run(command, check=False, cwd=ROOT, capture_output=True, text=True, timeout=300)
    return Told(run.returncode, run.stdout)


def test_a_worker_that_is_killed_does_not_end_the_run(small: SmallSeason, tmp_path: Path) -> None:
    poisoned, innocent, *others = tiles_of(small)
    calm = small.copy(tmp_path / "calm")
    told = mapped(small.configure(run__mode="processes"), poisoned, f"{innocent}+2")
    assert told.status == 3
    assert told.event("tile_failed")["tile"] == poisoned and told.event("tile_failed")["cause"].startswith(CAUSE)
    attempts = {event["tile"]: event["attempts"] for event in told.events if "attempts" in event}
    assert attempts == dict.fromkeys(others, 1) | {poisoned: 3, innocent: 3}
    assert {event["tile"] for event in told.events if event["event"] == "tile_done"} == {innocent, *others}
    edition = edition_of(small)
    assert edition.ledger.begun() == {poisoned: Begun(2)}  # known to the next run, which does it alone
    assert {record.tile: record.failed for record in edition.ledger.records()} == {
        poisoned: True,
        **dict.fromkeys([innocent, *others], False),
    }
    assert 0 < told.event("not_published")["failed_share"] < 1
    assert not list(edition.folder.rglob("*.partial"))
    [run] = edition.runs
    assert (run.outcome, run.failed, run.mode) == ("not_published", 1, "processes")
    assert run.amounts["assets"] > 0 and run.seconds["read"] > 0

    assert stook("map", calm.config, "--year", calm.year, "--quiet").status == 0
    assert_same_but_for(Tile.parse(poisoned), edition, edition_of(calm))
    with pytest.raises(InputError, match="of the area failed, publish.most_failed_share allows 0.00%"):
        stook("publish", small.config, "--year", small.year)
    stook("publish", small.configure(publish__most_failed_share=1.0).config, "--year", small.year)
    assert season_folder(small.configuration, small.year).current() == edition


def test_the_kernel_ends_the_worker_that_takes_the_last_memory_and_not_the_run(
    season: SmallSeason, tmp_path: Path
) -> None:
    small = season.hurried()
    calm = small.copy(tmp_path / "calm")
    greedy = add_vast_block(small)
    try:
        with container(CONTAINER_BYTES) as enclosed, enclosed.around(os.getpid()):
            told = mapped(small.configure(run__mode="processes", run__workers=2))
            assert enclosed.kills >= 3  # the greedy worker each time; in want of memory the kernel may take another too
    except UnavailableError as reason:
        pytest.skip(str(reason))
    assert told.status == 3
    assert told.event("tile_failed")["tile"] == greedy and told.event("tile_failed")["cause"].startswith(CAUSE)
    assert stook("map", calm.config, "--year", calm.year, "--quiet").status == 0
    assert_same_but_for(Tile.parse(greedy), edition_of(small), edition_of(calm))
    told = stook("retry", small.config, "--year", small.year, "--quiet")  # where there is more memory
    assert told.status == 0 and edition_of(small).ledger.begun() == {}


def assert_same_but_for(tile: Tile, edition: Edition, calm: Edition) -> None:
    """Fail unless two editions have the same maps but for a tile, which is nodata in the first."""
    found, expected = arrays(edition), arrays(calm)
    window = extents(Tile.parse(name) for name in edition.manifest["tiles"])[tile.zone].slices(edition.plan.grid, tile)
    for path in expected:
        if tile.zone.name in path and path.rpartition("/")[2] not in ("x", "y"):
            assert (found[path][..., *window] == NODATA).all() and (expected[path][..., *window] != NODATA).any()
            found[path][..., *window] = expected[path][..., *window]
        np.testing.assert_array_equal(found[path], expected[path], err_msg=path)


def test_a_tile_that_kills_whole_runs_is_done_alone_by_the_third_and_by_every_one_after_it(small: SmallSeason) -> None:
    poisoned = tiles_of(small)[0]
    assert [mapped(small, poisoned).status for _ in range(2)] == [-signal.SIGKILL] * 2
    told = mapped(small, poisoned)
    assert told.status == 3 and told.event("tile_failed")["cause"].startswith(CAUSE)
    assert stook("status", small.config, "--json").events[-1]["last_run"]["failed"] == 1

    told = stook("retry", small.config, "--year", small.year, "--quiet")  # with more memory, so to say
    assert told.status == 0 and edition_of(small).ledger.begun() == {}


def test_a_run_that_is_stopped_counts_for_no_tiles_death(season: SmallSeason) -> None:
    words = [
        sys.executable,
        "-m",
        "stook.pipelines.cli",
        "map",
        str(season.config),
        "--year",
        str(season.year),
        "--quiet",
    ]
    run = subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    folder = season_folder(season.configuration, season.year)
    while not folder.editions() or not list(edition_of(season).ledger.folder.glob("*/*.json")):
        assert run.poll() is None
        time.sleep(0.05)
    run.send_signal(signal.SIGTERM)
    told = Told(run.wait(timeout=60), run.communicate()[0])
    assert told.status == 130
    assert edition_of(season).ledger.begun() == {}
    assert told.events[-1]["event"] == "halted" and told.events[-1]["outcome"] == "stopped"
    [summary] = edition_of(season).runs
    assert summary.outcome == "stopped" and summary.computed is not None
