"""Whether a file is the one its catalogue describes: ``file:size`` and ``file:checksum`` of STAC's file extension."""

import hashlib
import threading
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any

SIZE, CHECKSUM = "file:size", "file:checksum"
# Codes of multihash, https://github.com/multiformats/multicodec, for what hashlib has.
ALGORITHMS = {
    0x11: "sha1",
    0x12: "sha256",
    0x13: "sha512",
    0x14: "sha3_512",
    0x16: "sha3_256",
    0x20: "sha384",
    0xD5: "md5",
}


def stated_size(fields: dict[str, Any]) -> int | None:
    """The bytes that a file should have; None where nothing usable is said."""
    size = fields.get(SIZE)
    return size if isinstance(size, int) and not isinstance(size, bool) and size >= 0 else None


def wrong_size(fields: dict[str, Any], size: int | None) -> str | None:
    """Why a file of ``size`` bytes is not the one described; None if it may be, or nobody knows."""
    stated = stated_size(fields)
    if stated is None or size is None or size == stated:
        return None
    return f"{size} bytes, but the item says {stated}"


def checkable(fields: dict[str, Any]) -> bool:
    """Whether a checksum is given that we can compute."""
    return _multihash(fields) is not None


def wrong_checksum(fields: dict[str, Any], content: Iterable[bytes]) -> str | None:
    """Why a file is not the one described; None if it is, or nothing that we can compute is said."""
    described = _multihash(fields)
    if described is None:
        return None
    algorithm, expected = described
    digest = hashlib.new(algorithm, usedforsecurity=False)
    for part in content:
        digest.update(part)
    found = digest.digest()[: len(expected)]
    return None if found == expected else f"{algorithm} is {found.hex()}, but the item says {expected.hex()}"


class Verdict:
    """What came of comparing a file with its checksum, found out once by whichever thread comes first."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._settled = False
        self._wrong: str | None = None

    def wrong(self, compare: Callable[[], str | None]) -> str | None:
        """What ``compare`` says, or said."""
        with self._lock:
            if not self._settled:
                self._wrong, self._settled = compare(), True
            return self._wrong


@lru_cache(maxsize=100_000)
def verdict_on(href: str, checksum: str) -> Verdict:  # noqa: ARG001  what it is about
    """The verdict on a file, one per process."""
    return Verdict()


def _multihash(fields: dict[str, Any]) -> tuple[str, bytes] | None:
    """Algorithm and digest of a self-describing hash in hexadecimal: code, length, digest, the first two as varints."""
    try:
        content = bytes.fromhex(str(fields.get(CHECKSUM, "")))
        code, content = _varint(content)
        length, digest = _varint(content)
    except (ValueError, IndexError):
        return None
    algorithm = ALGORITHMS.get(code)
    return (algorithm, digest) if algorithm and 0 < length == len(digest) else None


def _varint(content: bytes) -> tuple[int, bytes]:
    """An unsigned number of seven bits a byte, lowest first, and what follows it."""
    value = shift = 0
    for position, byte in enumerate(content):
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, content[position + 1 :]
        shift += 7
    raise IndexError("cut off")
