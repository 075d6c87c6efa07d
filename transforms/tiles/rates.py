"""From how much there is to do to how long it takes, at rates that were measured; none is assumed."""

from collections.abc import Mapping
from dataclasses import dataclass, field

IMAGERY_STEPS = ("read", "composite")  # of a tile's seconds, both as many as files are opened


@dataclass(frozen=True)
class Cost:
    """Time of a unit of work, seconds.

    Attributes:
        busy: That a tile in flight is held up by it.
        processor: Of all processors together; 0 where that was not measured.
        alone: That nothing else can use the accelerator.
    """

    busy: float = 0.0
    processor: float = 0.0
    alone: float = 0.0

    def times(self, count: float) -> "Cost":
        """Of so many units."""
        return Cost(self.busy * count, self.processor * count, self.alone * count)

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(self.busy + other.busy, self.processor + other.processor, self.alone + other.alone)


@dataclass(frozen=True)
class Work:
    """How much there is to do.

    Attributes:
        tiles: Of which something is computed.
        assets: Kind of reading (``composite`` or ``picture``) -> files opened.
        pixels: Encoder -> pixels that it is shown, of all its chips.
    """

    tiles: float
    assets: Mapping[str, float]
    pixels: Mapping[str, float]


@dataclass(frozen=True)
class Rates:
    """What work costs on a machine.

    Attributes:
        source: Where this was measured, in words.
        opened: Kind of reading -> of a file opened, what is made of its pixels included.
        shown: Encoder -> of a pixel shown to it.
        tile: Of a tile besides: areas, shards, ledger.
        start_s: Before the first tile, seconds.
    """

    source: str
    opened: Mapping[str, Cost]
    shown: Mapping[str, Cost]
    tile: Cost
    start_s: float = 0.0


@dataclass(frozen=True)
class Speed:
    """How a machine works.

    Attributes:
        tiles_in_flight: Per machine.
        processors: Per machine; None where they are not known and time of processors is no bound.
        reading: How many times faster it reads than the machine of the rates.
        encoding: How many times faster it encodes.
        machines: How many there are.
    """

    tiles_in_flight: int
    processors: int | None = None
    reading: float = 1.0
    encoding: float = 1.0
    machines: int = 1


@dataclass(frozen=True)
class Duration:
    """How long work takes, seconds.

    Attributes:
        seconds: From start to end.
        reading: Of them, that would be taken if there were only reading, writing and counting.
        encoding: The same of encoding.
        bound: What is waited for: ``accelerator``, ``CPU`` or ``tiles in flight``.
    """

    seconds: float
    reading: float
    encoding: float
    bound: str


def duration(work: Work, rates: Rates, speed: Speed) -> Duration | None:
    """How long some work takes, or None where a rate is not known.

    Tiles in flight share the processors and take turns at the accelerator, so a run lasts as long as the longest of
    three: the accelerator's work, the processors' work shared by all of them, what the tiles are held up shared by
    those in flight. The rest happens meanwhile.

    Args:
        work: How much there is to do.
        rates: Measured ones.
        speed: Of the machines.
    """
    if any(count and kind not in rates.opened for kind, count in work.assets.items()):
        return None
    if any(count and encoder not in rates.shown for encoder, count in work.pixels.items()):
        return None
    read = sum((rates.opened[kind].times(count) for kind, count in work.assets.items() if count), Cost())
    read += rates.tile.times(work.tiles)
    shown = sum((rates.shown[encoder].times(count) for encoder, count in work.pixels.items() if count), Cost())
    reading = _bounds(read.times(1 / speed.reading), work, speed)
    encoding = _bounds(shown.times(1 / speed.encoding), work, speed)
    both = _bounds(read.times(1 / speed.reading) + shown.times(1 / speed.encoding), work, speed)
    bound = max(both, key=lambda name: both[name])
    return Duration(rates.start_s + both[bound], max(reading.values()), max(encoding.values()), bound)


def _bounds(cost: Cost, work: Work, speed: Speed) -> dict[str, float]:
    """Seconds that each part of the machines needs for a cost."""
    in_flight = max(1.0, min(speed.tiles_in_flight * speed.machines, work.tiles))
    machines = max(1.0, min(speed.machines, work.tiles))
    return {
        "accelerator": cost.alone / machines,
        "CPU": cost.processor / ((speed.processors or 1) * machines) if speed.processors else 0.0,
        "tiles in flight": cost.busy / in_flight,
    }


@dataclass(frozen=True)
class Past:
    """What an earlier run of the same configuration did on this machine.

    Attributes:
        edition: Its edition.
        seconds: From start to end.
        tiles: That it computed.
        assets: Files that it opened.
        pixels: That it showed to encoders.
        in_flight: Tiles at a time.
        steps: Step -> seconds, of all tiles.
        bytes_per_tile: Of its maps on the disk; None where nobody counted.
    """

    edition: str
    seconds: float
    tiles: int
    assets: int
    pixels: int
    in_flight: int
    steps: Mapping[str, float] = field(hash=False)
    bytes_per_tile: float | None = None

    def rates(self, kinds: Mapping[str, float], encoders: Mapping[str, float]) -> Rates:
        """The rates of the run, with all that tiles waited for each other in it.

        Args:
            kinds: Kinds of reading there are to do; all at the same rate.
            encoders: Encoders there are to use; all at the same rate per pixel, as mixed as they were.
        """
        stretch = self.seconds * min(self.in_flight, self.tiles) / sum(self.steps.values())
        read, shown = sum(self.steps.get(step, 0.0) for step in IMAGERY_STEPS), self.steps.get("encode", 0.0)
        rest = sum(self.steps.values()) - read - shown
        opened = Cost(busy=stretch * read / max(1, self.assets))
        pixel = Cost(busy=stretch * shown / max(1, self.pixels), alone=shown / max(1, self.pixels))
        source = f"the run of edition {self.edition} on this machine, {self.tiles} tiles in {self.seconds:.0f} s"
        tile = Cost(busy=stretch * rest / self.tiles)
        return Rates(source, dict.fromkeys(kinds, opened), dict.fromkeys(encoders, pixel), tile)
