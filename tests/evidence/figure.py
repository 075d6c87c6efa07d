"""What an experiment gives."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Figure:
    """One measured figure.

    Attributes:
        name: Lower case, dotted, e.g. ``flanders.auc.west_to_east``; the first word is the experiment's.
        value: As measured.
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
        run: Given an empty scratch folder, yields the figures as they are measured.
        needs_shared: Whether it reads ``../shared``; left out, and said so, where that is absent.
    """

    name: str
    run: Callable[[Path], Iterable[Figure]]
    needs_shared: bool = False
