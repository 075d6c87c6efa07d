"""Files are whole or absent, on this machine and in the cloud alike."""

from pathlib import Path

import pytest

from stook.models.errors import InputError
from stook.transforms.store import (
    SCRAP,
    Address,
    address_of,
    as_file,
    bytes_below,
    exists,
    fetched,
    files,
    files_in,
    folders_in,
    is_cloud,
    link,
    names_below,
    read_bytes,
    read_json,
    remove,
    remove_folder,
    replacing,
    require_writable,
    scraps_below,
    sweep,
    write_bytes,
    write_json,
)


def everything_in(folder: Address) -> set[str]:
    """Names right in a folder, of files and folders."""
    return {*files_in(folder, ""), *folders_in(folder)}


def test_what_was_written_is_read_and_nothing_else_is_left(home: Address) -> None:
    write_json(home / "deep/file.json", {"a": [1, 2], "unité": "€"})
    assert read_json(home / "deep/file.json") == {"a": [1, 2], "unité": "€"}
    assert everything_in(home / "deep") == {"file.json"}


def test_what_is_written_over_is_gone(home: Address) -> None:
    write_bytes(home / "file", b"first, and longer")
    write_bytes(home / "file", b"second")
    assert read_bytes(home / "file") == b"second"


def test_a_failed_writer_leaves_the_old_file_and_no_scrap(home: Address) -> None:
    write_json(home / "file.json", 1)

    def write_half() -> None:
        with replacing(home / "file.json") as scratch:
            scratch.write_text("2")
            raise RuntimeError("the writer died")

    with pytest.raises(RuntimeError):
        write_half()
    assert read_json(home / "file.json") == 1
    assert everything_in(home) == {"file.json"}


def test_a_file_is_replaced_by_one_that_a_library_wrote(home: Address) -> None:
    (home / "deep").mkdir(parents=True, exist_ok=True)
    with replacing(home / "deep/table.parquet") as scratch:
        assert isinstance(scratch, Path) and scratch.suffix in (".parquet", SCRAP)
        scratch.write_bytes(b"PAR1")
    assert read_bytes(home / "deep/table.parquet") == b"PAR1"


def test_a_file_that_somebody_reads_at_this_moment_is_replaced_a_moment_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refusals, replace = [5, 32], Path.replace  # errors of Windows

    def on_windows(path: Path, target: Path) -> Path:
        if refusals:
            raise PermissionError(13, "in use", str(target), refusals.pop())
        return replace(path, target)

    write_bytes(tmp_path / "file", b"first")
    monkeypatch.setattr(Path, "replace", on_windows)
    with pytest.raises(PermissionError):  # here nobody's reading is a reason
        write_bytes(tmp_path / "file", b"second")
    assert len(refusals) == 1 and everything_in(tmp_path) == {"file"}
    refusals.append(5)
    monkeypatch.setattr(files, "IN_USE", (PermissionError,))
    write_bytes(tmp_path / "file", b"second")
    assert refusals == [] and read_bytes(tmp_path / "file") == b"second"
    refusals += [5] * 10_000
    monkeypatch.setattr(files, "IN_USE_FOR_S", 0.1)
    with pytest.raises(PermissionError):
        write_bytes(tmp_path / "file", b"third")


def test_an_absent_file_reads_as_none_and_a_broken_one_is_named(home: Address) -> None:
    assert read_bytes(home / "none") is None and read_json(home / "none.json") is None
    assert not exists(home / "none.json")
    write_bytes(home / "broken.json", b"{")
    assert exists(home / "broken.json")
    with pytest.raises(InputError, match="broken.json: not valid JSON"):
        read_json(home / "broken.json")


def test_a_folder_is_no_file(home: Address) -> None:
    write_bytes(home / "folder/file", b"1")
    assert not exists(home / "folder")


def test_files_and_folders_are_listed_by_name_each_with_its_own(home: Address) -> None:
    for name in ("b.json", "a.json", "a.txt", "sub/c.json", "sub/deep/d.json", "sub-with-the-same-start/e.json"):
        write_bytes(home / "ledger" / name, b"{}")
    assert list(files_in(home / "ledger", ".json")) == ["a.json", "b.json"]
    assert list(files_in(home / "ledger", "")) == ["a.json", "a.txt", "b.json"]
    assert folders_in(home / "ledger") == ["sub", "sub-with-the-same-start"]
    assert list(files_in(home / "ledger/sub", ".json")) == ["c.json"]
    assert files_in(home / "nothing", ".json") == {} and folders_in(home / "nothing") == []


