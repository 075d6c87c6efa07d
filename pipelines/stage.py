"""Running a stage over the tiles of an edition, also where the work on some of them kills its worker.

A tile whose worker died is tried once more among the others. After two deaths that nobody knows the reason of it is
left for last and done alone, in a process of its own: if it was not to blame, it succeeds there; if that process dies
too, it is recorded as failed. Deaths are counted by the markers of the ledger, so also those of runs that died.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial

import apache_beam as beam

from stook.models.errors import CancelledError, UnreachableError
from stook.pipelines.configuration import MapConfiguration
from stook.pipelines.progress import Reporter
from stook.pipelines.runner import local_runner
from stook.pipelines.tally import Tally, TileFaultError, Worked, counts_of, words_of
from stook.transforms.editions.edition import Edition
from stook.transforms.editions.ledger import Begun
from stook.transforms.editions.signals import asked_to_stop
from stook.transforms.ground.grid import Tile
from stook.transforms.store import STORE_FAILURES, scraps_below, sweep, writing
from stook.transforms.tiles.map_tiles import FAULTS, HALT_REASONS, Settling, TileStage, settled
from stook.transforms.tiles.summary import TileSummary
from stook.transforms.tiles.workers import Workers, workers_of

MOST_DEATHS = 2  # after so many a tile is done alone
MOST_ALONE = 2  # whole runs that may end, without a word, while such a tile is all that they work on


def run_stage(
    stage: TileStage,
    tiles: Sequence[str],
    edition: Edition,
    config: MapConfiguration,
    reporter: Reporter,
    tally: Tally | None = None,
) -> Worked:
    """Run a stage over tiles of an edition.

    Args:
        stage: What is done.
        tiles: Their names.
        edition: An open edition.
        config: The configuration.
        reporter: Told of workers that died.
        tally: Told what is done, also where the stage does not come to its end.

    Raises:
        UnreachableError: If some tiles were left undecided.
        CancelledError: If somebody asked the run to stop.
        TileFaultError: If a fault of ours left a tile without a record; the others are done.
    """
    tally, ledger = tally or Tally(), edition.ledger
    with writing(edition.folder):
        before = ledger.begun()
        suspects = suspected(edition, tiles, before)
    try:
        rest = [tile for tile in tiles if tile not in suspects]
        while rest:
            died = run_together(stage, rest, edition, config, tally)
            for tile, how in died.items():
                reporter.say("worker_died", f"the worker of tile {tile} ended by {how}", tile=tile, how=how)
            with writing(edition.folder):
                begun = noted(edition, died, before)
                suspects |= {tile: begun[tile] for tile in died if begun[tile].attempts >= MOST_DEATHS}
                before = ledger.begun()
            rest = [tile for tile in died if tile not in suspects]
        run_alone(stage, suspects, edition, reporter, tally)
        if suspects or before:
            with writing(edition.folder):
                sweep(scraps_below(edition.folder))  # what the dead left half-written; nobody is at work now
        if tally.faults:
            raise TileFaultError(f"{min(tally.faults)}; what other tiles came to is kept")
    except (UnreachableError, CancelledError, TileFaultError):
        raise  # after every worker came to an end of its own: the markers that are left are of deaths
    except BaseException:
        with suppress(*STORE_FAILURES):
            for tile in ledger.begun():
                ledger.mark(tile, before.get(tile))  # these did not die by themselves
        raise
    finally:
        workers_of.cache_clear()
    return tally.worked


def run_together(
    stage: TileStage, tiles: Sequence[str], edition: Edition, config: MapConfiguration, tally: Tally
) -> dict[str, str]:
    """Run a stage over tiles with Beam; tile -> how its worker died, of those whose did.

    Raises:
        UnreachableError: If some tiles were left undecided.
        CancelledError: If somebody asked the run to stop.
    """
    runner, options = local_runner(config.run)
    pipeline = beam.Pipeline(runner=runner, options=options)
    _ = pipeline | beam.Create(tiles) | stage
    workers_of.cache_clear()
    workers = workers_of(Settling(stage.signals, stage.job), stage.processes)  # made once, not by several threads
    try:
        metrics = pipeline.run().metrics()
    except BaseException:
        stage.signals.halt("stopped")  # Beam's other threads go on for a while; they should begin nothing more
        workers.close(at_once=True)
        raise
    finally:
        workers.close()
    tally.add(Worked.of_metrics(metrics))
    reasons = words_of(metrics, HALT_REASONS)  # of which Beam's local runner loses some
    if not reasons and (halted := stage.signals.halted()):
        reasons = [halted]
    undecided = counts_of(metrics).get("tiles_undecided", 0) > 0
    require_decided(edition, reasons, undecided)
    if faults := counts_of(metrics).get("tiles_fault", 0):
        tally.faults += words_of(metrics, FAULTS) or [f"{edition.folder}: faults of ours in {faults} tiles"]
    if counts_of(metrics).get("tiles_died", 0) != len(workers.deaths):
        raise RuntimeError(f"workers of {len(workers.deaths)} tiles are known to have died, Beam counts another number")
    return dict(sorted(workers.deaths.items()))


def run_alone(
    stage: TileStage, suspects: Mapping[str, Begun], edition: Edition, reporter: Reporter, tally: Tally
) -> None:
    """Run a stage over tiles that have killed workers, one after the other, in a process beside this one.

    Raises:
        UnreachableError: If a tile was left undecided.
        CancelledError: If somebody asked the run to stop.
    """
    workers = Workers(Settling(stage.signals, stage.job), 1)
    try:
        for name, begun in sorted(suspects.items()):
            text = f"{begun.attempts} workers died at tile {name}; doing it alone"
            reporter.say("tile_isolated", text, tile=name, deaths=begun.attempts)
            work = partial(alone, stage, workers, edition, begun)
            summary = settled(stage.signals, work, Tile.parse(name))
            tally.add(Worked.of_tile(summary))
            tally.faults += [summary.reason] * (summary.outcome == "fault")
            undecided = summary.outcome == "undecided"
            require_decided(edition, [summary.reason] if undecided and summary.reason else [], undecided)
    except KeyboardInterrupt:
        workers.close(at_once=True)
        raise
    finally:
        workers.close()


def alone(stage: TileStage, workers: Workers, edition: Edition, begun: Begun, tile: Tile) -> TileSummary:
    """Run a stage over one tile that has killed workers; it fails if it kills this one too."""
    ledger = edition.ledger
    if begun.alone >= MOST_ALONE:
        told = f"the worker died {begun.attempts} times on this tile, of them {begun.alone} times together with the run"
        summary = stage.job().fail(tile, f"{told}, which worked on nothing else", begun.attempts)
        ledger.mark(tile.name, replace(begun, alone=0))
        return summary
    ledger.mark(tile.name, replace(begun, alone=begun.alone + 1))  # until there is news of how it ended
    after: Begun | None = begun
    try:
        summary = workers.run(tile)
        if summary.outcome == "died":
            after = Begun(begun.attempts + 1)
            told = f"the worker died {after.attempts} times on this tile, last by {summary.reason}"
            summary = stage.job().fail(tile, f"{told}, even when run alone", after.attempts)
        elif summary.outcome not in ("undecided", "fault"):
            after = None
    finally:
        ledger.mark(tile.name, after)  # deaths are kept, so that the next run that tries it does so alone
    return summary


def suspected(edition: Edition, tiles: Sequence[str], begun: Mapping[str, Begun]) -> dict[str, Begun]:
    """Tile -> its marker, of tiles that killed too many workers: in this edition, or the one before if not yet made."""
    before = edition.manifest.get("predecessor")
    earlier = Edition(edition.folder.parent / before).ledger.begun() if before else {}
    marks = {tile: mark for tile, mark in earlier.items() if edition.ledger.read(Tile.parse(tile)) is None}
    asked = set(tiles)
    return {
        tile: mark for tile, mark in (marks | dict(begun)).items() if tile in asked and mark.attempts >= MOST_DEATHS
    }


def noted(edition: Edition, died: Mapping[str, str], before: Mapping[str, Begun]) -> dict[str, Begun]:
    """The markers after workers died; a death before the marker was written is added."""
    begun = edition.ledger.begun()
    for tile in died:
        earlier = before.get(tile, Begun())
        if begun.get(tile, Begun()).attempts <= earlier.attempts:
            begun[tile] = replace(earlier, attempts=earlier.attempts + 1)
            edition.ledger.mark(tile, begun[tile])
    return begun


def require_decided(edition: Edition, reasons: Sequence[str], undecided: bool = False) -> None:
    """Raise what ends a run: UnreachableError for the first of the reasons, CancelledError if it was asked to stop."""
    if reasons:
        raise UnreachableError(f"{min(reasons)}; progress is saved; rerun to resume")
    if asked_to_stop(edition.folder.parent):
        raise CancelledError(f"{edition.folder}: stopped as asked by 'stook cancel'; the same command continues it")
    if undecided:
        raise UnreachableError(f"{edition.folder}: another run has taken over; progress is saved")
