"""Files that are not what their items describe."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from stook.models.errors import InputError, StookError, TileError, UnreachableError
from stook.transforms.imagery.catalog import search
from stook.transforms.imagery.checksums import checkable, wrong_checksum, wrong_size
from stook.transforms.imagery.inputs import Inputs
from stook.transforms.imagery.sources import Source
from tests.transforms.archive import EVERYWHERE, HASTY, PLACE, YEAR_2019, Archive, noon
from tests.transforms.imagery.faulty_server import Fault, faulty
from tests.transforms.imagery.test_reading import NOISE, june, read

ABC = hashlib.sha256(b"abc").hexdigest()


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    archive = Archive(tmp_path / "archive", "scaled-1e-4")
    archive.add("june", noon(1), {"blue": NOISE})
    return archive


def described(archive: Archive, **fields: object) -> Source:
    """The source of the archive, its only item saying more of its file."""
    source = archive.save()
    path = archive.file("june", "blue").with_name("june.json")
    item = json.loads(path.read_text())
    item["assets"]["blue"] |= {f"file:{name}": value for name, value in fields.items()}
    path.write_text(json.dumps(item))
    return source


def multihash(path: Path) -> str:
    return "1220" + hashlib.sha256(path.read_bytes()).hexdigest()


def test_checksums_are_self_describing() -> None:
    assert wrong_checksum({"file:checksum": "1220" + ABC}, [b"a", b"bc"]) is None
    assert wrong_checksum({"file:checksum": "1220" + ABC}, [b"abd"]).startswith("sha256 is ")
    md5 = "d50110" + hashlib.md5(b"abc").hexdigest()  # noqa: S324
    assert wrong_checksum({"file:checksum": md5}, [b"abc"]) is None
    sha1 = "1114" + hashlib.sha1(b"abc").hexdigest()  # noqa: S324
    assert wrong_checksum({"file:checksum": sha1}, [b"abc"]) is None


@pytest.mark.parametrize("text", ["", "zz", "12", "1220ab", "9999" + ABC, "1221" + ABC, ABC, 12, None])
def test_what_is_no_checksum_that_we_know_decides_nothing(text: object) -> None:
    assert not checkable({"file:checksum": text}) and wrong_checksum({"file:checksum": text}, [b"abc"]) is None


def test_sizes_that_nobody_knows_decide_nothing() -> None:
    assert wrong_size({"file:size": 5}, 4) == "4 bytes, but the item says 5"
    for fields, size in [({}, 4), ({"file:size": 4}, 4), ({"file:size": 5}, None), ({"file:size": "5"}, 4),
                         ({"file:size": True}, 4), ({"file:size": -1}, 4)]:  # fmt: skip
        assert wrong_size(fields, size) is None


def failure(source: Source) -> StookError:
    with pytest.raises(StookError) as caught:
        read(source, june(source), "blue", PLACE, backoff=HASTY)
    return caught.value


def test_a_file_of_another_size_than_described_fails_its_tile_although_it_could_be_read(archive: Archive) -> None:
    source = described(archive, size=archive.file("june", "blue").stat().st_size + 1)
    error = failure(source)
    assert isinstance(error, TileError) and "june: unusable asset blue" in str(error) or "corrupt" in str(error)
    assert "bytes, but the item says" in str(error)


def test_a_cut_file_behind_http_is_told_by_its_size(archive: Archive) -> None:
    path = archive.file("june", "blue")
    source = described(archive, size=path.stat().st_size)
    path.write_bytes(path.read_bytes()[:3000])
    with faulty(archive.writer.folder) as server:
        error = failure(replace(source, catalog=f"{server.url}/catalog.json"))
    assert isinstance(error, TileError) and "3000 bytes, but the item says" in str(error)


@pytest.mark.parametrize("remote", [False, True])
def test_one_wrong_bit_that_decodes_is_found_only_where_files_are_verified(archive: Archive, remote: bool) -> None:
    """The bit lies in bytes that no decoder looks at: without verification the pixels are read as they are."""
    path = archive.file("june", "blue")
    path.write_bytes(path.read_bytes() + b"\x00" * 8)
    source = described(archive, checksum=multihash(path))
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with faulty(archive.writer.folder) as server:
        source = replace(source, catalog=f"{server.url}/catalog.json") if remote else source
        np.testing.assert_allclose(read(source, june(source), "blue", PLACE, backoff=HASTY)[0], NOISE * 1e-4, rtol=1e-6)
        error = failure(replace(source, verify=True))
        assert isinstance(error, TileError) and "june: corrupt asset blue" in str(error)
        assert "sha256 is " in str(error) and "but the item says" in str(error)


def test_a_right_file_is_verified_once_per_process(archive: Archive) -> None:
    source = described(archive, checksum=multihash(archive.file("june", "blue")))
    with faulty(archive.writer.folder) as server:
        source = replace(source, catalog=f"{server.url}/catalog.json", verify=True)
        server.faults.append(Fault("broken off", "blue.tif", times=1))  # half a file is no verdict
        for _ in range(3):
            read(source, june(source), "blue", PLACE, backoff=HASTY)
        assert len(server.asked("blue.tif")) <= 2 + 3 * 3


def test_verification_without_checksums_is_refused_before_anything_is_read(archive: Archive) -> None:
    source = replace(described(archive), verify=True)
    with pytest.raises(InputError, match=r"item june .*asset blue: no file:checksum .*imagery\.sentinel2\.verify"):
        search(source, EVERYWHERE, *YEAR_2019)


def test_what_is_said_of_files_is_kept_with_the_edition(archive: Archive, tmp_path: Path) -> None:
    source = described(archive, size=5, checksum="1220" + ABC)
    inputs = Inputs.freeze({"sentinel2": search(source, EVERYWHERE, *YEAR_2019)}, {"sentinel2": source})
    [item] = inputs.near(EVERYWHERE)["sentinel2"]
    assert item.assets["blue"].extra_fields["file:size"] == 5
    assert item.assets["blue"].extra_fields["file:checksum"] == "1220" + ABC


@pytest.mark.parametrize(("fault", "kind", "says"), [
    (Fault("status", "blue.tif", status=404), TileError, "june: missing asset blue"),
    (Fault("status", "blue.tif", status=503), UnreachableError, "unreachable (503)"),
    (Fault("broken off", "blue.tif", after=1), UnreachableError, "unreachable ("),
])  # fmt: skip
def test_a_file_that_cannot_be_verified_is_told_as_one_that_cannot_be_read(
    archive: Archive, fault: Fault, kind: type[StookError], says: str
) -> None:
    source = described(archive, checksum=multihash(archive.file("june", "blue")))
    with faulty(archive.writer.folder, replace(fault)) as server:
        error = failure(replace(source, catalog=f"{server.url}/catalog.json", verify=True))
    assert type(error) is kind and says in str(error)


def test_one_attempt_is_enough_to_call_a_file_corrupt(archive: Archive) -> None:
    source, path = archive.save(), archive.file("june", "blue")
    path.write_bytes(b"no picture" * 1000)
    with faulty(archive.writer.folder) as server, pytest.raises(TileError, match="june: corrupt asset blue"):
        source = replace(source, catalog=f"{server.url}/catalog.json")
        read(source, june(source), "blue", PLACE, backoff=replace(HASTY, attempts=1))


def test_a_closed_folder_fails_the_tile_and_is_not_taken_for_the_output(archive: Archive) -> None:
    source = described(archive, size=5)
    path = archive.file("june", "blue")
    scenes = june(source)
    path.unlink()
    path.symlink_to(path)  # what even root cannot look at
    with pytest.raises(TileError, match="june: missing asset blue"):
        read(source, scenes, "blue", PLACE, backoff=HASTY)
