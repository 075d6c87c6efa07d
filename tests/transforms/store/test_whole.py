"""A folder appears whole or not at all, whoever else writes it and whoever is killed, on a disk and in a bucket."""

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest
from upath.implementations.cloud import GCSPath

from stook.models.errors import InputError
from stook.transforms.store import (
    Address,
    ChangedError,
    address_of,
    appearing,
    cloud,
    is_cloud,
    names_below,
    read_bytes,
    read_whole,
    upload_whole,
    uploading,
    whole_folders,
    write_bytes,
    write_json,
)

LAST = "last.json"
NAMES = ("a.txt", "b.txt", "deep/c.txt")
WRITERS, ROUNDS = 4, 5


def fill(folder: Path, text: str) -> None:
    (folder / "deep").mkdir()
    for name in NAMES:
        (folder / name).write_text(text)
    (folder / LAST).write_text(json.dumps({"by": text}))


def write(folder: Address, text: str) -> None:
    with appearing(folder, LAST) as made:
        fill(made, text)


def content(folder: Address) -> set[bytes | None]:
    """What the files of a whole folder say; one word of one writer."""
    said = read_whole(folder, LAST)
    assert names_below(folder) == {*NAMES, LAST}
    return {read_bytes(folder / name) for name in NAMES} | {said["by"].encode()}


def test_a_folder_is_there_when_the_block_ends_and_not_before(home: Address) -> None:
    with appearing(home / "one", LAST) as made:
        fill(made, "me")
        assert read_whole(home / "one", LAST) is None and whole_folders(home, LAST) == []
    assert content(home / "one") == {b"me"}
    assert whole_folders(home, LAST) == ["one"]


def test_what_fails_leaves_nothing(home: Address) -> None:
    with pytest.raises(RuntimeError), appearing(home / "one", LAST) as made:
        fill(made, "me")
        raise RuntimeError
    assert whole_folders(home, LAST) == [] and names_below(home) <= {".lock"}


def test_the_folder_that_was_there_stays(home: Address) -> None:
    write(home / "one", "first")
    write(home / "one", "second")
    assert content(home / "one") == {b"first"}


@pytest.mark.parametrize("left", [{"a.txt": b"half"}, {LAST: b'{"writing": "a bucket, when it was copied"}'}])
def test_a_folder_of_a_machine_that_is_not_whole_is_refused(tmp_path: Path, left: dict[str, bytes]) -> None:
    for name, text in left.items():
        write_bytes(tmp_path / "one" / name, text)
    assert whole_folders(tmp_path, LAST) == []
    with pytest.raises(InputError, match="one: is there, but not whole: last.json is missing, or says that it is"):
        write(tmp_path / "one", "me")
    assert names_below(tmp_path) == {".lock", *(f"one/{name}" for name in left)}


KILLED = """
import os, signal, sys
from pathlib import Path
from tests.transforms.store.test_whole import write
from stook.transforms.store import address_of, cloud
upload, uploaded = cloud.upload, []
def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)
def some(file, *more):
    if len(uploaded) == int(sys.argv[2]):
        die()
    uploaded.append(file)
    return upload(file, *more)
cloud.upload, Path.rename = some, die
write(address_of(sys.argv[1]), "killed")
"""


@pytest.mark.parametrize("uploaded", [0, 1, 2])
def test_what_a_killed_writer_leaves_is_not_seen_and_is_taken_over_at_once(home: Address, uploaded: int) -> None:
    words = [sys.executable, "-c", KILLED, str(home / "one"), str(uploaded)]
    assert subprocess.run(words, check=False, timeout=60).returncode == -signal.SIGKILL
    left = names_below(home)
    assert left > {".lock"} if not is_cloud(home) else len(left) == uploaded + 1
    assert read_whole(home / "one", LAST) is None and whole_folders(home, LAST) == []
    write(home / "one", "next")
    assert content(home / "one") == {b"next"}
    assert names_below(home) - {".lock"} == {f"one/{name}" for name in (*NAMES, LAST)}


@pytest.mark.slow
def test_of_several_writers_at_once_one_is_there_and_no_mixture_ever(home: Address) -> None:
    for number in range(ROUNDS):
        folder, together = home / f"round-{number}", Barrier(WRITERS)

        def attempt(
            text: str, folder: Address = folder, together: Barrier = together
        ) -> tuple[set[bytes | None], set[bytes | None]]:
            together.wait()
            write(folder, text)
            return content(folder), content(folder)

        with ThreadPoolExecutor(WRITERS) as pool:
            seen = [one for pair in pool.map(attempt, "abcd") for one in pair]
        assert all(one == seen[0] for one in seen) and len(seen[0]) == 1


