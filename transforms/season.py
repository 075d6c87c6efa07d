"""Seasons and the months that each product reads of them."""

from dataclasses import dataclass
from datetime import UTC, datetime


@dataclass(frozen=True, order=True)
class Period:
    """One calendar month, the step of every composite."""

    year: int
    month: int

    @property
    def start(self) -> datetime:
        """First instant of the month, UTC."""
        return datetime(self.year, self.month, 1, tzinfo=UTC)

    @property
    def end(self) -> datetime:
        """First instant after the month, UTC: the period is [start, end)."""
        return self.plus(1).start

    def plus(self, months: int) -> "Period":
        """The month that comes ``months`` later."""
        index = self.year * 12 + self.month - 1 + months
        return Period(index // 12, index % 12 + 1)


@dataclass(frozen=True)
class Window:
    """The months of a product relative to the harvest year.

    Attributes:
        start_month: Calendar month 1…12 of the first period.
        start_year: 0 for the harvest year, -1 for the year before it.
        months: How many periods.
    """

    start_month: int
    start_year: int
    months: int

    def periods(self, harvest_year: int) -> tuple[Period, ...]:
        """The calendar months of the window for ``harvest_year``, in order."""
        first = Period(harvest_year + self.start_year, self.start_month)
        return tuple(first.plus(step) for step in range(self.months))


@dataclass(frozen=True)
class Season:
    """A named season of one harvest year."""

    name: str
    year: int

    def __str__(self) -> str:
        return f"{self.name}-{self.year}"
