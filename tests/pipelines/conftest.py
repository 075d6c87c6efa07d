"""The small season, simulated once, for every test of a pipeline."""

from pathlib import Path

import pytest

from tests.pipelines.small_season import SmallSeason, write_small_season


@pytest.fixture(scope="session")
def pristine_season(tmp_path_factory: pytest.TempPathFactory) -> SmallSeason:
    """The small season, simulated once; read it, never write into it."""
    return write_small_season(tmp_path_factory.mktemp("small"))


@pytest.fixture
def season(pristine_season: SmallSeason, tmp_path: Path) -> SmallSeason:
    """A copy of the small season that the test may spoil."""
    return pristine_season.copy(tmp_path / "season")
