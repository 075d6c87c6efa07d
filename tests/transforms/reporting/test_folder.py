"""A folder is replaced as a whole, and only where it is ours, on a disk and in a bucket."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest
from upath.implementations.cloud import GCSPath

from stook.models.errors import InputError
from stook.transforms.reporting import folder as folders
from stook.transforms.reporting.folder import CONTENTS, replacing_folder, write_contents
from stook.transforms.store import (
    Address,
    ChangedError,
    address_of,
    cloud,
    folders_in,
    is_cloud,
    names_below,
    read_bytes,
    read_whole,
    write_bytes,
)

WRITERS = 4


def write(target: Address, text: str, *more: str) -> None:
    with replacing_folder(target) as folder:
        (folder / "figures").mkdir()
        for name in ("table.csv", *more):
            (folder / "figures" / name).write_text(text)
        write_contents(folder, {"edition": text})


def content(target: Address) -> str:
    found = read_bytes(target / "figures/table.csv")
    assert found is not None
    return found.decode()


def test_a_folder_appears_and_is_replaced(home: Address) -> None:
    target = home / "deep/report"
    for text in ("one", "two"):
        write(target, text)
        assert content(target) == text and read_whole(target, CONTENTS)["edition"] == text
    assert folders_in(home / "deep") == ["report"]


def test_readers_find_the_old_one_while_the_new_one_is_made(home: Address) -> None:
    target = home / "report"
    write(target, "old")
    with replacing_folder(target) as folder:
        (folder / "half").write_text("x")
        assert content(target) == "old" and read_whole(target, CONTENTS)["edition"] == "old"
        write_contents(folder, {})
    assert names_below(target) == {"half", CONTENTS}


def test_files_that_the_new_one_has_not_are_gone(home: Address) -> None:
    target = home / "report"
    write(target, "one", "estimates.csv")
    write(target, "two")
    assert names_below(target) == {"figures/table.csv", CONTENTS}


@pytest.mark.parametrize("error", [OSError("no such library"), TypeError("argument 1 must be str, not None")])
def test_a_system_that_cannot_exchange_moves_one_aside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def absent(*_: object, **__: object) -> None:
        raise error

    write(tmp_path / "report", "one")
    monkeypatch.setattr(folders.ctypes, "CDLL", absent)
    write(tmp_path / "report", "two")
    assert content(tmp_path / "report") == "two"
    assert [path.name for path in tmp_path.iterdir()] == ["report"]


def test_a_failure_leaves_what_was_there(home: Address) -> None:
    target = home / "report"
    write(target, "old")
    with pytest.raises(RuntimeError), replacing_folder(target) as folder:
        (folder / "half").write_text("x")
        raise RuntimeError
    assert content(target) == "old" and read_whole(target, CONTENTS)["edition"] == "old"
    assert folders_in(home) == ["report"]


def test_in_a_bucket_the_contents_say_that_somebody_writes_until_all_is_there(
    bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> None:
        assert read_whole(target, CONTENTS) is None
        raise KeyboardInterrupt

    target = address_of(f"{bucket}/{tmp_path.name}/report")
    write(target, "old", "estimates.csv")
    with monkeypatch.context() as patched:
        patched.setattr(cloud, "upload", killed)
        with pytest.raises(KeyboardInterrupt):
            write(target, "killed", "more.csv")
    assert read_whole(target, CONTENTS) is None
    write(target, "next")
    assert content(target) == "next" and names_below(target) == {"figures/table.csv", CONTENTS}


def test_of_several_reports_at_once_one_is_there_whole(home: Address) -> None:
    target, together = home / "report", Barrier(WRITERS)
    write(target, "old")

    def attempt(text: str) -> bool:
        together.wait()
        try:
            write(target, text, f"{text}.csv")
        except ChangedError:
            return False
        return True

    with ThreadPoolExecutor(WRITERS) as pool:
        done = dict(zip("abcd", pool.map(attempt, "abcd"), strict=True))
    told = read_whole(target, CONTENTS)
    assert content(target) == told["edition"] and done[told["edition"]]
    assert names_below(target) == {"figures/table.csv", f"figures/{told['edition']}.csv", CONTENTS}


def test_an_empty_folder_is_taken(tmp_path: Path) -> None:
    (tmp_path / "report").mkdir()
    write(tmp_path / "report", "one")
    assert content(tmp_path / "report") == "one"


def test_a_file_in_its_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "report").touch()
    with pytest.raises(InputError, match="report: is a file; name a folder"):
        write(tmp_path / "report", "one")


def test_what_is_not_ours_is_never_replaced(home: Address) -> None:
    target = home / "report"
    write(target, "one")
    write_bytes(target / "figures/notes.txt", b"theirs")
    with pytest.raises(InputError, match="holds figures/notes.txt, which is not of the report"):
        write(target, "two")
    assert read_bytes(target / "figures/notes.txt") == b"theirs" and content(target) == "one"
    write_bytes(home / "letters/letter.txt", b"kept")
    with pytest.raises(InputError, match="letters: is not empty and not a report"):
        write(home / "letters", "two")
    assert names_below(home / "letters") == {"letter.txt"}


def test_a_file_that_comes_while_a_report_is_made_stays(home: Address) -> None:
    target = home / "report"
    write(target, "one")
    with pytest.raises(InputError, match="late.txt"), replacing_folder(target) as folder:
        write_contents(folder, {})
        write_bytes(target / "late.txt", b"theirs")
    assert read_bytes(target / "late.txt") == b"theirs"
    assert not is_cloud(home) or content(target) == "one"


@pytest.mark.parametrize("theirs", [b'{"a": 1}', b"[1]", b'{"files": null}', b'{"files": "abc"}', b'{"files": [1]}'])
def test_a_report_json_that_is_no_list_of_contents_is_refused(home: Address, theirs: bytes) -> None:
    write_bytes(home / "report" / CONTENTS, theirs)
    with pytest.raises(InputError, match=r"^--to .*report: its report\.json is not of a report, [^\n]*$"):
        write(home / "report", "one")
    assert read_bytes(home / "report" / CONTENTS) == theirs


def test_who_was_overtaken_is_told(bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target, upload = address_of(f"{bucket}/{tmp_path.name}/report"), cloud.upload

    def overtaken(file: Path, where: GCSPath, generation: int | None = None) -> int:
        monkeypatch.setattr(cloud, "upload", upload)
        write(target, "faster")
        return upload(file, where, generation)

    monkeypatch.setattr(cloud, "upload", overtaken)
    with pytest.raises(ChangedError, match=r"^gs://.*/report: another process wrote this report meanwhile; [^\n]*$"):
        write(target, "slower", "more.csv")
    assert content(target) == "faster" and names_below(target) == {"figures/table.csv", CONTENTS}
