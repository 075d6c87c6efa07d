"""The small season, simulated once, for every test of a pipeline."""

import os
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
from filelock import FileLock

from stook.pipelines.demo.place import YEAR
from stook.transforms.choices import Storage
from tests.pipelines.embedded import TILES, stook_embed, with_vectors
from tests.pipelines.small_season import SmallSeason, write_small_season


@pytest.fixture(scope="session")
def pristine_season(tmp_path_factory: pytest.TempPathFactory) -> SmallSeason:
    """The small season, simulated once for all processes that test; read it, never write into it."""
    shared = tmp_path_factory.getbasetemp()
    shared = shared.parent if "PYTEST_XDIST_WORKER" in os.environ else shared
    folder, made = shared / "small", shared / "small.made"
    with FileLock(shared / "small.lock"):
        if not made.exists():
            folder.mkdir()
            made.write_text(write_small_season(folder).config.name)
    return SmallSeason(folder / made.read_text(), YEAR)


@pytest.fixture
def season(pristine_season: SmallSeason, tmp_path: Path) -> SmallSeason:
    """A copy of the small season that the test may spoil."""
    return pristine_season.copy(tmp_path / "season")


@pytest.fixture(scope="session")
def embedded(
    pristine_season: SmallSeason, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[Storage], SmallSeason]:
    """Gives the season with its vectors stored, made once per kind of storage; read only."""

    @cache
    def made(storage: Storage) -> SmallSeason:
        season = with_vectors(pristine_season.copy(tmp_path_factory.mktemp("embed") / "season"), storage)
        told = stook_embed(season)
        assert told.status == 0
        assert told.event("run_finished")["computed"] == TILES
        return season

    return made
