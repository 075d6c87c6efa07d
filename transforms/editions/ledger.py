"""The ledger: one record per tile, written after its shards; the record is the commit."""

import itertools
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import TypeAdapter

from models.errors import InputError
from transforms.ground.grid import Tile
from transforms.store import (
    STORE_FAILURES,
    Address,
    Version,
    files_in,
    is_cloud,
    json_bytes,
    read_bytes,
    read_json,
    read_versioned,
    remove,
    replacing,
    swap,
    write_json,
)


class RemovedError(InputError):
    """An edition was removed while somebody read it."""


@dataclass(frozen=True)
class Covered:
    """What a unit's cells of a tile add up to, of a product that is a share of each cell.

    Attributes:
        mean_dm2: Square of ``transforms.ground.areas.SQUARES`` -> mean share times area.
        width_dm2: The same -> width of the outermost interval times area.
    """

    mean_dm2: dict[str, int]
    width_dm2: dict[str, int]


@dataclass(frozen=True)
class ProductRecord:
    """What happened to one product of a tile.

    Attributes:
        fingerprint: Hash of everything the result was computed from.
        status: ``done`` or ``failed``.
        areas: Unit -> class value -> area in dm².
        covered: Unit -> sums of shares; only of products that are shares.
        cells: Unit -> class value -> number of cells; only of products whose cells are counted.
        batch: Chips that its encoder saw at once; None where vectors came from a store, or nothing was encoded.
        error: Cause of a failure, one line.
        carried: The edition that computed it, where this one took it over.
    """

    fingerprint: str
    status: Literal["done", "failed"]
    areas: dict[str, dict[int, int]]
    covered: dict[str, Covered] = field(default_factory=dict)
    cells: dict[str, dict[int, int]] = field(default_factory=dict)
    batch: int | None = None
    error: str | None = None
    carried: str | None = None


@dataclass(frozen=True)
class TileRecord:
    """What happened to a tile.

    Attributes:
        tile: Name of the tile.
        products: By name.
        attempts: How often the tile was begun, this time included.
        seconds: Time by step: read, composite, encode, write, areas, carry, derive.
        finished: UTC, ISO 8601.
        device: Where encoders ran.
        seal: Of the inputs of the edition that it was made in, see ``Edition.seal``; empty if it was made by an older
            version.
        amounts: What was read and encoded, see ``transforms.amounts.Amounts``; empty where nothing was counted.
    """

    tile: str
    products: dict[str, ProductRecord]
    attempts: int
    seconds: dict[str, float]
    finished: str
    device: str = "cpu"
    seal: str = ""
    amounts: dict[str, int] = field(default_factory=dict)

    @property
    def failed(self) -> bool:
        """Whether any product failed."""
        return any(product.status == "failed" for product in self.products.values())

    def settles(self, product: str, fingerprint: str) -> bool:
        """Whether a product is done from the very inputs that ``fingerprint`` stands for."""
        found = self.products.get(product)
        return found is not None and found.status == "done" and found.fingerprint == fingerprint


@dataclass(frozen=True)
class Begun:
    """How often work on a tile was begun since its last record, and not brought to an end.

    Attributes:
        attempts: In all.
        alone: With nothing else at work, and no news of how it ended.
    """

    attempts: int = 0
    alone: int = 0


def _begun(found: Any) -> Begun:
    """What a marker says; those of older editions are a bare number."""
    return Begun(**found) if isinstance(found, dict) else Begun(found or 0)


RECORD = TypeAdapter(TileRecord)
ROWS_PER_GROUP = 2048  # some MB; a group of rows for each tile would take a gigabyte for a country
READERS, AT_A_TIME = 16, 512  # requests of a cloud store under way, and records of which they are


