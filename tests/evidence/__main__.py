"""``python -m tests.evidence``: measure the figures we claim and write them into docs/evidence.md.

Every figure is printed as ``name value``. Figures that are not measured this time keep their line, with the date and
machine of their own measurement.
"""

import argparse
import importlib
import os
import pkgutil
import platform
import re
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import tests.evidence
from tests.conftest import SHARED
from tests.evidence.figure import Experiment, Figure

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

| figure | value | note | command | machine | date |
|---|---|---|---|---|---|
"""
ROW = re.compile(r"^\| `([a-z0-9_.]+)` \|")


@dataclass(frozen=True)
class Line:
    """One line of the book."""

    figure: Figure
    experiment: str
    date: str

    def __str__(self) -> str:
        figure = self.figure
        value = f"{figure.value:.4g}" if isinstance(figure.value, float) else str(figure.value)
        command = f"`make evidence ONLY={self.experiment}`"
        return f"| `{figure.name}` | {value} | {figure.note} | {command} | {machine()} | {self.date} |"


def experiments() -> list[Experiment]:
    """Every ``EXPERIMENT`` of this package, by name."""
    names = sorted(module.name for module in pkgutil.iter_modules(tests.evidence.__path__))
    modules = [importlib.import_module(f"tests.evidence.{name}") for name in names if not name.startswith("_")]
    return sorted((m.EXPERIMENT for m in modules if hasattr(m, "EXPERIMENT")), key=lambda experiment: experiment.name)


def machine() -> str:
    """Processor count, memory and system in a few words."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{os.cpu_count()} cores, {memory:.0f} GiB, no GPU, {platform.machine()}, Python {platform.python_version()}"


def measure(experiment: Experiment) -> Iterable[Line]:
    """Run one experiment, printing its figures as they come."""
    start = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix=f"stook-{experiment.name}-") as scratch:
        for figure in experiment.run(Path(scratch)):
            print(f"{figure.name} {figure.value:.6g}" + (f"  # {figure.note}" if figure.note else ""), flush=True)
            yield Line(figure, experiment.name, f"{datetime.now(UTC):%Y-%m-%d}")
    print(f"# {experiment.name} took {time.perf_counter() - start:.0f} s", flush=True)


def write_book(lines: Iterable[Line]) -> None:
    """Put the lines into the book, in order of name, leaving those of other figures as they are."""
    rows = {}
    for row in BOOK.read_text().splitlines() if BOOK.exists() else []:
        if match := ROW.match(row):
            rows[match[1]] = row
    rows |= {line.figure.name: str(line) for line in lines}
    BOOK.write_text(HEADING + "\n".join(rows[name] for name in sorted(rows)) + "\n")


def main() -> None:
    """Measure what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="experiments whose name begins with this")
    parser.add_argument("--print", action="store_true", help="do not write docs/evidence.md")
    options = parser.parse_args()
    chosen = [e for e in experiments() if e.name.startswith(options.only.split(".")[0])]
    if not chosen:
        parser.error(
            f"no experiment begins with {options.only!r}; there are {', '.join(e.name for e in experiments())}"
        )
    for experiment in chosen:
        if experiment.needs_shared and not SHARED.is_dir():
            print(f"# {experiment.name} left out: {SHARED} is absent", flush=True)
            continue
        lines = list(measure(experiment))
        if not options.print:
            write_book(lines)


if __name__ == "__main__":
    main()
