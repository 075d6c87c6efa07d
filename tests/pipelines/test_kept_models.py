"""Models are kept beside the editions, so that a run needs the output and the archive and nothing else."""

import shutil
from pathlib import Path

import pytest

from stook.models.bundle import Conditions
from stook.pipelines import map as map_pipeline
from stook.pipelines.season import season_folder
from stook.transforms.store import whole_folders
from tests.pipelines.command import assert_same_maps, stook
from tests.pipelines.small_season import SmallSeason, write_random_bundle


@pytest.fixture
def season(pristine_season: SmallSeason, tmp_path_factory: pytest.TempPathFactory) -> SmallSeason:
    return pristine_season.copy(tmp_path_factory.mktemp("kept") / "season").hurried().narrowed()


def models(season: SmallSeason) -> list[Path]:
    """The folders of those that are kept."""
    home = season.output.parent / "models"
    return [home / name for name in whole_folders(home, "model.json")]


def test_a_bundle_that_moved_is_the_same_and_one_that_changed_is_another(season: SmallSeason) -> None:
    told = stook("map", season.config, "--year", season.year, "--quiet")
    assert told.status == 0
    first = season_folder(season.configuration, season.year).current()
    assert first is not None
    [kept] = models(season)
    assert kept.name == first.plan.products[0].model_hash
    assert (kept / "bundle" / "bundle.json").read_bytes() == (season.folder / "bundle" / "bundle.json").read_bytes()
    (season.folder / "bundle").rename(season.folder / "elsewhere")
    season.configure(products__cropland__bundle="elsewhere")
    told = stook("map", season.config, "--year", season.year, "--quiet")
    assert told.event("nothing_to_do")["edition"] == first.id
    write_random_bundle(season.folder / "elsewhere", Conditions(6, 2), seed=8)
    assert stook("map", season.config, "--year", season.year, "--quiet").event("run_finished")["computed"] > 0
    assert len(models(season)) == 2


def test_tiles_are_made_with_the_model_that_the_edition_was_opened_with(
    season: SmallSeason, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = season.copy(season.folder.parent / "expected")
    assert stook("map", expected.config, "--year", expected.year, "--quiet").status == 0
    run_tiles = map_pipeline.run_tiles

    def without_bundle(*arguments: object) -> None:
        shutil.rmtree(season.folder / "bundle")  # once the edition is open
        run_tiles(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(map_pipeline, "run_tiles", without_bundle)
    assert stook("map", season.config, "--year", season.year, "--quiet").status == 0
    editions = [season_folder(each.configuration, each.year).editions()[-1] for each in (season, expected)]
    assert_same_maps(*editions)
