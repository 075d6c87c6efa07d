"""An operator sees what is open, published and failed, takes a publication back, stops a run and clears away."""

import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas as pd
import pytest

from stook.models.bundle import Conditions
from stook.models.errors import CancelledError, InputError, UnreachableError
from stook.pipelines.operations.editions import run_cancel
from stook.pipelines.season import season_folder
from stook.transforms.editions.edition import Edition
from stook.transforms.editions.lease import holder
from stook.transforms.editions.season_folder import SeasonFolder
from stook.transforms.editions.signals import asked_to_stop
from tests.pipelines.command import stook
from tests.pipelines.small_season import PILES, SmallSeason, write_pile_bundle, write_random_bundle


@pytest.fixture(scope="module")
def mapped(pristine_season: SmallSeason, tmp_path_factory: pytest.TempPathFactory) -> SmallSeason:
    """Two published editions, one after the other, of a small region; read only."""
    season = pristine_season.copy(tmp_path_factory.mktemp("operated") / "season").hurried().narrowed()
    for option in ([], ["--refresh"]):
        assert stook("map", season.config, "--year", season.year, "--quiet", *option).status == 0
    return season


@pytest.fixture
def operated(mapped: SmallSeason, tmp_path: Path) -> SmallSeason:
    return mapped.copy(tmp_path / "season")


def folder_of(season: SmallSeason) -> SeasonFolder:
    return season_folder(season.configuration, season.year)


def with_another_model(season: SmallSeason) -> None:
    """Write another bundle, so that every tile is made anew and nothing is taken over."""
    write_random_bundle(season.folder / "bundle", Conditions(6, 2), seed=97)


def states(season: SmallSeason, *options: str) -> list[dict]:  # type: ignore[type-arg]
    return stook("status", season.config, "--json", *options).events


def test_status_tells_what_readers_see_and_what_they_saw_before(mapped: SmallSeason) -> None:
    old, new = states(mapped)
    assert (old["status"], new["status"]) == ("superseded", "published")
    assert new["predecessor"] == old["edition"] and new["complete"] and new["holder"] is None
    assert new["products"] == {"cropland": {"done": new["tiles"], "failed": 0, "left": 0}}
    assert states(mapped, "--year", str(mapped.year)) == [old, new]
    assert new["edition"] in stook("status", mapped.config).output


def test_status_names_the_causes_of_failures_and_who_is_at_work(operated: SmallSeason) -> None:
    damage = operated.damage_one_tile()
    with_another_model(operated)
    assert stook("map", operated.config, "--year", operated.year, "--quiet").status == 3
    *_, opened = states(operated)
    assert opened["status"] == "open" and opened["products"]["cropland"]["failed"] == 1
    assert damage.file.name in opened["failed"][damage.tile]["cropland"]
    edition = folder_of(operated).editions()[-1]
    with folder_of(operated).lease() as lease:
        lease.say(edition=edition.id)
        told = stook("status", operated.config).output
    assert f"failed: {damage.tile}" in told and "season locked by pid" in told


def test_a_season_without_an_edition_is_told(pristine_season: SmallSeason) -> None:
    with pytest.raises(InputError, match="there is no edition; make one with 'stook map'"):
        stook("status", pristine_season.config)


def test_a_publication_is_taken_back_and_made_again(operated: SmallSeason) -> None:
    old, new = folder_of(operated).editions()
    for edition in (old, new):
        stook("publish", operated.config, "--year", operated.year, "--edition", edition.id)
        assert folder_of(operated).current() == edition
    assert [state["status"] for state in states(operated)] == ["superseded", "published"]


