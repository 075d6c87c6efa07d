"""Opening an edition: only by the run that has the season, to the very end."""

import pytest

from stook.models.errors import UnreachableError
from stook.transforms.editions import map_store
from stook.transforms.editions.lease import LEASE
from stook.transforms.editions.season_folder import SeasonFolder
from stook.transforms.store import folders_in, read_json, write_json
from tests.pipelines.command import stook
from tests.pipelines.small_season import SmallSeason


def test_a_run_that_lost_the_season_while_it_opened_an_edition_leaves_none(
    season: SmallSeason, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = SeasonFolder.at(season.output)
    create, opening = map_store.create, []

    def overtaken(*arguments: object) -> None:
        create(*arguments)  # type: ignore[arg-type]
        opening.extend(folders_in(folder.folder))
        write_json(folder.folder / LEASE, read_json(folder.folder / LEASE) | {"run": "another"})

    monkeypatch.setattr(map_store, "create", overtaken)
    written: list[object] = []
    monkeypatch.setattr("stook.transforms.editions.season_folder.write_json", lambda path, _: written.append(path))
    with pytest.raises(UnreachableError, match="another one has taken over"):
        stook("map", season.config, "--year", season.year, "--quiet")
    assert len(opening) == 1 and written == [] and folders_in(folder.folder) == []
