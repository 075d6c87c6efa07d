"""Editions appear whole, are filled by one run, and are shown by moving a pointer."""

import os
import shutil
import socket
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import torch

from models.errors import InputError
from models.presto import Presto, PrestoSize
from models.source import ModelSource
from transforms.editions.edition import Edition, SeasonFolder
from transforms.editions.lease import LEASE, boot_id, started
from transforms.editions.plan import Plan, ProductPlan
from transforms.encoding.encodings import Encoding
from transforms.ground.grid import Grid
from transforms.imagery.season import Season, Window
from transforms.imagery.sources import Source
from transforms.store import read_json, write_json


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
def folder(tmp_path: Path) -> SeasonFolder:
    return SeasonFolder(tmp_path, "place", "main-2019")


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
    edition = opened(folder, make_plan())
    assert edition.embeddings is None
    home = SeasonFolder(folder.output, "place", "main-2019/embeddings")
    vectors = opened(home, make_plan("c" * 64))
    assert edition.embeddings is None  # not published yet
    home.publish(vectors)
    assert edition.embeddings == vectors
    shutil.rmtree(vectors.folder)
    assert edition.embeddings is None


def test_an_edition_whose_opening_fails_leaves_nothing(folder: SeasonFolder) -> None:
    with pytest.raises(RuntimeError), folder.opening(make_plan()):
        raise RuntimeError("the archive went away")
    assert list(folder.folder.iterdir()) == []


def test_the_open_edition_of_the_same_plan_is_found_and_of_no_other(folder: SeasonFolder) -> None:
    edition = opened(folder, make_plan())
    assert folder.find(make_plan().key) == edition
    assert folder.find(make_plan(bundle_hash="c" * 64).key) is None
    assert folder.status(edition) == "open"


def test_publishing_moves_the_pointer_and_remembers_what_it_pointed_at(folder: SeasonFolder) -> None:
    first, second = opened(folder, make_plan()), opened(folder, make_plan("c" * 64))
    folder.publish(first)
    folder.publish(second)
    folder.publish(second)
    assert folder.current() == second
    assert [folder.status(edition) for edition in (first, second)] == ["superseded", "published"]
    assert read_json(folder.folder / "current.json")["previous"] == [first.id]


def test_a_second_run_is_told_who_holds_the_edition(folder: SeasonFolder) -> None:
    opened(folder, make_plan())
    told = f"process {os.getpid()} on {socket.gethostname()}"
    with folder.lease(), pytest.raises(InputError, match=told), folder.lease():
        pass
    with folder.lease():
        assert "ended" not in read_json(folder.folder / LEASE)
    assert "ended" in read_json(folder.folder / LEASE)


def abandoned_lease(**changes: object) -> dict[str, object]:
    time = datetime.now(UTC).isoformat(timespec="seconds")
    lease = {"host": socket.gethostname(), "boot": boot_id(), "pid": 2**22 + 1, "run": "r", "since": time}
    return {**lease, "renewed": time, **changes}


def test_the_lease_of_a_dead_process_of_this_machine_is_taken_over(folder: SeasonFolder) -> None:
    opened(folder, make_plan())
    write_json(folder.folder / LEASE, abandoned_lease())
    with folder.lease():
        assert read_json(folder.folder / LEASE)["pid"] == os.getpid()


def test_the_lease_of_another_machine_is_taken_over_only_when_it_has_expired(folder: SeasonFolder) -> None:
    opened(folder, make_plan())
    write_json(folder.folder / LEASE, abandoned_lease(host="elsewhere"))
    with pytest.raises(InputError, match="on elsewhere"), folder.lease():
        pass
    long_ago = (datetime.now(UTC) - timedelta(minutes=10)).isoformat(timespec="seconds")
    write_json(folder.folder / LEASE, abandoned_lease(host="elsewhere", renewed=long_ago))
    with folder.lease():
        assert read_json(folder.folder / LEASE)["host"] == socket.gethostname()


def test_a_process_that_got_the_number_of_a_dead_one_does_not_hold_its_lease(folder: SeasonFolder) -> None:
    opened(folder, make_plan())
    write_json(folder.folder / LEASE, abandoned_lease(pid=os.getpid(), started="1"))
    with folder.lease():
        assert read_json(folder.folder / LEASE)["started"] == started(os.getpid()) != "1"


def test_what_killed_writers_left_is_removed_by_the_next_run(folder: SeasonFolder) -> None:
    edition = opened(folder, make_plan())
    left = [
        folder.folder / "20260101T000000Z-abcdef" / "units.parquet",
        folder.folder / ".current.json-0.partial",
        edition.folder / ".statistics.csv-0.partial",
        edition.maps / "32637/10m/cropland/c/0/1.0.partial",
    ]
    for path in left:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    with folder.lease():
        assert not any(path.exists() for path in (*left, left[0].parent))
    assert folder.editions() == [edition]


def test_an_output_that_cannot_be_a_folder_is_refused_and_one_that_is_not_there_yet_is_not(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="output: .*/file/out: .*/file is a file"):
        SeasonFolder(tmp_path / "file" / "out", "place", "main-2019").require_writable()
    SeasonFolder(tmp_path / "not" / "there", "place", "main-2019").require_writable()
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
