"""Killed at any moment, the same command finishes the map as if nothing had happened."""

import os
import random
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest

from stook.transforms.store import write_bytes, write_json
from tests.evidence.kill_points import points_of
from tests.evidence.kill_readers import Expected, contents, differing_bytes, look
from tests.evidence.kills import MODELS, Arm, Kill
from tests.pipelines.small_season import SmallSeason


@pytest.fixture(scope="module")
def arm(pristine_season: SmallSeason, tmp_path_factory: pytest.TempPathFactory) -> Arm:
    """Runs of the season, of which one was published and nobody disturbed it."""
    season = pristine_season.copy(tmp_path_factory.mktemp("killed") / "season").hurried()
    arm = Arm(season, "threads", {})
    arm.with_model(MODELS[0])
    assert arm.run() == 0
    return arm


@pytest.fixture(scope="module")
def expected(arm: Arm) -> dict[str, Expected]:
    """What the published edition holds."""
    edition = arm.folder.current()
    assert edition is not None
    return {edition.plan.products[0].model_hash: Expected(contents(edition), len(edition.manifest["tiles"]))}


@pytest.mark.slow
def test_a_run_killed_in_a_shard_and_again_at_a_random_moment_ends_like_one_that_was_not(
    arm: Arm, expected: dict[str, Expected]
) -> None:
    arm.with_model(MODELS[1])  # everything is made anew, and made again from the first model afterwards
    assert arm.run() == 0
    arm.with_model(MODELS[0])
    before = arm.folder.current()
    seed = int(os.environ.get("STOOK_TEST_SEED", random.randrange(1_000_000)))
    moment = Kill(None, random.Random(seed).uniform(0, 1))
    assert arm.run(Kill("in the middle of a shard, torn")) == -signal.SIGKILL
    opened = arm.open_edition()
    assert opened is not None
    begun = {path.stem for path in opened.ledger.attempts.glob("*.json")}  # type: ignore[union-attr]
    kept = opened.ledger.marks()
    assert arm.run(moment, duration_s=5.0) in (0, -signal.SIGKILL)
    arm.finish(False, before, expected)

    told = f"STOOK_TEST_SEED={seed}, {moment}, {arm.came}"
    assert arm.came.differing_bytes == 0 and arm.came.finished == 1, told
    # A kill costs the tiles that were in flight and no other.
    assert len(begun) <= arm.season.configuration.run.workers, told
    assert {name: mark for name, mark in opened.ledger.marks().items() if name in kept} == kept, told
    assert arm.came.scraps == [] and arm.came.orphans == 0, told


def test_the_comparison_counts_every_byte() -> None:
    assert differing_bytes({"a": b"123", "b": b"4"}, {"a": b"123", "b": b"4"}) == 0
    assert differing_bytes({"a": b"123", "b": b"4"}, {"a": b"193", "c": b"56"}) == 1 + 1 + 2


@pytest.mark.slow
def test_a_reader_notices_a_mixture(arm: Arm, expected: dict[str, Expected], tmp_path: Path) -> None:
    edition = arm.folder.current()
    assert edition is not None
    folder = tmp_path / "season"
    shutil.copytree(arm.folder.folder, folder)  # type: ignore[arg-type]
    assert look(folder, expected, np.random.default_rng(1)) is None
    table = (folder / edition.id / "statistics.csv").read_bytes()
    write_bytes(folder / edition.id / "statistics.csv", table[:-1])
    assert "statistics.csv is not that of its model" in str(look(folder, expected, np.random.default_rng(1)))
    write_json(folder / "current.json", {"edition": "20990101T000000Z-abcdef", "previous": []})
    assert "no edition.json" in str(look(folder, expected, np.random.default_rng(1)))


def test_points_are_those_that_a_store_and_a_mode_have() -> None:
    assert "in the middle of a shard, torn" in points_of(bucket=False, mode="threads")
    assert not any("torn" in point for point in points_of(bucket=True, mode="threads"))
    assert not any("record" in point for point in points_of(bucket=True, mode="processes"))
