"""What an experiment gives."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Figure:
    """One measured figure.

    Attributes:
        name: Lower case, dotted, e.g. ``flanders.auc.west_to_east``; the first word is the experiment's. It names the
            full size at any size, so that a small run can be compared with the book.
        value: As measured. A count is an int; ``target 7`` in its note is then what ``make test-all`` requires of it.
        note: What a reader needs beside it: interval, target, unit. Empty if nothing.
    """

    name: str
    value: float
    note: str = ""


@dataclass(frozen=True)
class Experiment:
    """Something that is measured.

    Attributes:
        name: First word of the names of its figures.
        run: Given an empty scratch folder, yields the figures as they are measured. Its other parameters are sizes;
            their defaults are the full ones. Files under ``scratch / KEPT`` belong into the project, by their path
            there: the pages of docs that are written from what was measured.
        small: Smaller sizes, by parameter, with which ``make test-all`` runs it in at most half a minute.
        needs_shared: Whether it reads ``../shared``; left out, and said so, where that is absent. Of other experiments
            the figures with ``flanders`` in their name are left out there.
        full_only: Figures that the small run leaves out, because they need the network or minutes.
    """

    name: str
    run: Callable[..., Iterable[Figure]]
    small: Mapping[str, Any] = field(default_factory=dict)
    needs_shared: bool = False
    full_only: frozenset[str] = frozenset()


KEPT = "kept"


def kept(scratch: Path, file: str) -> Path:
    """Where an experiment writes a file that ``make evidence`` then puts into the project at the path ``file``."""
    path = scratch / KEPT / file
    path.parent.mkdir(parents=True, exist_ok=True)
    return path