class Ledger:
    """The records of one edition.

    Args:
        folder: ``ledger/`` of the edition.
    """

    def __init__(self, folder: Address):
        self.folder = folder
        self.attempts = folder / "attempts"

    def begin(self, tile: Tile) -> int:
        """Mark that work on a tile starts; returns how many attempts that makes since its last record."""
        marker = self._marker(tile.name)
        begun = _begun(read_json(marker))
        write_json(marker, asdict(replace(begun, attempts=begun.attempts + 1)))
        return begun.attempts + 1

    @contextmanager
    def attempt(self, tile: Tile) -> Iterator[int]:
        """Work on a tile for the length of the block, which commits its record; yields what ``begin`` does.

        The marker outlives the block only where the process dies in it: an exception takes it back.
        """
        attempts = self.begin(tile)
        try:
            yield attempts
        except BaseException:
            with suppress(*STORE_FAILURES):  # one death too many is noted then, which is harmless
                self.release(tile)
            raise

    def release(self, tile: Tile) -> None:
        """Take back what ``begin`` has marked: the work ended in good order, although nothing was decided."""
        found = read_json(self._marker(tile.name))
        if found is not None:
            begun = _begun(found)
            self.mark(tile.name, replace(begun, attempts=begun.attempts - 1))

    def begun(self) -> dict[str, Begun]:
        """Tile -> what its marker says; while nobody is at work, each attempt of it is one whose worker died."""
        names = files_in(self.attempts, ".json")
        return {name.removesuffix(".json"): _begun(read_json(self.attempts / name)) for name in names}

    def mark(self, tile: str, begun: Begun | None) -> None:
        """Set the marker of a tile, or take it away."""
        marker = self._marker(tile)
        if begun is None or begun.attempts < 1:
            remove(marker)
        else:
            write_json(marker, asdict(begun))

    def _marker(self, tile: str) -> Address:
        return self.attempts / f"{tile}.json"

    def commit(self, record: TileRecord, before: Version) -> None:
        """Write the record, in one step, after everything it speaks of.

        Args:
            record: Of the tile.
            before: Of the record that the work on the tile started from, see ``held``.

        Raises:
            ChangedError: If another worker has written one meanwhile.
        """
        swap(self.folder / f"{record.tile}.json", json_bytes(RECORD.dump_python(record, mode="json")), before)
        remove(self._marker(record.tile))

    def held(self, tile: Tile) -> tuple[TileRecord | None, Version]:
        """The record of a tile, None where it has none, and what stands for it in ``commit``."""
        content, version = read_versioned(self.folder / f"{tile.name}.json")
        return None if content is None else RECORD.validate_json(content), version

    def read(self, tile: Tile) -> TileRecord | None:
        """The record of a tile, or None where it has none."""
        return self.held(tile)[0]

    def marks(self) -> dict[str, str]:
        """File of each record -> a mark that changes when it is written anew."""
        return files_in(self.folder, ".json")

    def records(self, names: Sequence[str] | None = None) -> Iterator[TileRecord]:
        """Every record, ordered by tile name, or those in the files ``names``; some at a time are held.

        Raises:
            RemovedError: If one is not there any more.
        """
        names = list(self.marks()) if names is None else names
        if not is_cloud(self.folder):
            yield from map(self._record, names)
            return
        with ThreadPoolExecutor(READERS) as pool:  # waiting, not computing
            for start in range(0, len(names), AT_A_TIME):
                yield from pool.map(self._record, names[start : start + AT_A_TIME])

    def _record(self, name: str) -> TileRecord:
        content = read_bytes(self.folder / name)
        if content is None:
            raise RemovedError(f"{self.folder}: was removed while it was read")
        return RECORD.validate_json(content)

    def compact(self, target: Address) -> None:
        """Write all records as a Parquet table ``target``: one row per tile and product, areas as JSON."""
        schema = pa.schema(
            {
                "tile": pa.string(),
                "product": pa.string(),
                "status": pa.string(),
                "error": pa.string(),
                "fingerprint": pa.string(),
                "attempts": pa.int32(),
                "finished": pa.string(),
                "record": pa.string(),
            }
        )
        rows = self._rows()
        with replacing(target) as scratch, pq.ParquetWriter(scratch, schema) as writer:
            while some := list(itertools.islice(rows, ROWS_PER_GROUP)):
                writer.write_table(pa.Table.from_pylist(some, schema))

    def _rows(self) -> Iterator[dict[str, Any]]:
        """The rows of the compact ledger, in order."""
        for record in self.records():
            text = RECORD.dump_json(record).decode()
            for name, product in sorted(record.products.items()):
                yield {
                    "tile": record.tile,
                    "product": name,
                    "status": product.status,
                    "error": product.error,
                    "fingerprint": product.fingerprint,
                    "attempts": record.attempts,
                    "finished": record.finished,
                    "record": text,
                }
