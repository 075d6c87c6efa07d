"""A folder is replaced as a whole, and only where it is ours."""

from pathlib import Path

import pytest

from models.errors import InputError
from transforms.reporting import folder as folders
from transforms.reporting.folder import replacing_folder, write_contents


def write(target: Path, text: str) -> None:
    with replacing_folder(target) as folder:
        (folder / "figures").mkdir()
        (folder / "figures" / "table.csv").write_text(text)
        write_contents(folder, {"edition": text})


def content(target: Path) -> str:
    return (target / "figures" / "table.csv").read_text()


def test_a_folder_appears_and_is_replaced(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "report"
    for text in ("one", "two"):
        write(target, text)
        assert content(target) == text
    assert [path.name for path in target.parent.iterdir()] == ["report"]


def test_readers_find_one_or_the_other_while_it_is_replaced(tmp_path: Path) -> None:
    target = tmp_path / "report"
    write(target, "old")
    with replacing_folder(target) as folder:
        (folder / "half").write_text("x")
        assert content(target) == "old"
        write_contents(folder, {})
    assert (target / "half").exists()


def test_a_system_that_cannot_exchange_moves_one_aside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(*_: object, **__: object) -> None:
        raise OSError("no such library")

    write(tmp_path / "report", "one")
    monkeypatch.setattr(folders.ctypes, "CDLL", absent)
    write(tmp_path / "report", "two")
    assert content(tmp_path / "report") == "two"
    assert [path.name for path in tmp_path.iterdir()] == ["report"]


def test_a_failure_leaves_what_was_there(tmp_path: Path) -> None:
    target = tmp_path / "report"
    write(target, "old")
    with pytest.raises(RuntimeError), replacing_folder(target) as folder:
        (folder / "half").write_text("x")
        raise RuntimeError
    assert content(target) == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["report"]


def test_an_empty_folder_is_taken(tmp_path: Path) -> None:
    (tmp_path / "report").mkdir()
    write(tmp_path / "report", "one")
    assert content(tmp_path / "report") == "one"


def test_what_is_not_ours_is_never_replaced(tmp_path: Path) -> None:
    target = tmp_path / "report"
    write(target, "one")
    (target / "figures" / "notes.txt").write_text("theirs")
    with pytest.raises(InputError, match="holds figures/notes.txt, which is not of the report"):
        write(target, "two")
    assert (target / "figures" / "notes.txt").read_text() == "theirs"


def test_a_file_that_comes_while_a_report_is_made_stays(tmp_path: Path) -> None:
    target = tmp_path / "report"
    write(target, "one")
    with pytest.raises(InputError, match="late.txt"), replacing_folder(target) as folder:
        write_contents(folder, {})
        (target / "late.txt").write_text("theirs")
    assert (target / "late.txt").exists()