@pytest.mark.slow
def test_what_readers_must_not_see_is_not_published(operated: SmallSeason) -> None:
    folder = folder_of(operated)
    old, new = folder.editions()
    with pytest.raises(InputError, match=f"--edition nothing: .* has no such edition; it has {old.id}, {new.id}"):
        stook("publish", operated.config, "--year", operated.year, "--edition", "nothing")
    lacking = Edition(shutil.copytree(old.folder, folder.folder / "20990101T000000Z-000000"))
    next(lacking.ledger.folder.glob("*.json")).unlink()
    with pytest.raises(InputError, match=r"1 of \d+ tiles are not made yet; finish with 'stook map'"):
        stook("publish", operated.config, "--year", operated.year)
    folder.remove(lacking)
    operated.damage_one_tile()
    with_another_model(operated)
    assert stook("map", operated.config, "--year", operated.year, "--quiet").status == 3
    with pytest.raises(InputError, match="of the area failed, publish.most_failed_share allows 0.00%"):
        stook("publish", operated.config, "--year", operated.year)
    assert folder.current() == new


@pytest.mark.slow
def test_publishing_concludes_what_a_killed_run_left_undone(
    operated: SmallSeason, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its tables are those of a run with a failed tile, which a later run has mended before it was killed."""
    damage = operated.damage_one_tile()
    with_another_model(operated)
    assert stook("map", operated.config, "--year", operated.year, "--quiet").status == 3
    damage.mend()
    with monkeypatch.context() as patched, pytest.raises(UnreachableError):
        patched.setattr("stook.pipelines.map.finish", gives_up)
        stook("map", operated.config, "--year", operated.year, "--quiet")
    stook("publish", operated.config, "--year", operated.year)
    published = folder_of(operated).current()
    assert published is not None
    table = pd.read_csv(published.folder / "statistics.csv")
    assert table["not_mapped_failed_dm2"].sum() == 0 and (table["mapped_dm2"] == table["total_dm2"]).all()
    assert set(pd.read_parquet(published.folder / "ledger.parquet")["status"]) == {"done"}


def test_an_edition_that_a_run_fills_is_not_published(operated: SmallSeason) -> None:
    folder = folder_of(operated)
    shutil.copytree(folder.editions()[0].folder, folder.folder / "20990101T000000Z-000000")
    with folder.lease(), pytest.raises(InputError, match="season locked by pid"):
        stook("publish", operated.config, "--year", operated.year)


def test_a_publication_is_taken_back_whatever_the_configuration_says_now(operated: SmallSeason) -> None:
    old, _ = folder_of(operated).editions()
    write_pile_bundle(operated.folder / "piles")
    operated.configure(products={"harvest_piles": PILES})
    stook("publish", operated.config, "--year", operated.year, "--edition", old.id)
    assert folder_of(operated).current() == old
    with pytest.raises(InputError, match="no edition of this season is open"):
        stook("publish", operated.config, "--year", operated.year)  # not the one that was just taken back


@pytest.mark.slow
def test_a_refresh_that_was_stopped_goes_on_where_it_was(
    operated: SmallSeason, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = folder_of(operated)
    for _ in range(2):
        with monkeypatch.context() as patched, pytest.raises(UnreachableError):
            patched.setattr("stook.pipelines.map.finish", gives_up)
            stook("map", operated.config, "--year", operated.year, "--quiet", "--refresh")
    assert len(folder.editions()) == 3
    assert stook("map", operated.config, "--year", operated.year, "--quiet", "--refresh").status == 0
    assert folder.current() == folder.editions()[-1] and len(folder.editions()) == 3
    stook("map", operated.config, "--year", operated.year, "--quiet", "--refresh")
    assert len(folder.editions()) == 4


@pytest.mark.slow
def test_a_retry_that_was_stopped_goes_on_where_it_was(operated: SmallSeason, monkeypatch: pytest.MonkeyPatch) -> None:
    damage = operated.damage_one_tile()
    with_another_model(operated)
    operated.configure(publish__most_failed_share=1.0)
    words = (operated.config, "--year", operated.year, "--quiet")
    assert stook("map", *words).event("run_finished")["published"]
    damage.mend()
    with monkeypatch.context() as patched, pytest.raises(UnreachableError):
        patched.setattr("stook.pipelines.map.run_tiles", gives_up)
        stook("retry", *words)
    assert stook("retry", *words).event("run_finished")["computed"] == 1
    with pytest.raises(InputError, match="no tile has failed"):
        stook("retry", *words)


def gives_up(*_: object) -> None:
    """Stands for a store that does not answer."""
    raise UnreachableError("it does not answer")


def test_nothing_is_deleted_unless_it_is_meant(operated: SmallSeason) -> None:
    folder = folder_of(operated)
    old, new = folder.editions()
    words = ("remove", operated.config, "--year", operated.year, "--keep", 0)
    assert f"would delete {old.folder}" in stook(*words).output
    assert folder.editions() == [old, new]
    stook(*words, "--yes")
    assert folder.editions() == [new] and folder.current() == new
    with pytest.raises(InputError, match="is published; publish another one first"):
        folder.remove(new)


def test_superseded_editions_are_kept_as_asked_and_open_ones_go_only_if_named(operated: SmallSeason) -> None:
    folder = folder_of(operated)
    old, new = folder.editions()
    given_up = Edition(shutil.copytree(old.folder, folder.folder / "19990101T000000Z-000000"))
    words = ("remove", operated.config, "--year", operated.year)
    assert stook(*words).output == ""  # the newest superseded one stays, for rolling back
    assert given_up.id in stook(*words, "--open").output
    with folder.lease(), pytest.raises(InputError, match="season locked by pid"):
        stook(*words, "--open", "--yes")
    stook(*words, "--open", "--yes")
    assert folder.editions() == [old, new]


@pytest.mark.slow
def test_a_run_is_stopped_and_goes_on_later(operated: SmallSeason) -> None:
    folder = folder_of(operated)
    words = [sys.executable, "-m", "stook.pipelines.cli", "map", str(operated.config)]
    run = subprocess.Popen(
        [*words, "--year", str(operated.year), "--quiet", "--refresh"], stderr=subprocess.PIPE, text=True
    )
    while len(folder.editions()) < 3 or not holder(folder.folder):
        assert run.poll() is None
        time.sleep(0.05)
    told = stook("cancel", operated.config, "--year", operated.year).output
    _, error = run.communicate(timeout=60)
    opened = folder.editions()[-1]
    assert run.returncode == CancelledError.exit_status and "the same command continues it" in error
    assert str(opened.folder) in told and not asked_to_stop(folder.folder)
    assert folder.status(opened) == "open"
    assert stook("map", operated.config, "--year", operated.year, "--quiet").status == 0
    with pytest.raises(InputError, match="no edition of this season is open"):
        stook("cancel", operated.config, "--year", operated.year)


def test_the_edition_of_the_run_is_discarded_and_no_other(operated: SmallSeason) -> None:
    """Of a run that has not opened one yet, none is."""
    folder = folder_of(operated)
    older = Edition(shutil.copytree(folder.editions()[0].folder, folder.folder / "20990101T000000Z-000000"))
    words = (operated.configuration, operated.year, True, 60.0)
    with ThreadPoolExecutor(1) as beside, folder.lease():
        stopped = beside.submit(run_cancel, *words)
        while not asked_to_stop(folder.folder):
            assert not stopped.done()
            time.sleep(0.02)
    assert stopped.result() is None and older in folder.editions()


def test_a_run_that_does_not_stop_is_told_and_a_given_up_edition_is_discarded(operated: SmallSeason) -> None:
    folder = folder_of(operated)
    given_up = Edition(shutil.copytree(folder.editions()[0].folder, folder.folder / "20990101T000000Z-000000"))
    with (
        folder.lease(),
        pytest.raises(UnreachableError, match="it was asked to stop and has not yet"),
    ):
        run_cancel(operated.configuration, operated.year, discard=True, timeout_s=0)
    assert asked_to_stop(folder.folder)  # still
    assert run_cancel(operated.configuration, operated.year, discard=True, timeout_s=0) == given_up
    assert given_up not in folder.editions()
