"""What a run tells while it works: a line that follows the ledger for people, JSON lines for schedulers."""

import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from stook.transforms.editions.edition import Edition
from stook.transforms.editions.lease import now
from stook.transforms.editions.ledger import TileRecord
from stook.transforms.repeating import repeating
from stook.transforms.store import STORE_FAILURES

LOOKS_EVERY_S = 0.5
DERIVE = "derive"  # the step of the stage after the maps
RESTS = 10  # times as long as a look took: in a bucket a look at a country's ledger takes minutes


@dataclass(frozen=True)
class Count:
    """Tiles of an edition by state."""

    done: int
    failed: int


class LedgerFollower:
    """Reads the records of a ledger as they are written, from now on; those that are there already are only listed.

    Memory: some hundred bytes per tile.

    Args:
        edition: Whose ledger is followed.
        names: Of the products that the stage makes.
        due: Tiles that it makes them of.
    """

    def __init__(self, edition: Edition, names: Sequence[str], due: Iterable[str]):
        self.ledger = edition.ledger
        self.names = names
        self.tiles = len(edition.manifest["tiles"])
        self.left = set(due)
        self.failed: set[str] = set()
        self.rest_until = 0.0
        self.seen: dict[str, int] = {}
        self.seen = self._fresh()

    def look(self, at_once: bool = False) -> Iterator[TileRecord]:
        """The records that are new; none while it rests, which the longer a look takes it does the longer."""
        start = time.monotonic()
        if start < self.rest_until and not at_once:
            return
        fresh = self._fresh()
        for (name, mark), record in zip(fresh.items(), self.ledger.records(list(fresh)), strict=True):
            self.seen[name] = mark  # not before: a look that the store ends is made up for by the next
            if self._is_made(record):
                self.left.discard(record.tile)
                (self.failed.add if record.failed else self.failed.discard)(record.tile)
                yield record
        if at_once:
            self._leave_unchanged()
        self.rest_until = time.monotonic() + RESTS * (time.monotonic() - start)

    @property
    def count(self) -> Count:
        """The state of the edition at the last look."""
        return Count(self.tiles - len(self.left) - len(self.failed), len(self.failed))

    def _fresh(self) -> dict[str, int]:
        """Files of the records that were written since they were last read -> hash of their marks."""
        found = {name: hash(mark) for name, mark in self.ledger.marks().items()}
        return {name: mark for name, mark in found.items() if self.seen.get(name) != mark}

    def _leave_unchanged(self) -> None:
        """Take out of what is left what was made already, as the stage found, which wrote no record then."""
        there = [name for name in sorted(f"{tile}.json" for tile in self.left) if name in self.seen]
        made = (record for record in self.ledger.records(there) if self._is_made(record) and not record.failed)
        self.left -= {record.tile for record in made}

    def _is_made(self, record: TileRecord) -> bool:
        return all(name in record.products for name in self.names)


class Reporter(Protocol):
    """Where a run's events go."""

    def say(self, event: str, text: str, **details: Any) -> None:
        """Report one event: its stable name for machines, a sentence for people, details as plain data."""

    def log(self, event: str, text: str, **details: Any) -> None:
        """Report one event that people see already, or need not."""

    def about(self, **known: Any) -> AbstractContextManager[None]:
        """A context of which every event has these details too."""

    def following(
        self, edition: Edition, names: Sequence[str], due: Iterable[str], after: Sequence[str] = ()
    ) -> AbstractContextManager[None]:
        """A context in which a ledger is followed.

        Args:
            edition: Whose.
            names: Of the products that a stage makes meanwhile.
            due: Tiles that it makes them of.
            after: Of those that earlier stages have made; a tile in which they failed was told.
        """

    def list_failed(self, failed: Mapping[str, str]) -> None:
        """Name the failed tiles and their causes at the end of a run, for whom it was not told before."""


