"""Editions appear whole, are filled by one run, and are shown by moving a pointer."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from stook.models.errors import InputError
from stook.models.presto import Presto, PrestoSize
from stook.models.source import ModelSource
from stook.transforms.editions import season_folder as season_folder_module
from stook.transforms.editions.edition import Edition
from stook.transforms.editions.plan import Plan, ProductPlan
from stook.transforms.editions.season_folder import POINTER, SeasonFolder
from stook.transforms.editions.state import states_in
from stook.transforms.encoding.encodings import Encoding
from stook.transforms.ground.grid import Grid
from stook.transforms.imagery.season import Season, Window
from stook.transforms.imagery.sources import Source
from stook.transforms.store import (
    Address,
    Version,
    exists,
    files_in,
    folders_in,
    is_cloud,
    read_json,
    remove_folder,
    swap,
    write_bytes,
    write_json,
)


def make_plan(bundle_hash: str = "b" * 64) -> Plan:
    torch.manual_seed(0)
    encoding = Encoding.of(Presto(PrestoSize(16, 1, 2)), Window(11, -1, 12), 2019)
    return Plan(
        name="place",
        season=Season("main", 2019),
        provisional=False,
        grid=Grid(),
        sources={"sentinel2": Source("sentinel2", "/catalog.json", "s2", "scaled-1e-4")},
        cloud_dilation_px=0,
        products=(ProductPlan("cropland", ModelSource("/bundle"), bundle_hash, encoding, 3),),
        units_hash="u" * 64,
    )


@pytest.fixture
def folder(home: Address) -> SeasonFolder:
    """The season's folder in either store."""
    return SeasonFolder(home, "place", "main-2019")


def opened(folder: SeasonFolder, plan: Plan) -> Edition:
    with folder.opening(plan) as (_, manifest):
        manifest["tiles"] = []
    return Edition(folder.folder / manifest["edition"])


def test_a_plan_is_read_back_from_its_edition(folder: SeasonFolder) -> None:
    plan = make_plan()
    edition = opened(folder, plan)
    assert edition.plan == plan
    assert edition.plan.key == plan.key == edition.manifest["key"]


def test_vectors_of_the_season_are_found_until_somebody_deletes_them(folder: SeasonFolder) -> None:
    opened(folder, make_plan())
    home = folder.embeddings
    assert home.folder == folder.folder / "embeddings" and home.embeddings.folder == home.folder
    assert (home.season, home.kind, home.title) == ("main-2019", "embeddings", "main-2019 embeddings")
    assert (folder.season, folder.kind, folder.title) == ("main-2019", "maps", "main-2019")
    vectors = opened(home, make_plan("c" * 64))
    assert home.current() is None  # not published yet
    home.publish(vectors)
    assert SeasonFolder.at(folder.folder).embeddings.current() == vectors
    assert folder.current() is None
    remove_folder(vectors.folder)
    assert home.current() is None


def test_an_edition_whose_opening_fails_leaves_nothing(folder: SeasonFolder) -> None:
    with pytest.raises(RuntimeError), folder.opening(make_plan()):
        raise RuntimeError("the archive went away")
    assert folders_in(folder.folder) == [] and files_in(folder.folder, "") == {}


def test_the_open_edition_of_the_same_plan_is_found_and_of_no_other(folder: SeasonFolder) -> None:
    edition = opened(folder, make_plan())
    assert folder.find(make_plan().key) == edition
    assert folder.find(make_plan(bundle_hash="c" * 64).key) is None
    assert folder.status(edition) == "open"


