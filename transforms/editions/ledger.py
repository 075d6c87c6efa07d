"""The ledger: one record per tile, written after its shards; the record is the commit."""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Literal

from pydantic import TypeAdapter

from stook.models.errors import InputError
from stook.transforms.editions.compaction import UNREADABLE, listing_of, texts, write_table
from stook.transforms.ground.grid import Tile
from stook.transforms.store import (
    STORE_FAILURES,
    Address,
    ChangedError,
    Version,
    files_in,
    is_cloud,
    json_bytes,
    read_bytes,
    read_versioned,
    remove,
    swap,
)


class RemovedError(InputError):
    """An edition was removed while somebody read it."""


@dataclass(frozen=True)
class Covered:
    """What a unit's cells of a tile add up to, of a product that is a share of each cell.

    Attributes:
        mean_dm2: Square of ``stook.transforms.ground.areas.SQUARES`` -> mean share times area.
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
        run: That made it or took it over, see ``Lease.run``; empty if it was made by an older version.
    """

    fingerprint: str
    status: Literal["done", "failed"]
    areas: dict[str, dict[int, int]]
    covered: dict[str, Covered] = field(default_factory=dict)
    cells: dict[str, dict[int, int]] = field(default_factory=dict)
    batch: int | None = None
    error: str | None = None
    carried: str | None = None
    run: str = ""

    def stands(self, run: str | None) -> bool:
        """Whether it is done, or ``run``, the one at work, has failed to make it, which it does not try again."""
        return self.status == "done" or bool(run and self.run == run)


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
        amounts: What was read and encoded, see ``stook.transforms.amounts.Amounts``; empty where nothing was counted.
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

    def settles(self, product: str, fingerprint: str, run: str | None = None) -> bool:
        """Whether a product stands that comes from the very inputs that ``fingerprint`` stands for."""
        found = self.products.get(product)
        return found is not None and found.stands(run) and found.fingerprint == fingerprint


@dataclass(frozen=True)
class Begun:
    """How often work on a tile was begun since its last record, and not brought to an end.

    Attributes:
        attempts: In all; while nobody is at work, so many workers died of it, or were taken away.
        deaths: Of these, those that a process saw that is still there.
        fault: The fault of ours that ended the last one, one line; empty if none did.
        run: That met the fault, see ``Lease.run``.
    """

    attempts: int = 0
    deaths: int = 0
    fault: str = ""
    run: str = ""


def _begun(content: bytes | None) -> Begun:
    """What a marker says; those of older editions are a bare number, or know of something else."""
    marker: Any = json.loads(content) if content else None
    if not isinstance(marker, dict):
        return Begun(marker or 0)
    return Begun(**{field.name: marker[field.name] for field in fields(Begun) if field.name in marker})


RECORD = TypeAdapter(TileRecord)
READERS, AT_A_TIME = 16, 512  # requests of a cloud store under way, and records of which they are


