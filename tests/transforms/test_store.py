"""Small files are whole or absent."""

from pathlib import Path

import pytest

from models.errors import InputError
from transforms.store import read_json, replacing, write_json


def test_what_was_written_is_read_and_nothing_else_is_left(tmp_path: Path) -> None:
    write_json(tmp_path / "deep/file.json", {"a": [1, 2]})
    assert read_json(tmp_path / "deep/file.json") == {"a": [1, 2]}
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["file.json"]


def test_a_failed_writer_leaves_the_old_file_and_no_scrap(tmp_path: Path) -> None:
    write_json(tmp_path / "file.json", 1)

    def write_half() -> None:
        with replacing(tmp_path / "file.json") as scratch:
            scratch.write_text("2")
            raise RuntimeError("the writer died")

    with pytest.raises(RuntimeError):
        write_half()
    assert read_json(tmp_path / "file.json") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["file.json"]


def test_an_absent_file_reads_as_none_and_a_broken_one_is_named(tmp_path: Path) -> None:
    assert read_json(tmp_path / "none.json") is None
    (tmp_path / "broken.json").write_text("{")
    with pytest.raises(InputError, match="broken.json: not valid JSON"):
        read_json(tmp_path / "broken.json")
