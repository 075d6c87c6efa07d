"""The lab book, docs/evidence.md: a row per figure, and beside it whether the code that it measures has changed since.

A row keeps the fingerprint of the code in a comment. The marks are made whenever the book is written, of every row.
"""

import os
import platform
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.evidence.figure import Figure
from tests.evidence.fingerprint import changed_parts

ROOT = Path(__file__).resolve().parents[2]
BOOK = ROOT / "docs" / "evidence.md"
HEADING = """# Evidence

Every figure we claim, the command that measures it, and where and when it was last measured. Written by
`make evidence`; `make evidence ONLY=word` measures those whose name begins with the word.

**Real** imagery and labels: `flanders`, `galileo.flanders`, the speeds of `galileo`, `normalisation`, `embed.flanders`,
`zanzibar`, `built`, `from_maps.flanders`, `backfill.flanders`, what `plan` says of flanders, and `simulator`, which
holds the simulation against them; real samples: `deafrica`, `tigray`. **Simulated** imagery: `demo`, `buildings`,
`piles`, `cropland`, `one_pass`, `tiles`, `kills`, `lease`, `failures`, `bench`, `report`, `carry`, the rest of `plan`,
`embed`, `from_maps` and `backfill`; a simulated population: `estimators`; simulated records: `ledger`. Answers of the
reference implementations: `presto`, `satmae`, `galileo.golden`; a published example: `olofsson`. Random weights and
random numbers: `throughput`, `pictures`. Real checkpoints and made-up attacks: `weights`. Real boundaries: `areas`.
The command itself, and our tests: `doorway`.

The last column says which parts of the code that a figure depends on have changed since it was measured; nothing is
named where no record was kept. It is as of {date}; `make evidence-check` brings it up to date.

| figure | value | note | command | machine | date | code |
|---|---|---|---|---|---|---|
"""
OLDER = "measured on older code"
ROW = re.compile(r"^(\| `([a-z0-9_.]+)` \|.* \| \d{4}-\d\d-\d\d \|)(?:.*?(?:<!-- (.*) -->.*)?)$")


@dataclass(frozen=True)
class Row:
    """A line of the book.

    Attributes:
        figure: Its name.
        text: The cells up to the date.
        code: Fingerprint of the code when it was measured; empty if none was kept.
    """

    figure: str
    text: str
    code: Mapping[str, str]

    @classmethod
    def measured(cls, figure: Figure, code: Mapping[str, str], date: str) -> "Row":
        """The row of a figure that was measured just now, here."""
        value = f"{figure.value:.4g}" if isinstance(figure.value, float) else str(figure.value)
        command = f"`make evidence ONLY={experiment_of(figure.name)}`"
        text = f"| `{figure.name}` | {value} | {figure.note} | {command} | {machine()} | {date} |"
        return cls(figure.name, text, code)

    @classmethod
    def read(cls, line: str) -> "Row | None":
        """The row that a line of the book holds, or None."""
        if (match := ROW.match(line)) is None:
            return None
        parts = (match[3] or "").split()
        return cls(match[2], match[1], dict(part.split(":") for part in parts))

    def mark(self, now: Mapping[str, str]) -> str:
        """What the last column says, given the fingerprint of the code as it is; empty if nothing has changed."""
        if not self.code:
            return OLDER
        changed = changed_parts(self.code, now)
        return f"{OLDER}: {', '.join(changed)}" if changed else ""

    def line(self, now: Mapping[str, str]) -> str:
        """The line of the book."""
        kept = f"<!-- {' '.join(f'{part}:{digest}' for part, digest in self.code.items())} -->" if self.code else ""
        return " ".join([self.text, *filter(None, [self.mark(now), kept]), "|"])


def experiment_of(figure: str) -> str:
    """Name of the experiment that measures a figure."""
    return figure.split(".")[0]


def read_book(book: Path = BOOK) -> dict[str, Row]:
    """The rows of the book by figure."""
    rows = [Row.read(line) for line in book.read_text().splitlines()] if book.exists() else []
    return {row.figure: row for row in rows if row is not None}


def write_book(rows: Iterable[Row], now: Mapping[str, Mapping[str, str]], date: str, book: Path = BOOK) -> None:
    """Write the book, in order of name, each row marked.

    Args:
        rows: What was measured; the rows of other figures stay.
        now: Experiment -> fingerprint of its code as it is.
        date: Today.
        book: The file.
    """
    every = read_book(book) | {row.figure: row for row in rows}
    lines = [every[name].line(now.get(experiment_of(name), {})) for name in sorted(every)]
    book.write_text(HEADING.format(date=date) + "\n".join(lines) + "\n")


def machine() -> str:
    """Processor count, memory and system in a few words."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{os.cpu_count()} cores, {memory:.0f} GiB, no GPU, {platform.machine()}, Python {platform.python_version()}"