def test_a_file_written_anew_has_another_mark_and_the_others_keep_theirs(home: Address) -> None:
    for name in ("a.json", "b.json"):
        write_bytes(home / name, b"1")
    before = files_in(home, ".json")
    write_bytes(home / "b.json", b"2")
    after = files_in(home, ".json")
    assert after["a.json"] == before["a.json"] and after["b.json"] != before["b.json"]


def test_a_link_is_the_very_file_and_stays_when_the_source_goes(home: Address) -> None:
    write_bytes(home / "old/shard", b"values")
    write_bytes(home / "new/shard", b"what stood there before")
    link(home / "old/shard", home / "new/shard")
    link(home / "old/shard", home / "new/deep/shard")
    if isinstance(home, Path):
        assert (home / "new/deep/shard").samefile(home / "old/shard")
    remove_folder(home / "old")
    assert read_bytes(home / "new/shard") == read_bytes(home / "new/deep/shard") == b"values"


def test_a_link_to_nothing_is_nothing(home: Address) -> None:
    write_bytes(home / "new", b"what stood there before")
    link(home / "old", home / "new")
    assert read_bytes(home / "new") is None
    link(home / "old", home / "never")
    assert read_bytes(home / "never") is None


def test_folders_go_with_all_that_is_in_them_and_nothing_else_does(home: Address) -> None:
    for name in ("a/b/c", "a/d", "a-too/e"):
        write_bytes(home / name, b"123")
    assert bytes_below(home / "a") == 6
    remove(home / "a/d")
    remove(home / "a/d")
    remove_folder(home / "a")
    remove_folder(home / "a")
    assert everything_in(home) == {"a-too"} and bytes_below(home / "a-too") == 3


def test_scraps_of_killed_writers_are_found_wherever_they_lie_and_swept(home: Address) -> None:
    for name in (f".file{SCRAP}", f"maps.zarr/10m/c/0/1{SCRAP}", "maps.zarr/10m/c/0/1"):
        write_bytes(home / name, b"half")
    found = list(scraps_below(home))
    assert len(found) == (0 if is_cloud(home) else 2)  # nothing is written to a bucket by halves
    sweep(found)
    assert read_bytes(home / "maps.zarr/10m/c/0/1") == b"half" and not list(scraps_below(home))


def test_what_never_changes_is_fetched_once(home: Address, monkeypatch: pytest.MonkeyPatch) -> None:
    write_bytes(home / "inputs.parquet", b"scenes")
    copy = fetched(home / "inputs.parquet")
    assert copy.read_bytes() == b"scenes" and copy.name.endswith("inputs.parquet")
    monkeypatch.setattr("stook.transforms.store.cloud.download", None)
    assert fetched(home / "inputs.parquet") == copy


def test_what_may_change_is_had_as_it_is_now_and_a_copy_of_it_does_not_stay(home: Address) -> None:
    for content in (b"first", b"then"):
        write_bytes(home / "ledger.parquet", content)
        with as_file(home / "ledger.parquet") as file:
            assert file.read_bytes() == content
    assert file.exists() == (file == home / "ledger.parquet")
    with pytest.raises(FileNotFoundError), as_file(home / "absent.parquet") as file:
        file.read_bytes()


def test_what_is_not_there_cannot_be_fetched_and_leaves_no_half_of_it(home: Address) -> None:
    with pytest.raises(FileNotFoundError):
        fetched(home / "absent.parquet").read_bytes()
    write_bytes(home / "absent.parquet", b"now")
    assert fetched(home / "absent.parquet").read_bytes() == b"now"


def test_an_output_that_can_be_written_is_not_touched_by_being_asked(home: Address) -> None:
    require_writable(home / "not/there/yet")
    assert everything_in(home) == set()


def test_a_bucket_that_is_not_there_is_refused(bucket: str) -> None:
    with pytest.raises(InputError, match="output: gs://another-bucket/out: there is no such bucket"):
        require_writable(address_of("gs://another-bucket/out"))


def test_all_files_of_a_folder_are_named_however_deep_they_lie(home: Address) -> None:
    for name in ("a/b/c", "a/d", "a-too/e"):
        write_bytes(home / name, b"1")
    assert names_below(home / "a") == {"b/c", "d"} and names_below(home / "none") == set()


def test_a_link_from_one_store_to_another_is_a_fault(bucket: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="are not in the same store"):
        link(tmp_path / "a", address_of(bucket) / "a")
