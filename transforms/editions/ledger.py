"""The ledger: one record per tile, written after its shards; the record is the commit."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import TypeAdapter

from transforms.ground.grid import Tile
from transforms.store import read_json, replacing, write_json


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


class Ledger:
    """The records of one edition.

    Args:
        folder: ``ledger/`` of the edition.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self.attempts = folder / "attempts"

    def begin(self, tile: Tile) -> int:
        """Mark that work on a tile starts; returns how many attempts that makes since its last record."""
        marker = self.attempts / f"{tile.name}.json"
        attempt = (read_json(marker) or 0) + 1
        write_json(marker, attempt)
        return attempt

    def commit(self, record: TileRecord) -> None:
        """Write the record, in one step, after everything it speaks of."""
        write_json(self.folder / f"{record.tile}.json", RECORD.dump_python(record, mode="json"))
        (self.attempts / f"{record.tile}.json").unlink(missing_ok=True)

    def read(self, tile: Tile) -> TileRecord | None:
        """The record of a tile, or None where it has none."""
        data = read_json(self.folder / f"{tile.name}.json")
        return None if data is None else RECORD.validate_python(data)

    def records(self) -> Iterator[TileRecord]:
        """Every record, ordered by tile name, one at a time."""
        for path in sorted(self.folder.glob("*.json")):
            yield RECORD.validate_python(read_json(path))

    def compact(self, target: Path) -> None:
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
