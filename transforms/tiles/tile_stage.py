"""The stage of the pipeline that works tile by tile: names in, outcomes out; all else of a tile is in the ledger."""

from collections.abc import Iterable
from functools import partial

import apache_beam as beam
from apache_beam.metrics import Metrics
from apache_beam.utils.shared import Shared

from stook.transforms.ground.grid import Tile
from stook.transforms.tiles.crew import Crew, Task, settled
from stook.transforms.tiles.summary import TileSummary

NAMESPACE = "stook"  # of the one metric, which consoles of engines show; nothing is decided by it


class TileStage(beam.PTransform):
    """Tile names -> ``TileSummary``, having written shards and ledger records.

    Args:
        task: What is done.
        processes: How many processes work on tiles beside the threads that Beam has; none if 0.
    """

    def __init__(self, task: Task, processes: int = 0):
        super().__init__()
        self.task = task
        self.make = partial(Crew, task, processes)
        self.shared = Shared()

    def crew(self) -> Crew:
        """That of this process, which is also that of Beam's threads in it."""
        crew: Crew = self.shared.acquire(self.make)
        return crew

    def expand(self, tiles: beam.PCollection[str]) -> beam.PCollection[TileSummary]:
        """Spread the tiles over the workers, then do all of a tile's work in one stage."""
        return tiles | beam.Reshuffle() | "RunTile" >> beam.ParDo(RunTile(self.task, self.make, self.shared))


class RunTile(beam.DoFn):
    """See ``TileStage``."""

    def __init__(self, task: Task, make: "partial[Crew]", shared: Shared):
        super().__init__()
        self.task = task
        self.make = make
        self.shared = shared
        self.crew: Crew | None = None

    def process(self, element: str) -> Iterable[TileSummary]:
        """Run one tile; once an archive or the store does not answer, or a stop is asked for, later ones are left."""
        summary = settled(self.task, self._run, Tile.parse(element))
        Metrics.counter(NAMESPACE, f"tiles_{summary.outcome}").inc()
        yield summary

    def _run(self, tile: Tile) -> TileSummary:
        self.crew = self.shared.acquire(self.make)  # made by the first of a process's threads; the others wait for it
        return self.crew.run(tile)