class Ledger:
    """The records of one edition.

    Args:
        folder: ``ledger/`` of the edition; beside it is ``ledger.parquet``, the compact ledger.
    """

    def __init__(self, folder: Address):
        self.folder = folder
        self.attempts = folder / "attempts"
        self.compacted = folder.parent / f"{folder.name}.parquet"

    def begin(self, tile: Tile) -> int:
        """Mark that work on a tile starts; returns how many attempts that makes since its last record."""
        return self.remark(tile.name, lambda begun: Begun(begun.attempts + 1, begun.deaths)).attempts

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
        if self.marked(tile.name) != Begun():
            self.remark(tile.name, lambda begun: replace(begun, attempts=max(0, begun.attempts - 1)))

    def marked(self, tile: str) -> Begun:
        """What the marker of a tile says; that nothing was begun where there is none."""
        return _begun(read_bytes(self._marker(tile)))

    def begun(self) -> dict[str, Begun]:
        """Tile -> what its marker says."""
        names = files_in(self.attempts, ".json")
        return {tile: self.marked(tile) for tile in (name.removesuffix(".json") for name in names)}

    def mark(self, tile: str, begun: Begun) -> None:
        """Set the marker of a tile, whatever it says."""
        self.remark(tile, lambda _: begun)

    def remark(self, tile: str, change: Callable[[Begun], Begun]) -> Begun:
        """Replace the marker of a tile by what ``change`` makes of it, again where somebody else was faster."""
        marker = self._marker(tile)
        while True:
            content, version = read_versioned(marker)
            begun = change(_begun(content))
            if begun == Begun():
                remove(marker)
                return begun
            with suppress(ChangedError):
                swap(marker, json_bytes(asdict(begun)), version)
                return begun

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
        swap(self.folder / _file_of(record), json_bytes(RECORD.dump_python(record, mode="json")), before)
        remove(self._marker(record.tile))

    def held(self, tile: Tile) -> tuple[TileRecord | None, Version]:
        """The record of a tile, None where it has none, and what stands for it in ``commit``."""
        content, version = read_versioned(self.folder / f"{tile.name}.json")
        return None if content is None else RECORD.validate_json(content), version

    def read(self, tile: Tile) -> TileRecord | None:
        """The record of a tile, or None where it has none."""
        return self.held(tile)[0]

    def marks(self) -> dict[str, str]:
        """File of each record, sorted -> a mark that changes when it is written anew."""
        return files_in(self.folder, ".json")

    def records(self, names: Sequence[str] | None = None) -> Iterator[TileRecord]:
        """Every record, ordered by tile name, or those in the files ``names``; some at a time are held.

        All of them are read from the compact ledger where that holds them as they are now, otherwise file by file.

        Raises:
            RemovedError: If one is not there any more.
        """
        yield from (record for record, _ in (self._every(*self._listing()) if names is None else self._each(names)))

    def compact(self) -> None:
        """Write the compact ledger: one row per tile and product, with a tile's first its whole record, as in its file.

        Raises:
            RemovedError: If a record is not there any more.
        """
        names, listing = self._listing()  # before any record is read: one that is written meanwhile has another mark
        write_table(self.compacted, listing, _rows(self._every(names, listing)))

    def _listing(self) -> tuple[list[str], str]:
        """Files of all records, and the hash of them with their marks."""
        marks = self.marks()
        return list(marks), listing_of(marks)

    def _every(self, names: Sequence[str], listing: str) -> Iterator[tuple[TileRecord, str]]:
        """The records of a listing of all, each with its text."""
        found = 0
        for each in self._in_compact(names, listing):
            found += 1
            yield each
        yield from self._each(names[found:])

    def _in_compact(self, names: Sequence[str], listing: str) -> Iterator[tuple[TileRecord, str]]:
        """The same as far as the compact ledger has them: all, none, or those before a damage."""
        with suppress(*UNREADABLE):  # the records themselves are there, and decide
            for name, text in zip(names, texts(self.compacted, listing), strict=False):
                record = RECORD.validate_json(text)
                if _file_of(record) != name:
                    return
                yield record, text

    def _each(self, names: Sequence[str]) -> Iterator[tuple[TileRecord, str]]:
        """Records with their text, file by file."""
        if not is_cloud(self.folder):
            yield from map(self._record, names)
            return
        with ThreadPoolExecutor(READERS) as pool:  # waiting, not computing
            for start in range(0, len(names), AT_A_TIME):
                yield from pool.map(self._record, names[start : start + AT_A_TIME])

    def _record(self, name: str) -> tuple[TileRecord, str]:
        content = read_bytes(self.folder / name)
        if content is None:
            raise RemovedError(f"{self.folder}: was removed while it was read")
        return RECORD.validate_json(content), content.decode()


def _file_of(record: TileRecord) -> str:
    """Name of the file of a record."""
    return f"{record.tile}.json"


def _rows(records: Iterable[tuple[TileRecord, str]]) -> Iterator[dict[str, Any]]:
    """The rows of the compact ledger, in order."""
    for record, text in records:
        whole = {"tile": record.tile, "attempts": record.attempts, "finished": record.finished, "record": text}
        for name, product in sorted(record.products.items()):
            yield whole | {
                "product": name,
                "status": product.status,
                "error": product.error,
                "fingerprint": product.fingerprint,
            }
            whole["record"] = None
        if not record.products:
            yield whole
