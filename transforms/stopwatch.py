"""What the work on a tile takes: seconds by step, and how much was read and encoded."""

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeVar

from transforms.amounts import Amounts

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

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Add the time of the block to step ``name``."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - start

    def each(self, name: str, elements: Iterable[Each]) -> Iterator[Each]:
        """The elements; the time to get each of them is added to step ``name``."""
        iterator, end = iter(elements), object()
        while True:
            with self.step(name):
                element = next(iterator, end)
            if element is end:
                return
            yield element  # type: ignore[misc]
