"""The small season, simulated once, for every test of a pipeline."""

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from stook.transforms.choices import Storage
from tests.pipelines.embedded import TILES, stook_embed, with_vectors
from tests.pipelines.small_season import SmallSeason, write_small_season


@pytest.fixture(scope="session")
def pristine_season(tmp_path_factory: pytest.TempPathFactory) -> SmallSeason:
    """The small season, simulated once; read it, never write into it."""
    return write_small_season(tmp_path_factory.mktemp("small"))


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
