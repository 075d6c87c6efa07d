"""What the work on a tile takes: seconds by step, and how much was read and encoded."""

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeVar

from stook.transforms.amounts import Amounts

Each = TypeVar("Each")


@dataclass
class Stopwatch:
    """Seconds by step, and amounts.

    Attributes:
        seconds: By name of the step.
        amounts: Read and encoded.
    """

    seconds: dict[str, float] = field(default_factory=dict)
    amounts: Amounts = field(default_factory=Amounts)
    _within: float = field(default=0.0, repr=False)  # what steps within the one at hand have taken

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Add the time of the block to step ``name``, but for that of steps within it: no second is counted twice."""
        start, before, self._within = time.perf_counter(), self._within, 0.0
        try:
            yield
        finally:
            spent = time.perf_counter() - start
            self.seconds[name] = self.seconds.get(name, 0.0) + spent - self._within
            self._within = before + spent

    def each(self, name: str, elements: Iterable[Each]) -> Iterator[Each]:
        """The elements; the time to get each of them is added to step ``name``."""
        iterator, end = iter(elements), object()
        while True:
            with self.step(name):
                element = next(iterator, end)
            if element is end:
                return
            yield element  # type: ignore[misc]
