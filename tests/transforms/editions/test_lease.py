"""A season is held by one run at a time; a run that has lost it learns so before it shows anything to readers."""

import os
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Barrier

import psutil
import pytest

from stook.models.errors import InputError, UnreachableError
from stook.transforms.editions import lease as lease_module
from stook.transforms.editions.lease import (
    LEASE,
    boot_id,
    holder,
    process_exists,
    process_numbers,
    started,
)
from stook.transforms.editions.season_folder import SeasonFolder
from stook.transforms.editions.signals import HALTED, ask_to_stop, asked_to_stop
from stook.transforms.store import Address, Version, exists, read_json, swap, write_json

RUNS = 8


@pytest.fixture
def folder(home: Address) -> SeasonFolder:
    """The season's folder in either store; nothing is in it."""
    return SeasonFolder(home, "place", "main-2019")


@pytest.fixture(params=["linux", "elsewhere"])
def system(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """This system, and one without /proc."""
    if request.param == "elsewhere":
        monkeypatch.setattr(lease_module, "BOOT_ID", Path("/nowhere/boot_id"))
        monkeypatch.setattr(lease_module, "NAMESPACE", Path("/nowhere/pid"))
        monkeypatch.setattr(psutil, "LINUX", False)
    return str(request.param)


def abandoned_lease(**changes: object) -> dict[str, object]:
    """What a run of this machine that is no more left."""
    time = datetime.now(UTC).isoformat(timespec="seconds")
    here = {"host": socket.gethostname(), "boot": boot_id(), "processes": process_numbers()}
    return {**here, "pid": 2**22 + 1, "run": "r", "since": time, "renewed": time, **changes}


def long_ago() -> str:
    """A time at which no lease that still holds was renewed."""
    return (datetime.now(UTC) - timedelta(minutes=10)).isoformat(timespec="seconds")


def test_a_second_run_is_told_who_holds_the_season(folder: SeasonFolder) -> None:
    told = f"pid {os.getpid()} on {socket.gethostname()}"
    with folder.lease(), pytest.raises(InputError, match=told), folder.lease():
        pass
    with folder.lease():
        assert "ended" not in read_json(folder.folder / LEASE)
        assert holder(folder.folder) is not None
    assert "ended" in read_json(folder.folder / LEASE) and holder(folder.folder) is None


def test_of_many_runs_that_begin_at_once_one_gets_it_and_each_other_is_told_of_that_one(folder: SeasonFolder) -> None:
    together = Barrier(RUNS)

    def attempt(_: int) -> str:
        with ExitStack() as held:
            together.wait()
            try:
                lease = held.enter_context(folder.lease())
            except InputError as error:
                return str(error)
            finally:
                together.wait()  # nobody gives it back before all have asked
            return lease.run

    with ThreadPoolExecutor(RUNS) as pool:
        answers = list(pool.map(attempt, range(RUNS)))
    runs = [answer for answer in answers if "season locked by pid" not in answer]
    assert runs == [read_json(folder.folder / LEASE)["run"]]


@pytest.mark.usefixtures("system")
def test_the_lease_of_a_dead_process_of_this_machine_is_taken_over(folder: SeasonFolder) -> None:
    write_json(folder.folder / LEASE, abandoned_lease())
    with folder.lease():
        assert read_json(folder.folder / LEASE)["pid"] == os.getpid()


def test_the_lease_of_another_machine_is_taken_over_only_when_it_has_expired(folder: SeasonFolder) -> None:
    write_json(folder.folder / LEASE, abandoned_lease(host="elsewhere"))
    with pytest.raises(InputError, match="on elsewhere"), folder.lease():
        pass
    write_json(folder.folder / LEASE, abandoned_lease(host="elsewhere", renewed=long_ago()))
    with folder.lease():
        assert read_json(folder.folder / LEASE)["host"] == socket.gethostname()


@pytest.mark.usefixtures("system")
def test_a_process_that_got_the_number_of_a_dead_one_does_not_hold_its_lease(folder: SeasonFolder) -> None:
    write_json(folder.folder / LEASE, abandoned_lease(pid=os.getpid(), started="1"))
    with folder.lease():
        assert read_json(folder.folder / LEASE)["started"] == started(os.getpid()) != "1"
        with pytest.raises(InputError, match="season locked by pid"), folder.lease():
            pass


@pytest.mark.skipif(not psutil.LINUX, reason="other systems keep the date of a start, which is not set with the clock")
def test_a_run_keeps_its_lease_when_the_clock_is_set(folder: SeasonFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    boot_time = psutil.boot_time()
    with folder.lease():
        monkeypatch.setattr(psutil._pslinux, "boot_time", lambda: boot_time + 3600)
        assert psutil.Process().create_time() > time.time()
        assert holder(folder.folder) is not None


def test_a_process_whose_start_is_not_told_holds_its_lease(
    folder: SeasonFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(_: psutil.Process) -> float:
        raise psutil.AccessDenied

    with folder.lease():
        monkeypatch.setattr(psutil.Process, "create_time", refused)
        monkeypatch.setattr(psutil.Process, "status", refused)
        assert started(os.getpid()) == "" and holder(folder.folder) is not None


def test_a_lease_is_renewed_while_it_is_kept(folder: SeasonFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease_module, "LEASE_RENEWED_EVERY_S", 0.02)
    times = iter(range(10**6))
    monkeypatch.setattr(lease_module, "now", lambda: f"moment {next(times)}")
    with folder.lease() as lease:
        first = read_json(folder.folder / LEASE)
        waited = Barrier(2, timeout=20)
        renew = lease.say

        def renewed(**told: object) -> None:
            renew(**told)
            if not told:
                waited.wait()

        monkeypatch.setattr(lease, "say", renewed)
        waited.wait()
        assert read_json(folder.folder / LEASE)["renewed"] != first["renewed"]
        monkeypatch.setattr(lease, "say", renew)


def test_what_is_said_in_a_lease_is_told_to_others_and_kept_when_it_is_renewed(folder: SeasonFolder) -> None:
    with folder.lease() as lease:
        lease.say(edition="20260101T000000Z-abcdef")
        lease.say()
        held = holder(folder.folder)
        assert held is not None and held["edition"] == "20260101T000000Z-abcdef" and held["run"] == lease.run


def test_a_run_that_slept_too_long_learns_that_another_has_taken_over(folder: SeasonFolder) -> None:
    with folder.lease() as slept:
        signals = folder.signals(slept)
        assert not signals.stopping()
        expired = slept.content | {"host": "elsewhere", "renewed": long_ago()}  # as another machine sees it
        write_json(folder.folder / LEASE, expired)
        with folder.lease() as taken:
            assert signals.superseded() and signals.stopping()
            with pytest.raises(UnreachableError, match="another one has taken over; progress is saved"):
                slept.say()
            assert read_json(folder.folder / LEASE)["run"] == taken.run
        ended = read_json(folder.folder / LEASE)
    assert read_json(folder.folder / LEASE) == ended  # whoever lost it does not give back what is another's


def test_a_run_stops_when_it_is_asked_and_the_next_one_does_not(folder: SeasonFolder) -> None:
    with folder.lease() as lease:
        ask_to_stop(folder.folder)
        assert folder.signals(lease).stopping()
    with folder.lease() as lease:
        assert not asked_to_stop(folder.folder) and not folder.signals(lease).stopping()


def test_a_worker_that_met_a_store_that_is_down_stops_its_own_run_and_no_other(folder: SeasonFolder) -> None:
    with folder.lease() as lease:
        folder.signals(lease).halt("the bucket does not answer")
        assert folder.signals(lease).halted()
    assert exists(folder.folder / HALTED)
    with folder.lease() as lease:
        assert not folder.signals(lease).halted()


def test_the_process_of_another_container_of_this_machine_is_not_looked_for_among_ours(folder: SeasonFolder) -> None:
    elsewhere = abandoned_lease(processes="pid:[1]")
    write_json(folder.folder / LEASE, elsewhere)
    with pytest.raises(InputError, match="season locked by pid"), folder.lease():
        pass
    write_json(folder.folder / LEASE, elsewhere | {"pid": os.getpid(), "renewed": long_ago()})
    with folder.lease():
        assert read_json(folder.folder / LEASE)["processes"] == process_numbers() != ""


@pytest.mark.usefixtures("system")
def test_a_dead_process_that_its_parent_has_not_noticed_holds_no_lease(folder: SeasonFolder) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        born = started(process.pid)
        assert process_exists(process.pid)
        process.kill()
        deadline = time.monotonic() + 10
        while psutil.Process(process.pid).status() != psutil.STATUS_ZOMBIE:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        write_json(folder.folder / LEASE, abandoned_lease(pid=process.pid, started=born))
        with folder.lease():
            assert read_json(folder.folder / LEASE)["pid"] == os.getpid()


def test_a_renewal_whose_answer_was_lost_does_not_cost_a_run_its_lease(
    folder: SeasonFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unanswered(path: Address, content: bytes, version: Version) -> Version:
        swap(path, content, version)
        raise ConnectionResetError("reset")

    with folder.lease() as lease:
        with monkeypatch.context() as patched, pytest.raises(UnreachableError, match="reset"):
            patched.setattr(lease_module, "swap", unanswered)
            lease.say(edition="e")
        lease.say(edition="f")
        held = holder(folder.folder)
        assert held is not None and (held["run"], held["edition"]) == (lease.run, "f")
    assert "ended" in read_json(folder.folder / LEASE)


def test_a_lease_that_a_full_disk_cannot_take_back_is_removed(
    folder: SeasonFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> Version:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched, folder.lease():
        patched.setattr(lease_module, "swap", full)
    assert holder(folder.folder) is None and not exists(folder.folder / LEASE)
