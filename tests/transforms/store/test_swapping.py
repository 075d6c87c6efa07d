"""A file is replaced only by whoever has read what it says."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from stook.transforms.store import Address, ChangedError, Version, files_in, read_bytes, read_versioned, remove, swap
from stook.transforms.store.swapping import LOCK

WRITERS = 8


def test_what_is_absent_is_written_once_and_then_only_over_what_was_read(home: Address) -> None:
    content, version = read_versioned(home / "lease.json")
    assert (content, version) == (None, None)
    first = swap(home / "lease.json", b"1", version)
    assert read_versioned(home / "lease.json") == (b"1", first)
    second = swap(home / "lease.json", b"2", first)
    assert second != first and read_versioned(home / "lease.json") == (b"2", second)


@pytest.mark.parametrize("there", [b"somebody else's", None])
def test_from_a_stale_version_nothing_is_written(home: Address, there: bytes | None) -> None:
    stale = swap(home / "file", b"mine", None)
    if there is None:
        remove(home / "file")
    else:
        swap(home / "file", there, stale)
    with pytest.raises(ChangedError, match="file: was changed by somebody else"):
        swap(home / "file", b"mine again", stale)
    assert read_bytes(home / "file") == there
    assert set(files_in(home, "")) - {LOCK} == (set() if there is None else {"file"})


def test_what_has_come_into_being_meanwhile_stays(home: Address) -> None:
    swap(home / "file", b"theirs", None)
    with pytest.raises(ChangedError):
        swap(home / "file", b"mine", None)
    assert read_bytes(home / "file") == b"theirs"


@pytest.mark.parametrize("before", [None, b"before"])
def test_of_many_who_swap_at_once_one_wins_and_all_others_know(home: Address, before: bytes | None) -> None:
    version = None if before is None else swap(home / "file", before, None)
    together = Barrier(WRITERS)

    def attempt(number: int) -> tuple[bytes, Version] | None:
        together.wait()
        try:
            return b"%d" % number, swap(home / "file", b"%d" % number, version)
        except ChangedError:
            return None

    with ThreadPoolExecutor(WRITERS) as pool:
        winners = [won for won in pool.map(attempt, range(WRITERS)) if won is not None]
    assert winners == [read_versioned(home / "file")]
