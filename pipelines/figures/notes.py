"""What the tables of revisions and series have in common: numbered notes below, and a file on request."""

import pandas as pd

from stook.models.errors import InputError
from stook.transforms.statistics.table import write_table
from stook.transforms.store import Address

SUFFIXES = (".csv", ".parquet")


class Notes:
    """Long remarks of rows, each told once, by number."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def mark(self, text: str) -> str:
        """The number of a remark in brackets; nothing for an empty one."""
        return f"[{self._numbers.setdefault(text, len(self._numbers) + 1)}]" if text else ""

    def print(self) -> None:
        """Print the remarks, in order of their numbers."""
        for text, number in self._numbers.items():
            print(f"[{number}] {text}.")


def write_figures(table: pd.DataFrame, to: Address) -> None:
    """Write a table as CSV or Parquet; raises InputError for another suffix, or where it cannot be written."""
    require_suffix(to)
    try:
        write_table(table, to)
    except OSError as error:
        raise InputError(f"--to {to}: cannot be written ({error.strerror or error})") from error


def require_suffix(to: Address | None) -> None:
    """Raise InputError for a file that is neither CSV nor Parquet."""
    if to is not None and to.suffix not in SUFFIXES:
        raise InputError(f"--to {to}: write {' or '.join(SUFFIXES)}")
