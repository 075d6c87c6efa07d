"""What a run tells while it works: a line that follows the ledger for people, JSON lines for schedulers."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
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

from transforms.editions.edition import Edition, now
from transforms.repeating import repeating
from transforms.store import read_bytes

LOOKS_EVERY_S = 0.5


@dataclass(frozen=True)
class Count:
    """Tiles of an edition by state."""

    done: int
    failed: int


class LedgerCounter:
    """Counts records as they appear; every record is read once, or again when it was written anew.

    Args:
        edition: Whose ledger is followed.
    """

    def __init__(self, edition: Edition):
        self.ledger = edition.ledger
        self.seen: dict[str, tuple[str, bool]] = {}

    def look(self) -> Count:
        """The state of the ledger now."""
        for name, mark in self.ledger.marks().items():
            if self.seen.get(name, ("", False))[0] != mark:
                content = read_bytes(self.ledger.folder / name)
                self.seen[name] = (mark, b'"status": "failed"' in (content or b""))
        failed = sum(failed for _, failed in self.seen.values())
        return Count(len(self.seen) - failed, failed)


class Reporter(Protocol):
    """Where a run's events go."""

    def say(self, event: str, text: str, **details: Any) -> None:
        """Report one event: its stable name for machines, a sentence for people, details as plain data."""

    def following(self, edition: Edition, tiles: int) -> Any:
        """A context in which the ledger of ``edition`` is followed."""


class TerminalReporter:
    """Sentences and a progress bar on standard error."""

    def __init__(self) -> None:
        self.console = Console(stderr=True, highlight=False, soft_wrap=True)

    def say(self, event: str, text: str, **details: Any) -> None:
        """Print the sentence."""
        self.console.print(text, markup=False)

    @contextmanager
    def following(self, edition: Edition, tiles: int) -> Iterator[None]:
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
            counter = LedgerCounter(edition)
            start = counter.look()
            task = progress.add_task("tiles", total=tiles, completed=start.done + start.failed, failed=0, rate="")

            def show() -> None:
                count = counter.look()
                rate = rate_of(progress, task, count.done + count.failed - start.done - start.failed)
                progress.update(task, completed=count.done + count.failed, failed=count.failed, rate=rate)

            with repeating(show, LOOKS_EVERY_S, "progress"):
                yield
            show()


class JsonReporter:
    """One JSON object a line on standard output, for schedulers and logs."""

    def say(self, event: str, text: str, **details: Any) -> None:
        """Print the event with its time."""
        print(json.dumps({"time": now(), "event": event, "message": text, **details}), flush=True)

    @contextmanager
    def following(self, edition: Edition, tiles: int) -> Iterator[None]:
        """Report ``tiles_progress`` whenever the ledger has grown."""
        counter = LedgerCounter(edition)
        last: list[Count] = []

        def show() -> None:
            count = counter.look()
            if last != [count]:
                last[:] = [count]
                text = f"{count.done} of {tiles} tiles done, {count.failed} failed"
                self.say("tiles_progress", text, done=count.done, failed=count.failed, tiles=tiles)

        with repeating(show, LOOKS_EVERY_S, "progress"):
            yield
        show()


def rate_of(progress: Progress, task: TaskID, finished: int) -> str:
    """Tiles finished by this run, per minute, as text."""
    elapsed = progress.tasks[task].elapsed
    return f"{60 * finished / elapsed:.1f}/min" if elapsed and finished else ""


def reporter(quiet: bool) -> Reporter:
    """JSON lines if ``quiet``, else sentences and a bar."""
    return JsonReporter() if quiet else TerminalReporter()


def complain(text: str) -> None:
    """Print one line to standard error."""
    print(text, file=sys.stderr, flush=True)
