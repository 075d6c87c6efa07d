"""``python -m tests.evidence``: measure the figures we claim and write them into docs/evidence.md.

Every figure is printed as ``name value``. Figures that are not measured this time keep their line, with the date and
machine of their own measurement; all lines say anew whether the code that they measure has changed since.
"""

import argparse
import importlib
import pkgutil
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import tests.evidence
from tests.conftest import SHARED
from tests.evidence.book import ROOT, Row, experiment_of, read_book, write_book
from tests.evidence.figure import KEPT, Experiment
from tests.evidence.fingerprint import fingerprint


def experiments() -> list[Experiment]:
    """Every ``EXPERIMENT`` of this package, by name."""
    names = sorted(module.name for module in pkgutil.iter_modules(tests.evidence.__path__))
    modules = [importlib.import_module(f"tests.evidence.{name}") for name in names if not name.startswith("_")]
    return sorted((m.EXPERIMENT for m in modules if hasattr(m, "EXPERIMENT")), key=lambda experiment: experiment.name)


def measure(experiment: Experiment, write: bool) -> Iterator[Row]:
    """Run one experiment in full, printing its figures as they come; ``write`` puts its files into the project."""
    code, start = fingerprint(experiment.run.__module__), time.perf_counter()
    with tempfile.TemporaryDirectory(prefix=f"stook-{experiment.name}-") as scratch:
        for figure in experiment.run(Path(scratch)):
            print(f"{figure.name} {figure.value:.6g}" + (f"  # {figure.note}" if figure.note else ""), flush=True)
            yield Row.measured(figure, code, today())
        if write and (files := Path(scratch) / KEPT).is_dir():
            shutil.copytree(files, ROOT, dirs_exist_ok=True)
    print(f"# {experiment.name} took {time.perf_counter() - start:.0f} s", flush=True)


def today() -> str:
    """The date, UTC."""
    return f"{datetime.now(UTC):%Y-%m-%d}"


def fingerprints(every: Iterable[Experiment]) -> dict[str, dict[str, str]]:
    """Experiment -> fingerprint of its code as it is."""
    return {experiment.name: fingerprint(experiment.run.__module__) for experiment in every}


def check(now: dict[str, dict[str, str]]) -> None:
    """Mark every line, and print per experiment how many were measured on older code."""
    write_book((), now, today())
    names = [(experiment_of(row.figure), row) for row in read_book().values()]
    marks = Counter((name, row.mark(now.get(name, {}))) for name, row in names)
    for (name, words), count in sorted(marks.items()):
        if words:
            print(f"{name}: {count} figure{'s' * (count > 1)} {words}")


def main() -> None:
    """Measure what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="experiments whose name begins with this")
    parser.add_argument("--print", action="store_true", help="do not write docs/evidence.md")
    parser.add_argument("--check", action="store_true", help="measure nothing; list and mark figures of older code")
    options = parser.parse_args()
    every = experiments()
    if options.check:
        check(fingerprints(every))
        return
    chosen = [e for e in every if e.name.startswith(options.only.split(".")[0])]
    if not chosen:
        parser.error(f"no experiment begins with {options.only!r}; there are {', '.join(e.name for e in every)}")
    for experiment in chosen:
        if experiment.needs_shared and not SHARED.is_dir():
            print(f"# {experiment.name} left out: {SHARED} is absent", flush=True)
            continue
        rows = list(measure(experiment, write=not options.print))
        if not options.print:
            write_book(rows, fingerprints(every), today())


if __name__ == "__main__":
    main()
