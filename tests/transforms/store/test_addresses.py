"""An address is a bucket's or a path of this machine, whatever its letters."""

from pathlib import Path

import pytest

from stook.models.errors import InputError
from stook.transforms.store import address_of, is_cloud, read_bytes, write_bytes

WINDOWS = ["C:\\maps\\x", "C:/maps/x", "\\\\server\\maps\\x"]
ODD = ["Données d'été 2023/Région Sud", "#1", "100 % sûr", "a%20b", "où?", "d'août; 2", "北/map", "file:x"]


@pytest.mark.parametrize("path", [*WINDOWS, *ODD])
def test_what_is_not_of_a_bucket_is_the_path_as_it_stands(path: str) -> None:
    address = address_of(path)
    assert address == Path(path) and not is_cloud(address)


@pytest.mark.parametrize("name", ODD)
def test_what_was_written_at_an_odd_path_is_there(tmp_path: Path, name: str) -> None:
    write_bytes(address_of(f"{tmp_path}/{name}/file"), b"content")
    assert (tmp_path / name / "file").read_bytes() == b"content"
    assert read_bytes(address_of(f"{tmp_path}/{name}/file")) == b"content"


@pytest.mark.parametrize(
    "address", ["s3://bucket/x", "https://host/x", "file:///tmp/x", "abfs://c@a/x", "gs:/bucket/x"]
)
@pytest.mark.parametrize("kind", [str, Path])
def test_addresses_of_other_kinds_are_refused_and_make_no_folder(address: str, kind: type) -> None:
    with pytest.raises(InputError, match="allowed are a path of this machine and gs://"):
        address_of(kind(address))


def test_a_zero_byte_is_no_path() -> None:
    with pytest.raises(InputError, match="zero byte"):
        address_of("a\0b")
