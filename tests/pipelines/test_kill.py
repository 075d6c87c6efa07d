"""Killed at any moment, the same command finishes the map as if nothing had happened."""

import os
import random
import shutil
import signal

import pytest
from typer.testing import CliRunner

from pipelines.cli import app
from tests.evidence.kill import command, differing_bytes, finish, published, run
from tests.pipelines.small_season import SmallSeason
from transforms.editions.edition import Edition


def run_here(season: SmallSeason) -> int:
    """``stook map`` in this process, which has loaded its libraries already."""
    words = command(season)
    return CliRunner().invoke(app, words[words.index("map") :]).exit_code


@pytest.fixture(scope="module")
def undisturbed(pristine_season: SmallSeason, tmp_path_factory: pytest.TempPathFactory) -> Edition:
    """The edition of a run that nobody killed."""
    season = pristine_season.copy(tmp_path_factory.mktemp("undisturbed") / "season").hurried()
    assert run_here(season) == 0
    return published(season)


def test_a_run_killed_in_a_shard_and_again_at_a_random_moment_ends_like_one_that_was_not(
    undisturbed: Edition, season: SmallSeason
) -> None:
    season.hurried()
    assert run(season, "in the middle of a shard, torn") == -signal.SIGKILL
    seed = int(os.environ.get("STOOK_TEST_SEED", random.randrange(1_000_000)))
    delay_s = random.Random(seed).uniform(3, 8)  # from start-up to the last tiles
    second = run(season, delay_s=delay_s)
    assert second in (0, -signal.SIGKILL)
    kills = 1 + (second == -signal.SIGKILL)

    verdict = finish(season, undisturbed, again=run_here)
    told = f"STOOK_TEST_SEED={seed}, killed after {delay_s:.2f} s, {verdict}"
    assert verdict.differing_bytes == 0, told
    # Each kill costs the tiles that were in flight; the second may come before those of the first are done again.
    assert verdict.redone <= kills * season.configuration.run.workers, told
    assert verdict.scraps == [], told


def test_the_comparison_counts_every_byte(undisturbed: Edition) -> None:
    other = Edition(shutil.copytree(undisturbed.folder, undisturbed.folder.with_name("copy")))
    assert differing_bytes(undisturbed, other) == 0
    table = other.folder / "statistics.csv"
    table.write_bytes(table.read_bytes()[:-1] + b"?!")
    (other.maps / "stray").write_bytes(b"123")
    assert differing_bytes(undisturbed, other) == 2 + 3
