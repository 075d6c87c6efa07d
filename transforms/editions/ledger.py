"""The ledger: one record per tile, written after its shards; the record is the commit."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Literal

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import TypeAdapter

from transforms.ground.grid import Tile
from transforms.store import (
    Address,
    Version,
    files_in,
    is_cloud,
    json_bytes,
    read_json,
    read_versioned,
    remove,
    replacing,
    swap,
    write_json,
)


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
        seconds: Time by step: read, encode, write, areas.
        finished: UTC, ISO 8601.
        device: Where encoders ran.
    """

    tile: str
    products: dict[str, ProductRecord]
    attempts: int
    seconds: dict[str, float]
    finished: str
    device: str = "cpu"

    @property
    def failed(self) -> bool:
        """Whether any product failed."""
        return any(product.status == "failed" for product in self.products.values())

    def settles(self, product: str, fingerprint: str) -> bool:
        """Whether a product is done from the very inputs that ``fingerprint`` stands for."""
        found = self.products.get(product)
        return found is not None and found.status == "done" and found.fingerprint == fingerprint


RECORD = TypeAdapter(TileRecord)
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
        marker = self.attempts / f"{tile.name}.json"
        attempt = (read_json(marker) or 0) + 1
        write_json(marker, attempt)
        return attempt

    def commit(self, record: TileRecord, before: Version) -> None:
        """Write the record, in one step, after everything it speaks of.

        Args:
            record: Of the tile.
            before: Of the record that the work on the tile started from, see ``held``.

        Raises:
            ChangedError: If another worker has written one meanwhile.
        """
        swap(self.folder / f"{record.tile}.json", json_bytes(RECORD.dump_python(record, mode="json")), before)
        remove(self.attempts / f"{record.tile}.json")

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

    def records(self) -> Iterator[TileRecord]:
        """Every record, ordered by tile name; some at a time are held."""
        names = list(self.marks())
        if not is_cloud(self.folder):
            yield from map(self._record, names)
            return
        with ThreadPoolExecutor(READERS) as pool:  # waiting, not computing
            for start in range(0, len(names), AT_A_TIME):
                yield from pool.map(self._record, names[start : start + AT_A_TIME])

    def _record(self, name: str) -> TileRecord:
        return RECORD.validate_python(read_json(self.folder / name))

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
        with replacing(target) as scratch, pq.ParquetWriter(scratch, schema) as writer:
            for record in self.records():
                text = RECORD.dump_json(record).decode()
                rows = [
                    {
                        "tile": record.tile,
                        "product": name,
                        "status": product.status,
                        "error": product.error,
                        "fingerprint": product.fingerprint,
                        "attempts": record.attempts,
                        "finished": record.finished,
                        "record": text,
                    }
                    for name, product in sorted(record.products.items())
                ]
                writer.write_table(pa.Table.from_pylist(rows, schema))
