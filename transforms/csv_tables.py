"""Tables of users in CSV: every field as the text that it is, or one line that says what cannot be read."""

import csv
import io

import pandas as pd

from stook.models.errors import InputError
from stook.transforms.store import Address


def csv_table(file: Address, content: bytes) -> pd.DataFrame:
    """The rows of a CSV as stripped text, with an index that names each; what is missing at the end of one is empty.

    Args:
        file: As messages call it.
        content: UTF-8, with or without a byte order mark; lines may end as they like.

    Raises:
        InputError: If it is no such table, a column is there twice, or a row has more fields than the heading.
    """
    try:
        lines = list(csv.reader(io.StringIO(content.decode("utf-8-sig"), newline=""), strict=True))
    except (ValueError, csv.Error) as error:
        raise InputError(f"{file}: cannot be read as CSV ({' '.join(str(error).split())})") from error
    rows = {f"row {number}": line for number, line in enumerate(lines, 1) if line}  # blank lines are none
    if not rows:
        raise InputError(f"{file}: cannot be read as CSV (it is empty)")
    heading = [field.strip() for field in rows.pop(next(iter(rows)))]
    twice = [name for place, name in enumerate(heading) if name and name in heading[:place]]
    if twice:
        raise InputError(f"{file}: column {twice[0]!r} is there twice; nobody knows which is meant")
    width = len(heading)
    for where, line in rows.items():
        if len(line) > width:
            ought = "they have to match" if width > 1 else "are they divided by commas?"
            raise InputError(f"{file}: {where} has {len(line)} fields, the heading {width}; {ought}")
    filled = [[*map(str.strip, line), *[""] * (width - len(line))] for line in rows.values()]
    return pd.DataFrame(filled, index=pd.Index(rows, dtype=object), columns=heading, dtype=object)