@pytest.fixture
def named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Editions that are opened within a second are named in the order of their opening."""
    numbers = iter(range(100))
    random = SimpleNamespace(uuid4=lambda: SimpleNamespace(hex=f"{next(numbers):06d}"))
    monkeypatch.setattr(season_folder_module, "uuid", random)


@pytest.mark.usefixtures("named")
def test_what_is_published_is_found_and_the_successor_that_was_begun_from_it_before_it(folder: SeasonFolder) -> None:
    key = make_plan().key
    first = opened(folder, make_plan())
    second = opened(folder, make_plan())
    assert folder.find(key) == second  # nothing is published: the one that was begun last
    folder.publish(second)
    assert folder.find(key) == second  # the first was given up
    third = opened(folder, make_plan())
    assert folder.find(key) == third
    folder.publish(third)
    assert folder.find(key) == third != first


@pytest.mark.usefixtures("named")
def test_after_a_rollback_nothing_is_continued_that_was_begun_before(folder: SeasonFolder) -> None:
    key = make_plan().key
    first = opened(folder, make_plan())
    folder.publish(first)
    given_up = opened(folder, make_plan())  # begun from the first, and then another one was published
    second = opened(folder, make_plan())
    folder.publish(second)
    begun = opened(folder, make_plan())
    assert folder.find(key) == begun
    folder.publish(first)
    assert [folder.status(edition) for edition in (given_up, begun)] == ["open", "open"]
    assert folder.find(key) == first
    assert folder.begun_refresh(key, no_reuse=False) is None
    folder.publish(second)
    assert folder.find(key) == begun
    after = opened(folder, make_plan())
    assert folder.find(key) == after


@pytest.mark.usefixtures("named")
def test_what_was_given_up_stays_so_when_what_was_published_after_it_is_removed(folder: SeasonFolder) -> None:
    first = opened(folder, make_plan())
    folder.publish(first)
    opened(folder, make_plan())  # a refresh that was stopped
    other = opened(folder, make_plan("c" * 64))
    folder.publish(other)
    folder.publish(first)
    assert folder.find(make_plan().key) == first
    folder.remove(other)
    assert folder.find(make_plan().key) == first


@pytest.mark.usefixtures("named")
def test_refreshes_of_both_kinds_that_were_stopped_are_each_gone_on_with(folder: SeasonFolder) -> None:
    key = make_plan().key
    folder.publish(opened(folder, make_plan()))
    begun = {}
    for carries in (False, True):
        with folder.opening(make_plan()) as (_, manifest):
            manifest |= {"refreshes": True, "carries": carries}
        begun[carries] = Edition(folder.folder / manifest["edition"])
    assert folder.begun_refresh(key, no_reuse=True) == begun[False]
    assert folder.begun_refresh(key, no_reuse=False) == begun[True]


@pytest.mark.usefixtures("named")
def test_what_is_published_of_another_plan_hides_no_open_edition(folder: SeasonFolder) -> None:
    edition, other = opened(folder, make_plan()), opened(folder, make_plan("c" * 64))
    folder.publish(other)
    assert folder.find(make_plan().key) == edition


def test_publishing_moves_the_pointer_and_remembers_what_it_pointed_at(folder: SeasonFolder) -> None:
    first, second = opened(folder, make_plan()), opened(folder, make_plan("c" * 64))
    folder.publish(first)
    folder.publish(second)
    folder.publish(second)
    assert folder.current() == second
    assert [folder.status(edition) for edition in (first, second)] == ["superseded", "published"]
    assert read_json(folder.folder / "current.json")["previous"] == [first.id]


def test_of_many_that_publish_at_once_every_one_is_remembered_and_one_is_shown(folder: SeasonFolder) -> None:
    editions = [opened(folder, make_plan(letter * 64)) for letter in "abcdef"]
    with ThreadPoolExecutor(len(editions)) as pool:
        list(pool.map(folder.publish, editions))
    pointer = read_json(folder.folder / POINTER)
    assert sorted([*pointer["previous"], pointer["edition"]]) == sorted(edition.id for edition in editions)
    assert pointer["moves"] == len(editions)


def test_what_was_published_is_taken_back_and_published_again(folder: SeasonFolder) -> None:
    first, second = opened(folder, make_plan()), opened(folder, make_plan("c" * 64))
    for edition in (first, second, first):
        folder.publish(edition)
    assert folder.current() == first and folder.status(second) == "superseded"


def test_an_edition_that_was_removed_is_gone_and_cannot_be_published(folder: SeasonFolder) -> None:
    first, second = opened(folder, make_plan()), opened(folder, make_plan("c" * 64))
    write_json(first.ledger.folder / "32637_1_1.json", {})
    folder.publish(first)
    folder.publish(second)
    folder.remove(first)
    assert folder.editions() == [second] and folders_in(folder.folder) == [second.id]
    with pytest.raises(InputError, match="there is no such edition any more"):
        folder.publish(first)
    with pytest.raises(InputError, match="is published; publish another one first"):
        folder.remove(second)
    assert read_json(folder.folder / POINTER)["previous"] == []


def test_readers_are_never_pointed_at_an_edition_that_is_being_removed(
    folder: SeasonFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = opened(folder, make_plan()), opened(folder, make_plan("c" * 64))
    folder.publish(first)
    folder.publish(second)
    path, told = folder.folder / POINTER, []

    def publish_first_then(where: Address, content: bytes, version: Version) -> Version:
        monkeypatch.setattr(season_folder_module, "swap", swap)
        folder.publish(first)  # between the look of whoever removes it and the move of the pointer
        told.append(folder.current())
        return swap(where, content, version)

    monkeypatch.setattr(season_folder_module, "swap", publish_first_then)
    with pytest.raises(InputError, match="is published; publish another one first"):
        folder.remove(first)
    assert told == [first] and folder.current() == first and read_json(path)["previous"] == [second.id]


def test_a_removal_that_was_killed_is_finished_by_another_and_is_never_continued_or_published(
    folder: SeasonFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    edition = opened(folder, make_plan())

    def die(_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(season_folder_module, "remove", die)
    with pytest.raises(KeyboardInterrupt):
        folder.remove(edition)
    monkeypatch.undo()
    assert folder.status(edition) == "superseded" and folder.find(make_plan().key) is None
    with pytest.raises(InputError, match="there is no such edition any more"):
        folder.publish(edition)
    folder.remove(edition)
    assert folders_in(folder.folder) == []


def test_an_open_edition_is_not_removed_while_a_run_holds_the_season(folder: SeasonFolder) -> None:
    edition = opened(folder, make_plan())
    with folder.lease(), pytest.raises(InputError, match="season locked by pid"):
        folder.remove(edition)
    assert folder.editions() == [edition]
    folder.remove(edition)
    assert folder.editions() == []


def test_what_killed_writers_left_is_removed_by_the_next_run(folder: SeasonFolder) -> None:
    edition = opened(folder, make_plan())
    half_open = folder.folder / "20260101T000000Z-abcdef"
    left = [half_open / "units.parquet", half_open / "maps.zarr/32637/10m/cropland/c/0/0"]
    if not is_cloud(folder.folder):  # objects appear whole
        left += [
            folder.folder / ".current.json-0.partial",
            edition.folder / ".statistics.csv-0.partial",
            edition.maps / "32637/10m/cropland/c/0/1.0.partial",
        ]
    for path in left:
        write_bytes(path, b"half")
    with folder.lease():
        assert not any(exists(path) for path in left)
        assert folders_in(folder.folder) == [edition.id]
    assert folder.editions() == [edition]


def test_an_output_that_cannot_be_a_folder_is_refused_and_one_that_is_not_there_yet_is_not(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="output: .*/file/out: .*/file is a file"):
        SeasonFolder(tmp_path / "file" / "out", "place", "main-2019").require_writable()
    SeasonFolder(tmp_path / "not" / "there", "place", "main-2019").require_writable()
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_an_edition_that_is_removed_while_they_are_listed_is_passed_over(
    folder: SeasonFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = make_plan()
    first, second = opened(folder, plan), opened(folder, plan)
    listed = folder.editions()
    folder.remove(second)
    with monkeypatch.context() as patched:
        patched.setattr(SeasonFolder, "editions", lambda _: listed)
        assert folder.find(plan.key) == first
        assert [state.edition for state in states_in(folder)] == [first.id]
    with pytest.raises(InputError, match=f"{second.folder}: there is no such edition any more"):
        _ = second.manifest
