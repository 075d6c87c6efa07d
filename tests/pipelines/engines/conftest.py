"""The same season for every engine, mapped on this machine first."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.pipelines.engines.season import content, ended, every_product, newest, started
from tests.pipelines.small_season import SmallSeason


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what runs an engine."""
    for item in items:
        if "tests/pipelines/engines/" in item.nodeid:
            item.add_marker(pytest.mark.engines)


@pytest.fixture(scope="session")
def prepared(pristine_season: SmallSeason, tmp_path_factory: pytest.TempPathFactory) -> SmallSeason:
    """The season; read only."""
    return every_product(pristine_season.copy(tmp_path_factory.mktemp("engines") / "season"))


@pytest.fixture(scope="session")
def expected(prepared: SmallSeason, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What a run on this machine writes."""
    season = prepared.copy(tmp_path_factory.mktemp("here") / "season")
    status, _, errors = ended(started(season))
    assert status == 0, errors
    return content(newest(season))


@pytest.fixture
def season_with(prepared: SmallSeason, tmp_path: Path) -> Callable[..., SmallSeason]:
    """Gives a copy of the season that an engine is to map, by its options."""

    def made(**engine: object) -> SmallSeason:
        return prepared.copy(tmp_path / "season").configure(run__engine=engine)

    return made
