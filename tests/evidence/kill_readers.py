"""What readers of editions find while runs are killed, byte by byte against what nobody disturbed."""

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import zarr

from stook.transforms.editions import map_store
from stook.transforms.editions.edition import MANIFEST, Edition
from stook.transforms.editions.season_folder import POINTER
from stook.transforms.store import Address, address_of, fetched, read_bytes, read_json, zarr_store

SEED = 21
SHARDS_A_LOOK = 3


@dataclass(frozen=True)
class Expected:
    """What an edition of one model must hold.

    Attributes:
        files: Shards and tables by their path in the edition.
        tiles: Number of tiles.
    """

    files: dict[str, bytes]
    tiles: int


def contents(edition: Edition) -> dict[str, bytes]:
    """Shards and tables of an edition, by path."""
    paths = [edition.folder / "statistics.csv", edition.folder / "statistics.parquet"]
    for _, array in arrays(edition):
        everything = map_store.TileOfLayer(edition.maps, array, tuple(slice(0, size) for size in array.shape[-2:]))  # type: ignore[arg-type]
        paths += everything.shards() if array.shards else []
    found = {str(path).removeprefix(f"{edition.folder}/"): read_bytes(path) for path in paths}
    return {name: content for name, content in found.items() if content is not None}


def arrays(edition: Edition) -> Iterator[tuple[str, zarr.Array]]:
    """Every array of the maps."""
    for path, member in sorted(zarr.open_group(zarr_store(edition.maps), mode="r").members(max_depth=None)):
        if isinstance(member, zarr.Array):
            yield path, member


def differing_bytes(one: dict[str, bytes], other: dict[str, bytes]) -> int:
    """Bytes that differ, and those that only one of both has."""
    return sum(difference(one.get(name, b""), other.get(name, b"")) for name in one.keys() | other.keys())


def difference(one: bytes, other: bytes) -> int:
    """Bytes that differ, and those that only one of both has."""
    common = min(len(one), len(other))
    a, b = (np.frombuffer(content[:common], np.uint8) for content in (one, other))
    return int(np.count_nonzero(a != b)) + abs(len(one) - len(other))


def look(folder: Address, expected: dict[str, Expected], chance: np.random.Generator) -> str | None:
    """What a reader who follows the pointer finds wrong; None for nothing."""
    pointer = read_json(folder / POINTER)
    if pointer is None:
        return None
    edition = Edition(folder / pointer["edition"])
    manifest = read_json(edition.folder / MANIFEST)
    if manifest is None or manifest["edition"] != edition.id:
        return f"{edition.id}: no {MANIFEST}, or another's"
    wanted = expected[manifest["plan"]["products"][0]["model_hash"]]
    names = ["statistics.csv", "statistics.parquet", *chance.choice(sorted(wanted.files), SHARDS_A_LOOK)]
    for name in names:
        if read_bytes(edition.folder / name) != wanted.files[name]:
            return f"{edition.id}: {name} is not that of its model"
    rows = pq.read_table(fetched(edition.folder / "ledger.parquet"), columns=["status"])["status"].to_pylist()
    return None if rows == ["done"] * wanted.tiles else f"{edition.id}: its ledger is not complete"


def watch(folder: str, expected: dict[str, Expected], environment: dict[str, str], ended: Any, told: Any) -> None:
    """Look until ``ended``; tells how often, and what was wrong."""
    os.environ.update(environment)
    looks, wrong, chance = 0, [], np.random.default_rng(SEED)
    while not ended.is_set():
        if (found := look(address_of(folder), expected, chance)) is not None:
            wrong.append(found)
        looks += 1
        time.sleep(0.02)
    told.put((looks, wrong))
