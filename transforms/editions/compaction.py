"""The compact ledger: every record of an edition in one Parquet table, which knows what listing it was made from.

A listing of the records stands for their content: it has a mark of each that changes when it is written anew (see
``stook.transforms.store.files_in``), and is taken before the first of them is read. Whatever is written after that
makes another listing. So a table of the listing that is found now holds the records that are there now, and a table
of any other is not read: at worst it is of no use.
"""

import hashlib
import itertools
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from stook.transforms.store import STORE_FAILURES, Address, as_file, replacing

SCHEMA = pa.schema(
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
LISTING = b"stook.listing"  # in the table's metadata
REPEATED = ["product", "status", "error", "finished"]  # the columns that a dictionary makes smaller
FORM: dict[str, Any] = {
    "compression": "zstd",
    "use_dictionary": REPEATED,
    "write_statistics": ["tile", *REPEATED],  # of a record they would be two whole records a group
    "write_page_checksum": True,
}
ROWS_PER_GROUP = 2048  # some MB; a group of rows for each tile would take a gigabyte for a country

UNREADABLE = (*STORE_FAILURES, pa.ArrowException, ValueError, KeyError)
"""What reading a table raises that is damaged, or not there."""


def listing_of(marks: Mapping[str, str]) -> str:
    """Hash of a listing of the ledger, files and their marks."""
    found = hashlib.sha256()
    for name, mark in marks.items():
        found.update(f"{name} {mark}\n".encode())
    return found.hexdigest()


def write_table(target: Address, listing: str, rows: Iterable[dict[str, Any]]) -> None:
    """Write the table in one step.

    Args:
        target: The file.
        listing: What the rows were read from, see ``listing_of``.
        rows: As ``SCHEMA`` says, in order of tiles; some at a time are held.
    """
    rows, schema = iter(rows), SCHEMA.with_metadata({LISTING: listing})
    with replacing(target) as scratch, pq.ParquetWriter(scratch, schema, **FORM) as writer:
        while some := list(itertools.islice(rows, ROWS_PER_GROUP)):
            writer.write_table(pa.Table.from_pylist(some, schema))


def texts(source: Address, listing: str) -> Iterator[str]:
    """The records of a table as JSON, in order, some at a time; none if it was made from another listing.

    Raises:
        UNREADABLE: If there is no table, or it is damaged; perhaps after some of the records.
    """
    with as_file(source) as file, pq.ParquetFile(file, page_checksum_verification=True) as table:
        if (table.metadata.metadata or {}).get(LISTING) != listing.encode():
            return
        for index in range(table.num_row_groups):
            some = table.read_row_group(index, columns=["record"], use_threads=False)["record"]
            yield from some.drop_null().to_pylist()
