"""Seasons, and the periods that each product reads of them."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time

from stook.models.errors import InputError
from stook.models.specification import PeriodKind

TEN_DAYS_START = (1, 11, 21)  # the last of a month is as long as the month leaves it


@dataclass(frozen=True, order=True)
class Period:
    """Whole days that one step of a composite is made of: from ``first`` up to, not including, ``after``."""

    first: date
    after: date

    @classmethod
    def of_month(cls, year: int, month: int) -> "Period":
        """A calendar month; ``month`` may lie beyond 1…12 and then counts into other years."""
        return cls(first_of(year, month), first_of(year, month + 1))

    @property
    def start(self) -> datetime:
        """First instant, UTC."""
        return datetime.combine(self.first, time(), UTC)

    @property
    def end(self) -> datetime:
        """First instant after it, UTC: the period is [start, end)."""
        return datetime.combine(self.after, time(), UTC)

    def __str__(self) -> str:
        return f"{self.first}/{self.after}"


@dataclass(frozen=True)
class Window:
    """The months of a product relative to the harvest year.

    Attributes:
        start_month: Calendar month 1…12 of the first one.
        start_year: 0 for the harvest year, -1 for the year before it.
        months: How many.
    """

    start_month: int
    start_year: int
    months: int

    def periods(self, harvest_year: int, kind: PeriodKind = "month", most: int = 24) -> tuple[Period, ...]:
        """The window cut into the periods that an encoder reads, in order.

        Args:
            harvest_year: Of the season.
            kind: How it is cut; see ``InputSpecification``.
            most: Periods that the encoder takes at most; for ``part``, exactly.

        Raises:
            InputError: If there are too many, or the window cannot be cut into equal parts of whole months.
        """
        year, start = harvest_year + self.start_year, self.start_month
        if kind == "part":
            if self.months % most:
                raise InputError(f"window.months: {self.months}, but the encoder reads {most} equal parts of it")
            span = self.months // most
            edges = [first_of(year, start + part * span) for part in range(most + 1)]
        elif kind in ("month", "month-mean"):
            edges = [first_of(year, start + month) for month in range(self.months + 1)]
        else:
            months = [first_of(year, start + month) for month in range(self.months)]
            edges = [month.replace(day=day) for month in months for day in TEN_DAYS_START]
            edges.append(first_of(year, start + self.months))
        periods = tuple(Period(*span) for span in zip(edges[:-1], edges[1:], strict=True))
        if len(periods) > most:
            raise InputError(
                f"window.months: {self.months}, {len(periods)} periods ({kind}); the encoder takes at most {most}"
            )
        return periods


@dataclass(frozen=True)
class Season:
    """A named season of one harvest year."""

    name: str
    year: int

    def __str__(self) -> str:
        return f"{self.name}-{self.year}"


def first_of(year: int, month: int) -> date:
    """First day of a month; ``month`` may lie beyond 1…12 and then counts into other years."""
    return date(year + (month - 1) // 12, (month - 1) % 12 + 1, 1)