class TerminalReporter:
    """Sentences and a progress bar on standard error."""

    def __init__(self) -> None:
        self.console = Console(stderr=True, highlight=False, soft_wrap=True)

    def say(self, event: str, text: str, **details: Any) -> None:
        """Print the sentence."""
        self.console.print(text, markup=False)

    def log(self, event: str, text: str, **details: Any) -> None:
        """Print nothing."""

    @contextmanager
    def about(self, **known: Any) -> Iterator[None]:
        """Nothing more is told."""
        yield

    @contextmanager
    def following(
        self, edition: Edition, names: Sequence[str], due: Iterable[str], after: Sequence[str] = ()
    ) -> Iterator[None]:
        """Show tiles done, failed, elapsed and left while the block runs."""
        columns = (
            TextColumn("tiles"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[failed]} failed"),
            TextColumn("{task.fields[rate]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(elapsed_when_finished=False),
        )
        with Progress(*columns, console=self.console) as progress:
            follower = LedgerFollower(edition, names, due)
            made = 0
            task = progress.add_task("tiles", total=follower.tiles, completed=follower.count.done, failed=0, rate="")

            def show(at_once: bool = False) -> None:
                nonlocal made
                made += sum(1 for _ in follower.look(at_once))
                count = follower.count
                rate = rate_of(progress, task, made)
                progress.update(task, completed=count.done + count.failed, failed=count.failed, rate=rate)

            with repeating(unless_the_store_fails(show), LOOKS_EVERY_S, "progress"):
                yield
            unless_the_store_fails(partial(show, at_once=True))()

    def list_failed(self, failed: Mapping[str, str]) -> None:
        """Print a line for each."""
        for tile, cause in failed.items():
            self.console.print(f"failed: {tile}: {cause}", markup=False)


class JsonReporter:
    """One JSON object a line on standard output, for schedulers and logs."""

    def __init__(self) -> None:
        self.known: dict[str, Any] = {}

    def say(self, event: str, text: str, **details: Any) -> None:
        """Print the event with its time and with what is known of the run."""
        line = json.dumps({"time": now(), "event": event, "message": text, **self.known, **details})
        print(f"{line}\n", end="", flush=True)  # in one piece: several threads tell

    log = say

    @contextmanager
    def about(self, **known: Any) -> Iterator[None]:
        """Every event of the block has these details too."""
        before = self.known
        self.known = before | known
        try:
            yield
        finally:
            self.known = before

    @contextmanager
    def following(
        self, edition: Edition, names: Sequence[str], due: Iterable[str], after: Sequence[str] = ()
    ) -> Iterator[None]:
        """Report each tile once it is decided, and ``tiles_progress`` whenever the ledger has grown."""
        follower = LedgerFollower(edition, names, due)
        last: list[Count] = []

        def show(at_once: bool = False) -> None:
            for record in follower.look(at_once):
                self._tell(record, names, after)
            count = follower.count
            if last != [count]:
                last[:] = [count]
                text = f"{count.done} of {follower.tiles} tiles done, {count.failed} failed"
                self.say("tiles_progress", text, done=count.done, failed=count.failed, tiles=follower.tiles)

        with repeating(unless_the_store_fails(show), LOOKS_EVERY_S, "progress"):
            yield
        unless_the_store_fails(partial(show, at_once=True))()

    def _tell(self, record: TileRecord, names: Sequence[str], after: Sequence[str]) -> None:
        """Report a tile of which the products ``names`` are decided."""
        made = {name: record.products[name] for name in names}
        causes = {name: product.error or "" for name, product in made.items() if product.status == "failed"}
        told = {"tile": record.tile, "products": list(names), "attempts": record.attempts}
        if any(record.products[name].status == "failed" for name in after if name in record.products):
            return
        if causes:
            cause = next(iter(causes.values()))
            self.say("tile_failed", f"failed: {record.tile}: {cause}", **told, cause=cause, causes=causes)
        else:
            carried = all(product.carried for product in made.values())
            seconds = {step: took for step, took in record.seconds.items() if (step == DERIVE) == bool(after)}
            text = f"{record.tile} {'carried over' if carried else 'done'}"
            self.say("tile_done", text, **told, carried=carried, seconds=seconds)

    def list_failed(self, failed: Mapping[str, str]) -> None:
        """Each was told as ``tile_failed`` when it failed."""


class SilentReporter:
    """Takes events and tells nobody."""

    def say(self, event: str, text: str, **details: Any) -> None:
        """Tell nobody."""

    log = say

    @contextmanager
    def about(self, **known: Any) -> Iterator[None]:
        """Tell nobody."""
        yield

    @contextmanager
    def following(
        self, edition: Edition, names: Sequence[str], due: Iterable[str], after: Sequence[str] = ()
    ) -> Iterator[None]:
        """Tell nobody."""
        yield

    def list_failed(self, failed: Mapping[str, str]) -> None:
        """Tell nobody."""


def unless_the_store_fails(show: Callable[[], None]) -> Callable[[], None]:
    """``show``, but a store that does not answer now is looked at again next time."""

    def guarded() -> None:
        with suppress(*STORE_FAILURES):
            show()

    return guarded


def rate_of(progress: Progress, task: TaskID, finished: int) -> str:
    """Tiles finished by this run, per minute, as text."""
    elapsed = progress.tasks[task].elapsed
    return f"{60 * finished / elapsed:.1f}/min" if elapsed and finished else ""


def reporter(quiet: bool) -> Reporter:
    """JSON lines if ``quiet``, else sentences and a bar."""
    return JsonReporter() if quiet else TerminalReporter()