@pytest.fixture
def folder(bucket: str, tmp_path: Path) -> GCSPath:
    """A folder of the bucket that is not there yet."""
    found = address_of(f"{bucket}/{tmp_path.name}/one")
    assert isinstance(found, GCSPath)
    return found


def at_upload(monkeypatch: pytest.MonkeyPatch, number: int, happens: Callable[[], None]) -> None:
    """Have something happen before the upload of that number, once."""
    upload, uploads = cloud.upload, iter(range(100))

    def with_it(file: Path, where: GCSPath, generation: int | None = None) -> int:
        if next(uploads) == number:
            happens()
        return upload(file, where, generation)

    monkeypatch.setattr(cloud, "upload", with_it)


@pytest.mark.parametrize("number", range(len(NAMES)))
def test_who_was_overtaken_changes_nothing_any_more(
    folder: GCSPath, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    at_upload(monkeypatch, number, lambda: write(folder, "faster"))
    write(folder, "slower")
    assert content(folder) == {b"faster"}


def test_who_was_overtaken_before_it_looked_writes_over_nothing(
    folder: GCSPath, monkeypatch: pytest.MonkeyPatch
) -> None:
    look = cloud.generations_below

    def overtaken(where: GCSPath) -> dict[str, int]:
        monkeypatch.setattr(cloud, "generations_below", look)
        write(folder, "faster")
        monkeypatch.setattr(cloud, "upload", None)
        return look(where)

    monkeypatch.setattr(cloud, "generations_below", overtaken)
    write(folder, "slower")
    assert content(folder) == {b"faster"}


def test_an_upload_of_an_earlier_writer_that_comes_late_is_written_over(
    folder: GCSPath, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_upload(monkeypatch, 1, lambda: write_bytes(folder / NAMES[1], b"late"))
    write(folder, "me")
    assert content(folder) == {b"me"}


def test_who_was_overtaken_by_one_that_was_killed_finishes(folder: GCSPath, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploading, "PATIENCE_S", 0.3)
    at_upload(monkeypatch, 1, lambda: write_json(folder / LAST, {"writing": "killed", "files": ["a.txt"]}))
    write(folder, "me")
    assert content(folder) == {b"me"}


def test_who_was_overtaken_waits_for_the_other_to_finish(folder: GCSPath, monkeypatch: pytest.MonkeyPatch) -> None:
    at_upload(monkeypatch, 1, lambda: write_json(folder / LAST, {"writing": "other", "files": []}))
    looks = iter(range(100))

    def finished_at_the_third(_: float) -> None:
        if next(looks) == 2:
            write_json(folder / LAST, {"by": "other"})

    monkeypatch.setattr(uploading.time, "sleep", finished_at_the_third)
    write(folder, "me")
    assert read_whole(folder, LAST) == {"by": "other"} and next(looks) == 3


def test_a_folder_that_is_written_over_loses_what_the_new_one_has_not(folder: GCSPath, tmp_path: Path) -> None:
    for text, names in (("old", ("a.txt", "gone.txt")), ("new", ("a.txt",))):
        made = tmp_path / text
        for name in names:
            write_bytes(made / name, text.encode())
        write_json(made / LAST, {"files": list(names)})
        write_bytes(folder / "theirs.txt", b"not ours")
        upload_whole(made, folder, LAST, over=True)
    assert names_below(folder) == {"a.txt", "theirs.txt", LAST}
    assert read_bytes(folder / "a.txt") == b"new"


@pytest.mark.parametrize("number", [0, 1])
def test_who_was_overtaken_leaves_no_file_that_the_other_has_not(
    folder: GCSPath, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, number: int
) -> None:
    for text, names in (("slower", ("a.txt", "b.txt", "mine.txt")), ("faster", ("a.txt", "b.txt"))):
        for name in names:
            write_bytes(tmp_path / text / name, text.encode())
        write_json(tmp_path / text / LAST, {"files": list(names)})
    upload_whole(tmp_path / "slower", folder, LAST, over=True)
    at_upload(monkeypatch, number, lambda: upload_whole(tmp_path / "faster", folder, LAST, over=True))
    upload_whole(tmp_path / "slower", folder, LAST, over=True)
    assert names_below(folder) == {"a.txt", "b.txt", LAST}
    assert read_bytes(folder / "a.txt") == read_bytes(folder / "b.txt") == b"faster"
    at_upload(monkeypatch, 2, lambda: upload_whole(tmp_path / "faster", folder, LAST, over=True))
    upload_whole(tmp_path / "slower", folder, LAST, over=True)
    assert names_below(folder) == {"a.txt", "b.txt", LAST}


def made_at(home: Path, text: str, *names: str) -> Path:
    """A folder of this machine whose last file lists its files."""
    for name in names:
        write_bytes(home / text / name, text.encode())
    write_json(home / text / LAST, {"files": list(names)})
    return home / text


def test_who_was_overtaken_stops_before_its_next_file_and_knows(
    folder: GCSPath, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    slower, faster = made_at(tmp_path, "slower", "a.txt", "b.txt", "c.txt"), made_at(tmp_path, "faster", "z.txt")
    uploads: list[str] = []

    def overtake() -> None:
        assert upload_whole(faster, folder, LAST, over=True)
        upload = cloud.upload
        monkeypatch.setattr(cloud, "upload", lambda file, *more: (uploads.append(file.name), upload(file, *more))[1])

    at_upload(monkeypatch, 0, overtake)
    assert not upload_whole(slower, folder, LAST, over=True)
    assert uploads == [] and names_below(folder) == {"z.txt", LAST}  # a.txt, which was under way, was removed again


def test_an_upload_whose_answer_was_lost_is_removed_by_who_was_overtaken(
    folder: GCSPath, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    slower, faster = made_at(tmp_path, "slower", "a.txt", "b.txt"), made_at(tmp_path, "faster", "z.txt")
    upload = cloud.upload

    def lost(file: Path, where: GCSPath, generation: int | None = None) -> int:
        monkeypatch.setattr(cloud, "upload", upload)
        assert upload_whole(faster, folder, LAST, over=True)
        upload(file, where, generation)
        raise ChangedError("the repetition finds the object")

    monkeypatch.setattr(cloud, "upload", lost)
    assert not upload_whole(slower, folder, LAST, over=True)
    assert names_below(folder) == {"z.txt", LAST}


def test_a_file_of_a_killed_writer_that_arrives_during_the_upload_is_removed(
    folder: GCSPath, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    write_json(folder / LAST, {"writing": "killed", "files": ["late.txt"]})
    at_upload(monkeypatch, 1, lambda: write_bytes(folder / "late.txt", b"late"))
    assert upload_whole(made_at(tmp_path, "me", "a.txt", "b.txt"), folder, LAST, over=True)
    assert names_below(folder) == {"a.txt", "b.txt", LAST}


def test_what_a_third_writer_has_put_there_is_not_tidied_away(
    folder: GCSPath, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    slower, faster = made_at(tmp_path, "slower", "a.txt"), made_at(tmp_path, "faster", "z.txt")
    third, look, looks = made_at(tmp_path, "third", "a.txt"), cloud.generations_below, iter(range(100))

    def third_comes(where: GCSPath) -> dict[str, int]:
        if next(looks) == 2:  # the first is the slower's own, the second awaits the outcome, the third is to tidy up
            monkeypatch.setattr(cloud, "generations_below", look)
            assert look(folder).keys() == {"a.txt", "z.txt", LAST}
            assert upload_whole(third, folder, LAST, over=True)
        return look(where)

    def overtake() -> None:
        assert upload_whole(faster, folder, LAST, over=True)
        monkeypatch.setattr(cloud, "generations_below", third_comes)

    at_upload(monkeypatch, 0, overtake)
    assert not upload_whole(slower, folder, LAST, over=True)
    assert names_below(folder) == {"a.txt", LAST} and read_bytes(folder / "a.txt") == b"third"


def test_a_list_of_the_same_content_is_not_taken_for_ones_own(
    folder: GCSPath, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    slower, faster = made_at(tmp_path, "slower", "a.txt"), made_at(tmp_path, "faster", "a.txt")
    look, looks = cloud.generations_below, iter(range(100))

    def overtaken(where: GCSPath) -> dict[str, int]:
        if next(looks) == 1:  # all is uploaded
            monkeypatch.setattr(cloud, "generations_below", look)
            assert upload_whole(faster, folder, LAST, over=True)
        return look(where)

    monkeypatch.setattr(cloud, "generations_below", overtaken)
    assert not upload_whole(slower, folder, LAST, over=True)
    assert read_bytes(folder / "a.txt") == b"faster"


def test_a_folder_whose_last_file_is_no_json_is_left_to_who_reads_it(home: Address) -> None:
    write(home / "one", "me")
    write_bytes(home / "two" / LAST, b"{half")
    assert whole_folders(home, LAST) == ["one", "two"]
    with pytest.raises(InputError, match=r"two.*last\.json: not valid JSON"):
        read_whole(home / "two", LAST)
