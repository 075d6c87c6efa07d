"""Killed at any moment, the same command finishes the map as if nothing had happened."""

import os
import random
import signal

from typer.testing import CliRunner

from pipelines.cli import app
from tests.evidence.kill import command, differing_bytes, finish, published, run
from tests.pipelines.small_season import SmallSeason


def run_here(season: SmallSeason) -> int:
    """``stook map`` in this process, which has loaded its libraries already."""
    words = command(season)
    return CliRunner().invoke(app, words[words.index("map") :]).exit_code


def test_a_run_killed_in_a_shard_and_again_at_a_random_moment_ends_like_one_that_was_not(
    pristine_season: SmallSeason, season: SmallSeason, tmp_path: object
) -> None:
    calm = pristine_season.copy(season.folder.with_name("undisturbed")).hurried()
    assert run_here(calm) == 0
    undisturbed = published(calm)

    season.hurried()
    assert run(season, "in the middle of a shard, torn") == -signal.SIGKILL
    seed = int(os.environ.get("STOOK_TEST_SEED", random.randrange(1_000_000)))
    delay_s = random.Random(seed).uniform(3, 8)  # from start-up to the last tiles
    assert run(season, delay_s=delay_s) in (0, -signal.SIGKILL)

    verdict = finish(season, undisturbed, again=run_here)
    told = f"seed {seed}, {delay_s:.2f} s, {verdict}"
    assert verdict.differing_bytes == 0, told
    assert verdict.redone <= season.configuration.run.workers, told
    assert verdict.scraps == [], told


def test_the_comparison_would_see_a_single_byte(season: SmallSeason) -> None:
    season.hurried()
    assert run_here(season) == 0
    edition = published(season)
    other = type(edition)(edition.folder.with_name("copy"))
    os.system(f"cp -r {edition.folder} {other.folder}")
    assert differing_bytes(edition, other) == 0
    shard = next(path for path in sorted(other.maps.rglob("c/*/*")) if path.is_file())
    content = bytearray(shard.read_bytes())
    content.append(0)
    shard.with_name("99").write_bytes(content)
    assert differing_bytes(edition, other) == len(content)
